/**
 * Which rows of a long list stand on the screen. Browsers draw no element higher than some 33 million pixels: a longer
 * list is scrolled faster than the finger, so that its end can be reached.
 */

/** Below the limits of all browsers. */
export const MOST_PIXELS = 8_000_000;

/**
 * @param {{total: number, rowHeight: number, height: number, scroll: number}} view `scroll`: of the element, in pixels
 * @returns {{first: number, count: number, offset: number, whole: number}} rows to draw, where the first of them begins
 *   (pixels from the top of what is scrolled), and how high the whole is
 */
export function visible({ total, rowHeight, height, scroll }) {
  const natural = total * rowHeight;
  const whole = Math.min(natural, MOST_PIXELS);
  const top = toNatural(scroll, natural, whole, height);
  const first = Math.max(0, Math.min(total - 1, Math.floor(top / rowHeight)));
  const count = total === 0 ? 0 : Math.min(total - first, Math.ceil(height / rowHeight) + 1);
  return { first: total === 0 ? 0 : first, count, offset: scroll - (top - first * rowHeight), whole };
}

/**
 * Where to scroll so that a row is seen; the same place when it is already.
 * @param {{total: number, rowHeight: number, height: number, scroll: number, index: number}} view
 */
export function scrollTo({ total, rowHeight, height, scroll, index, centre = false }) {
  const natural = total * rowHeight;
  const whole = Math.min(natural, MOST_PIXELS);
  const top = toNatural(scroll, natural, whole, height);
  const row = index * rowHeight;
  let wanted = top;
  if (centre && (row < top || row + rowHeight > top + height)) wanted = row - (height - rowHeight) / 2;
  else if (row < top) wanted = row;
  else if (row + rowHeight > top + height) wanted = row + rowHeight - height;
  if (wanted === top) return scroll;
  wanted = Math.max(0, Math.min(natural - height, wanted));
  return natural === whole ? wanted : (wanted / (natural - height)) * (whole - height);
}

function toNatural(scroll, natural, whole, height) {
  if (natural === whole || whole <= height) return scroll;
  return (scroll / (whole - height)) * (natural - height);
}
