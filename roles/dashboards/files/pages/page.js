// A page: its controls, and the round that asks and shows everything.

import { ask, begin, scrapedEvery, USER } from "./ask.js";
import { showAlerts, showPastAlerts } from "./banner.js";
import { draw } from "./chart.js";
import { announce, byId, make } from "./dom.js";
import { listMarks, loadMarks } from "./marks.js";
import { panelView, showPanel, slug } from "./panel.js";
import {
  change,
  changeLook,
  listen,
  move,
  RANGES,
  REFRESHES,
  read,
  show,
  showPeriod,
  showRange,
  state,
  THEMES,
  ZONES,
} from "./state.js";
import { showValues } from "./table.js";
import { showCards, showTiles } from "./tiles.js";
import { clock, fromField, stretch, toField, zone } from "./times.js";

const PRINTED = { width: 225, height: 120 }; // a graph's size in CSS pixels
const NAME = document.body.dataset.dashboard;
let dashboards;
let current; // none on the overview
let marks = [];
let hosts = [];
let views = [];
let running = null;
let timer = 0;
let shown; // the period of the last round

// ---- Controls ----

function choice(key, label, options, choose) {
  const entries = options.map(([value, text]) => make("option", { value }, text));
  const select = make("select", { id: key }, ...entries);
  select.addEventListener("change", () => choose(select.value));
  return make("label", {}, label, select);
}

function button(text, label, act) {
  const attributes = { type: "button", ...(label ? { "aria-label": label, title: label } : {}) };
  const element = make("button", attributes, text);
  element.addEventListener("click", act);
  return element;
}

/** The period that is shown, in words; it opens to choose another. */
function periodControl() {
  const field = (id, label) => {
    const input = make("input", { id, type: "datetime-local", step: "1", required: "" });
    return make("label", {}, label, input);
  };
  const form = make(
    "form",
    {},
    field("from", "From"),
    field("to", "To"),
    make("button", {}, "Show"),
  );
  const details = make(
    "details",
    { class: "period" },
    make("summary", { id: "period" }, "…"),
    form,
  );
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    details.open = false;
    showPeriod(fromField(byId("from").value), fromField(byId("to").value));
  });
  return details;
}

const rangeText = (range) =>
  range.replace(/(\d+)(\w)/, (_, count, unit) => `${count} ${unit === "m" ? "min" : unit}`);

function showControls(byHost) {
  const place = byId("controls");
  if (NAME !== "index") {
    const ranges = Object.keys(RANGES).sort((a, b) => RANGES[a] - RANGES[b]);
    const options = [...ranges.map((one) => [one, rangeText(one)]), ["", "from – to"]];
    place.append(
      choice("range", "Range", options, (range) => range && showRange(range)),
      button("‹", "Earlier", () => move(-0.5, 1)),
      button("›", "Later", () => move(0.5, 1)),
      button("−", "Zoom out", () => move(0, 2)),
      periodControl(),
    );
  }
  if (byHost && hosts.length > 1) {
    const options = [["", "all"], ...hosts.map((one) => [one, one])];
    place.append(choice("host", "Host", options, (host) => change({ host })));
  }
  const refreshes = [10, 30, 60, 0].map((one) => [one, REFRESHES[one]]);
  place.append(
    choice("refresh", "Refresh", refreshes, (value) => changeLook({ refresh: value })),
    choice("theme", "Colours", Object.entries(THEMES), (theme) => changeLook({ theme })),
    choice("zone", "Times", Object.entries(ZONES), (value) => changeLook({ zone: value })),
    button("Now", "", () => (state.from === null ? refresh() : showRange(state.range))),
    make("span", { id: "updated" }, "Loading…"),
  );
}

/** Let the controls say what is shown. */
function showState() {
  show();
  for (const key of ["refresh", "theme", "zone", "host"]) {
    if (byId(key)) byId(key).value = state[key];
  }
  if (!byId("range") || !shown) return;
  byId("range").value = state.from === null ? state.range : "";
  byId("period").textContent = `${stretch(shown.start, shown.end)} (${zone()})`;
  if (byId("period").parentNode.open) return; // somebody types
  byId("from").value = toField(shown.start);
  byId("to").value = toField(shown.end);
}

// ---- The panels ----

/** Make the places of the panels: of all, or of the one that is shown alone. */
function layPanels() {
  const alone = current?.sections
    .flatMap((one) => one.panels)
    .find((one) => slug(one.title) === state.panel);
  const sections = alone ? [{ title: "", panels: [alone] }] : (current?.sections ?? []);
  document.body.classList.toggle("alone", Boolean(alone));
  for (const { chart } of views) chart?.destroy();
  views = [];
  const parts = sections.flatMap(({ title, panels }) => {
    const mine = panels.map((panel) => panelView(panel, Boolean(alone)));
    views.push(...mine);
    const attributes = title ? { id: `section-${slug(title)}` } : { class: "hidden" };
    const heading = make("h2", attributes, title || "Panel");
    return [heading, make("div", { class: "panels" }, ...mine.map((view) => view.element))];
  });
  byId("sections").replaceChildren(...parts);
  byId("sections").dataset.panel = state.panel;
}

// ---- The round ----

async function showAll() {
  shown = begin(Date.now() / 1000);
  const fired = current || !shown.live ? loadMarks(marks) : Promise.resolve([]);
  const past = !shown.live && fired.then((alerts) => showPastAlerts(alerts, shown.end));
  const tiles = current ? showTiles(current) : showCards(dashboards);
  const [said, alerts] = await Promise.all([
    tiles,
    past ? past.then(() => []) : showAlerts(),
    fired.then(() => Promise.all(views.map(showPanel))), // the graphs show the marks
  ]);
  if (current) listMarks();
  announce([...alerts, ...said]);
}

async function refresh() {
  clearTimeout(timer);
  if (running) {
    running.again = true; // what was chosen since then is asked for next
    return;
  }
  running = { again: false };
  show(); // the theme, which printing or the browser may have changed: graphs take its colours
  if (byId("sections").dataset.panel !== state.panel) layPanels();
  const done = await showAll().then(
    () => `Updated ${clock(Date.now() / 1000)}${current ? "" : ` (${zone()})`}`,
    (error) => `✖ This page has a fault: ${error.message}`,
  );
  showState();
  byId("updated").textContent = done;
  const { again } = running;
  running = null;
  document.body.dataset.ready = "yes";
  if (again) refresh();
  else if (shown.live && Number(state.refresh)) {
    timer = setTimeout(() => document.hidden || refresh(), state.refresh * 1000);
  }
}

/** Print in light colours, and graphs as wide as their column of three. */
function beforePrint() {
  document.documentElement.dataset.theme = "light";
  for (const view of views) if (view.chart) draw(view, showValues, PRINTED);
}

async function start() {
  read();
  show();
  const known = ask("label/host/values").catch(() => []);
  try {
    const answer = await fetch(`${USER}dashboards.json`);
    if (!answer.ok) throw new Error(`The server answered ${answer.status}.`);
    const source = await answer.json();
    scrapedEvery(source.interval);
    ({ dashboards, marks } = source);
  } catch (error) {
    const text = `✖ The dashboards cannot be loaded. ${error.message}`;
    byId("alerts-list").replaceChildren(make("li", { class: "message error" }, text));
    return;
  }
  current = dashboards.find((one) => one.name === NAME);
  hosts = await known;
  if (!hosts.includes(state.host)) state.host = "";
  showControls(!current || JSON.stringify(current).includes("$host"));
  layPanels();
  listen(() => {
    showState();
    refresh();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", refresh);
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden && shown?.live && Number(state.refresh)) refresh();
  });
  addEventListener("beforeprint", beforePrint);
  addEventListener("afterprint", () => {
    for (const view of views) view.look = "";
    refresh();
  });
  refresh();
}

start();
