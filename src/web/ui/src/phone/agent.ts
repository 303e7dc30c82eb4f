// The SIP user agent behind the page: connection, registration and who may call. Calls themselves are in call.ts.

import { UA } from "jssip";
import type { RTCSession } from "jssip/lib/RTCSession";
import type { IncomingRTCSessionEvent, OutgoingRTCSessionEvent, UnRegisteredEvent } from "jssip/lib/UA";
import type { PhoneAccount } from "../api/types";
import { backoffSeconds } from "./backoff";
import { ActiveCall } from "./call";
import { Farewells, type ByeTransaction } from "./farewell";
import { closeMicrophone, openMicrophone } from "./microphone";
import { domainOf, sipUri } from "./number";
import { SipSocket } from "./socket";
import { initialState, isBusy, reduce, type PhoneEvent, type PhoneState } from "./state";
import { Tones } from "./tones";

/** Shorter than common NAT and proxy time-outs, long enough not to load the node. */
const REGISTER_EXPIRES_S = 300;
const RECONNECT_S = { min: 1, max: 15 };
const NO_ANSWER_S = 90;
const BUSY_HERE = { status_code: 486, reason_phrase: "Busy Here" };
const DECLINE = { status_code: 603, reason_phrase: "Decline" };

export interface AgentListener {
  changed(state: PhoneState): void;
  /** The other side's voice, or `null` when the call is over. */
  remoteStream(stream: MediaStream | null): void;
  /** The microphone could not be opened, or another trouble that only the person can mend. */
  problem(error: unknown): void;
}

/** One registered phone with at most one call. Create, `start()`, use, `stop()`. */
export class Agent {
  private state: PhoneState = initialState;
  private readonly socket: SipSocket;
  private readonly ua: UA;
  private readonly domain: string;
  private readonly farewells = new Farewells((text) => this.socket.send(text));
  private readonly tones = new Tones();
  private active: ActiveCall | null = null;
  private nextId = 1;
  private registerAttempt = 0;
  private registerTimer = 0;
  private readonly wake = () => this.socket.wake();

  constructor(
    account: PhoneAccount,
    private readonly listener: AgentListener,
  ) {
    this.domain = domainOf(account.uri);
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

  /** The connection of the call that is up, for diagnostics. */
  peerConnection(): RTCPeerConnection | null {
    return this.active?.peerConnection() ?? null;
  }

  /** `idle`, or the phase of the call that is up or was last. */
  callState(): string {
    return this.state.call?.phase ?? "idle";
  }

  /** Calls `user`, a user part as `parseDialable` returns it. */
  async dial(user: string): Promise<void> {
    if (isBusy(this.state)) return;
    const id = this.begin("dialled", user, "");
    const microphone = await this.microphoneFor(id);
    if (microphone !== null) this.activate(id).place(this.ua, sipUri(user, this.domain), microphone);
  }

  /** Answers the incoming call. */
  async answer(): Promise<void> {
    const { call } = this.state;
    if (call?.phase !== "incoming" || call.answering) return;
    this.dispatch({ type: "answering", id: call.id });
    const microphone = await this.microphoneFor(call.id);
    if (microphone !== null) this.active?.answer(microphone);
  }

  reject(): void {
    this.active?.terminate(DECLINE);
  }

  hangUp(): void {
    const { call } = this.state;
    if (this.active !== null) {
      this.active.terminate();
      // The other party waits for this: a connection that is away, or silently dead, is looked after at once.
      this.socket.wake();
    }
    // Still waiting for the microphone: nothing was sent yet.
    else if (call !== null)
      this.dispatch({ type: "ended", id: call.id, at: Date.now(), cause: "hung-up", status: null });
  }

  toggleMute(): void {
    this.active?.setMuted(!this.state.call?.muted);
  }

  toggleHold(): void {
    this.active?.setHeld(this.state.call?.phase !== "held");
  }

  sendKey(key: string): void {
    this.active?.sendKey(key);
  }

  private listen(): void {
    this.ua.on("connecting", () => this.dispatch({ type: "connecting" }));
    transactionsOf(this.ua).on("newTransaction", ({ transaction }) => this.farewells.watch(transaction));
    this.ua.on("disconnected", () => this.disconnected());
    this.ua.on("registered", () => this.registered());
    this.ua.on("unregistered", (event) => this.refused(event));
    this.ua.on("registrationFailed", (event) => this.refused(event));
    this.ua.on("newRTCSession", (event: IncomingRTCSessionEvent | OutgoingRTCSessionEvent) => {
      if (event.session.direction === "incoming") this.called(event.session);
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

  private called(session: RTCSession): void {
    if (isBusy(this.state)) return session.terminate(BUSY_HERE);
    const { uri, display_name } = session.remote_identity;
    const id = this.begin("called", uri.user, display_name ?? "");
    this.activate(id).adopt(session);
  }

  private begin(type: "dialled" | "called", peer: string, peerName: string): number {
    const id = this.nextId++;
    this.listener.remoteStream(null);
    this.dispatch({ type, id, at: Date.now(), peer: decodeUser(peer), peerName });
    return id;
  }

  private activate(id: number): ActiveCall {
    this.active = new ActiveCall(id, {
      event: (event) => this.dispatch(event),
      remoteStream: (stream) => this.listener.remoteStream(stream),
      isConnected: () => this.ua.isConnected(),
    });
    return this.active;
  }

  /** The microphone for call `id`, or `null` when there is none or the call was over before the person allowed it. */
  private async microphoneFor(id: number): Promise<MediaStream | null> {
    try {
      const microphone = await openMicrophone();
      if (this.isCurrent(id)) return microphone;
      closeMicrophone(microphone);
    } catch (error) {
      this.listener.problem(error);
      this.withoutMicrophone(id);
    }
    return null;
  }

  /** An incoming call goes on ringing: the person may allow the microphone and answer again. */
  private withoutMicrophone(id: number): void {
    if (!this.isCurrent(id)) return;
    if (this.state.call?.direction === "incoming") this.dispatch({ type: "answer-failed", id });
    else this.dispatch({ type: "ended", id, at: Date.now(), cause: "microphone", status: null });
  }

  private isCurrent(id: number): boolean {
    return isBusy(this.state) && this.state.call?.id === id;
  }

  private dispatch(event: PhoneEvent): void {
    this.state = reduce(this.state, event);
    if (!isBusy(this.state)) this.active = null;
    this.sound();
    this.listener.changed(this.state);
  }

  private sound(): void {
    const { call } = this.state;
    if (call?.phase === "incoming" && !call.answering) this.tones.ring();
    else if (call?.phase === "ringing" && !this.active?.hasEarlyMedia()) this.tones.ringBack();
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

/** A peer may send a user part with a broken escape; it is then shown as it came. */
function decodeUser(user: string): string {
  try {
    return decodeURIComponent(user);
  } catch {
    return user;
  }
}
