/** Two recordings side by side: where they part in each layer, and the two ladders of a pair of sockets. */

import { Chunks } from "./chunks.mjs";
import { badge, fill, h } from "./dom.mjs";
import { amount, moment, number } from "./format.mjs";
import { List } from "./list.mjs";
import { format } from "./route.mjs";

export const screen = {
  name: "compare",
  title: "Compare",
  hidden: true,
  when: (status) => status?.compares,
  open: (root, page) => new Compare(root, page),
};

class Compare {
  constructor(root, page) {
    this.root = root;
    this.page = page;
    this.lists = [];
  }

  async update(route, fresh) {
    let found;
    try {
      found = await this.page.source.view("compare");
    } catch (problem) {
      if (problem.later) throw problem;
      fill(this.root, h("h1", {}, "Compare two runs"), h("p", { class: "notice" }, problem.message));
      return;
    }
    if (this.shown === route.argument && !fresh && this.lists.length) return;
    this.shown = route.argument;
    this.close();
    const chosen = found.pairs.find((pair) => String(pair.number) === route.argument);
    fill(
      this.root,
      h("h1", {}, "Compare two runs"),
      h("p", { class: "dim" }, badge("good", "good"), ` ${found.good}   `, badge("bad", "error"), ` ${found.bad}`),
      found.same ? h("p", {}, "Nothing parts: the two runs did the same, in every layer that was compared.") : null,
      found.not_compared.map(([layer, reason]) => h("p", { class: "notice" }, `${layer}: not compared (${reason})`)),
      chosen ? this.pair(chosen, found) : null,
      h("section", {}, h("h2", {}, "Where they part first"),
        found.first.length ? found.first.map((parting) => this.parting(parting)) : h("p", { class: "dim" }, "No layer parts.")),
      h("section", {}, h("h2", {}, "What the rules say"),
        findings("only in the bad run", found.only_bad, true), findings("only in the good run", found.only_good, false), findings("in both", found.both, true),
        found.only_bad.length + found.only_good.length + found.both.length ? null : h("p", { class: "dim" }, "No finding in either.")),
      h("section", {}, h("h2", {}, "Sockets side by side"), this.table(found)),
    );
  }

  close() {
    for (const list of this.lists) list.close();
    this.lists = [];
  }

  parting(parting) {
    const cell = (name, side, meaning) =>
      h("div", { class: `step ${meaning}` }, badge(name, meaning), " ",
        side ? [h("span", { class: "dim" }, `${moment(side.at_ns)} ms ${side.where} `), h("span", { class: "code" }, side.text)] : h("span", { class: "dim" }, "nothing more"));
    return h("article", { class: "parting" },
      h("h3", {}, `${parting.layer}: `, h("a", { href: format({ screen: "compare", argument: String(parting.pair) }) }, parting.title)),
      h("p", { class: "dim" }, `${amount(parting.common, "step")} the same`, parting.before ? [", the last of them ", h("span", { class: "code" }, parting.before.text)] : ""),
      cell("good", parting.good, "good"),
      cell("bad", parting.bad, "error"));
  }

  /** The two ladders of a pair, each where it parts. */
  pair(pair, found) {
    const parting = found.first.find((one) => one.pair === pair.number);
    const side = (name, title, key, run, at) => {
      if (!key) return h("section", {}, h("h2", {}, badge(name, run ? "good" : "error"), " no socket like it"));
      const list = this.ladder(`Ladder of the ${name} run`, key, run, at);
      return h("section", { class: "one-run" }, h("h2", {}, badge(name, run ? "good" : "error"), ` ${title}`), list.element);
    };
    return h("section", { class: "two-runs" },
      side("good", pair.good, pair.good_key, "good", parting?.good),
      side("bad", pair.bad, pair.bad_key, "", parting?.bad));
  }

  ladder(label, key, run, at) {
    const options = run ? { run } : {};
    const view = (first, count) => this.page.source.view("ladder", { conversation: key, first, count, ...options });
    const list = new List({
      label,
      rowHeight: () => 26,
      draw: (row, index) => {
        const rung = chunks.at(index);
        row.className = "row plain";
        row.setAttribute("aria-selected", String(index === at?.index));
        row.textContent = rung ? said(rung.line) : "…";
      },
      activate: (index) => {
        const line = chunks.at(index)?.line;
        if (!run && line?.calls.length) this.page.select({ table: "call", row: line.calls[0] });
      },
    });
    const chunks = new Chunks(async (first, count) => (await view(first, count)).rungs, () => list.schedule());
    view(0, 100).then((found) => {
      chunks.put(0, found.rungs);
      list.setTotal(found.total);
      if (at?.index !== null && at?.index !== undefined && at.conversation === key) list.reveal(at.index, true);
    }, () => {});
    this.lists.push(list);
    return list;
  }

  table(found) {
    const rows = found.pairs.map((pair) =>
      h("tr", {},
        h("th", { scope: "row" }, h("a", { href: format({ screen: "compare", argument: String(pair.number) }) }, `pair ${pair.number}`)),
        h("td", {}, pair.good || badge("missing", "warning")),
        h("td", {}, pair.bad || badge("missing", "warning")),
        h("td", {}, pair.layers.length ? badge(pair.layers.join(", "), "error") : pair.good && pair.bad ? "the same" : "")));
    return h("div", { class: "table-frame", tabindex: "0", role: "region", "aria-label": "Sockets of both runs" },
      h("table", {},
        h("thead", {}, h("tr", {}, ["Pair", "Good run", "Bad run", "Parts in"].map((text) => h("th", { scope: "col" }, text)))),
        h("tbody", {}, rows)),
      found.more ? h("p", { class: "dim" }, `and ${number(found.more)} more`) : null);
  }
}

function findings(words, cards, linked) {
  if (!cards.length) return null;
  return [h("h3", {}, words), h("ul", {}, cards.map((card) =>
    h("li", {}, badge(card.severity, card.severity), " ",
      linked ? h("a", { href: format({ screen: "finding", argument: String(card.number) }) }, card.title) : card.title,
      h("span", { class: "dim" }, ` ${card.where}`))))];
}

/** A line of a ladder as text. */
function said(line) {
  if (line.note) return line.note;
  const words = [...line.left, ...line.right].filter((part) => part.kind !== "time").map((part) => (part.inferred ? `[${part.text}]` : part.text));
  if (line.arrow) words.push(line.side === "left" ? `─ ${line.arrow.text} ▶` : `◀ ${line.arrow.text} ─`);
  return `${moment(line.at_ns)}  ${words.join("  ")}${line.times > 1 ? `  ×${line.times}` : ""}`;
}
