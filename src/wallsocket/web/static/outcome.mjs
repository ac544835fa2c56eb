/** A question about sockets, and what the kernel says to it: shared by lessons and quiz. */

import { badge, fill, h } from "./dom.mjs";
import { Picture } from "./picture.mjs";
import { prose } from "./prose.mjs";

const MEANINGS = { true: "good", "true if": "good", wrong: "error", "code bug": "error", outdated: "warning", unknown: "warning" };

/** A verdict as a badge. */
export function verdict(kind, words = kind) {
  return badge(words, MEANINGS[kind] ?? "");
}

/**
 * The form that asks for a prediction and its reason.
 * @param {any} claim @param {{ready: string, skip?: string, run: (said: string | null, reason: string) => void}} how
 */
export function question(claim, { ready, skip, run }) {
  const letters = Object.entries(claim.choices);
  const reason = h("textarea", { id: "reason", rows: "2", maxlength: "2000" });
  const typed = letters.length ? null : h("input", { id: "answer", autocomplete: "off", required: true });
  const form = h("form", { class: "question", onsubmit: (event) => {
    event.preventDefault();
    const said = typed ? typed.value : new FormData(form).get("answer");
    if (said) run(String(said), reason.value.trim());
  } });
  fill(form,
    h("fieldset", {},
      h("legend", {}, prose(claim.ask)),
      typed ? h("label", { for: "answer" }, "Your answer ", typed) : letters.map(([letter, text]) =>
        h("label", { class: "choice-line" }, h("input", { type: "radio", name: "answer", value: letter, required: true }), h("span", {}, prose(text))))),
    h("label", { for: "reason", class: "reason" }, prose(claim.reason)),
    reason,
    h("div", { class: "bar" },
      h("button", { type: "submit", class: "primary" }, ready),
      skip ? h("button", { type: "button", onclick: () => run(null, "") }, skip) : null));
  return form;
}

/** What a run showed. */
export class Outcome {
  constructor(root, page, found, reason) {
    this.page = page;
    const picture = h("div", { class: "picture" });
    fill(root,
      said(found, reason),
      found.failure ? h("p", { class: "problem-line" }, found.printed ? `${found.failure} (${found.printed})` : found.failure) : null,
      found.seen.length ? [h("h2", {}, "What was seen"), seen(found)] : null,
      found.no_picture ? h("p", { class: "dim" }, `No picture: ${found.no_picture}`) : null,
      found.shows ? [h("h2", {}, "The recording of this run"), picture] : null,
      h("h2", {}, "Verdict"),
      h("p", { class: "verdict-line" }, verdict(found.verdict, found.words), " ", prose(found.statement)),
      found.expected ? h("p", { class: "dim" }, `On Linux 6.18 as it comes: ${found.expected}.`) : null,
      found.right_answer.length ? h("p", {}, h("strong", {}, "Answer: "), prose(found.right_answer), ". ", prose(found.because)) : null,
      found.read.length ? h("p", { class: "dim" }, `Read: ${found.read.join(", ")}`) : null);
    this.picture = found.shows ? new Picture(picture, page, { view: found.shows }) : null;
  }

  async update(route, fresh) {
    await this.picture?.update(route, fresh);
  }

  close() {
    this.picture?.close();
  }
}

function said(found, reason) {
  if (!found.said.length) return null;
  const right = found.right === null ? badge("nobody can tell", "warning") : found.right ? badge("right", "good") : badge("not so", "error");
  return h("p", { class: "said-line" }, right, " You said: ", h("q", {}, prose(found.said)), reason ? [", because: ", h("q", {}, reason)] : "", ".");
}

function seen(found) {
  return h("div", { class: "table-frame", tabindex: "0", role: "region", "aria-label": "What was seen" },
    h("table", { class: "seen" }, h("tbody", {}, found.seen.map((row) =>
      h("tr", {}, h("th", { scope: "row" }, prose(row.words)), h("td", {}, row.rows ? table(row.rows) : h("span", { class: "code" }, row.value)))))));
}

function table([head, ...rows]) {
  return h("table", { class: "code" },
    h("thead", {}, h("tr", {}, head.map((cell) => h("th", { scope: "col" }, cell)))),
    h("tbody", {}, rows.map((row) => h("tr", {}, row.map((cell) => h("td", {}, cell))))));
}
