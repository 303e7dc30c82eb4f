// A step of a call in words.

import type { Step } from "../api/types";
import { t, type Key } from "../i18n";

/** Seconds since the call's first step, with thousandths: `+12.345 s`. */
export function after(ms: number): string {
  return `+${(Math.max(0, ms) / 1000).toFixed(3)} s`;
}

const TITLES: Record<string, Key> = {
  "call-started": "step.callStarted",
  "call-routed": "step.callRouted",
  "call-rerouted": "step.callRerouted",
  "call-answered": "step.callAnswered",
  "call-ended": "step.callEnded",
  "media-ready": "step.mediaReady",
  "media-failed": "step.mediaFailed",
  "audio-missing": "step.audioMissing",
  recording: "step.recording",
  restored: "step.restored",
  ringing: "step.ringing",
  "ice-checked": "step.iceChecked",
  "ice-selected": "step.iceSelected",
  "dtls-begun": "step.dtlsBegun",
  "dtls-done": "step.dtlsDone",
  latched: "step.latched",
  "first-audio": "step.firstAudio",
  "ssrc-changed": "step.ssrcChanged",
  codec: "step.codec",
  held: "step.held",
  resumed: "step.resumed",
  tier: "step.tier",
  quality: "step.quality",
};

/** What happened; a step that this page does not know has its own name. */
export function titleOf({ what }: Step): string {
  const key = TITLES[what];
  return key === undefined ? what : t(key);
}

/** What is known of it, in the node's words: `peer 192.0.2.7:4000, role server`. A cause has a place of its own. */
export function detailsOf({ what, details }: Step): string {
  const shown = Object.entries(details).filter(([name]) => name !== "cause" || what === "tier");
  return shown.map(([name, value]) => `${name.replace(/_/g, " ")} ${value}`).join(", ");
}
