// Tiles, and on the overview a card for each dashboard with its worst tiles.

import { legend, valuesNow } from "./ask.js";
import { byId, make, replaceItems, symbol } from "./dom.js";
import { explanation } from "./panel.js";
import { format, levelOf, WORDS } from "./units.js";

const RANK = ["critical", "none", "warning", "ok", "plain"];

/** Return whether a tile without a number is well: NaN, nothing was there to count; null, nobody counted. */
export const isQuiet = (value, tile) => Number.isNaN(value) && Boolean(tile.empty);

/** Return a state for each series of a tile, which has one if it has no legend. */
async function statesOf(tile) {
  const data = await valuesNow(tile.expr);
  const series = data.result.map(({ metric, value }) => ({
    title: tile.legend ? `${tile.title}: ${legend(tile.legend, metric)}` : tile.title,
    value: Number(value[1]),
  }));
  if (!series.length) series.push({ title: tile.title, value: null });
  return series.map((one) => {
    const level = levelOf(one.value, tile);
    return { ...one, tile, level, quiet: isQuiet(one.value, tile) };
  });
}

/** Return the sign and word of a tile's state. */
export const wordOf = ({ level, quiet }) => (quiet ? ["–", "Nothing to report"] : WORDS[level]);

const word = (sign, text) => make("div", { class: "word" }, symbol(sign), text);

function tileItem(state) {
  const { title, value, level, tile, quiet } = state;
  return make(
    "li",
    {
      class: `tile ${quiet ? "plain" : level}`,
      title: tile.question,
      "data-title": title,
    },
    make("h3", {}, title),
    make("div", { class: "value" }, quiet ? tile.empty : format(value, tile)),
    word(...wordOf(state)),
    explanation(tile, [tile]),
  );
}

const errorItem = (title, error) =>
  make(
    "li",
    { class: "tile critical" },
    make("h3", {}, title),
    make("p", { class: "message error" }, `✖ ${error.message}`),
  );

/** Show a dashboard's tiles; return their states in words, for those who hear them. */
export async function showTiles(dashboard) {
  const said = [];
  const items = await Promise.all(
    dashboard.tiles.map(async (tile) => {
      try {
        const states = await statesOf(tile);
        said.push(...states.map((one) => [one.title, wordOf(one)[1]]));
        return states.map(tileItem);
      } catch (error) {
        said.push([tile.title, "not known"]);
        return [errorItem(tile.title, error)];
      }
    }),
  );
  replaceItems(byId("tiles"), items.flat());
  return said;
}

/** Return what a card of the overview says of a dashboard's tiles. */
export function cardLines(states) {
  const bad = states.filter(({ level }) => ["critical", "none", "warning"].includes(level));
  const judged = states.filter(({ level }) => level !== "plain");
  const text = (one) =>
    `${one.title}: ${one.level === "none" ? "no data" : format(one.value, one.tile)}`;
  if (bad.length) return bad.map((one) => `${WORDS[one.level][0]} ${text(one)}`);
  if (judged.length === 1) return ["The check is OK."];
  if (judged.length) return [`All ${judged.length} checks are OK.`];
  return [states.slice(0, 3).map(text).join(" · ")];
}

/** Show the overview's cards; return the dashboards' states in words. */
export async function showCards(dashboards) {
  const said = [];
  byId("tiles").classList.add("cards");
  const items = await Promise.all(
    dashboards.map(async (dashboard) => {
      const link = make("a", { "data-page": "", href: `${dashboard.name}.html` }, dashboard.title);
      try {
        const found = (await Promise.all(dashboard.tiles.map(statesOf))).flat();
        const states = found.filter(({ quiet }) => !quiet);
        const level = RANK.find((rank) => states.some((one) => one.level === rank)) ?? "plain";
        said.push([dashboard.title, WORDS[level][1]]);
        const question = make("p", { class: "question" }, dashboard.question);
        const lines = cardLines(states).map((line) => make("p", {}, line));
        const title = make("h3", { class: "value" }, link);
        return make(
          "li",
          { class: `tile ${level}`, "data-title": dashboard.title },
          title,
          word(...WORDS[level]),
          question,
          ...lines,
        );
      } catch (error) {
        said.push([dashboard.title, "not known"]);
        return errorItem(link, error);
      }
    }),
  );
  replaceItems(byId("tiles"), items);
  return said;
}
