// Calls beside the one that is heard: those that wait to be answered, and those that are held.

import { t } from "../i18n";
import { Button } from "../parts/button";
import { Icon } from "../parts/icons";
import { Clock } from "../parts/time";
import type { Agent } from "./agent";
import { nameOf, phaseText } from "./names";
import { isUp, type Call } from "./state";

interface OtherCallsProps {
  calls: Call[];
  agent: Agent;
  conference: string;
}

export function OtherCalls({ calls, agent, conference }: OtherCallsProps) {
  if (calls.length === 0) return null;
  return (
    <ul class="other-calls" aria-label={t("phone.others")}>
      {calls.map((call) => (
        <OtherCall key={call.id} call={call} agent={agent} name={nameOf(call, conference)} />
      ))}
    </ul>
  );
}

function OtherCall({ call, agent, name }: { call: Call; agent: Agent; name: string }) {
  const waits = call.phase === "incoming";
  return (
    <li
      class={`other-call ${waits ? "tone-info" : "tone-calm"}`}
      role={waits ? "alert" : undefined}
      data-testid={waits ? "waiting-call" : "other-call"}
      data-state={call.phase}
    >
      <div class="other-call-text">
        <p class="other-call-who">{name}</p>
        <p class="other-call-phase">
          {waits && !call.answering ? t("phone.waiting") : phaseText(call)}
          {call.muted && (
            <>
              {" "}
              · <Icon name="micOff" size={14} /> {t("phone.muted")}
            </>
          )}
          {call.answeredAt !== null && (
            <>
              {" "}
              · <Clock since={call.answeredAt} now={Date.now} />
            </>
          )}
        </p>
      </div>
      {waits ? <Waiting call={call} agent={agent} name={name} /> : <Held call={call} agent={agent} name={name} />}
    </li>
  );
}

interface RowProps {
  call: Call;
  agent: Agent;
  name: string;
}

function Waiting({ call, agent: { lines }, name }: RowProps) {
  return (
    <div class="other-call-buttons">
      <Button
        kind="danger"
        icon="hangup"
        label={t("phone.reject.label", { who: name })}
        disabled={call.answering}
        onClick={() => lines.reject(call.id)}
        testId="waiting-reject"
      />
      <Button
        kind="go"
        icon="phone"
        label={t("phone.answer.label", { who: name })}
        disabled={call.answering}
        onClick={() => void lines.answer(call.id)}
        testId="waiting-answer"
      />
    </div>
  );
}

function Held({ call, agent: { lines }, name }: RowProps) {
  return (
    <div class="other-call-buttons">
      <Button
        kind="quiet"
        icon="hangup"
        label={t("phone.hangup.label", { who: name })}
        onClick={() => lines.hangUp(call.id)}
        testId="other-hangup"
      />
      <Button
        icon="swap"
        label={t("phone.swap.label", { who: name })}
        disabled={!isUp(call)}
        onClick={() => lines.take(call.id)}
        testId="swap"
      >
        {t("phone.swap")}
      </Button>
    </div>
  );
}
