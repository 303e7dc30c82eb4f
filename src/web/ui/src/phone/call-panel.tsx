// The call that is heard, or coming up, and what can be done with it.

import { useEffect, useRef, useState } from "preact/hooks";
import { t } from "../i18n";
import { Notice } from "../parts/badge";
import { Button } from "../parts/button";
import { Clock } from "../parts/time";
import type { Agent } from "./agent";
import { Avatar } from "./avatar";
import { isRoom } from "./conference";
import { Keypad } from "./keypad";
import { isFree } from "./lines";
import { nameOf, phaseText } from "./names";
import { isUp, type Call } from "./state";
import { TargetForm } from "./target-form";

/** Keys sent that still fit on the line. */
const KEYS_SHOWN = 20;

interface CallPanelProps {
  call: Call;
  agent: Agent;
  /** What begins the numbers of conferences. */
  conference: string;
  /** Other calls that were answered. */
  others: Call[];
  /** There is room for a further call. */
  room: boolean;
  /** The user has other phones to which a call can go. */
  pushes: boolean;
}

export function CallPanel(props: CallPanelProps) {
  const { call, agent, conference } = props;
  const panel = useRef<HTMLDivElement>(null);
  // An outgoing call takes the focus from the field that it replaces. An incoming one takes it from nobody: a key
  // meant for something else must not answer it.
  useEffect(() => {
    if (call.direction === "outgoing") panel.current?.focus();
  }, [call.id]);
  const name = nameOf(call, conference);
  return (
    <div class={`call-panel phase-${call.phase}`} tabIndex={-1} ref={panel}>
      <Avatar name={name} ringing={call.answeredAt === null} />
      <p class="call-peer" data-testid="call-peer">
        {name}
      </p>
      {name !== call.peer && <p class="muted">{call.peer}</p>}
      <p class="call-phase" aria-live={call.phase === "incoming" ? "assertive" : "polite"}>
        {phaseText(call)}
      </p>
      <p class="call-clock" data-testid="call-timer">
        {call.answeredAt !== null && <Clock since={call.answeredAt} now={Date.now} />}
      </p>
      <TransferLine call={call} conference={conference} />
      {call.phase === "incoming" ? <Decision call={call} agent={agent} /> : <Controls {...props} key={call.id} />}
    </div>
  );
}

function TransferLine({ call: { transfer }, conference }: { call: Call; conference: string }) {
  const to = nameOf({ peer: transfer?.to ?? "", peerName: "" }, conference);
  return (
    <div data-testid="transfer-state" data-state={transfer?.phase ?? "none"} data-cause={transfer?.cause ?? undefined}>
      {transfer !== null && (
        <Notice tone={transfer.phase === "failed" ? "warn" : "info"}>
          {t(`transfer.${transfer.phase}`, { to })}
          {transfer.cause !== null && ` ${t(`cause.${transfer.cause}`)}.`}
        </Notice>
      )}
    </div>
  );
}

export function Decision({ call, agent }: { call: Call; agent: Agent }) {
  const { lines } = agent;
  const [deflects, setDeflects] = useState(false);
  if (deflects) {
    return (
      <TargetForm
        purpose="deflect"
        onTarget={(user) => lines.deflect(call.id, user)}
        onCancel={() => setDeflects(false)}
      />
    );
  }
  return (
    <>
      <div class="call-buttons">
        <Button
          kind="danger"
          icon="hangup"
          disabled={call.answering}
          onClick={() => lines.reject(call.id)}
          testId="reject"
        >
          {t("phone.reject")}
        </Button>
        <Button
          kind="go"
          icon="phone"
          disabled={call.answering}
          onClick={() => void lines.answer(call.id)}
          testId="answer"
        >
          {t("phone.answer")}
        </Button>
      </div>
      <div class="call-buttons">
        <Button icon="outgoing" disabled={call.answering} onClick={() => setDeflects(true)} testId="deflect">
          {t("phone.deflect")}
        </Button>
      </div>
    </>
  );
}

function Controls({ call, agent, conference, others, room, pushes }: CallPanelProps) {
  const { lines } = agent;
  const [purpose, setPurpose] = useState<"call" | "transfer" | null>(null);
  const up = isUp(call);
  const free = up && isFree(call) && !isRoom(call.peer, conference);
  const target = (user: string) => {
    setPurpose(null);
    if (purpose === "transfer") lines.transfer(call.id, user);
    else void lines.dial(user);
  };
  const push = () => {
    setPurpose(null);
    lines.push(call.id, t("phone.ownPhone"));
  };
  return (
    <>
      {up && purpose !== null && (
        <TargetForm purpose={purpose} onTarget={target} onCancel={() => setPurpose(null)}>
          {pushes && purpose === "transfer" && (
            <Button icon="device" onClick={push} testId="push">
              {t("phone.push")}
            </Button>
          )}
        </TargetForm>
      )}
      {up && purpose === null && (
        <div class="call-buttons">
          <Button
            icon={call.muted ? "micOff" : "mic"}
            pressed={call.muted}
            onClick={() => lines.toggleMute(call.id)}
            testId="mute"
          >
            {t(call.muted ? "phone.unmute" : "phone.mute")}
          </Button>
          <Button
            icon={call.phase === "held" ? "play" : "pause"}
            pressed={call.phase === "held"}
            onClick={() => lines.toggleHold(call.id)}
            testId="hold"
          >
            {t(call.phase === "held" ? "phone.resume" : "phone.hold")}
          </Button>
          <Button icon="add" disabled={!room} onClick={() => setPurpose("call")} testId="second-call">
            {t("phone.second")}
          </Button>
          <Button icon="outgoing" disabled={!free} onClick={() => setPurpose("transfer")} testId="transfer">
            {t("phone.transfer")}
          </Button>
          <Joining call={call} others={others} agent={agent} merges={conference !== ""} />
        </div>
      )}
      <div class="call-buttons">
        <Button kind="danger" icon="hangup" onClick={() => lines.hangUp(call.id)} testId="hangup">
          {t("phone.hangup")}
        </Button>
      </div>
      {up && purpose === null && <ToneKeys call={call} agent={agent} />}
    </>
  );
}

/** What two calls can become: one without this phone, or a conference with it. */
function Joining({ call, others, agent, merges }: { call: Call; others: Call[]; agent: Agent; merges: boolean }) {
  const other = others.find(isFree);
  if (!isUp(call) || !isFree(call) || other === undefined) return null;
  const names = { one: call.peerName || call.peer, other: other.peerName || other.peer };
  return (
    <>
      <Button
        icon="trunk"
        label={t("phone.connect.label", names)}
        onClick={() => agent.lines.connect(other.id, call.id)}
        testId="connect"
      >
        {t("phone.connect")}
      </Button>
      {merges && (
        <Button icon="people" onClick={() => void agent.lines.merge()} testId="merge">
          {t("phone.merge")}
        </Button>
      )}
    </>
  );
}

function ToneKeys({ call, agent }: { call: Call; agent: Agent }) {
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
