// What is shown, as the address has it.

import assert from "node:assert/strict";
import { test } from "node:test";
import {
  around,
  between,
  DEFAULTS,
  format,
  moved,
  parse,
  period,
} from "../../roles/dashboards/files/pages/state.js";

const NOON = Date.parse("2026-11-27T12:00:00Z") / 1000;

test("an address and what it says lead to each other", () => {
  const address = "?host=shop1&panel=cpu-used&from=2026-11-27T10:00:00Z&to=2026-11-27T10:30:00Z";
  const found = parse(address);
  assert.deepEqual(found, {
    ...DEFAULTS,
    host: "shop1",
    panel: "cpu-used",
    from: NOON - 7200,
    to: NOON - 5400,
  });
  assert.deepEqual(parse(format(found)), found);
  assert.match(format(found), /from=2026-11-27T10:00:00Z/); // to be read by people
  assert.equal(format(DEFAULTS), "");
});

test("what an address names wrongly is left out", () => {
  for (const wrong of [
    "?range=2y&theme=pink&zone=mars&refresh=1&colour=red",
    "?range=constructor",
    "?from=2026-11-27T10:00:00Z",
    "?from=yesterday&to=today",
    "?from=2026-11-27T10:00:00Z&to=2026-11-27T10:00:00Z",
    "?from=2026-11-27T10:00:00Z&to=99999999999999999999",
    "?from=-000001-01-01T00:00:00Z&to=2026-11-27T10:00:00Z",
    "?from=2026-11-27T10:00:00Z&to=253402300800000",
  ]) {
    assert.deepEqual(parse(wrong), DEFAULTS, wrong);
  }
});

test("Grafana's milliseconds are understood", () => {
  const { from, to } = parse("?from=1795773600000&to=1795775400000");
  assert.deepEqual([from, to], [1795773600, 1795775400]);
});

test("a range ends now, the past does not move, and what ends in the future is asked for again", () => {
  assert.deepEqual(period(DEFAULTS, NOON), { start: NOON - 3600, end: NOON, live: true });
  const past = { ...DEFAULTS, from: NOON - 7200, to: NOON - 3600 };
  assert.deepEqual(period(past, NOON), { start: NOON - 7200, end: NOON - 3600, live: false });
  const incident = { ...DEFAULTS, from: NOON - 1800, to: NOON + 1800 };
  assert.deepEqual(period(incident, NOON), { start: NOON - 1800, end: NOON, live: true });
  assert.equal(period(incident, NOON + 86400).live, false);
});

test("no period is shorter than a minute or in the future only", () => {
  assert.deepEqual(between(NOON - 605, NOON - 595, NOON), { from: NOON - 630, to: NOON - 570 });
  assert.deepEqual(between(NOON, NOON + 3600, NOON), { from: NOON - 3600, to: NOON });
});

test("moving and zooming out keep the middle where they can", () => {
  const shown = { ...DEFAULTS, from: NOON - 7200, to: NOON - 3600 };
  assert.deepEqual(moved(shown, NOON, -0.5, 1), { from: NOON - 9000, to: NOON - 5400 });
  assert.deepEqual(moved(shown, NOON, 0, 2), { from: NOON - 9000, to: NOON - 1800 });
  assert.deepEqual(moved(DEFAULTS, NOON, 0.5, 1), { from: NOON - 3600, to: NOON });
  assert.deepEqual(moved(shown, NOON, 0, 1e12), { from: 0, to: NOON }); // an address can name no more
});

test("a link to an incident shows it, and what was before and after", () => {
  const query = around(
    { ...DEFAULTS, host: "shop1", panel: "incidents" },
    NOON - 7200,
    NOON - 7140.5,
  );
  const { from, to, host, panel } = parse(query);
  assert.deepEqual([from, to, host, panel], [NOON - 9000, NOON - 5341, "shop1", ""]);
});
