import assert from "node:assert/strict";
import { test } from "node:test";
import { askAgainAfter, leaveAskingAgainToCalls, refuseWhileAsking, type Changeable } from "../src/phone/glare";

type Listener = (event: { reject(options: { status_code: number }): void }) => void;

function session(ready: boolean, pending: boolean) {
  const listeners: Record<string, Listener> = {};
  const fake = {
    _rtcReady: ready,
    _dialog: { uac_pending_reply: pending },
    on: (name: string, listener: Listener) => void (listeners[name] = listener),
  };
  refuseWhileAsking(fake as unknown as Changeable);
  return (name: string) => {
    const refused: number[] = [];
    listeners[name]?.({ reject: ({ status_code }) => void refused.push(status_code) });
    return refused;
  };
}

test("an offer that meets ours is refused, one that comes alone is not", () => {
  for (const name of ["reinvite", "update"]) {
    assert.deepEqual(session(true, false)(name), []);
    assert.deepEqual(session(true, true)(name), [491]);
    assert.deepEqual(session(false, false)(name), [491]);
  }
});

test("what is refused with 491 is not sent again by JsSIP", () => {
  const told: string[] = [];
  class RequestSender {
    _eventHandlers = { onErrorResponse: ({ status_code }: { status_code: number }) => void told.push(`refused ${status_code}`) };
    _receiveResponse({ status_code }: { status_code: number }) {
      told.push(`as before ${status_code}`);
    }
  }
  leaveAskingAgainToCalls(RequestSender);
  for (const status_code of [491, 488, 200]) new RequestSender()._receiveResponse({ status_code });
  assert.deepEqual(told, ["refused 491", "as before 488", "as before 200"]);
});

test("who made the call asks later than who took it", () => {
  assert.deepEqual([0, 1].map((random) => askAgainAfter("outgoing", random)), [2_100, 4_000]);
  assert.deepEqual([0, 1].map((random) => askAgainAfter("incoming", random)), [0, 2_000]);
});
