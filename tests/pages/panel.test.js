// What an empty panel says.

import assert from "node:assert/strict";
import { test } from "node:test";
import { emptiness } from "../../roles/dashboards/files/pages/panel.js";

test("an empty panel does not claim what nobody counted", () => {
  const panel = { empty: "no requests" };
  assert.equal(emptiness(panel, true, "today"), "No data: no requests, today.");
  assert.equal(emptiness(panel, false, "today"), "No data: no requests, or nobody counted, today.");
  assert.equal(emptiness({}, false, "today"), "No data, today.");
});
