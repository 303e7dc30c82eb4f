// Live calls, with both legs' media, and the way to end one.

import { useState } from "preact/hooks";
import { api } from "../api/client";
import { inWords } from "../api/error";
import type { LiveCall, MissingAudio, Quality } from "../api/types";
import { formatCount } from "../format";
import { t, type Key } from "../i18n";
import { Badge, Notice, type Tone } from "../parts/badge";
import { ConfirmButton } from "../parts/button";
import { Card, Empty } from "../parts/card";
import { DataTable, type Column } from "../parts/data-table";
import { Clock } from "../parts/time";
import { PartialNote } from "./partial-note";
import { OpenTimeline, type Opened } from "./timeline";

const STATES: Record<string, { text: Key; tone: Tone }> = {
  routing: { text: "call.routing", tone: "info" },
  ringing: { text: "call.ringing", tone: "info" },
  connected: { text: "call.connected", tone: "ok" },
  held: { text: "call.held", tone: "warn" },
  ending: { text: "call.ending", tone: "calm" },
};

interface LiveCallsProps {
  calls: LiveCall[];
  count: number;
  onOpen(opened: Opened): void;
}

export function LiveCalls({ calls, count, onOpen }: LiveCallsProps) {
  const [error, setError] = useState("");
  const title = t("calls.title");
  const hangUp = (call: LiveCall) => {
    setError("");
    api.hangUp(call.call).catch((failure: unknown) => setError(inWords(failure)));
  };
  return (
    <Card title={title} count={count} testId="live-calls">
      {error !== "" && (
        <Notice tone="bad" urgent>
          {t("calls.hangup.failed", { reason: error })}
        </Notice>
      )}
      {calls.length === 0 ? (
        <Empty text={t("calls.empty")} hint={t("calls.empty.hint")} />
      ) : (
        <DataTable caption={title} columns={columns(hangUp, onOpen)} rows={calls} rowKey={(call) => call.call} />
      )}
      <PartialNote shown={calls.length} all={count} />
    </Card>
  );
}

function columns(hangUp: (call: LiveCall) => void, onOpen: (opened: Opened) => void): Column<LiveCall>[] {
  return [
    { label: t("calls.from"), kind: "main", cell: (call) => call.from },
    { label: t("calls.to"), kind: "main", cell: (call) => call.to },
    { label: t("calls.state"), cell: (call) => <State call={call} /> },
    { label: t("calls.route"), cell: (call) => <Route call={call} /> },
    { label: t("calls.since"), kind: "number", cell: (call) => <Clock since={call.answered ?? call.started} /> },
    { label: t("calls.media"), kind: "wide", cell: (call) => <Legs call={call} /> },
    {
      label: t("timeline.open"),
      kind: "action",
      cell: ({ call, from, to }) => <OpenTimeline call={call} from={from} to={to} onOpen={onOpen} />,
    },
    { label: t("calls.action"), kind: "action", cell: (call) => <HangUp call={call} onConfirm={() => hangUp(call)} /> },
  ];
}

function State({ call }: { call: LiveCall }) {
  const known = STATES[call.state];
  return <Badge tone={known?.tone ?? "calm"}>{known ? t(known.text) : call.state}</Badge>;
}

function Route({ call }: { call: LiveCall }) {
  return (
    <>
      {call.route}
      <span class="second-line">
        <code>{call.target}</code>
      </span>
      {call.recording && <span class="second-line">{t("calls.recording", { how: call.recording })}</span>}
    </>
  );
}

/** Media and packets of both legs; a leg without packets is what a complaint about silence is about. */
function Legs({ call }: { call: LiveCall }) {
  const names = [t("calls.caller"), t("calls.callee")];
  return (
    <ul class="legs">
      {names.map((name, leg) => (
        <li key={name}>
          <span class="muted">{name}</span> <code>{call.media[leg] || "–"}</code>{" "}
          <span class="figures">{t("calls.packets", { count: formatCount(call.packets[leg] ?? 0) })}</span>
          <Score quality={call.quality[leg]} />
          <Tier name={call.tier[leg]} program={call.tier_program[leg]} reason={call.tier_reason[leg]} />
          <Missing missing={call.missing[leg]} />
        </li>
      ))}
    </ul>
  );
}

/** What carries a party's audio, and why nothing faster does. */
function Tier({ name: tier, program, reason }: Record<"name" | "program" | "reason", string | undefined>) {
  if (!tier) return null;
  const name = program ? `${tier} (${program})` : tier;
  return <span class="second-line">{reason ? t("calls.tier", { name, reason }) : t("calls.tier.fastest", { name })}</span>;
}

/** What a party's audio is worth; the figures behind it are told to whoever points at it. */
function Score({ quality }: { quality: Quality | undefined }) {
  if (quality?.mos == null) return null;
  const figures = {
    lost: formatCount(quality.lost),
    jitter: formatCount(Math.round(quality.jitter_max_us / 1000)),
    missed: formatCount(quality.missed),
  };
  const told = quality.mos_told == null ? "" : t("calls.quality.told", { mos: quality.mos_told.toFixed(1) });
  return (
    <span class="figures" title={t("calls.quality", figures) + told}>
      {" "}
      MOS {quality.mos.toFixed(1)}
    </span>
  );
}

/** Why nothing is heard of a party; what shows it is told to whoever points at it. */
export function Missing({ missing }: { missing: MissingAudio | null | undefined }) {
  if (!missing) return null;
  return (
    <span class="second-line" title={t("calls.missing.detail", { seconds: formatCount(missing.seconds), detail: missing.detail })}>
      <Badge tone="bad">{t("calls.missing", { cause: missing.cause })}</Badge>
    </span>
  );
}

function HangUp({ call, onConfirm }: { call: LiveCall; onConfirm(): void }) {
  return (
    <ConfirmButton
      icon="hangup"
      text={t("calls.hangup")}
      label={t("calls.hangup.label", { from: call.from, to: call.to })}
      yes={t("calls.hangup.yes")}
      no={t("calls.hangup.no")}
      testId={`hangup-${call.call}`}
      onConfirm={onConfirm}
    />
  );
}
