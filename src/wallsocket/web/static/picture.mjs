/** The recording of what was just run, in a screen that is about something else: ladder or state graph of one conversation. */

import { fill, h } from "./dom.mjs";
import { Ladder } from "./ladder.mjs";
import { format } from "./route.mjs";
import { States } from "./states.mjs";

const VIEWS = [["ladder", "Ladder"], ["states", "States"]];

export class Picture {
  /** @param {{view?: string, follows?: boolean, socket?: number | null}} how `follows`: show the newest conversation until one is picked; `socket`: begin with the conversation of this one */
  constructor(root, page, { view = "ladder", follows = false, socket = null } = {}) {
    this.page = page;
    this.view = view === "states" ? "states" : "ladder";
    this.follows = follows;
    this.socket = socket === null ? null : String(socket);
    this.key = "";
    this.pick = h("select", { "aria-label": "Conversation", onchange: () => this.chosen(this.pick.value) });
    this.follow = h("input", { type: "checkbox", checked: true, onchange: () => this.again() });
    this.views = VIEWS.map(([name, text]) => h("button", { type: "button", class: "choice", onclick: () => this.turn(name) }, text));
    this.whole = h("a", {}, "Whole screen");
    this.body = h("div", { class: "picture-body" });
    this.empty = h("p", { class: "dim", role: "status" }, "Nothing was recorded yet.");
    fill(root,
      h("div", { class: "bar" },
        h("span", { class: "choices", role: "group", "aria-label": "View" }, this.views),
        this.pick,
        follows ? h("label", { class: "check" }, this.follow, " follow the newest") : null,
        this.whole),
      this.empty,
      this.body);
  }

  chosen(key) {
    this.follow.checked = false;
    this.wanted = key;
    this.again();
  }

  turn(name) {
    this.view = name;
    this.again();
  }

  again() {
    this.update(this.page.route, false).catch((problem) => {
      if (!problem.later) this.page.complain(problem.message);
    });
  }

  async update(route, fresh) {
    const { cards } = await this.page.source.view("conversations", { count: 500 });
    const fit = cards.filter((card) => card.kind !== "socket" || card.findings.length).sort(byAge);
    this.empty.hidden = fit.length > 0;
    this.pick.hidden = this.body.hidden = this.whole.hidden = !fit.length;
    if (!fit.length) return;
    // One of which there is nothing to see yet is not followed.
    const talks = fit.filter((card) => card.kind !== "listener");
    const newest = talks.findLast((card) => card.segments) ?? talks.at(-1) ?? fit.at(-1);
    const meant = fit.find((card) => card.key.split("-").includes(this.socket));
    const telling = meant ?? fit.find((card) => card.findings.length) ?? fit.find((card) => card.says_much && card.kind !== "listener") ?? fit[0];
    const follows = this.follows && this.follow.checked;
    const card = follows ? newest : (fit.find(({ key }) => key === this.wanted) ?? (this.follows ? newest : telling));
    this.wanted = card.key;
    const options = fit.slice(-60);
    if (!options.includes(card)) options.unshift(card);
    const names = JSON.stringify(options.map(({ key, title }) => [key, title]));
    if (names !== this.names) {
      this.names = names;
      fill(this.pick, options.map(({ key, title }) => h("option", { value: key }, title)));
    }
    this.pick.value = card.key;
    this.views.forEach((button, at) => button.setAttribute("aria-pressed", String(VIEWS[at][0] === this.view)));
    this.whole.href = format({ screen: this.view, argument: card.key });
    const shown = `${this.view} ${card.key}`;
    if (shown !== this.shown) {
      this.shown = shown;
      this.inner?.close();
      const inside = h("div", { class: `inside-${this.view}` });
      fill(this.body, inside);
      this.inner = this.view === "ladder" ? new Ladder(inside, this.page, card.key, { inside: true }) : new States(inside, this.page, card.key);
    }
    await this.inner.update(route, fresh);
  }

  close() {
    this.inner?.close();
  }
}

function byAge(one, other) {
  return Number.parseInt(one.key, 10) - Number.parseInt(other.key, 10);
}
