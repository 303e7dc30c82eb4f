// Calls that ended, each with the reason why.

import { nodeNow } from "../api/clock";
import type { CallRecord } from "../api/types";
import { formatClock, formatTime } from "../format";
import { t } from "../i18n";
import { Badge, type Tone } from "../parts/badge";
import { Card, Empty } from "../parts/card";
import { DataTable, type Column } from "../parts/data-table";
import { Missing } from "./calls";
import { OpenTimeline, type Opened } from "./timeline";

interface RecentCallsProps {
  records: CallRecord[];
  onOpen(opened: Opened): void;
}

export function RecentCalls({ records, onOpen }: RecentCallsProps) {
  const title = t("recent.title");
  return (
    <Card title={title} testId="recent-calls">
      {records.length === 0 ? (
        <Empty text={t("recent.empty")} hint={t("recent.empty.hint")} />
      ) : (
        <DataTable caption={title} columns={columns(onOpen)} rows={records} rowKey={(record) => record.call} />
      )}
    </Card>
  );
}

function columns(onOpen: (opened: Opened) => void): Column<CallRecord>[] {
  return [
    { label: t("recent.time"), kind: "wide", cell: (record) => <Time at={record.started} /> },
    { label: t("calls.from"), kind: "main", cell: (record) => record.from },
    { label: t("calls.to"), kind: "main", cell: (record) => record.to },
    { label: t("calls.route"), cell: (record) => <Route record={record} /> },
    { label: t("recent.duration"), kind: "number", cell: duration },
    { label: t("recent.status"), kind: "number", cell: (record) => record.status },
    { label: t("recent.cause"), cell: (record) => <Cause record={record} /> },
    {
      label: t("timeline.open"),
      kind: "action",
      cell: ({ call, from, to }) => <OpenTimeline call={call} from={from} to={to} onOpen={onOpen} />,
    },
  ];
}

function Time({ at }: { at: number }) {
  return <span class="figures">{formatTime(at, nodeNow())}</span>;
}

function Route({ record }: { record: CallRecord }) {
  return (
    <>
      {record.route}
      {record.reroutes > 0 && <span class="second-line">{t("recent.rerouted", { count: record.reroutes })}</span>}
    </>
  );
}

/** Why the call ended, whose audio was missing in it, and who recorded it. */
function Cause({ record }: { record: CallRecord }) {
  return (
    <>
      <Badge tone={tone(record)}>{record.cause}</Badge>
      {record.missing.map((missing, leg) => (
        <Missing key={leg} missing={missing} />
      ))}
      {record.recordings.map(({ recorder, began, cause }) => (
        <span key={recorder + cause} class="second-line">
          {t(began === null ? "recent.unrecorded" : "recent.recorded", { recorder, cause })}
        </span>
      ))}
    </>
  );
}

function duration({ answered, ended }: CallRecord) {
  if (answered === null) return <span class="muted">{t("recent.unanswered")}</span>;
  return <span class="figures">{formatClock(ended - answered)}</span>;
}

/** The person called decides about a 486 or a 603 and the caller about a 487; from 500 on something was wrong. */
function tone({ status }: CallRecord): Tone {
  if (status < 300) return "ok";
  if (status === 486 || status === 487 || status === 480 || status === 603) return "calm";
  return status >= 500 && status < 600 ? "bad" : "warn";
}
