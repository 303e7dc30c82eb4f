// A first password is replaced before anything else is shown.

import { useState } from "preact/hooks";
import { api } from "../api/client";
import { inWords, isSignedOut } from "../api/error";
import { t } from "../i18n";
import { Notice } from "../parts/badge";
import { Button } from "../parts/button";
import { FormCard, PasswordField, ShowPasswords } from "./form";
import { newPasswordProblem, PASSWORD_MIN } from "./password-rule";

interface ChangePasswordProps {
  user: string;
  onChanged(): void;
  onSessionLost(): void;
}

export function ChangePassword({ user, onChanged, onSessionLost }: ChangePasswordProps) {
  const [current, setCurrent] = useState("");
  const [next, setNext] = useState("");
  const [again, setAgain] = useState("");
  const [shown, setShown] = useState(false);
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState("");

  const submit = async () => {
    const problem = newPasswordProblem({ user, current, next, again });
    if (problem !== null) return setError(t(problem, { min: PASSWORD_MIN }));
    setBusy(true);
    setError("");
    try {
      await api.changePassword(current, next);
      onChanged();
    } catch (failure) {
      if (isSignedOut(failure)) return onSessionLost();
      setError(inWords(failure));
      setBusy(false);
    }
  };

  return (
    <FormCard title={t("password.title")} lead={t("password.lead")} onSubmit={() => void submit()}>
      <PasswordField
        shown={shown}
        label={t("password.current")}
        value={current}
        onInput={setCurrent}
        autoComplete="current-password"
        testId="password-current"
      />
      <PasswordField
        shown={shown}
        label={t("password.new")}
        value={next}
        onInput={setNext}
        autoComplete="new-password"
        testId="password-new"
        hint={t("password.rule", { min: PASSWORD_MIN })}
      />
      <PasswordField
        shown={shown}
        label={t("password.repeat")}
        value={again}
        onInput={setAgain}
        autoComplete="new-password"
        testId="password-repeat"
      />
      <ShowPasswords shown={shown} onChange={setShown} />
      {error !== "" && (
        <Notice tone="bad" urgent testId="password-error">
          {error}
        </Notice>
      )}
      <Button kind="primary" type="submit" disabled={busy} testId="password-submit">
        {busy ? t("password.busy") : t("password.submit")}
      </Button>
    </FormCard>
  );
}
