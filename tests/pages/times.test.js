// Times in words, in UTC and in the browser's time zone.

import assert from "node:assert/strict";
import { test } from "node:test";
import { state } from "../../roles/dashboards/files/pages/state.js";
import * as times from "../../roles/dashboards/files/pages/times.js";

process.env.TZ = "America/New_York"; // so that UTC is another zone than the browser's
state.zone = "utc";
const TIME = Date.parse("2026-11-27T09:40:05Z") / 1000;

test("seconds are shown in short stretches, days in long ones", () => {
  assert.equal(times.clock(TIME), "09:40:05");
  assert.equal(times.clock(TIME, 7 * 86400), "27 Nov, 09:40");
});

test("a stretch names its day once", () => {
  assert.equal(times.stretch(TIME, TIME + 3600), "27 Nov 2026, 09:40 – 10:40");
  assert.equal(times.stretch(TIME, TIME + 86400), "27 Nov 2026, 09:40 – 28 Nov 2026, 09:40");
});

test("lengths read as people say them", () => {
  const said = [20, 330, 3600, 7800, 3 * 86400 + 7200].map(times.length);
  assert.deepEqual(said, ["under 1 min", "5 min", "1 h", "2 h 10 min", "3 d 2 h"]);
});

test("a form's field and its time lead to each other", () => {
  assert.equal(times.toField(TIME), "2026-11-27T09:40:05");
  assert.equal(times.fromField("2026-11-27T09:40:05"), TIME);
});

test("the time zone has a name", () => {
  assert.equal(times.zone(), "UTC");
  state.zone = "local";
  assert.equal(times.clock(TIME), "04:40:05");
  assert.equal(times.zone(), "America/New_York, UTC-5");
  state.zone = "utc";
});
