// How much the node may carry, by what is configured or was measured here, and how much of it is used.

import type { Limit } from "../api/types";
import { formatCount } from "../format";
import { t } from "../i18n";
import { Card } from "../parts/card";
import { DataTable, type Column } from "../parts/data-table";

export function LimitsCard({ limits }: { limits: Limit[] }) {
  const title = t("limits.title");
  return (
    <Card title={title} testId="limits">
      <DataTable caption={title} columns={columns()} rows={limits} rowKey={(limit) => limit.holder} />
    </Card>
  );
}

function columns(): Column<Limit>[] {
  return [
    { label: t("limits.holder"), kind: "main lone", cell: (limit) => <code>{limit.holder}</code> },
    { label: t("limits.calls"), kind: "number", cell: (limit) => used(limit.calls, bound(limit, "calls_max")) },
    { label: t("limits.peak"), kind: "number", cell: (limit) => formatCount(limit.peak) },
    { label: t("limits.perSecond"), kind: "number", cell: (limit) => bound(limit, "per_second_max") },
    { label: t("limits.kbit"), kind: "number", cell: (limit) => used(limit.kbit, bound(limit, "kbit_max")) },
    { label: t("limits.refused"), kind: "number", cell: (limit) => formatCount(limit.refused) },
  ];
}

function used(count: number, most: string): string {
  return t("limits.used", { count: formatCount(count), most });
}

/** A bound; whether it was measured is said beside it. */
function bound(limit: Limit, name: "calls_max" | "per_second_max" | "kbit_max"): string {
  if (limit[name] === 0) return t("limits.none");
  const count = formatCount(limit[name]);
  return limit.measured.includes(name) ? t("limits.measured", { count }) : count;
}
