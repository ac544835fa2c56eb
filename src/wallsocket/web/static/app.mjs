/** The page: its head, the screen that is chosen, the details beside it, and news while the recording grows. */

import { Detail } from "./detail.mjs";
import { badge, fill, h } from "./dom.mjs";
import { number } from "./format.mjs";
import { parse, format, withSelection } from "./route.mjs";
import { SCREENS } from "./screens.mjs";
import { Exported } from "./exported.mjs";
import { Server } from "./source.mjs";

class Page {
  constructor(source) {
    this.source = source;
    this.status = null;
    this.route = parse(location.hash);
    this.detail = new Detail(this);
    this.live = h("p", { class: "live", role: "status" });
    this.problem = h("p", { class: "problem", role: "alert", hidden: true });
    this.nav = h("nav", { "aria-label": "Screens" });
    this.main = h("main", { id: "main", tabindex: "-1" });
    this.help = help();
    document.body.append(
      h("a", { class: "skip", href: "#main", onclick: (event) => { event.preventDefault(); this.main.focus(); } }, "Skip to the content"),
      h("header", {}, this.brand = h("a", { class: "brand", href: "#/overview" }, "Wallsocket"), this.nav, this.live,
        h("button", { class: "quiet", type: "button", "aria-label": "Keys", onclick: () => this.help.showModal() }, "?")),
      this.problem,
      h("div", { class: "body" }, this.main, this.detail.element),
      this.help,
    );
    addEventListener("hashchange", () => this.show(parse(location.hash)));
    addEventListener("keydown", (event) => this.key(event));
    // The first word of the source draws the first screen.
    source.listen((status) => this.news(status));
  }

  /** Whether there is such a screen. */
  has(name) {
    return SCREENS.some((screen) => screen.name === name);
  }

  /** Show another screen, or another part of it. */
  go(route) {
    location.hash = format(route);
  }

  /** The same without a step back: while somebody types, zooms or picks. */
  replace(route) {
    history.replaceState(null, "", format(route));
    this.show(parse(location.hash));
  }

  /** Select a row of the recording, in all screens; null: nothing. */
  select(selected) {
    this.replace(withSelection(this.route, selected));
  }

  async show(route, fresh = false) {
    this.route = route;
    delete document.body.dataset.shown;
    const screen = SCREENS.find((one) => one.name === route.screen) ?? SCREENS[0];
    if (screen !== this.screen) {
      this.current?.close();
      this.screen = screen;
      const root = h("div", { class: `screen screen-${screen.name}` });
      fill(this.main, root);
      this.current = screen.open(root, this);
      document.title = `${screen.title} · Wallsocket`;
    }
    this.drawNav();
    this.detail.update(route, fresh);
    try {
      await this.current.update(route, fresh);
      this.complain("");
      if (this.route === route) document.body.dataset.shown = screen.name;
    } catch (problem) {
      if (!problem.later) this.complain(problem.message);
      if (!("later" in problem)) throw problem;
    }
  }

  drawNav() {
    const row = this.route.options.row;
    const nothing = this.status?.learns && !this.status.generation;
    this.brand.href = this.status?.learns ? "#/lessons" : "#/overview";
    const shown = (screen) => screen === this.screen || (screen.when ? screen.when(this.status) : !screen.hidden && !nothing);
    fill(this.nav, SCREENS.filter(shown).map((screen) =>
      h("a", {
        href: format({ screen: screen.name, argument: screen.keeps && this.screen?.keeps ? this.route.argument : "", options: row ? { row } : {} }),
        "aria-current": screen === this.screen ? "page" : undefined,
      }, screen.title)));
    // On a phone not all of them have room.
    const here = this.nav.querySelector("[aria-current]");
    if (here) this.nav.scrollLeft = here.offsetLeft - this.nav.offsetLeft - (this.nav.clientWidth - here.offsetWidth) / 2;
  }

  complain(text) {
    this.problem.hidden = !text;
    this.problem.textContent = text;
  }

  news(status) {
    if (status === null) {
      fill(this.live, badge("not connected", "warning"));
      this.lost = true;
      return;
    }
    const first = !this.status;
    const fresh = first || status.generation !== this.status.generation || this.lost;
    this.lost = false;
    this.status = status;
    const of = status.total ? ` ${Math.min(99, Math.floor((100 * status.done) / status.total))} %` : "";
    const text = {
      waiting: status.learns ? "" : "waiting for the recording to begin",
      reading: status.growing ? "live" : `reading${of} of ${number(status.total)} events`,
      judging: status.growing ? "live" : `checking the rules${of}`,
      ready: status.growing ? "live" : "",
    }[status.stage];
    fill(this.live, text ? badge(text, status.growing && status.stage !== "waiting" ? "good" : "") : null);
    document.body.dataset.stage = status.stage;
    document.body.dataset.growing = String(status.growing);
    this.drawNav();
    if (first) this.show(status.learns && !location.hash ? parse("#/lessons") : this.route);
    else if (fresh && status.generation) this.show(this.route, true);
    if (status.problem) this.complain(status.problem);
  }

  key(event) {
    if (event.altKey || event.ctrlKey || event.metaKey || event.target.closest("input, select, textarea, dialog")) return;
    if (event.key === "/") {
      const search = this.main.querySelector("input[type=search]");
      if (search) {
        event.preventDefault();
        search.focus();
      }
    } else if (event.key === "?") {
      this.help.showModal();
    } else if (event.key === "Escape") {
      this.select(null);
    } else if (/^[1-9]$/.test(event.key)) {
      const links = this.nav.querySelectorAll("a");
      links[Number(event.key) - 1]?.click();
    }
  }
}

function help() {
  const keys = [
    ["1 … 9", "another screen"],
    ["/", "search"],
    ["↑ ↓ Page Home End", "through a ladder"],
    ["Enter", "details of a line; of a group, its lines"],
    ["+ −", "zoom in a ladder or a graph"],
    ["Esc", "close the details"],
  ];
  const dialog = h("dialog", { "aria-label": "Keys" },
    h("h2", {}, "Keys"),
    h("dl", { class: "facts" }, keys.map(([key, text]) => [h("dt", {}, h("kbd", {}, key)), h("dd", {}, text)])),
    h("button", { type: "button", onclick: () => dialog.close() }, "Close"));
  return dialog;
}

const recording = document.getElementById("recording");
new Page(recording ? new Exported(JSON.parse(recording.textContent)) : new Server());
