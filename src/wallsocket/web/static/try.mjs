/** Two hosts, a link and a service: what the knobs do is seen in the ladder as it happens. */

import { fill, h, svg } from "./dom.mjs";
import { number } from "./format.mjs";
import { Picture } from "./picture.mjs";
import { code } from "./prose.mjs";

export const screen = {
  name: "try",
  title: "Try it",
  when: (status) => Boolean(status?.learns),
  open: (root, page) => new Try(root, page),
};

/** How often it is looked at what the link did. */
const LOOK_MS = 1000;
/** A knob that is being turned is not told at each step. */
const REST_MS = 150;
const NARROW = matchMedia("(max-width: 52rem)");
const PLACES = [["link", "Link"], ["client", "Client"], ["server", "Server"]];

class Try {
  constructor(root, page) {
    this.root = root;
    this.page = page;
    this.settings = {};
    this.pending = {};
  }

  async update(route, fresh) {
    if (!this.services) await this.begin();
    if (this.state && this.page.status?.generation) await this.picture.update(route, fresh);
  }

  async begin() {
    const { services, state } = await this.page.source.learn("stage");
    if (this.services || !this.root.isConnected) return;
    this.services = services;
    this.pick = h("select", { id: "service", onchange: () => this.choose(this.pick.value, {}) }, services.map(({ name, title }) => h("option", { value: name }, title)));
    this.what = h("p", { class: "dim" });
    const name = (id, value) => h("input", { id, value, maxlength: "20", autocomplete: "off", spellcheck: "false" });
    this.names = { client: name("client-name", state?.hosts[0].name ?? "client"), server: name("server-name", state?.hosts[1].name ?? "server") };
    this.go = h("button", { type: "button", class: "primary", onclick: () => this.start() }, "Start");
    this.end = h("button", { type: "button", onclick: () => this.order("stop") }, "Stop");
    this.scissors = h("button", { type: "button", "aria-pressed": "false", class: "choice", onclick: () => this.order("set", { cut: !this.state?.cut }) }, "Cut the link");
    this.said = h("p", { role: "status" });
    this.map = h("div", { class: "stage-map" });
    this.knobs = h("div", { class: "knobs" });
    this.programs = h("details", { class: "programs" });
    const picture = h("div", { class: "picture" });
    this.frame = h("section", { class: "stage-picture", "aria-label": "What happens" }, h("h2", {}, "What happens"), picture);
    this.picture = new Picture(picture, this.page, { follows: true });
    fill(this.root,
      h("h1", {}, "Try it"),
      h("div", { class: "stage" },
        h("section", { class: "stage-set", "aria-label": "Hosts, link and service" },
          h("label", { for: "service" }, "Service ", this.pick), this.what,
          h("div", { class: "names" }, h("label", { for: "client-name" }, "Client's host ", this.names.client), h("label", { for: "server-name" }, "Server's host ", this.names.server)),
          h("div", { class: "bar" }, this.go, this.end, this.scissors),
          this.said, this.map, this.knobs, this.programs),
        this.frame));
    this.choose(state?.service ?? services[0].name, state?.settings ?? {});
    this.show(state);
    this.timer = setInterval(() => this.look(), LOOK_MS);
  }

  close() {
    clearInterval(this.timer);
    clearTimeout(this.resting);
    this.picture?.close();
  }

  choose(name, settings) {
    this.pick.value = name;
    this.service = this.services.find((one) => one.name === name);
    this.settings = Object.fromEntries(this.service.knobs.map((knob) => [knob.name, settings[knob.name] ?? this.settings[knob.name] ?? knob.normal]));
    for (const knob of this.service.knobs) this.settings[knob.name] = Math.min(knob.most, Math.max(knob.least, this.settings[knob.name]));
    this.what.textContent = this.service.what;
    fill(this.knobs, PLACES.map(([of, title]) => h("details", { open: of === "link" || !NARROW.matches }, h("summary", {}, title), this.service.knobs.filter((knob) => knob.of === of).map((knob) => this.knob(knob)))));
    this.draw();
  }

  knob(knob) {
    const words = (value) => `${number(value)}${knob.unit ? ` ${knob.unit}` : ""}`;
    const said = h("output", { for: `knob-${knob.name}` }, words(this.settings[knob.name]));
    const slider = h("input", {
      type: "range", id: `knob-${knob.name}`, min: knob.least, max: knob.most, step: knob.step, value: this.settings[knob.name],
      "aria-describedby": `what-${knob.name}`, "aria-valuetext": words(this.settings[knob.name]),
    });
    slider.addEventListener("input", () => {
      this.settings[knob.name] = Number(slider.value);
      said.textContent = words(this.settings[knob.name]);
      slider.setAttribute("aria-valuetext", said.textContent);
      this.turn(knob.name);
    });
    return h("div", { class: "knob" },
      h("label", { for: slider.id }, knob.label), said, slider, h("small", { id: `what-${knob.name}`, class: "dim" }, knob.what));
  }

  turn(name) {
    this.draw();
    if (!this.running()) return;
    this.pending[name] = this.settings[name];
    clearTimeout(this.resting);
    this.resting = setTimeout(() => {
      const settings = this.pending;
      this.pending = {};
      this.order("set", { settings });
    }, REST_MS);
  }

  running() {
    return Boolean(this.state?.running && this.state.service === this.service.name);
  }

  start() {
    return this.order("start", { service: this.service.name, client: this.names.client.value, server: this.names.server.value, settings: this.settings });
  }

  /** One order after the other. */
  order(name, order = {}) {
    this.last = (this.last ?? Promise.resolve()).then(() => this.give(name, order));
    return this.last;
  }

  async give(name, order) {
    if (name === "start") [this.go.disabled, this.said.textContent] = [true, "It starts …"];
    try {
      this.show((await this.page.source.order(name, order)).state);
      this.page.complain("");
    } catch (problem) {
      this.show(this.state);
      this.page.complain(problem.message);
    }
  }

  async look() {
    if (!this.state?.running || document.hidden) return;
    try {
      this.show((await this.page.source.learn("stage")).state);
    } catch (problem) {
      clearInterval(this.timer);
      this.page.complain(problem.message);
    }
  }

  show(state) {
    this.state = state;
    const runs = Boolean(state?.running);
    this.go.disabled = false;
    this.go.textContent = runs ? "Start anew" : "Start";
    this.end.disabled = this.scissors.disabled = !runs;
    this.scissors.setAttribute("aria-pressed", String(Boolean(state?.cut)));
    this.said.textContent = runs ? `It runs; it ends in ${state.left_s} s.` : (state?.ended ?? "");
    this.frame.hidden = !state;
    this.draw();
    const programs = state?.hosts.map((host, at) => code({ code: host.program, name: `${state.service}_${at ? "server" : "client"}.py`, numbered: true })) ?? [];
    if (programs.length && this.of !== state.service) {
      this.of = state.service;
      fill(this.programs, h("summary", {}, "The two programs"), programs);
    }
    this.programs.hidden = !programs.length;
  }

  draw() {
    if (this.map) fill(this.map, map(this.state, this.settings, [this.names.client.value, this.names.server.value]));
  }
}

function map(state, settings, names) {
  const hosts = state?.hosts.map(({ name, address }) => [name, address]) ?? names.map((name) => [name, ""]);
  const ways = state?.ways ?? [];
  const link = [`${settings.delay} ms`, settings.loss ? `loses ${settings.loss} %` : "", settings.rate ? `${number(settings.rate)} kbit/s` : ""].filter(Boolean).join(", ");
  const said = `${hosts[0].join(" ")} and ${hosts[1].join(" ")}, linked${state?.cut ? ", cut" : ""}: ${link}`;
  const box = (x, [name, address]) => svg("g", { class: "place" },
    svg("rect", { x, y: 20, width: 96, height: 48, rx: 9 }),
    svg("text", { x: x + 48, y: address ? 40 : 48, class: "name", "text-anchor": "middle" }, name.length > 11 ? `${name.slice(0, 10)}…` : name),
    svg("text", { x: x + 48, y: 58, "text-anchor": "middle" }, address));
  const counts = (way, y) => way && svg("text", { x: 180, y, "text-anchor": "middle", class: way.lost ? "red" : "" }, `${way.toward === hosts[1][0] ? "→" : "←"} ${number(way.received)}${way.lost ? `, ${number(way.lost)} lost` : ""}`);
  return svg("svg", { class: "map", viewBox: "0 0 360 92", role: "img", "aria-label": said },
    svg("path", { class: `way${state?.cut ? " wrong" : ""}`, d: "M100 44H260" }),
    svg("text", { x: 180, y: 36, "text-anchor": "middle" }, link),
    counts(ways[0], 62), counts(ways[1], 80),
    box(4, hosts[0]), box(260, hosts[1]));
}
