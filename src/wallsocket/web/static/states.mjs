/** The state graphs of a conversation's sockets: the path that each took is marked and numbered. */

import { fill, h, svg } from "./dom.mjs";
import { duration, moment } from "./format.mjs";
import { Picked } from "./picked.mjs";
import { selection } from "./route.mjs";

export const screen = {
  name: "states",
  title: "States",
  keeps: true,
  open: (root, page) => new Picked(root, page, "states", (inner, name) => new States(inner, page, name)),
};

export class States {
  constructor(root, page, key) {
    this.page = page;
    this.key = key;
    this.body = h("div", { class: "pair" });
    fill(root, this.body);
  }

  async update(route) {
    const found = await this.page.source.view("states", { conversation: this.key });
    const selected = selection(route);
    fill(this.body, found.sockets.map((socket) => this.socket(socket, selected)));
    return found.title;
  }

  close() {}

  socket(socket, selected) {
    const head = [h("h2", {}, `socket ${socket.socket}  ${socket.who}`), h("p", { class: "dim" }, socket.verdict)];
    if (socket.missing) return h("section", {}, head, h("p", { class: "notice" }, socket.missing));
    const frame = h("div", { class: "states-frame", tabindex: "0", role: "region", "aria-label": `Graph of socket ${socket.socket}` }, graph(socket));
    return h("section", {}, head, frame, this.path(socket, selected));
  }

  path(socket, selected) {
    return h("div", { class: "table-frame", tabindex: "0", role: "region", "aria-label": `Path of socket ${socket.socket}` },
      h("table", { class: "path" },
        h("thead", {}, h("tr", {}, ["", "ms", "State", "For", "How it is known"].map((text) => h("th", { scope: "col" }, text || h("span", { class: "hidden" }, "Step"))))),
        h("tbody", {}, socket.steps.map((step, index) => this.step(step, index + 1, selected)))));
  }

  step(step, number, selected) {
    const row = step.call !== null ? { table: "call", row: step.call } : step.packet !== null ? { table: "packet", row: step.packet } : null;
    const picked = row && selected && row.table === selected.table && row.row === selected.row;
    return h("tr", { class: picked ? "picked" : "" },
      h("td", { class: "number" }, String(number)),
      h("td", { class: "number" }, moment(step.at_ns)),
      h("th", { scope: "row", class: "code" }, step.inferred ? `[${step.state}]` : step.state),
      h("td", { class: "number" }, step.for_ns ? duration(step.for_ns) : ""),
      h("td", {}, row ? h("button", { type: "button", class: "link", onclick: () => this.page.select(row) }, step.how) : step.how));
  }
}

function graph(socket) {
  const said = socket.steps.map((step) => step.for_ns ? `${step.state} for ${duration(step.for_ns)}` : step.state).join(", then ");
  const nodes = new Map(socket.nodes.map((node) => [node.state, node]));
  const longest = Math.max(1, ...socket.nodes.map((node) => node.for_ns));
  const taken = socket.edges.filter((edge) => edge.taken.length);
  const others = socket.edges.filter((edge) => !edge.taken.length && edge.path);
  return svg("svg", { class: "states", viewBox: `0 0 ${socket.width} ${socket.height}`, role: "img", "aria-label": `State graph of socket ${socket.socket}: ${said}` },
    svg("defs", {}, marker("to"), marker("along")),
    others.map((edge) => svg("path", { class: "edge", d: edge.path, "marker-end": "url(#to)" }, svg("title", {}, edge.causes.join("; ")))),
    taken.map((edge) => svg("path", { class: edge.path ? "edge taken" : "edge taken unseen", d: edge.path || straight(nodes.get(edge.source), nodes.get(edge.target)), "marker-end": "url(#along)" },
      svg("title", {}, edge.causes.join("; ") || "not seen step by step"))),
    socket.nodes.map((node) => box(node, longest)),
    taken.map((edge) => label(edge, nodes)));
}

function marker(name) {
  return svg("marker", { id: name, class: name, viewBox: "0 0 8 8", refX: "8", refY: "4", markerWidth: "9", markerHeight: "9", markerUnits: "userSpaceOnUse", orient: "auto" },
    svg("path", { d: "M0 0 8 4 0 8z" }));
}

function box(node, longest) {
  const { x, y, width, height } = node;
  return svg("g", { class: node.visits ? "node visited" : "node" },
    svg("title", {}, node.meaning),
    svg("rect", { x, y, width, height, rx: 10 }),
    // How long, as a part of the longest stay.
    node.visits ? svg("rect", { class: "stay", x: x + 10, y: y + height - 8, width: Math.max(2, (width - 20) * (node.for_ns / longest)), height: 3 }) : null,
    svg("text", { x: x + width / 2, y: y + (node.visits ? 18 : height / 2 + 5), class: "name" }, node.state),
    node.visits ? svg("text", { x: x + width / 2, y: y + 33, class: "for" }, [node.for_ns ? duration(node.for_ns) : "", node.visits > 1 ? `${node.visits} times` : ""].filter(Boolean).join(", ")) : null);
}

function label(edge, nodes) {
  const [x, y] = middle(edge, nodes);
  const text = edge.taken.length > 3 ? `${edge.taken.slice(0, 2).join(" ")} …` : edge.taken.join(" ");
  const width = 8 * text.length + 12;
  return svg("g", { class: "number" }, svg("rect", { x: x - width / 2, y: y - 10, width, height: 20, rx: 10 }), svg("text", { x, y: y + 5 }, text));
}

/** The middle of a curve `Mx yQcx cy x y`, of a line, or of a loop. */
function middle(edge, nodes) {
  const numbers = (edge.path || straight(nodes.get(edge.source), nodes.get(edge.target))).match(/-?\d+(\.\d+)?/g).map(Number);
  if (numbers.length === 6) return [0, 1].map((axis) => numbers[axis] / 4 + numbers[axis + 2] / 2 + numbers[axis + 4] / 4);
  return [0, 1].map((axis) => (numbers[axis] + numbers[numbers.length - 2 + axis]) / 2);
}

/** A way that the graph does not have: a curve beside the boxes between. */
function straight(source, target) {
  const centre = (node) => [node.x + node.width / 2, node.y + node.height / 2];
  const [x1, y1] = centre(source);
  const [x2, y2] = centre(target);
  const length = Math.hypot(x2 - x1, y2 - y1) || 1;
  const bend = 0.25 * length;
  const [cx, cy] = [(x1 + x2) / 2 + ((y2 - y1) / length) * bend, (y1 + y2) / 2 - ((x2 - x1) / length) * bend];
  const edge = (node, [x, y]) => {
    const scale = Math.min(1, node.width / 2 / (Math.abs(cx - x) || 1e-9), node.height / 2 / (Math.abs(cy - y) || 1e-9));
    return [x + (cx - x) * scale, y + (cy - y) * scale].map((value) => value.toFixed(1)).join(" ");
  };
  return `M${edge(source, [x1, y1])}Q${cx.toFixed(1)} ${cy.toFixed(1)} ${edge(target, [x2, y2])}`;
}
