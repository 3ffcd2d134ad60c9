// Incidents: what was down, from when to when, of series that are 1 (up) or 0 (down).

import { aligned, ask, currentPeriod, filled, legend } from "./ask.js";
import { breakable, make } from "./dom.js";
import { around, state } from "./state.js";
import { instant } from "./times.js";
import { format } from "./units.js";

const STEPS = 1000; // at most, of the first look
const LOOKS = 40; // at samples, after it
const ROWS = 100;
const GAP = 2.5; // intervals between two samples, of which one may be late

/**
 * Return what the first look leaves open, as stretches [start, end]: steps in which a series was both
 * up and down, or lacks samples. `series` have `means` and `counts` of the steps that end at `times`.
 */
export function unclear(times, series, width, interval) {
  const least = (0.9 * width) / interval - 1;
  const open = ({ means, counts }, index) =>
    means[index] !== null && ((means[index] !== 0 && means[index] !== 1) || counts[index] < least);
  return times
    .filter((_, index) => series.some((one) => open(one, index)))
    .map((end) => [end - width, end]);
}

/** Return stretches as at most `most`: the nearest become one. */
export function merged(stretches, most, width) {
  let joined = stretches;
  for (let distance = 0; distance === 0 || joined.length > most; distance = distance * 2 || width) {
    joined = stretches.reduce((list, [start, end]) => {
      if (list.length && start - list.at(-1)[1] <= distance) list.at(-1)[1] = end;
      else list.push([start, end]);
      return list;
    }, []);
  }
  return joined;
}

/** Return a series as spans {from, to, up}: each clear step is one, and each sample of the others. */
export function spans(times, { means, samples }, width, stretches) {
  const looked = (end) => stretches.some(([from, to]) => end > from && end <= to);
  const clear = times.flatMap((end, index) =>
    means[index] === null || looked(end)
      ? []
      : [{ from: end - width, to: end, up: means[index] === 1 }],
  );
  const single = samples.map(([time, value]) => ({
    from: time,
    to: time,
    up: Number(value) === 1,
  }));
  return [...clear, ...single].sort((a, b) => a.from - b.from || a.to - b.to);
}

/**
 * Return the incidents in a series' spans, and the seconds that were recorded and that it was down.
 * An incident lasts from its first sample to the first that is up again. More than `gap` seconds
 * without a sample tell nothing: an incident ends there, `lost`. One that lasts at `end` is `open`;
 * one that the series begins with is `earlier`: it may have started before.
 */
export function incidentsOf(series, gap, end) {
  const found = [];
  let recorded = 0;
  let known; // up to here
  let current = null;
  const close = (to, why) => {
    if (current) found.push({ ...current, to, ...why });
    current = null;
  };
  for (const { from, to, up } of series) {
    const lost = from - known > gap;
    if (lost) close(known, { lost: true });
    if (up) close(from);
    else current ??= { from, ...(known === undefined || lost ? { earlier: true } : {}) };
    const counted = known === undefined || lost ? from : known;
    recorded += Math.max(0, to - counted);
    known = Math.max(to, known ?? to);
  }
  close(known, end - known > gap ? { lost: true } : { open: true });
  const down = found.reduce((sum, one) => sum + one.to - one.from, 0);
  return { found, recorded, down, missing: series.length ? end - series[0].from - recorded : 0 };
}

/** Return a length of time to the second, such as "2 min 15 s". */
export function lasted(seconds) {
  const parts = [
    [86400, "d"],
    [3600, "h"],
    [60, "min"],
    [1, "s"],
  ];
  let rest = Math.round(seconds);
  const texts = parts.flatMap(([size, unit]) => {
    const count = Math.floor(rest / size);
    rest -= count * size;
    return count ? [`${count} ${unit}`] : [];
  });
  return texts.join(" ") || "0 s";
}

// ---- Asking ----

const key = ({ __name__, ...labels }) => JSON.stringify(Object.entries(labels).sort());

/** Ask for the mean and the number of samples of each series in each of the steps. */
async function firstLook(expr, times, width) {
  const over = (name) => {
    const query = `${name}_over_time(${expr}[${width}s])`;
    return ask("query_range", { query, start: times[0], end: times.at(-1), step: width });
  };
  const [means, counts] = await Promise.all([over("avg"), over("count")]);
  const countsOf = new Map(counts.result.map((one) => [key(one.metric), one.values]));
  return means.result.map(({ metric, values }) => ({
    metric,
    means: aligned(values, times, width),
    counts: aligned(countsOf.get(key(metric)) ?? [], times, width),
    samples: [],
  }));
}

/** Return the incidents of each of a query's series in the period. */
async function search(query) {
  const { start, end, interval } = currentPeriod();
  const width = Math.ceil(Math.max(interval, (end - start) / STEPS) / interval) * interval;
  const count = Math.max(1, Math.floor((end - start) / width));
  const times = Array.from({ length: count }, (_, index) => end - (count - 1 - index) * width);
  const expr = filled(query.expr);
  const series = await firstLook(expr, times, width);
  const stretches = merged(unclear(times, series, width, interval), LOOKS, width);
  const looks = stretches.map(async ([from, to]) => {
    const { result } = await ask("query", { query: `${expr}[${to - from}s]`, time: to });
    for (const { metric, values } of result) {
      series.find((one) => key(one.metric) === key(metric))?.samples.push(...values);
    }
  });
  await Promise.all(looks);
  return series.map((one) => ({
    name: legend(query.legend, one.metric),
    ...incidentsOf(spans(times, one, width, stretches), GAP * interval, end),
  }));
}

// ---- Showing ----

function table(caption, columns, rows) {
  const head = columns.map((text) => make("th", { scope: "col" }, text));
  return make(
    "table",
    { class: "values" },
    make("caption", {}, caption),
    make("thead", {}, make("tr", {}, ...head)),
    make("tbody", {}, ...rows),
  );
}

function row(name, ...contents) {
  const cells = contents.map((content) => make("td", {}, content));
  return make("tr", {}, make("th", { scope: "row" }, breakable(name)), ...cells);
}

function begin({ from, to, earlier }) {
  const text = `${earlier ? "before " : ""}${instant(from)}`;
  return make("a", { href: around(state, from, to), title: "Show that time" }, text);
}

function end({ to, open, lost }) {
  if (open) return "not over";
  return lost ? `not recorded after ${instant(to)}` : instant(to);
}

/** Ask for the incidents of the period, and list them, with the uptime of each series. */
export async function showIncidents(view) {
  const services = (await Promise.all(view.panel.queries.map(search))).flat();
  services.sort((a, b) => b.down - a.down || a.name.localeCompare(b.name));
  const all = services.flatMap(({ name, found }) => found.map((one) => ({ name, ...one })));
  all.sort((a, b) => b.from - a.from);
  const incidents = all
    .slice(0, ROWS)
    .map((one) => row(one.name, begin(one), end(one), lasted(one.to - one.from)));
  const uptimes = services.map(({ name, found, recorded, down, missing }) => {
    const uptime = format(recorded ? 1 - down / recorded : null, { unit: "percent" });
    return row(name, uptime, String(found.length), lasted(down), lasted(missing));
  });
  const columns = ["Uptime", "Incidents", "Downtime", "Not recorded"];
  const more = all.length > ROWS ? `The last ${ROWS} of ${all.length} incidents` : "Incidents";
  view.message.className = "message";
  view.message.textContent = services.length ? "" : "Nothing was recorded in this period.";
  view.scroll.hidden = !services.length;
  view.scroll.replaceChildren(
    table("Uptime", ["Service", ...columns], uptimes),
    all.length
      ? table(more, ["Service", "Begin", "End", "Length"], incidents)
      : make("p", {}, "No incident in this period."),
  );
}
