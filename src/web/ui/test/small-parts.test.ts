import assert from "node:assert/strict";
import { test } from "node:test";
import { observeNodeClock, nodeNow } from "../src/api/clock";
import { errorOf, inWords } from "../src/api/error";
import type { Registration } from "../src/api/types";
import { initials } from "../src/phone/avatar";
import { backoffSeconds } from "../src/phone/backoff";
import { newPasswordProblem } from "../src/signin/password-rule";
import { matchRegistrations } from "../src/status/match";

test("waiting times double, have a limit and differ between phones", () => {
  assert.deepEqual(
    [0, 1, 2, 3].map((attempt) => backoffSeconds(attempt, 1)),
    [1, 2, 4, 8],
  );
  assert.equal(backoffSeconds(0, 0), 0.5);
  assert.equal(backoffSeconds(1000, 1), 60);
});

test("a new password", () => {
  const form = { user: "admin", current: "first one", next: "correct horse", again: "correct horse" };
  assert.equal(newPasswordProblem(form), null);
  assert.equal(newPasswordProblem({ ...form, current: "" }), "password.missing");
  assert.equal(newPasswordProblem({ ...form, next: "short", again: "short" }), "password.short");
  assert.equal(newPasswordProblem({ ...form, again: "correct house" }), "password.differ");
  assert.equal(newPasswordProblem({ ...form, current: "correct horse" }), "password.same");
  assert.equal(newPasswordProblem({ ...form, user: "correct horse" }), "password.same");
  assert.equal(newPasswordProblem({ ...form, next: "😀".repeat(6), again: "😀".repeat(6) }), "password.short");
});

test("registrations match when every word occurs somewhere", () => {
  const row = {
    aor: "101@example.com",
    transport: "wss",
    source: "10.0.0.1:5060",
    user_agent: "Snom D785",
  } as Registration;
  assert.equal(matchRegistrations([row], " SNOM 101 ").length, 1);
  assert.equal(matchRegistrations([row], "snom 102").length, 0);
  assert.equal(matchRegistrations([row], "").length, 1);
});

test("two letters for a person, none for a number", () => {
  assert.equal(initials("Alice Byrne"), "AB");
  assert.equal(initials("Ana Maria de Souza"), "AS");
  assert.equal(initials("echo"), "E");
  assert.equal(initials("+353 12"), "");
});

test("the node's clock is followed only when it is clearly another one", () => {
  const now = Date.now();
  observeNodeClock(new Date(now + 600_000).toUTCString(), now);
  assert.ok(Math.abs(nodeNow() - Date.now() - 600_000) < 2000);
  observeNodeClock("not a date", now);
  assert.ok(nodeNow() - Date.now() > 500_000);
  observeNodeClock(new Date(now + 1000).toUTCString(), now);
  assert.ok(Math.abs(nodeNow() - Date.now()) < 50);
});

test("errors: known codes in our words, others in the node's, a proxy's page in neither", () => {
  const body = (code: string, message: string) => JSON.stringify({ error: { code, message } });
  assert.match(inWords(errorOf(401, body("bad-credentials", "x"), null)), /not right/);
  assert.match(inWords(errorOf(429, body("throttled", "x"), "8")), /wait 8 s/);
  assert.equal(inWords(errorOf(409, body("configuration-refused", "line 3: no"), null)), "line 3: no");
  assert.match(inWords(errorOf(502, "<html>Bad gateway</html>", null)), /\(502\)/);
  assert.match(inWords(errorOf(500, "null", null)), /\(500\)/);
});
