// Times in words, in the chosen time zone.

import { state } from "./state.js";

const pad = (number) => String(number).padStart(2, "0");
const name = () => (state.zone === "utc" ? "UTC" : undefined);

/** Return a time as text; with seconds for short stretches, with the day for long ones. */
export function clock(seconds, length = 3600) {
  const day = length > 86400 ? { day: "numeric", month: "short" } : {};
  const second = length > 86400 ? {} : { second: "2-digit" };
  const options = { ...day, hour: "2-digit", minute: "2-digit", ...second, timeZone: name() };
  return new Date(seconds * 1000).toLocaleString("en-GB", options);
}

/** Return day, hour and minute. */
export function moment(seconds) {
  const options = { dateStyle: "medium", timeStyle: "short", timeZone: name() };
  return new Date(seconds * 1000).toLocaleString("en-GB", options);
}

/** Return day and time to the second. */
export function instant(seconds) {
  const options = { dateStyle: "medium", timeStyle: "medium", timeZone: name() };
  return new Date(seconds * 1000).toLocaleString("en-GB", options);
}

/** Return hour and minute, and the day before them unless it is today. */
export function until(seconds) {
  const day = (time) => new Date(time).toLocaleDateString("en-GB", { timeZone: name() });
  const today = day(seconds * 1000) === day(Date.now());
  return today ? clock(seconds).slice(0, 5) : moment(seconds);
}

/** Return begin and end of a stretch, the day once if it is the same. */
export function stretch(start, end) {
  const [from, to] = [moment(start), moment(end)];
  const day = from.split(",")[0];
  return `${from} – ${to.startsWith(day) ? to.slice(day.length + 2) : to}`;
}

/** Return the name of the time zone, such as "Europe/Berlin, UTC+1". */
export function zone() {
  if (state.zone === "utc") return "UTC";
  const parts = new Intl.DateTimeFormat("en", { timeZoneName: "shortOffset" });
  const offset = parts.formatToParts().find((part) => part.type === "timeZoneName").value;
  const place = parts.resolvedOptions().timeZone;
  return place === "UTC" ? "UTC" : `${place}, ${offset.replace("GMT", "UTC")}`;
}

/** Return a length of time such as "5 min" or "2 h 10 min". */
export function length(seconds) {
  const minutes = Math.floor(seconds / 60);
  if (minutes < 1) return "under 1 min";
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return `${hours} h${minutes % 60 ? ` ${minutes % 60} min` : ""}`;
  return `${Math.floor(hours / 24)} d${hours % 24 ? ` ${hours % 24} h` : ""}`;
}

/** Return a date whose parts are those of the chosen time zone; for uPlot's axes. */
export function dateIn(seconds) {
  const date = new Date(seconds * 1000);
  return state.zone === "utc" ? new Date(date.getTime() + date.getTimezoneOffset() * 60000) : date;
}

/** Return the text of a form's field for a time, and the time of such a text. */
export function toField(seconds) {
  const date = dateIn(seconds);
  const day = [date.getFullYear(), pad(date.getMonth() + 1), pad(date.getDate())].join("-");
  return `${day}T${[date.getHours(), date.getMinutes(), date.getSeconds()].map(pad).join(":")}`;
}
export function fromField(text) {
  return Date.parse(state.zone === "utc" ? `${text}Z` : text) / 1000;
}
