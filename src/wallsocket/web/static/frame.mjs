/** A frame: its fields by name and its bytes, each of which shows the other. */

import { fieldOfEach, hex } from "./bytes.mjs";
import { fill, h } from "./dom.mjs";
import { amount } from "./format.mjs";

/** Bytes that are elements of their own; what comes after is payload. */
const MOST = 384;
const WIDTH = 8;

/**
 * @param {Uint8Array} bytes that were kept @param {[number, number, string, string][]} fields offset, length, name, value
 * @param {number} length bytes that the frame had
 */
export function dissected(bytes, fields, length) {
  const shown = Math.min(bytes.length, MOST);
  const owner = fieldOfEach(fields, shown);
  const cells = Array.from({ length: shown }, (_, at) => {
    const field = owner[at];
    return h("span", { class: field >= 0 ? `byte layer-${layerOf(fields, field)}` : "byte", "data-field": field >= 0 ? field : undefined }, hex(bytes[at]));
  });
  const buttons = fields.map(([offset, size, name, value], index) =>
    h("li", {}, h("button", { type: "button", class: "field", "data-field": index, "aria-pressed": "false", title: `bytes ${offset} to ${offset + size - 1}` },
      h("span", { class: `swatch layer-${layerOf(fields, index)}`, "aria-hidden": "true" }), h("span", { class: "field-name" }, name), h("span", { class: "code" }, value))));
  const mark = (index) => {
    cells.forEach((cell, at) => cell.classList.toggle("marked", index !== null && at >= fields[index][0] && at < fields[index][0] + fields[index][1]));
    buttons.forEach((item, at) => item.firstChild.setAttribute("aria-pressed", String(at === index)));
  };
  const rows = [];
  for (let at = 0; at < shown; at += WIDTH) {
    rows.push(h("div", { class: "bytes-row" }, h("span", { class: "dim" }, `${at.toString(16).padStart(4, "0")} `), cells.slice(at, at + WIDTH)));
  }
  const list = h("ul", { class: "fields" }, buttons);
  const dump = h("div", { class: "bytes", "aria-hidden": "true" }, rows);
  const over = (event) => {
    const found = event.target.closest("[data-field]");
    if (found) mark(Number(found.dataset.field));
  };
  for (const part of [list, dump]) {
    part.addEventListener("pointerover", over);
    part.addEventListener("click", (event) => {
      over(event);
      const found = event.target.closest("[data-field]");
      if (found) buttons[Number(found.dataset.field)].scrollIntoView({ block: "nearest" });
    });
  }
  list.addEventListener("focusin", over);
  list.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    const here = document.activeElement?.dataset.field;
    if (step === undefined || here === undefined) return;
    event.preventDefault();
    buttons[Math.max(0, Math.min(buttons.length - 1, Number(here) + step))].firstChild.focus();
  });
  const kept = bytes.length < length ? `, the first ${amount(bytes.length, "byte")} kept` : "";
  const more = bytes.length > shown ? h("p", { class: "dim" }, `and ${amount(bytes.length - shown, "more byte")}`) : null;
  return fill(h("section", { class: "frame" }), h("h3", {}, `Frame: ${amount(length, "byte")}${kept}`), list, dump, more);
}

/** Layers have colours in turn. */
function layerOf(fields, index) {
  const layers = [...new Set(fields.map((field) => field[2].split(".")[0]))];
  return layers.indexOf(fields[index][2].split(".")[0]) % 4;
}
