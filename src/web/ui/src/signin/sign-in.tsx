// Sign-in for everybody: who gets which page is decided by the node's answer.

import { useEffect, useState } from "preact/hooks";
import { api } from "../api/client";
import { ApiError, inWords } from "../api/error";
import type { Session } from "../api/types";
import { t, type Language } from "../i18n";
import { Button } from "../parts/button";
import { LanguageChoice } from "../parts/page";
import { Notice } from "../parts/badge";
import { FormCard, PasswordField, ShowPasswords, TextField } from "./form";

interface SignInProps {
  /** The last session ran out, rather than being left. */
  expired: boolean;
  onSignedIn(session: Session): Promise<void>;
  onLanguage(language: Language): void;
}

export function SignIn({ expired, onSignedIn, onLanguage }: SignInProps) {
  const [user, setUser] = useState("");
  const [password, setPassword] = useState("");
  const [shown, setShown] = useState(false);
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState("");
  const [waitS, setWaitS] = useCountdown();

  const submit = async () => {
    if (user.trim() === "" || password === "") return setError(t("signin.missing"));
    setBusy(true);
    setError("");
    try {
      await onSignedIn(await api.signIn(user.trim(), password));
    } catch (failure) {
      setPassword("");
      if (failure instanceof ApiError && failure.status === 429) setWaitS(Math.max(1, failure.retryAfterS));
      else setError(inWords(failure));
    } finally {
      setBusy(false);
    }
  };

  const trouble = waitS > 0 ? t("signin.wait", { seconds: waitS }) : error;
  return (
    <FormCard
      title={t("signin.title")}
      lead={t("signin.lead")}
      onSubmit={() => void submit()}
      corner={<LanguageChoice onLanguage={onLanguage} />}
    >
      {expired && trouble === "" && <Notice tone="info">{t("signin.expired")}</Notice>}
      <TextField label={t("signin.user")} value={user} onInput={setUser} autoComplete="username" testId="signin-user" />
      <PasswordField
        shown={shown}
        label={t("signin.password")}
        value={password}
        onInput={setPassword}
        autoComplete="current-password"
        testId="signin-password"
      />
      <ShowPasswords shown={shown} onChange={setShown} />
      {trouble !== "" && (
        <Notice tone="bad" urgent testId="signin-error">
          {trouble}
        </Notice>
      )}
      <Button kind="primary" type="submit" disabled={busy || waitS > 0} testId="signin-submit">
        {busy ? t("signin.busy") : t("signin.submit")}
      </Button>
    </FormCard>
  );
}

/** Seconds that count down to zero by themselves. */
function useCountdown(): [number, (seconds: number) => void] {
  const [left, setLeft] = useState(0);
  useEffect(() => {
    if (left <= 0) return;
    const timer = window.setTimeout(() => setLeft(left - 1), 1000);
    return () => window.clearTimeout(timer);
  }, [left]);
  return [left, setLeft];
}
