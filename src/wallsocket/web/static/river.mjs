/** The byte river: bytes of a stream from bottom to top, time from left to right; each colour is a place where they stood. */

import { fill, h } from "./dom.mjs";
import { duration, moment, number, size } from "./format.mjs";
import { Picked } from "./picked.mjs";
import { Plot, choices, legend } from "./plot.mjs";

export const screen = {
  name: "river",
  title: "River",
  keeps: true,
  open: (root, page) => new Picked(root, page, "river", (inner, key) => new River(inner, page, key)),
};

/** Places, with the colour of each and the positions of the times between which bytes stand there. */
const PLACES = [
  ["send buffer", "warning", 2, 3],
  ["flight", "to-right", 3, 4],
  ["receive buffer", "to-left", 4, 5],
  ["program", "good", 5, 6],
];

class River {
  constructor(root, page, key) {
    this.page = page;
    this.key = key;
    this.side = null;
    this.head = h("div", { class: "bar" });
    this.missing = h("p", { class: "notice", hidden: true });
    this.plot = new Plot({
      label: "Where the bytes of the stream stood over time",
      load: (window) => this.page.source.view("river", { conversation: this.key, side: this.side ?? "left", ...window }),
      paint: (pen, found) => paint(pen, found),
      highest: (found) => found.highest,
      unit: size,
      pick: (selected) => page.select(selected),
    });
    this.table = h("div", { class: "table-frame", tabindex: "0", role: "region", "aria-label": "Where bytes stood" });
    this.body = h("div", {}, this.plot.element,
      legend([...PLACES.map(([name, colour]) => [colour, name]), ["dim", "on the way: the wire was not recorded"], ["error", "no receive known"]]), this.table);
    fill(root, this.head, this.missing, this.body);
  }

  async update(route, fresh) {
    const side = route.options.side || this.side || "left";
    if (side !== this.side || fresh || !this.plot.data) {
      if (side !== this.side) this.plot.window = null;
      this.side = side;
      await this.plot.load();
    }
    this.draw(this.plot.data);
    return this.plot.data.title;
  }

  draw(found) {
    this.missing.hidden = !found.missing;
    this.missing.textContent = found.missing;
    this.body.hidden = Boolean(found.missing);
    fill(this.head, h("span", { class: "dim" }, "sent by"),
      choices("Who sends", found.senders.map((name, index) => [index ? "right" : "left", name]).filter(([, name]) => name), this.side, (side) => this.page.replace({ ...this.page.route, options: { ...this.page.route.options, side } })));
    fill(this.table, h("table", {},
      h("thead", {}, h("tr", {}, ["Place", "A byte stood there", "Longest", "Known of"].map((text) => h("th", { scope: "col" }, text)))),
      h("tbody", {}, found.stages.map((stage) => this.stage(stage)))),
      found.lost ? h("p", { class: "queues" }, `For ${number(found.lost)} bytes no receive is known.`) : null);
  }

  stage(stage) {
    const [table, row] = stage.row.split(":");
    const longest = duration(stage.longest_ns);
    return h("tr", {},
      h("th", { scope: "row" }, stage.name),
      h("td", { class: "number" }, `${duration(stage.mean_ns)} on average`),
      h("td", { class: "number" }, row ? h("button", { type: "button", class: "link", onclick: () => this.page.select({ table, row: Number(row) }) }, longest) : longest),
      h("td", { class: "number" }, size(stage.bytes)));
  }

  close() {
    this.plot.close();
  }
}

function paint({ context, colour, x, y, hit, right }, found) {
  for (const stretch of found.stretches) {
    const [begin, end, sent, travelled, arrived, received, , again, doubt, sentCall, packet, receivedCall, ways] = stretch;
    const top = y(end);
    const height = Math.max(1, y(begin) - top - (y(begin) - top > 4 ? 1 : 0));
    const said = [];
    const bar = (from, to, name, words) => {
      context.globalAlpha = doubt ? 0.55 : 0.9;
      context.fillStyle = colour(name);
      context.fillRect(x(from), top, Math.max(1, x(to) - x(from)), height);
      said.push(`${words} ${duration(Math.max(0, to - from))}`);
    };
    for (const [name, shade, from, to] of PLACES) {
      if (stretch[from] === null || stretch[to] === null) continue;
      if (name === "receive buffer" && travelled === null) continue;
      bar(stretch[from], stretch[to], shade, name);
    }
    if (travelled === null && sent !== null && received !== null) bar(sent, received, "dim", "on the way");
    const since = arrived ?? travelled ?? sent;
    if (received === null && since !== null) {
      // It was not read, or not seen to be: to the end of the picture.
      context.globalAlpha = 0.25;
      context.fillStyle = colour("error");
      context.fillRect(x(since), top, right - x(since), height);
      said.push(arrived === null ? "no receive known" : "arrived, no receive known");
    }
    context.globalAlpha = 1;
    const words = `bytes ${number(begin)} to ${number(end)}${ways > 1 ? ` (the slowest of ${ways} pieces)` : ""}: ${said.join(", ")}${again ? ", sent again" : ""}${doubt ? ` [${doubt}]` : ""}`;
    const middle = top + height / 2;
    if (sent !== null) hit(x(sent), middle, `${moment(sent)} ms: ${words}`, { table: "call", row: sentCall });
    if (travelled !== null) hit(x(travelled), middle, `${moment(travelled)} ms: ${words}`, { table: "packet", row: packet });
    if (received !== null) hit(x(received), middle, `${moment(received)} ms: ${words}`, { table: "call", row: receivedCall });
  }
}
