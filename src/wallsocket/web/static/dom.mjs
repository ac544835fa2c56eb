/**
 * Elements, made without any text ever being read as markup: text goes in as text nodes, and the page's policy
 * (`require-trusted-types-for 'script'`) refuses everything else.
 */

const SVG = "http://www.w3.org/2000/svg";

/**
 * An element: `h("button", {class: "quiet", onclick: go}, "Go")`. Children that are null, undefined or false are left out.
 * @param {string} name @param {Record<string, any>} [properties] @param {...any} children
 */
export function h(name, properties, ...children) {
  return filled(document.createElement(name), properties, children);
}

/** The same in SVG. */
export function svg(name, properties, ...children) {
  return filled(document.createElementNS(SVG, name), properties, children);
}

function filled(element, properties, children) {
  for (const [name, value] of Object.entries(properties ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** Put these in place of an element's children. */
export function fill(element, ...children) {
  element.replaceChildren(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** A badge: a word with a meaning that is also a colour. */
export function badge(text, meaning = "") {
  return h("span", { class: `badge ${meaning}` }, text);
}
