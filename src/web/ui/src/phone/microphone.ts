// The microphone, and why there is none, in words.

import { t } from "../i18n";

/** Why the microphone could not be had. */
export type MicrophoneProblem = "denied" | "missing" | "busy" | "insecure" | "failed";

export class MicrophoneError extends Error {
  constructor(
    readonly problem: MicrophoneProblem,
    /** The browser's own name of the error. */
    readonly detail: string,
  ) {
    super(`microphone: ${problem} (${detail})`);
  }

  /** For the person at the phone: what happened and what to do. */
  inWords(): string {
    return t(`mic.${this.problem}`, { reason: this.detail });
  }
}

const PROBLEMS: Record<string, MicrophoneProblem> = {
  NotAllowedError: "denied",
  SecurityError: "denied",
  NotFoundError: "missing",
  OverconstrainedError: "missing",
  NotReadableError: "busy",
  AbortError: "busy",
};

/** Opens the microphone; the browser may ask the person first. Throws `MicrophoneError`. */
export async function openMicrophone(): Promise<MediaStream> {
  // Browsers hide mediaDevices from pages that did not come by https (or from this very machine).
  if (navigator.mediaDevices === undefined) throw new MicrophoneError("insecure", "no secure context");
  try {
    return await navigator.mediaDevices.getUserMedia({
      audio: { echoCancellation: true, noiseSuppression: true, autoGainControl: true },
      video: false,
    });
  } catch (error) {
    const name = error instanceof Error ? error.name : String(error);
    throw new MicrophoneError(PROBLEMS[name] ?? "failed", name);
  }
}

/** Gives the microphone back, so that the browser's recording sign goes out. */
export function closeMicrophone(stream: MediaStream | null): void {
  stream?.getTracks().forEach((track) => track.stop());
}
