// How Prometheus is asked.

import assert from "node:assert/strict";
import { test } from "node:test";
import { aligned, expression, legend, stepOf } from "../../roles/dashboards/files/pages/ask.js";

test("points are whole scrapes apart, whatever the interval is", () => {
  assert.equal(stepOf(900, 15), 15);
  assert.equal(stepOf(86400, 15), 300);
  assert.equal(stepOf(900, 60), 60);
  assert.equal(stepOf(30000, 60), 120);
});

test("a window reaches back to the point before and a scrape more", () => {
  assert.equal(expression("rate(x[$window])", "", 15, 15), "rate(x[300s])");
  assert.equal(expression("rate(x[$window])", "", 7200, 60), "rate(x[7260s])");
  assert.equal(expression("min_over_time(x[$step])", "", 15, 15), "min_over_time(x[30s])");
});

test("a host is no regular expression", () => {
  assert.equal(expression('up{host=~"$host"}', "", 15, 15), 'up{host=~".+"}');
  assert.equal(expression('up{host=~"$host"}', "shop.1", 15, 15), 'up{host=~"shop\\\\.1"}');
  assert.equal(expression("$host", "$&", 15, 15), "\\\\$&");
});

test("series have all times, and null where Prometheus has no number", () => {
  const samples = [
    [100, "1"],
    [130, "NaN"],
    [145, "2.5"],
  ];
  assert.deepEqual(aligned(samples, [100, 115, 130, 145], 15), [1, null, null, 2.5]);
});

test("a series is named by its labels", () => {
  assert.equal(legend("{{host}} {{ mode }}", { host: "a", mode: "b" }), "a b");
  assert.equal(legend("{{host}}", {}), "none");
  assert.equal(legend("", {}), "");
});
