// Calls of the same user's other phones, as the node tells them live: each can be taken over here.

import { useEffect, useState } from "preact/hooks";
import { PHONE_CALLS_URL } from "../api/client";
import type { OwnCall, OwnCalls } from "../api/types";

const REOPEN_AFTER_MS = 15_000;
const NOTHING: OwnCalls = { calls: [], devices: 0 };

/** What the node says, until the page is left. While it cannot be asked, nothing is known. */
export function useOwnCalls(): OwnCalls {
  const [own, setOwn] = useState<OwnCalls>(NOTHING);
  useEffect(() => follow(setOwn), []);
  return own;
}

/** Calls that are up at other phones. `here` are the Call-IDs of calls that are, or were, this page's. */
export function elsewhere({ calls }: OwnCalls, here: (callId: string) => boolean): OwnCall[] {
  return calls.filter((call) => !here(call.call_id));
}

function follow(told: (own: OwnCalls) => void): () => void {
  let source: EventSource;
  let timer = 0;
  const open = () => {
    source = new EventSource(PHONE_CALLS_URL);
    source.onmessage = (event) => told(JSON.parse(event.data as string) as OwnCalls);
    // The browser reopens a source that broke, but not one that was refused.
    source.onerror = () => {
      told(NOTHING);
      if (source.readyState === EventSource.CLOSED) timer = window.setTimeout(open, REOPEN_AFTER_MS);
    };
  };
  open();
  return () => {
    window.clearTimeout(timer);
    source.close();
  };
}
