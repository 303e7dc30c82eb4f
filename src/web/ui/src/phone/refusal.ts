// A change of a call that the other side refuses leaves the call as it was (RFC 3261 14.1), and so does one whose request went down with the
// connection. JsSIP hangs up instead, which neither two people who put each other on hold at the same moment must meet with, nor somebody
// who takes a call into another network: ICE is begun anew before the old connection is known to be dead.

import type { RTCSession } from "jssip/lib/RTCSession";

/** By these words JsSIP hangs up when a re-INVITE is refused. */
const HOLDS = ["Hold Failed", "Unhold Failed"];
const REFUSALS = [...HOLDS, "Media Renegotiation Failed"];
/** By this word JsSIP hangs up when a request goes down with its connection. */
const LOST = "Connection Error";

/** What JsSIP has and its types do not name. */
interface Internals {
  _localHold: boolean;
  _setLocalMediaStatus(): void;
}

/** The part of a session that is looked at. */
export type Refusable = Pick<RTCSession, "terminate" | "connection" | "isEstablished">;

/**
 * Keeps the call when a change is refused or lost. `holding` says whether a hold, or its end, is being asked for now; `refused` hears of one
 * that was undone.
 */
export function keepWhenRefused(session: Refusable, holding: () => boolean, refused: () => void): void {
  const terminate = session.terminate.bind(session);
  session.terminate = (options = {}) => {
    const reason = options.reason_phrase ?? "";
    const lost = reason === LOST && session.isEstablished();
    if (!lost && !REFUSALS.includes(reason)) return terminate(options);
    // An offer that was refused is none any more. One that was lost waits for the next to take its place: Chromium forgets, when it is rolled
    // back, that its path is broken.
    const { connection } = session;
    if (!lost && connection.signalingState === "have-local-offer") {
      void connection.setLocalDescription({ type: "rollback" }).catch(() => undefined);
    }
    if (!HOLDS.includes(reason) && !(lost && holding())) return;
    const internals = session as unknown as Internals;
    internals._localHold = !internals._localHold;
    internals._setLocalMediaStatus();
    refused();
  };
}
