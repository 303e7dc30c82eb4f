import assert from "node:assert/strict";
import { test } from "node:test";
import { causeOf, type End } from "../src/phone/cause";
import { en } from "../src/i18n/en";

const end = (part: Partial<End>): End => ({ word: "", status: null, wanted: false, direction: "outgoing", ...part });

test("a SIP status decides", () => {
  assert.equal(causeOf(end({ word: "Busy", status: 486 })), "busy");
  assert.equal(causeOf(end({ word: "Rejected", status: 603 })), "declined");
  assert.equal(causeOf(end({ word: "Rejected", status: 403 })), "forbidden");
  assert.equal(causeOf(end({ word: "Not Found", status: 404 })), "not-found");
  assert.equal(causeOf(end({ word: "SIP Failure Code", status: 500 })), "failed");
});

test("what the person did", () => {
  assert.equal(causeOf(end({ word: "Canceled", wanted: true })), "hung-up");
  assert.equal(causeOf(end({ word: "Rejected", wanted: true, direction: "incoming" })), "rejected-here");
  assert.equal(causeOf(end({ word: "Terminated", wanted: true })), "normal");
});

test("what the other side or the network did", () => {
  assert.equal(causeOf(end({ word: "Terminated" })), "normal");
  assert.equal(causeOf(end({ word: "Canceled", direction: "incoming" })), "cancelled");
  assert.equal(causeOf(end({ word: "Canceled", direction: "outgoing" })), "connection-lost");
  assert.equal(causeOf(end({ word: "RTP Timeout" })), "media-lost");
  assert.equal(causeOf(end({ word: "something new" })), "failed");
});

test("every cause that can come out has a text", () => {
  for (const status of [...Array(700).keys()]) {
    assert.ok(`cause.${causeOf(end({ status }))}` in en);
  }
});
