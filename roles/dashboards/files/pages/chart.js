// Graphs, drawn by uPlot.

import { make, symbol } from "./dom.js";
import { drawMarks, marksAt } from "./marks.js";
import { move, showPeriod } from "./state.js";
import { clock, dateIn } from "./times.js";
import { axisTexts, format, isBad, levelOf, STEPS, WORDS, yRange } from "./units.js";

const FONT = "system-ui, sans-serif";
const ROW = 24; // pixels of a state's row
const NAMED = 12; // series in a tooltip

const color = (name) =>
  getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
const stroke = (index) => color(`s${index % 6}`);
const dash = (index) => [[], [7, 4], [2, 3]][Math.floor(index / 6) % 3];
const seen = (view) => view.shown.filter((one) => !view.hidden.has(one.name));

/** Return a small picture of a series' line. */
export function swatch(index) {
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  const line = document.createElementNS(space, "line");
  svg.setAttribute("viewBox", "0 0 26 10");
  svg.setAttribute("aria-hidden", "true");
  for (const [name, value] of Object.entries({ x1: 0, x2: 26, y1: 5, y2: 5 })) {
    line.setAttribute(name, value);
  }
  line.style.stroke = `var(--s${index % 6})`;
  line.style.strokeWidth = 3;
  line.style.strokeDasharray = dash(index).join(" ");
  svg.append(line);
  return svg;
}

/** Draw states: a row for each series, coloured and thick where it is as it should not be. */
function drawRows(u, view) {
  const { ctx, bbox } = u;
  const pixel = devicePixelRatio;
  const rows = seen(view);
  const height = bbox.height / rows.length;
  const x = (index) => u.valToPos(u.data[0][Math.min(index, u.data[0].length - 1)], "x", true);
  ctx.font = `${12 * pixel}px ${FONT}`;
  ctx.textBaseline = "middle";
  ctx.textAlign = "left";
  rows.forEach(({ name, values }, row) => {
    const top = bbox.top + row * height;
    for (let from = 0, to = 0; from < values.length; from = to) {
      while (to < values.length && values[to] === values[from]) to++;
      if (values[from] === null) continue;
      const bad = isBad(levelOf(values[from], view.panel));
      const margin = bad ? pixel : height * 0.12;
      ctx.fillStyle = color(bad ? "critical" : "ok-back");
      const width = Math.max(x(to) - x(from), 2 * pixel);
      ctx.fillRect(x(from), top + margin, width, height - 2 * margin);
    }
    ctx.fillStyle = color("text");
    ctx.fillText(name, bbox.left + 6 * pixel, top + height / 2, bbox.width - 12 * pixel);
  });
}

/** Draw the thresholds, as dashed lines with their names. */
function drawLimits(u, { panel }) {
  const { ctx, bbox } = u;
  const pixel = devicePixelRatio;
  ctx.setLineDash([6 * pixel, 4 * pixel]);
  ctx.lineWidth = 1.5 * pixel;
  ctx.font = `${11 * pixel}px ${FONT}`;
  ctx.textAlign = "right";
  for (const [level, { value }] of Object.entries(panel.thresholds)) {
    if (value < u.scales.y.min || value > u.scales.y.max) continue;
    const y = Math.round(u.valToPos(value, "y", true));
    const right = bbox.left + bbox.width;
    ctx.strokeStyle = ctx.fillStyle = color(level);
    ctx.beginPath();
    ctx.moveTo(bbox.left, y);
    ctx.lineTo(right, y);
    ctx.stroke();
    const above = y < bbox.top + 16 * pixel ? 12 : -4;
    const aside = level === "warning" && panel.thresholds.critical ? 70 : 3; // beside its name
    ctx.fillText(WORDS[level].join(" "), right - aside * pixel, y + above * pixel);
  }
}

function timeTexts(ticks, gap) {
  const pad = (number) => String(number).padStart(2, "0");
  return ticks.map((tick) => {
    const date = dateIn(tick);
    const midnight = date.getHours() === 0 && date.getMinutes() === 0 && date.getSeconds() === 0;
    if (gap >= 86400 || midnight) {
      return `${date.getDate()} ${date.toLocaleString("en", { month: "short" })}`;
    }
    const parts = [date.getHours(), date.getMinutes(), ...(gap < 60 ? [date.getSeconds()] : [])];
    return parts.map(pad).join(":");
  });
}

function axes(panel) {
  const grid = { stroke: color("line"), width: 1 };
  const base = { stroke: color("soft"), grid, ticks: grid, font: `12px ${FONT}` };
  const time = {
    ...base,
    size: 30,
    space: 64,
    values: (u, ticks, axis, space, gap) => timeTexts(ticks, gap),
  };
  if (panel.words) return [time, { show: false }];
  const widest = (texts) => Math.max(4, ...(texts ?? []).map((text) => text.length));
  const numbers = {
    size: (u, texts) => 18 + 7 * widest(texts),
    space: 34,
    incrs: STEPS[panel.unit],
    values: (u, ticks, axis, space, gap) => axisTexts(panel, ticks, gap),
  };
  return [time, { ...base, ...numbers }];
}

/** Show the values at the cursor beside it, the largest first, and what happened there. */
function showTip(u, view) {
  const { left, idx } = u.cursor;
  const here = view.graph.matches(":hover") || view.graph === document.activeElement;
  const shown = here && left >= 0 && idx !== null && idx !== undefined;
  view.tip.hidden = !shown;
  if (!shown) return;
  const values = seen(view)
    .map((one) => ({ ...one, value: one.values[idx], index: view.shown.indexOf(one) }))
    .filter(({ value }) => value !== null)
    .sort((a, b) => (view.panel.words ? 0 : b.value - a.value));
  const rows = values.slice(0, NAMED).map(({ name, value, index }) => {
    const level = levelOf(value, view.panel);
    const text = (isBad(level) ? `${WORDS[level][0]} ` : "") + format(value, view.panel);
    const picture = view.panel.words ? null : swatch(index);
    return make("p", { class: level }, picture, make("span", {}, name), make("b", {}, text));
  });
  if (values.length > NAMED) rows.push(make("p", {}, `and ${values.length - NAMED} more`));
  const marks = marksAt(u, left).map(([kind, text]) =>
    make("p", { class: kind }, symbol("▪"), text),
  );
  view.tip.replaceChildren(
    make("p", { class: "when" }, clock(view.times[idx], view.length)),
    ...rows,
    ...marks,
  );
  const right = left > u.over.clientWidth / 2;
  view.tip.style.left = right ? "" : `${u.over.offsetLeft + left + 14}px`;
  view.tip.style.right = right ? `${u.root.clientWidth - u.over.offsetLeft - left + 14}px` : "";
}

function zoom(u, view) {
  const { left, width } = u.select;
  u.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
  if (width > 4) showPeriod(u.posToVal(left, "x"), u.posToVal(left + width, "x"));
  view.tip.hidden = true;
}

function seriesLook(panel, one, index, alone) {
  if (panel.words) return { paths: () => null, points: { show: false } };
  const few = one.known.length < 5 ? true : undefined; // a lone sample is a point
  const fill = alone ? `${stroke(index)}22` : undefined;
  return {
    stroke: stroke(index),
    dash: dash(index),
    width: 1.75,
    points: { space: 40, show: few },
    fill,
  };
}

function heightOf(view) {
  if (view.panel.words) return seen(view).length * ROW + 36;
  return Math.max(190, Math.round(innerHeight / (view.alone ? 1.8 : 5)));
}

/** Draw a panel's graph again: its series, its theme or its size have changed. */
export function draw(view, showValues, size = {}) {
  const { panel } = view;
  view.chart?.destroy();
  const range = () => {
    const values = seen(view).flatMap((one) => one.known);
    return panel.words || !values.length ? [0, 1] : yRange(panel, values);
  };
  const draws = (u) => {
    u.ctx.save();
    (panel.words ? drawRows : drawLimits)(u, view);
    u.ctx.restore();
    drawMarks(u, color);
  };
  const cursor = {
    // Only the cursor moves on the other graphs: one of them is dragged over at a time.
    sync: {
      key: "all",
      filters: { pub: (type) => type.startsWith("mousem") || type === "mouseleave" },
    },
    drag: { x: true, y: false, setScale: false, dist: 4 },
    bind: { dblclick: () => () => move(0, 2) },
    points: { show: !panel.words },
  };
  const options = {
    width: view.graph.clientWidth,
    height: heightOf(view),
    ...size,
    padding: [10, 24, 0, panel.words ? 20 : 0], // half of the last time, and of the first
    legend: { show: false },
    tzDate: dateIn,
    cursor,
    scales: {
      x: { time: true, range: () => [view.times[0], view.times.at(-1)] },
      y: { range },
    },
    axes: axes(panel),
    hooks: {
      draw: [draws],
      setSelect: [(u) => zoom(u, view)],
      setCursor: [
        (u) => {
          showValues(view, u.cursor.left < 0 ? null : u.cursor.idx);
          showTip(u, view);
        },
      ],
    },
    series: [
      {},
      ...view.shown.map((one, index) => ({
        ...seriesLook(panel, one, index, view.shown.length === 1),
        show: !view.hidden.has(one.name),
      })),
    ],
  };
  view.chart = new uPlot(options, dataOf(view), view.graph);
  view.chart.root.append(view.tip);
}

const dataOf = (view) => [view.times, ...view.shown.map((one) => one.values)];

/** Give the graph new values of the same series. */
export const redraw = (view) => view.chart.setData(dataOf(view));

/** Show and hide series as view.hidden says. */
export function showSeries(view) {
  view.shown.forEach((one, index) => {
    view.chart.setSeries(index + 1, { show: !view.hidden.has(one.name) }, false);
  });
  view.chart.setSize({ width: view.chart.width, height: heightOf(view) });
}

/** Make a graph follow the width of its place, and let keys do what the mouse does. */
export function follow(view) {
  const place = view.graph;
  new ResizeObserver(() => {
    const width = place.clientWidth;
    if (view.chart && width && view.chart.width !== width) {
      view.chart.setSize({ width, height: view.chart.height });
    }
  }).observe(view.element);
  place.addEventListener("blur", () => view.chart?.setCursor({ left: -10, top: -10 }, true, true));
  place.addEventListener("keydown", (event) => {
    if (!view.chart || event.ctrlKey || event.metaKey || event.altKey) return;
    const last = view.times.length - 1;
    const now = view.chart.cursor.left < 0 ? last : (view.chart.cursor.idx ?? last);
    const quarter = view.length / 4;
    const acts = {
      ArrowLeft: () => point(view, now - 1),
      ArrowRight: () => point(view, now + 1),
      "+": () => showPeriod(view.times[now] - quarter, view.times[now] + quarter),
      "-": () => move(0, 2),
    };
    if (!acts[event.key]) return;
    event.preventDefault();
    acts[event.key]();
  });
}

function point(view, index) {
  const time = view.times[Math.max(0, Math.min(view.times.length - 1, index))];
  view.chart.setCursor({ left: view.chart.valToPos(time, "x"), top: 20 }, true, true);
}
