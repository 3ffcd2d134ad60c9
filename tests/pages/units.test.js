// Numbers in words, and the ends of axes.

import assert from "node:assert/strict";
import { test } from "node:test";
import {
  axisTexts,
  format,
  levelOf,
  limitsOf,
  yRange,
} from "../../roles/dashboards/files/pages/units.js";

const panel = (unit, thresholds = {}, more = {}) => ({ unit, thresholds, ...more });
const above = (value) => ({ above: true, value });
const below = (value) => ({ above: false, value });

test("values read as people write them", () => {
  for (const [value, unit, text] of [
    [0.5, "percent", "50 %"],
    [0.9995, "percent", "99.95 %"], // not 100 %
    [0.00001, "percent", "< 0.01 %"],
    [0, "seconds", "0 s"],
    [0.0123, "seconds", "12.3 ms"],
    [90, "seconds", "90 s"],
    [7201, "seconds", "2 h"],
    [1536, "bytes", "1.5 KiB"],
    [3 * 2 ** 30, "bytes/s", "3 GiB/s"],
    [12, "count", "12"],
    [2.5e6, "per second", "2.5 M /s"],
    [-0.00001, "number", "> -0.001"],
    [null, "count", "–"],
    [Number.NaN, "count", "–"],
  ]) {
    assert.equal(format(value, panel(unit)), text, `${value} ${unit}`);
  }
  assert.equal(format(0, panel("state", {}, { words: { 0: "down", 1: "up" } })), "down");
});

test("a level is the worst whose threshold is passed", () => {
  const load = panel("number", { warning: above(2), critical: above(4) });
  assert.deepEqual(
    [1, 2, 3, 5, null].map((value) => levelOf(value, load)),
    ["ok", "ok", "warning", "critical", "none"],
  );
  assert.equal(levelOf(0.1, panel("percent", { critical: below(0.5) })), "critical");
  assert.equal(levelOf(0, panel("count")), "plain");
  assert.equal(limitsOf(load), "Warning above 2, Critical above 4");
});

test("the axis of a percentage starts at zero", () => {
  assert.equal(yRange(panel("percent", { warning: above(0.9) }), [0.94, 0.99])[0], 0);
  assert.equal(yRange(panel("percent", { warning: below(0.9) }), [0.97, 0.99])[0], 0);
});

test("only an objective close to 100 % is looked at more closely, while it is nearly kept", () => {
  const availability = panel("percent", { critical: below(0.999) });
  const [low, high] = yRange(availability, [0.9995, 1]);
  assert.ok(low > 0.99 && low < 0.999 && high > 1);
  assert.equal(yRange(availability, [0.5, 1])[0], 0);
});

test("a threshold that is near is on the graph, one that is far is not", () => {
  const load = panel("number", { warning: above(2) });
  assert.ok(yRange(load, [1.5])[1] > 2);
  assert.ok(yRange(load, [0.1])[1] < 2);
  assert.deepEqual(yRange(panel("count"), [0]), [0, 1.08]);
});

test("an axis' texts have as many digits as their steps need", () => {
  assert.deepEqual(axisTexts(panel("percent"), [0, 0.005, 0.01], 0.005), [
    "0.0 %",
    "0.5 %",
    "1.0 %",
  ]);
  assert.deepEqual(axisTexts(panel("bytes"), [0, 2 ** 20], 2 ** 20), ["0 MiB", "1 MiB"]);
});
