// What happened: releases, restarts and alerts, as marks on the graphs and as a list.

import { legend, times, valuesOver } from "./ask.js";
import { byId, make, symbol } from "./dom.js";
import { around, state } from "./state.js";
import { clock, length, until } from "./times.js";

const ALERTS = `max by (alertname, severity, host, service)
  (max_over_time(ALERTS{alertstate="firing", severity!="none"}[$step]))`;
const NEAR = 5; // pixels between the cursor and a mark that it is at
const LISTED = 200;

let moments = []; // {time, name, text}
let alerts = []; // {from, to, lasts, began, level, text, name}
let failure = ""; // why neither is known

export const levelOfSeverity = (severity) => (severity === "page" ? "critical" : "warning");
const chosen = (labels) => !state.host || !labels.host || labels.host === state.host;

/** Return the first and last index of each run of values. */
export function runs(values) {
  const found = [];
  values.forEach((value, index) => {
    if (value === null) return;
    if (found.at(-1)?.[1] === index - 1) found.at(-1)[1] = index;
    else found.push([index, index]);
  });
  return found;
}

/** Return the times that a series' values name, such as those of starts; only new ones. */
export const named = (values, from, to) =>
  [...new Set(values)].filter((value) => value !== null && value > from && value <= to);

async function momentsOf(mark, at) {
  const series = await valuesOver(mark.expr);
  return series
    .filter(({ labels }) => chosen(labels))
    .flatMap(({ labels, values }) =>
      named(values, at[0], at.at(-1)).map((time) => ({
        time,
        name: mark.name,
        text: legend(mark.text, labels),
      })),
    );
}

async function alertsOf(at) {
  const series = await valuesOver(ALERTS);
  return series
    .filter(({ labels }) => chosen(labels))
    .flatMap(({ labels, values }) =>
      runs(values).map(([first, last]) => ({
        from: at[first],
        to: at[last],
        lasts: last === at.length - 1,
        began: first > 0,
        level: levelOfSeverity(labels.severity),
        text: `${labels.severity}: ${labels.alertname}${labels.host ? ` (${labels.host})` : ""}`,
        name: labels.alertname,
      })),
    );
}

/** Ask for the marks of this round; return the alerts that fired in its period, null if nobody knows. */
export async function loadMarks(marks) {
  const at = times();
  let found;
  try {
    found = await Promise.all([alertsOf(at), ...marks.map((mark) => momentsOf(mark, at))]);
    failure = "";
  } catch (error) {
    alerts = moments = [];
    failure = `not known. ${error.message}`;
    return null;
  }
  alerts = found[0].sort((a, b) => a.level.localeCompare(b.level) || b.from - a.from);
  moments = found
    .slice(1)
    .flat()
    .sort((a, b) => b.time - a.time);
  return alerts;
}

/** Draw the marks: a line for each moment, a strip above the graph for each alert. */
export function drawMarks(u, color) {
  const { ctx, bbox } = u;
  const pixel = devicePixelRatio;
  const x = (time) => u.valToPos(time, "x", true);
  ctx.save();
  ctx.lineWidth = 1.5 * pixel;
  for (const { time, name } of moments) {
    const left = Math.round(x(time));
    ctx.strokeStyle = ctx.fillStyle = color(`mark-${name}`);
    ctx.setLineDash(name === "release" ? [] : [2 * pixel, 3 * pixel]);
    ctx.beginPath();
    ctx.moveTo(left, bbox.top);
    ctx.lineTo(left, bbox.top + bbox.height);
    ctx.stroke();
    ctx.beginPath(); // an arrow's head, so that a line in the grid is seen
    ctx.moveTo(left - 4 * pixel, bbox.top + bbox.height);
    ctx.lineTo(left + 4 * pixel, bbox.top + bbox.height);
    ctx.lineTo(left, bbox.top + bbox.height - 6 * pixel);
    ctx.fill();
  }
  for (const { from, to, level } of alerts) {
    ctx.fillStyle = color(level);
    const above = level === "critical" ? 8 : 4;
    const width = Math.max(x(to) - x(from), 2 * pixel);
    ctx.fillRect(x(from), bbox.top - above * pixel, width, 3 * pixel);
  }
  ctx.restore();
}

/** Return in words what happened at the cursor of a graph. */
export function marksAt(u, left) {
  const near = (time) => Math.abs(u.valToPos(time, "x") - left) <= NEAR;
  const time = u.posToVal(left, "x");
  const covers = ({ from, to }) => (from <= time && time <= to) || near(from) || near(to);
  const firing = alerts.filter(covers).map(({ level, text }) => [level, text]);
  const happened = moments.filter((one) => near(one.time));
  return [...firing, ...happened.map(({ name, text }) => [`mark-${name}`, text])];
}

/** Return when an alert fired, as far as the period shows. */
export function firedIn({ from, to, lasts, began }) {
  if (lasts) return `${began ? `since ${until(from)}` : "all the time"}, not over at the end`;
  if (!began) return `until ${until(to)}`;
  return `from ${until(from)} to ${until(to)}, ${length(to - from)}`;
}

/** List what happened, the newest first. */
export function listMarks() {
  const span = times().at(-1) - times()[0];
  const rows = [
    ...alerts.map((one) => [one.from, one.to, one.level, one.text, firedIn(one), one.name]),
    ...moments.map(({ time, name, text }) => [time, time, `mark-${name}`, text, "", ""]),
  ].sort((a, b) => b[0] - a[0]);
  const body = rows.slice(0, LISTED).map(([from, to, kind, text, when, name]) => {
    const event = name ? make("a", { href: `runbooks/${name}.html` }, text) : text;
    const cells = [make("td", { class: kind }, symbol(SIGNS[kind]), event), make("td", {}, when)];
    const time = make("a", { href: around(state, from, to) }, clock(from, span));
    return make("tr", {}, make("th", { scope: "row" }, time), ...cells);
  });
  const heading = ["Time", "Event", "Fired"].map((text) => make("th", { scope: "col" }, text));
  byId("events-count").textContent = failure || countOf(rows.map(([, , kind]) => kind));
  byId("events-list").replaceChildren(
    make("caption", { class: "hidden" }, "Releases, restarts and alerts of the period"),
    make("thead", {}, make("tr", {}, ...heading)),
    make("tbody", {}, ...body),
  );
}

const SIGNS = { "mark-release": "┃", "mark-restart": "┊", critical: "▬", warning: "▬" };
const NAMES = {
  "mark-release": "release",
  "mark-restart": "restart",
  critical: "page",
  warning: "ticket",
};

/** Return how many of each kind there are, in words. */
export function countOf(kinds) {
  const count = (kind) => kinds.filter((one) => one === kind).length;
  const counted = Object.keys(NAMES).filter(count);
  const texts = counted.map((kind) => {
    const number = count(kind);
    return `${SIGNS[kind]} ${number} ${NAMES[kind]}${number === 1 ? "" : "s"}`;
  });
  return texts.join(", ") || "no release, restart or alert";
}
