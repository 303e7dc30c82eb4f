// How the last call ended. It stays until the next one, so that nobody misses it.

import { formatClock } from "../format";
import { t } from "../i18n";
import { Notice } from "../parts/badge";
import type { Call } from "./state";

export function EndedLine({ call }: { call: Call }) {
  const good = call.cause === "normal" || call.cause === "hung-up" || call.cause === "rejected-here";
  return (
    <Notice tone={good ? "calm" : "warn"} testId="call-ended">
      <div class="notice-text">
        <strong>{call.peerName || call.peer}</strong>
        <p>
          {t(`cause.${call.cause ?? "failed"}`)}
          {call.answeredAt !== null && call.endedAt !== null && ` · ${formatClock(call.endedAt - call.answeredAt)}`}
          {call.status !== null && ` · SIP ${call.status}`}
        </p>
      </div>
    </Notice>
  );
}
