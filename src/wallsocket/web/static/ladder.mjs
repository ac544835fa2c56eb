/**
 * The ladder of one conversation: two programs and their two sockets are the four rails; calls stand outside with their
 * lines of code, states between a program and its socket's wire, segments in the middle.
 */

import { Chunks } from "./chunks.mjs";
import { badge, fill, h } from "./dom.mjs";
import { amount, duration, moment, number, size } from "./format.mjs";
import { List } from "./list.mjs";
import { Picker } from "./picked.mjs";
import { format, selection } from "./route.mjs";

export const screen = {
  name: "ladder",
  title: "Ladder",
  keeps: true,
  open: (root, page) => new Screen(root, page),
};

const NARROW = matchMedia("(max-width: 52rem)");
const KINDS = [["", "everything"], ["call", "calls"], ["segment", "segments"], ["state", "states"], ["failed", "failures"]];

class Screen {
  constructor(root, page) {
    this.root = root;
    this.page = page;
    this.inner = null;
    this.argument = null;
  }

  async update(route, fresh) {
    if (route.argument !== this.argument) {
      this.inner?.close();
      this.argument = route.argument;
      this.inner = route.argument ? new Ladder(this.root, this.page, route.argument) : new Picker(this.root, this.page, "ladder");
    }
    await this.inner.update(route, fresh);
  }

  close() {
    this.inner?.close();
  }
}

export class Ladder {
  /** @param {{inside?: boolean}} [how] `inside`: it is a part of a screen, whose heading stands above it */
  constructor(root, page, key, { inside = false } = {}) {
    this.page = page;
    this.key = key;
    this.found = null;
    this.drawn = "";
    this.title = h("h1", {});
    this.notes = h("div", { class: "notes" });
    this.head = h("div", { class: "rung rails", "aria-hidden": "true" });
    this.ends = h("dl", { class: "ends" });
    this.search = h("input", { type: "search", placeholder: "Search", "aria-label": "Search in this ladder", value: page.route.options.search });
    this.search.addEventListener("input", () => this.change({ search: this.search.value }));
    this.kinds = h("select", { "aria-label": "Show only", onchange: () => this.change({ only: this.kinds.value }) },
      KINDS.map(([value, text]) => h("option", { value }, text)));
    this.out = h("button", { type: "button", "aria-label": "Zoom out", onclick: () => this.zoom(1) }, "−");
    this.into = h("button", { type: "button", "aria-label": "Zoom in", onclick: () => this.zoom(-1) }, "+");
    this.count = h("span", { class: "dim", role: "status" });
    this.list = new List({
      label: "Ladder: calls, segments and states in order of time",
      rowHeight: () => (NARROW.matches ? 68 : 46),
      draw: (row, index) => this.draw(row, index),
      activate: (index, event) => this.activate(index, event),
      move: () => {},
    });
    this.list.element.classList.add("ladder");
    this.list.element.addEventListener("keydown", (event) => {
      if (event.key === "+" || event.key === "=") this.zoom(-1);
      else if (event.key === "-") this.zoom(1);
    });
    fill(
      root,
      inside ? null : h("div", { class: "bar" }, h("a", { class: "back", href: format({ screen: "ladder" }) }, "All conversations"), this.title),
      h("div", { class: "bar tools" }, this.search, this.kinds, h("span", { class: "choices", role: "group", "aria-label": "Zoom" }, this.out, this.into), this.count),
      this.notes,
      this.ends,
      this.head,
      this.list.element,
    );
    root.classList.add("filled");
    this.root = root;
  }

  close() {
    this.list.close();
    this.root.classList.remove("filled");
  }

  asked(route) {
    const { search = "", only = "", level = "0" } = route.options;
    return { conversation: this.key, search, only, level };
  }

  async update(route, fresh = false) {
    const asked = this.asked(route);
    const name = JSON.stringify(asked);
    const selected = selection(route);
    if (name !== this.drawn || fresh || !this.found) {
      const follows = this.found?.total > 0 && this.list.atEnd() && this.page.status?.growing;
      const other = name !== this.drawn;
      this.drawn = name;
      const found = await this.page.source.view("ladder", { ...asked, first: 0, count: 100 });
      if (this.drawn !== name) return;
      this.found = found;
      this.chunks = new Chunks(
        async (first, count) => (await this.page.source.view("ladder", { ...asked, first, count })).rungs,
        () => this.list.schedule(),
      );
      this.chunks.put(0, found.rungs);
      this.drawHead(route);
      this.list.setTotal(found.total);
      if (follows) this.list.reveal(found.total - 1);
      else if (other && this.goal !== undefined) this.list.reveal(this.goal, true);
      this.goal = undefined;
    }
    const wanted = selected ? `${selected.table}:${selected.row}` : "";
    if (wanted !== this.selected) {
      this.selected = wanted;
      this.picked = selected;
      if (selected && !this.chosen) await this.find(selected, asked);
      this.chosen = false;
    }
    this.list.schedule();
  }

  /** Scroll to a row that was selected elsewhere. */
  async find(selected, asked) {
    const place = await this.page.source.view("locate", { ...selected, conversation: this.key, search: asked.search, only: asked.only });
    if (place.index === null || place.conversation !== this.found.key) return;
    this.list.reveal(Math.floor(place.index / 4 ** this.found.level), true);
  }

  drawHead(route) {
    const found = this.found;
    this.title.textContent = found.title;
    this.kinds.value = route.options.only ?? "";
    if (document.activeElement !== this.search) this.search.value = route.options.search ?? "";
    const fits = found.level || found.total === found.whole ? "" : ` of ${number(found.whole)}`;
    this.count.textContent = found.level
      ? `${number(found.total)} groups of ${number(4 ** found.level)} lines`
      : `${number(found.total)}${fits} ${found.total === 1 && !fits ? "line" : "lines"}`;
    this.out.disabled = found.level >= found.levels - 1;
    this.into.disabled = found.level === 0;
    fill(
      this.notes,
      found.inferred ? h("p", { class: "notice" }, "[That these two talk is inferred.]") : null,
      found.wire_missing ? h("p", { class: "notice" }, `wire: not recorded (${found.wire_missing})`) : null,
    );
    const right = found.right;
    fill(this.ends, [found.left, right].filter(Boolean).map((end) => [
      h("dt", {}, end.title, h("span", { class: "dim" }, end.address ? ` ${end.address}` : "")),
      h("dd", {}, end.verdict || "no socket of it was recorded"),
    ]));
    fill(
      this.head,
      h("span", { class: "time" }, "ms"),
      h("span", { class: "end left" }, found.left.title),
      h("span", { class: "kernel" }, "socket"),
      h("span", { class: "wire" }, found.wire ? "wire" : found.wire_missing ? "wire not recorded" : ""),
      h("span", { class: "kernel" }, right?.socket ? "socket" : ""),
      h("span", { class: "end right" }, right ? right.title : ""),
    );
  }

  change(options) {
    this.page.replace({ ...this.page.route, options: { ...this.page.route.options, level: "", ...options } });
  }

  zoom(step) {
    if (!this.found) return;
    const level = Math.max(0, Math.min(this.found.levels - 1, this.found.level + step));
    if (level === this.found.level) return;
    this.goal = Math.floor((this.list.active * 4 ** this.found.level) / 4 ** level);
    this.page.replace({ ...this.page.route, options: { ...this.page.route.options, level: level ? String(level) : "" } });
  }

  activate(index, event) {
    const rung = this.chunks?.at(index);
    if (!rung) return;
    if (rung.group) {
      this.list.active = index;
      this.zoom(-1);
      return;
    }
    const { calls, packets, states } = rung.line;
    const onWire = event.target.closest?.(".arrow") && packets.length;
    const [table, row] = onWire || !calls.length ? (packets.length ? ["packet", packets[0]] : ["state", states[0]]) : ["call", calls[0]];
    if (row === undefined) return;
    this.chosen = true;
    this.page.select({ table, row });
  }

  draw(row, index) {
    const rung = this.chunks?.at(index);
    if (!rung) {
      row.className = "row rung";
      row.setAttribute("aria-selected", "false");
      row.setAttribute("aria-label", "not there yet");
      fill(row, h("span", { class: "time" }, "…"));
      row.drawn = null;
      return;
    }
    const picked = Boolean(rung.line && this.picked && isPicked(rung.line, this.picked));
    if (row.drawn === rung && row.narrow === NARROW.matches && row.picked === picked) return;
    row.picked = picked;
    row.className = `row rung ${rung.group ? "group" : rung.line.kind}`;
    row.setAttribute("aria-selected", String(picked));
    row.drawn = rung;
    row.narrow = NARROW.matches;
    if (rung.group) drawGroup(row, rung.group);
    else drawLine(row, rung, this.found);
  }
}

function isPicked(line, { table, row }) {
  return { call: line.calls, packet: line.packets, state: line.states }[table].includes(row);
}

function drawLine(row, rung, found) {
  const line = rung.line;
  row.setAttribute("aria-label", spoken(rung, found));
  if (line.note) {
    const meanwhile = rung.meanwhile ? `, ${amount(rung.meanwhile, "call")} of others meanwhile` : "";
    fill(row, h("span", { class: "time" }), h("span", { class: "note" }, line.note, meanwhile));
    return;
  }
  fill(
    row,
    h("span", { class: "time" }, moment(line.at_ns)),
    end(line, "left", found),
    kernel(line, "left", rung.direction),
    h("span", { class: "wire" }, line.arrow ? arrow(line) : null),
    kernel(line, "right", rung.direction),
    end(line, "right", found),
  );
}

const OUTSIDE = new Set(["source", "call", "failed", "time", "waiting", "end"]);

function end(line, side) {
  const parts = line[side].filter((part) => OUTSIDE.has(part.kind));
  // How long a call takes, or waits, must not be cut off behind its arguments.
  const below = (part) => part.kind === "source" || part.kind === "time" || part.kind === "waiting";
  const said = parts.filter((part) => !below(part));
  const under = parts.filter(below);
  const times = line.times > 1 && parts.length ? ` ×${line.times}` : "";
  return h(
    "span",
    { class: `end ${side}`, title: parts.map((part) => part.text).join("  ") || undefined },
    h("span", { class: "said" }, said.map((part) => h("span", { class: part.kind }, written(part))), times ? h("b", {}, times) : null),
    h("span", { class: "under" }, under.map((part) => h("span", { class: part.kind }, written(part)))),
  );
}

function kernel(line, side, direction) {
  const parts = line[side].filter((part) => !OUTSIDE.has(part.kind));
  const calls = line[side].some((part) => part.kind === "call" || part.kind === "failed" || part.kind === "waiting");
  return h(
    "span",
    { class: `kernel ${side}${calls ? ` called ${direction ?? "in"}` : ""}` },
    parts.map((part) => h("span", { class: `inside ${part.kind}`, title: part.text }, written(part))),
  );
}

function arrow(line) {
  const { again, stalled, failure, lost } = line.arrow;
  const meaning = failure || lost ? " error" : again || stalled ? " warning" : "";
  return h("span", { class: `arrow from-${line.side}${meaning}${lost ? " lost" : ""}`, title: travelled(line) }, h("span", { class: "label" }, line.arrow.text));
}

/** What travelled, and when it was there, where both ends were captured. */
function travelled(line) {
  const { text, arrived_ns, segments } = line.arrow;
  return arrived_ns !== null && segments === 1 ? `${text}, there at ${moment(arrived_ns)} ms` : text;
}

function written(part) {
  return part.inferred ? `[${part.text}]` : part.text;
}

function spoken(rung, found) {
  const line = rung.line;
  if (line.note) return `pause: ${line.note.replace("⋮", "").trim()}${rung.meanwhile ? `, ${amount(rung.meanwhile, "call")} of others meanwhile` : ""}`;
  const said = [`at ${moment(line.at_ns)} ms`];
  for (const side of ["left", "right"]) {
    if (line[side].length) said.push(`${found[side]?.title ?? side}: ${line[side].map(written).join(", ")}${line.times > 1 ? `, ${line.times} times` : ""}`);
  }
  if (line.arrow) said.push(`${line.side === "left" ? "to the right" : "to the left"}: ${travelled(line)}`);
  return said.join("; ");
}

function drawGroup(row, group) {
  const counted = (calls, failed) => `${amount(calls, "call")}${failed ? `, ${failed} failed or waiting` : ""}`;
  const made = (calls, failed) => (calls || failed ? h("span", { class: "said" }, h("span", { class: failed ? "failed" : "call" }, counted(calls, failed))) : null);
  const idle = group.idle_ns ? `, idle ${duration(group.idle_ns)}` : "";
  const span = duration(group.until_ns - group.at_ns);
  row.setAttribute(
    "aria-label",
    `from ${moment(group.at_ns)} ms for ${span}: ${amount(group.lines, "line")}, ${counted(group.calls, group.failed)}, ${amount(group.segments, "segment")}${idle}; Enter shows them`,
  );
  fill(
    row,
    h("span", { class: "time" }, moment(group.at_ns)),
    h("span", { class: "end left" }, made(group.calls - group.calls_right, group.failed - group.failed_right), h("span", { class: "under" }, `${amount(group.lines, "line")} in ${span}${idle}`)),
    h("span", { class: "kernel left" }, group.states[0] ? h("span", { class: "inside state" }, group.states[0]) : null),
    h("span", { class: "wire" },
      h("span", { class: "sums" }, `${amount(group.segments, "segment")}${group.again ? `, ${group.again} again` : ""}`),
      h("span", { class: "sums" }, `${size(group.to_right)} →  ← ${size(group.to_left)}`)),
    h("span", { class: "kernel right" }, group.states[1] ? h("span", { class: "inside state" }, group.states[1]) : null),
    h("span", { class: "end right" }, made(group.calls_right, group.failed_right), group.failures ? badge(amount(group.failures, "failure"), "error") : null),
  );
}
