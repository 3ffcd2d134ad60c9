// What the banner says of alerts: answers of Prometheus 2.53 and Alertmanager 0.28, shortened.

import assert from "node:assert/strict";
import { test } from "node:test";
import {
  entries,
  matchersOf,
  merged,
  withoutAlerts,
} from "../../roles/dashboards/files/pages/banner.js";
import { state } from "../../roles/dashboards/files/pages/state.js";

state.zone = "utc";
const START = "2020-11-27T10:00:00Z";

function rule(name, severity, more = {}, { host = "shop1", ...ofRule } = {}) {
  const labels = { alertname: name, severity, host };
  const alert = {
    labels,
    annotations: { summary: name },
    state: "firing",
    activeAt: START,
    ...more,
  };
  return { duration: 300, keepFiringFor: 600, alerts: [alert], ...ofRule };
}
function known(name, receivers, status = {}, host = "shop1") {
  const labels = { alertname: name, host };
  const alerts = [{ labels, fingerprint: name, status }];
  return receivers.map((receiver) => ({ receiver: { name: receiver }, alerts }));
}
function shown(rules, groups, silences = []) {
  const alerts = groups && merged(groups);
  for (const alert of alerts ?? []) alert.labels.severity = rules[0].alerts[0].labels.severity;
  return entries([{ rules }], alerts, silences);
}

test("who was notified is named, once each", () => {
  const [entry] = shown([rule("Down", "page")], known("Down", ["email", "none", "sms", "email"]));
  assert.equal(entry.kind, "firing");
  assert.equal(entry.level, "critical");
  assert.equal(entry.notes.at(-1), "sent by email, sms");
  assert.equal(entry.unsent, "");
});

test("NOT SENT is said of an alert that no channel takes", () => {
  const [entry] = shown([rule("Slow", "ticket")], known("Slow", ["none"]));
  assert.match(entry.unsent, /^NOT SENT to anyone/);
});

test("a silence says until when, by whom and why", () => {
  const silence = {
    id: "1",
    endsAt: "2020-11-28T11:53:00Z",
    createdBy: "ann",
    comment: "new disk",
  };
  const alerts = known("Down", ["email"], { silencedBy: ["1"] });
  const [entry] = shown([rule("Down", "page")], alerts, [silence]);
  assert.equal(entry.kind, "silenced");
  assert.match(entry.notes.at(-1), /^silenced until 28 Nov 2020, 11:53 by ann: new disk$/);
  assert.equal(entry.unsent, "");
});

test("what is muted names its cause, or the window", () => {
  const cause = known("Down", ["email"]);
  const muted = [...cause, ...known("Slow", ["none"], { inhibitedBy: ["Down"] })];
  assert.match(shown([rule("Slow", "ticket")], muted)[0].notes.at(-1), /follows from Down$/);
  const window = known("Slow", ["email"], { mutedBy: ["night"] });
  assert.match(
    shown([rule("Slow", "ticket")], window)[0].notes.at(-1),
    /at this time of day: night$/,
  );
});

test("an alert that is muted in one channel and sent by another is sent", () => {
  const night = known("Slow", ["email"], { mutedBy: ["night"] });
  const [entry] = shown([rule("Slow", "ticket")], [...night, ...known("Slow", ["sms"])]);
  assert.equal(entry.notes.at(-1), "sent by sms");
});

test("a pending alert is named, and when it fires", () => {
  const ofRule = { duration: 3e9 };
  const [entry] = shown([rule("Down", "page", { state: "pending" }, ofRule)], []);
  assert.equal(entry.kind, "pending");
  assert.match(entry.notes.join(), /fires at 22 Dec 2115, 15:20 if it lasts/);
});

test("no pending alert fires in the past", () => {
  const [entry] = shown([rule("Down", "page", { state: "pending" })], []);
  assert.deepEqual(entry.notes.slice(1), ["fires at the next evaluation if it lasts"]);
});

test("an alert that is over and held says so", () => {
  const over = { keepFiringSince: "2020-11-27T10:20:00Z" };
  const [entry] = shown([rule("Down", "page", over)], known("Down", ["email"]));
  assert.equal(entry.kind, "held");
  assert.match(entry.notes[0], /over since .*10:20, held until .*10:30/);
  const lasting = { keepFiringSince: "0001-01-01T00:00:00Z" };
  assert.equal(shown([rule("Down", "page", lasting)], known("Down", ["email"]))[0].kind, "firing");
});

test("what must be acted on comes first, and the Watchdog is left out", () => {
  const rules = [
    rule("Later", "page", { state: "pending" }),
    rule("Slow", "ticket"),
    rule("Watchdog", "none"),
    rule("Down", "page"),
  ];
  assert.deepEqual(
    shown(rules, null).map(({ labels }) => labels.alertname),
    ["Down", "Slow", "Later"],
  );
});

test("an alert of another host is another alert", () => {
  const [entry] = shown([rule("Down", "page")], known("Down", ["email"], {}, "shop2"));
  assert.equal(entry.notes.at(-1), "Alertmanager does not have it yet");
});

test("without Alertmanager nothing is said of who was notified", () => {
  const [entry] = shown([rule("Down", "page")], null);
  assert.deepEqual([entry.kind, entry.notes.length, entry.unsent], ["firing", 1, ""]);
});

test("a silence's matchers read as they are written", () => {
  const matchers = [
    { name: "host", value: "shop1", isRegex: false, isEqual: true },
    { name: "alertname", value: "Watchdog", isRegex: false, isEqual: false },
    { name: "service", value: "web|beat", isRegex: true, isEqual: true },
  ];
  assert.equal(matchersOf({ matchers }), "host=shop1, alertname!=Watchdog, service=~web|beat");
});

test("nobody says that no alert fired when nobody knows", () => {
  assert.match(withoutAlerts(null), /not known/);
  assert.match(withoutAlerts([]), /No alert fired/);
  assert.equal(withoutAlerts([{}]), "");
});
