/**
 * A graph over time on a canvas: axes, zooming, moving about, and what stands under the pointer. What is drawn is up to the
 * screen; it is asked for a window of time at the width of the canvas, so that never more than a pixel's worth comes.
 */

import { h, fill } from "./dom.mjs";
import { moment, tick } from "./format.mjs";
import { Hits, linear, moved, ticks, zoomed } from "./scale.mjs";

const LEFT = 62;
const RIGHT = 12;
const TOP = 10;
const BOTTOM = 26;

export class Plot {
  /**
   * @param {{label: string, load: (window: {since_ns: number, until_ns: number, width: number}) => Promise<any>,
   *   paint: (pen: any, data: any) => void, highest: (data: any) => number, lowest?: (data: any) => number,
   *   unit: (value: number) => string, pick?: (item: any) => void, height?: number}} how
   *   `load` gives data with `start_ns` and `end_ns` (all there is); `paint` draws it with a pen: `x`, `y`, `context`,
   *   `colour(name)`, `hit(x, y, text, item)`
   */
  constructor(how) {
    this.how = how;
    this.window = null;
    this.data = null;
    this.hits = new Hits();
    this.at = -1;
    this.canvas = h("canvas", { "aria-hidden": "true" });
    this.said = h("p", { class: "plot-said dim", role: "status" });
    this.frame = h("div", { class: "plot", tabindex: "0", role: "group", "aria-label": `${how.label}. Keys: plus, minus, arrows; N and P lead from point to point, Enter picks.` }, this.canvas);
    if (how.height) this.frame.style.height = `${how.height}px`;
    const button = (text, label, act) => h("button", { type: "button", "aria-label": label, onclick: act }, text);
    this.tools = h("span", { class: "choices", role: "group", "aria-label": "Zoom" },
      button("−", "Zoom out", () => this.zoom(2)), button("+", "Zoom in", () => this.zoom(0.5)), button("All", "Show all of the time", () => this.all()));
    this.element = h("div", { class: "plot-whole" }, h("div", { class: "bar" }, this.tools, this.said), this.frame);
    this.frame.addEventListener("keydown", (event) => this.key(event));
    this.frame.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    this.frame.addEventListener("pointerdown", (event) => this.down(event));
    this.frame.addEventListener("pointermove", (event) => this.move(event));
    this.frame.addEventListener("pointerup", (event) => this.up(event));
    this.frame.addEventListener("pointerleave", () => this.say(""));
    this.frame.addEventListener("focus", () => this.draw());
    this.observer = new ResizeObserver(() => this.data && this.again());
    this.observer.observe(this.frame);
    this.scheme = matchMedia("(prefers-color-scheme: dark)");
    this.repaint = () => this.draw();
    this.scheme.addEventListener("change", this.repaint);
  }

  close() {
    this.observer.disconnect();
    this.scheme.removeEventListener("change", this.repaint);
    if (this.waits) cancelAnimationFrame(this.waits);
  }

  /** Ask for what is to be seen now. @returns {Promise<any>} the data, of the last of several that ask at once */
  load() {
    this.latest = this.ask();
    return this.latest;
  }

  async ask() {
    const width = Math.max(100, Math.floor(this.frame.clientWidth - LEFT - RIGHT));
    const [since, until] = this.window ?? [0, 0];
    const number = (this.asked = (this.asked ?? 0) + 1);
    const data = await this.how.load({ since_ns: Math.floor(since), until_ns: Math.ceil(until), width });
    if (number !== this.asked) return this.latest;
    this.data = data;
    this.draw();
    return data;
  }

  /** The same, of its own accord: what goes wrong then is told when the screen asks next. */
  again() {
    this.load().catch(() => {});
  }

  get whole() {
    return [this.data.start_ns, Math.max(this.data.end_ns, this.data.start_ns + 1)];
  }

  get shown() {
    return this.window ?? this.whole;
  }

  all() {
    this.window = null;
    this.again();
  }

  zoom(factor, around) {
    if (!this.data) return;
    const [from, to] = this.shown;
    this.show(zoomed([from, to], this.whole, factor, around ?? (from + to) / 2));
  }

  /** Show another window: at once with what is there, then with what is asked for. */
  show(window) {
    const [first, last] = this.whole;
    this.window = window[0] <= first && window[1] >= last ? null : window;
    this.draw();
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.again(), 60);
  }

  draw() {
    this.waits ??= requestAnimationFrame(() => {
      this.waits = undefined;
      this.paint();
    });
  }

  paint() {
    const { clientWidth: width, clientHeight: height } = this.frame;
    const ratio = devicePixelRatio || 1;
    this.canvas.width = width * ratio;
    this.canvas.height = height * ratio;
    this.canvas.style.width = `${width}px`;
    this.canvas.style.height = `${height}px`;
    const context = this.canvas.getContext("2d");
    context.scale(ratio, ratio);
    this.hits = new Hits();
    if (!this.data || width < LEFT + RIGHT + 20) return;
    const styles = getComputedStyle(document.documentElement);
    const colour = (name) => styles.getPropertyValue(`--${name}`).trim();
    let [since, until] = this.shown;
    if (!this.window) {
      // Room for what stands at the very beginning and end.
      const edge = (until - since) * 0.02;
      [since, until] = [since - edge, until + edge];
    }
    const top = Math.max(1, this.how.highest(this.data));
    this.x = linear([since, until], [LEFT, width - RIGHT]);
    this.y = linear([this.how.lowest?.(this.data) ?? 0, top], [height - BOTTOM, TOP]);
    axes(context, this.x, this.y, { since, until, top, width, height, colour, unit: this.how.unit });
    context.save();
    context.beginPath();
    context.rect(LEFT, 0, width - LEFT - RIGHT + 1, height - BOTTOM + 1);
    context.clip();
    this.how.paint({
      context, colour, x: this.x, y: this.y, bottom: height - BOTTOM, left: LEFT, right: width - RIGHT,
      hit: (x, y, text, item) => {
        if (x >= LEFT && x <= width - RIGHT) this.hits.add(x, y, { text, item });
      },
    }, this.data);
    const here = this.hits.items[this.at];
    if (here && document.activeElement === this.frame) {
      context.strokeStyle = colour("accent");
      context.lineWidth = 2;
      context.strokeRect(here.x - 6, here.y - 6, 12, 12);
    }
    context.restore();
  }

  say(text) {
    this.said.textContent = text;
  }

  // What the pointer does

  point(event) {
    const box = this.frame.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  down(event) {
    if (!this.data || event.button !== 0) return;
    this.drag = { x: event.clientX, window: this.shown, moved: false };
    this.frame.setPointerCapture(event.pointerId);
  }

  move(event) {
    if (this.drag && this.x) {
      const pixels = event.clientX - this.drag.x;
      if (Math.abs(pixels) > 3) this.drag.moved = true;
      if (this.drag.moved && this.window) {
        const span = this.drag.window[1] - this.drag.window[0];
        const width = this.frame.clientWidth - LEFT - RIGHT;
        this.show(moved(this.drag.window, this.whole, (-pixels / width) * span));
      }
      return;
    }
    const found = this.hits.nearest(...this.point(event));
    this.frame.classList.toggle("over", Boolean(found && this.how.pick));
    this.say(found ? found.item.text : this.x ? `${moment(this.x.invert(this.point(event)[0]))} ms` : "");
  }

  up(event) {
    const { drag } = this;
    this.drag = null;
    if (!drag || drag.moved) return;
    const found = this.hits.nearest(...this.point(event));
    if (found) {
      this.at = this.hits.items.indexOf(found);
      this.pick(found);
    }
  }

  pick(found) {
    this.say(found.item.text);
    if (found.item.item !== undefined) this.how.pick?.(found.item.item);
    this.draw();
  }

  wheel(event) {
    // Without a key the wheel scrolls the page, as everywhere.
    if (!this.data || !(event.ctrlKey || event.metaKey || document.activeElement === this.frame)) return;
    event.preventDefault();
    this.zoom(1.0015 ** event.deltaY, this.x?.invert(this.point(event)[0]));
  }

  key(event) {
    if (event.altKey || event.ctrlKey || event.metaKey || !this.data) return;
    const [from, to] = this.shown;
    const step = (to - from) / 5;
    const acts = {
      "+": () => this.zoom(0.5),
      "=": () => this.zoom(0.5),
      "-": () => this.zoom(2),
      0: () => this.all(),
      ArrowLeft: () => this.show(moved([from, to], this.whole, -step)),
      ArrowRight: () => this.show(moved([from, to], this.whole, step)),
      n: () => this.go(1),
      p: () => this.go(-1),
      Enter: () => this.hits.items[this.at] && this.pick(this.hits.items[this.at]),
    };
    if (!(event.key in acts)) return;
    event.preventDefault();
    event.stopPropagation();
    acts[event.key]();
  }

  go(step) {
    if (!this.hits.items.length) return;
    this.at = (this.at + step + this.hits.items.length) % this.hits.items.length;
    this.say(this.hits.items[this.at].item.text);
    this.draw();
  }
}

function axes(context, x, y, { since, until, top, width, height, colour, unit }) {
  context.font = "12px system-ui, sans-serif";
  context.fillStyle = colour("dim");
  context.strokeStyle = colour("line");
  context.lineWidth = 1;
  context.textBaseline = "middle";
  context.textAlign = "right";
  const low = y.invert(height - BOTTOM);
  for (const value of ticks(low, top, Math.max(2, height / 60))) {
    const at = Math.round(y(value)) + 0.5;
    line(context, LEFT, at, width - RIGHT, at);
    context.fillText(unit(value), LEFT - 6, at);
  }
  context.textAlign = "center";
  context.textBaseline = "top";
  for (const value of ticks(since, until, Math.max(2, (width - LEFT) / 110))) {
    const at = Math.round(x(value)) + 0.5;
    line(context, at, TOP, at, height - BOTTOM);
    const text = tick(value, until - since);
    if (at > LEFT + 10 && at < width - 30) context.fillText(text, at, height - BOTTOM + 7);
  }
}

/** A straight line. */
export function line(context, x1, y1, x2, y2) {
  context.beginPath();
  context.moveTo(x1, y1);
  context.lineTo(x2, y2);
  context.stroke();
}

/** What the colours mean: `[colour variable, text]` each. */
export function legend(entries) {
  return h("ul", { class: "legend" }, entries.map(([name, text, shape = ""]) =>
    h("li", {}, h("span", { class: `swatch ${name} ${shape}`, "aria-hidden": "true" }), text)));
}

/** A choice between a few: buttons of which one is pressed. */
export function choices(label, entries, chosen, choose) {
  const group = h("span", { class: "choices", role: "group", "aria-label": label });
  fill(group, entries.map(([value, text]) =>
    h("button", { type: "button", class: "choice", "aria-pressed": String(value === chosen), onclick: () => choose(value) }, text)));
  return group;
}
