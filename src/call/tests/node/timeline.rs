//! What the timeline of a call is told: each step once, in its order, with what shows it.

use crate::fixture::{Desk, SDP};
use crate::talk::{CONFIG, End, PHONE, TRUNK, connected, contact, ends, sdp};
use ringfort_base::step::Sample;
use ringfort_base::{Event, Party, PortId, Step};
use ringfort_call::Input;
use ringfort_media::plan::{Component, PortCounters, RelayCommand, RelayEvent};
use ringfort_media::tier::{Obstacle, Tier};
use std::time::Duration;

fn steps(desk: &Desk) -> Vec<(Party, Step)> {
    let step = |event: &Event| match event {
        Event::CallStep { leg, step, .. } => Some((*leg, step.clone())),
        _ => None,
    };
    desk.events.iter().filter_map(step).collect()
}

/// Steps of these names.
fn named(desk: &Desk, names: &[&str]) -> Vec<(Party, Step)> {
    steps(desk).into_iter().filter(|(_, step)| names.contains(&step.name())).collect()
}

fn ports(desk: &Desk) -> [PortId; 2] {
    let open = |command: &RelayCommand| if let RelayCommand::Open { port, .. } = command { Some(*port) } else { None };
    let ports: Vec<PortId> = desk.relayed.iter().filter_map(open).collect();
    [ports[0], ports[1]]
}

fn tell(desk: &mut Desk, port: PortId, counters: PortCounters, last: bool) {
    desk.input(Input::Relay(RelayEvent::Counters { port, counters: Box::new(counters), last }));
}

fn talking() -> (Desk, End, End, [PortId; 2]) {
    let (desk, phone, trunk) = connected(CONFIG, "", "");
    let ports = ports(&desk);
    (desk, phone, trunk, ports)
}

/// Signalling, routing and media of one call, as its events name them.
#[test]
fn a_call_is_told_from_its_begin_to_the_cause_of_its_end() {
    let mut desk = Desk::new(CONFIG);
    assert_eq!(desk.register(PHONE, "101", &contact("101", PHONE)), 200);
    desk.request(PHONE, "INVITE", "sip:0123@ringfort.local", "101", &contact("101", PHONE), &sdp(PHONE, 1, "sendrecv"));
    let invite = desk.last(TRUNK);
    desk.reply_to(TRUNK, &invite, "180 Ringing", "t", &contact("gw", TRUNK), "");
    desk.pass(Duration::from_secs(2));
    desk.reply_to(TRUNK, &invite, "200 OK", "t", &contact("gw", TRUNK), &sdp(TRUNK, 1, "sendrecv"));
    let (mut phone, _) = ends(&desk.last_of(PHONE, |m| m.status() == Some(200)), &invite);
    phone.ack(&mut desk, "");
    let ports = ports(&desk);
    for (port, source, ssrc) in [(ports[0], "203.0.113.5:4000", 1), (ports[1], "198.51.100.1:4000", 2)] {
        let source = source.parse().expect("an address");
        desk.input(Input::Relay(RelayEvent::Latched { port, component: Component::Rtp, source }));
        desk.input(Input::Relay(RelayEvent::Stream { port, ssrc }));
    }
    phone.send(&mut desk, "BYE", "", "");
    ports.into_iter().for_each(|port| tell(&mut desk, port, PortCounters::default(), true));
    let told = desk.events.iter().filter(|event| event.call().is_some()).map(|event| match event {
        Event::CallStep { leg, step, .. } => format!("{} {}", leg.as_str(), step.name()),
        other => other.name().to_owned(),
    });
    let told: Vec<String> = told.collect();
    let in_order = [
        "call-started",
        "call-routed",
        "callee ringing",
        "call-answered",
        "caller latched",
        "media-ready",
        "caller first-audio",
        "callee latched",
        "media-ready",
        "callee first-audio",
        "call-ended",
    ];
    let mut rest = told.iter();
    for wanted in in_order {
        assert!(rest.any(|name| name == wanted), "{wanted} is not at its place in {told:?}");
    }
    for once in ["caller codec", "callee codec", "callee ringing", "call-ended"] {
        assert_eq!(told.iter().filter(|name| *name == once).count(), 1, "{once} in {told:?}");
    }
    assert_eq!(told.last().map(String::as_str), Some("call-ended"));
}

#[test]
fn who_holds_and_takes_back_is_told_once() {
    let (mut desk, mut phone, trunk, _) = talking();
    for (version, direction, answer) in [(2, "sendonly", "recvonly"), (3, "sendrecv", "sendrecv")] {
        phone.send(&mut desk, "INVITE", "", &sdp(PHONE, version, direction));
        trunk.answer(&mut desk, "200 OK", "", &sdp(TRUNK, version, answer));
        phone.ack(&mut desk, "");
        assert_eq!(named(&desk, &["held", "resumed"]).len() as u32, version - 1);
    }
    assert_eq!(named(&desk, &["held", "resumed"]), [(Party::Caller, Step::Held), (Party::Caller, Step::Resumed)]);
}

#[test]
fn the_codec_is_told_and_its_change() {
    let (mut desk, mut phone, trunk, _) = talking();
    let codec = |codec: &str| Step::Codec { codec: codec.into() };
    assert_eq!(named(&desk, &["codec"]).len(), 2, "{:?}", steps(&desk));
    phone.send(&mut desk, "INVITE", "", &sdp(PHONE, 2, "sendrecv").replace("RTP/AVP 8", "RTP/AVP 0"));
    trunk.answer(&mut desk, "200 OK", "", &sdp(TRUNK, 2, "sendrecv").replace("RTP/AVP 8", "RTP/AVP 0"));
    phone.ack(&mut desk, "");
    let mut told = named(&desk, &["codec"]);
    told.sort_by_key(|(party, step)| (format!("{step:?}"), party.as_str()));
    let expected =
        ["PCMA", "PCMU"].map(codec).into_iter().flat_map(|step| [(Party::Callee, step.clone()), (Party::Caller, step)]);
    assert_eq!(told, expected.collect::<Vec<_>>());
}

#[test]
fn streams_are_the_first_audio_and_then_changes() {
    let (mut desk, _, _, [caller, _]) = talking();
    [7, 8, 9].into_iter().for_each(|ssrc| desk.input(Input::Relay(RelayEvent::Stream { port: caller, ssrc })));
    let expected = [Step::FirstAudio { ssrc: 7 }, Step::SsrcChanged { ssrc: 8 }, Step::SsrcChanged { ssrc: 9 }];
    assert_eq!(steps(&desk).into_iter().rev().take(3).rev().collect::<Vec<_>>(), expected.map(|step| (Party::Caller, step)));
    desk.input(Input::Relay(RelayEvent::Stream { port: PortId(9_999), ssrc: 1 }));
    assert_eq!(named(&desk, &["first-audio", "ssrc-changed"]).len(), 3, "a port of nobody");
}

/// What carries the audio is told when it changes, with the reason, and not before any came.
#[test]
fn tiers_are_told_with_their_reasons() {
    let (mut desk, _, _, [_, callee]) = talking();
    let at = |rtp_in, tier| PortCounters { rtp_in, tier, ..PortCounters::default() };
    let settling = Tier::Sockets(Obstacle::Settling);
    for counters in [
        at(0, settling),
        at(1, settling),
        at(2, settling),
        at(50, Tier::Tc(Obstacle::NotNamed)),
        at(60, Tier::Xdp),
        at(70, Tier::Xdp),
    ] {
        tell(&mut desk, callee, counters, false);
    }
    tell(&mut desk, callee, at(80, Tier::Sockets(Obstacle::Secure)), false);
    let told = [("sockets", "", "settling"), ("kernel", "tc", "not-named"), ("kernel", "xdp", ""), ("sockets", "", "secure")];
    let told = told.map(|(tier, program, cause)| Step::Tier { tier: tier.into(), program: program.into(), cause: cause.into() });
    assert_eq!(named(&desk, &["tier"]), told.map(|step| (Party::Callee, step)));
}

#[test]
fn quality_is_sampled_each_ten_seconds_of_who_is_heard() {
    let (mut desk, _, _, [caller, callee]) = talking();
    let mut counters = PortCounters { round_trip_us: Some(40_000), jitter_us: 700, peer_lost: 2, ..PortCounters::default() };
    for _ in 0..13 {
        counters.rtp_in += 100;
        counters.rtp_lost += 1;
        tell(&mut desk, caller, counters, false);
        tell(&mut desk, callee, PortCounters::default(), false);
        desk.pass(Duration::from_secs(2));
    }
    let samples: Vec<Sample> = named(&desk, &["quality"])
        .into_iter()
        .map(|told| match told {
            (Party::Caller, Step::Quality(sample)) => sample,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(samples.iter().map(|sample| (sample.packets, sample.lost)).collect::<Vec<_>>(), [(100, 1), (600, 6), (1_100, 11)]);
    assert!(samples.iter().all(|s| (s.jitter_us, s.round_trip_us, s.missed) == (700, Some(40_000), 2) && s.mos.is_some()));
}

/// The node opens the handshake with a phone that waits for it.
#[test]
fn a_handshake_that_begins_is_told() {
    let secured = CONFIG.replace("options_interval_ms = 0\n", "options_interval_ms = 0\nprofile = \"dtls\"\n")
        + "[[profile]]\nname = \"dtls\"\nsrtp = \"required\"\nsrtp_keying = \"dtls\"\n";
    let mut desk = Desk::new(&secured);
    assert_eq!(desk.register(PHONE, "101", &contact("101", PHONE)), 200);
    desk.request(PHONE, "INVITE", "sip:0123@ringfort.local", "101", &contact("101", PHONE), SDP);
    let print = format!("a=fingerprint:sha-256 {}\r\na=setup:passive\r\na=rtcp-mux\r\n", ["AB"; 32].join(":"));
    let answer = SDP.replace("10.0.0.9", "198.51.100.1").replace("RTP/AVP", "UDP/TLS/RTP/SAVP") + &print;
    desk.reply(TRUNK, "200 OK", "t", &contact("gw", TRUNK), &answer);
    let peer = std::net::SocketAddr::from(([198, 51, 100, 1], 4_000)).into();
    assert_eq!(named(&desk, &["dtls-begun"]), [(Party::Callee, Step::DtlsBegun { role: "client".into(), peer })]);
    desk.pass(Duration::from_secs(16));
    let failed = desk.events.iter().any(|event| matches!(event, Event::MediaFailed { cause, .. } if cause == "dtls-timeout"));
    assert!(failed, "nobody answered it");
}

#[test]
fn a_call_that_was_taken_over_says_so_first() {
    let (desk, ..) = talking();
    let call = desk.status().calls[0].call;
    let desk = Desk::restarted(CONFIG, desk.left_behind());
    let told: Vec<&Event> = desk.events.iter().filter(|event| event.call() == Some(call)).collect();
    assert_eq!(told.first(), Some(&&Event::CallStep { call, leg: Party::Caller, step: Step::Restored }));
    assert_eq!(named(&desk, &["codec"]).len(), 2, "what was agreed is told anew");
}
