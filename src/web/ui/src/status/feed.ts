// The node's status as it changes: pushed as server-sent events, polled while the push is down.

import { api, EVENTS_URL } from "../api/client";
import { nodeNow } from "../api/clock";
import { isSignedOut } from "../api/error";
import type { Status } from "../api/types";

const POLL_EVERY_MS = 5_000;
const REOPEN_AFTER_MS = 15_000;

/** How fresh the status is. */
export type Freshness = "live" | "polling" | "stale";

/** A status and when it came. */
export interface Snapshot {
  status: Status;
  /** When the node's process started, on the node's clock. */
  startedAt: number;
}

export interface FeedListener {
  snapshot(snapshot: Snapshot): void;
  freshness(freshness: Freshness): void;
  /** The session has ended: sign in again. */
  signedOut(): void;
}

export class StatusFeed {
  private source: EventSource | null = null;
  private pollTimer = 0;
  private reopenTimer = 0;

  constructor(private readonly listener: FeedListener) {}

  start(): void {
    // The first status comes by a request of its own: it tells the node's clock and whether the session holds.
    void this.poll();
    this.open();
  }

  stop(): void {
    window.clearInterval(this.pollTimer);
    window.clearTimeout(this.reopenTimer);
    this.source?.close();
  }

  private open(): void {
    const source = new EventSource(EVENTS_URL);
    source.onmessage = (event) => this.pushed(event.data as string);
    source.onerror = () => this.broken(source);
    this.source = source;
  }

  private pushed(data: string): void {
    window.clearInterval(this.pollTimer);
    this.pollTimer = 0;
    this.deliver(JSON.parse(data) as Status);
    this.listener.freshness("live");
  }

  /** The browser reopens a source that broke, but not one that was refused. */
  private broken(source: EventSource): void {
    if (this.pollTimer === 0) {
      this.pollTimer = window.setInterval(() => void this.poll(), POLL_EVERY_MS);
      void this.poll();
    }
    if (source.readyState !== EventSource.CLOSED) return;
    window.clearTimeout(this.reopenTimer);
    this.reopenTimer = window.setTimeout(() => this.open(), REOPEN_AFTER_MS);
  }

  private async poll(): Promise<void> {
    try {
      this.deliver(await api.status());
      if (this.pollTimer !== 0) this.listener.freshness("polling");
    } catch (error) {
      if (isSignedOut(error)) this.listener.signedOut();
      else this.listener.freshness("stale");
    }
  }

  private deliver(status: Status): void {
    this.listener.snapshot({ status, startedAt: nodeNow() - status.uptime_s * 1000 });
  }
}
