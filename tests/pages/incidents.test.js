// Incidents: begin, end and length, of what Prometheus has recorded.

import assert from "node:assert/strict";
import { test } from "node:test";

import {
  incidentsOf,
  lasted,
  merged,
  spans,
  unclear,
} from "../../roles/dashboards/files/pages/incidents.js";

const INTERVAL = 15;
const GAP = 37.5;

/** Samples from `from` to `to`, both included. */
const samples = (from, to, up) =>
  Array.from({ length: (to - from) / INTERVAL + 1 }, (_, index) => {
    const time = from + index * INTERVAL;
    return { from: time, to: time, up };
  });

test("an incident lasts from its first sample to the first that is up again", () => {
  const series = [...samples(0, 60, true), ...samples(75, 120, false), ...samples(135, 300, true)];
  const { found, down, recorded, missing } = incidentsOf(series, GAP, 300);
  assert.deepEqual(found, [{ from: 75, to: 135 }]);
  assert.deepEqual([down, recorded, missing], [60, 300, 0]);
});

test("an incident of a single sample counts", () => {
  const series = [...samples(0, 60, true), ...samples(75, 75, false), ...samples(90, 120, true)];
  assert.deepEqual(incidentsOf(series, GAP, 120).found, [{ from: 75, to: 90 }]);
});

test("one that is not over is open, and one that the period begins with may be older", () => {
  const { found } = incidentsOf(samples(0, 300, false), GAP, 310);
  assert.deepEqual(found, [{ from: 0, to: 300, earlier: true, open: true }]);
});

test("nothing is known where nothing was recorded", () => {
  const before = [...samples(0, 30, true), ...samples(45, 60, false)];
  const lost = incidentsOf([...before, ...samples(600, 690, true)], GAP, 690);
  assert.deepEqual(lost.found, [{ from: 45, to: 60, lost: true }]);
  assert.deepEqual([lost.recorded, lost.missing], [150, 540]);
  const after = [...samples(0, 30, true), ...samples(600, 630, false), ...samples(645, 690, true)];
  assert.deepEqual(incidentsOf(after, GAP, 690).found, [{ from: 600, to: 645, earlier: true }]);
  assert.deepEqual(incidentsOf(before, GAP, 690).found, [{ from: 45, to: 60, lost: true }]);
  assert.deepEqual(incidentsOf([], GAP, 690).found, []);
});

test("a late sample is no gap", () => {
  const series = [...samples(0, 30, true), ...samples(60, 120, true)];
  assert.equal(incidentsOf(series, GAP, 120).missing, 0);
});

test("only steps that were up and down, or lack samples, are looked at", () => {
  const times = [100, 200, 300, 400, 500];
  const series = [
    { means: [1, 0.5, 0, 0, null], counts: [10, 10, 10, 10, null] },
    { means: [1, 1, 1, 1, 1], counts: [10, 10, 10, 3, 10] },
  ];
  assert.deepEqual(unclear(times, series, 100, 10), [
    [100, 200],
    [300, 400],
  ]);
});

test("too many looks become fewer, longer ones", () => {
  const stretches = () => [
    [0, 10],
    [10, 20],
    [40, 50],
    [100, 110],
  ];
  assert.deepEqual(merged(stretches(), 9, 10), [
    [0, 20],
    [40, 50],
    [100, 110],
  ]);
  assert.deepEqual(merged(stretches(), 2, 10), [
    [0, 50],
    [100, 110],
  ]);
});

test("a step that was looked at has its samples in its place", () => {
  const series = {
    means: [1, 0.5, null],
    samples: [
      [115.2, "1"],
      [130.2, "0"],
    ],
  };
  assert.deepEqual(spans([100, 200, 300], series, 100, [[100, 200]]), [
    { from: 0, to: 100, up: true },
    { from: 115.2, to: 115.2, up: true },
    { from: 130.2, to: 130.2, up: false },
  ]);
});

test("lengths are to the second", () => {
  assert.equal(lasted(135), "2 min 15 s");
  assert.equal(lasted(90061), "1 d 1 h 1 min 1 s");
  assert.equal(lasted(0), "0 s");
});
