// The call that is up or coming up.

import { useEffect, useRef } from "preact/hooks";
import { t } from "../i18n";
import { Button } from "../parts/button";
import { Clock } from "../parts/time";
import type { Agent } from "./agent";
import { Avatar } from "./avatar";
import { Keypad } from "./keypad";
import type { Call } from "./state";

/** Keys sent that still fit on the line. */
const KEYS_SHOWN = 20;

interface CallPanelProps {
  call: Call;
  agent: Agent;
}

export function CallPanel({ call, agent }: CallPanelProps) {
  const panel = useRef<HTMLDivElement>(null);
  // An outgoing call takes the focus from the field that it replaces. An incoming one takes it from nobody: a key
  // meant for something else must not answer it.
  useEffect(() => {
    if (call.direction === "outgoing") panel.current?.focus();
  }, [call.id]);
  return (
    <div class={`call-panel phase-${call.phase}`} tabIndex={-1} ref={panel}>
      <Avatar name={call.peerName || call.peer} ringing={call.answeredAt === null} />
      <p class="call-peer" data-testid="call-peer">
        {call.peerName || call.peer}
      </p>
      {call.peerName !== "" && <p class="muted">{call.peer}</p>}
      <p class="call-phase" aria-live={call.phase === "incoming" ? "assertive" : "polite"}>
        {phaseText(call)}
      </p>
      <p class="call-clock" data-testid="call-timer">
        {call.answeredAt !== null && <Clock since={call.answeredAt} now={Date.now} />}
      </p>
      {call.phase === "incoming" ? <Decision call={call} agent={agent} /> : <Controls call={call} agent={agent} />}
    </div>
  );
}

function Decision({ call, agent }: CallPanelProps) {
  return (
    <div class="call-buttons">
      <Button kind="danger" icon="hangup" disabled={call.answering} onClick={() => agent.reject()} testId="reject">
        {t("phone.reject")}
      </Button>
      <Button kind="go" icon="phone" disabled={call.answering} onClick={() => void agent.answer()} testId="answer">
        {t("phone.answer")}
      </Button>
    </div>
  );
}

function Controls({ call, agent }: CallPanelProps) {
  const up = call.phase === "connected" || call.phase === "held";
  return (
    <>
      {up && <ToneKeys call={call} agent={agent} />}
      {up && (
        <div class="call-buttons">
          <Button
            icon={call.muted ? "micOff" : "mic"}
            pressed={call.muted}
            onClick={() => agent.toggleMute()}
            testId="mute"
          >
            {t(call.muted ? "phone.unmute" : "phone.mute")}
          </Button>
          <Button
            icon={call.phase === "held" ? "play" : "pause"}
            pressed={call.phase === "held"}
            onClick={() => agent.toggleHold()}
            testId="hold"
          >
            {t(call.phase === "held" ? "phone.resume" : "phone.hold")}
          </Button>
        </div>
      )}
      <div class="call-buttons">
        <Button kind="danger" icon="hangup" onClick={() => agent.hangUp()} testId="hangup">
          {t("phone.hangup")}
        </Button>
      </div>
    </>
  );
}

function ToneKeys({ call, agent }: CallPanelProps) {
  useTypedTones(agent);
  return (
    <>
      <output class="keys-sent figures" aria-label={t("phone.sent")} data-testid="keys-sent">
        {call.keys.slice(-KEYS_SHOWN)}
      </output>
      <Keypad label={t("phone.keypad")} onKey={(key) => agent.sendKey(key)} />
    </>
  );
}

/** Digits typed on the keyboard are sent, too. */
function useTypedTones(agent: Agent): void {
  useEffect(() => {
    const typed = (event: KeyboardEvent) => {
      const modified = event.ctrlKey || event.metaKey || event.altKey;
      const elsewhere = event.target instanceof Element && event.target.closest("input, select, textarea") !== null;
      if (!modified && !elsewhere && /^[0-9*#]$/.test(event.key)) agent.sendKey(event.key);
    };
    window.addEventListener("keydown", typed);
    return () => window.removeEventListener("keydown", typed);
  }, [agent]);
}

function phaseText(call: Call): string {
  if (call.phase === "incoming" && call.answering) return t("phone.answering");
  if (call.heldByPeer && call.phase === "connected") return t("phone.remoteHold");
  return t(`phone.${call.phase}`);
}
