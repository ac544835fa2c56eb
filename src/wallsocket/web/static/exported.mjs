/** The source of a page that was exported as one file: the same views, from what stands in the file. */

import { Problem } from "./source.mjs";

export class Exported {
  /** @param {any} data as `wallsocket.web.export` writes it */
  constructor(data) {
    this.data = data;
  }

  /** @param {string} name @param {Record<string, any>} options */
  async view(name, options = {}) {
    if (name === "ladder") return this.ladder(options);
    if (name === "locate") return this.locate(options);
    if (name === "overview" || name === "conversations") return this.cards(name, options);
    const key = { detail: () => `${options.table}:${options.row}`, finding: () => `${options.number}`, states: () => options.conversation, topology: () => "" }[name];
    const found = this.data[name]?.[key ? key() : `${options.conversation}:${options.side ?? "left"}`];
    if (!found) throw new Problem("This file does not hold that; the recording does.", false);
    return found;
  }

  /** Everything is there at once. */
  listen(listener) {
    setTimeout(() => listener({ generation: 1, stage: "ready", done: 0, total: 0, growing: false, problem: null }));
  }

  cards(name, { search = "", first = 0, count = 100 }) {
    const whole = this.data[name];
    const words = split(search);
    const fitting = whole.cards.filter((card) => words.every((word) => JSON.stringify(card).toLowerCase().includes(word)));
    return { ...whole, cards: fitting.slice(first, first + count), matching: words.length ? fitting.length : whole.matching };
  }

  ladder({ conversation, first = 0, count = 100, level = 0, search = "", only = "" }) {
    const found = this.data.ladder[conversation];
    if (!found) throw new Problem("This file does not hold that conversation; the recording does.", false);
    const filtered = search || only;
    const levels = filtered ? 1 : found.groups.length + 1;
    const at = Math.max(0, Math.min(Number(level) || 0, levels - 1));
    const rungs = at ? found.groups[at - 1] : this.fitting(found, search, only);
    return {
      ...found, groups: undefined, level: at, levels, total: rungs.length, whole: found.rungs.length,
      rungs: rungs.slice(first, first + count).map((rung, index) => ({ ...rung, index: first + index })),
    };
  }

  fitting(found, search, only) {
    const words = split(search);
    const kinds = only.split(",").filter(Boolean);
    if (!words.length && !kinds.length) return found.rungs;
    return found.rungs.filter(({ line }) =>
      (!kinds.length || kinds.some((kind) => kindsOf(line).has(kind))) && words.every((word) => textOf(line).includes(word)));
  }

  locate({ table, row, conversation = "", search = "", only = "" }) {
    const field = { call: "calls", packet: "packets", state: "states" }[table];
    const keys = Object.keys(this.data.ladder).sort((one, other) => (other === conversation) - (one === conversation));
    for (const key of keys) {
      const index = this.fitting(this.data.ladder[key], search, only).findIndex(({ line }) => line[field].includes(Number(row)));
      if (index >= 0) return { conversation: key, index };
    }
    return { conversation: null, index: null };
  }
}

function split(search) {
  return search.toLowerCase().split(/\s+/).filter(Boolean);
}

function kindsOf(line) {
  const kinds = new Set();
  if (line.calls.length) kinds.add("call");
  if (line.arrow) kinds.add("segment");
  if (line.arrow?.failure) kinds.add("failed");
  for (const { kind } of [...line.left, ...line.right]) {
    if (kind === "state") kinds.add("state");
    if (["failed", "waiting", "unread"].includes(kind)) kinds.add("failed");
  }
  return kinds;
}

function textOf(line) {
  return [...line.left, ...line.right].map((part) => part.text).concat(line.arrow?.text ?? "", line.note).join(" ").toLowerCase();
}

