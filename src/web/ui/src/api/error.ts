// A request that failed, and how that is said. The node's own sentences are English; those that a person can bring
// about are said in the person's language, told by their stable code.

import { t, type Key } from "../i18n";

export class ApiError extends Error {
  constructor(
    /** HTTP status; 0 when the node could not be reached at all. */
    readonly status: number,
    /** Stable code of the node's answer, "" when it has none. */
    readonly code: string,
    /** The node's sentence, "" when it has none. */
    readonly reason: string,
    /** `Retry-After`, seconds. */
    readonly retryAfterS: number,
  ) {
    super(`HTTP ${status} ${code}`);
  }
}

const IN_OUR_WORDS: Record<string, Key> = {
  "bad-credentials": "signin.wrong",
  "no-web-phone": "signin.noPhone",
  throttled: "signin.wait",
  "wrong-password": "password.wrong",
  forbidden: "error.forbidden",
  busy: "error.busy",
};

/** What went wrong, for the person at the screen. */
export function inWords(failure: unknown): string {
  if (!(failure instanceof ApiError)) return String(failure);
  if (failure.status === 0) return t("error.offline");
  const known = IN_OUR_WORDS[failure.code];
  if (known !== undefined) return t(known, { seconds: failure.retryAfterS });
  return failure.reason || t("error.server", { status: failure.status });
}

/** The node does not know the session (any more). */
export function isSignedOut(failure: unknown): boolean {
  return failure instanceof ApiError && failure.status === 401;
}

/** Reads the error body `{"error": {"code", "message"}}` of an answer that is not a success. */
export function errorOf(status: number, body: string, retryAfter: string | null): ApiError {
  const { code, message } = detailOf(body);
  const seconds = Number(retryAfter ?? 0);
  return new ApiError(status, code, message, Number.isFinite(seconds) ? seconds : 0);
}

/** A proxy in between answers with anything. */
function detailOf(body: string): { code: string; message: string } {
  try {
    const { error } = JSON.parse(body) as { error?: { code?: unknown; message?: unknown } };
    return { code: asText(error?.code), message: asText(error?.message) };
  } catch {
    return { code: "", message: "" };
  }
}

function asText(value: unknown): string {
  return typeof value === "string" ? value : "";
}
