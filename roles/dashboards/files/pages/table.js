// The table below a graph: it has the graph's values for all who do not see or point.

import { swatch } from "./chart.js";
import { breakable, make } from "./dom.js";
import { clock } from "./times.js";
import { format, isBad, levelOf, WORDS } from "./units.js";

/** Return a panel's series in the order that is chosen: {column, down}. No value is the least. */
export function sorted(shown, { column, down }) {
  const number = (value) => value ?? Number.NEGATIVE_INFINITY;
  const orders = {
    name: (a, b) => a.name.localeCompare(b.name, "en", { numeric: true }),
    last: (a, b) => number(a.last) - number(b.last),
    low: (a, b) => a.low - b.low,
    high: (a, b) => a.high - b.high,
  };
  const order = orders[column];
  return [...shown].sort((a, b) => (down ? order(b, a) : order(a, b)));
}

/**
 * Return which series a click on one hides: all others, or if these are hidden none; only this one,
 * or it no longer, if it is to be toggled.
 */
export function hiddenAfter(hidden, names, name, toggle) {
  if (toggle) return new Set(names.filter((one) => hidden.has(one) !== (one === name)));
  const alone = names.every((one) => hidden.has(one) === (one !== name));
  return new Set(alone ? [] : names.filter((one) => one !== name));
}

function heading(view, column, text, resort) {
  const chosen = view.sort.column === column;
  const button = make("button", { type: "button", title: "Sort by this" }, text);
  const order = view.sort.down ? "descending" : "ascending";
  button.addEventListener("click", () => {
    view.sort = { column, down: chosen ? !view.sort.down : column !== "name" };
    resort();
    view.table.querySelector(`th[data-column="${column}"] button`).focus();
  });
  const sort = { "aria-sort": chosen ? order : null, "data-column": column };
  return make("th", { scope: "col", ...sort }, button);
}

function nameCell(view, one, choose) {
  const shown = !view.hidden.has(one.name);
  const help = "Click: this one alone, again: all. With Shift: hide or show this one.";
  const attributes = { type: "button", "aria-pressed": String(shown), title: help };
  const picture = view.panel.words ? null : swatch(view.shown.indexOf(one));
  const button = make("button", attributes, picture, breakable(one.name));
  button.addEventListener("click", (event) => {
    const names = view.shown.map(({ name }) => name);
    const toggle = event.shiftKey || event.ctrlKey || event.metaKey;
    view.hidden = hiddenAfter(view.hidden, names, one.name, toggle);
    choose();
  });
  return make("th", { scope: "row" }, button);
}

/** Fill the table. `choose` is called when other series are to be shown. */
export function showTable(view, choose) {
  const { panel } = view;
  const active = view.table.contains(document.activeElement)
    ? document.activeElement.textContent
    : null;
  const resort = () => showTable(view, choose);
  const columns = panel.words
    ? [["low", "Worst"]]
    : [
        ["low", "Lowest"],
        ["high", "Highest"],
      ];
  const head = [
    heading(
      view,
      "name",
      view.more ? `Series (${view.more} more in Prometheus's graph)` : "Series",
      resort,
    ),
    heading(view, "last", "Latest", resort),
    ...columns.map(([column, text]) => heading(view, column, text, resort)),
  ];
  view.when = head[1].firstChild;
  view.cells = new Map(view.shown.map((one) => [one, make("td")]));
  const rows = sorted(view.shown, view.sort).map((one) => {
    const values = columns.map(([column]) => make("td", {}, format(one[column], panel)));
    const look = { class: view.hidden.has(one.name) ? "off" : "" };
    return make("tr", look, nameCell(view, one, choose), view.cells.get(one), ...values);
  });
  view.table.replaceChildren(
    make("caption", { class: "hidden" }, `Values of ${panel.title}`),
    make("thead", {}, make("tr", {}, ...head)),
    make("tbody", {}, ...rows),
  );
  if (active)
    [...view.table.querySelectorAll("button")].find((one) => one.textContent === active)?.focus();
  showValues(view, null);
}

/** Show in the table the values at a time, which is given by its index, or the last ones. */
export function showValues(view, index) {
  if (!view.cells) return;
  const latest = index === null || index === undefined;
  view.when.textContent = latest ? "Latest" : clock(view.times[index], view.length);
  for (const [one, cell] of view.cells) {
    const value = latest ? one.last : one.values[index];
    const level = levelOf(value, view.panel);
    const bad = isBad(level);
    cell.textContent = (bad ? `${WORDS[level][0]} ` : "") + format(value, view.panel);
    cell.className = bad ? `bad ${level}` : "";
  }
}
