//! Events are declared once. Log, metrics, call records, timeline and test assertions subscribe to them.
//!
//! Numbers, names and addresses of people are wrapped in [`Pii`].

use crate::ids::CallId;
use crate::net::{SourceNet, Transport};
use crate::pii::Pii;
use crate::step::{Party, Step};
use crate::time::Wall;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

/// How loudly an event is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// For whoever follows one call.
    Debug,
    /// The normal course of things.
    Info,
    /// Somebody should look at it during the day.
    Warning,
    /// Somebody's call failed, or the node lost something that it needs.
    Error,
}

/// Whether the node leans on the cloud.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// No cloud is configured: the node is the PBX's registrar and router itself.
    #[default]
    Standalone,
    /// The cloud answers; it owns registrations and routes.
    Normal,
    /// The cloud does not answer; the node routes by itself.
    Survivable,
}

impl Mode {
    /// The word used in configuration, API and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Mode::Standalone => "standalone",
            Mode::Normal => "normal",
            Mode::Survivable => "survivable",
        }
    }
}

/// Who gave the reason why a call ended or failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Blame {
    /// The peer broke a rule.
    PeerMisbehaved,
    /// The peer is sound, but the two sides have nothing in common.
    PeerIncompatible,
    /// The node was used wrongly: configuration or an unknown number.
    Misused,
    /// A limit of this node.
    LocalLimit,
    /// Nobody: a normal end.
    None,
}

/// How the audio of one party arrives at the node, and what the party says of the audio that it gets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LegQuality {
    /// RTP packets that did not come.
    pub lost: u64,
    /// Highest interarrival jitter, µs (RFC 3550 6.4.1).
    pub jitter_max_us: u32,
    /// Way to the party and back, µs, by RTCP; `None`: nothing that tells was reported.
    pub round_trip_us: Option<u32>,
    /// Packets that the party says it missed.
    pub missed: u32,
    /// Mean opinion score that its audio is worth, 1.0 to 4.5 (E-model, ITU-T G.107); `None`: no audio came.
    pub mos: Option<f64>,
    /// Mean opinion score of what the party hears, as its telephone says (RTCP XR, RFC 3611); `None`: it says nothing.
    #[serde(default)]
    pub mos_told: Option<f64>,
}

/// Audio of one party that was missing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MissingAudio {
    /// Named cause, stable across releases: `no-rtp`, `one-way`, `srtp-authentication`, ...
    pub cause: String,
    /// What shows it, in words; may name addresses. Empty: the cause says it all.
    pub detail: Pii<String>,
    /// For how long, seconds.
    pub seconds: u64,
}

/// What a call did, written once when it ends.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CallRecord {
    /// The call.
    pub call: CallId,
    /// Caller's number or user part.
    pub from: Pii<String>,
    /// Called number or user part, as dialled.
    pub to: Pii<String>,
    /// The route that was taken, or why none was.
    pub route: String,
    /// Mode of the node when the call began.
    pub mode: Mode,
    /// Who sent it: `account:101`, `cloud`, `trunk:carrier`; empty in records of earlier versions.
    #[serde(default)]
    pub source: String,
    /// When the INVITE came.
    pub started: Wall,
    /// When it was answered, if it was.
    pub answered: Option<Wall>,
    /// When it ended.
    pub ended: Wall,
    /// SIP status of the end: 200 for an answered call.
    pub status: u16,
    /// Named cause, stable across releases: `normal`, `cancelled`, `busy`, `no-route`, `ice-timeout`, ...
    pub cause: String,
    /// Times the call moved on to another target.
    pub reroutes: u32,
    /// RTP packets received from caller and callee.
    pub packets: [u64; 2],
    /// Quality of both parties' audio, caller first: of the legs that the call had when it ended.
    #[serde(default)]
    pub quality: Box<[LegQuality; 2]>,
    /// Audio of caller and callee that was missing for longest.
    #[serde(default)]
    pub missing: Box<[Option<MissingAudio>; 2]>,
    /// Sessions with recorders, those that did not come to be included; none: it was not to be recorded.
    #[serde(default)]
    pub recordings: Vec<RecordingNote>,
}

/// A recording session of a call, or the try of one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordingNote {
    /// Recorder by name.
    pub recorder: String,
    /// When it agreed; `None`: it did not.
    pub began: Option<Wall>,
    /// When it ended, or failed.
    pub ended: Wall,
    /// Named cause, stable across releases: `call-ended`, `no-answer`, `released-by-recorder`, `incompatible`, ...
    pub cause: String,
}

/// Everything that the node tells the world.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// The node runs.
    Started {
        /// Version of the binary.
        version: String,
        /// Calls read back from the journal.
        calls_restored: usize,
        /// Registrations read back.
        bindings_restored: usize,
    },
    /// Configuration was taken or refused.
    Reloaded {
        /// `None` when taken; otherwise why not, naming file and line.
        refused: Option<String>,
    },
    /// Normal to survivable or back.
    ModeChanged {
        /// Before.
        from: Mode,
        /// After.
        to: Mode,
        /// In words: `no answer to 2 OPTIONS`, `INVITE unanswered for 1500 ms`, ...
        reason: String,
    },
    /// A supervised peer (cloud or trunk) became reachable or unreachable.
    PeerState {
        /// Configured name.
        peer: String,
        /// Reachable now.
        up: bool,
        /// In words.
        reason: String,
    },
    /// A registration was made or refreshed.
    Registered {
        /// Address of record.
        aor: Pii<String>,
        /// How the device reaches the node.
        transport: Transport,
        /// Seconds granted.
        expires_s: u32,
        /// By the node itself (true) or by the cloud (false).
        local: bool,
        /// A refresh of a binding that exists.
        refresh: bool,
    },
    /// A registration ended.
    Unregistered {
        /// Address of record.
        aor: Pii<String>,
        /// `removed`, `expired`, `flow-closed`, `replaced`.
        reason: String,
    },
    /// A request failed authentication.
    AuthFailed {
        /// User name as given.
        user: Pii<String>,
        /// Source.
        source: Pii<SocketAddr>,
        /// `unknown-user`, `bad-response`, `stale-nonce`, `replayed-nc`, ...
        reason: String,
    },
    /// A call began.
    CallStarted {
        /// The call.
        call: CallId,
        /// Caller.
        from: Pii<String>,
        /// Called, as dialled.
        to: Pii<String>,
    },
    /// The evaluator said where it goes.
    CallRouted {
        /// The call.
        call: CallId,
        /// Rule by name.
        route: String,
        /// Targets in order, by name.
        targets: Vec<String>,
    },
    /// A target failed and the next one is tried.
    CallRerouted {
        /// The call.
        call: CallId,
        /// Target that failed.
        from: String,
        /// Target tried now.
        to: String,
        /// Why.
        reason: String,
    },
    /// The callee answered.
    CallAnswered {
        /// The call.
        call: CallId,
        /// Target that answered.
        target: String,
    },
    /// A step of a call that its timeline shows.
    CallStep {
        /// The call.
        call: CallId,
        /// Whose step.
        leg: Party,
        /// What happened.
        step: Step,
    },
    /// A leg's media path stands: latched, or ICE and DTLS done.
    MediaReady {
        /// The call.
        call: CallId,
        /// `caller` or `callee`.
        leg: String,
        /// `rtp`, `dtls-srtp aes-cm-128-80`, ...
        how: String,
    },
    /// A leg's media failed.
    MediaFailed {
        /// The call.
        call: CallId,
        /// `caller` or `callee`.
        leg: String,
        /// Named cause.
        cause: String,
    },
    /// Audio of a party is missing in a call.
    AudioMissing {
        /// The call.
        call: CallId,
        /// Whose audio: `caller` or `callee`.
        leg: String,
        /// Why, and for how long so far.
        missing: MissingAudio,
    },
    /// The recording of a call began, ended, was lost in the middle, or did not come to be.
    Recording {
        /// The call.
        call: CallId,
        /// Recorder by name.
        recorder: String,
        /// `begun`, `paused` and `resumed` by the recorder, `silent` where its audio does not arrive and no other recorder is left, `ended`, `lost`, `failed`.
        state: String,
        /// Named cause; empty for `begun`, `paused` and `resumed`.
        cause: String,
    },
    /// A call ended; the one record of it.
    CallEnded(CallRecord),
    /// A message was refused or dropped.
    MessageRejected {
        /// Source.
        source: Pii<SocketAddr>,
        /// Transport.
        transport: Transport,
        /// The rule it broke, stable: `bad-content-length`, `sip-version`, ...
        rule: String,
        /// Status answered, if any.
        status: Option<u16>,
    },
    /// A rule of a peer profile would have broken a message and was left out.
    RuleSkipped {
        /// Profile.
        profile: String,
        /// Rule by name.
        rule: String,
    },
    /// A source that nobody knows is not listened to any more.
    SourceBanned {
        /// The source.
        source: Pii<SourceNet>,
        /// `scanner`, `dictionary`, `guessing`, `flood`.
        reason: String,
        /// For how long.
        seconds: u64,
    },
    /// It is listened to again.
    SourceUnbanned {
        /// The source.
        source: Pii<SourceNet>,
        /// `over`, `proven`, `operator`, `table-full`.
        reason: String,
    },
    /// The node has more to do than it can, or has caught up.
    Overload {
        /// `calm`, `busy`, `overloaded`, `severe`.
        stage: String,
        /// Inputs that wait.
        queued: usize,
        /// How long they will wait, milliseconds.
        lag_ms: u64,
    },
    /// A local limit was met.
    LimitReached {
        /// Name of the limit in `limits`.
        limit: String,
        /// What was given up.
        effect: String,
    },
    /// Something is wrong for longer than a moment, or is mended.
    Alarm {
        /// Stable name: `kernel`, `kernel eth0`, `af_xdp eth0`.
        alarm: String,
        /// It begins (true) or has ended.
        raised: bool,
        /// In words.
        reason: String,
    },
    /// Something that the node needs does not work (disk, journal, socket).
    Impaired {
        /// Part: `journal`, `records`, `relay`, `listener`, ...
        part: String,
        /// In words.
        reason: String,
    },
}

impl Event {
    /// Stable name, as in the serialised form.
    pub fn name(&self) -> &'static str {
        match self {
            Event::Started { .. } => "started",
            Event::Reloaded { .. } => "reloaded",
            Event::ModeChanged { .. } => "mode-changed",
            Event::PeerState { .. } => "peer-state",
            Event::Registered { .. } => "registered",
            Event::Unregistered { .. } => "unregistered",
            Event::AuthFailed { .. } => "auth-failed",
            Event::CallStarted { .. } => "call-started",
            Event::CallRouted { .. } => "call-routed",
            Event::CallRerouted { .. } => "call-rerouted",
            Event::CallAnswered { .. } => "call-answered",
            Event::CallStep { .. } => "call-step",
            Event::MediaReady { .. } => "media-ready",
            Event::MediaFailed { .. } => "media-failed",
            Event::AudioMissing { .. } => "audio-missing",
            Event::Recording { .. } => "recording",
            Event::CallEnded(_) => "call-ended",
            Event::MessageRejected { .. } => "message-rejected",
            Event::RuleSkipped { .. } => "rule-skipped",
            Event::SourceBanned { .. } => "source-banned",
            Event::SourceUnbanned { .. } => "source-unbanned",
            Event::Overload { .. } => "overload",
            Event::LimitReached { .. } => "limit-reached",
            Event::Alarm { .. } => "alarm",
            Event::Impaired { .. } => "impaired",
        }
    }

    /// The call that it belongs to.
    pub fn call(&self) -> Option<CallId> {
        match self {
            Event::CallStarted { call, .. }
            | Event::CallRouted { call, .. }
            | Event::CallRerouted { call, .. }
            | Event::CallAnswered { call, .. }
            | Event::CallStep { call, .. }
            | Event::MediaReady { call, .. }
            | Event::MediaFailed { call, .. }
            | Event::AudioMissing { call, .. }
            | Event::Recording { call, .. } => Some(*call),
            Event::CallEnded(record) => Some(record.call),
            _ => None,
        }
    }

    /// A sample of quality: only timelines want it.
    pub fn is_sample(&self) -> bool {
        matches!(self, Event::CallStep { step: Step::Quality(_), .. })
    }

    /// How loudly it is told.
    pub fn severity(&self) -> Severity {
        match self {
            Event::Reloaded { refused: Some(_) } | Event::Impaired { .. } | Event::Alarm { raised: true, .. } => Severity::Error,
            Event::ModeChanged { to: Mode::Survivable, .. } => Severity::Error,
            Event::PeerState { up: false, .. }
            | Event::MediaFailed { .. }
            | Event::AudioMissing { .. }
            | Event::CallRerouted { .. }
            | Event::AuthFailed { .. }
            | Event::RuleSkipped { .. }
            | Event::SourceBanned { .. }
            | Event::Overload { .. }
            | Event::LimitReached { .. } => Severity::Warning,
            Event::Recording { state, .. } if matches!(state.as_str(), "lost" | "failed" | "silent") => Severity::Warning,
            Event::MessageRejected { .. } | Event::CallRouted { .. } | Event::CallStep { .. } => Severity::Debug,
            _ => Severity::Info,
        }
    }
}
