// What happened, out of Prometheus's samples.

import assert from "node:assert/strict";
import { test } from "node:test";
import { countOf, named, runs } from "../../roles/dashboards/files/pages/marks.js";

test("an alert that fired twice is two", () => {
  assert.deepEqual(runs([null, 1, 1, null, 1]), [
    [1, 2],
    [4, 4],
  ]);
  assert.deepEqual(runs([1, 1]), [[0, 1]]);
  assert.deepEqual(runs([null]), []);
});

test("a start is marked once, at its own time, and not if it was before", () => {
  assert.deepEqual(named([50, 50, 130, 130, null, 160], 100, 200), [130, 160]);
});

test("kinds are counted in words", () => {
  assert.equal(countOf(["mark-restart", "critical", "mark-restart"]), "┊ 2 restarts, ▬ 1 page");
  assert.equal(countOf([]), "no release, restart or alert");
});
