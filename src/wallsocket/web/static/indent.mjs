/** What a place to write programs in does with lines: without the page, tested by node. */

/** The indentation of a new line after `at`: that of its line, and four more after one that ends with a colon or a bracket. */
export function indented(text, at) {
  const line = text.slice(text.lastIndexOf("\n", at - 1) + 1, at);
  const own = /^[ \t]*/.exec(line)[0];
  return /[:{([]\s*$/.test(line) ? `${own}    ` : own;
}

/** Where line number `line` begins and ends. @returns {[number, number]} */
export function lineAt(text, line) {
  let start = 0;
  for (let number = 1; number < line; number += 1) {
    const next = text.indexOf("\n", start);
    if (next < 0) break;
    start = next + 1;
  }
  const end = text.indexOf("\n", start);
  return [start, end < 0 ? text.length : end];
}
