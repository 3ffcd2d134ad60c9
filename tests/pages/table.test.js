// Order and choice of a table's series.

import assert from "node:assert/strict";
import { test } from "node:test";
import { hiddenAfter, sorted } from "../../roles/dashboards/files/pages/table.js";

const SERIES = [
  { name: "web 10", last: 1, low: 0, high: 9 },
  { name: "web 2", last: null, low: 5, high: 5 },
  { name: "api", last: 3, low: 1, high: 3 },
];
const names = (column, down) => sorted(SERIES, { column, down }).map(({ name }) => name);

test("series are sorted by value or name; those without a value are the least", () => {
  assert.deepEqual(names("last", true), ["api", "web 10", "web 2"]);
  assert.deepEqual(names("high", false), ["api", "web 2", "web 10"]);
  assert.deepEqual(names("name", false), ["api", "web 2", "web 10"]);
});

test("a click shows a series alone, another click all of them again", () => {
  const all = ["a", "b", "c"];
  const alone = hiddenAfter(new Set(), all, "b", false);
  assert.deepEqual([...alone], ["a", "c"]);
  assert.deepEqual([...hiddenAfter(alone, all, "b", false)], []);
  assert.deepEqual([...hiddenAfter(alone, all, "c", false)], ["a", "b"]);
});

test("with Shift a click hides a series or shows it", () => {
  const hidden = hiddenAfter(new Set(), ["a", "b"], "b", true);
  assert.deepEqual([...hidden], ["b"]);
  assert.deepEqual([...hiddenAfter(hidden, ["a", "b"], "b", true)], []);
});
