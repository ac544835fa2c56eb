/** Numbers to pixels and back, ticks that people count in, and moving about on an axis. */

/** @param {[number, number]} domain @param {[number, number]} range */
export function linear([from, to], [start, end]) {
  const factor = to === from ? 0 : (end - start) / (to - from);
  const scale = (value) => start + (value - from) * factor;
  scale.invert = (pixel) => (factor === 0 ? from : from + (pixel - start) / factor);
  return scale;
}

/** About `count` round numbers in a domain: steps of 1, 2 or 5 times a power of ten. @returns {number[]} */
export function ticks(from, to, count) {
  if (!(to > from) || count < 1) return [from];
  const rough = (to - from) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((one) => one * power).find((one) => one >= rough * 0.999);
  const found = [];
  for (let at = Math.ceil(from / step); at * step <= to * (1 + 1e-12) + 1e-12; at += 1) found.push(at * step);
  return found;
}

/**
 * A window after zooming by `factor` (below 1: closer) around a point, within a whole, and no closer than `least`.
 * @param {[number, number]} window @param {[number, number]} whole
 */
export function zoomed([from, to], whole, factor, around, least = 1000) {
  const span = Math.min(whole[1] - whole[0], Math.max(least, (to - from) * factor));
  const share = to === from ? 0.5 : (around - from) / (to - from);
  return within([around - span * share, around + span * (1 - share)], whole);
}

/** A window moved by a distance, within a whole. */
export function moved([from, to], whole, distance) {
  return within([from + distance, to + distance], whole);
}

function within([from, to], [first, last]) {
  const span = Math.min(to - from, last - first);
  const start = Math.max(first, Math.min(from, last - span));
  return [start, start + span];
}

/** What stands near a point of a drawing, found by squares. */
export class Hits {
  constructor(square = 16) {
    this.square = square;
    this.squares = new Map();
    this.items = [];
  }

  add(x, y, item) {
    const key = `${Math.floor(x / this.square)},${Math.floor(y / this.square)}`;
    const found = { x, y, item };
    this.items.push(found);
    const list = this.squares.get(key);
    if (list) list.push(found);
    else this.squares.set(key, [found]);
  }

  /** The nearest item within one square of a point, or null. */
  nearest(x, y) {
    const [column, row] = [Math.floor(x / this.square), Math.floor(y / this.square)];
    let best = null;
    let least = this.square ** 2;
    for (let i = column - 1; i <= column + 1; i += 1) {
      for (let j = row - 1; j <= row + 1; j += 1) {
        for (const one of this.squares.get(`${i},${j}`) ?? []) {
          const distance = (one.x - x) ** 2 + (one.y - y) ** 2;
          if (distance <= least) [best, least] = [one, distance];
        }
      }
    }
    return best;
  }
}
