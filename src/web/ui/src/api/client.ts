// The HTTP API, typed. Every failure is an `ApiError`.

import { observeNodeClock } from "./clock";
import { ApiError, errorOf } from "./error";
import type { PhoneAccount, Session, Status, Timeline } from "./types";

const BASE = "/api/v1";
const SAFE_METHODS = ["GET", "HEAD"];

export const api = {
  session: () => request<Session>("GET", "/session"),
  signIn: (user: string, password: string) => request<Session>("POST", "/session", { user, password }),
  signOut: () => request<void>("DELETE", "/session"),
  changePassword: (current: string, next: string) => request<void>("PUT", "/password", { current, new: next }),
  status: () => request<Status>("GET", "/status"),
  hangUp: (call: string) => request<void>("POST", `/calls/${encodeURIComponent(call)}/hangup`),
  timeline: (call: string) => request<Timeline>("GET", timelinePath(call)),
  reload: () => request<void>("POST", "/reload"),
  phone: () => request<PhoneAccount>("GET", "/phone"),
};

/** Where the node pushes its status. */
export const EVENTS_URL = `${BASE}/events`;

/** Where the node pushes the calls of the signed-in user's phones. */
export const PHONE_CALLS_URL = `${BASE}/phone/calls`;

function timelinePath(call: string): string {
  return `/calls/${encodeURIComponent(call)}/timeline`;
}

/** Where a call's timeline is, with personal data masked or not. */
export function timelineUrl(call: string, anonymous: boolean): string {
  return `${BASE}${timelinePath(call)}?anonymous=${anonymous}`;
}

async function request<T>(method: string, path: string, body?: unknown): Promise<T> {
  const response = await send(method, path, body);
  observeNodeClock(response.headers.get("Date"), Date.now());
  const text = await response.text().catch(() => "");
  if (!response.ok) throw errorOf(response.status, text, response.headers.get("Retry-After"));
  return (text === "" ? undefined : JSON.parse(text)) as T;
}

async function send(method: string, path: string, body: unknown): Promise<Response> {
  const headers: Record<string, string> = { Accept: "application/json" };
  // A header that no form of another site can send: the node's guard against cross-site requests.
  if (!SAFE_METHODS.includes(method)) headers["X-Ringfort"] = "1";
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const options: RequestInit = { method, headers, credentials: "same-origin", cache: "no-store" };
  if (body !== undefined) options.body = JSON.stringify(body);
  try {
    return await fetch(BASE + path, options);
  } catch {
    throw new ApiError(0, "", "", 0);
  }
}
