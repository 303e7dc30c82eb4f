// Waiting times between tries, so that many phones do not come back all at once after an outage.

const FIRST_S = 1;
const LIMIT_S = 60;

/**
 * Seconds before try number `attempt` (0 is the first repetition): doubling from one second to a minute, of which
 * the upper half is random. `random` is in 0..1.
 */
export function backoffSeconds(attempt: number, random: number): number {
  const ceiling = Math.min(LIMIT_S, FIRST_S * 2 ** Math.min(attempt, 16));
  return ceiling / 2 + (ceiling / 2) * random;
}
