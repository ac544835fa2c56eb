/** One finding: what happened, why, every row that proves it, what usually mends it, and the lines of code. */

import { badge, fill, h } from "./dom.mjs";
import { moment } from "./format.mjs";
import { format } from "./route.mjs";

export const screen = {
  name: "finding",
  title: "Finding",
  hidden: true,
  open: (root, page) => new FindingPage(root, page),
};

class FindingPage {
  constructor(root, page) {
    this.root = root;
    this.page = page;
  }

  async update(route) {
    const found = await this.page.source.view("finding", { number: route.argument || "1" });
    this.draw(found, route);
  }

  close() {}

  draw(found, route) {
    const { card } = found;
    const row = route.options.row;
    const to = (number) => format({ screen: "finding", argument: String(number), options: row ? { row } : {} });
    fill(
      this.root,
      h("div", { class: "bar" },
        h("a", { class: "back", href: format({ screen: "overview" }) }, "Overview"),
        h("span", { class: "dim" }, `finding ${card.number} of ${found.of}`),
        card.number > 1 ? h("a", { href: to(card.number - 1) }, "previous") : null,
        card.number < found.of ? h("a", { href: to(card.number + 1) }, "next") : null),
      h("div", { class: `finding ${card.severity}` },
        h("div", { class: "finding-head" }, badge(card.severity, card.severity), badge(card.certainty), badge(card.rule)),
        h("h1", {}, card.title),
        h("p", { class: "dim" }, card.who, found.socket ? `, socket ${found.socket}` : ""),
        h("p", { class: "why" }, found.why)),
      found.code ? code(found.code) : h("p", { class: "dim" }, "Line of code: unknown"),
      h("section", {},
        h("h2", {}, "Proof"),
        h("ol", { class: "proof" }, found.proof.map((proof) => this.proof(proof)))),
      h("section", {}, h("h2", {}, "Usual fix"), h("p", {}, found.fix)),
      found.cause ? related("It follows from", [found.cause], to) : null,
      found.effects.length ? related("It leads to", found.effects, to) : null,
      h("section", {},
        h("h2", {}, "About this cause"),
        h("p", {}, found.general),
        h("dl", { class: "facts" },
          found.seen_as.length ? [h("dt", {}, "seen as"), h("dd", {}, found.seen_as.join("; "))] : null,
          found.disproof ? [h("dt", {}, "disproof"), h("dd", {}, found.disproof)] : null,
          found.references.length ? [h("dt", {}, "read on"), h("dd", {}, found.references.join("; "))] : null)),
    );
  }

  proof(proof) {
    const text = [h("span", { class: "time" }, `${moment(proof.at_ns)} ms`), badge(proof.layer), h("span", {}, proof.text)];
    if (!proof.conversation) return h("li", {}, h("span", { class: "proof-row" }, text));
    const href = format({ screen: "ladder", argument: proof.conversation, options: { row: `${proof.table}:${proof.row}` } });
    return h("li", {}, h("a", { class: "proof-row", href }, text));
  }
}

function related(title, cards, to) {
  return h("section", {}, h("h2", {}, title),
    h("ul", {}, cards.map((card) => h("li", {}, h("a", { href: to(card.number) }, card.title), h("span", { class: "dim" }, ` ${card.where}`)))));
}

/** A line of code among its neighbours. */
function code({ file, line, lines }) {
  return h("section", {},
    h("h2", {}, "Line of code"),
    h("p", { class: "code place" }, line === null ? file : `${file}:${line}`),
    lines.length
      ? h("pre", { class: "quote source", tabindex: "0", "aria-label": "Source code" },
          lines.map(([number, text]) => h("span", { class: number === line ? "here" : "" }, `${String(number).padStart(5)}  ${text}\n`)))
      : h("p", { class: "dim" }, "What it says is not here: the file cannot be read, has changed since it was recorded, or was left out."));
}
