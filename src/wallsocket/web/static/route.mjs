/**
 * Addresses of screens: `#/ladder/2-3?row=call:17&level=1`. What is selected stands in the address, so that all screens
 * share it, going back works, and an address can be sent to somebody who has the same recording.
 */

/** @typedef {{screen: string, argument: string, options: Record<string, string>}} Route */

/** @param {string} hash @returns {Route} */
export function parse(hash) {
  const [path, query = ""] = hash.replace(/^#\/?/, "").split("?", 2);
  const [screen, argument = ""] = path.split("/", 2).map(decode);
  const options = {};
  for (const [name, value] of new URLSearchParams(query)) options[name] = value;
  return { screen: screen || "overview", argument, options };
}

/** @param {Route} route @returns {string} */
export function format({ screen, argument = "", options = {} }) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(options)) {
    if (value !== "" && value !== undefined && value !== null) query.set(name, String(value));
  }
  const text = query.toString();
  return `#/${encodeURIComponent(screen)}${argument ? `/${encodeURIComponent(argument)}` : ""}${text ? `?${text}` : ""}`;
}

/** The selected row, such as `{table: "call", row: 17}`, or null. @param {Route} route */
export function selection(route) {
  const [table, row] = (route.options.row ?? "").split(":");
  return ["call", "packet", "state"].includes(table) && /^\d+$/.test(row ?? "") ? { table, row: Number(row) } : null;
}

/** The same selection in another screen. */
export function withSelection(route, selected) {
  const options = { ...route.options };
  delete options.row;
  if (selected) options.row = `${selected.table}:${selected.row}`;
  return { ...route, options };
}

function decode(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
