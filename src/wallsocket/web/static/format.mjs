/** Numbers as people read them. The same words as in the terminal. */

/** A span of time with three digits at most: `85 µs`, `4.2 ms`, `1.5 s`, `2 min 5 s`. @param {number} ns */
export function duration(ns) {
  if (ns < 1000) return `${Math.round(ns)} ns`;
  for (const [unit, size] of [["µs", 1e3], ["ms", 1e6], ["s", 1e9]]) {
    const value = ns / size;
    if (value < (unit === "s" ? 119.5 : 999.5)) {
      return `${value >= 9.95 ? value.toFixed(0) : value.toFixed(1).replace(/\.0$/, "")} ${unit}`;
    }
  }
  const seconds = Math.round(ns / 1e9);
  if (seconds < 7200) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
  return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
}

/** A moment on the axis, in milliseconds: `1 234.567`. @param {number} ns */
export function moment(ns) {
  const [whole, part] = (ns / 1e6).toFixed(3).split(".");
  return `${whole.replace(/\B(?=(\d{3})+$)/g, " ")}.${part}`;
}

/** A moment beside an axis that shows so much time: as many digits as tell its ticks apart. @param {number} ns @param {number} span */
export function tick(ns, span) {
  const [unit, step] = span >= 5e9 ? ["s", 1e9] : ["ms", 1e6];
  const digits = Math.max(0, Math.min(6, Math.ceil(-Math.log10(span / 10 / step))));
  return `${(ns / step).toFixed(digits)} ${unit}`;
}

/** `1 byte`, `3 000 bytes`. @param {number} count @param {string} noun */
export function amount(count, noun) {
  return `${number(count)} ${noun}${count === 1 ? "" : "s"}`;
}

/** A whole number with its thousands apart. @param {number} value */
export function number(value) {
  return String(value).replace(/\B(?=(\d{3})+$)/g, " ");
}

/** Bytes on an axis: `900 B`, `12 kB`, `1.5 MB`. @param {number} count */
export function size(count) {
  for (const [unit, step] of [["B", 1], ["kB", 1e3], ["MB", 1e6], ["GB", 1e9]]) {
    const value = count / step;
    if (value < 999.5 || unit === "GB") {
      return `${value >= 9.95 || unit === "B" ? value.toFixed(0) : value.toFixed(1).replace(/\.0$/, "")} ${unit}`;
    }
  }
}
