/** The time-sequence graph of one direction: segments, those that travelled again, acknowledgements and the window. */

import { fill, h } from "./dom.mjs";
import { amount, moment, number, size } from "./format.mjs";
import { Picked } from "./picked.mjs";
import { Plot, choices, legend, line } from "./plot.mjs";

export const screen = {
  name: "sequence",
  title: "Sequence",
  keeps: true,
  open: (root, page) => new Picked(root, page, "sequence", (inner, key) => new Sequence(inner, page, key)),
};

class Sequence {
  constructor(root, page, key) {
    this.page = page;
    this.key = key;
    this.side = null;
    this.head = h("div", { class: "bar" });
    this.sum = h("p", { class: "dim" });
    this.plot = new Plot({
      label: "Bytes of the stream against time",
      load: (window) => this.load(window),
      paint: (pen, found) => paint(pen, found),
      highest: (found) => found.highest,
      unit: size,
      pick: (packet) => page.select({ table: "packet", row: packet }),
    });
    this.missing = h("p", { class: "notice", hidden: true });
    this.body = h("div", {}, this.plot.element, legend([
      ["to-right", "bytes as they travelled"], ["error", "travelled again, or a reset"], ["good", "acknowledged"], ["to-left", "window: the receiver takes bytes up to here", "dashed"]]), this.sum);
    fill(root, this.head, this.missing, this.body);
  }

  async load(window) {
    const side = this.side ?? "left";
    return this.page.source.view("sequence", { conversation: this.key, side, ...window });
  }

  async update(route, fresh) {
    const side = route.options.side ?? "";
    if (side !== this.side || fresh || !this.plot.data) {
      if (this.side === null && !side) this.side = await this.busier();
      else this.side = side || this.side || "left";
      if (!fresh) this.plot.window = null;
      await this.plot.load();
    }
    this.draw(this.plot.data);
    return this.plot.data.title;
  }

  /** The direction in which more bytes went. */
  async busier() {
    const found = await Promise.all(["left", "right"].map((side) => this.page.source.view("sequence", { conversation: this.key, side, width: 1 })));
    return (found[1].direction?.sum.bytes ?? 0) > (found[0].direction?.sum.bytes ?? 0) ? "right" : "left";
  }

  draw(found) {
    this.missing.hidden = !found.missing;
    this.missing.textContent = found.missing;
    this.body.hidden = Boolean(found.missing);
    fill(this.head, found.missing ? null : [h("span", { class: "dim" }, "sent by"),
      choices("Who sends", found.senders.map((name, index) => [index ? "right" : "left", name]).filter(([, name]) => name), this.side, (side) => this.page.replace({ ...this.page.route, options: { ...this.page.route.options, side } }))]);
    if (!found.direction) return;
    const { sum } = found.direction;
    this.sum.textContent = [amount(sum.bytes, "byte"), `in ${amount(sum.segments, "segment")}`,
      sum.again ? `${number(sum.again)} sent again` : "none sent again",
      sum.stalls ? `the receiver said ${amount(sum.stalls, "time")} that it had no room` : "",
      found.scaled ? "" : "the window's scale is unknown: its beginning was not recorded"].filter(Boolean).join(" · ");
  }

  close() {
    this.plot.close();
  }
}

function paint({ context, colour, x, y, hit, bottom, left }, found) {
  if (!found.direction) return;
  const { pieces, edges } = found.direction;
  // The window and what is acknowledged are stairs.
  stairs(context, edges.filter((edge) => edge[2] !== null).map((edge) => [x(edge[0]), y(edge[2])]), colour("to-left"), [5, 4]);
  stairs(context, edges.map((edge) => [x(edge[0]), y(edge[1])]), colour("good"), []);
  for (const [first, last, begin, end, segments, again, mark, packet] of pieces) {
    const wrong = again > 0 || mark.includes("R");
    context.strokeStyle = context.fillStyle = colour(wrong ? "error" : "to-right");
    context.lineWidth = wrong ? 3 : 2;
    const [x1, x2, y1, y2] = [x(first), x(last), y(begin), y(end)];
    if (segments > 1 && x2 - x1 > 1) {
      line(context, x1, y1, x2, y2);
    } else {
      line(context, x1, y1, x1, Math.min(y2, y1 - 2));
    }
    if (mark) {
      context.font = "bold 12px system-ui, sans-serif";
      context.textAlign = "center";
      context.textBaseline = "bottom";
      context.fillText({ S: "SYN", F: "FIN", R: "RST" }[mark[mark.length - 1]], Math.max(x1, left + 15), Math.min(y2 - 3, bottom - 2));
    }
    const words = segments === 1 ? `bytes ${number(begin)} to ${number(end)}` : `${amount(segments, "segment")}, bytes ${number(begin)} to ${number(end)}`;
    hit(x1, (y1 + y2) / 2, `${moment(first)} ms: ${words}${again ? `, ${again === 1 && segments === 1 ? "" : `${again} `}sent again` : ""}${mark ? ` (${mark.split("").map((one) => ({ S: "SYN", F: "FIN", R: "RST" })[one]).join(", ")})` : ""}`, packet);
  }
  for (const [at, acknowledged, window, packet] of edges) {
    const room = window === null ? "" : `, room for ${size(window - acknowledged)}`;
    hit(x(at), y(acknowledged), `${moment(at)} ms: acknowledged up to ${number(acknowledged)}${room}`, packet);
  }
}

function stairs(context, points, stroke, dashes) {
  if (!points.length) return;
  context.strokeStyle = stroke;
  context.lineWidth = 1.5;
  context.setLineDash(dashes);
  context.beginPath();
  context.moveTo(...points[0]);
  let height = points[0][1];
  for (const [px, py] of points.slice(1)) {
    context.lineTo(px, height);
    context.lineTo(px, py);
    height = py;
  }
  context.stroke();
  context.setLineDash([]);
}
