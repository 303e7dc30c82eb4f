// Both sides change a call at the same moment (RFC 3261 14.1, RFC 3264 4): neither offer is taken, and each side asks again after a time of its
// own. JsSIP says 491 to an offer that meets its own, takes it all the same, and by that throws its own away; it does not see one that comes while
// its own is being made; and it sends what was refused with 491 again under the old number of the request, which is owed a 500.

import type { ReInviteEvent, RTCSession } from "jssip/lib/RTCSession";

const REQUEST_PENDING = 491;

/** What JsSIP has and its types do not name. */
interface Internals {
  _rtcReady: boolean;
  _dialog?: { uac_pending_reply: boolean } | null;
}

/** The part of a session that is looked at. */
export type Changeable = Pick<RTCSession, "on">;

/** Refuses each offer that meets one of ours, made or in the making. */
export function refuseWhileAsking(session: Changeable): void {
  const internals = session as unknown as Internals;
  const refuse = ({ reject }: ReInviteEvent): void => {
    // Where JsSIP has refused it, this is not sent a second time, but the offer is let alone.
    if (!internals._rtcReady || internals._dialog?.uac_pending_reply) reject({ status_code: REQUEST_PENDING });
  };
  session.on("reinvite", refuse);
  session.on("update", refuse);
}

interface Response {
  status_code: number;
}

interface Sender {
  _receiveResponse(response: Response): void;
  _eventHandlers: { onErrorResponse(response: Response): void };
}

/** JsSIP's `RequestSender` of dialogs tells that a request was refused with 491, and does not send it again: whoever made it asks anew. */
export function leaveAskingAgainToCalls(requestSender: { prototype: object }): void {
  const sender = requestSender.prototype as Sender;
  const receive = sender._receiveResponse;
  sender._receiveResponse = function (response) {
    if (response.status_code === REQUEST_PENDING) this._eventHandlers.onErrorResponse(response);
    else receive.call(this, response);
  };
}

/** After what time, in milliseconds, a change that was refused for another is asked for again: who made the call waits longer (RFC 3261 14.1). */
export function askAgainAfter(direction: "incoming" | "outgoing", random = Math.random()): number {
  return direction === "outgoing" ? 2_100 + random * 1_900 : random * 2_000;
}
