/** The text of lessons: paragraphs, lists, tables and programs, from data. */

import { h } from "./dom.mjs";

const MARKS = { code: "code", strong: "strong", emphasis: "em" };

/** Pieces of a line. @param {{kind: string, text: string}[]} spans */
export function prose(spans) {
  return spans.map(({ kind, text }) => (MARKS[kind] ? h(MARKS[kind], {}, text) : text));
}

/** Blocks of a lesson or claim. */
export function blocks(found) {
  return found.map((block) => (block.code ? code(block) : block.parts.map(part)));
}

/** A program or a file, with the numbers of its lines. */
export function code({ code: text, name, numbered }) {
  const lines = text.replace(/\n$/, "").split("\n");
  return h("figure", { class: "listing" },
    name ? h("figcaption", {}, name) : null,
    h("pre", { class: numbered ? "numbered" : "", tabindex: "0", role: "region", "aria-label": name || (numbered ? "program" : "example") },
      lines.map((line) => h("span", { class: "line" }, `${line}\n`))));
}

function part(found) {
  if (found.type === "paragraph") return h("p", {}, prose(found.spans));
  if (found.type === "items") return h(found.ordered ? "ol" : "ul", { class: "items" }, found.items.map((item) => h("li", {}, prose(item))));
  return h("div", { class: "table-frame", tabindex: "0", role: "region", "aria-label": "Table" },
    h("table", {},
      h("thead", {}, h("tr", {}, found.head.map((cell) => h("th", { scope: "col" }, prose(cell))))),
      h("tbody", {}, found.rows.map((row) => h("tr", {}, row.map((cell) => h("td", {}, prose(cell))))))));
}
