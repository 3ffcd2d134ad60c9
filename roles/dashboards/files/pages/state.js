// What is shown. It stands in the page's address, so that a link and the back button keep it.

export const RANGES = {
  "15m": 900,
  "1h": 3600,
  "3h": 10800,
  "6h": 21600,
  "12h": 43200,
  "1d": 86400,
  "2d": 172800,
  "7d": 604800,
  "30d": 2592000,
};
export const REFRESHES = { 10: "10 s", 30: "30 s", 60: "1 min", 0: "off" };
export const THEMES = { auto: "auto", light: "light", dark: "dark" };
export const ZONES = { local: "local", utc: "UTC" };

// from and to, in seconds, replace the range when both are there; panel is the one shown alone.
export const DEFAULTS = {
  range: "1h",
  from: null,
  to: null,
  refresh: "30",
  host: "",
  theme: "auto",
  zone: "local",
  panel: "",
};
const CHOICES = { range: RANGES, refresh: REFRESHES, theme: THEMES, zone: ZONES };
const SHORTEST = 60;
const LATEST = 253402300799; // 9999-12-31T23:59:59Z: later years have more digits
const AROUND = 1800; // seconds before and after what happened

export const state = { ...DEFAULTS };

/** Return the seconds of a time such as 2026-11-27T09:40:00Z or, as Grafana writes it, in ms. */
function seconds(text) {
  const time = Math.floor((/^\d{11,}$/.test(text) ? Number(text) : Date.parse(text)) / 1000);
  return time >= 0 && time <= LATEST ? time : null;
}

const utc = (time) => `${new Date(time * 1000).toISOString().slice(0, 19)}Z`;

/** Return the state of an address's query; what it does not name, or names wrongly, is default. */
export function parse(query) {
  const given = new URLSearchParams(query);
  const found = { ...DEFAULTS };
  for (const key of ["range", "refresh", "theme", "zone", "host", "panel"]) {
    const value = given.get(key);
    if (value && (!CHOICES[key] || Object.hasOwn(CHOICES[key], value))) found[key] = value;
  }
  const [from, to] = ["from", "to"].map((key) => seconds(given.get(key) ?? ""));
  if (from !== null && to !== null && to - from >= SHORTEST) Object.assign(found, { from, to });
  return found;
}

/** Return the query of an address for a state. What is default is left out. */
export function format(wanted) {
  const written = { ...wanted };
  if (wanted.from !== null) {
    Object.assign(written, { from: utc(wanted.from), to: utc(wanted.to), range: DEFAULTS.range });
  }
  const query = new URLSearchParams(
    Object.entries(written).filter(([key, value]) => value !== DEFAULTS[key]),
  );
  return query.size ? `?${query.toString().replaceAll("%3A", ":")}` : "";
}

/** Return the query of an address that shows what happened from one time to another. */
export const around = (wanted, from, to) =>
  format({ ...wanted, from: from - AROUND, to: to + AROUND, panel: "" });

/** Return start and end of what is shown, and whether its end is now: then it is asked for again. */
export function period(wanted, now) {
  if (wanted.from === null) return { start: now - RANGES[wanted.range], end: now, live: true };
  const live = wanted.to > now && wanted.from < now - SHORTEST;
  return { start: wanted.from, end: live ? now : wanted.to, live };
}

/** Return the state of a period: a minute or longer, since 1970, and never only in the future. */
export function between(from, to, now) {
  const length = Math.min(Math.max(SHORTEST, Math.round(to - from)), Math.floor(now));
  const start = Math.max(0, Math.round(Math.min((from + to - length) / 2, now - length)));
  return { from: start, to: start + length };
}

/** Return the state after moving by a share of the length, and making it so many times longer. */
export function moved(wanted, now, by, times) {
  const { start, end } = period(wanted, now);
  const length = (end - start) * times;
  const middle = (start + end) / 2 + by * (end - start);
  return between(middle - length / 2, middle + length / 2, now);
}

/** Read the address. */
export function read() {
  Object.assign(state, parse(location.search));
}

let changed = () => {};

/** Call a function after each change of the state, the back button's too. */
export function listen(listener) {
  changed = listener;
  addEventListener("popstate", () => {
    const before = format(state);
    read();
    if (format(state) !== before) changed();
  });
}

/** Change what is shown. The back button leads to what was shown before. */
export function change(changes) {
  Object.assign(state, changes);
  history.pushState(null, "", location.pathname + format(state));
  changed();
}

/** Change how it is shown: that is no step back. */
export function changeLook(changes) {
  Object.assign(state, changes);
  history.replaceState(null, "", location.pathname + format(state));
  changed();
}

/** Zoom or move. */
export const showPeriod = (from, to) => change(between(from, to, Date.now() / 1000));
export const move = (by, times) => change(moved(state, Date.now() / 1000, by, times));
export const showRange = (range) => change({ range, from: null, to: null });

/** Show the theme, and let links to other pages keep what is shown. */
export function show() {
  const wantsDark = matchMedia("(prefers-color-scheme: dark)").matches;
  const dark = state.theme === "dark" || (state.theme === "auto" && wantsDark);
  document.documentElement.dataset.theme = dark ? "dark" : "light";
  for (const link of document.querySelectorAll("a[data-page]")) {
    link.search = format({ ...state, panel: link.dataset.panel ?? "" });
  }
}
