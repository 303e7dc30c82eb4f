// The administrator's page: what the node does now, and why.

import { useEffect, useRef, useState } from "preact/hooks";
import type { PageProps } from "../app";
import type { Status } from "../api/types";
import { formatTime } from "../format";
import { t } from "../i18n";
import { Badge, type Tone } from "../parts/badge";
import { Filled } from "../parts/filled";
import { PageFrame } from "../parts/page";
import { Span } from "../parts/time";
import { Alarms } from "./alarms";
import { LiveCalls } from "./calls";
import { StatusFeed, type Freshness, type Snapshot } from "./feed";
import { LimitsCard } from "./limits";
import { ModePanel } from "./mode-panel";
import { CloudCard, TrunksCard } from "./peers";
import { RecentCalls } from "./recent";
import { RegistrationsCard } from "./registrations";
import { ReloadNotice, useReload } from "./reload";
import { TimelineCard, type Opened } from "./timeline";
import { TotalsCard } from "./totals";

export function StatusPage(props: PageProps) {
  const { snapshot, freshness, heardAt } = useFeed(props.onSessionLost);
  return (
    <PageFrame {...props} title={t("status.title")} state={<FreshnessBadge freshness={freshness} heardAt={heardAt} />}>
      {snapshot === null ? <p role="status">{t("app.loading")}</p> : <Content {...snapshot} />}
    </PageFrame>
  );
}

function Content({ status, startedAt }: Snapshot) {
  const reload = useReload();
  const [opened, setOpened] = useState<Opened | null>(null);
  useEffect(() => {
    document.title = `${t(`mode.${status.mode}`)} · ${status.node} · ${t("app.name")}`;
  });
  const uptime = (
    <Filled name="status.uptime">
      <Span since={startedAt} />
    </Filled>
  );
  return (
    <>
      <div class="page-head">
        <div>
          <h1>{status.node}</h1>
          <p class="muted">
            {t("status.version", { version: status.version })} · {uptime}
          </p>
        </div>
        {reload.button}
      </div>
      <ReloadNotice outcome={reload.outcome} onDismiss={reload.dismiss} />
      <ModePanel status={status} />
      <Alarms alarms={status.alarms} />
      {opened && <TimelineCard opened={opened} onClose={() => setOpened(null)} />}
      <LiveCalls calls={status.calls} count={status.call_count} onOpen={setOpened} />
      <Peers status={status} />
      <RegistrationsCard registrations={status.registrations} count={status.registration_count} />
      <RecentCalls records={status.recent} onOpen={setOpened} />
      <LimitsCard limits={status.limits} />
      <TotalsCard totals={status.totals} />
    </>
  );
}

function Peers({ status }: { status: Status }) {
  return (
    <div class="peers">
      <CloudCard cloud={status.cloud} />
      <TrunksCard trunks={status.trunks} />
    </div>
  );
}

const FRESHNESS_TONE: Record<Freshness, Tone> = { live: "ok", polling: "info", stale: "bad" };

function FreshnessBadge({ freshness, heardAt }: { freshness: Freshness; heardAt: number }) {
  return (
    <span role="status" data-testid="freshness" data-state={freshness}>
      <Badge tone={FRESHNESS_TONE[freshness]}>
        {t(`status.${freshness}`, { time: formatTime(heardAt, Date.now()) })}
      </Badge>
    </span>
  );
}

function useFeed(onSignedOut: () => void) {
  const [snapshot, setSnapshot] = useState<Snapshot | null>(null);
  const [freshness, setFreshness] = useState<Freshness>("polling");
  const heardAt = useRef(Date.now());
  useEffect(() => {
    const feed = new StatusFeed({
      snapshot(next) {
        heardAt.current = Date.now();
        setSnapshot(next);
      },
      freshness: setFreshness,
      signedOut: onSignedOut,
    });
    feed.start();
    return () => feed.stop();
  }, []);
  return { snapshot, freshness, heardAt: heardAt.current };
}
