// Calls made and received in this window.

import { formatClock, formatTime } from "../format";
import { t, type Key } from "../i18n";
import { Button } from "../parts/button";
import { Card, Empty } from "../parts/card";
import { Icon, type IconName } from "../parts/icons";
import type { HistoryEntry } from "./state";

interface HistoryProps {
  history: HistoryEntry[];
  canDial: boolean;
  onDial(user: string): void;
}

export function HistoryCard({ history, canDial, onDial }: HistoryProps) {
  return (
    <Card title={t("history.title")} class="history" testId="history">
      {history.length === 0 ? (
        <Empty text={t("history.empty")} hint={t("history.empty.hint")} />
      ) : (
        <ul class="history-list">
          {history.map((entry) => (
            <Entry key={entry.id} entry={entry} canDial={canDial} onDial={onDial} />
          ))}
        </ul>
      )}
    </Card>
  );
}

interface EntryProps {
  entry: HistoryEntry;
  canDial: boolean;
  onDial(user: string): void;
}

function Entry({ entry, canDial, onDial }: EntryProps) {
  const { icon, name, missed } = kindOf(entry);
  const who = entry.peerName || entry.peer;
  return (
    <li class={`history-entry${missed ? " missed" : ""}`}>
      <Icon name={icon} />
      <div>
        <p class="history-who">{who}</p>
        <p class="muted">
          {t(name)} · {formatTime(entry.startedAt, Date.now())} · {outcome(entry)}
        </p>
      </div>
      <Button
        kind="quiet"
        icon="phone"
        label={t("history.again", { who })}
        disabled={!canDial}
        onClick={() => onDial(entry.peer)}
      />
    </li>
  );
}

function kindOf({ direction, answeredAt, cause }: HistoryEntry): { icon: IconName; name: Key; missed: boolean } {
  if (direction === "outgoing") return { icon: "outgoing", name: "history.outgoing", missed: false };
  const missed = answeredAt === null && cause !== "rejected-here";
  if (missed) return { icon: "missed", name: "history.missed", missed };
  return { icon: "incoming", name: "history.incoming", missed };
}

function outcome({ answeredAt, endedAt, cause }: HistoryEntry): string {
  if (answeredAt === null || endedAt === null) return t(`cause.${cause ?? "failed"}`);
  return formatClock(endedAt - answeredAt);
}
