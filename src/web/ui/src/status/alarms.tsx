// What is wrong with the node for longer than a moment. It stays until it is mended.

import type { Alarm } from "../api/types";
import { t } from "../i18n";
import { Notice } from "../parts/badge";
import { Since } from "../parts/time";

export function Alarms({ alarms }: { alarms: Alarm[] }) {
  return (
    <>
      {alarms.map(({ name, reason, since }) => (
        <Notice key={name} tone="bad" urgent testId="alarm">
          <span>
            <strong>{t("alarm", { name })}</strong> {reason}
            <span class="second-line">
              {t("alarm.since")} <Since at={since} />
            </span>
          </span>
        </Notice>
      ))}
    </>
  );
}
