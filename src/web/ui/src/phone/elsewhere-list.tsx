// Calls that are up at the user's other phones, and the button that brings one here.

import { nodeNow } from "../api/clock";
import type { OwnCall } from "../api/types";
import { t } from "../i18n";
import { Button } from "../parts/button";
import { Clock } from "../parts/time";
import { nameOf } from "./names";

interface ElsewhereProps {
  calls: OwnCall[];
  conference: string;
  /** A further call can be made. */
  ready: boolean;
  onPull(call: OwnCall): void;
}

export function Elsewhere({ calls, conference, ready, onPull }: ElsewhereProps) {
  if (calls.length === 0) return null;
  return (
    <ul class="other-calls" aria-label={t("elsewhere.title")}>
      {calls.map((call) => {
        const who = nameOf({ peer: call.peer, peerName: call.peer_name }, conference) || t("elsewhere.unknown");
        return (
          <li key={call.call_id} class="other-call tone-calm" data-testid="elsewhere-call">
            <div class="other-call-text">
              <p class="other-call-who">{who}</p>
              <p class="other-call-phase">
                {t(call.held ? "elsewhere.held" : "elsewhere.up")} · <Clock since={call.answered} now={nodeNow} />
              </p>
            </div>
            <Button
              icon="incoming"
              label={t("elsewhere.pull.label", { who })}
              disabled={!ready}
              onClick={() => onPull(call)}
              testId="pull"
            >
              {t("elsewhere.pull")}
            </Button>
          </li>
        );
      })}
    </ul>
  );
}
