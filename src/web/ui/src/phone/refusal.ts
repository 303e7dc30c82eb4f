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
 * Keeps the call when a change is refused or lost. `holding` says whether a hold, or its end, is being asked for now; `undone` hears of one
 * that did not come about, and whether it was lost. A restart of ICE that came to nothing stays offered until the next one takes its place:
 * Chromium forgets, when it is rolled back, that its path is broken.
 */
export function keepWhenRefused(session: Refusable, holding: () => boolean, undone: (lost: boolean) => void): void {
  const terminate = session.terminate.bind(session);
  session.terminate = (options = {}) => {
    const reason = options.reason_phrase ?? "";
    const lost = reason === LOST && session.isEstablished();
    if (!lost && !REFUSALS.includes(reason)) return terminate(options);
    if (!HOLDS.includes(reason) && !(lost && holding())) return;
    const { connection } = session;
    if (connection.signalingState === "have-local-offer") void leaveAsItStands(connection);
    const internals = session as unknown as Internals;
    internals._localHold = !internals._localHold;
    internals._setLocalMediaStatus();
    undone(lost);
  };
}

/**
 * Ends an offer that nobody will answer by what the other side said last. Chromium does not play what it receives after a hold once an offer has
 * been rolled back: the track stays muted.
 */
async function leaveAsItStands(connection: RTCPeerConnection): Promise<void> {
  const { currentLocalDescription: ours, currentRemoteDescription: theirs } = connection;
  if (ours === null || theirs === null) return;
  // Who offered last left it to the other side who begins DTLS (RFC 8842 5.2), which an answer must say.
  const begins = ours.sdp.includes("a=setup:active") ? "passive" : "active";
  const sdp = theirs.sdp.replace(/a=setup:actpass/g, `a=setup:${begins}`);
  await connection.setRemoteDescription({ type: "answer", sdp }).catch(() => undefined);
}
