// State of the web phone as a pure reducer: one registration, the calls that live, the calls of this session.
// The driver (agent.ts, lines.ts) dispatches what happened; the page shows what is.

import type { Cause } from "./cause";

export type LinkState = "offline" | "connecting" | "registered" | "failed";
export type CallPhase = "calling" | "ringing" | "incoming" | "connected" | "held" | "ended";

/** What becomes of a call that the node was asked to bring somewhere else. */
export interface Transfer {
  /** To a number, to a call that asked there first, to the user's other phones, or into a conference. */
  kind: "blind" | "attended" | "push" | "merge";
  /** Number, or the other side's name. */
  to: string;
  phase: "asked" | "ringing" | "done" | "failed";
  /** Why it failed. */
  cause: Cause | null;
}

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
  /** The transfer under way, or how the last one failed. */
  transfer: Transfer | null;
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
  /** Calls that live, oldest first. */
  calls: readonly Call[];
  /** The call that is heard, or would be. */
  current: number | null;
  /** The call that ended last, until the next one begins. */
  last: Call | null;
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
  | { type: "taken"; id: number }
  | { type: "answered"; id: number; at: number }
  | { type: "muted"; id: number; muted: boolean }
  | { type: "peer-hold"; id: number; held: boolean }
  | { type: "key"; id: number; key: string }
  | { type: "transfer"; id: number; transfer: Transfer }
  | { type: "ended"; id: number; at: number; cause: Cause; status: number | null };

/** Calls that the list keeps. */
export const HISTORY_MAX = 50;
/** Calls at once: two that talk, one that waits, and the conference that two are merged into. */
export const CALLS_MAX = 4;

export const initialState: PhoneState = {
  link: "offline",
  linkReason: "",
  calls: [],
  current: null,
  last: null,
  history: [],
};

/** Whether a call is up or coming up. */
export function isBusy(state: PhoneState): boolean {
  return state.calls.length > 0;
}

/** Whether one more would be too many; it is then refused as busy. */
export function isFull(state: PhoneState): boolean {
  return state.calls.length >= CALLS_MAX;
}

/** Whether a call was answered and goes on. */
export function isUp(call: Call): boolean {
  return call.phase === "connected" || call.phase === "held";
}

/** A live call. */
export function callOf(state: PhoneState, id: number | null): Call | null {
  return state.calls.find((call) => call.id === id) ?? null;
}

/** The call that is heard, or would be. */
export function currentCall(state: PhoneState): Call | null {
  return callOf(state, state.current);
}

/** Live calls beside the current one, oldest first. */
export function otherCalls(state: PhoneState): Call[] {
  return state.calls.filter((call) => call.id !== state.current);
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
      return isFull(state) ? state : begin(state, newCall(event));
    default:
      return reduceCall(state, event);
  }
}

/** Whoever calls while another call is up waits beside it. */
function begin(state: PhoneState, call: Call): PhoneState {
  const waits = call.direction === "incoming" && isBusy(state);
  return { ...state, calls: [...state.calls, call], current: waits ? state.current : call.id, last: null };
}

type CallEvent = Exclude<
  PhoneEvent,
  { type: "connecting" | "registered" | "disconnected" | "refused" | "dialled" | "called" }
>;

/** Events of a call that has ended change nothing. */
function reduceCall(state: PhoneState, event: CallEvent): PhoneState {
  const call = callOf(state, event.id);
  if (call === null) return state;
  if (event.type === "ended") return end(state, call, event);
  if (event.type === "taken") return { ...state, current: call.id };
  const next = advance(call, event);
  // Whoever is answered is heard.
  const current = event.type === "answered" ? call.id : state.current;
  return { ...state, current, calls: state.calls.map((each) => (each === call ? next : each)) };
}

function end(state: PhoneState, call: Call, event: Extract<CallEvent, { type: "ended" }>): PhoneState {
  const last: Call = { ...call, phase: "ended", endedAt: event.at, cause: event.cause, status: event.status };
  const calls = state.calls.filter((each) => each !== call);
  const current = state.current === call.id ? successor(calls) : state.current;
  return { ...state, calls, current, last, history: [entryOf(last), ...state.history].slice(0, HISTORY_MAX) };
}

/** Which call the person looks at next: one that talks, else one that rings, else the newest that is held. */
function successor(calls: readonly Call[]): number | null {
  const newest = [...calls].reverse();
  const of = (phase: CallPhase) => newest.find((call) => call.phase === phase);
  return (of("connected") ?? of("incoming") ?? newest[0])?.id ?? null;
}

function advance(call: Call, event: Exclude<CallEvent, { type: "ended" | "taken" }>): Call {
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
    case "transfer":
      return { ...call, transfer: event.transfer };
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
    transfer: null,
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
