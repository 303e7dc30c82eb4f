// Reading the configuration again: taken, or refused with the node's reason.

import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { api } from "../api/client";
import { inWords } from "../api/error";
import { t } from "../i18n";
import { Notice } from "../parts/badge";
import { Button } from "../parts/button";

/** `null`: nothing to tell. An empty reason: the configuration was taken. */
export type Outcome = { refused: string } | null;

export function useReload() {
  const [busy, setBusy] = useState(false);
  const [outcome, setOutcome] = useState<Outcome>(null);
  const run = async () => {
    setBusy(true);
    setOutcome(null);
    setOutcome({ refused: await reload() });
    setBusy(false);
  };
  const button: ComponentChildren = (
    <Button icon="reload" disabled={busy} onClick={() => void run()} testId="reload">
      {busy ? t("reload.busy") : t("reload.button")}
    </Button>
  );
  return { button, outcome, dismiss: () => setOutcome(null) };
}

async function reload(): Promise<string> {
  try {
    await api.reload();
    return "";
  } catch (failure) {
    return inWords(failure);
  }
}

export function ReloadNotice({ outcome, onDismiss }: { outcome: Outcome; onDismiss(): void }) {
  if (outcome === null) return null;
  const taken = outcome.refused === "";
  return (
    <Notice tone={taken ? "ok" : "bad"} urgent={!taken} testId="reload-outcome">
      <div class="notice-text">
        <p>{t(taken ? "reload.done" : "reload.refused")}</p>
        {!taken && <pre class="refusal">{outcome.refused}</pre>}
      </div>
      <Button kind="quiet" icon="cross" label={t("reload.dismiss")} onClick={onDismiss} />
    </Notice>
  );
}
