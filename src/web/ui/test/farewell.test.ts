// Which hang-ups are said again when the connection is back.

import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { Farewells } from "../src/phone/farewell";

class FakeTransaction {
  state = 1;
  private listener = () => {};
  constructor(
    readonly id: string,
    private readonly method: string,
  ) {}
  get request() {
    const { id, method } = this;
    return { method, toString: () => `${method} ${id}` };
  }
  on(_event: string, listener: () => void) {
    this.listener = listener;
  }
  become(state: number) {
    this.state = state;
    this.listener();
  }
}

const COMPLETED = 5;
const TERMINATED = 6;
let said: string[];
let now: number;
let farewells: Farewells;

beforeEach(() => {
  said = [];
  now = 0;
  farewells = new Farewells(
    (text) => void said.push(text),
    () => now,
  );
});

function begin(id: string, method: string): FakeTransaction {
  const transaction = new FakeTransaction(id, method);
  farewells.watch(transaction);
  return transaction;
}

test("a hang-up that met no connection is said on the next one", () => {
  begin("a", "BYE").become(TERMINATED);
  farewells.registered();
  assert.deepEqual(said, ["BYE a"]);
});

test("what the node has answered is not said again", () => {
  begin("a", "BYE").become(COMPLETED);
  farewells.registered();
  assert.deepEqual(said, []);
});

test("an answer to the repetition ends it", () => {
  const bye = begin("a", "BYE");
  farewells.registered();
  bye.become(COMPLETED);
  farewells.registered();
  assert.deepEqual(said, ["BYE a"]);
});

test("other requests are nobody's farewell", () => {
  begin("a", "REGISTER").become(TERMINATED);
  begin("b", "INVITE").become(TERMINATED);
  farewells.registered();
  assert.deepEqual(said, []);
});

test("a node that was away for long has ended the call itself", () => {
  begin("a", "BYE").become(TERMINATED);
  now = 60_001;
  farewells.registered();
  assert.deepEqual(said, []);
});
