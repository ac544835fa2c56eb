/** A list of which only the rows on the screen are elements, however long it is; operated by pointer, keys and screen reader. */

import { h } from "./dom.mjs";
import { scrollTo, visible } from "./viewport.mjs";

let lists = 0;

export class List {
  /**
   * @param {{label: string, rowHeight: () => number, draw: (row: HTMLElement, index: number) => void,
   *   activate: (index: number, event: Event) => void, move?: (index: number) => void}} how
   *   `draw` fills a row that may hold another one's content; `activate` is called on a click or Enter, `move` when the
   *   keys lead to another row
   */
  constructor({ label, rowHeight, draw, activate, move }) {
    this.rowHeight = rowHeight;
    this.draw = draw;
    this.activate = activate;
    this.move = move;
    this.total = 0;
    this.active = 0;
    this.name = `list-${(lists += 1)}`;
    this.rows = [];
    this.whole = h("div", { class: "list-whole", role: "presentation" });
    this.element = h("div", { class: "list", role: "listbox", tabindex: "0", "aria-label": label }, this.whole);
    this.element.addEventListener("scroll", () => this.schedule(), { passive: true });
    this.element.addEventListener("keydown", (event) => this.key(event));
    this.whole.addEventListener("click", (event) => this.click(event));
    this.observer = new ResizeObserver(() => this.schedule());
    this.observer.observe(this.element);
  }

  close() {
    this.observer.disconnect();
    if (this.frame) cancelAnimationFrame(this.frame);
  }

  /** @param {number} total */
  setTotal(total) {
    this.total = total;
    this.active = Math.max(0, Math.min(this.active, total - 1));
    this.schedule();
  }

  /** Draw again before the next frame: content has come, or the selection is another. */
  schedule() {
    this.frame ??= requestAnimationFrame(() => {
      this.frame = undefined;
      this.paint();
    });
  }

  view() {
    return { total: this.total, rowHeight: this.rowHeight(), height: this.element.clientHeight, scroll: this.element.scrollTop };
  }

  /** Whether the last row is seen: then who follows a recording wants to see the next one, too. */
  atEnd() {
    const { scrollTop, clientHeight, scrollHeight } = this.element;
    return scrollTop + clientHeight >= scrollHeight - 4;
  }

  /** @param {number} index @param {boolean} [centre] */
  reveal(index, centre = false) {
    this.active = Math.max(0, Math.min(index, this.total - 1));
    const view = this.view();
    this.whole.style.height = `${visible(view).whole}px`;
    this.element.scrollTop = scrollTo({ ...view, index: this.active, centre });
    this.schedule();
  }

  paint() {
    const view = this.view();
    const { first, count, offset, whole } = visible(view);
    this.whole.style.height = `${whole}px`;
    while (this.rows.length < count) {
      const row = h("div", { role: "option", id: `${this.name}-${this.rows.length}`, class: "row" });
      this.rows.push(row);
      this.whole.append(row);
    }
    // A row keeps its element while it is on the screen: scrolling draws only what is new.
    for (let index = first; index < first + count; index += 1) {
      const row = this.rows[index % this.rows.length];
      row.hidden = false;
      row.style.transform = `translateY(${offset + (index - first) * view.rowHeight}px)`;
      if (row.at !== index || row.of !== this.total || row.tall !== view.rowHeight) {
        [row.at, row.of, row.tall] = [index, this.total, view.rowHeight];
        row.style.height = `${view.rowHeight}px`;
        row.dataset.index = String(index);
        row.setAttribute("aria-setsize", String(this.total));
        row.setAttribute("aria-posinset", String(index + 1));
      }
      this.draw(row, index);
      row.classList.toggle("active", index === this.active);
      if (index === this.active) this.element.setAttribute("aria-activedescendant", row.id);
    }
    for (const row of this.rows) {
      if (row.at >= first && row.at < first + count) continue;
      row.hidden = true;
      row.classList.remove("active");
    }
    if (!count) this.element.removeAttribute("aria-activedescendant");
  }

  click(event) {
    const row = event.target.closest("[role=option]");
    if (!row) return;
    this.active = Number(row.dataset.index);
    this.activate(this.active, event);
    this.schedule();
  }

  key(event) {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const page = Math.max(1, Math.floor(this.element.clientHeight / this.rowHeight()) - 1);
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -this.total, End: this.total };
    if (event.key in steps) {
      event.preventDefault();
      this.reveal(this.active + steps[event.key]);
      this.move?.(this.active);
    } else if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      this.activate(this.active, event);
    }
  }
}
