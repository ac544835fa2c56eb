/** Charts of one socket: queues, windows, segments in flight, round trips, as the kernel reported them. */

import { fill, h } from "./dom.mjs";
import { amount, duration, moment, number, size } from "./format.mjs";
import { Picked } from "./picked.mjs";
import { Plot, choices, legend } from "./plot.mjs";

export const screen = {
  name: "gauges",
  title: "Charts",
  keeps: true,
  open: (root, page) => new Picked(root, page, "gauges", (inner, key) => new Gauges(inner, page, key)),
};

const UNITS = {
  byte: size,
  "µs": (value) => duration(value * 1000),
  segment: (value) => number(Math.round(value)),
  connection: (value) => number(Math.round(value)),
  datagram: (value) => number(Math.round(value)),
};

class Gauges {
  constructor(root, page, key) {
    this.page = page;
    this.key = key;
    this.side = null;
    this.plots = new Map();
    this.head = h("div", { class: "bar" });
    this.missing = h("p", { class: "notice", hidden: true });
    this.body = h("div", { class: "charts" });
    fill(root, this.head, this.missing, this.body);
  }

  async update(route, fresh) {
    const side = route.options.side || this.side || "left";
    if (side !== this.side || fresh || !this.found) {
      if (side !== this.side) this.clear();
      this.side = side;
      const width = Math.max(100, this.body.clientWidth || 800);
      this.found = await this.page.source.view("gauges", { conversation: this.key, side, width });
      await this.draw(this.found);
    }
    return this.found.title;
  }

  async draw(found) {
    this.missing.hidden = !found.missing;
    this.missing.textContent = found.missing;
    const names = [["left", found.sockets[0]], ["right", found.sockets[1]]].filter(([, name]) => name);
    fill(this.head,
      choices("Which socket", names, this.side, (side) => this.page.replace({ ...this.page.route, options: { ...this.page.route.options, side } })),
      h("span", { class: "dim" }, `looked at ${amount(found.looks, "time")}`));
    for (const chart of found.charts) {
      if (!this.plots.has(chart.title)) this.add(chart);
      await this.plots.get(chart.title).load();
    }
  }

  add(chart) {
    const own = (found) => found.charts.find((one) => one.title === chart.title) ?? { lines: [], highest: 1 };
    const unit = UNITS[chart.unit] ?? number;
    const plot = new Plot({
      label: chart.title,
      height: 190,
      load: (window) => this.page.source.view("gauges", { conversation: this.key, side: this.side, ...window }),
      paint: (pen, found) => paint(pen, own(found), unit),
      highest: (found) => own(found).highest * 1.08,
      unit,
      pick: (row) => this.page.select({ table: "state", row }),
    });
    this.plots.set(chart.title, plot);
    this.body.append(h("section", {},
      h("h2", {}, chart.title),
      legend(chart.lines.map((line) => [line.colour, `${line.name}: at most ${unit(line.most)}, in the end ${unit(line.last)}`])),
      plot.element));
  }

  clear() {
    for (const plot of this.plots.values()) plot.close();
    this.plots.clear();
    fill(this.body);
  }

  close() {
    this.clear();
  }
}

function paint({ context, colour, x, y, hit }, chart, unit) {
  for (const line of chart.lines) {
    context.strokeStyle = context.fillStyle = colour(line.colour);
    context.lineWidth = 1.8;
    context.beginPath();
    let height = null;
    for (const [at, low, high, row] of line.points) {
      // A value holds until it is looked at again.
      if (height === null) context.moveTo(x(at), y(low));
      else context.lineTo(x(at), height);
      context.lineTo(x(at), y(low));
      context.lineTo(x(at), y(high));
      height = y(high);
      hit(x(at), height, `${moment(at)} ms: ${line.name}: ${low === high ? unit(high) : `${unit(low)} to ${unit(high)}`}`, row);
    }
    context.stroke();
    if (line.points.length < 200) {
      for (const [at, , high] of line.points) {
        context.beginPath();
        context.arc(x(at), y(high), 2.2, 0, 7);
        context.fill();
      }
    }
  }
}
