//! The shapes that the API speaks. They mirror `ringfort_call::status`; a change there does not change the API
//! unless it is made here too. Personal data is revealed: only administrators receive these values.
//!
//! Times are milliseconds since 1970-01-01T00:00:00Z. A call's id is text (`c1f`), because JavaScript's numbers hold
//! 53 bits only. The conversions are in `convert.rs`.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;

pub use ringfort_base::limits::STATUS_LIST_MAX;

/// Whether the node leans on the cloud.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ModeView {
    /// No cloud is configured.
    Standalone,
    /// The cloud answers.
    Normal,
    /// The cloud does not answer; the node routes by itself.
    Survivable,
}

/// SIP transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum TransportView {
    /// Datagrams.
    Udp,
    /// Octet stream.
    Tcp,
    /// Octet stream over TLS.
    Tls,
    /// WebSocket.
    Ws,
    /// WebSocket over TLS.
    Wss,
}

/// The whole node at one moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct StatusView {
    /// Configured name of the node.
    pub node: String,
    /// Version of the binary.
    pub version: String,
    /// Seconds since the process started.
    pub uptime_s: u64,
    /// Mode now.
    pub mode: ModeView,
    /// Since when, milliseconds since 1970.
    pub mode_since: u64,
    /// Why, in words.
    pub mode_reason: String,
    /// The cloud, where one is configured.
    pub cloud: Option<PeerView>,
    /// Trunks in the order of the configuration.
    pub trunks: Vec<PeerView>,
    /// Registrations sorted by address of record, the first 500.
    pub registrations: Vec<RegistrationView>,
    /// All registrations.
    pub registration_count: usize,
    /// Subscriptions alive.
    #[serde(default)]
    pub subscriptions: usize,
    /// Calls live, oldest first, the first 500.
    pub calls: Vec<CallView>,
    /// All calls live.
    pub call_count: usize,
    /// Calls that ended, newest first.
    pub recent: Vec<RecordView>,
    /// What is wrong for longer than a moment.
    #[serde(default)]
    pub alarms: Vec<AlarmView>,
    /// Sources banned, the ban that ends first before the others, the first 500.
    #[serde(default)]
    pub bans: Vec<BanView>,
    /// Totals since the process started.
    pub totals: TotalsView,
    /// What the node may carry, and whoever else has limits, the first 500.
    #[serde(default)]
    pub limits: Vec<LimitView>,
}

/// What somebody may have, and has. A bound of 0 is none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LimitView {
    /// `node`, `transcoded` (calls through the node that are transcoded), `realm:NAME`, `trunk:NAME` or `account:USER`.
    pub holder: String,
    /// Calls now.
    pub calls: u32,
    /// Calls at once.
    pub calls_max: u32,
    /// New calls a second.
    pub per_second_max: u32,
    /// Most calls at once since the process started.
    pub peak: u32,
    /// Estimated bandwidth now, kbit/s.
    pub kbit: u32,
    /// Bandwidth, kbit/s.
    pub kbit_max: u32,
    /// Calls refused since the process started.
    pub refused: u64,
    /// Which of the bounds were measured on this machine by `ringfort capacity` and not configured: `calls_max`, `per_second_max`.
    pub measured: Vec<String>,
}

/// Something that is wrong for longer than a moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AlarmView {
    /// Stable name: `kernel`, `kernel eth0`, `af_xdp eth0`.
    pub name: String,
    /// In words.
    pub reason: String,
    /// Since when, milliseconds since 1970.
    pub since: u64,
}

/// A source that is not listened to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct BanView {
    /// An IPv4 address, or an IPv6 network of 64 bits: `192.0.2.7`, `2001:db8::/64`.
    pub source: String,
    /// `scanner`, `dictionary`, `guessing` or `flood`.
    pub reason: String,
    /// When it ends, milliseconds since 1970.
    pub until: u64,
}

/// A supervised peer: the cloud or a trunk.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PeerView {
    /// Configured name.
    pub name: String,
    /// `host:port` as configured.
    pub address: String,
    /// Transport.
    pub transport: TransportView,
    /// Reachable now.
    pub up: bool,
    /// Since when, milliseconds since 1970.
    pub since: u64,
    /// Why, in words.
    pub reason: String,
    /// Round trip of the last answered OPTIONS, milliseconds.
    pub round_trip_ms: Option<u32>,
    /// Calls that go through it now.
    pub calls: usize,
}

/// One binding of one address of record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RegistrationView {
    /// `101@example.com`.
    pub aor: String,
    /// How the device is reached.
    pub transport: TransportView,
    /// Where it is, `address:port`.
    pub source: String,
    /// `User-Agent` as told.
    pub user_agent: String,
    /// When it runs out, milliseconds since 1970.
    pub expires: u64,
    /// Accepted by the cloud (true) or by the node itself.
    pub by_cloud: bool,
}

/// One live call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CallView {
    /// Identifier: `c1f`.
    pub call: String,
    /// Caller.
    pub from: String,
    /// Called, as dialled.
    pub to: String,
    /// `routing`, `ringing`, `connected`, `held` or `ending`.
    pub state: String,
    /// Route by name.
    pub route: String,
    /// Target in use: `trunk:carrier`, `extension:102`, `echo`, `cloud`.
    pub target: String,
    /// When it began, milliseconds since 1970.
    pub started: u64,
    /// When it was answered, milliseconds since 1970.
    pub answered: Option<u64>,
    /// Media of caller and callee in words: `dtls-srtp`, `rtp`, ...
    pub media: [String; 2],
    /// RTP packets received from caller and callee.
    pub packets: [u64; 2],
    /// Quality of the audio of caller and callee.
    pub quality: [QualityView; 2],
    /// What carries the audio of caller and callee: `kernel`, `af_xdp`, `sockets`; empty without media.
    pub tier: [String; 2],
    /// Which program in the kernel: `xdp`, which is the faster one, or `tc`; empty where it is none.
    pub tier_program: [String; 2],
    /// Stable name of why nothing faster does: `secure`, `recorded`, ...; empty where nothing is faster.
    pub tier_cause: [String; 2],
    /// The same in words.
    pub tier_reason: [String; 2],
    /// Audio of caller and callee that is missing now; null: it is heard, or nobody waits for it.
    pub missing: [Option<MissingView>; 2],
    /// How its recording stands, in words: `by NAME`, `NAME is asked`, `no: CAUSE`; empty: it is not to be recorded.
    pub recording: String,
}

/// What the other clients of the user who is signed in have.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OwnCallsView {
    /// Answered calls of all clients of the user, oldest first.
    pub calls: Vec<OwnCallView>,
    /// Clients that are registered.
    pub devices: usize,
}

/// An answered call of one of the user's clients, and the dialog that an INVITE with Replaces (RFC 3891) names to take it over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OwnCallView {
    /// Call-ID of the dialog between the client and the node.
    pub call_id: String,
    /// The node's tag in it: `to-tag` of Replaces.
    pub node_tag: String,
    /// The client's: `from-tag`.
    pub client_tag: String,
    /// The client called.
    pub outgoing: bool,
    /// User part of the other party; empty: it wants to stay unknown.
    pub peer: String,
    /// Its name; may be empty.
    pub peer_name: String,
    /// One of the two holds the call.
    pub held: bool,
    /// When it was answered, milliseconds since 1970.
    pub answered: u64,
}

/// Audio of one party that is missing, or was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MissingView {
    /// Named cause: `no-rtp`, `one-way`, `srtp-authentication`, ...
    pub cause: String,
    /// What shows it, in words; may be empty.
    pub detail: String,
    /// For how long, seconds.
    pub seconds: u64,
}

/// How the audio of one party arrives, and what the party says of the audio that it gets.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct QualityView {
    /// RTP packets that did not come.
    pub lost: u64,
    /// Highest interarrival jitter, µs.
    pub jitter_max_us: u32,
    /// Way to the party and back by RTCP, µs; null: nothing that tells was reported.
    pub round_trip_us: Option<u32>,
    /// Packets that the party says it missed.
    pub missed: u32,
    /// Mean opinion score that its audio is worth, 1.0 to 4.5 (E-model, ITU-T G.107); null: no audio came.
    pub mos: Option<f64>,
    /// Mean opinion score of what the party hears, as its telephone says (RTCP XR, RFC 3611); null: it says nothing.
    pub mos_told: Option<f64>,
}

/// A call that ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RecordView {
    /// Identifier: `c1f`.
    pub call: String,
    /// Caller.
    pub from: String,
    /// Called, as dialled.
    pub to: String,
    /// The route that was taken, or why none was.
    pub route: String,
    /// Mode of the node when the call began.
    pub mode: ModeView,
    /// Who called, as routes name it: `account:101`, `trunk:carrier`, `cloud`.
    pub source: String,
    /// When the INVITE came, milliseconds since 1970.
    pub started: u64,
    /// When it was answered, milliseconds since 1970.
    pub answered: Option<u64>,
    /// When it ended, milliseconds since 1970.
    pub ended: u64,
    /// SIP status of the end: 200 for an answered call.
    pub status: u16,
    /// Named cause: `normal`, `cancelled`, `busy`, `no-route`, `ice-timeout`, ...
    pub cause: String,
    /// Times the call moved on to another target.
    pub reroutes: u32,
    /// RTP packets received from caller and callee.
    pub packets: [u64; 2],
    /// Quality of the audio of caller and callee.
    pub quality: [QualityView; 2],
    /// Audio of caller and callee that was missing for longest; null: none was.
    pub missing: [Option<MissingView>; 2],
    /// Sessions with recorders, those that did not come to be included; none: it was not to be recorded.
    pub recordings: Vec<RecordingView>,
}

/// A recording session of a call, or the try of one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RecordingView {
    /// Recorder by name.
    pub recorder: String,
    /// When it agreed, milliseconds since 1970; null: it did not.
    pub began: Option<u64>,
    /// When it ended, or failed, milliseconds since 1970.
    pub ended: u64,
    /// Named cause: `call-ended`, `no-answer`, `released-by-recorder`, `incompatible`, ...
    pub cause: String,
}

/// What happened in one call, on one axis.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TimelineView {
    /// Identifier: `c1f`.
    pub call: String,
    /// The call is over.
    pub ended: bool,
    /// Steps that found no room.
    pub left_out: u64,
    /// Oldest first.
    pub steps: Vec<StepView>,
}

/// A step of a call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StepView {
    /// When, milliseconds since 1970.
    pub at: u64,
    /// `caller` or `callee`; empty: the call as a whole.
    pub party: String,
    /// Stable name: `call-started`, `ice-checked`, `dtls-done`, `first-audio`, `quality`, `call-ended`, ...
    pub what: String,
    /// What is known of it, by stable names: `cause`, `codec`, `peer`, ...
    pub details: BTreeMap<String, String>,
}

/// Counters since the process started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TotalsView {
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
