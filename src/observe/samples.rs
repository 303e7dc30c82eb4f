//! One event of every kind, for tests. Every text of it quotes somebody.

use ringfort_base::event::{CallRecord, MissingAudio, Mode, RecordingNote};
use ringfort_base::step::Sample;
use ringfort_base::{CallId, Event, Party, Pii, SourceNet, Step, Transport, Wall};
use std::net::SocketAddr;

/// What no log line may hold unless personal data is revealed.
pub const PERSONAL: [&str; 6] = ["4930123456", "101@example.com", "192.0.2.7", "2001:db8::7", "extension:102", "alice"];

/// Kinds of events; a new one does not compile until `kind` knows it, and fails the test until it has a sample.
pub const KINDS: usize = 25;

/// The kind of an event as a number below [`KINDS`].
pub fn kind(event: &Event) -> usize {
    match event {
        Event::Started { .. } => 0,
        Event::Reloaded { .. } => 1,
        Event::ModeChanged { .. } => 2,
        Event::PeerState { .. } => 3,
        Event::Registered { .. } => 4,
        Event::Unregistered { .. } => 5,
        Event::AuthFailed { .. } => 6,
        Event::CallStarted { .. } => 7,
        Event::CallRouted { .. } => 8,
        Event::CallRerouted { .. } => 9,
        Event::CallAnswered { .. } => 10,
        Event::MediaReady { .. } => 11,
        Event::MediaFailed { .. } => 12,
        Event::CallEnded(_) => 13,
        Event::MessageRejected { .. } => 14,
        Event::LimitReached { .. } => 15,
        Event::Impaired { .. } => 16,
        Event::RuleSkipped { .. } => 17,
        Event::SourceBanned { .. } => 20,
        Event::AudioMissing { .. } => 21,
        Event::SourceUnbanned { .. } => 18,
        Event::Overload { .. } => 19,
        Event::Recording { .. } => 22,
        Event::CallStep { .. } => 23,
        Event::Alarm { .. } => 24,
    }
}

/// Free text that quotes numbers and addresses.
fn quoting() -> String {
    "from 192.0.2.7:5060 or [2001:db8::7]:5061, <sip:101@example.com>, tel:+4930123456 extension:102".into()
}

fn number() -> Pii<String> {
    Pii::new("+4930123456".into())
}

fn source() -> Pii<SocketAddr> {
    Pii::new(SocketAddr::from(([192, 0, 2, 7], 5060)))
}

fn net() -> Pii<SourceNet> {
    Pii::new(SourceNet::of(source().reveal().ip()))
}

fn note() -> RecordingNote {
    RecordingNote { recorder: "main".into(), began: Some(Wall(2_100)), ended: Wall(62_000), cause: "call-ended".into() }
}

fn missing() -> MissingAudio {
    MissingAudio { cause: "one-way".into(), detail: Pii::new(quoting()), seconds: 12 }
}

/// A call that was answered after a second and lasted a minute.
pub fn record() -> CallRecord {
    CallRecord {
        call: CallId(31),
        from: number(),
        to: Pii::new("101@example.com".into()),
        route: "inbound".into(),
        mode: Mode::Survivable,
        source: "account:101".into(),
        started: Wall(1_000),
        answered: Some(Wall(2_000)),
        ended: Wall(62_000),
        status: 200,
        cause: "normal".into(),
        reroutes: 1,
        packets: [3_000, 2_999],
        quality: Default::default(),
        missing: Box::new([Some(missing()), None]),
        recordings: vec![note()],
    }
}

/// One step of every kind.
pub fn every_step() -> Vec<Step> {
    let peer = source;
    vec![
        Step::Restored,
        Step::Ringing { status: 180 },
        Step::IceChecked { peer: peer() },
        Step::IceSelected { peer: peer() },
        Step::DtlsBegun { role: "server".into(), peer: peer() },
        Step::DtlsDone { version: "1.3".into(), suite: "aes-gcm-256".into() },
        Step::Latched { component: "rtp".into(), peer: peer() },
        Step::FirstAudio { ssrc: 0x1234 },
        Step::SsrcChanged { ssrc: 0x5678 },
        Step::Codec { codec: quoting() },
        Step::Held,
        Step::Resumed,
        Step::Tier { tier: "kernel".into(), program: "tc".into(), cause: "not-named".into() },
        Step::Quality(Sample { packets: 500, lost: 3, jitter_us: 2_500, round_trip_us: Some(40_000), missed: 1, mos: Some(4.2) }),
    ]
}

/// One event of every kind.
pub fn every_event() -> Vec<Event> {
    let call = CallId(31);
    let reason = quoting();
    let steps = every_step().into_iter().map(|step| Event::CallStep { call, leg: Party::Caller, step });
    let mut events: Vec<Event> = vec![
        Event::Started { version: "0.1.0".into(), calls_restored: 2, bindings_restored: 3 },
        Event::Reloaded { refused: Some(quoting()) },
        Event::ModeChanged { from: Mode::Normal, to: Mode::Survivable, reason: quoting() },
        Event::PeerState { peer: "carrier".into(), up: false, reason: quoting() },
        Event::Registered {
            aor: Pii::new("101@example.com".into()),
            transport: Transport::Wss,
            expires_s: 300,
            local: true,
            refresh: false,
        },
        Event::Unregistered { aor: Pii::new("101@example.com".into()), reason: quoting() },
        Event::AuthFailed { user: Pii::new("alice".into()), source: source(), reason: "bad-response".into() },
        Event::CallStarted { call, from: number(), to: Pii::new("101@example.com".into()) },
        Event::CallRouted { call, route: quoting(), targets: vec!["extension:102".into(), "trunk:carrier".into()] },
        Event::CallRerouted { call, from: "cloud".into(), to: "extension:102".into(), reason: reason.clone() },
        Event::CallAnswered { call, target: "extension:102".into() },
        Event::MediaReady { call, leg: "caller".into(), how: reason.clone() },
        Event::MediaFailed { call, leg: "callee".into(), cause: reason },
        Event::AudioMissing { call, leg: "caller".into(), missing: missing() },
        Event::CallEnded(record()),
        Event::Recording { call, recorder: "main".into(), state: "lost".into(), cause: "no-answer".into() },
        Event::MessageRejected {
            source: source(),
            transport: Transport::Udp,
            rule: "bad-content-length".into(),
            status: Some(400),
        },
        Event::LimitReached { limit: "CALLS_MAX".into(), effect: quoting() },
        Event::Alarm { alarm: "kernel eth0".into(), raised: true, reason: quoting() },
        Event::Impaired { part: "journal".into(), reason: quoting() },
        Event::RuleSkipped { profile: "generic".into(), rule: quoting() },
        Event::SourceBanned { source: net(), reason: "scanner".into(), seconds: 60 },
        Event::SourceUnbanned { source: net(), reason: "operator".into() },
        Event::Overload { stage: "busy".into(), queued: 3_000, lag_ms: 120 },
    ];
    // Before the call ends.
    events.splice(7..7, steps);
    events
}

#[test]
fn every_kind_has_a_sample() {
    let mut kinds: Vec<usize> = every_event().iter().map(kind).collect();
    kinds.sort_unstable();
    kinds.dedup();
    assert_eq!(kinds, (0..KINDS).collect::<Vec<_>>());
}
