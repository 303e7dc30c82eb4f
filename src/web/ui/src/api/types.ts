// The shapes that the HTTP API speaks; they mirror model.rs of the web member.
// Times are milliseconds since 1970 on the node's clock; a call's id is opaque text.

export type Role = "admin" | "user";
export type Mode = "standalone" | "normal" | "survivable";
export type Transport = "udp" | "tcp" | "tls" | "ws" | "wss";

export interface Session {
  user: string;
  role: Role;
  must_change_password: boolean;
}

export interface Status {
  node: string;
  version: string;
  uptime_s: number;
  mode: Mode;
  mode_since: number;
  mode_reason: string;
  cloud: Peer | null;
  trunks: Peer[];
  registrations: Registration[];
  registration_count: number;
  calls: LiveCall[];
  call_count: number;
  recent: CallRecord[];
  totals: Totals;
  alarms: Alarm[];
  limits: Limit[];
}

/** What somebody may have, and has. A bound of 0 is none. */
export interface Limit {
  /** `node`, `transcoded`, `trunk:NAME`, `realm:NAME` or `account:USER`. */
  holder: string;
  calls: number;
  calls_max: number;
  per_second_max: number;
  peak: number;
  kbit: number;
  kbit_max: number;
  refused: number;
  /** Bounds that were measured on this machine, and not configured. */
  measured: string[];
}

/** Something that is wrong for longer than a moment. */
export interface Alarm {
  name: string;
  reason: string;
  since: number;
}

export interface Peer {
  name: string;
  address: string;
  transport: Transport;
  up: boolean;
  since: number;
  reason: string;
  round_trip_ms: number | null;
  calls: number;
}

export interface Registration {
  aor: string;
  transport: Transport;
  source: string;
  user_agent: string;
  expires: number;
  by_cloud: boolean;
}

/** How one party's audio arrives, and what the party says of the audio that it gets. */
export interface Quality {
  lost: number;
  jitter_max_us: number;
  round_trip_us: number | null;
  missed: number;
  mos: number | null;
  mos_told: number | null;
}

/** Audio of one party that is missing, or was. */
export interface MissingAudio {
  cause: string;
  detail: string;
  seconds: number;
}

export interface LiveCall {
  call: string;
  from: string;
  to: string;
  state: string;
  route: string;
  target: string;
  started: number;
  answered: number | null;
  /** Caller's leg, callee's leg. */
  media: [string, string];
  packets: [number, number];
  quality: [Quality, Quality];
  /** What carries each leg's audio, by which program of the kernel, and why nothing faster does. */
  tier: [string, string];
  tier_program: [string, string];
  tier_cause: [string, string];
  tier_reason: [string, string];
  missing: [MissingAudio | null, MissingAudio | null];
  /** How its recording stands, in words; empty: it is not to be recorded. */
  recording: string;
}

/** What happened in one call, oldest first. */
export interface Timeline {
  call: string;
  ended: boolean;
  left_out: number;
  steps: Step[];
}

/** A step of a call. */
export interface Step {
  at: number;
  /** `caller`, `callee`, or empty: the call as a whole. */
  party: string;
  /** Stable name. */
  what: string;
  details: Record<string, string>;
}

/** A recording session of a call, or the try of one. */
export interface Recording {
  recorder: string;
  began: number | null;
  ended: number;
  cause: string;
}

export interface CallRecord {
  call: string;
  from: string;
  to: string;
  route: string;
  mode: Mode;
  source: string;
  started: number;
  answered: number | null;
  ended: number;
  status: number;
  cause: string;
  reroutes: number;
  packets: [number, number];
  quality: [Quality, Quality];
  missing: [MissingAudio | null, MissingAudio | null];
  recordings: Recording[];
}

export interface Totals {
  messages_in: number;
  messages_out: number;
  messages_rejected: number;
  calls: number;
  calls_answered: number;
  calls_failed: number;
  registers: number;
  auth_failures: number;
}

/** What the phones of the user who is signed in have. */
export interface OwnCalls {
  calls: OwnCall[];
  /** Phones that are registered. */
  devices: number;
}

/** An answered call of one of the user's phones, and the dialog by which another one takes it over (RFC 3891). */
export interface OwnCall {
  call_id: string;
  node_tag: string;
  client_tag: string;
  outgoing: boolean;
  /** "": it wants to stay unknown. */
  peer: string;
  peer_name: string;
  held: boolean;
  answered: number;
}

/** What the web phone needs to register; `ha1_md5` is a password equivalent and never leaves the page's memory. */
export interface PhoneAccount {
  uri: string;
  realm: string;
  username: string;
  display_name: string;
  ha1_md5: string;
  ws_path: string;
  /** What begins the numbers of conferences; "": the node has none. */
  conference: string;
}
