// Questions to Prometheus and to Alertmanager.

import { period, state } from "./state.js";

const POINTS = 300; // of a graph
const AT_ONCE = 6; // requests: nginx limits them
const PATIENCE = 30; // seconds

const here = globalThis.location ?? { origin: "", pathname: "" }; // in tests there is no page
// Without the user and password that the page's own address may have.
export const USER = here.origin + here.pathname.replace(/\/user\/.*$/, "/user/");
const PROMETHEUS = USER.replace(/user\/$/, "api/v1/");
const ALERTMANAGER = USER.replace(/user\/$/, "alertmanager/api/v2/");
const GRAPH = USER.replace(/user\/$/, "classic/graph");

const waiting = [];
let asking = 0;
let interval = 15;
let answers = new Map();
let shown = period(state, 0);

/** Set the seconds between two scrapes. */
export function scrapedEvery(seconds) {
  interval = seconds;
}

/** Begin a round: the questions from now on are about the same period. */
export function begin(now) {
  answers = new Map();
  shown = period(state, now);
  return shown;
}

async function answerOf(url, service) {
  for (let attempt = 0; ; attempt++) {
    let answer;
    try {
      answer = await fetch(url, { signal: AbortSignal.timeout(PATIENCE * 1000) });
    } catch (error) {
      const late = error.name === "TimeoutError";
      throw new Error(
        `${service} ${late ? `did not answer within ${PATIENCE} s` : "cannot be reached"}.`,
      );
    }
    if (answer.status !== 429 || attempt === 6) return answer;
    await new Promise((resolve) => setTimeout(resolve, 1000 + 2000 * Math.random()));
  }
}

async function inTurn(url, service) {
  if (asking >= AT_ONCE) await new Promise((resolve) => waiting.push(resolve));
  else asking++;
  try {
    return await answerOf(url, service);
  } finally {
    if (waiting.length) waiting.shift()();
    else asking--;
  }
}

/** Return the data of an answer of Prometheus's API; throw an error in words. */
export async function ask(path, parameters = {}) {
  const answer = await inTurn(
    `${PROMETHEUS}${path}?${new URLSearchParams(parameters)}`,
    "Prometheus",
  );
  const body = await answer.json().catch(() => null);
  if (body?.status === "success") return body.data;
  throw new Error(
    body?.error ? `Prometheus refuses: ${body.error}` : `The server answered ${answer.status}.`,
  );
}

/** Return an answer of Alertmanager's API. */
export async function askAlertmanager(path) {
  const answer = await inTurn(`${ALERTMANAGER}${path}`, "Alertmanager");
  if (answer.ok) return answer.json();
  throw new Error(`The server answered ${answer.status} for Alertmanager.`);
}

/** Return the seconds between a graph's points: whole scrapes. */
export const stepOf = (length, scrape) =>
  Math.ceil(Math.max(scrape, length / POINTS) / scrape) * scrape;

/**
 * Return a query with its placeholders filled in. A step reaches back to the point before and a
 * scrape more, so that no sample is missed; a window too, and is long enough for a rate.
 */
export function expression(text, host, step, scrape) {
  const pattern = host ? host.replace(/[.*+?^${}()|[\]\\]/g, "\\\\$&") : ".+";
  return text
    .replaceAll("$host", () => pattern)
    .replaceAll("$step", `${step + scrape}s`)
    .replaceAll("$window", `${Math.max(300, step + scrape)}s`);
}

/** Return the period that is shown, and the seconds between two scrapes. */
export const currentPeriod = () => ({ ...shown, interval });

const step = () => stepOf(shown.end - shown.start, interval);
export const filled = (text) => expression(text, state.host, step(), interval);

/** Ask for the values at the end of the period; each expression once a round. */
export function valuesNow(expr) {
  if (!answers.has(expr)) {
    const time = shown.live ? {} : { time: shown.end };
    answers.set(expr, ask("query", { query: filled(expr), ...time }));
  }
  return answers.get(expr);
}

/** Return the times of the period's points. All graphs of a round have the same. */
export function times() {
  const width = step();
  const align = Math.min(width, 60);
  const end = Math.floor(shown.end / align) * align;
  const start = end - Math.floor((shown.end - shown.start) / width) * width;
  return Array.from({ length: (end - start) / width + 1 }, (_, index) => start + index * width);
}

/** Ask for the values over the period; those that are no numbers are null. */
export async function valuesOver(expr) {
  if (!answers.has(`${expr} over`)) {
    const at = times();
    const range = { start: at[0], end: at.at(-1), step: step() };
    const data = ask("query_range", { query: filled(expr), ...range }).then(({ result }) =>
      result.map((one) => ({ labels: one.metric, values: aligned(one.values, at, range.step) })),
    );
    answers.set(`${expr} over`, data);
  }
  return answers.get(`${expr} over`);
}

/** Return a series' values at the times `at`, null where it has none. */
export function aligned(samples, at, width) {
  const values = Array(at.length).fill(null);
  for (const [time, text] of samples) {
    const value = Number(text);
    if (Number.isFinite(value)) values[Math.round((time - at[0]) / width)] = value;
  }
  return values;
}

/** Return the text of a series' name: a template such as "{{host}} {{mode}}". */
export function legend(template, labels) {
  const text = template.replace(/\{\{\s*(\w+)\s*\}\}/g, (_, label) => labels[label] ?? "").trim();
  return text || (template ? "none" : "");
}

/** Return the address of Prometheus's own graph of some queries over the same period. */
export function graphLink(queries) {
  const fields = queries.flatMap((query, index) => [
    [`g${index}.expr`, filled(query.expr)],
    [`g${index}.tab`, "0"],
    [`g${index}.range_input`, `${Math.round(shown.end - shown.start)}s`],
    ...(shown.live ? [] : [[`g${index}.end_input`, endInput(shown.end)]]),
  ]);
  return `${GRAPH}?${new URLSearchParams(fields)}`;
}
const endInput = (seconds) => new Date(seconds * 1000).toISOString().slice(0, 16).replace("T", " ");
