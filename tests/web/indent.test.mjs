import assert from "node:assert/strict";
import { test } from "node:test";

import { indented, lineAt } from "../../src/wallsocket/web/static/indent.mjs";

test("a new line begins where its line began, and further in after a colon or a bracket", () => {
  assert.equal(indented("import socket", 13), "");
  assert.equal(indented("while True:\n    read()", 22), "    ");
  assert.equal(indented("while True:", 11), "    ");
  assert.equal(indented("  if (x) {\n}", 10), "      ");
  assert.equal(indented("\tcall(", 6), "\t    ");
  // In the middle of a line what stands before it counts, and nothing of the line after.
  assert.equal(indented("a\n    b\nc", 1), "");
  assert.equal(indented("", 0), "");
});

test("a line is found by its number", () => {
  assert.deepEqual(lineAt("one\ntwo\nthree", 1), [0, 3]);
  assert.deepEqual(lineAt("one\ntwo\nthree", 2), [4, 7]);
  assert.deepEqual(lineAt("one\ntwo\nthree", 3), [8, 13]);
  // The program was changed since: the last line there is.
  assert.deepEqual(lineAt("one\ntwo", 9), [4, 7]);
});
