// The cloud and the trunks: reachable or not, since when, why.

import type { Peer } from "../api/types";
import { t } from "../i18n";
import { Badge } from "../parts/badge";
import { Card, Empty } from "../parts/card";
import { DataTable, type Column } from "../parts/data-table";
import { Since } from "../parts/time";

export function CloudCard({ cloud }: { cloud: Peer | null }) {
  return (
    <Card title={t("peer.cloud")} aside={cloud && <Reachability peer={cloud} />} testId="cloud">
      {cloud === null ? <Empty text={t("peer.noCloud")} hint={t("peer.noCloud.hint")} /> : <CloudFacts cloud={cloud} />}
    </Card>
  );
}

function CloudFacts({ cloud }: { cloud: Peer }) {
  return (
    <dl class="facts">
      <dt>{t("peer.name")}</dt>
      <dd>{cloud.name}</dd>
      <dt>{t("peer.address")}</dt>
      <dd>
        <code>{cloud.address}</code> {cloud.transport.toUpperCase()}
      </dd>
      <dt>{t("peer.since")}</dt>
      <dd>
        <Since at={cloud.since} />
      </dd>
      {cloud.reason !== "" && (
        <>
          <dt>{t("peer.reason")}</dt>
          <dd>{cloud.reason}</dd>
        </>
      )}
      <dt>{t("peer.roundTrip")}</dt>
      <dd>{roundTrip(cloud)}</dd>
      <dt>{t("peer.calls")}</dt>
      <dd>{cloud.calls}</dd>
    </dl>
  );
}

export function TrunksCard({ trunks }: { trunks: Peer[] }) {
  const title = t("trunks.title");
  return (
    <Card title={title} count={trunks.length} testId="trunks">
      {trunks.length === 0 ? (
        <Empty text={t("trunks.empty")} hint={t("trunks.empty.hint")} />
      ) : (
        <DataTable caption={title} columns={trunkColumns()} rows={trunks} rowKey={(trunk) => trunk.name} />
      )}
    </Card>
  );
}

function trunkColumns(): Column<Peer>[] {
  return [
    { label: t("peer.name"), kind: "main lone", cell: (trunk) => trunk.name },
    { label: t("peer.state"), cell: (trunk) => <Reachability peer={trunk} /> },
    { label: t("peer.address"), cell: (trunk) => <PeerAddress peer={trunk} /> },
    { label: t("peer.since"), cell: (trunk) => <SinceAndWhy peer={trunk} /> },
    { label: t("peer.roundTrip"), kind: "number", cell: roundTrip },
    { label: t("peer.calls"), kind: "number", cell: (trunk) => trunk.calls },
  ];
}

function Reachability({ peer }: { peer: Peer }) {
  return (
    <span data-testid={`peer-${peer.name}`} data-up={peer.up}>
      <Badge tone={peer.up ? "ok" : "bad"}>{t(peer.up ? "peer.up" : "peer.down")}</Badge>
    </span>
  );
}

function PeerAddress({ peer }: { peer: Peer }) {
  return (
    <>
      <code>{peer.address}</code> <span class="muted">{peer.transport.toUpperCase()}</span>
    </>
  );
}

function SinceAndWhy({ peer }: { peer: Peer }) {
  return (
    <>
      <Since at={peer.since} />
      {peer.reason !== "" && <span class="second-line">{peer.reason}</span>}
    </>
  );
}

function roundTrip({ round_trip_ms }: Peer): string {
  return round_trip_ms === null ? "–" : t("peer.ms", { ms: round_trip_ms });
}
