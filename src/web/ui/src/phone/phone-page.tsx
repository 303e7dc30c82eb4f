// The web phone: what the agent knows, shown; what the person wants, told to the agent.

import { useEffect, useRef, useState } from "preact/hooks";
import type { PageProps } from "../app";
import { api } from "../api/client";
import { inWords, isSignedOut } from "../api/error";
import type { PhoneAccount } from "../api/types";
import { t } from "../i18n";
import { Notice } from "../parts/badge";
import { Failed, Loading, PageFrame } from "../parts/page";
import { CallPanel } from "./call-panel";
import { DialView } from "./dial-view";
import { elsewhere, useOwnCalls } from "./elsewhere";
import { Elsewhere } from "./elsewhere-list";
import { EndedLine } from "./ended-line";
import { HistoryCard } from "./history";
import { LinkBadge, LinkHint } from "./link";
import { nameOf } from "./names";
import { dialFromQuery } from "./number";
import { OtherCalls } from "./other-calls";
import { currentCall, isBusy, isFull, isUp, otherCalls, type PhoneState } from "./state";
import { useAgent } from "./use-agent";

export function PhonePage(props: PageProps) {
  const [account, setAccount] = useState<PhoneAccount | null>(null);
  const [error, setError] = useState("");
  const load = () => {
    setError("");
    api.phone().then(setAccount, (failure: unknown) => {
      if (isSignedOut(failure)) props.onSessionLost();
      else setError(inWords(failure));
    });
  };
  useEffect(load, []);
  if (error !== "") return <Failed reason={error} onRetry={load} />;
  return account === null ? <Loading /> : <Phone {...props} account={account} />;
}

function Phone({ account, ...props }: PageProps & { account: PhoneAccount }) {
  const audio = useRef<HTMLAudioElement>(null);
  const { agent, state, problem, clearProblem } = useAgent(account, audio, props.onSessionLost);
  const [number, setNumber] = useState(() => dialFromQuery(location.search));
  const { conference } = account;
  useTitle(state, conference);
  const [busy, call] = [isBusy(state), currentCall(state)];
  const [shown, others] = [call ?? state.last, otherCalls(state)];
  const own = useOwnCalls();
  const dial = (user: string) => {
    clearProblem();
    void agent.lines.dial(user);
  };
  return (
    <PageFrame {...props} title={t("phone.title")} state={<LinkBadge link={state.link} />}>
      <div class="phone">
        <section class="handset card" aria-label={t("phone.title")}>
          <Identity account={account} />
          <LinkHint state={state} />
          {problem !== "" && (
            <Notice tone="bad" urgent testId="phone-problem">
              {problem}
            </Notice>
          )}
          {state.last !== null && problem === "" && <EndedLine call={state.last} name={nameOf(state.last, conference)} />}
          <OtherCalls calls={others} agent={agent} conference={conference} />
          <Elsewhere
            calls={elsewhere(own, (callId) => agent.lines.isHere(callId))}
            conference={conference}
            ready={state.link === "registered" && !isFull(state)}
            onPull={(call) => {
              clearProblem();
              void agent.lines.pull(call, call.peer_name || (call.peer === "" ? t("elsewhere.unknown") : ""));
            }}
          />
          <div
            class="call-area"
            data-testid="call-state"
            data-state={shown?.phase ?? "idle"}
            data-cause={shown?.cause ?? undefined}
          >
            {call !== null ? (
              <CallPanel
                call={call}
                agent={agent}
                conference={conference}
                others={others.filter(isUp)}
                room={!isFull(state)}
                pushes={own.devices > 1}
              />
            ) : (
              <DialView number={number} onNumber={setNumber} ready={state.link === "registered"} onDial={dial} />
            )}
          </div>
        </section>
        <HistoryCard history={state.history} canDial={!busy && state.link === "registered"} onDial={dial} />
        <audio ref={audio} autoPlay data-testid="remote-audio" />
      </div>
    </PageFrame>
  );
}

function Identity({ account }: { account: PhoneAccount }) {
  const address = account.uri.replace(/^sips?:/i, "");
  return (
    <header class="identity">
      <h1>{account.display_name || address.replace(/@.*$/, "")}</h1>
      <p class="muted">{address}</p>
    </header>
  );
}

/** The window's title tells of a call, so that it is seen from another tab; of one that rings before all others. */
function useTitle(state: PhoneState, conference: string): void {
  useEffect(() => {
    const page = `${t("phone.title")} · ${t("app.name")}`;
    const call = state.calls.find(({ phase }) => phase === "incoming") ?? currentCall(state);
    if (call === null || call.phase === "ended") document.title = page;
    else document.title = `${t(`phone.${call.phase}`)} ${nameOf(call, conference)} · ${page}`;
  });
}
