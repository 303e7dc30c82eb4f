// The frame of a page: top bar, loading and failure.

import type { ComponentChildren } from "preact";
import type { PageProps } from "../app";
import { language, languages, t, type Language } from "../i18n";
import { Button } from "./button";
import { Icon, Mark } from "./icons";

interface PageFrameProps extends Omit<PageProps, "onSessionLost"> {
  title: string;
  /** State that belongs beside the product's name. */
  state: ComponentChildren;
  children: ComponentChildren;
}

/** A page of a signed-in person. */
export function PageFrame({ title, state, session, onLanguage, onSignOut, children }: PageFrameProps) {
  return (
    <>
      <a class="skip-link" href="#content">
        {t("app.skip")}
      </a>
      <header class="top-bar">
        <span class="brand">
          <Mark />
          <span class="brand-name">{t("app.name")}</span>
          <span class="brand-page">{title}</span>
        </span>
        <span class="top-bar-state">{state}</span>
        <span class="top-bar-user">
          <LanguageChoice onLanguage={onLanguage} />
          <span class="user-name" title={t("app.signedInAs", { user: session.user })}>
            {session.user}
          </span>
          <Button kind="quiet" icon="signOut" label={t("app.signOut")} onClick={onSignOut} testId="sign-out" />
        </span>
      </header>
      <main id="content" class="content" tabIndex={-1}>
        {children}
      </main>
    </>
  );
}

export function LanguageChoice({ onLanguage }: { onLanguage(language: Language): void }) {
  return (
    <select
      class="language"
      aria-label={t("app.language")}
      value={language()}
      onChange={(event) => onLanguage(event.currentTarget.value as Language)}
    >
      {Object.entries(languages).map(([tag, { name }]) => (
        <option key={tag} value={tag}>
          {name}
        </option>
      ))}
    </select>
  );
}

export function Loading() {
  return (
    <main class="alone" aria-busy="true">
      <Mark size={44} />
      <p role="status">{t("app.loading")}</p>
    </main>
  );
}

export function Failed({ reason, onRetry }: { reason: string; onRetry(): void }) {
  return (
    <main class="alone">
      <Icon name="alert" size={44} />
      <h1>{t("app.failed")}</h1>
      <p role="alert">{reason}</p>
      <Button kind="primary" icon="reload" onClick={onRetry}>
        {t("app.retry")}
      </Button>
    </main>
  );
}
