// Ties an agent to the page: its life, its state, the speaker, and what tests and support may look at.

import type { RefObject } from "preact";
import { useEffect, useMemo, useState } from "preact/hooks";
import { api } from "../api/client";
import { isSignedOut } from "../api/error";
import type { PhoneAccount } from "../api/types";
import { Agent } from "./agent";
import { MicrophoneError } from "./microphone";
import { currentCall, initialState, isBusy, type PhoneState } from "./state";

declare global {
  interface Window {
    /** For tests and diagnostics only. */
    ringfortPhone?: { peerConnection(): RTCPeerConnection | null; state(): string };
  }
}

export function useAgent(account: PhoneAccount, audio: RefObject<HTMLAudioElement | null>, onSessionLost: () => void) {
  const [state, setState] = useState<PhoneState>(initialState);
  const [problem, setProblem] = useState("");
  const agent = useMemo(
    () =>
      new Agent(account, {
        changed: (next) => {
          setState(next);
          if (currentCall(next)?.phase === "connected") setProblem("");
        },
        remoteStream: (stream) => hear(audio.current, stream),
        problem: (error) => setProblem(error instanceof MicrophoneError ? error.inWords() : String(error)),
      }),
    [account],
  );
  useEffect(() => run(agent), [agent]);
  useEffect(() => expose(agent), [agent]);
  useSessionCheck(state, onSessionLost);
  useLeaveQuestion(isBusy(state));
  return { agent, state, problem, clearProblem: () => setProblem("") };
}

/** A stream that is given anew would begin anew. */
function hear(audio: HTMLAudioElement | null, stream: MediaStream | null): void {
  if (audio !== null && audio.srcObject !== stream) audio.srcObject = stream;
}

function run(agent: Agent): () => void {
  const stop = () => agent.stop();
  // A page that comes back from the browser's cache has a phone that was stopped.
  const revive = (event: PageTransitionEvent) => event.persisted && location.reload();
  agent.start();
  window.addEventListener("pagehide", stop);
  window.addEventListener("pageshow", revive);
  return () => {
    window.removeEventListener("pagehide", stop);
    window.removeEventListener("pageshow", revive);
    agent.stop();
  };
}

function expose(agent: Agent): () => void {
  window.ringfortPhone = { peerConnection: () => agent.peerConnection(), state: () => agent.callState() };
  return () => delete window.ringfortPhone;
}

/** A connection that the node refuses may mean that the session has ended; a running call is never cut for that. */
function useSessionCheck(state: PhoneState, onSessionLost: () => void): void {
  const idleOffline = state.link === "offline" && !isBusy(state);
  useEffect(() => {
    if (!idleOffline) return;
    const ask = () =>
      api.session().catch((error: unknown) => {
        if (isSignedOut(error)) onSessionLost();
      });
    const timer = window.setTimeout(() => void ask(), 2000);
    return () => window.clearTimeout(timer);
  }, [idleOffline]);
}

/** The browser asks before it closes a page with a call on it. */
function useLeaveQuestion(busy: boolean): void {
  useEffect(() => {
    if (!busy) return;
    const ask = (event: BeforeUnloadEvent) => event.preventDefault();
    window.addEventListener("beforeunload", ask);
    return () => window.removeEventListener("beforeunload", ask);
  }, [busy]);
}
