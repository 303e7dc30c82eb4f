// The node sends long lists in part; this says so.

import { formatCount } from "../format";
import { t } from "../i18n";

export function PartialNote({ shown, all }: { shown: number; all: number }) {
  if (shown >= all) return null;
  return <p class="muted card-foot">{t("list.partial", { shown: formatCount(shown), all: formatCount(all) })}</p>;
}
