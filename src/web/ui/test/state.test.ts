import assert from "node:assert/strict";
import { test } from "node:test";
import { HISTORY_MAX, initialState, isBusy, reduce, type PhoneEvent, type PhoneState } from "../src/phone/state";

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
    phases.push(state.call?.phase);
  }
  assert.deepEqual(phases, ["calling", "ringing", "connected", "held", "connected", "ended"]);
  assert.equal(state.call?.answeredAt, 3000);
  assert.equal(isBusy(state), false);
});

test("an incoming call is answering until it is answered", () => {
  const asked = after(called, { type: "answering", id: 2 });
  assert.equal(asked.call?.phase, "incoming");
  assert.equal(asked.call?.answering, true);
  assert.equal(reduce(asked, { type: "answer-failed", id: 2 }).call?.answering, false);
  const up = reduce(asked, { type: "answered", id: 2, at: 2500 });
  assert.equal(up.call?.phase, "connected");
  assert.equal(up.call?.answering, false);
});

test("a second call changes nothing while one is up", () => {
  const busy = after(dialled);
  assert.equal(reduce(busy, called), busy);
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
  assert.equal(up.call?.phase, "connected");
});

test("the call outlives the connection to the node", () => {
  const state = after(dialled, { type: "answered", id: 1, at: 3000 }, { type: "disconnected" });
  assert.equal(state.link, "offline");
  assert.equal(state.call?.phase, "connected");
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
  assert.equal(state.call?.keys, "1#");
  assert.equal(state.call?.muted, true);
  assert.equal(state.call?.heldByPeer, true);
});

test("the list has the newest call first and a limit", () => {
  let state = initialState;
  for (let id = 1; id <= HISTORY_MAX + 5; id++) {
    state = reduce(reduce(state, { ...dialled, id }), ended(id));
  }
  assert.equal(state.history.length, HISTORY_MAX);
  assert.equal(state.history[0]?.id, HISTORY_MAX + 5);
});
