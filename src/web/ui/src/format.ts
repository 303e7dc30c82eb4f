// Times, durations and counts as people read them. Pure: "now" is an argument.

import { language } from "./i18n";

const MINUTE = 60;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** A clock for calls: `0:07`, `12:34`, `1:02:03`. Negative durations (clocks that disagree) count as zero. */
export function formatClock(ms: number): string {
  const total = wholeSeconds(ms);
  const hours = Math.floor(total / HOUR);
  const minutes = Math.floor((total % HOUR) / MINUTE);
  const seconds = pad(total % MINUTE);
  return hours > 0 ? `${hours}:${pad(minutes)}:${seconds}` : `${minutes}:${seconds}`;
}

/** A span in its two largest units: `12 s`, `4 min 10 s`, `3 h 5 min`, `6 d 2 h`. */
export function formatSpan(ms: number): string {
  const total = wholeSeconds(ms);
  if (total < MINUTE) return `${total} s`;
  if (total < HOUR) return twoUnits(total, MINUTE, "min", 1, "s");
  if (total < DAY) return twoUnits(total, HOUR, "h", MINUTE, "min");
  return twoUnits(total, DAY, "d", HOUR, "h");
}

/** Time of day; with the date in front when `at` is on another day than `now`. */
export function formatTime(at: number, now: number): string {
  const sameDay = new Date(at).toDateString() === new Date(now).toDateString();
  const time: Intl.DateTimeFormatOptions = { hour: "2-digit", minute: "2-digit", second: "2-digit" };
  const date: Intl.DateTimeFormatOptions = sameDay ? {} : { day: "numeric", month: "short" };
  return new Date(at).toLocaleString(locale(), { ...date, ...time });
}

/** A count with the language's separators. */
export function formatCount(count: number): string {
  return count.toLocaleString(locale());
}

/** English as written in Ireland: 24-hour clock, day before month. */
function locale(): string {
  return language() === "en" ? "en-IE" : language();
}

function twoUnits(total: number, big: number, bigName: string, small: number, smallName: string): string {
  const rest = Math.floor((total % big) / small);
  const head = `${Math.floor(total / big)} ${bigName}`;
  return rest > 0 ? `${head} ${rest} ${smallName}` : head;
}

function wholeSeconds(ms: number): number {
  return Math.max(0, Math.floor(ms / 1000));
}

function pad(value: number): string {
  return String(value).padStart(2, "0");
}
