import assert from "node:assert/strict";
import { test } from "node:test";
import { after, detailsOf, titleOf } from "../src/status/step";

const step = (what: string, details: Record<string, string>) => ({ at: 1, party: "", what, details });

test("times count from the first step; clocks that disagree count as zero", () => {
  assert.equal(after(0), "+0.000 s");
  assert.equal(after(12_345), "+12.345 s");
  assert.equal(after(-7), "+0.000 s");
});

test("a step has words, and one that is not known its name", () => {
  assert.equal(titleOf(step("dtls-done", {})), "DTLS handshake done");
  assert.equal(titleOf(step("something-new", {})), "something-new");
});

test("details are told as the node says them; a cause stands elsewhere", () => {
  assert.equal(detailsOf(step("dtls-begun", { peer: "192.0.2.7:4000", role: "server" })), "peer 192.0.2.7:4000, role server");
  assert.equal(detailsOf(step("call-ended", { cause: "normal", jitter_ms: "2/3" })), "jitter ms 2/3");
  assert.equal(detailsOf(step("tier", { cause: "not-named", program: "tc", tier: "kernel" })), "cause not-named, program tc, tier kernel");
});
