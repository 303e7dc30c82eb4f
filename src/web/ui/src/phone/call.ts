// One call of the web phone: a JsSIP session with its media, and what it tells the state.

import type { UA } from "jssip";
import RequestSender from "jssip/lib/Dialog/RequestSender";
import type {
  EndEvent,
  IceCandidateEvent,
  IncomingEvent,
  OutgoingEvent,
  PeerConnectionEvent,
  RTCSession,
  TerminateOptions,
} from "jssip/lib/RTCSession";
import { causeOf, type Cause } from "./cause";
import { askAgainAfter, leaveAskingAgainToCalls, refuseWhileAsking } from "./glare";
import { closeMicrophone } from "./microphone";
import { keepWhenRefused } from "./refusal";
import { dialogOf, type DialogName } from "./replaces";
import type { PhoneEvent } from "./state";

/** The node is ICE-lite with host candidates only, so there is no server to ask and nothing worth waiting for. */
const PEER_CONNECTION: RTCConfiguration = {
  iceServers: [],
  bundlePolicy: "max-bundle",
  rtcpMuxPolicy: "require",
};
const GATHERING_MS = 500;
/** RFC 4733 events: long enough for gateways that need 100 ms, with a gap that separates equal keys. */
const KEY_MS = 160;
const KEY_GAP_MS = 80;
/** A path that broke is asked for anew after this time while that is not possible, and after the longer one while it does not help. */
const RESTART_RETRY_MS = 500;
const RESTART_AGAIN_MS = 5_000;
/** A hold that cannot be asked for now, because the other side is changing something or the connection is away, is asked for anew after this time. */
const HOLD_RETRY_MS = 100;
/** A hold that was refused, for the other side asked for something at the same moment, is asked for again so often. */
const REFUSED_MAX = 3;

leaveAskingAgainToCalls(RequestSender);

export interface CallListener {
  event(event: PhoneEvent): void;
  remoteStream(stream: MediaStream | null): void;
  /** Whether the node can be told anything now. */
  isConnected(): boolean;
}

/** How a REFER goes. */
export interface ReferListener {
  rings(): void;
  done(): void;
  /** `status` is SIP's, `null` when there was no answer. */
  failed(status: number | null): void;
}

/** Either `place` or `adopt` comes first, then any of the others until the call has ended. */
export class ActiveCall {
  private session: RTCSession | null = null;
  private microphone: MediaStream | null = null;
  private gatheringTimer = 0;
  private restartTimer = 0;
  private earlyMedia = false;
  private wanted = false;
  private leaving: Cause | null = null;
  private holdTimer = 0;
  private held = false;
  private changing = false;
  private refusals = 0;
  private waiting: (() => void)[] = [];

  constructor(
    private readonly id: number,
    private readonly listener: CallListener,
  ) {}

  /** Calls `target`. The microphone belongs to the call from here on. */
  place(ua: UA, target: string, microphone: MediaStream, extraHeaders: string[] = []): void {
    this.microphone = microphone;
    const options = {
      mediaStream: microphone,
      pcConfig: PEER_CONNECTION,
      extraHeaders,
      // The one event that JsSIP emits before it returns the session.
      eventHandlers: { peerconnection: (event: PeerConnectionEvent) => this.watchTracks(event.peerconnection) },
    };
    try {
      this.adopt(ua.call(target, options));
    } catch {
      // No WebRTC in this browser, or a target that SIP's grammar does not allow.
      this.finish("failed", null);
    }
  }

  /** Listens to a session that exists. */
  adopt(session: RTCSession): void {
    this.session = session;
    const { id } = this;
    refuseWhileAsking(session);
    keepWhenRefused(
      session,
      () => this.changing,
      (lost) => this.holdUndone(lost),
    );
    session.on("peerconnection", ({ peerconnection }) => this.watchTracks(peerconnection));
    session.on("icecandidate", (event) => this.boundGathering(event));
    session.on("progress", (event: IncomingEvent | OutgoingEvent) => this.progressed(event));
    session.on("accepted", () => this.listener.event({ type: "answered", id, at: Date.now() }));
    session.on("hold", ({ originator }) => this.holdChanged(originator, true));
    session.on("unhold", ({ originator }) => this.holdChanged(originator, false));
    session.on("ended", (event) => this.ended(event));
    session.on("failed", (event) => this.ended(event));
  }

  answer(microphone: MediaStream): void {
    this.microphone = microphone;
    this.session?.answer({ mediaStream: microphone, pcConfig: PEER_CONNECTION });
  }

  /** Hangs up, rejects or cancels: the person's own wish. */
  terminate(options?: TerminateOptions): void {
    this.wanted = true;
    if (this.session !== null && !this.session.isEnded()) this.session.terminate(options);
  }

  setMuted(muted: boolean): void {
    if (muted) this.session?.mute({ audio: true });
    else this.session?.unmute({ audio: true });
    this.listener.event({ type: "muted", id: this.id, muted });
  }

  /** Holds the call, or takes it back; `then` follows when the other side has agreed. */
  setHeld(held: boolean, then?: () => void): void {
    this.held = held;
    if (then !== undefined) this.waiting.push(then);
    this.followHold();
  }

  /** One change is negotiated at a time; a wish that comes meanwhile follows when it is done. */
  private followHold(): void {
    window.clearTimeout(this.holdTimer);
    const { session } = this;
    if (session === null || session.isEnded() || this.changing) return;
    if (session.isOnHold().local === this.held) return this.agreed();
    if (!this.listener.isConnected()) return this.followHoldLater();
    const done = (): void => {
      this.changing = false;
      this.refusals = 0;
      this.followHold();
    };
    this.changing = this.held ? session.hold({}, done) : session.unhold({}, done);
    if (!this.changing) this.followHoldLater();
  }

  private followHoldLater(): void {
    this.holdTimer = window.setTimeout(() => this.followHold(), HOLD_RETRY_MS);
  }

  /** Lost with the connection: the node may have heard of it or not, and is asked as soon as it can be. Refused: after a while once more;
   * whoever refuses again and again does not want it. */
  private holdUndone(lost: boolean): void {
    const held = this.session?.isOnHold().local ?? false;
    this.changing = false;
    this.listener.event({ type: held ? "held" : "resumed", id: this.id });
    if (lost) return this.followHoldLater();
    if (++this.refusals > REFUSED_MAX) {
      [this.held, this.refusals] = [held, 0];
      return this.agreed();
    }
    this.holdTimer = window.setTimeout(() => this.followHold(), askAgainAfter(this.direction()));
  }

  private agreed(): void {
    const waiting = this.waiting;
    this.waiting = [];
    waiting.forEach((then) => then());
  }

  /** Asks the node to bring the other side to `target` (RFC 3515). */
  refer(target: string, listener: ReferListener): void {
    const status = (event: { status_line?: { status_code: number }; response?: { status_code: number } | null }) =>
      (event.status_line ?? event.response)?.status_code ?? null;
    this.session?.refer(target, {
      eventHandlers: {
        requestFailed: (event: Parameters<typeof status>[0]) => listener.failed(status(event)),
        progress: () => listener.rings(),
        accepted: () => listener.done(),
        failed: (event: Parameters<typeof status>[0]) => listener.failed(status(event)),
      },
    });
  }

  /** When the call ends, it is for this; `null`: for whatever the end itself says. */
  leavesAs(cause: Cause | null): void {
    this.leaving = cause;
  }

  /** The names of the call's dialog, once there is one. */
  dialog(): DialogName | null {
    return dialogOf(this.session);
  }

  /** Sends a key as RFC 4733 telephone-event; keys that wait are kept. */
  sendKey(key: string): void {
    const sender = this.peerConnection()
      ?.getSenders()
      .find(({ dtmf }) => dtmf !== null)?.dtmf;
    if (!sender?.canInsertDTMF) return;
    sender.insertDTMF(sender.toneBuffer + key, KEY_MS, KEY_GAP_MS);
    this.listener.event({ type: "key", id: this.id, key });
  }

  peerConnection(): RTCPeerConnection | null {
    return this.session?.connection ?? null;
  }

  /** The other side sends sound before the answer: its own ring-back or an announcement. */
  hasEarlyMedia(): boolean {
    return this.earlyMedia;
  }

  private watchTracks(connection: RTCPeerConnection): void {
    connection.addEventListener("track", ({ track, streams }) => {
      this.listener.remoteStream(streams[0] ?? new MediaStream([track]));
    });
    connection.addEventListener("iceconnectionstatechange", () => this.restartIce(connection));
  }

  /** The network under the call changed or broke: ICE is begun anew until it stands again, and the call goes on. */
  private restartIce(connection: RTCPeerConnection): void {
    window.clearTimeout(this.restartTimer);
    const broken = connection.iceConnectionState === "disconnected" || connection.iceConnectionState === "failed";
    if (!broken || this.session === null || this.session.isEnded()) return;
    // The candidates of the next offer are bounded in time like those of the first.
    this.gatheringTimer = 0;
    const restart = { rtcOfferConstraints: { iceRestart: true } };
    const asked = this.listener.isConnected() && this.session.renegotiate(restart);
    const again = asked ? RESTART_AGAIN_MS : RESTART_RETRY_MS;
    this.restartTimer = window.setTimeout(() => this.restartIce(connection), again);
  }

  private boundGathering({ ready }: IceCandidateEvent): void {
    if (this.gatheringTimer === 0) this.gatheringTimer = window.setTimeout(ready, GATHERING_MS);
  }

  private progressed(event: IncomingEvent | OutgoingEvent): void {
    if ("response" in event && event.response?.body) this.earlyMedia = true;
    this.listener.event({ type: "ringing", id: this.id });
  }

  private holdChanged(originator: string, held: boolean): void {
    const { id } = this;
    if (originator === "remote") this.listener.event({ type: "peer-hold", id, held });
    else this.listener.event({ type: held ? "held" : "resumed", id });
  }

  private ended({ message, cause }: EndEvent): void {
    const status = message && "status_code" in message ? message.status_code : null;
    this.finish(this.leaving ?? causeOf({ word: cause, status, wanted: this.wanted, direction: this.direction() }), status);
  }

  private direction(): "incoming" | "outgoing" {
    return this.session?.direction === "incoming" ? "incoming" : "outgoing";
  }

  private finish(cause: Cause, status: number | null): void {
    window.clearTimeout(this.gatheringTimer);
    window.clearTimeout(this.restartTimer);
    window.clearTimeout(this.holdTimer);
    closeMicrophone(this.microphone);
    this.listener.remoteStream(null);
    this.listener.event({ type: "ended", id: this.id, at: Date.now(), cause, status });
  }
}
