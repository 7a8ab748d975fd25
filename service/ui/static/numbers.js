// Numbers as people read them: shares, durations, money, counts and moments.

const known = (value) => Number.isFinite(value);

export const count = (value) => value.toLocaleString("en-GB", { maximumFractionDigits: value < 10 ? 2 : 0 });

/** `12.3k`, `4.1M`: for axes and tiles. */
export function short(value) {
  for (const [size, unit] of [[1e9, "G"], [1e6, "M"], [1e4, "k"]]) {
    if (value >= size) return `${trim(value / (unit === "k" ? 1e3 : size), value >= size * 10 ? 0 : 1)}${unit}`;
  }
  return count(value);
}

/** A share of 1 as `4.2%`, `38%`. */
export function share(value) {
  const percent = value * 100;
  if (percent > 0 && percent < 0.1) return "<0.1%";
  return `${trim(percent, percent < 10 || (percent > 99 && percent < 100) ? 1 : 0)}%`;
}

/** Milliseconds as `0.4 ms`, `84 ms`, `1.24 s`, `3.1 min`. */
export function ms(value) {
  if (value < 1000) return `${trim(value, value < 10 ? 1 : 0)} ms`;
  if (value < 100_000) return `${trim(value / 1000, value < 10_000 ? 2 : 1)} s`;
  return `${trim(value / 60_000, 1)} min`;
}

/** US dollars, with as many digits as a small sum takes. */
export function usd(value) {
  if (value === 0) return "$0";
  if (value >= 1000) return `$${short(value)}`;
  return `$${value >= 1 ? value.toFixed(2) : trim(value, value >= 0.01 ? 3 : 5)}`;
}

/** A score in [0, 1], or a raw one: three digits. */
export const score = (value) => (known(value) ? value.toFixed(Math.abs(value) >= 100 ? 1 : 3) : "–");

function trim(value, digits) {
  return String(Number(value.toFixed(digits)));
}

const clock = { hour: "2-digit", minute: "2-digit" };
const day = { weekday: "short", day: "numeric" };
const date = { day: "numeric", month: "short" };
const at = (moment, options) => new Intl.DateTimeFormat("en-GB", options).format(moment);

const DAY_MS = 86_400_000;

/** A moment for the axis of a window that is so long: `14:30`, `Mon 14`, `14 Nov`. */
export function axisTime(moment, windowMs) {
  if (windowMs <= 1.1 * DAY_MS) return at(moment, clock);
  return at(moment, windowMs <= 8 * DAY_MS ? day : date);
}

/** From when to when a bucket reaches, in the reader's own time. */
export function bucketTime(start, end) {
  const whole = { ...date, ...clock };
  const sameDay = start.toDateString() === end.toDateString();
  return `${at(start, whole)} – ${at(end, sameDay ? clock : whole)}`;
}

/** `14 Nov 2026, 09:31:07` in the reader's own time. */
export const moment = (iso) => at(new Date(iso), { ...date, year: "numeric", ...clock, second: "2-digit" });
