/*
 * Ringfort's pages: sign-in, the administrator's status page and the users' web phone, in one small application.
 *
 * Read in this order:
 *   app.tsx       who is signed in, and which page that person gets
 *   api/          the HTTP API, typed, and the node's clock
 *   signin/       sign-in, and the change of a first password
 *   status/       the status page: feed.ts brings the status, the other files each show one part of it
 *   phone/        the web phone: state.ts (pure) <- agent.ts, call.ts (SIP and media) ; the *.tsx files show the state
 *   parts/        what pages are made of: buttons, tables, badges, icons
 *   i18n/         every text, in English and German
 *   styles/       one file a part; all colours stand in tokens.css
 *
 * The content security policy is `default-src 'self'`: no inline script or style, nothing from elsewhere.
 */

import { render } from "preact";
import { App } from "./app";
import { restoreLanguage } from "./i18n";
import "./styles/index.css";

restoreLanguage();
const root = document.getElementById("app");
if (root !== null) render(<App />, root);
