// Names of dialogs, and URIs that ask for one dialog's place (RFC 3891). JsSIP can write such a URI itself, but takes the
// tags of a call that it received the wrong way round.

import type { RTCSession } from "jssip/lib/RTCSession";
import { sipUri } from "./number";

/** A dialog between a phone and the node. */
export interface DialogName {
  callId: string;
  /** The node's tag. */
  nodeTag: string;
  /** The phone's. */
  phoneTag: string;
}

/** What JsSIP has and its types do not name. */
interface Internals {
  _dialog?: { id: { call_id: string; local_tag: string; remote_tag: string } } | null;
}

/** The dialog of a session that was answered. */
export function dialogOf(session: RTCSession | null): DialogName | null {
  const id = (session as unknown as Internals | null)?._dialog?.id;
  return id === undefined ? null : { callId: id.call_id, nodeTag: id.remote_tag, phoneTag: id.local_tag };
}

/** The value of Replaces that the node is sent: `to-tag` is the tag of whoever receives it (RFC 3891 3). */
export function replacesValue({ callId, nodeTag, phoneTag }: DialogName): string {
  return `${callId};to-tag=${nodeTag};from-tag=${phoneTag}`;
}

/** `user` at `domain`, for Refer-To; with the dialog whose place is to be taken there. */
export function referTarget(user: string, domain: string, instead?: DialogName): string {
  const replaces = instead === undefined ? "" : `?Replaces=${encodeURIComponent(replacesValue(instead))}`;
  return sipUri(user, domain) + replaces;
}
