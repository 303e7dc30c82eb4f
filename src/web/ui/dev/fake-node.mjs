// Made-up status of a node, pushed to whoever listens.

const PUSH_EVERY_MS = 2000;
const STARTED = Date.now() - 93_784_000;
const ago = (seconds) => Date.now() - seconds * 1000;

export class FakeNode {
  mode = "normal";
  #since = ago(93_700);
  #calls = makeCalls();
  #listeners = new Set();

  constructor() {
    setInterval(() => this.#push(), PUSH_EVERY_MS).unref();
  }

  setMode(mode) {
    this.mode = mode;
    this.#since = Date.now();
    this.#push();
  }

  hangUp(id) {
    const before = this.#calls.length;
    this.#calls = this.#calls.filter(({ call }) => call !== id);
    this.#push();
    return this.#calls.length < before;
  }

  subscribe(response) {
    response.writeHead(200, { "Content-Type": "text/event-stream", "Cache-Control": "no-store" });
    this.#listeners.add(response);
    response.on("close", () => this.#listeners.delete(response));
    this.#send(response);
  }

  status() {
    const empty = this.mode === "empty";
    const mode = empty ? "standalone" : this.mode;
    const registrations = empty ? [] : makeRegistrations(mode);
    const calls = empty ? [] : this.#calls;
    return {
      node: empty ? "new-node" : "dublin-1",
      version: "0.1.0",
      uptime_s: Math.floor((Date.now() - STARTED) / 1000),
      mode,
      mode_since: this.#since,
      mode_reason: REASONS[this.mode] ?? "",
      cloud: mode === "standalone" ? null : makeCloud(mode, this.#since),
      trunks: empty ? [] : makeTrunks(),
      registrations,
      registration_count: registrations.length,
      calls,
      call_count: calls.length,
      recent: empty ? [] : makeRecent(),
      totals: empty ? NO_TOTALS : TOTALS,
      alarms: [],
    };
  }

  #push() {
    for (const call of this.#calls) {
      if (call.answered !== null) call.packets = call.packets.map((count) => count + PUSH_EVERY_MS / 20);
    }
    for (const response of this.#listeners) this.#send(response);
  }

  #send(response) {
    response.write(`data: ${JSON.stringify(this.status())}\n\n`);
  }
}

const REASONS = {
  normal: "the cloud answers OPTIONS",
  survivable: "no answer to 2 OPTIONS",
  standalone: "no cloud is configured",
  empty: "no cloud is configured",
};

const TOTALS = {
  messages_in: 184_203,
  messages_out: 181_977,
  messages_rejected: 212,
  calls: 4_821,
  calls_answered: 4_377,
  calls_failed: 61,
  registers: 28_940,
  auth_failures: 37,
};
const NO_TOTALS = Object.fromEntries(Object.keys(TOTALS).map((name) => [name, 0]));

function makeCloud(mode, since) {
  const up = mode === "normal";
  return {
    name: "pbx-hosted",
    address: "sip.cloud.example.com:5061",
    transport: "tls",
    up,
    since,
    reason: up ? "" : "no answer to 2 OPTIONS",
    round_trip_ms: up ? 24 : null,
    calls: up ? 2 : 0,
  };
}

function makeTrunks() {
  const trunk = { transport: "udp", up: true, since: ago(93_700), reason: "", round_trip_ms: 9, calls: 0 };
  return [
    { ...trunk, name: "carrier-a", address: "sbc1.carrier.example:5060", calls: 1 },
    {
      ...trunk,
      name: "carrier-b",
      address: "203.0.113.40:5061",
      transport: "tls",
      up: false,
      since: ago(1_130),
      reason: "TLS: certificate expired",
      round_trip_ms: null,
    },
  ];
}

function makeRegistrations(mode) {
  const devices = [
    ["101", "wss", "10.20.1.31:51822", "Ringfort web phone"],
    ["102", "udp", "10.20.4.12:5060", "Yealink SIP-T54W 96.86.0.70"],
    ["103", "tls", "10.20.4.13:40112", "snomD785/10.1.169.18"],
    ["104", "tcp", "[2001:db8:20::14]:49152", "Polycom/7.2.2 PolycomVVX-VVX_450"],
    ["105", "udp", "10.20.4.15:5060", ""],
    ["110", "wss", "10.20.1.77:60233", "Ringfort web phone"],
    ["reception", "udp", "10.20.4.2:5060", "Grandstream GXP2170 1.0.11.79"],
    ["fax", "udp", "10.20.4.250:5060", "AudioCodes MP-202 4.4.9"],
    ["gate", "udp", "10.20.9.3:5060", "2N IP Verso 2.43"],
  ];
  return devices.map(([user, transport, source, user_agent], index) => ({
    aor: `${user}@example.com`,
    transport,
    source,
    user_agent,
    expires: STARTED + Math.ceil((Date.now() - STARTED) / 300_000) * 300_000 + index * 17_000,
    by_cloud: mode === "normal",
  }));
}

function makeCalls() {
  const call = { route: "internal", state: "connected", packets: [0, 0], tier: ["kernel", "sockets"], tier_cause: ["", "secure"], tier_reason: ["", "SRTP begins or ends here"] };
  return [
    {
      ...call,
      call: "c1f4",
      from: "101",
      to: "102",
      target: "extension:102",
      started: ago(264),
      answered: ago(259),
      media: ["dtls-srtp", "rtp"],
      packets: [12_950, 12_944],
    },
    {
      ...call,
      call: "c1f6",
      from: "reception",
      to: "+35312345678",
      route: "national",
      target: "trunk:carrier-a",
      state: "held",
      started: ago(95),
      answered: ago(88),
      media: ["rtp", "rtp"],
      packets: [4_400, 0],
    },
    {
      ...call,
      call: "c1f9",
      from: "+353861112233",
      to: "110",
      target: "extension:110",
      state: "ringing",
      started: ago(6),
      answered: null,
      media: ["rtp", ""],
    },
  ];
}

function makeRecent() {
  const end = (call, from, to, route, startedAgo, ring, talk, status, cause, reroutes = 0) => ({
    call,
    from,
    to,
    route,
    mode: "normal",
    started: ago(startedAgo),
    answered: talk > 0 ? ago(startedAgo - ring) : null,
    ended: ago(startedAgo - ring - talk),
    status,
    cause,
    reroutes,
    packets: [talk * 50, talk * 50],
  });
  return [
    end("c1f3", "102", "+353871234567", "mobile", 420, 7, 143, 200, "normal"),
    end("c1f2", "105", "104", "internal", 890, 22, 0, 487, "cancelled"),
    end("c1f0", "110", "+442079460000", "international", 1_500, 3, 0, 503, "trunk-unreachable", 1),
    end("c1ee", "+35315550123", "reception", "inbound", 3_010, 5, 611, 200, "normal"),
    end("c1ed", "103", "199", "none", 4_200, 0, 0, 404, "no-route"),
    end("c1ec", "101", "102", "internal", 90_900, 4, 0, 486, "busy"),
  ];
}
