// A state in a word with a colour. The word alone is enough; the colour helps.

import type { ComponentChildren } from "preact";

export type Tone = "ok" | "warn" | "bad" | "info" | "calm";

export function Badge({ tone, children }: { tone: Tone; children: ComponentChildren }) {
  return (
    <span class={`badge tone-${tone}`}>
      <span class="dot" aria-hidden="true" />
      {children}
    </span>
  );
}

interface NoticeProps {
  tone: Tone;
  /** Read out at once rather than when there is time. */
  urgent?: boolean;
  testId?: string;
  children: ComponentChildren;
}

/** A message about something that just happened. */
export function Notice({ tone, urgent = false, testId, children }: NoticeProps) {
  return (
    <div class={`notice tone-${tone}`} role={urgent ? "alert" : "status"} data-testid={testId}>
      {children}
    </div>
  );
}
