// Times that tick. One timer serves all of them, and only their own text is drawn again.

import { useEffect, useState } from "preact/hooks";
import { nodeNow } from "../api/clock";
import { formatClock, formatSpan, formatTime } from "../format";

const watchers = new Set<() => void>();
let timer = 0;

function watch(watcher: () => void): () => void {
  watchers.add(watcher);
  if (watchers.size === 1) timer = window.setInterval(() => watchers.forEach((each) => each()), 1000);
  return () => {
    watchers.delete(watcher);
    if (watchers.size === 0) window.clearInterval(timer);
  };
}

function useTick(): void {
  const [, setTick] = useState(0);
  useEffect(() => watch(() => setTick((tick) => tick + 1)), []);
}

/** `4 min 10 s` since a moment on the node's clock. */
export function Span({ since }: { since: number }) {
  useTick();
  return <>{formatSpan(nodeNow() - since)}</>;
}

/** `4 min 10 s` until a moment on the node's clock. */
export function Left({ until }: { until: number }) {
  useTick();
  return <>{formatSpan(until - nodeNow())}</>;
}

/** `4:10` since a moment; on the node's clock unless `now` says otherwise. */
export function Clock({ since, now = nodeNow }: { since: number; now?: () => number }) {
  useTick();
  return <span class="figures">{formatClock(now() - since)}</span>;
}

/** `08:14:03 (2 h 3 min)`. */
export function Since({ at }: { at: number }) {
  useTick();
  const now = nodeNow();
  return (
    <>
      {formatTime(at, now)} <span class="muted whole">({formatSpan(now - at)})</span>
    </>
  );
}
