// The calls of one phone: which one is heard, which ones wait, and what moves between them. At most one talks at a time;
// whoever is answered or taken puts the others on hold.

import type { UA } from "jssip";
import type { RTCSession } from "jssip/lib/RTCSession";
import { ActiveCall } from "./call";
import { causeOfStatus } from "./cause";
import { isRoom, newRoom } from "./conference";
import { closeMicrophone, openMicrophone } from "./microphone";
import { sipUri } from "./number";
import type { OwnCall } from "../api/types";
import { referTarget, replacesValue, type DialogName } from "./replaces";
import { callOf, isFull, isUp, type Call, type PhoneEvent, type PhoneState, type Transfer } from "./state";

const BUSY_HERE = { status_code: 486, reason_phrase: "Busy Here" };
/** Call-IDs of calls that were here, of which it is known that they are not at another phone. */
const REMEMBERED_MAX = 100;
const DECLINE = { status_code: 603, reason_phrase: "Decline" };

export interface LinesListener {
  state(): PhoneState;
  dispatch(event: PhoneEvent): void;
  /** The microphone could not be opened, or another trouble that only the person can mend. */
  problem(error: unknown): void;
  /** Another voice is to be heard, or none. */
  voices(): void;
  /** A call was hung up: a connection that is away, or silently dead, is looked after at once. */
  hungUp(): void;
}

/** Where the phone is at home. */
export interface Home {
  /** Its own user part, by which the user's other phones are called too. */
  user: string;
  domain: string;
  /** What begins the numbers of conferences; "": the node has none. */
  conference: string;
}

export class Lines {
  private readonly active = new Map<number, ActiveCall>();
  private readonly streams = new Map<number, MediaStream>();
  /** A conference that is being called, and who is to be brought there. */
  private gathering: { room: number; parties: number[] } | null = null;
  private readonly here = new Set<string>();
  private nextId = 1;

  constructor(
    private readonly ua: UA,
    private readonly home: Home,
    private readonly listener: LinesListener,
  ) {}

  /** The voice of the call that is heard. */
  heard(): MediaStream | null {
    return this.streams.get(this.state.current ?? 0) ?? null;
  }

  /** The call that is heard. */
  current(): ActiveCall | null {
    return this.active.get(this.state.current ?? 0) ?? null;
  }

  /** Whether a dialog is, or was, one of this page's. */
  isHere(callId: string): boolean {
    return this.here.has(callId);
  }

  /** Calls `user`, a user part as `parseDialable` returns it; with these header fields. The call's id, if there is one. */
  async dial(user: string, name = "", headers: string[] = []): Promise<number | null> {
    if (isFull(this.state)) return null;
    const id = this.begin("dialled", user, name);
    this.holdAllBut(id);
    const microphone = await this.microphoneFor(id);
    if (microphone === null) return null;
    this.activate(id).place(this.ua, sipUri(user, this.home.domain), microphone, headers);
    return id;
  }

  /** Takes over a call of another phone of this user (RFC 3891). */
  async pull(own: OwnCall, name: string): Promise<void> {
    const { call_id: callId, node_tag: nodeTag, client_tag: phoneTag } = own;
    const replaces = `Replaces: ${replacesValue({ callId, nodeTag, phoneTag })}`;
    await this.dial(own.peer || "anonymous", name, [replaces]);
  }

  /** Somebody calls. What this phone itself sends to the user's other phones does not ring here. */
  called(session: RTCSession): void {
    const { uri, display_name } = session.remote_identity;
    const own = uri.user === this.home.user && this.state.calls.some(isPushed);
    if (own || isFull(this.state)) return session.terminate(BUSY_HERE);
    this.activate(this.begin("called", uri.user, display_name ?? "")).adopt(session);
  }

  async answer(id: number): Promise<void> {
    const call = callOf(this.state, id);
    if (call?.phase !== "incoming" || call.answering) return;
    this.listener.dispatch({ type: "answering", id });
    const microphone = await this.microphoneFor(id);
    if (microphone === null) return;
    this.holdAllBut(id);
    this.active.get(id)?.answer(microphone);
  }

  reject(id: number): void {
    this.active.get(id)?.terminate(DECLINE);
  }

  /** Whoever calls is sent to `user` instead (RFC 3261 21.3.3). */
  deflect(id: number, user: string): void {
    const active = this.active.get(id);
    active?.leavesAs("deflected");
    const contact = `Contact: <${sipUri(user, this.home.domain)}>`;
    active?.terminate({ status_code: 302, reason_phrase: "Moved Temporarily", extraHeaders: [contact] });
  }

  hangUp(id: number): void {
    const active = this.active.get(id);
    if (active !== undefined) {
      active.terminate();
      this.listener.hungUp();
    }
    // Still waiting for the microphone: nothing was sent yet.
    else this.listener.dispatch({ type: "ended", id, at: Date.now(), cause: "hung-up", status: null });
  }

  /** This call is heard from now on, and the others wait. */
  take(id: number): void {
    this.listener.dispatch({ type: "taken", id });
    this.holdAllBut(id);
    this.active.get(id)?.setHeld(false);
  }

  toggleMute(id: number): void {
    this.active.get(id)?.setMuted(!callOf(this.state, id)?.muted);
  }

  toggleHold(id: number): void {
    if (callOf(this.state, id)?.phase === "held") this.take(id);
    else this.active.get(id)?.setHeld(true);
  }

  /** Transfers a call without asking there first. It is held meanwhile, and given back when nobody takes it. */
  transfer(id: number, user: string): void {
    this.refer(id, { kind: "blind", to: user }, user);
  }

  /** Sends a call to the user's other phones; the first that answers has it. `name` is what they are called. */
  push(id: number, name: string): void {
    this.refer(id, { kind: "push", to: name }, this.home.user);
  }

  /** Joins the other sides of two calls, and leaves both. Who is in a conference gives his place there to the other call's party. */
  connect(id: number, other: number): void {
    if (isRoom(callOf(this.state, id)?.peer ?? "", this.home.conference)) [id, other] = [other, id];
    const [dialog, target] = [this.active.get(other)?.dialog(), callOf(this.state, other)];
    if (!dialog || target === null) return;
    this.active.get(other)?.leavesAs("transferred");
    this.refer(id, { kind: "attended", to: target.peerName || target.peer }, target.peer, dialog, () =>
      this.active.get(other)?.leavesAs(null),
    );
  }

  /** Brings all calls that are up into one conference: the one that is here already, or a new one. */
  async merge(): Promise<void> {
    const up = this.state.calls.filter((call) => isUp(call) && isFree(call));
    const room = up.find((call) => isRoom(call.peer, this.home.conference));
    const parties = up.filter((call) => call !== room).map((call) => call.id);
    if (room !== undefined) return this.bring(parties, room.peer, () => this.take(room.id));
    this.gathering = { room: 0, parties };
    const id = await this.dial(newRoom(this.home.conference));
    this.gathering = id === null ? null : { room: id, parties };
  }

  /** What happened to a call of these. To be told after the state knows it. */
  happened(event: PhoneEvent): void {
    if (event.type === "answered") {
      this.remember(event.id);
      this.holdAllBut(event.id);
      if (this.gathering?.room === event.id) this.gather(event.id);
    }
    if (event.type === "ended") {
      this.active.delete(event.id);
      this.streams.delete(event.id);
      if (this.gathering?.room === event.id) this.gathering = null;
    }
  }

  private remember(id: number): void {
    const dialog = this.active.get(id)?.dialog();
    if (dialog) this.here.add(dialog.callId);
    const [oldest] = this.here;
    if (this.here.size > REMEMBERED_MAX && oldest !== undefined) this.here.delete(oldest);
  }

  private get state(): PhoneState {
    return this.listener.state();
  }

  /** The conference answered: everybody is brought there. */
  private gather(room: number): void {
    const [number, parties] = [callOf(this.state, room)?.peer, this.gathering?.parties ?? []];
    this.gathering = null;
    if (number !== undefined) this.bring(parties, number);
  }

  private bring(parties: number[], room: string, then?: () => void): void {
    parties.forEach((id) => this.refer(id, { kind: "merge", to: room }, room));
    then?.();
  }

  /** Holds the call, and asks the node to bring its other side to `user`, where it may take the place of a dialog. */
  private refer(
    id: number,
    transfer: Pick<Transfer, "kind" | "to">,
    user: string,
    instead?: DialogName,
    undo?: () => void,
  ): void {
    const [active, call] = [this.active.get(id), callOf(this.state, id)];
    if (active === undefined || call === null || !isUp(call) || !isFree(call)) return;
    const tell = (phase: Transfer["phase"], cause: Transfer["cause"] = null) =>
      this.listener.dispatch({ type: "transfer", id, transfer: { ...transfer, phase, cause } });
    const talked = call.phase === "connected";
    tell("asked");
    active.leavesAs(transfer.kind === "merge" ? "merged" : "transferred");
    const failed = (status: number | null) => {
      active.leavesAs(null);
      undo?.();
      tell("failed", causeOfStatus(status));
      const elsewhere = this.state.calls.some((other) => other.id !== id && other.phase === "connected");
      if (talked && !elsewhere && transfer.kind !== "merge") this.take(id);
    };
    const target = referTarget(user, this.home.domain, instead);
    active.setHeld(true, () => active.refer(target, { rings: () => tell("ringing"), done: () => tell("done"), failed }));
  }

  private holdAllBut(id: number): void {
    const talking = this.state.calls.filter((call) => call.id !== id && call.phase === "connected");
    talking.forEach((call) => this.active.get(call.id)?.setHeld(true));
  }

  private begin(type: "dialled" | "called", peer: string, peerName: string): number {
    const id = this.nextId++;
    this.listener.dispatch({ type, id, at: Date.now(), peer: decodeUser(peer), peerName });
    return id;
  }

  private activate(id: number): ActiveCall {
    const call = new ActiveCall(id, {
      event: (event) => this.listener.dispatch(event),
      remoteStream: (stream) => this.voice(id, stream),
      isConnected: () => this.ua.isConnected(),
    });
    this.active.set(id, call);
    return call;
  }

  private voice(id: number, stream: MediaStream | null): void {
    if (stream === null) this.streams.delete(id);
    else this.streams.set(id, stream);
    this.listener.voices();
  }

  /** The microphone for call `id`, or `null` when there is none or the call was over before the person allowed it. */
  private async microphoneFor(id: number): Promise<MediaStream | null> {
    try {
      const microphone = await openMicrophone();
      if (callOf(this.state, id) !== null) return microphone;
      closeMicrophone(microphone);
    } catch (error) {
      this.listener.problem(error);
      this.withoutMicrophone(id);
    }
    return null;
  }

  /** An incoming call goes on ringing: the person may allow the microphone and answer again. */
  private withoutMicrophone(id: number): void {
    const call = callOf(this.state, id);
    if (call === null) return;
    if (call.direction === "incoming") this.listener.dispatch({ type: "answer-failed", id });
    else this.listener.dispatch({ type: "ended", id, at: Date.now(), cause: "microphone", status: null });
  }
}

/** Whether nothing is being done with a call already. */
export function isFree({ transfer }: Call): boolean {
  return transfer === null || transfer.phase === "failed";
}

/** Whether a call is on its way to the user's other phones. */
function isPushed({ transfer }: Call): boolean {
  return transfer?.kind === "push" && transfer.phase !== "failed";
}

/** A peer may send a user part with a broken escape; it is then shown as it came. */
function decodeUser(user: string): string {
  try {
    return decodeURIComponent(user);
  } catch {
    return user;
  }
}
