import assert from "node:assert/strict";
import { test } from "node:test";
import { keepWhenRefused, type Refusable } from "../src/phone/refusal";

function session(signalingState: string, established = true, holding = false) {
  const seen = { ended: 0, descriptions: [] as unknown[], undone: 0, lost: 0, told: 0 };
  const fake = {
    _localHold: true,
    _setLocalMediaStatus: () => seen.told++,
    terminate: () => void seen.ended++,
    isEstablished: () => established,
    connection: {
      signalingState,
      currentLocalDescription: { sdp: "a=setup:active\r\n" },
      currentRemoteDescription: { sdp: "a=setup:actpass\r\na=sendonly\r\n" },
      setRemoteDescription: async (of: unknown) => void seen.descriptions.push(of),
    },
  };
  keepWhenRefused(
    fake as unknown as Refusable,
    () => holding,
    (lost) => {
      seen.undone++;
      seen.lost += Number(lost);
    },
  );
  const end = (reason?: string) =>
    (fake as unknown as Refusable).terminate(reason === undefined ? {} : { reason_phrase: reason });
  return { seen, fake, end };
}

test("a hold that is refused is undone, and the call goes on", () => {
  const { seen, fake, end } = session("have-local-offer");
  end("Hold Failed");
  assert.deepEqual([seen.ended, seen.undone, seen.lost, seen.told, fake._localHold], [0, 1, 0, 1, false]);
  assert.deepEqual(seen.descriptions, [{ type: "answer", sdp: "a=setup:passive\r\na=sendonly\r\n" }]);
  end("Unhold Failed");
  assert.equal(fake._localHold, true);
});

test("an ICE restart that is refused is no hold, and is offered until the next", () => {
  const { seen, fake, end } = session("have-local-offer");
  end("Media Renegotiation Failed");
  assert.deepEqual([seen.ended, seen.undone, seen.descriptions.length, fake._localHold], [0, 0, 0, true]);
});

test("a change that went down with the connection leaves the call; a restart's offer waits for the next one", () => {
  const restart = session("have-local-offer");
  restart.end("Connection Error");
  assert.deepEqual([restart.seen.ended, restart.seen.undone, restart.fake._localHold], [0, 0, true]);
  assert.deepEqual(restart.seen.descriptions, []);
  const hold = session("have-local-offer", true, true);
  hold.end("Connection Error");
  assert.deepEqual([hold.seen.ended, hold.seen.undone, hold.seen.lost, hold.fake._localHold], [0, 1, 1, false]);
  assert.equal(hold.seen.descriptions.length, 1);
});

test("a call that does not stand ends with the connection", () => {
  const { seen, end } = session("have-local-offer", false);
  end("Connection Error");
  assert.equal(seen.ended, 1);
});

test("whoever hangs up hangs up", () => {
  const { seen, end } = session("stable");
  end();
  end("Decline");
  assert.deepEqual([seen.ended, seen.undone], [2, 0]);
});
