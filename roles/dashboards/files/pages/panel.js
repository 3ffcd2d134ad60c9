// A panel: its question, a graph, a table, help.

import { graphLink, legend, times, valuesOver } from "./ask.js";
import { draw, follow, redraw, showSeries } from "./chart.js";
import { make } from "./dom.js";
import { showIncidents } from "./incidents.js";
import { change, state } from "./state.js";
import { showTable, showValues } from "./table.js";
import { stretch } from "./times.js";
import { limitsOf } from "./units.js";

const SERIES = 12; // of a panel among others

/** Return the name of a panel or section in addresses. */
export const slug = (title) =>
  title
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, "-")
    .replace(/^-|-$/g, "");

/** Return the help of a panel or tile. */
export function explanation(panel, queries) {
  const limits = limitsOf(panel);
  const text = [panel.help, limits && `${limits}.`].filter(Boolean).join(" ");
  const link = make(
    "a",
    { href: graphLink(queries), target: "_blank", rel: "noopener" },
    "In Prometheus's graph",
  );
  const summary = make("summary", { "aria-label": `Help on ${panel.title}` }, "Help");
  return make("details", {}, summary, make("p", {}, text), link);
}

/** Return a link to the panel alone, or from there back to all. */
function ownLink(panel, alone) {
  const attributes = { "data-page": "", "data-panel": alone ? "" : slug(panel.title), href: "" };
  const title = alone ? "Show all panels" : "Show this panel alone, with an address of its own";
  const label = `${alone ? "All panels" : panel.title}${alone ? "" : ", alone"}`;
  const link = make(
    "a",
    { ...attributes, class: "own", title, "aria-label": label },
    alone ? "✕" : "⤢",
  );
  link.addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    change({ panel: link.dataset.panel });
  });
  return link;
}

/** Make a panel's place on the page. */
export function panelView(panel, alone) {
  const keys =
    "Left and right arrow move the cursor, plus and minus zoom; the table below has the values.";
  const label = { role: "group", "aria-label": `Graph of ${panel.title}. ${keys}` };
  const scroll = {
    class: "scroll",
    tabindex: "0",
    role: "region",
    "aria-label": `Values of ${panel.title}`,
  };
  const view = {
    panel,
    alone,
    hidden: new Set(),
    sort: { column: panel.words ? "name" : "last", down: !panel.words },
    graph: make("div", { class: "chart", tabindex: "0", ...label }),
    tip: make("div", { class: "tip", "aria-hidden": "true" }),
    message: make("p", { class: "message" }, "Loading…"),
    table: make("table", { class: "values" }),
    help: make("div", { class: "help" }),
  };
  view.scroll = make("div", scroll, view.table);
  view.tip.hidden = view.graph.hidden = view.scroll.hidden = true;
  view.element = make(
    "section",
    { class: `panel ${panel.kind ?? ""} ${panel.wide ? "wide" : ""}`, "aria-label": panel.title },
    make("div", { class: "title" }, make("h3", {}, panel.title), ownLink(panel, alone)),
    make("p", { class: "question" }, panel.question),
    view.message,
    view.graph,
    view.scroll,
    view.help,
  );
  follow(view);
  return view;
}

async function seriesOf(view) {
  const { panel } = view;
  const answers = await Promise.all(panel.queries.map((query) => valuesOver(query.expr)));
  view.counted = answers.some((found) => found.length);
  const series = answers
    .flatMap((found, index) =>
      found.map(({ labels, values }) => {
        const known = values.filter((value) => value !== null);
        return {
          name: legend(panel.queries[index].legend, labels),
          values,
          known,
          last: values.at(-1) ?? values.at(-2) ?? null,
          low: known.reduce((a, b) => Math.min(a, b), Infinity),
          high: known.reduce((a, b) => Math.max(a, b), -Infinity),
        };
      }),
    )
    .filter(({ known }) => known.length);
  const most = view.alone ? Infinity : SERIES;
  if (series.length <= most) return series;
  return [...series].sort((a, b) => (b.last ?? -1) - (a.last ?? -1));
}

/** Return why a panel is empty: a series without numbers was counted, no series perhaps was not. */
export function emptiness({ empty }, counted, period) {
  const host = state.host ? ` on ${state.host}` : "";
  const why = empty ? `: ${empty}${counted ? "" : ", or nobody counted"}` : "";
  return `No data${why}, ${period}${host}.`;
}

/** Ask for a panel's values and show them. */
export async function showPanel(view) {
  const open = view.help.querySelector("details")?.open;
  view.help.replaceChildren(explanation(view.panel, view.panel.queries));
  view.help.firstChild.open = Boolean(open);
  try {
    if (view.panel.kind === "incidents") {
      await showIncidents(view);
      return;
    }
    const series = await seriesOf(view);
    const at = times();
    const shown = series.slice(0, view.alone ? Infinity : SERIES);
    view.message.className = "message";
    view.message.textContent = shown.length
      ? ""
      : emptiness(view.panel, view.counted, stretch(at[0], at.at(-1)));
    view.graph.hidden = view.scroll.hidden = !shown.length;
    if (!shown.length) return;
    const length = at.at(-1) - at[0];
    Object.assign(view, { shown, times: at, length, more: series.length - shown.length });
    const names = shown.map(({ name }) => name);
    const look = JSON.stringify([names, document.documentElement.dataset.theme, state.zone]);
    if (view.look === look) redraw(view);
    else draw(view, showValues);
    view.look = look;
    const choose = () => {
      showSeries(view);
      showTable(view, choose);
    };
    showTable(view, choose);
  } catch (error) {
    view.message.className = "message error";
    view.message.textContent = `✖ ${error.message}${view.chart ? " The graph is an older one." : ""}`;
  }
}
