/** A screen about one conversation: it is picked first, and can be changed at the top; other screens keep it. */

import { fill, h } from "./dom.mjs";
import { amount, number } from "./format.mjs";
import { format } from "./route.mjs";

/** Screens about one conversation, as links from each other. */
export class Picked {
  /**
   * @param {HTMLElement} root @param {any} page @param {string} name of the screen
   * @param {(root: HTMLElement, key: string) => {update: (route: any, fresh: boolean) => Promise<string>, close: () => void}} open
   *   `update` returns the title of the conversation
   */
  constructor(root, page, name, open) {
    this.root = root;
    this.page = page;
    this.name = name;
    this.open = open;
    this.argument = null;
  }

  async update(route, fresh) {
    if (route.argument !== this.argument) {
      this.inner?.close();
      this.argument = route.argument;
      if (route.argument) {
        // Until it is known what was picked, the screen's name: a heading is never empty.
        this.title = h("h1", {}, this.name[0].toUpperCase() + this.name.slice(1));
        const inner = h("div", { class: "picked-body" });
        fill(this.root, h("div", { class: "bar" }, h("a", { class: "back", href: format({ screen: this.name }) }, "All conversations"), this.title), inner);
        this.inner = this.open(inner, route.argument);
      } else {
        this.inner = new Picker(this.root, this.page, this.name);
      }
    }
    const { inner, title } = this;
    const text = await inner.update(route, fresh);
    if (text && title) title.textContent = text;
  }

  close() {
    this.inner?.close();
  }
}

/** All conversations as cards, those with findings first. */
export class Picker {
  constructor(root, page, name) {
    this.page = page;
    this.name = name;
    this.search = h("input", { type: "search", placeholder: "Search", "aria-label": "Search conversations", value: page.route.options.search });
    this.search.addEventListener("input", () => page.replace({ ...page.route, options: { ...page.route.options, search: this.search.value } }));
    this.count = h("span", { class: "dim", role: "status" });
    this.cards = h("ul", { class: "cards" });
    fill(root, h("div", { class: "bar" }, h("h1", {}, "Pick a conversation"), this.search, this.count), this.cards);
  }

  async update(route) {
    const found = await this.page.source.view("conversations", { search: route.options.search, count: 120 });
    this.count.textContent = found.matching > found.cards.length ? `the first ${found.cards.length} of ${number(found.matching)}` : amount(found.matching, "conversation");
    const options = route.options.row ? { row: route.options.row } : {};
    fill(this.cards, found.cards.map((card) =>
      h("li", { class: `card${card.findings.length ? " found" : ""}${card.says_much ? "" : " little"}` },
        h("a", { class: "card-title", href: format({ screen: this.name, argument: card.key, options }) }, card.title),
        h("p", { class: "dim" }, card.right ? `${card.left} and ${card.right}` : card.left),
        card.verdicts.map((verdict) => h("p", { class: "verdict" }, verdict)),
        h("p", { class: "dim" }, [amount(card.rows, "row"), card.findings.length ? `finding ${card.findings.join(", ")}` : ""].filter(Boolean).join(" · ")))));
    return "";
  }

  close() {}
}
