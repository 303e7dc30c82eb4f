// Who is signed in, and which page that person gets: administrators the status, users the phone.

import type { ComponentType } from "preact";
import { useCallback, useEffect, useState } from "preact/hooks";
import { api } from "./api/client";
import { inWords, isSignedOut } from "./api/error";
import type { Session } from "./api/types";
import { setLanguage, storeLanguage, type Language } from "./i18n";
import { Failed, Loading } from "./parts/page";
import { ChangePassword } from "./signin/change-password";
import { SignIn } from "./signin/sign-in";

/** What every page of a signed-in person is given. */
export interface PageProps {
  session: Session;
  onLanguage(language: Language): void;
  onSignOut(): void;
  /** The node no longer knows the session. */
  onSessionLost(): void;
}

type View =
  | { kind: "loading" }
  | { kind: "failed"; reason: string }
  | { kind: "signed-out"; expired: boolean }
  | { kind: "signed-in"; session: Session; Page: ComponentType<PageProps> };

/** Pages are loaded when needed: an administrator never loads the SIP stack. */
const PAGES = {
  admin: { path: "/", load: async () => (await import("./status/status-page")).StatusPage },
  user: { path: "/phone", load: async () => (await import("./phone/phone-page")).PhonePage },
};

export function App() {
  const [view, setView] = useState<View>({ kind: "loading" });
  const [, setShownLanguage] = useState<Language | null>(null);

  const enter = useCallback(async (session: Session) => setView(await viewFor(session)), []);
  const resume = useCallback(() => void restoreSession().then(setView), []);
  useEffect(resume, [resume]);

  const changeLanguage = (next: Language) => {
    setLanguage(next);
    storeLanguage();
    setShownLanguage(next);
  };
  const leave = (expired: boolean) => setView({ kind: "signed-out", expired });

  switch (view.kind) {
    case "loading":
      return <Loading />;
    case "failed":
      return <Failed reason={view.reason} onRetry={resume} />;
    case "signed-out":
      return <SignIn expired={view.expired} onSignedIn={enter} onLanguage={changeLanguage} />;
    case "signed-in": {
      const { session, Page } = view;
      if (session.must_change_password) {
        const changed = () => void enter({ ...session, must_change_password: false });
        return <ChangePassword user={session.user} onChanged={changed} onSessionLost={() => leave(true)} />;
      }
      return (
        <Page
          session={session}
          onLanguage={changeLanguage}
          onSignOut={() =>
            void api
              .signOut()
              .catch(() => undefined)
              .then(() => leave(false))
          }
          onSessionLost={() => leave(true)}
        />
      );
    }
  }
}

async function restoreSession(): Promise<View> {
  try {
    return await viewFor(await api.session());
  } catch (error) {
    return isSignedOut(error) ? { kind: "signed-out", expired: false } : { kind: "failed", reason: inWords(error) };
  }
}

/** Loads the person's page and puts its address into the address bar, keeping the query of a `?dial=` link. */
async function viewFor(session: Session): Promise<View> {
  const { path, load } = PAGES[session.role];
  if (location.pathname !== path) history.replaceState(null, "", path + location.search);
  try {
    return { kind: "signed-in", session, Page: await load() };
  } catch (error) {
    return { kind: "failed", reason: String(error) };
  }
}
