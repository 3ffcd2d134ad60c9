// Numbers in words: units, levels, the ends and steps of a graph's axis.

export const WORDS = {
  ok: ["✓", "OK"],
  warning: ["▲", "Warning"],
  critical: ["✖", "Critical"],
  plain: ["•", "Info"],
  none: ["?", "No data"],
};

const DAY = 86400;
const SECONDS = [
  [2 * DAY, DAY, " d"],
  [7200, 3600, " h"],
  [120, 60, " min"],
  [1, 1, " s"],
  [0, 0.001, " ms"],
];
const BYTES = [
  [2 ** 40, 2 ** 40, " TiB"],
  [2 ** 30, 2 ** 30, " GiB"],
  [2 ** 20, 2 ** 20, " MiB"],
  [1024, 1024, " KiB"],
  [0, 1, " B"],
];
const NUMBERS = [
  [1e9, 1e9, " G"],
  [1e6, 1e6, " M"],
  [0, 1, ""],
];
const SUFFIXES = { "per second": " /s", "per hour": " /h", days: " d", factor: " ×" };

/** Return divisor and suffix for numbers as large as `size`. */
function unitOf(unit, size) {
  const pick = (steps) => steps.find(([least]) => size >= least) ?? steps.at(-1);
  if (unit === "percent") return [0.01, " %"];
  if (unit === "seconds") return pick(SECONDS).slice(1);
  if (unit.startsWith("bytes")) {
    const [, by, name] = pick(BYTES);
    return [by, unit === "bytes" ? name : `${name}/s`];
  }
  const [, by, prefix] = pick(NUMBERS);
  return [by, prefix + (SUFFIXES[unit] ?? "")];
}

function digitsOf(number, panel, by) {
  const size = Math.abs(number);
  if (panel.unit === "percent" && number > 99 && number < 100) return 2; // 99.95 % is not 100 %
  if (panel.unit === "count" && by === 1 && Number.isInteger(number)) return 0;
  if (size === 0 || size >= 100) return 0;
  if (size >= 10) return 1;
  return size >= 0.1 ? 2 : 1 - Math.floor(Math.log10(size));
}

/** Return a value as text. */
export function format(value, panel) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  if (panel.words) return panel.words[value] ?? String(value);
  if (value === 0 && panel.unit === "seconds") return "0 s";
  const [by, suffix] = unitOf(panel.unit, Math.abs(value));
  const number = value / by;
  const least = panel.unit === "percent" ? 0.01 : 0.001;
  if (number && Math.abs(number) < least) return `${number < 0 ? "> -" : "< "}${least}${suffix}`;
  const options = {
    maximumFractionDigits: digitsOf(number, panel, by),
    signDisplay: "negative",
  };
  return number.toLocaleString("en", options) + suffix;
}

/** Return how bad a value is: a key of WORDS. */
export function levelOf(value, panel) {
  if (value === null || value === undefined || Number.isNaN(value)) return "none";
  for (const level of ["critical", "warning"]) {
    const limit = panel.thresholds[level];
    if (limit && (limit.above ? value > limit.value : value < limit.value)) return level;
  }
  return Object.keys(panel.thresholds).length ? "ok" : "plain";
}

export const isBad = (level) => level === "warning" || level === "critical";

/** Return a panel's thresholds in words. */
export function limitsOf(panel) {
  const word = (level, limit) =>
    `${WORDS[level][1]} ${limit.above ? "above" : "below"} ${format(limit.value, panel)}`;
  return Object.entries(panel.thresholds)
    .map(([level, limit]) => word(level, limit))
    .join(", ");
}

/**
 * Return the ends of a graph's y axis. It starts at zero, unless the threshold is a share close to
 * 100 % that must be kept, such as an availability: nobody would see 99.9 % fall to 99.8 %.
 */
export function yRange(panel, values) {
  const limits = Object.values(panel.thresholds);
  const lowest = Math.min(...values);
  let low = Math.min(0, lowest);
  let high = Math.max(...values);
  const objective = limits.find((limit) => !limit.above && limit.value >= 0.99);
  if (panel.unit === "percent" && objective && lowest > 0.9 && high <= 1) {
    const worst = Math.min(lowest, objective.value);
    low = worst - Math.max(0.001, (1 - worst) / 2);
  }
  for (const { value } of limits) {
    if (high <= 0 && value > 0) high = value * 1.3;
    if (value > high && value <= high * 2) high = value;
  }
  if (high <= low) high = low + 1;
  if (panel.unit === "percent" && high > 0.5 && high <= 1) return [low, 1 + (1 - low) * 0.02];
  return [low < 0 ? low * 1.1 : low, high + (high - low) * 0.08];
}

const powers = (from, to) =>
  Array.from({ length: to - from }, (_, index) =>
    [1, 2, 5].map((one) => one * 10 ** (from + index)),
  );
const binary = Array.from({ length: 50 }, (_, index) => 2 ** index);

// The steps between an axis's numbers.
export const STEPS = {
  bytes: binary,
  "bytes/s": binary,
  count: powers(0, 15).flat(),
  seconds: [
    ...powers(-6, 1).flat(),
    ...[10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400, 21600, 43200],
    ...powers(0, 3)
      .flat()
      .map((days) => days * DAY),
  ],
};

/** Return the texts of an axis's numbers, which are `gap` apart. */
export function axisTexts(panel, ticks, gap) {
  const [by, suffix] = unitOf(panel.unit, Math.max(...ticks.map(Math.abs)));
  let digits = 0;
  const rest = () => Math.abs(Math.round((gap / by) * 10 ** digits) - (gap / by) * 10 ** digits);
  while (digits < 8 && rest() > 1e-6) digits++;
  const options = { minimumFractionDigits: digits, maximumFractionDigits: digits };
  return ticks.map((tick) => (tick / by).toLocaleString("en", options) + suffix);
}
