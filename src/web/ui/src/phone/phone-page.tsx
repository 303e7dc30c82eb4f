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
import { EndedLine } from "./ended-line";
import { HistoryCard } from "./history";
import { LinkBadge, LinkHint } from "./link";
import { dialFromQuery } from "./number";
import { isBusy, type PhoneState } from "./state";
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
  useTitle(state);
  const busy = isBusy(state);
  const dial = (user: string) => {
    clearProblem();
    void agent.dial(user);
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
          <div
            class="call-area"
            data-testid="call-state"
            data-state={state.call?.phase ?? "idle"}
            data-cause={state.call?.cause ?? undefined}
          >
            {busy && state.call !== null ? (
              <CallPanel call={state.call} agent={agent} />
            ) : (
              <>
                {state.call !== null && problem === "" && <EndedLine call={state.call} />}
                <DialView number={number} onNumber={setNumber} ready={state.link === "registered"} onDial={dial} />
              </>
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

/** The window's title tells of a call, so that it is seen from another tab. */
function useTitle({ call }: PhoneState): void {
  useEffect(() => {
    const page = `${t("phone.title")} · ${t("app.name")}`;
    const phase = call === null || call.phase === "ended" ? null : call.phase;
    document.title = phase === null ? page : `${t(`phone.${phase}`)} ${call?.peerName || call?.peer} · ${page}`;
  });
}
