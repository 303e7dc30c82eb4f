//! What the node looks like now: one snapshot for the page, the command line and the metrics.

use ringfort_base::event::{CallRecord, LegQuality, MissingAudio, Mode};
use ringfort_base::{CallId, Pii, SourceNet, Transport, Wall};
use serde::{Deserialize, Serialize};

/// The whole node at one moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// Configured name of the node.
    pub node: String,
    /// Mode now.
    pub mode: Mode,
    /// Since when.
    pub mode_since: Wall,
    /// Why, in words.
    pub mode_reason: String,
    /// The cloud, where one is configured.
    pub cloud: Option<PeerStatus>,
    /// Trunks in the order of the configuration.
    pub trunks: Vec<PeerStatus>,
    /// Registrations, sorted by address of record.
    pub registrations: Vec<RegistrationStatus>,
    /// Subscriptions alive.
    #[serde(default)]
    pub subscriptions: usize,
    /// Calls live, oldest first.
    pub calls: Vec<CallStatus>,
    /// Calls as clients of their users have them. Each row is for its user alone.
    #[serde(default)]
    pub seats: Vec<SeatStatus>,
    /// Calls that ended, newest first, at most `limits::RECENT_CALLS_MAX`.
    pub recent: Vec<CallRecord>,
    /// What is wrong for longer than a moment.
    #[serde(default)]
    pub alarms: Vec<AlarmStatus>,
    /// Sources banned, the ban that ends first before the others.
    #[serde(default)]
    pub bans: Vec<BanStatus>,
    /// Totals since the process started.
    pub totals: Totals,
    /// Places of the node, and of trunks and users that have limits.
    #[serde(default)]
    pub limits: Vec<LimitStatus>,
}

/// What a limited holder uses.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LimitStatus {
    /// `node`, `transcoded`, `realm:NAME`, `trunk:NAME` or `account:USER`.
    pub holder: String,
    /// Calls now.
    pub calls: u32,
    /// Calls at once; 0: no limit.
    pub calls_max: u32,
    /// New calls a second; 0: no limit.
    #[serde(default)]
    pub per_second_max: u32,
    /// Most calls at once since the process started.
    pub peak: u32,
    /// Estimated bandwidth now, kbit/s.
    pub kbit: u32,
    /// Bandwidth, kbit/s; 0: no limit.
    pub kbit_max: u32,
    /// Calls refused since the process started.
    pub refused: u64,
    /// Which of `calls_max` and `per_second_max` were measured by `ringfort capacity` and not configured.
    #[serde(default)]
    pub measured: Vec<String>,
}

/// Something that is wrong for longer than a moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlarmStatus {
    /// Stable name: `kernel`, `kernel eth0`, `af_xdp eth0`.
    pub name: String,
    /// In words.
    pub reason: String,
    /// Since when.
    pub since: Wall,
}

/// A source that is not listened to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BanStatus {
    /// The source.
    pub source: Pii<SourceNet>,
    /// `scanner`, `dictionary`, `guessing`, `flood`.
    pub reason: String,
    /// When it ends.
    pub until: Wall,
}

/// A supervised peer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PeerStatus {
    /// Configured name.
    pub name: String,
    /// `host:port` as configured.
    pub address: String,
    /// Transport.
    pub transport: Transport,
    /// Reachable now.
    pub up: bool,
    /// Since when.
    pub since: Wall,
    /// Why, in words.
    pub reason: String,
    /// Round trip of the last answered OPTIONS, milliseconds.
    pub round_trip_ms: Option<u32>,
    /// Calls that go through it now.
    pub calls: usize,
}

/// One binding of one address of record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RegistrationStatus {
    /// `101@example.com`.
    pub aor: Pii<String>,
    /// How the device is reached.
    pub transport: Transport,
    /// Where it is, `address:port`.
    pub source: Pii<String>,
    /// `User-Agent` as told.
    pub user_agent: String,
    /// When it runs out.
    pub expires: Wall,
    /// Accepted by the cloud (true) or by the node itself.
    pub by_cloud: bool,
}

/// One call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CallStatus {
    /// The call.
    pub call: CallId,
    /// Caller.
    pub from: Pii<String>,
    /// Called, as dialled.
    pub to: Pii<String>,
    /// `routing`, `ringing`, `connected`, `held`, `ending`.
    pub state: String,
    /// Route by name.
    pub route: String,
    /// Target in use, by name: `trunk:carrier`, `extension:102`, `echo`, `cloud`.
    pub target: String,
    /// When it began.
    pub started: Wall,
    /// When it was answered.
    pub answered: Option<Wall>,
    /// Media of both legs in words, caller first: `dtls-srtp`, `rtp`, ...
    pub media: [String; 2],
    /// RTP packets received from caller and callee, as last reported.
    pub packets: [u64; 2],
    /// Quality of both parties' audio, caller first, as last reported.
    #[serde(default)]
    pub quality: [LegQuality; 2],
    /// What carries both parties' audio to the node, caller first, as last reported: `kernel`, `af_xdp`, `sockets`, or empty without media.
    #[serde(default)]
    pub tier: [String; 2],
    /// Which program in the kernel: `xdp`, which is the faster one, or `tc`; empty where it is none.
    #[serde(default)]
    pub tier_program: [String; 2],
    /// Stable name of why nothing faster does: `secure`, `recorded`, ...; empty where nothing is faster.
    #[serde(default)]
    pub tier_cause: [String; 2],
    /// The same in words.
    #[serde(default)]
    pub tier_reason: [String; 2],
    /// Audio of caller and callee that is missing now.
    #[serde(default)]
    pub missing: [Option<MissingAudio>; 2],
    /// How its recording stands, in words: `by NAME`, `NAME is asked`, `no: CAUSE`; empty: it is not to be recorded.
    #[serde(default)]
    pub recording: String,
}

/// One end of an answered call that a client of a user has: by its dialog another client of the same user may take the call over
/// (RFC 3891).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SeatStatus {
    /// Whose client it is: user part.
    pub user: Pii<String>,
    /// The call.
    pub call: CallId,
    /// Call-ID of the dialog between the client and the node.
    pub call_id: Pii<String>,
    /// The node's tag in it.
    pub node_tag: String,
    /// The client's.
    pub client_tag: String,
    /// The client called.
    pub outgoing: bool,
    /// User part of the other party; empty: it wants to stay unknown.
    pub peer: Pii<String>,
    /// Its name; may be empty.
    pub peer_name: Pii<String>,
    /// One of the two holds the call.
    pub held: bool,
    /// When it was answered.
    pub answered: Wall,
}

/// Counters since the process started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// SIP messages received.
    pub messages_in: u64,
    /// SIP messages sent.
    pub messages_out: u64,
    /// Messages refused or dropped.
    pub messages_rejected: u64,
    /// Calls that began.
    pub calls: u64,
    /// Calls that were answered.
    pub calls_answered: u64,
    /// Calls that failed.
    pub calls_failed: u64,
    /// REGISTER requests that were granted.
    pub registers: u64,
    /// Requests that failed authentication.
    pub auth_failures: u64,
    /// Messages of unknown sources dropped without an answer.
    #[serde(default)]
    pub dropped_unknown: u64,
}
