import assert from "node:assert/strict";
import { test } from "node:test";

const STATIC = new URL("../../src/wallsocket/web/static/", import.meta.url);
const load = (name) => import(new URL(name, STATIC));

const { asHex, asText, fieldOfEach, fromBase64, letter } = await load("bytes.mjs");
const { CHUNK, Chunks } = await load("chunks.mjs");
const { amount, duration, moment, number, size } = await load("format.mjs");
const { format, parse, selection, withSelection } = await load("route.mjs");
const { MOST_PIXELS, scrollTo, visible } = await load("viewport.mjs");

test("times have the words of the terminal", () => {
  const expected = [[0, "0 ns"], [999, "999 ns"], [85_000, "85 µs"], [4_200_000, "4.2 ms"], [4_000_000, "4 ms"], [1.5e9, "1.5 s"],
    [125e9, "2 min 5 s"], [7260e9, "2 h 1 min"]];
  for (const [ns, text] of expected) assert.equal(duration(ns), text);
  assert.equal(moment(1_234_567_890), "1 234.568");
  assert.equal(amount(1, "byte"), "1 byte");
  assert.equal(amount(30_000, "byte"), "30 000 bytes");
  assert.equal(number(1_000_000), "1 000 000");
  assert.deepEqual([0, 900, 12_345, 1_500_000].map(size), ["0 B", "900 B", "12 kB", "1.5 MB"]);
});

test("any byte is shown as printable ASCII", () => {
  for (let byte = 0; byte < 256; byte += 1) assert.match(letter(byte), /^[\x20-\x7e]+$/);
  const all = Uint8Array.from({ length: 256 }, (_, byte) => byte);
  assert.match(asText(all).join(""), /^[\x20-\x7e]+$/);
  const rows = asHex(all);
  assert.equal(rows.length, 16);
  assert.equal(rows[1].offset, "0010");
  assert.equal(rows[3].hex, "30 31 32 33 34 35 36 37 38 39 3a 3b 3c 3d 3e 3f");
  assert.equal(rows[3].text, "0123456789:;<=>?");
});

test("text ends lines at line feeds and where it is too wide, and at a limit", () => {
  const bytes = new TextEncoder().encode("one\ntwo\x00three");
  assert.deepEqual(asText(bytes), ["one\\n", "two\\x00three"]);
  assert.deepEqual(asText(new Uint8Array(65_536).fill(65), 64, 3).map((line) => line.length), [64, 64, 64]);
  assert.deepEqual([...fromBase64("AP8=")], [0, 255]);
});

test("an address says the screen, its argument and what is selected", () => {
  const route = parse("#/ladder/2-3?row=call%3A17&level=2");
  assert.deepEqual(route, { screen: "ladder", argument: "2-3", options: { row: "call:17", level: "2" } });
  assert.deepEqual(selection(route), { table: "call", row: 17 });
  assert.deepEqual(parse(format(route)), route);
  assert.equal(format(withSelection(route, null)), "#/ladder/2-3?level=2");
  assert.deepEqual(parse(""), { screen: "overview", argument: "", options: {} });
  for (const bad of ["call", "call:", "call:x", "file:1", "call:-1"]) {
    assert.equal(selection({ screen: "", argument: "", options: { row: bad } }), null);
  }
  assert.equal(parse("#/%E0%A4%A/x").screen, "%E0%A4%A");
});

test("what is on the screen of a short list", () => {
  const view = { total: 10, rowHeight: 20, height: 100, scroll: 30 };
  assert.deepEqual(visible(view), { first: 1, count: 6, offset: 20, whole: 200 });
  assert.deepEqual(visible({ ...view, total: 0, scroll: 0 }), { first: 0, count: 0, offset: 0, whole: 0 });
  assert.equal(scrollTo({ ...view, index: 3 }), 30);
  assert.equal(scrollTo({ ...view, index: 0 }), 0);
  assert.equal(scrollTo({ ...view, index: 9 }), 100);
});

test("every row of a list of ten millions can be reached", () => {
  const view = { total: 10_000_000, rowHeight: 46, height: 700 };
  for (const index of [0, 1, 5_000_000, 9_999_998, 9_999_999]) {
    const scroll = scrollTo({ ...view, scroll: 0, index });
    const { first, count, offset, whole } = visible({ ...view, scroll });
    assert.ok(first <= index && index < first + count, `${index} is not in ${first} + ${count}`);
    assert.ok(whole <= MOST_PIXELS);
    // The row stands within what the element shows.
    const top = offset + (index - first) * 46 - scroll;
    assert.ok(top > -1 && top + 46 < 701, `${index} at ${top}`);
  }
});

test("pieces of a list are asked for once, kept for a while, and asked for again after a failure", async () => {
  const asked = [];
  let fails = true;
  let arrived = 0;
  const chunks = new Chunks(
    async (first, count) => {
      asked.push(first);
      if (fails) throw new Error("not now");
      return Array.from({ length: count }, (_, index) => first + index);
    },
    () => (arrived += 1),
  );
  assert.equal(chunks.at(CHUNK + 1), undefined);
  await new Promise(setImmediate);
  fails = false;
  assert.equal(chunks.at(CHUNK + 1), undefined);
  assert.equal(chunks.at(CHUNK + 2), undefined);
  await new Promise(setImmediate);
  assert.deepEqual(asked, [CHUNK, CHUNK]);
  assert.equal(arrived, 1);
  assert.equal(chunks.at(CHUNK + 1), CHUNK + 1);
  for (let number = 2; number < 60; number += 1) chunks.at(number * CHUNK);
  assert.ok(chunks.pieces.size <= 40);
});

test("each byte belongs to the narrowest field that holds it", () => {
  const fields = [[0, 14, "ethernet", ""], [0, 6, "ethernet.destination", ""], [12, 2, "ether_type", ""], [20, 100, "payload", ""]];
  const found = fieldOfEach(fields, 24);
  assert.deepEqual([found[0], found[5], found[6], found[12], found[13], found[14], found[20], found[23]], [1, 1, 0, 2, 2, -1, 3, 3]);
  assert.equal(found.length, 24);
});
