// Why a call ended, as a stable name: shown in words (i18n `cause.*`) and read by tests as `data-cause`.

/** What is known of an end. */
export interface End {
  /** JsSIP's own word for it. */
  word: string;
  /** SIP status of the response that ended it, if one did. */
  status: number | null;
  /** The person at this phone hung up, rejected or cancelled. */
  wanted: boolean;
  direction: "outgoing" | "incoming";
}

export type Cause =
  | "normal"
  | "cancelled"
  | "hung-up"
  | "busy"
  | "declined"
  | "rejected-here"
  | "forbidden"
  | "not-found"
  | "unavailable"
  | "no-answer"
  | "incomplete-number"
  | "media-error"
  | "media-lost"
  | "connection-lost"
  | "timeout"
  | "auth-failed"
  | "microphone"
  | "transferred"
  | "merged"
  | "deflected"
  | "failed";

const BY_STATUS: Record<number, Cause> = {
  401: "auth-failed",
  403: "forbidden",
  404: "not-found",
  407: "auth-failed",
  408: "no-answer",
  410: "not-found",
  480: "unavailable",
  484: "incomplete-number",
  486: "busy",
  487: "cancelled",
  488: "media-error",
  503: "unavailable",
  600: "busy",
  603: "declined",
  604: "not-found",
  606: "media-error",
};

/** Ends that this side brought about. */
const BY_WISH: Record<string, Cause> = {
  Canceled: "hung-up",
  Rejected: "rejected-here",
};

/** Ends without a status: the other side's, or the connection's. */
const BY_WORD: Record<string, Cause> = {
  Terminated: "normal",
  Canceled: "cancelled",
  Rejected: "connection-lost",
  "No Answer": "no-answer",
  Expires: "no-answer",
  "RTP Timeout": "media-lost",
  "Connection Error": "connection-lost",
  "Request Timeout": "timeout",
  "WebRTC Error": "media-error",
  "Bad Media Description": "media-error",
  "Missing SDP": "media-error",
  "User Denied Media Access": "microphone",
};

/**
 * The cause of an end. JsSIP says "Canceled" or "Rejected" also when it gives up a call that is not up yet because the
 * connection broke, so only what the person wanted counts as such.
 */
export function causeOf({ word, status, wanted, direction }: End): Cause {
  if (status !== null) return causeOfStatus(status);
  if (wanted) return BY_WISH[word] ?? "normal";
  if (word === "Canceled" && direction === "outgoing") return "connection-lost";
  return BY_WORD[word] ?? "failed";
}

/** The cause that a SIP status names; `null`: there was no answer. */
export function causeOfStatus(status: number | null): Cause {
  return status === null ? "timeout" : (BY_STATUS[status] ?? "failed");
}
