import assert from "node:assert/strict";
import { test } from "node:test";

import { Opening } from "../../src/wallsocket/web/static/opening.mjs";

/** A screen whose answers come when the test says so, and what happened to what it opened. */
function screen() {
  const answers = new Map();
  const log = [];
  const opening = new Opening((argument) => new Promise((resolve) => {
    answers.set(argument, () => resolve(() => {
      log.push(`show ${argument}`);
      return argument === "plain" ? undefined : { update: async () => log.push(`update ${argument}`), close: () => log.push(`close ${argument}`) };
    }));
  }));
  return { answers, log, opening };
}

test("what the argument names is opened once, updated each time, and closed for another", async () => {
  const { answers, log, opening } = screen();
  const first = opening.update({ argument: "a" }, false);
  answers.get("a")();
  await first;
  await opening.update({ argument: "a" }, true);
  const second = opening.update({ argument: "plain" }, false);
  answers.get("plain")();
  await second;
  opening.close();
  assert.deepEqual(log, ["show a", "update a", "update a", "close a", "show plain"]);
});

test("an answer that comes too late is dropped", async () => {
  const { answers, log, opening } = screen();
  const first = opening.update({ argument: "a" }, false);
  const second = opening.update({ argument: "b" }, false);
  answers.get("b")();
  await second;
  answers.get("a")();
  await first;
  assert.deepEqual(log, ["show b", "update b"]);
});

test("no argument is one, too", async () => {
  const { answers, log, opening } = screen();
  const first = opening.update({ argument: "" }, false);
  answers.get("")();
  await first;
  assert.deepEqual(log, ["show ", "update "]);
});
