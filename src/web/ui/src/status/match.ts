// Finding a registration by any word of it.

import type { Registration } from "../api/types";

/** Registrations in which every word of `text` occurs, in whatever column, upper or lower case. */
export function matchRegistrations(registrations: Registration[], text: string): Registration[] {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  return registrations.filter((row) => {
    const haystack = `${row.aor} ${row.source} ${row.user_agent} ${row.transport}`.toLowerCase();
    return words.every((word) => haystack.includes(word));
  });
}
