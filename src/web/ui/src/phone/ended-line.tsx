// How the last call ended. It stays until the next one, so that nobody misses it.

import { formatClock } from "../format";
import { t } from "../i18n";
import { Notice } from "../parts/badge";
import type { Cause } from "./cause";
import type { Call } from "./state";

/** Ends that are as the person wanted them. */
const GOOD: (Cause | null)[] = ["normal", "hung-up", "rejected-here", "transferred", "merged", "deflected"];

export function EndedLine({ call, name }: { call: Call; name: string }) {
  const good = GOOD.includes(call.cause);
  return (
    <Notice tone={good ? "calm" : "warn"} testId="call-ended">
      <div class="notice-text">
        <strong>{name}</strong>
        <p>
          {t(`cause.${call.cause ?? "failed"}`)}
          {call.answeredAt !== null && call.endedAt !== null && ` · ${formatClock(call.endedAt - call.answeredAt)}`}
          {call.status !== null && ` · SIP ${call.status}`}
        </p>
      </div>
    </Notice>
  );
}
