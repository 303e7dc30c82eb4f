// How calls are named in words.

import { t } from "../i18n";
import { isRoom } from "./conference";
import type { Call } from "./state";

/** The other side: a name, a number, or the conference. */
export function nameOf({ peer, peerName }: Pick<Call, "peer" | "peerName">, conference: string): string {
  if (isRoom(peer, conference)) return t("phone.conference");
  return peerName || peer;
}

/** How far a call is. */
export function phaseText(call: Call): string {
  if (call.phase === "incoming" && call.answering) return t("phone.answering");
  if (call.heldByPeer && call.phase === "connected") return t("phone.remoteHold");
  return t(`phone.${call.phase}`);
}
