// What happened in one call, step by step: signalling, routing, ICE, DTLS, audio, quality and the cause of the end.

import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { api, timelineUrl } from "../api/client";
import { inWords } from "../api/error";
import type { Step, Timeline } from "../api/types";
import { formatCount } from "../format";
import { t } from "../i18n";
import { Badge, Notice, type Tone } from "../parts/badge";
import { Button } from "../parts/button";
import { Card } from "../parts/card";
import { DataTable, type Column } from "../parts/data-table";
import { after, detailsOf, titleOf } from "./step";

const ASK_EVERY_MS = 1_000;

/** A call whose timeline is shown. */
export interface Opened {
  call: string;
  from: string;
  to: string;
}

/** Opens a call's timeline. */
export function OpenTimeline({ call, from, to, onOpen }: Opened & { onOpen(opened: Opened): void }) {
  return (
    <Button
      icon="calls"
      label={t("timeline.open.label", { from, to })}
      testId={`timeline-${call}`}
      onClick={() => onOpen({ call, from, to })}
    >
      {t("timeline.open")}
    </Button>
  );
}

/** The timeline itself. It has the focus when it opens, and gives it back. */
export function TimelineCard({ opened, onClose }: { opened: Opened; onClose(): void }) {
  const { timeline, error } = useTimeline(opened.call);
  const frame = useFocus(opened.call);
  const title = t("timeline.title", { from: opened.from, to: opened.to });
  return (
    <div ref={frame} tabIndex={-1} onKeyDown={(event) => event.key === "Escape" && onClose()}>
      <Card title={title} testId="timeline" aside={<Aside call={opened.call} onClose={onClose} />}>
        {error !== "" && <Notice tone="bad">{t("timeline.failed", { reason: error })}</Notice>}
        {timeline === null ? (
          error === "" && <p role="status">{t("app.loading")}</p>
        ) : (
          <Steps caption={title} timeline={timeline} />
        )}
      </Card>
    </div>
  );
}

function Aside({ call, onClose }: { call: string; onClose(): void }) {
  return (
    <span class="timeline-acts">
      <a class="button button-plain" href={timelineUrl(call, true)} download={`timeline-${call}.json`} data-testid="timeline-export">
        {t("timeline.export")}
      </a>
      <Button icon="cross" onClick={onClose} testId="timeline-close">
        {t("timeline.close")}
      </Button>
    </span>
  );
}

function Steps({ caption, timeline }: { caption: string; timeline: Timeline }) {
  const began = timeline.steps[0]?.at ?? 0;
  const rows = timeline.steps.map((step, index) => ({ step, index }));
  return (
    <>
      <DataTable caption={caption} columns={columns(began)} rows={rows} rowKey={({ index }) => String(index)} />
      {!timeline.ended && (
        <p class="muted timeline-note" role="status">
          {t("timeline.live")}
        </p>
      )}
      {timeline.left_out > 0 && <p class="muted timeline-note">{t("timeline.leftOut", { count: formatCount(timeline.left_out) })}</p>}
    </>
  );
}

interface Row {
  step: Step;
  index: number;
}

function columns(began: number): Column<Row>[] {
  return [
    { label: t("timeline.time"), kind: "number", cell: ({ step }) => after(step.at - began) },
    { label: t("timeline.party"), cell: ({ step }) => <Party party={step.party} /> },
    { label: t("timeline.what"), kind: "wide", cell: ({ step }) => <What step={step} /> },
  ];
}

function Party({ party }: { party: string }): ComponentChildren {
  if (party === "caller") return t("calls.caller");
  if (party === "callee") return t("calls.callee");
  return <span class="muted">{t("timeline.call")}</span>;
}

function What({ step }: { step: Step }) {
  const cause = step.what === "tier" ? undefined : step.details.cause;
  const details = detailsOf(step);
  return (
    <span data-testid={`step-${step.what}`}>
      {titleOf(step)} {cause && <Badge tone={tone(step)}>{cause}</Badge>}
      {details !== "" && <span class="second-line timeline-details">{details}</span>}
    </span>
  );
}

function tone({ what, details }: Step): Tone {
  if (what === "call-ended") return Number(details.status) < 300 ? "ok" : "warn";
  return what === "media-failed" || what === "audio-missing" ? "bad" : "calm";
}

/** Asks for the timeline, and again while the call lives. */
function useTimeline(call: string): { timeline: Timeline | null; error: string } {
  const [timeline, setTimeline] = useState<Timeline | null>(null);
  const [error, setError] = useState("");
  useEffect(() => {
    let timer = 0;
    let over = false;
    const ask = async () => {
      try {
        const next = await api.timeline(call);
        if (over) return;
        setTimeline(next);
        setError("");
        if (next.ended) return;
      } catch (failure) {
        if (over) return;
        setError(inWords(failure));
      }
      timer = window.setTimeout(() => void ask(), ASK_EVERY_MS);
    };
    setTimeline(null);
    setError("");
    void ask();
    return () => {
      over = true;
      window.clearTimeout(timer);
    };
  }, [call]);
  return { timeline, error };
}

function useFocus(call: string) {
  const frame = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const before = document.activeElement;
    frame.current?.focus();
    frame.current?.scrollIntoView({ block: "nearest" });
    return () => {
      if (before instanceof HTMLElement) before.focus();
    };
  }, [call]);
  return frame;
}
