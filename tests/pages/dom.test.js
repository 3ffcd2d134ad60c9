// What screen readers read aloud. The page here has only the place where it is written.

import assert from "node:assert/strict";
import { test } from "node:test";
import { announce } from "../../roles/dashboards/files/pages/dom.js";

const news = { textContent: "" };
globalThis.document = { getElementById: () => news };

test("what has changed is said, and nothing when the page opens", () => {
  announce([
    ["Alerts", "0 firing"],
    ["Server errors", "OK"],
  ]);
  assert.equal(news.textContent, "");
  announce([
    ["Alerts", "1 firing"],
    ["Server errors", "OK"],
    ["Alert RedisDown shop1", "firing"],
  ]);
  assert.equal(news.textContent, "Alerts: 1 firing. Alert RedisDown shop1: firing.");
  announce([
    ["Alerts", "0 firing"],
    ["Server errors", "OK"],
  ]);
  assert.equal(news.textContent, "Alerts: 0 firing.");
  announce([
    ["Alerts", "1 firing"],
    ["Server errors", "OK"],
    ["Alert RedisDown shop1", "firing"],
  ]);
  assert.match(news.textContent, /RedisDown/); // again
});
