// Who is registered, from where and for how long.

import { useState } from "preact/hooks";
import type { Registration } from "../api/types";
import { t } from "../i18n";
import { Card, Empty } from "../parts/card";
import { DataTable, type Column } from "../parts/data-table";
import { Left } from "../parts/time";
import { matchRegistrations } from "./match";
import { PartialNote } from "./partial-note";

/** Below this many rows a filter is in the way. */
const FILTER_FROM = 8;

export function RegistrationsCard({ registrations, count }: { registrations: Registration[]; count: number }) {
  const [text, setText] = useState("");
  const title = t("registrations.title");
  const filter = registrations.length >= FILTER_FROM && <Filter text={text} onInput={setText} />;
  return (
    <Card title={title} count={count} aside={filter} testId="registrations">
      {registrations.length === 0 ? (
        <Empty text={t("registrations.empty")} hint={t("registrations.empty.hint")} />
      ) : (
        <Matches registrations={registrations} text={filter ? text : ""} title={title} />
      )}
      <PartialNote shown={registrations.length} all={count} />
    </Card>
  );
}

function Filter({ text, onInput }: { text: string; onInput(text: string): void }) {
  const label = t("registrations.filter");
  return (
    <input
      class="filter"
      type="search"
      aria-label={label}
      placeholder={label}
      value={text}
      onInput={(event) => onInput(event.currentTarget.value)}
    />
  );
}

function Matches({ registrations, text, title }: { registrations: Registration[]; text: string; title: string }) {
  const rows = matchRegistrations(registrations, text);
  if (rows.length === 0) return <Empty text={t("registrations.none", { text })} />;
  return <DataTable caption={title} columns={columns()} rows={rows} rowKey={(row) => `${row.aor} ${row.source}`} />;
}

function columns(): Column<Registration>[] {
  return [
    { label: t("registrations.aor"), kind: "main lone", cell: (row) => row.aor },
    { label: t("peer.transport"), cell: (row) => row.transport.toUpperCase() },
    { label: t("registrations.source"), cell: (row) => <code>{row.source}</code> },
    { label: t("registrations.device"), cell: (row) => row.user_agent || "–" },
    {
      label: t("registrations.by"),
      cell: (row) => t(row.by_cloud ? "registrations.byCloud" : "registrations.byNode"),
    },
    { label: t("registrations.expires"), kind: "number", cell: (row) => <Left until={row.expires} /> },
  ];
}
