/* Fills the pages: asks the Prometheus that serves them, draws, says in words what is wrong.
   What is shown (range, refresh, host, theme) stands in the address, after #. */
"use strict";
(() => {
const USER = location.origin + location.pathname.replace(/\/user\/.*$/, "/user/"); // without a password
const API = USER.replace(/user\/$/, "api/v1/");
const GRAPH = USER.replace(/user\/$/, "classic/graph");
const NAME = document.body.dataset.dashboard;
const RANGES = { "15m": 900, "1h": 3600, "3h": 10800, "6h": 21600, "12h": 43200, "1d": 86400, "2d": 172800, "7d": 604800, "30d": 2592000 };
const REFRESHES = { 10: "10 s", 30: "30 s", 60: "1 min", 0: "off" };
const THEMES = { auto: "auto", light: "light", dark: "dark" };
const WORDS = { ok: ["✓", "OK"], warning: ["▲", "Warning"], critical: ["✖", "Critical"], plain: ["•", "Info"], none: ["?", "No data"] };
const RANK = ["critical", "none", "warning", "ok", "plain"];
const POINTS = 300, SERIES = 12;
const state = { range: "1h", refresh: "30", host: "", theme: "auto" };
let hosts = [], running = null, timer = 0, answers = new Map();

// ---- Page elements ----

function make(tag, attributes = {}, ...content) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) if (value !== null) element.setAttribute(name, value);
  element.append(...content);
  return element;
}
const byId = (id) => document.getElementById(id);

// ---- State in the address ----

function readState() {
  const given = new URLSearchParams(location.hash.slice(1));
  for (const key of Object.keys(state)) if (given.has(key)) state[key] = given.get(key);
  if (!(state.range in RANGES)) state.range = "1h";
  if (!(state.refresh in REFRESHES)) state.refresh = "30";
  if (!(state.theme in THEMES)) state.theme = "auto";
}
function showState() {
  const dark = state.theme === "dark" || (state.theme === "auto" && matchMedia("(prefers-color-scheme: dark)").matches);
  document.documentElement.dataset.theme = dark ? "dark" : "light";
  for (const link of document.querySelectorAll("a[data-page]")) link.hash = new URLSearchParams(state).toString();
  for (const key of Object.keys(state)) if (byId(key)) byId(key).value = state[key];
}
function setState(key, value) {
  state[key] = value;
  history.replaceState(null, "", "#" + new URLSearchParams(state));
  showState();
  refresh();
}

// ---- Prometheus ----

const waiting = []; let asking = 0; // at most six requests at once: nginx limits them
async function ask(path, parameters = {}) {
  if (asking >= 6) await new Promise((resolve) => waiting.push(resolve));
  else asking++;
  try {
    for (let attempt = 0; ; attempt++) {
      let answer;
      try {
        answer = await fetch(`${API}${path}?${new URLSearchParams(parameters)}`, { signal: AbortSignal.timeout(30000) });
      } catch (error) {
        throw new Error(error.name === "TimeoutError" ? "Prometheus did not answer within 30 s." : "Prometheus cannot be reached.");
      }
      if (answer.status === 429 && attempt < 6) { await new Promise((resolve) => setTimeout(resolve, 1000 + 2000 * Math.random())); continue; }
      const body = await answer.json().catch(() => null);
      if (body?.status === "success") return body.data;
      throw new Error(body?.error ? `Prometheus refuses: ${body.error}` : `The server answered ${answer.status}.`);
    }
  } finally {
    if (waiting.length) waiting.shift()(); else asking--;
  }
}
const span = () => RANGES[state.range];
const step = () => Math.ceil(Math.max(15, span() / POINTS) / 15) * 15;
function expression(text) { // a window reaches back to the point before, so that each sample counts once
  const host = state.host ? state.host.replace(/[.*+?^${}()|[\]\\]/g, "\\\\$&") : ".+";
  return text.replaceAll("$host", host).replaceAll("$window", Math.max(300, step() + 15) + "s");
}
function once(expr) { // each expression once per refresh, however many tiles have it
  if (!answers.has(expr)) answers.set(expr, ask("query", { query: expression(expr) }));
  return answers.get(expr);
}
function legend(template, labels) {
  const text = template.replace(/\{\{\s*(\w+)\s*\}\}/g, (_, label) => labels[label] ?? "").trim();
  return text || (template ? "none" : "");
}
const graphLink = (queries) => `${GRAPH}?` + new URLSearchParams(queries.flatMap((query, index) =>
  [[`g${index}.expr`, expression(query.expr)], [`g${index}.tab`, "0"], [`g${index}.range_input`, state.range]]));

// ---- Numbers in words ----

function unitOf(unit, size) { // divisor and suffix for numbers as large as `size`
  const pick = (steps) => steps.find(([least]) => size >= least) ?? steps.at(-1);
  if (unit === "percent") return [0.01, " %"];
  if (unit === "seconds") return pick([[172800, 86400, " d"], [7200, 3600, " h"], [120, 60, " min"], [1, 1, " s"], [0, 0.001, " ms"]]).slice(1);
  if (unit.startsWith("bytes")) {
    const rate = unit === "bytes" ? "" : "/s";
    return pick([[2 ** 40, 2 ** 40, " TiB"], [2 ** 30, 2 ** 30, " GiB"], [2 ** 20, 2 ** 20, " MiB"], [1024, 1024, " KiB"], [0, 1, " B"]].map(
      ([least, by, name]) => [least, by, name + rate])).slice(1);
  }
  const suffix = { "per second": " /s", "per hour": " /h", days: " d", factor: " ×" }[unit] ?? "";
  const [, by, prefix] = pick([[1e9, 1e9, " G"], [1e6, 1e6, " M"], [0, 1, ""]]);
  return [by, prefix + suffix];
}
function format(value, panel) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  if (panel.words) return panel.words[value] ?? String(value);
  if (value === 0 && panel.unit === "seconds") return "0 s";
  const [by, suffix] = unitOf(panel.unit, Math.abs(value));
  const number = value / by, size = Math.abs(number), least = panel.unit === "percent" ? 0.01 : 0.001;
  if (size && size < least) return `${number < 0 ? "> -" : "< "}${least}${suffix}`;
  const digits = panel.unit === "count" && Number.isInteger(value) && by === 1 ? 0
    : size === 0 || size >= 100 ? 0 : size >= 10 ? 1 : size >= 0.1 ? 2 : 1 - Math.floor(Math.log10(size));
  const full = panel.unit === "percent" && number > 99 && number < 100 ? 2 : digits; // 99.95 % is not 100 %
  return number.toLocaleString("en", { maximumFractionDigits: full, signDisplay: "negative" }) + suffix;
}
function levelOf(value, panel) {
  if (value === null || Number.isNaN(value)) return "none";
  for (const level of ["critical", "warning"]) {
    const limit = panel.thresholds[level];
    if (limit && (limit.above ? value > limit.value : value < limit.value)) return level;
  }
  return Object.keys(panel.thresholds).length ? "ok" : "plain";
}
const limitsOf = (panel) => Object.entries(panel.thresholds).map(([level, limit]) =>
  `${WORDS[level][1]} ${limit.above ? "above" : "below"} ${format(limit.value, panel)}`).join(", ");

// ---- Tiles ----

async function tileStates(tile) { // one for each series if the tile has a legend
  const data = await once(tile.expr);
  const series = data.result.map((one) => ({
    title: tile.legend ? `${tile.title}: ${legend(tile.legend, one.metric)}` : tile.title, value: Number(one.value[1]) }));
  if (!series.length) series.push({ title: tile.title, value: null });
  return series.map((one) => ({ ...one, tile, level: levelOf(one.value, tile) }));
}
function explanation(panel, queries) {
  const limits = limitsOf(panel);
  const parts = [panel.help, limits && `${limits}.`].filter(Boolean).join(" ");
  const link = make("a", { href: graphLink(queries), target: "_blank", rel: "noopener" }, "In Prometheus's graph");
  return make("details", {}, make("summary", { "aria-label": `Help on ${panel.title}` }, "Help"), make("p", {}, parts), link);
}
function tileElement({ title, value, level, tile }) {
  const quiet = level === "none" && tile.empty;
  const [symbol, word] = quiet ? ["–", "Nothing to tell"] : WORDS[level];
  return make("li", { class: `tile ${quiet ? "plain" : level}`, title: tile.question }, make("h3", {}, title),
    make("div", { class: "value" }, quiet ? tile.empty : level === "none" ? "–" : format(value, tile)),
    make("div", { class: "word" }, make("span", { "aria-hidden": "true" }, symbol + " "), word),
    explanation(tile, [tile]));
}
function swap(list, elements) { // keep opened help and the focus over a refresh
  const open = new Set([...list.children].filter((one) => one.querySelector("details")?.open).map((one) => one.querySelector("h3").textContent));
  const focus = list.contains(document.activeElement) && document.activeElement.closest("li")?.querySelector("h3")?.textContent;
  list.replaceChildren(...elements);
  for (const one of list.children) {
    const title = one.querySelector("h3")?.textContent;
    if (open.has(title)) one.querySelector("details").open = true;
    if (focus && focus === title) one.querySelector("summary, a")?.focus();
  }
}
function errorTile(title, error) {
  return make("li", { class: "tile critical" }, make("h3", {}, title), make("p", { class: "message error" }, `✖ ${error.message}`));
}
async function showTiles(dashboard) {
  const groups = await Promise.all(dashboard.tiles.map(async (tile) => {
    try { return (await tileStates(tile)).map(tileElement); } catch (error) { return [errorTile(tile.title, error)]; }
  }));
  swap(byId("tiles"), groups.flat());
}
async function showCards(dashboards) { // the overview: a card for each dashboard, with its worst
  byId("tiles").classList.add("cards");
  swap(byId("tiles"), await Promise.all(dashboards.map(async (dashboard) => {
    try {
      const all = (await Promise.all(dashboard.tiles.map(tileStates))).flat().filter((one) => !(one.level === "none" && one.tile.empty));
      const bad = all.filter((one) => ["critical", "none", "warning"].includes(one.level));
      const judged = all.filter((one) => one.level !== "plain");
      const level = RANK.find((rank) => all.some((one) => one.level === rank)) ?? "plain";
      const link = make("a", { "data-page": "", href: `${dashboard.name}.html` }, dashboard.title);
      const [symbol, word] = WORDS[level];
      const lines = bad.map((one) => make("p", {}, `${WORDS[one.level][0]} ${one.title}: ${one.level === "none" ? "no data" : format(one.value, one.tile)}`));
      if (!bad.length) lines.push(make("p", {}, judged.length ? `All ${judged.length} checks are well.`
        : all.slice(0, 3).map((one) => `${one.title}: ${format(one.value, one.tile)}`).join(" · ")));
      return make("li", { class: `tile ${level}` }, make("h3", { class: "value" }, link),
        make("div", { class: "word" }, make("span", { "aria-hidden": "true" }, symbol + " "), word), make("p", { class: "question" }, dashboard.question), ...lines);
    } catch (error) { return errorTile(make("a", { "data-page": "", href: `${dashboard.name}.html` }, dashboard.title), error); }
  })));
}

// ---- Firing alerts ----

async function showAlerts() {
  const place = byId("alerts");
  try {
    const all = (await ask("alerts")).alerts.filter((one) => one.labels.severity !== "none"); // none: the always-firing Watchdog
    const order = (one) => ["page", "ticket"].indexOf(one.labels.severity) >>> 0;
    const firing = all.filter((one) => one.state === "firing").sort((a, b) => order(a) - order(b));
    const pending = all.length - firing.length;
    const list = make("ul", { class: "alerts" });
    for (const { labels, annotations, activeAt } of firing) {
      const level = labels.severity === "page" ? "critical" : "warning";
      const line = make("p", {}, make("span", { "aria-hidden": "true" }, WORDS[level][0] + " "), make("strong", {}, `${labels.severity ?? "alert"}: ${labels.alertname}`),
        ` ${annotations.summary ?? ""} (${labels.host ? `${labels.host}, ` : ""}since ${new Date(activeAt).toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "short" })})`);
      const runbook = annotations.runbook_url ?? "";
      if (/^(https?:\/)?\//.test(runbook)) line.append(" ", make("a", { href: runbook }, "Runbook"));
      list.append(make("li", { class: `alert ${level}` }, line));
    }
    if (!firing.length) list.append(make("li", { class: "alert ok" }, "✓ No alert is firing."));
    if (pending) list.append(make("li", { class: "alert" }, `… ${pending} pending: not yet long enough to fire.`));
    place.replaceChildren(list);
  } catch (error) {
    place.replaceChildren(make("p", { class: "message error" }, `Alerts are not known. ${error.message}`));
  }
}

// ---- Graphs ----

const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
const stroke = (index) => color(`s${index % 6}`);
const dash = (index) => [[], [7, 4], [2, 3]][Math.floor(index / 6) % 3];
const clock = (seconds) => new Date(seconds * 1000).toLocaleString("en-GB", span() > 86400
  ? { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" } : { hour: "2-digit", minute: "2-digit", second: "2-digit" });

async function seriesOf(panel) { // aligned on one list of times
  const width = step(), align = Math.min(width, 60);
  const end = Math.floor(Date.now() / 1000 / align) * align, start = end - Math.floor(span() / width) * width;
  const times = Array.from({ length: (end - start) / width + 1 }, (_, index) => start + index * width);
  const results = await Promise.all(panel.queries.map((query) => ask("query_range", { query: expression(query.expr), start, end, step: width })));
  const series = results.flatMap((data, index) => data.result.map((one) => {
    const values = Array(times.length).fill(null);
    for (const [time, text] of one.values) {
      const value = Number(text);
      if (Number.isFinite(value)) values[Math.round((time - start) / width)] = value;
    }
    const known = values.filter((value) => value !== null);
    return { name: legend(panel.queries[index].legend, one.metric), values, known, last: values.at(-1) ?? values.at(-2) ?? null };
  })).filter((one) => one.known.length);
  const shown = series.length > SERIES ? [...series].sort((a, b) => (b.last ?? -1) - (a.last ?? -1)).slice(0, SERIES) : series;
  return { times, shown, more: series.length - shown.length };
}
function rows(panel, shown) { // a line for each series: coloured and thick where it is as it should not be
  return (u) => {
    const { ctx } = u, pixel = devicePixelRatio, height = u.bbox.height / shown.length;
    ctx.save();
    ctx.font = `${12 * pixel}px system-ui, sans-serif`;
    ctx.textBaseline = "middle";
    ctx.textAlign = "left";
    shown.forEach(({ name, values }, row) => {
      const top = u.bbox.top + row * height;
      for (let from = 0; from < values.length;) {
        let to = from;
        while (to < values.length && values[to] === values[from]) to++;
        if (values[from] !== null) {
          const level = levelOf(values[from], panel), bad = level !== "ok" && level !== "plain";
          const left = u.valToPos(u.data[0][from], "x", true), right = u.valToPos(u.data[0][Math.min(to, values.length - 1)], "x", true);
          ctx.fillStyle = color(bad ? "critical" : "ok-back");
          ctx.fillRect(left, top + (bad ? 1 : height * 0.12), Math.max(right - left, 2 * pixel), height - (bad ? 2 : height * 0.24));
        }
        from = to;
      }
      ctx.fillStyle = color("text");
      ctx.fillText(name, u.bbox.left + 6 * pixel, top + height / 2, u.bbox.width - 12 * pixel);
    });
    ctx.restore();
  };
}
function limits(panel) { // the thresholds, as dashed lines with their names
  return (u) => {
    const { ctx } = u, pixel = devicePixelRatio;
    ctx.save();
    for (const [level, { value }] of Object.entries(panel.thresholds)) {
      if (value < u.scales.y.min || value > u.scales.y.max) continue;
      const y = Math.round(u.valToPos(value, "y", true));
      ctx.strokeStyle = ctx.fillStyle = color(level);
      ctx.setLineDash([6 * pixel, 4 * pixel]);
      ctx.lineWidth = 1.5 * pixel;
      ctx.beginPath(); ctx.moveTo(u.bbox.left, y); ctx.lineTo(u.bbox.left + u.bbox.width, y); ctx.stroke();
      ctx.font = `${11 * pixel}px system-ui, sans-serif`;
      ctx.textAlign = "right";
      ctx.fillText(WORDS[level].join(" "), u.bbox.left + u.bbox.width - (level === "warning" ? 70 : 3) * pixel, y + (y < u.bbox.top + 16 * pixel ? 12 : -4) * pixel);
    }
    ctx.restore();
  };
}
function yRange(panel, shown) {
  const values = shown.flatMap((one) => one.known);
  let low = values.reduce((a, b) => Math.min(a, b), 0), high = values.reduce((a, b) => Math.max(a, b), -Infinity);
  const narrow = Math.min(...values) > 0.9 && panel.unit === "percent" && high <= 1; // availability: 99 to 100 %
  if (narrow) low = Math.floor(Math.min(...values, 0.99) * 100 - 0.5) / 100;
  for (const { value } of Object.values(panel.thresholds)) {
    if (high <= 0 && value > 0) high = value * 1.3;
    if (value > high && value <= high * 2) high = value;
    if (narrow && value < low && value > 0.9) low = value - 0.005;
  }
  if (high <= low) high = low + 1;
  if (panel.unit === "percent" && high > 0.5 && high <= 1) return [low, 1 + (1 - low) * 0.02];
  return [low < 0 ? low * 1.1 : low, high + (high - low) * 0.08];
}
const powers = (from, to, ...factors) => Array.from({ length: to - from }, (_, index) => factors.map((one) => one * 10 ** (from + index))).flat();
const binary = Array.from({ length: 50 }, (_, index) => 2 ** index);
const STEPS = { bytes: binary, "bytes/s": binary, count: powers(0, 15, 1, 2, 5),
  seconds: [...powers(-6, 1, 1, 2, 5), 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400, 21600, 43200, ...[1, 2, 5, 10, 20, 50, 100, 200, 500].map((days) => days * 86400)] };
function axes(panel) {
  const grid = { stroke: color("line"), width: 1 }, ink = color("soft");
  const base = { stroke: ink, grid, ticks: grid, font: "12px system-ui, sans-serif" };
  const pad = (number) => String(number).padStart(2, "0");
  const time = { ...base, values: (u, ticks, axis, space, gap) => ticks.map((tick) => {
    const date = new Date(tick * 1000), day = `${date.getDate()} ${date.toLocaleString("en", { month: "short" })}`;
    return gap >= 86400 || (date.getHours() === 0 && date.getMinutes() === 0) ? day : `${pad(date.getHours())}:${pad(date.getMinutes())}`;
  }), space: 60, size: 30 };
  if (panel.words) return [time, { show: false }];
  return [time, { ...base, size: (u, texts) => 18 + 7 * Math.max(4, ...(texts ?? []).map((text) => text.length)), space: 34, incrs: STEPS[panel.unit], values: (u, ticks, axis, space, gap) => {
    const [by, suffix] = unitOf(panel.unit, Math.max(...ticks.map(Math.abs)));
    let digits = 0;
    while (digits < 8 && Math.abs(Math.round(gap / by * 10 ** digits) - gap / by * 10 ** digits) > 1e-6) digits++;
    return ticks.map((tick) => (tick / by).toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits }) + suffix);
  } }];
}
function draw(panel, view, { times, shown }) {
  view.chart?.destroy();
  const height = panel.words ? shown.length * 24 + 36 : Math.max(190, Math.round(innerHeight / 5));
  const options = {
    width: view.graph.clientWidth, height, padding: [8, 10, 0, panel.words ? 4 : 0], legend: { show: false },
    cursor: { sync: { key: "all" }, drag: { x: false, y: false }, points: { show: !panel.words } },
    scales: { x: { time: true, range: () => [view.times[0], view.times.at(-1)] }, y: { range: () => panel.words ? [0, 1] : yRange(panel, view.shown) } },
    axes: axes(panel), hooks: {
      draw: [(u) => panel.words ? rows(panel, view.shown)(u) : limits(panel)(u)],
      setCursor: [(u) => showValues(panel, view, u.cursor.left < 0 ? null : u.cursor.idx)] },
    series: [{}, ...shown.map((one, index) => panel.words ? { paths: () => null, points: { show: false } } : {
      stroke: stroke(index), dash: dash(index), width: 1.75, points: { space: 40, show: one.known.length < 5 ? true : undefined }, fill: shown.length === 1 ? stroke(index) + "22" : undefined })],
  };
  view.chart = new uPlot(options, [times, ...shown.map((one) => one.values)], view.graph);
}
function swatch(index) {
  const ns = "http://www.w3.org/2000/svg", svg = document.createElementNS(ns, "svg"), line = document.createElementNS(ns, "line");
  svg.setAttribute("viewBox", "0 0 26 10");
  svg.setAttribute("aria-hidden", "true");
  for (const [name, value] of Object.entries({ x1: 0, x2: 26, y1: 5, y2: 5, stroke: stroke(index), "stroke-width": 3, "stroke-dasharray": dash(index).join(" ") })) line.setAttribute(name, value);
  svg.append(line);
  return svg;
}
function showTable(panel, view, { shown, more }) {
  const known = (one, pick) => format(one.known.reduce((a, b) => pick(a, b)), panel);
  view.when = make("th", { scope: "col" }, "Latest");
  view.cells = shown.map(() => make("td", {}));
  const extremes = panel.words ? ["Worst"] : ["Lowest", "Highest"];
  const body = shown.map((one, index) => make("tr", {}, make("th", { scope: "row" }, ...(panel.words ? [] : [swatch(index)]), one.name), view.cells[index],
    make("td", {}, known(one, Math.min)), ...(panel.words ? [] : [make("td", {}, known(one, Math.max))])));
  view.table.replaceChildren(make("caption", { class: "hidden" }, `Values of ${panel.title}`),
    make("thead", {}, make("tr", {}, make("th", { scope: "col" }, more ? `Series (${more} more in Prometheus's graph)` : "Series"), view.when,
      ...extremes.map((text) => make("th", { scope: "col" }, text)))), make("tbody", {}, ...body));
  showValues(panel, view, null);
}
function showValues(panel, view, index) {
  if (!view.cells || !view.shown) return;
  view.when.textContent = index === null || index === undefined ? "Latest" : clock(view.times[index]);
  view.shown.forEach((one, row) => {
    const value = index === null || index === undefined ? one.last : one.values[index], level = levelOf(value ?? null, panel);
    const bad = level === "warning" || level === "critical";
    view.cells[row].textContent = (bad ? WORDS[level][0] + " " : "") + format(value, panel);
    view.cells[row].className = bad ? `bad ${level}` : "";
  });
}
function panelView(panel) {
  const view = { graph: make("div", { class: "chart", tabindex: "0", role: "group", "aria-label": `Graph of ${panel.title}. Left and right arrow move the cursor; the table below has the values.` }),
    message: make("p", { class: "message" }, "Loading…"), table: make("table", { class: "values" }), help: make("div") };
  view.element = make("section", { class: "panel", "aria-label": panel.title }, make("h3", {}, panel.title), make("p", { class: "question" }, panel.question),
    view.message, view.graph, make("div", { class: "scroll" }, view.table), view.help);
  view.graph.hidden = true;
  view.graph.addEventListener("keydown", (event) => {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!by || !view.chart) return;
    event.preventDefault();
    const last = view.times.length - 1, now = view.chart.cursor.left < 0 ? last : view.chart.cursor.idx ?? last;
    const next = Math.max(0, Math.min(last, now + by));
    view.chart.setCursor({ left: view.chart.valToPos(view.times[next], "x"), top: 20 }, true, true);
  });
  view.graph.addEventListener("blur", () => view.chart?.setCursor({ left: -10, top: -10 }, true, true));
  new ResizeObserver(() => {
    if (view.chart && view.graph.clientWidth && view.chart.width !== view.graph.clientWidth) view.chart.setSize({ width: view.graph.clientWidth, height: view.chart.height });
  }).observe(view.element);
  return view;
}
async function showPanel(panel, view) {
  const open = view.help.firstChild?.open;
  view.help.replaceChildren(explanation(panel, panel.queries));
  view.help.firstChild.open = Boolean(open);
  try {
    const data = await seriesOf(panel);
    view.message.className = "message";
    view.graph.hidden = !data.shown.length;
    view.table.hidden = !data.shown.length;
    view.message.textContent = data.shown.length ? "" : `No data${panel.empty ? `: ${panel.empty}` : ""} in the last ${state.range}${state.host ? ` on ${state.host}` : ""}.`;
    if (!data.shown.length) return;
    const look = JSON.stringify([data.shown.map((one) => one.name), document.documentElement.dataset.theme, state.range]);
    Object.assign(view, { shown: data.shown, times: data.times });
    if (view.look === look && view.chart) {
      view.chart.setData([data.times, ...data.shown.map((one) => one.values)]);
    } else draw(panel, view, data);
    view.look = look;
    showTable(panel, view, data);
  } catch (error) {
    view.message.className = "message error";
    view.message.textContent = `✖ ${error.message}${view.chart ? " The graph is of before." : ""}`;
  }
}

// ---- Controls and the round ----

function choice(key, label, options) {
  const select = make("select", { id: key }, ...Object.entries(options).map(([value, text]) => make("option", { value }, text)));
  select.addEventListener("change", () => setState(key, select.value));
  return make("label", {}, label, select);
}
function showControls(usesHosts) {
  const ranges = Object.fromEntries(Object.keys(RANGES).map((key) => [key, key.replace("m", " min").replace("h", " h").replace("d", " d")]));
  const order = ["15m", "1h", "3h", "6h", "12h", "1d", "2d", "7d", "30d"].map((key) => [key, ranges[key]]);
  const place = byId("controls");
  if (NAME !== "index") place.append(choice("range", "Range", Object.fromEntries(order)));
  if (hosts.length > 1 && usesHosts) place.append(choice("host", "Host", { "": "all", ...Object.fromEntries(hosts.map((one) => [one, one])) }));
  place.append(choice("refresh", "Refresh", {}), choice("theme", "Colours", THEMES));
  byId("refresh").append(...[10, 30, 60, 0].map((key) => make("option", { value: key }, REFRESHES[key])));
  const now = make("button", { type: "button" }, "Now");
  now.addEventListener("click", () => refresh());
  place.append(now, make("span", { id: "updated" }, "Loading…"));
}
let dashboards, current, views = [];
async function refresh() {
  clearTimeout(timer);
  if (running) { running.again = true; return; } // what was chosen meanwhile is asked for next
  running = { again: false };
  answers = new Map();
  await Promise.all([showAlerts(), current ? showTiles(current) : showCards(dashboards), ...views.map(([panel, view]) => showPanel(panel, view))]);
  showState();
  byId("updated").textContent = `Updated ${new Date().toLocaleTimeString("en-GB")}`;
  const { again } = running;
  running = null;
  document.body.dataset.ready = "yes";
  if (again) refresh();
  else if (Number(state.refresh)) timer = setTimeout(() => { if (!document.hidden) refresh(); }, state.refresh * 1000);
}
async function start() {
  readState();
  showState();
  if (!NAME) return; // a runbook
  const known = ask("label/host/values").catch(() => []); // asked for meanwhile
  try {
    const answer = await fetch(`${USER}dashboards.json?v=${document.body.dataset.version}`);
    if (!answer.ok) throw new Error(`The server answered ${answer.status}.`);
    dashboards = await answer.json();
  } catch (error) {
    byId("alerts").replaceChildren(make("p", { class: "message error" }, `✖ The dashboards cannot be loaded. ${error.message}`));
    return;
  }
  current = dashboards.find((one) => one.name === NAME);
  hosts = await known;
  if (state.host && !hosts.includes(state.host)) state.host = "";
  showControls(!current || JSON.stringify(current).includes("$host"));
  for (const section of current?.sections ?? []) {
    const mine = section.panels.map((panel) => [panel, panelView(panel)]);
    views.push(...mine);
    byId("sections").append(make("h2", {}, section.title), make("div", { class: "panels" }, ...mine.map(([, view]) => view.element)));
  }
  addEventListener("hashchange", () => { readState(); showState(); refresh(); });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { showState(); refresh(); });
  document.addEventListener("visibilitychange", () => { if (!document.hidden && Number(state.refresh)) refresh(); });
  refresh();
}
start();
})();
