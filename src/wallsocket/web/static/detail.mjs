/** The panel beside every screen: the row that is selected, with all that is known of it. */

import { asHex, asText, fromBase64 } from "./bytes.mjs";
import { fill, h } from "./dom.mjs";
import { amount, moment } from "./format.mjs";
import { dissected } from "./frame.mjs";
import { selection } from "./route.mjs";

const WORDS = { call: "Call", packet: "Frame", state: "Socket" };

export class Detail {
  /** @param {any} page */
  constructor(page) {
    this.page = page;
    this.element = h("aside", { class: "detail", "aria-label": "Details of what is selected", hidden: true });
    this.hex = false;
    this.shown = "";
  }

  /** @param {any} route */
  async update(route, fresh = false) {
    const selected = selection(route);
    this.element.hidden = !selected;
    document.body.classList.toggle("with-detail", Boolean(selected));
    if (!selected) {
      this.shown = "";
      return;
    }
    const name = `${selected.table}:${selected.row}`;
    if (name === this.shown && !fresh) return;
    this.shown = name;
    try {
      const found = await this.page.source.view("detail", selected);
      if (this.shown === name) this.show(found);
    } catch (problem) {
      if (this.shown === name) fill(this.element, this.head(WORDS[selected.table]), h("p", {}, problem.message));
    }
  }

  head(text) {
    return h(
      "div",
      { class: "detail-head" },
      h("h2", {}, text),
      h("button", { class: "quiet", type: "button", "aria-label": "Close details", onclick: () => this.page.select(null) }, "✕"),
    );
  }

  show(found) {
    const facts = [["at", `${moment(found.at_ns)} ms`], ...found.facts.map((fact) => [fact.name, fact.text])];
    fill(
      this.element,
      this.head(`${WORDS[found.table]} ${found.row}`),
      h("p", { class: "code title" }, found.title),
      h("dl", { class: "facts" }, facts.map(([name, text]) => [h("dt", {}, name), h("dd", {}, text)])),
      found.place && place(found.place),
      this.payload(found),
      found.fields.length ? dissected(fromBase64(found.frame), found.fields, found.frame_length) : null,
    );
  }

  payload(found) {
    const bytes = fromBase64(found.payload);
    if (found.length === null || found.length === undefined || (!bytes.length && !found.length)) return null;
    const kept = bytes.length < found.length ? `, ${bytes.length ? `the first ${amount(bytes.length, "byte")}` : "none"} kept` : "";
    const body = h("pre", { class: "payload", tabindex: "0", "aria-label": "Payload" });
    const draw = () => {
      const lines = this.hex
        ? asHex(bytes, 8).map((row) => `${row.offset}  ${row.hex.padEnd(23)}  ${row.text}`)
        : asText(bytes, 64);
      body.textContent = lines.join("\n");
    };
    const button = (text, hex) =>
      h("button", { type: "button", class: "choice", "aria-pressed": String(this.hex === hex), onclick: () => choose(hex) }, text);
    const choices = h("div", { class: "choices", role: "group", "aria-label": "Form of the payload" });
    const choose = (hex) => {
      this.hex = hex;
      fill(choices, button("Text", false), button("Hex", true));
      draw();
    };
    choose(this.hex);
    return h("section", {}, h("h3", {}, `Payload: ${amount(found.length, "byte")}${kept}`), bytes.length ? [choices, body] : null);
  }
}

/** A line of code, and how it is known. */
export function place({ file, line, function: name, how, text }) {
  return h(
    "section",
    {},
    h("h3", {}, "Line of code"),
    h("p", { class: "code" }, line === null ? file : `${file}:${line}`, name ? ` ${name}` : ""),
    text ? h("pre", { class: "quote" }, text) : null,
    h("p", { class: "dim" }, how),
  );
}
