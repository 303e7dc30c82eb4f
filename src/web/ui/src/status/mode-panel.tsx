// The first thing to see: does the node lean on the cloud, since when, why, and what it reaches.

import type { ComponentChildren } from "preact";
import type { Mode, Status } from "../api/types";
import { t } from "../i18n";
import type { Tone } from "../parts/badge";
import { Filled } from "../parts/filled";
import { Icon, type IconName } from "../parts/icons";
import { Since } from "../parts/time";

const MODE_TONE: Record<Mode, Tone> = { standalone: "info", normal: "ok", survivable: "warn" };
const MODE_ICON: Record<Mode, IconName> = { standalone: "device", normal: "check", survivable: "alert" };

export function ModePanel({ status }: { status: Status }) {
  const { mode, mode_reason, mode_since } = status;
  return (
    <section class={`mode-panel tone-${MODE_TONE[mode]}`} aria-label={t(`mode.${mode}`)}>
      <div class="mode-main">
        <span class="mode-icon">
          <Icon name={MODE_ICON[mode]} size={30} />
        </span>
        <div>
          <p class="mode-name" role="status" data-testid="mode" data-mode={mode}>
            {t(`mode.${mode}`)}
          </p>
          <p>{t(`mode.${mode}.means`)}</p>
          <p class="mode-why">
            <Filled name="status.since">
              <Since at={mode_since} />
            </Filled>
            {mode_reason !== "" && (
              <>
                {" · "}
                <span data-testid="mode-reason">{t("status.why", { reason: mode_reason })}</span>
              </>
            )}
          </p>
        </div>
      </div>
      <Path status={status} />
    </section>
  );
}

/** What the node reaches, in the order in which a call passes. */
function Path({ status }: { status: Status }) {
  const { cloud, trunks, registration_count, call_count } = status;
  const up = trunks.filter((trunk) => trunk.up).length;
  return (
    <ul class="path">
      <Step
        icon="phone"
        name={t("path.phones")}
        value={t("path.phones.count", { count: registration_count })}
        tone="calm"
      />
      <Step icon="calls" name={t("path.calls")} value={t("path.calls.count", { count: call_count })} tone="calm" />
      <Step icon="trunk" name={t("path.trunks")} tone={trunksTone(up, trunks.length)}>
        {trunks.length === 0 ? t("path.trunks.none") : t("path.trunks.count", { up, all: trunks.length })}
      </Step>
      <Step icon="cloud" name={t("peer.cloud")} tone={cloud === null ? "calm" : cloud.up ? "ok" : "bad"}>
        {cloud === null ? t("path.cloud.none") : t(cloud.up ? "peer.up" : "peer.down")}
      </Step>
    </ul>
  );
}

interface StepProps {
  icon: IconName;
  name: string;
  tone: Tone;
  value?: string;
  children?: ComponentChildren;
}

function Step({ icon, name, tone, value, children }: StepProps) {
  return (
    <li class={`step tone-${tone}`}>
      <Icon name={icon} size={22} />
      <span class="step-name">{name}</span>
      <span class="step-value">{value ?? children}</span>
    </li>
  );
}

function trunksTone(up: number, all: number): Tone {
  if (all === 0) return "calm";
  if (up === all) return "ok";
  return up === 0 ? "bad" : "warn";
}
