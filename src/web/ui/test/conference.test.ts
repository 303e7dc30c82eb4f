import assert from "node:assert/strict";
import { test } from "node:test";
import { isRoom, newRoom } from "../src/phone/conference";
import { referTarget, replacesValue } from "../src/phone/replaces";

test("the number of a conference is the node's prefix and one to eight digits", () => {
  assert.ok(isRoom("*61", "*6") && isRoom("*612345678", "*6"));
  for (const number of ["*6", "*6123456789", "*6x", "61", "*5123"]) assert.equal(isRoom(number, "*6"), false, number);
  assert.equal(isRoom("123", ""), false, "a node without conferences");
});

test("a new conference has eight digits, each as likely as the others", () => {
  const octets = [255, 254, 253, 252, 251, 250, 249, 0, 1, 2, 3, 4, 5, 6, 7, 8];
  const draw = (into: Uint8Array) => into.map(() => octets.shift() ?? 0);
  assert.equal(newRoom("*6", draw), "*690123456");
  assert.match(newRoom("*6"), /^\*6[0-9]{8}$/);
});

test("whoever is to take a dialog's place names it as the node knows it", () => {
  const dialog = { callId: "a@b", nodeTag: "node", phoneTag: "phone" };
  assert.equal(replacesValue(dialog), "a@b;to-tag=node;from-tag=phone");
  const target = referTarget("*6#1", "example.com", dialog);
  assert.equal(target, "sip:*6%231@example.com?Replaces=a%40b%3Bto-tag%3Dnode%3Bfrom-tag%3Dphone");
  assert.equal(referTarget("103", "example.com"), "sip:103@example.com");
});
