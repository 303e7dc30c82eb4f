// Counters since the process started.

import type { Totals } from "../api/types";
import { formatCount } from "../format";
import { t, type Key } from "../i18n";
import { Card } from "../parts/card";

const SHOWN: [keyof Totals, Key][] = [
  ["calls", "totals.calls"],
  ["calls_answered", "totals.answered"],
  ["calls_failed", "totals.failed"],
  ["registers", "totals.registers"],
  ["auth_failures", "totals.auth"],
  ["messages_in", "totals.in"],
  ["messages_out", "totals.out"],
  ["messages_rejected", "totals.rejected"],
];

export function TotalsCard({ totals }: { totals: Totals }) {
  return (
    <Card title={t("totals.title")} testId="totals">
      <dl class="totals">
        {SHOWN.map(([field, text]) => (
          <div key={field}>
            <dt>{t(text)}</dt>
            <dd class="figures" data-testid={`total-${field}`}>
              {formatCount(totals[field])}
            </dd>
          </div>
        ))}
      </dl>
    </Card>
  );
}
