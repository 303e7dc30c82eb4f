// The keep-alive of the phone's WebSocket, with a clock and a socket that the test drives.

import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { SipSocket } from "../src/phone/socket";

const PING = "\r\n\r\n";
const PONG = "\r\n";

class FakeWebSocket {
  static readonly CONNECTING = 0;
  static readonly OPEN = 1;
  static last: FakeWebSocket;
  readyState = FakeWebSocket.CONNECTING;
  sent: string[] = [];
  closed = false;
  onopen: (() => void) | null = null;
  onclose: ((event: unknown) => void) | null = null;
  onmessage: ((event: { data: unknown }) => void) | null = null;
  constructor(
    readonly url: string,
    readonly protocol: string,
  ) {
    FakeWebSocket.last = this;
  }
  send(text: string) {
    this.sent.push(text);
  }
  close() {
    this.closed = true;
  }
  open() {
    this.readyState = FakeWebSocket.OPEN;
    this.onopen?.();
  }
  receive(data: unknown) {
    this.onmessage?.({ data });
  }
}

/** Timers that run when the test says so. */
class FakeClock {
  private now = 0;
  private nextId = 1;
  private timers = new Map<number, { at: number; every: number; run: () => void }>();
  setTimeout = (run: () => void, ms: number) => this.add(run, ms, 0);
  setInterval = (run: () => void, ms: number) => this.add(run, ms, ms);
  clearTimeout = (id: number) => void this.timers.delete(id);
  clearInterval = this.clearTimeout;

  advance(ms: number) {
    const end = this.now + ms;
    for (let due = this.nextDue(end); due !== null; due = this.nextDue(end)) {
      const [id, timer] = due;
      this.now = timer.at;
      if (timer.every > 0) timer.at += timer.every;
      else this.timers.delete(id);
      timer.run();
    }
    this.now = end;
  }

  private add(run: () => void, ms: number, every: number): number {
    this.timers.set(this.nextId, { at: this.now + ms, every, run });
    return this.nextId++;
  }

  private nextDue(end: number) {
    const due = [...this.timers].filter(([, { at }]) => at <= end).sort(([, a], [, b]) => a.at - b.at);
    return due[0] ?? null;
  }
}

let clock: FakeClock;
let socket: SipSocket;
let losses: string[];

beforeEach(() => {
  clock = new FakeClock();
  losses = [];
  Object.assign(globalThis, { window: clock, WebSocket: FakeWebSocket });
  socket = new SipSocket("wss://node.example/sip");
  socket.ondisconnect = (_error, _code, reason) => losses.push(reason ?? "");
  socket.connect();
  FakeWebSocket.last.open();
});

test("speaks the sip subprotocol, RFC 7118 4", () => {
  assert.equal(FakeWebSocket.last.protocol, "sip");
  assert.equal(socket.via_transport, "WSS");
  assert.equal(socket.sip_uri, "sip:node.example;transport=ws");
});

test("a node that never answers pings is not given up for that", () => {
  clock.advance(120_000);
  assert.deepEqual(losses, []);
  assert.ok(FakeWebSocket.last.sent.every((text) => text === PING));
});

test("a node that answered once and then falls silent is given up", () => {
  FakeWebSocket.last.receive(PONG);
  clock.advance(27_000);
  assert.deepEqual(losses, []);
  clock.advance(2_000);
  assert.deepEqual(losses, ["no answer to keep-alive"]);
  assert.equal(FakeWebSocket.last.closed, true);
  assert.equal(socket.isConnected(), false);
});

test("any message is a sign of life", () => {
  FakeWebSocket.last.receive(PONG);
  clock.advance(21_000);
  FakeWebSocket.last.receive("SIP/2.0 200 OK\r\n\r\n");
  clock.advance(10_000);
  assert.deepEqual(losses, []);
});

test("when the network comes back: a ping on a connection, a new one where there is none", () => {
  const first = FakeWebSocket.last;
  const pings = first.sent.length;
  socket.wake();
  assert.equal(first.sent.length, pings + 1);
  socket.disconnect();
  socket.wake();
  assert.notEqual(FakeWebSocket.last, first);
});

test("a closed connection leaves no timer and no listener", () => {
  const first = FakeWebSocket.last;
  socket.disconnect();
  clock.advance(60_000);
  assert.deepEqual(losses, []);
  assert.equal(first.onmessage, null);
});
