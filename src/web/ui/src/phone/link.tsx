// Connection and registration, as a badge and, when something is wrong, in a sentence.

import { t } from "../i18n";
import { Badge, Notice, type Tone } from "../parts/badge";
import { isBusy, type LinkState, type PhoneState } from "./state";

const TONES: Record<LinkState, Tone> = { registered: "ok", connecting: "info", offline: "bad", failed: "bad" };

export function LinkBadge({ link }: { link: LinkState }) {
  return (
    <span role="status" data-testid="phone-state" data-state={link}>
      <Badge tone={TONES[link]}>{t(`phone.${link}`)}</Badge>
    </span>
  );
}

export function LinkHint({ state }: { state: PhoneState }) {
  if (state.link === "failed") {
    return <Notice tone="bad">{t("phone.failed.hint", { reason: state.linkReason })}</Notice>;
  }
  if (state.link !== "offline") return null;
  return <Notice tone="warn">{t(isBusy(state) ? "phone.offline.inCall" : "phone.offline.hint")}</Notice>;
}
