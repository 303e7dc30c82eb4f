import assert from "node:assert/strict";
import { test } from "node:test";
import {
  CALLS_MAX,
  currentCall,
  HISTORY_MAX,
  initialState,
  isBusy,
  otherCalls,
  reduce,
  type PhoneEvent,
  type PhoneState,
} from "../src/phone/state";

const dialled: PhoneEvent = { type: "dialled", id: 1, at: 1000, peer: "102", peerName: "" };
const called: PhoneEvent = { type: "called", id: 2, at: 2000, peer: "103", peerName: "Carol" };
const ended = (id: number): PhoneEvent => ({ type: "ended", id, at: 9000, cause: "normal", status: null });

function after(...events: PhoneEvent[]): PhoneState {
  return events.reduce(reduce, initialState);
}

test("an outgoing call: calling, ringing, connected, held, connected, ended", () => {
  const phases: (string | undefined)[] = [];
  let state = initialState;
  const events: PhoneEvent[] = [
    dialled,
    { type: "ringing", id: 1 },
    { type: "answered", id: 1, at: 3000 },
    { type: "held", id: 1 },
    { type: "resumed", id: 1 },
    ended(1),
  ];
  for (const event of events) {
    state = reduce(state, event);
    phases.push((currentCall(state) ?? state.last)?.phase);
  }
  assert.deepEqual(phases, ["calling", "ringing", "connected", "held", "connected", "ended"]);
  assert.equal(state.last?.answeredAt, 3000);
  assert.equal(isBusy(state), false);
});

test("an incoming call is answering until it is answered", () => {
  const asked = after(called, { type: "answering", id: 2 });
  assert.equal(currentCall(asked)?.phase, "incoming");
  assert.equal(currentCall(asked)?.answering, true);
  assert.equal(currentCall(reduce(asked, { type: "answer-failed", id: 2 }))?.answering, false);
  const up = reduce(asked, { type: "answered", id: 2, at: 2500 });
  assert.equal(currentCall(up)?.phase, "connected");
  assert.equal(currentCall(up)?.answering, false);
});

test("who calls while a call is up waits beside it, and takes its place when it ends", () => {
  const state = after(dialled, { type: "answered", id: 1, at: 3000 }, called);
  assert.equal(currentCall(state)?.id, 1);
  assert.deepEqual(otherCalls(state).map(({ id, phase }) => [id, phase]), [[2, "incoming"]]);
  assert.equal(currentCall(reduce(state, ended(1)))?.id, 2);
});

test("who is answered is heard; a swap changes who is", () => {
  let state = after(dialled, { type: "answered", id: 1, at: 3000 }, called, { type: "held", id: 1 });
  state = reduce(state, { type: "answered", id: 2, at: 4000 });
  assert.equal(currentCall(state)?.id, 2);
  assert.deepEqual(otherCalls(state).map(({ id, phase }) => [id, phase]), [[1, "held"]]);
  state = reduce(state, { type: "taken", id: 1 });
  assert.equal(currentCall(state)?.id, 1);
  assert.equal(reduce(state, { type: "taken", id: 7 }), state);
});

test("after a call's end: the one that talks, else the one that rings, else the newest", () => {
  const up = (id: number): PhoneEvent[] => [
    { ...dialled, id },
    { type: "answered", id, at: 3000 },
    { type: "held", id },
  ];
  const three = after(...up(1), ...up(2), ...up(3));
  assert.equal(currentCall(reduce(three, ended(3)))?.id, 2);
  assert.equal(currentCall(reduce(reduce(three, { type: "resumed", id: 1 }), ended(3)))?.id, 1);
  const rings = after(...up(1), ...up(3), called, ended(3));
  assert.equal(currentCall(rings)?.id, 2);
  assert.equal(rings.last?.id, 3);
});

test("there is a limit to calls at once", () => {
  let state = initialState;
  for (let id = 1; id <= CALLS_MAX + 2; id++) state = reduce(state, { ...dialled, id });
  assert.equal(state.calls.length, CALLS_MAX);
});

test("mute and transfer belong to their call", () => {
  const transfer = { kind: "blind", to: "103", phase: "failed", cause: "busy" } as const;
  const state = after(dialled, called, { type: "muted", id: 1, muted: true }, { type: "transfer", id: 2, transfer });
  assert.deepEqual(state.calls.map((call) => [call.id, call.muted, call.transfer?.phase]), [
    [1, true, undefined],
    [2, false, "failed"],
  ]);
});

test("late events of an ended or another call change nothing", () => {
  const over = after(dialled, ended(1));
  assert.equal(reduce(over, { type: "answered", id: 1, at: 9500 }), over);
  assert.equal(reduce(over, ended(1)), over);
  const next = reduce(over, called);
  assert.equal(reduce(next, ended(1)), next);
});

test("ringing after the answer does not take the call back", () => {
  const up = after(dialled, { type: "answered", id: 1, at: 3000 }, { type: "ringing", id: 1 });
  assert.equal(currentCall(up)?.phase, "connected");
});

test("the call outlives the connection to the node", () => {
  const state = after(dialled, { type: "answered", id: 1, at: 3000 }, { type: "disconnected" });
  assert.equal(state.link, "offline");
  assert.equal(currentCall(state)?.phase, "connected");
});

test("a registration that dies with its connection is offline, not refused", () => {
  const refused: PhoneEvent = { type: "refused", reason: "403 Forbidden" };
  assert.equal(after({ type: "disconnected" }, refused).link, "offline");
  const failed = after({ type: "connecting" }, refused);
  assert.deepEqual([failed.link, failed.linkReason], ["failed", "403 Forbidden"]);
  assert.equal(reduce(failed, { type: "registered" }).linkReason, "");
});

test("keys, mute and the other side's hold are kept with the call", () => {
  const state = after(
    dialled,
    { type: "answered", id: 1, at: 3000 },
    { type: "key", id: 1, key: "1" },
    { type: "key", id: 1, key: "#" },
    { type: "muted", id: 1, muted: true },
    { type: "peer-hold", id: 1, held: true },
  );
  assert.equal(currentCall(state)?.keys, "1#");
  assert.equal(currentCall(state)?.muted, true);
  assert.equal(currentCall(state)?.heldByPeer, true);
});

test("the list has the newest call first and a limit", () => {
  let state = initialState;
  for (let id = 1; id <= HISTORY_MAX + 5; id++) {
    state = reduce(reduce(state, { ...dialled, id }), ended(id));
  }
  assert.equal(state.history.length, HISTORY_MAX);
  assert.equal(state.history[0]?.id, HISTORY_MAX + 5);
});
