// The alerts: which fire, which will, who was notified, who is not.

import { ask, askAlertmanager, graphLink } from "./ask.js";
import { byId, make, replaceItems, symbol } from "./dom.js";
import { firedIn, levelOfSeverity } from "./marks.js";
import { format, showRange, state } from "./state.js";
import { moment, until, zone } from "./times.js";

const ORDER = ["firing", "held", "silenced", "muted", "pending"];
const SIGNS = { held: "◷", silenced: "⊘", muted: "⊘", pending: "…" };
const FOLDED = 4; // so many alerts of one name are one item
const NOT_SENT = "NOT SENT to anyone: no channel takes it";

const seconds = (time) => Date.parse(time) / 1000;
const ended = (time) => !time || time.startsWith("0001");

/**
 * Return Alertmanager's alerts, of which it has one in the group of each receiver: with the channels
 * that take it, and the windows that mute it in others.
 */
export function merged(groups) {
  const found = new Map();
  for (const { receiver, alerts } of groups) {
    for (const alert of alerts) {
      const { fingerprint, status } = alert;
      if (!found.has(fingerprint)) {
        found.set(fingerprint, { ...alert, channels: new Set(), windows: new Set() });
      }
      const { channels, windows } = found.get(fingerprint);
      for (const window of status.mutedBy ?? []) windows.add(window);
      if (!status.mutedBy?.length && receiver.name !== "none") channels.add(receiver.name);
    }
  }
  return [...found.values()];
}

/** Return the alert at Alertmanager that a rule's alert is; it may have more labels there. */
function counterpart(labels, known) {
  return known.find((one) =>
    Object.entries(labels).every(([key, value]) => one.labels[key] === value),
  );
}

function delivery(found, known, silences) {
  if (!found) return { note: "Alertmanager does not have it yet" };
  const { silencedBy = [], inhibitedBy = [] } = found.status;
  const silence = silences.find(({ id }) => silencedBy.includes(id));
  if (silence) {
    const { endsAt, createdBy, comment } = silence;
    const note = `silenced until ${until(seconds(endsAt))} by ${createdBy}: ${comment}`;
    return { kind: "silenced", note };
  }
  if (inhibitedBy.length) {
    const causes = known.filter((one) => inhibitedBy.includes(one.fingerprint));
    const names = [...new Set(causes.map((one) => one.labels.alertname))].join(", ");
    return { kind: "muted", note: `muted, because it follows from ${names || "another alert"}` };
  }
  const [channels, windows] = [found.channels, found.windows].map((one) => [...one].join(", "));
  if (channels) return { note: `sent by ${channels}` };
  if (windows) return { kind: "muted", note: `muted at this time of day: ${windows}` };
  return { unsent: NOT_SENT };
}

function entryOf(rule, alert, known, silences) {
  const { labels, annotations, activeAt, keepFiringSince } = alert;
  const level = levelOfSeverity(labels.severity);
  const entry = { labels, annotations, level, query: rule.query };
  const since = seconds(activeAt);
  if (alert.state === "pending") {
    // When Prometheus was restarted, an alert may take longer, and keeps its begin.
    const due = since + rule.duration;
    const when = due * 1000 > Date.now() ? `at ${until(due)}` : "at the next evaluation";
    const notes = [`since ${until(since)}`, `fires ${when} if it lasts`];
    return { ...entry, kind: "pending", notes };
  }
  const over = ended(keepFiringSince) ? null : seconds(keepFiringSince);
  const held = `over since ${until(over)}, held until ${until(over + rule.keepFiringFor)}`;
  const sent = known ? delivery(counterpart(labels, known), known, silences) : {};
  const kind = sent.kind ?? (over ? "held" : "firing");
  const notes = [over ? held : `since ${until(since)}`, ...(sent.note ? [sent.note] : [])];
  return { ...entry, kind, notes, unsent: sent.unsent ?? "" };
}

/**
 * Return what the banner shows of each alert: its kind (see ORDER), labels, annotations and notes.
 * `groups` are those of Prometheus's rules; without `known`, nobody could ask Alertmanager.
 */
export function entries(groups, known, silences) {
  const rank = ({ kind, level }) => 2 * ORDER.indexOf(kind) + (level === "critical" ? 0 : 1);
  const name = ({ labels }) => `${labels.alertname} ${labels.host}`;
  return groups
    .flatMap((group) => group.rules)
    .flatMap((rule) => rule.alerts.map((alert) => [rule, alert]))
    .filter(([, { labels }]) => labels.severity !== "none") // the Watchdog, which always fires
    .map(([rule, alert]) => entryOf(rule, alert, known, silences))
    .sort((a, b) => rank(a) - rank(b) || name(a).localeCompare(name(b)));
}

/** Return a silence's matchers as text. */
export function matchersOf({ matchers }) {
  const sign = ({ isEqual = true, isRegex }) =>
    isRegex ? (isEqual ? "=~" : "!~") : isEqual ? "=" : "!=";
  return matchers.map((one) => one.name + sign(one) + one.value).join(", ");
}

const isOurs = (address) => /^(https?:\/)?\//.test(address ?? "");

function linksOf({ labels, annotations, query }) {
  const links = [];
  if (isOurs(annotations.runbook_url))
    links.push(make("a", { href: annotations.runbook_url }, "Runbook"));
  if (annotations.dashboard) {
    const address = format({ ...state, host: labels.host ?? "", panel: "" });
    links.push(make("a", { href: `${annotations.dashboard}.html${address}` }, "Dashboard"));
  }
  links.push(make("a", { href: graphLink([{ expr: query }]) }, "Query"));
  return links.flatMap((link) => [" ", link]);
}

const signOf = ({ kind, level }) => SIGNS[kind] ?? (level === "critical" ? "✖" : "▲");
const titleOf = ({ kind, labels }) =>
  `${kind === "firing" ? "" : `${kind}: `}${labels.severity ?? "alert"}: ${labels.alertname}`;

const lookOf = (entry, part) => ({
  class: `alert ${entry.kind === "firing" ? entry.level : entry.kind}`,
  "data-title": `${titleOf(entry)} ${part}`,
});

function alertItem(entry) {
  const { labels, annotations, notes, unsent } = entry;
  const host = labels.host && !annotations.summary?.startsWith(labels.host) ? [labels.host] : [];
  const said = [...host, ...notes].join("; ");
  const line = make(
    "p",
    {},
    symbol(signOf(entry)),
    make("strong", {}, titleOf(entry)),
    ` ${annotations.summary ?? ""} (${said})`,
  );
  if (unsent) line.append(" ", make("strong", { class: "unsent" }, `${unsent}.`));
  line.append(...linksOf(entry));
  return make("li", lookOf(entry, labels.host), line);
}

/** Return items for alerts; many of one name and kind are one that opens. */
function alertItems(found) {
  const groups = Map.groupBy(
    found,
    ({ kind, labels }) => `${kind} ${labels.severity} ${labels.alertname}`,
  );
  return [...groups.values()].flatMap((group) => {
    const items = group.map(alertItem);
    if (items.length < FOLDED) return items;
    const [first] = group;
    const title = make("strong", {}, titleOf(first));
    const rest = ` ${group.length} times${first.unsent ? `; ${first.unsent}` : ""}`;
    const summary = make("summary", {}, symbol(signOf(first)), title, rest);
    const list = make("ul", { class: "alerts" }, ...items);
    return [make("li", lookOf(first, "all"), make("details", {}, summary, list))];
  });
}

const textItem = (kind, text, ...more) =>
  make("li", { class: `alert ${kind}` }, make("p", {}, text, ...more));

function summary(found) {
  if (found.some(({ kind }) => kind === "firing")) return [];
  if (!found.length) return [textItem("ok", "✓ No alert is firing or pending.")];
  const others = ORDER.filter((kind) => found.some((one) => one.kind === kind));
  const counts = others.map((kind) => `${found.filter((one) => one.kind === kind).length} ${kind}`);
  return [
    textItem("ok", `✓ No alert is firing that somebody should act on now: ${counts.join(", ")}.`),
  ];
}

function silenceItem(silence) {
  const { endsAt, createdBy, comment } = silence;
  const text = `Silence until ${until(seconds(endsAt))} by ${createdBy}: ${comment} (${matchersOf(silence)})`;
  return textItem("silenced", symbol(SIGNS.silenced), text);
}

/** Show the alerts of now; return their states in words, for those who hear them. */
export async function showAlerts() {
  const place = byId("alerts-list");
  const asked = [
    ask("rules", { type: "alert" }),
    askAlertmanager("alerts/groups"),
    askAlertmanager("silences"),
  ];
  const [rules, alerts, silences] = await Promise.allSettled(asked);
  if (rules.status === "rejected") {
    place.replaceChildren(textItem("critical", `✖ Alerts are not known. ${rules.reason.message}`));
    return [["Alerts", "not known"]];
  }
  const known = alerts.value ? merged(alerts.value) : null;
  const active = (silences.value ?? []).filter(({ status }) => status.state === "active");
  const found = entries(rules.value.groups, known, active);
  const items = [...summary(found), ...alertItems(found), ...active.map(silenceItem)];
  const failed = alerts.reason ?? silences.reason;
  if (failed)
    items.push(
      textItem(
        "warning",
        `▲ Who was notified and what is silenced is not known. ${failed.message}`,
      ),
    );
  replaceItems(place, items);
  const said = found.map(({ kind, labels }) => [
    `Alert ${labels.alertname} ${labels.host ?? ""}`,
    kind,
  ]);
  return [["Alerts", `${found.filter(({ kind }) => kind === "firing").length} firing`], ...said];
}

/** Return what is said when no alert of the past is shown. */
export function withoutAlerts(alerts) {
  if (!alerts) return " Which alerts fired is not known.";
  return alerts.length ? "" : " No alert fired in this period.";
}

/** Show the alerts that fired in a period of the past, null if nobody knows them. */
export function showPastAlerts(alerts, end) {
  const items = (alerts ?? []).map((alert) => {
    const runbook = make("a", { href: `runbooks/${alert.name}.html` }, "Runbook");
    const title = make("strong", {}, alert.text);
    return textItem(
      alert.level,
      symbol(alert.level === "critical" ? "✖" : "▲"),
      title,
      ` fired ${firedIn(alert)} `,
      runbook,
    );
  });
  const now = make("button", { type: "button" }, "Show now");
  now.addEventListener("click", () => showRange(state.range));
  const text = `The past is shown. The tiles have the values of its end, ${moment(end)} (${zone()}).${withoutAlerts(alerts)} `;
  const note = textItem("past", text, now);
  byId("alerts-list").replaceChildren(note, ...items);
}
