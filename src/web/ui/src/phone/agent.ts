// The SIP user agent behind the page: connection, registration, and what is heard. Its calls are in lines.ts.

import { UA } from "jssip";
import type { IncomingRTCSessionEvent, OutgoingRTCSessionEvent, UnRegisteredEvent } from "jssip/lib/UA";
import type { PhoneAccount } from "../api/types";
import { backoffSeconds } from "./backoff";
import { Farewells, type ByeTransaction } from "./farewell";
import { Lines } from "./lines";
import { domainOf } from "./number";
import { SipSocket } from "./socket";
import { currentCall, initialState, otherCalls, reduce, type PhoneEvent, type PhoneState } from "./state";
import { Tones } from "./tones";

/** Shorter than common NAT and proxy time-outs, long enough not to load the node. */
const REGISTER_EXPIRES_S = 300;
const RECONNECT_S = { min: 1, max: 15 };
const NO_ANSWER_S = 90;

export interface AgentListener {
  changed(state: PhoneState): void;
  /** The other side's voice, or `null` when the call is over. */
  remoteStream(stream: MediaStream | null): void;
  /** The microphone could not be opened, or another trouble that only the person can mend. */
  problem(error: unknown): void;
}

/** One registered phone. Create, `start()`, use, `stop()`. */
export class Agent {
  /** Its calls. */
  readonly lines: Lines;
  private state: PhoneState = initialState;
  private readonly socket: SipSocket;
  private readonly ua: UA;
  private readonly farewells = new Farewells((text) => this.socket.send(text));
  private readonly tones = new Tones();
  private registerAttempt = 0;
  private registerTimer = 0;
  private readonly wake = () => this.socket.wake();

  constructor(
    account: PhoneAccount,
    private readonly listener: AgentListener,
  ) {
    this.socket = new SipSocket(socketUrl(account.ws_path));
    this.ua = new UA({
      sockets: this.socket,
      uri: account.uri,
      realm: account.realm,
      ha1: account.ha1_md5,
      authorization_user: account.username,
      display_name: account.display_name,
      user_agent: "Ringfort web phone",
      register_expires: REGISTER_EXPIRES_S,
      no_answer_timeout: NO_ANSWER_S,
      // The node watches media itself; refreshing sessions from the page would only add a way to fail.
      session_timers: false,
      connection_recovery_min_interval: RECONNECT_S.min,
      connection_recovery_max_interval: RECONNECT_S.max,
    });
    const home = { user: account.username, domain: domainOf(account.uri), conference: account.conference };
    this.lines = new Lines(this.ua, home, {
      state: () => this.state,
      dispatch: (event) => this.dispatch(event),
      problem: (error) => this.listener.problem(error),
      voices: () => this.listener.remoteStream(this.lines.heard()),
      hungUp: () => this.socket.wake(),
    });
    this.listen();
  }

  start(): void {
    window.addEventListener("online", this.wake);
    this.ua.start();
  }

  /** Ends the call, takes the registration back and closes the connection. */
  stop(): void {
    window.removeEventListener("online", this.wake);
    window.clearTimeout(this.registerTimer);
    this.tones.stop();
    this.ua.removeAllListeners();
    this.ua.stop();
  }

  /** The connection of the call that is heard, for diagnostics. */
  peerConnection(): RTCPeerConnection | null {
    return this.lines.current()?.peerConnection() ?? null;
  }

  /** `idle`, or the phase of the call that is heard or was last. */
  callState(): string {
    return (currentCall(this.state) ?? this.state.last)?.phase ?? "idle";
  }

  /** A key of the call that is heard. */
  sendKey(key: string): void {
    this.lines.current()?.sendKey(key);
  }

  private listen(): void {
    this.ua.on("connecting", () => this.dispatch({ type: "connecting" }));
    transactionsOf(this.ua).on("newTransaction", ({ transaction }) => this.farewells.watch(transaction));
    this.ua.on("disconnected", () => this.disconnected());
    this.ua.on("registered", () => this.registered());
    this.ua.on("unregistered", (event) => this.refused(event));
    this.ua.on("registrationFailed", (event) => this.refused(event));
    this.ua.on("newRTCSession", (event: IncomingRTCSessionEvent | OutgoingRTCSessionEvent) => {
      if (event.session.direction === "incoming") this.lines.called(event.session);
    });
  }

  private registered(): void {
    this.registerAttempt = 0;
    window.clearTimeout(this.registerTimer);
    this.dispatch({ type: "registered" });
    this.farewells.registered();
  }

  private disconnected(): void {
    window.clearTimeout(this.registerTimer);
    this.dispatch({ type: "disconnected" });
  }

  /** Tries again later; while the connection is down JsSIP registers by itself as soon as it is back. */
  private refused({ response, cause }: UnRegisteredEvent): void {
    const reason = response ? `${response.status_code} ${response.reason_phrase}` : String(cause ?? "");
    this.dispatch({ type: "refused", reason });
    window.clearTimeout(this.registerTimer);
    const wait = backoffSeconds(this.registerAttempt++, Math.random());
    this.registerTimer = window.setTimeout(() => this.ua.isConnected() && this.ua.register(), wait * 1000);
  }

  private dispatch(event: PhoneEvent): void {
    this.state = reduce(this.state, event);
    this.lines.happened(event);
    this.sound();
    this.listener.remoteStream(this.lines.heard());
    this.listener.changed(this.state);
  }

  private sound(): void {
    const call = currentCall(this.state);
    if (call?.phase === "incoming" && !call.answering) this.tones.ring();
    else if (otherCalls(this.state).some(({ phase, answering }) => phase === "incoming" && !answering)) this.tones.waiting();
    else if (call?.phase === "ringing" && !this.lines.current()?.hasEarlyMedia()) this.tones.ringBack();
    else this.tones.stop();
  }
}

/** An event that JsSIP has and its types do not name. */
interface TransactionSource {
  on(event: "newTransaction", listener: (event: { transaction: ByeTransaction }) => void): void;
}

function transactionsOf(ua: UA): TransactionSource {
  return ua as unknown as TransactionSource;
}

function socketUrl(path: string): string {
  const scheme = location.protocol === "https:" ? "wss:" : "ws:";
  return `${scheme}//${location.host}${path}`;
}
