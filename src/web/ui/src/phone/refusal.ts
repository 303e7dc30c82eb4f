// A change of a call that the other side refuses leaves the call as it was (RFC 3261 14.1). JsSIP hangs up instead, which
// two people who put each other on hold at the same moment must not meet with.

import type { RTCSession } from "jssip/lib/RTCSession";

/** By these words JsSIP hangs up when a re-INVITE is refused. */
const HOLDS = ["Hold Failed", "Unhold Failed"];
const REFUSALS = [...HOLDS, "Media Renegotiation Failed"];

/** What JsSIP has and its types do not name. */
interface Internals {
  _localHold: boolean;
  _setLocalMediaStatus(): void;
}

/** The part of a session that is looked at. */
export type Refusable = Pick<RTCSession, "terminate" | "connection">;

/** Keeps the call when a change is refused; `refused` hears of a hold, or its end, that was. */
export function keepWhenRefused(session: Refusable, refused: () => void): void {
  const terminate = session.terminate.bind(session);
  session.terminate = (options = {}) => {
    const reason = options.reason_phrase ?? "";
    if (!REFUSALS.includes(reason)) return terminate(options);
    // The offer that was refused is none any more.
    const { connection } = session;
    if (connection.signalingState === "have-local-offer") {
      void connection.setLocalDescription({ type: "rollback" }).catch(() => undefined);
    }
    if (!HOLDS.includes(reason)) return;
    const internals = session as unknown as Internals;
    internals._localHold = !internals._localHold;
    internals._setLocalMediaStatus();
    refused();
  };
}
