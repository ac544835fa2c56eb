/** The first screen: what is wrong, which programs took part, and how each socket is. */

import { badge, fill, h } from "./dom.mjs";
import { amount, duration, number } from "./format.mjs";
import { format } from "./route.mjs";

export const screen = {
  name: "overview",
  title: "Overview",
  open: (root, page) => new Overview(root, page),
};

class Overview {
  constructor(root, page) {
    this.page = page;
    this.head = h("div", {});
    this.findings = h("section", { "aria-labelledby": "findings" });
    this.processes = h("section", { "aria-labelledby": "processes" });
    this.count = h("span", { class: "dim", role: "status" });
    this.search = h("input", { type: "search", placeholder: "Search", "aria-label": "Search sockets", value: page.route.options.search });
    this.search.addEventListener("input", () => page.replace({ ...page.route, options: { ...page.route.options, search: this.search.value } }));
    this.cards = h("ul", { class: "cards" });
    this.more = h("div", {});
    const sockets = h("section", { "aria-labelledby": "sockets" },
      h("div", { class: "bar" }, h("h2", { id: "sockets" }, "Sockets"), this.search, this.count), this.cards, this.more);
    fill(root, h("h1", { class: "hidden" }, "Overview"), this.head, this.findings, sockets, this.processes);
    this.shown = 60;
  }

  async update(route) {
    const asked = { search: route.options.search ?? "", count: this.shown };
    const found = await this.page.source.view("overview", asked);
    this.draw(found, route);
  }

  close() {}

  draw(found, route) {
    const counts = [duration(found.recorded_ns), amount(found.sockets, "socket"), amount(found.calls, "call")].join(" · ");
    fill(
      this.head,
      h("p", { class: "lead" }, h("span", { class: "code" }, found.command || "an attached program"), h("span", { class: "dim" }, ` ${counts}`)),
      found.missing.map(([layer, reason]) => h("p", { class: "notice" }, `${layer}: not recorded (${reason})`)),
      found.warnings.map((text) => h("p", { class: "notice warning" }, text)),
    );
    const causes = found.findings.filter((finding) => !finding.follows_from);
    fill(
      this.findings,
      h("h2", { id: "findings" }, found.findings.length ? `${amount(found.findings.length, "finding")}` : "Findings"),
      found.judged || found.findings.length ? null : h("p", { class: "dim" }, "The rules are still being checked."),
      h("ol", { class: "findings" }, found.findings.map((finding) => this.finding(finding, causes.length, route))),
      found.closing.length
        ? h("details", { class: "closing" }, h("summary", {}, found.closing[0]),
            h("ul", {}, found.closing.slice(1).map((text) => h("li", {}, text))))
        : null,
    );
    fill(
      this.processes,
      h("h2", { id: "processes" }, "Programs"),
      h("div", { class: "table-frame", tabindex: "0", role: "region", "aria-label": "Table of programs" },
        h("table", {},
          h("thead", {}, h("tr", {}, ["Program", "Command", "Sockets", "End"].map((text) => h("th", { scope: "col" }, text)))),
          h("tbody", {}, found.processes.map((process) =>
            h("tr", {},
              h("th", { scope: "row" }, process.title),
              h("td", { class: "code" }, process.command),
              h("td", { class: "number" }, process.sockets === null ? "…" : number(process.sockets)),
              h("td", {}, process.failed ? badge(process.end, "error") : process.end || "no end recorded")))))),
    );
    this.count.textContent = route.options.search ? `${number(found.matching)} of ${number(found.sockets)}` : found.sockets ? "" : "none was opened, as far as was recorded";
    this.search.hidden = !found.sockets;
    fill(this.cards, found.cards.map((card) => this.card(card, route)));
    const left = found.matching - found.cards.length;
    fill(
      this.more,
      left > 0
        ? h("button", { type: "button", onclick: () => { this.shown = Math.min(500, this.shown + 120); this.update(this.page.route); } },
            this.shown >= 500 ? `${number(left)} more: search to find them` : `${number(left)} more`)
        : null,
    );
  }

  finding(finding, causes, route) {
    const name = finding.follows_from ? "Effect" : causes === 1 ? "Cause" : "A cause";
    const options = route.options.row ? { row: route.options.row } : {};
    const screen = this.page.has("finding") ? { screen: "finding", argument: String(finding.number) } : { screen: "ladder", argument: finding.conversation ?? "" };
    return h(
      "li",
      { class: `finding ${finding.severity}${finding.follows_from ? " effect" : ""}` },
      h("div", { class: "finding-head" }, h("span", { class: "finding-name" }, name), badge(finding.severity, finding.severity), badge(finding.certainty)),
      h("a", { class: "finding-title", href: format({ ...screen, options }) }, finding.title),
      h("p", { class: "dim" }, h("span", { class: "code" }, finding.where), finding.who ? ` in ${finding.who}` : "",
        finding.follows_from ? `; follows from ${finding.follows_from}` : ""),
    );
  }

  card(card, route) {
    const queues = [];
    if (card.kind === "listener") {
      if (card.receive_queue) queues.push(`${number(card.receive_queue)} waiting to be accepted`);
    } else {
      if (card.receive_queue) queues.push(`${amount(card.receive_queue, "byte")} unread`);
      if (card.send_queue) queues.push(`${amount(card.send_queue, "byte")} not acknowledged`);
    }
    if (card.drops) queues.push(`${number(card.drops)} dropped`);
    const state = card.state ?? (card.kind === "tcp" ? "state unknown" : card.kind);
    return h(
      "li",
      { class: `card${card.findings.length ? " found" : ""}` },
      h("div", { class: "card-head" }, h("span", { class: "dim" }, `socket ${card.id}`), badge(card.inferred ? `[${state}]` : state, card.state ? "state" : "")),
      h("a", { class: "card-title", href: format({ screen: "ladder", argument: card.conversation, options: route.options.row ? { row: route.options.row } : {} }) }, card.title),
      h("p", { class: "dim" }, card.who),
      h("p", { class: "verdict" }, card.verdict),
      queues.length ? h("p", { class: "queues" }, queues.join(" · ")) : null,
      card.findings.length ? h("p", { class: "dim" }, `finding ${card.findings.join(", ")}`) : null,
    );
  }
}
