// State of the web phone as a pure reducer: one registration, at most one call, the calls of this session.
// The driver (agent.ts) dispatches what happened; the page shows what is.

import type { Cause } from "./cause";

export type LinkState = "offline" | "connecting" | "registered" | "failed";
export type CallPhase = "calling" | "ringing" | "incoming" | "connected" | "held" | "ended";

export interface Call {
  /** Tells this call's late events from those of the next call. */
  id: number;
  direction: "outgoing" | "incoming";
  /** User part of the other side. */
  peer: string;
  /** Name that the other side shows, "" when none. */
  peerName: string;
  phase: CallPhase;
  /** The answer was asked for and is on its way. */
  answering: boolean;
  muted: boolean;
  heldByPeer: boolean;
  /** Keys sent so far. */
  keys: string;
  startedAt: number;
  answeredAt: number | null;
  endedAt: number | null;
  cause: Cause | null;
  /** SIP status of a call that failed. */
  status: number | null;
}

/** An ended call as the list keeps it. */
export type HistoryEntry = Pick<
  Call,
  "id" | "direction" | "peer" | "peerName" | "startedAt" | "answeredAt" | "endedAt" | "cause"
>;

export interface PhoneState {
  link: LinkState;
  /** Why the registration failed, in the node's words. */
  linkReason: string;
  call: Call | null;
  /** Newest first. */
  history: HistoryEntry[];
}

export type PhoneEvent =
  | { type: "connecting" }
  | { type: "registered" }
  | { type: "disconnected" }
  | { type: "refused"; reason: string }
  | { type: "dialled" | "called"; id: number; at: number; peer: string; peerName: string }
  | { type: "ringing" | "answering" | "answer-failed" | "held" | "resumed"; id: number }
  | { type: "answered"; id: number; at: number }
  | { type: "muted"; id: number; muted: boolean }
  | { type: "peer-hold"; id: number; held: boolean }
  | { type: "key"; id: number; key: string }
  | { type: "ended"; id: number; at: number; cause: Cause; status: number | null };

/** Calls that the list keeps. */
export const HISTORY_MAX = 50;

export const initialState: PhoneState = { link: "offline", linkReason: "", call: null, history: [] };

/** Whether a call is up or coming up; a second one is then refused as busy. */
export function isBusy(state: PhoneState): boolean {
  return state.call !== null && state.call.phase !== "ended";
}

export function reduce(state: PhoneState, event: PhoneEvent): PhoneState {
  switch (event.type) {
    case "connecting":
      return { ...state, link: "connecting", linkReason: "" };
    case "registered":
      return { ...state, link: "registered", linkReason: "" };
    case "disconnected":
      return { ...state, link: "offline", linkReason: "" };
    case "refused":
      // A registration that dies with its connection is no refusal.
      return state.link === "offline" ? state : { ...state, link: "failed", linkReason: event.reason };
    case "dialled":
    case "called":
      return isBusy(state) ? state : { ...state, call: newCall(event) };
    default:
      return reduceCall(state, event);
  }
}

type CallEvent = Exclude<
  PhoneEvent,
  { type: "connecting" | "registered" | "disconnected" | "refused" | "dialled" | "called" }
>;

/** Events of a call that has ended, or of another one, change nothing. */
function reduceCall(state: PhoneState, event: CallEvent): PhoneState {
  const { call } = state;
  if (call === null || call.id !== event.id || call.phase === "ended") return state;
  if (event.type !== "ended") return { ...state, call: advance(call, event) };
  const ended: Call = { ...call, phase: "ended", endedAt: event.at, cause: event.cause, status: event.status };
  return { ...state, call: ended, history: [entryOf(ended), ...state.history].slice(0, HISTORY_MAX) };
}

function advance(call: Call, event: Exclude<CallEvent, { type: "ended" }>): Call {
  switch (event.type) {
    case "ringing":
      return call.phase === "calling" ? { ...call, phase: "ringing" } : call;
    case "answering":
      return call.phase === "incoming" ? { ...call, answering: true } : call;
    case "answer-failed":
      return { ...call, answering: false };
    case "answered":
      return call.answeredAt === null ? { ...call, phase: "connected", answering: false, answeredAt: event.at } : call;
    case "held":
      return call.phase === "connected" ? { ...call, phase: "held" } : call;
    case "resumed":
      return call.phase === "held" ? { ...call, phase: "connected" } : call;
    case "muted":
      return { ...call, muted: event.muted };
    case "peer-hold":
      return { ...call, heldByPeer: event.held };
    case "key":
      return { ...call, keys: call.keys + event.key };
  }
}

function newCall(event: Extract<PhoneEvent, { type: "dialled" | "called" }>): Call {
  const outgoing = event.type === "dialled";
  return {
    id: event.id,
    direction: outgoing ? "outgoing" : "incoming",
    peer: event.peer,
    peerName: event.peerName,
    phase: outgoing ? "calling" : "incoming",
    answering: false,
    muted: false,
    heldByPeer: false,
    keys: "",
    startedAt: event.at,
    answeredAt: null,
    endedAt: null,
    cause: null,
    status: null,
  };
}

function entryOf({ id, direction, peer, peerName, startedAt, answeredAt, endedAt, cause }: Call): HistoryEntry {
  return { id, direction, peer, peerName, startedAt, answeredAt, endedAt, cause };
}
