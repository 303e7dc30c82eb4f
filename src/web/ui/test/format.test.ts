import assert from "node:assert/strict";
import { test } from "node:test";
import { formatClock, formatSpan, formatTime } from "../src/format";

test("a call's clock", () => {
  assert.equal(formatClock(0), "0:00");
  assert.equal(formatClock(7_999), "0:07");
  assert.equal(formatClock(754_000), "12:34");
  assert.equal(formatClock(3_723_000), "1:02:03");
});

test("clocks that disagree show zero, not a negative time", () => {
  assert.equal(formatClock(-5_000), "0:00");
  assert.equal(formatSpan(-1), "0 s");
});

test("a span shows its two largest units and drops a zero", () => {
  assert.equal(formatSpan(59_999), "59 s");
  assert.equal(formatSpan(60_000), "1 min");
  assert.equal(formatSpan(250_000), "4 min 10 s");
  assert.equal(formatSpan(3 * 3_600_000 + 5 * 60_000 + 59_000), "3 h 5 min");
  assert.equal(formatSpan(6 * 86_400_000 + 2 * 3_600_000), "6 d 2 h");
});

test("a time of another day carries its date", () => {
  const noon = new Date(2026, 2, 14, 12, 30, 5).getTime();
  assert.equal(formatTime(noon, noon + 60_000), "12:30:05");
  assert.match(formatTime(noon, noon + 86_400_000), /14 Mar.*12:30:05/);
});
