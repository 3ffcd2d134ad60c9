// What a tile without a number says.

import assert from "node:assert/strict";
import { test } from "node:test";
import { cardLines, isQuiet, wordOf } from "../../roles/dashboards/files/pages/tiles.js";

test("nothing to count is well, nobody who counts is not", () => {
  assert.equal(isQuiet(Number.NaN, { empty: "no requests" }), true);
  assert.equal(isQuiet(null, { empty: "no requests" }), false);
  assert.equal(isQuiet(Number.NaN, {}), false);
  assert.equal(isQuiet(0, { empty: "no requests" }), false);
});

test("what is read aloud is what stands there", () => {
  assert.equal(wordOf({ level: "none", quiet: true })[1], "Nothing to report");
  assert.equal(wordOf({ level: "none", quiet: false })[1], "No data");
  assert.equal(wordOf({ level: "critical", quiet: false })[1], "Critical");
});

test("one check is not called all", () => {
  const fine = { title: "Backup", level: "ok" };
  assert.deepEqual(cardLines([fine]), ["The check is OK."]);
  assert.deepEqual(cardLines([fine, fine]), ["All 2 checks are OK."]);
});
