// The node's clock as seen from here. A node's times are shown against its own clock: the browser's may be off by
// minutes, and durations and expiry times would then be wrong.

let offsetMs = 0;

/** The difference is believed only when it is larger than what a whole-second header and a slow answer explain. */
const TOLERANCE_MS = 3_000;

/** Learns from the `Date` header (RFC 9110 6.6.1) of a response received at `now`. */
export function observeNodeClock(date: string | null, now: number): void {
  const seen = date === null ? NaN : Date.parse(date);
  if (Number.isNaN(seen)) return;
  const difference = seen - now;
  offsetMs = Math.abs(difference) > TOLERANCE_MS ? difference : 0;
}

/** Milliseconds since 1970 on the node's clock. */
export function nodeNow(): number {
  return Date.now() + offsetMs;
}
