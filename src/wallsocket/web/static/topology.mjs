/** The programs and hosts as a map: boxes, and between them who talks with whom; what is wrong is red. */

import { fill, h, svg } from "./dom.mjs";
import { amount, number, size } from "./format.mjs";
import { format } from "./route.mjs";

export const screen = {
  name: "topology",
  title: "Map",
  open: (root, page) => new Topology(root, page),
};

/** Characters for which a box has room. */
const NAME = 24;
const LINE = 29;

class Topology {
  constructor(root, page) {
    this.page = page;
    this.root = root;
  }

  async update(route) {
    const found = await this.page.source.view("topology");
    const options = route.options.row ? { row: route.options.row } : {};
    fill(
      this.root,
      h("h1", {}, "Who talks with whom"),
      found.places.length ? null : h("p", { class: "notice" }, "No program of this recording has a socket."),
      !found.places.length ? null : h("div", { class: "map-frame", tabindex: "0", role: "region", "aria-label": "Map" }, map(found)),
      found.more ? h("p", { class: "notice" }, `${number(found.more)} more programs, hosts and ways are not on the map.`) : null,
      !found.links.length ? null : h("div", { class: "table-frame", tabindex: "0", role: "region", "aria-label": "Ways" },
        h("table", {},
          h("thead", {}, h("tr", {}, ["From", "To", "Conversations", "Bytes there", "Bytes back", "Look at"].map((text) => h("th", { scope: "col" }, text)))),
          h("tbody", {}, found.links.map((link) => way(link, found.places, options))))),
    );
  }

  close() {}
}

function titleOf(places, id) {
  return places.find((place) => place.id === id)?.title ?? id;
}

function way(link, places, options) {
  const failed = link.failed ? `, ${number(link.failed)} failed` : "";
  const finding = link.findings.length ? `finding ${link.findings.join(", ")}` : "ladder";
  return h("tr", {},
    h("th", { scope: "row" }, titleOf(places, link.source)),
    h("td", {}, titleOf(places, link.target)),
    h("td", { class: link.failed ? "wrong" : "" }, `${number(link.conversations)} ${link.kinds.join(", ")}${failed}`),
    h("td", { class: "number" }, size(link.to_target)),
    h("td", { class: "number" }, size(link.to_source)),
    h("td", {}, h("a", { href: format({ screen: "ladder", argument: link.key, options }), "aria-label": `${finding}: ${titleOf(places, link.source)} to ${titleOf(places, link.target)}` }, finding)));
}

function map(found) {
  const places = new Map(found.places.map((place) => [place.id, place]));
  const said = found.links.map((link) => `${titleOf(found.places, link.source)} to ${titleOf(found.places, link.target)}`).join("; ");
  const ways = found.links.map((link) => line(link, places.get(link.source), places.get(link.target)));
  return svg("svg", { class: "map", viewBox: `0 0 ${found.width} ${found.height}`, width: found.width, height: found.height, role: "img", "aria-label": `Map: ${said || "no ways"}` },
    svg("defs", {}, marker("there"), marker("wrong-there")),
    // Words above all lines, of which none may strike them out.
    ways.map(([way]) => way),
    found.places.map((place) => box(place)),
    ways.map(([, words]) => words));
}

function marker(name) {
  return svg("marker", { id: name, class: name, viewBox: "0 0 8 8", refX: "8", refY: "4", markerWidth: "9", markerHeight: "9", markerUnits: "userSpaceOnUse", orient: "auto" },
    svg("path", { d: "M0 0 8 4 0 8z" }));
}

function box(place) {
  const { x, y, width, height } = place;
  const under = place.host || (place.traced ? "" : "not traced");
  const listens = place.listens.length ? `listens on ${place.listens.slice(0, 2).join(", ")}${place.listens.length > 2 ? ", …" : ""}` : "";
  return svg("g", { class: `place${place.findings.length ? " wrong" : ""}${place.traced ? "" : " outside"}` },
    svg("title", {}, [place.title, under, listens].filter(Boolean).join("; ")),
    svg("rect", { x, y, width, height, rx: 9 }),
    svg("text", { x: x + 12, y: y + 22, class: "name" }, cut(place.title, NAME)),
    svg("text", { x: x + 12, y: y + 39 }, cut(listens || under, LINE)),
    place.findings.length
      ? svg("text", { x: x + 12, y: y + 54, class: "red" }, amount(place.findings.length, "finding"))
      : svg("text", { x: x + 12, y: y + 54 }, listens ? cut(under, LINE) : ""));
}

function line(link, source, target) {
  const wrong = link.failed || link.findings.length;
  const ends = { class: wrong ? "way wrong" : "way", "marker-end": `url(#${wrong ? "wrong-there" : "there"})` };
  const words = `${number(link.conversations)} ${link.kinds.join(", ")}${link.failed ? `, ${number(link.failed)} failed` : ""}`;
  const title = svg("title", {}, `${words}; ${size(link.to_target)} there, ${size(link.to_source)} back`);
  const middle = (place) => place.y + place.height / 2;
  let d;
  let label;
  if (source === target) {
    // A loop under the box.
    const [x, y] = [source.x + source.width / 2, source.y + source.height];
    d = `M${x + 40} ${y}C${x + 46} ${y + 34} ${x - 46} ${y + 34} ${x - 40} ${y}`;
    label = [x, y + 42];
  } else if (source.x === target.x) {
    const x = source.x + source.width;
    d = `M${x} ${middle(source)}C${x + 60} ${middle(source)} ${x + 60} ${middle(target)} ${x} ${middle(target)}`;
    label = [x + 47, (middle(source) + middle(target)) / 2];
  } else {
    const forward = source.x < target.x;
    const [x1, x2] = forward ? [source.x + source.width, target.x] : [source.x, target.x + target.width];
    const bend = (x2 - x1) / 2;
    d = `M${x1} ${middle(source)}C${x1 + bend} ${middle(source)} ${x2 - bend} ${middle(target)} ${x2} ${middle(target)}`;
    // Beyond the middle, where ways cross.
    const far = middle(target) - middle(source);
    const t = far ? 0.64 : 0.5;
    label = [x1 + (x2 - x1) * t, middle(source) + far * (3 * t * t - 2 * t ** 3) - (far ? 0 : 6)];
  }
  return [svg("g", {}, title, svg("path", { ...ends, d })), svg("text", { x: label[0], y: label[1], class: `way-label${wrong ? " wrong" : ""}` }, words)];
}

/** A text of at most so many characters; a number in brackets at its end, which tells alike programs apart, stays. */
function cut(text, most) {
  if (text.length <= most) return text;
  const end = /\s\([^()]{1,16}\)$/.exec(text)?.[0] ?? "";
  return `${text.slice(0, most - 1 - end.length)}…${end}`;
}
