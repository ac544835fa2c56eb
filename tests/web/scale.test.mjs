import assert from "node:assert/strict";
import { test } from "node:test";

const STATIC = new URL("../../src/wallsocket/web/static/", import.meta.url);
const { Hits, linear, moved, ticks, zoomed } = await import(new URL("scale.mjs", STATIC));
const { tick } = await import(new URL("format.mjs", STATIC));

test("a scale and its inverse", () => {
  const scale = linear([100, 200], [0, 50]);
  assert.equal(scale(150), 25);
  assert.equal(scale.invert(25), 150);
  assert.equal(linear([5, 5], [0, 50])(5), 0);
});

test("ticks are round numbers within the domain", () => {
  assert.deepEqual(ticks(0, 10, 5), [0, 2, 4, 6, 8, 10]);
  assert.deepEqual(ticks(3, 47, 4), [20, 40]);
  assert.deepEqual(ticks(7, 7, 4), [7]);
  for (const [from, to] of [[0, 1], [12_345, 98_765_432], [1e9, 1e9 + 3]]) {
    const found = ticks(from, to, 6);
    assert.ok(found.length >= 2 && found.length <= 14, `${found}`);
    assert.ok(found[0] >= from && found[found.length - 1] <= to + 1e-6);
  }
  assert.deepEqual([tick(163_100_000, 500_000), tick(163_100_000, 5e7), tick(12e9, 6e10)], ["163.10 ms", "163 ms", "12 s"]);
});

test("zooming keeps the point and stays within the whole", () => {
  assert.deepEqual(zoomed([0, 100], [0, 100], 0.5, 50, 1), [25, 75]);
  assert.deepEqual(zoomed([0, 100], [0, 100], 0.5, 0, 1), [0, 50]);
  assert.deepEqual(zoomed([25, 75], [0, 100], 4, 50, 1), [0, 100]);
  const [from, to] = zoomed([0, 100], [0, 100], 1e-9, 50, 10);
  assert.equal(to - from, 10);
  assert.deepEqual(moved([0, 10], [0, 100], -5), [0, 10]);
  assert.deepEqual(moved([0, 10], [0, 100], 500), [90, 100]);
});

test("the nearest point is found by squares, and only near ones", () => {
  const hits = new Hits();
  for (let x = 0; x < 1000; x += 10) hits.add(x, (x * 7) % 300, x);
  assert.equal(hits.nearest(502, (500 * 7) % 300).item, 500);
  assert.equal(hits.nearest(-500, -500), null);
});
