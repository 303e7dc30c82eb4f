//! Sides that share no codec, and sides that tell digits in different ways: what each is told, and what the relay is told to do.

use crate::fixture::Desk;
use crate::talk::{self, End, PHONE, TRUNK, body};
use ringfort_base::PortId;
use ringfort_call::Input;
use ringfort_media::audio::{Codec, Digit, Heard};
use ringfort_media::plan::{AudioPlan, Destination, FlowPlan, RelayCommand, RelayEvent, Source};
use ringfort_sip::message::{HeaderName, Method};

const OPUS: &str = "opus/48000/2";
pub const PCMA: &str = "PCMA/8000";
pub const EVENTS: &str = "telephone-event/8000";

pub fn config(profile: &str) -> String {
    format!(
        "{}[[profile]]\nname = \"p\"\n{profile}\n",
        talk::CONFIG.replacen("options_interval_ms = 0\n", "options_interval_ms = 0\nprofile = \"p\"\n", 1)
    )
}

pub fn sdp(address: &str, formats: &[(u8, &str)]) -> String {
    let host = address.split(':').next().unwrap();
    let numbers: Vec<_> = formats.iter().map(|(payload, _)| payload.to_string()).collect();
    let maps: String = formats.iter().map(|(payload, encoding)| format!("a=rtpmap:{payload} {encoding}\r\n")).collect();
    format!(
        "v=0\r\no=- 1 1 IN IP4 {host}\r\ns=-\r\nc=IN IP4 {host}\r\nt=0 0\r\nm=audio 4000 RTP/AVP {}\r\n{maps}",
        numbers.join(" ")
    )
}

/// What a description lists: payload type and encoding of each format.
pub fn formats(text: &str) -> Vec<String> {
    text.lines().filter_map(|line| line.strip_prefix("a=rtpmap:")).map(str::to_string).collect()
}

/// A phone calls by the trunk and is answered. Returns both descriptions of the node.
fn call(desk: &mut Desk, offer: &[(u8, &str)], answer: &[(u8, &str)]) -> (String, String) {
    let contact = talk::contact("101", PHONE);
    assert_eq!(desk.register(PHONE, "101", &contact), 200);
    desk.request(PHONE, "INVITE", "sip:0123@ringfort.local", "101", &contact, &sdp(PHONE, offer));
    let offered = body(&desk.last(TRUNK));
    desk.reply(TRUNK, "200 OK", "t", &talk::contact("gw", TRUNK), &sdp(TRUNK, answer));
    (offered, body(&desk.last(PHONE)))
}

/// Plans of both ports, in the order in which they were opened: caller, callee.
pub fn plans(desk: &Desk) -> [(PortId, FlowPlan); 2] {
    let opened = desk.relayed.iter().filter_map(|command| match command {
        RelayCommand::Open { port, .. } => Some(*port),
        _ => None,
    });
    let plan_of = |wanted: PortId| {
        let plan = desk.relayed.iter().rev().find_map(|command| match command {
            RelayCommand::Plan { port, plan } if *port == wanted => Some((**plan).clone()),
            _ => None,
        });
        (wanted, plan.expect("a plan"))
    };
    opened.map(plan_of).collect::<Vec<_>>().try_into().expect("two ports")
}

pub fn audio(plan: &FlowPlan) -> &AudioPlan {
    plan.audio.as_ref().expect("audio of the node's own")
}

#[test]
fn sides_that_share_a_codec_keep_it() {
    let mut desk = Desk::new(&config(""));
    let (offered, answered) = call(&mut desk, &[(111, OPUS), (8, PCMA), (101, EVENTS)], &[(8, PCMA), (101, EVENTS)]);
    assert_eq!(formats(&offered), ["111 opus/48000/2", "8 PCMA/8000", "0 PCMU/8000", "101 telephone-event/8000"]);
    assert_eq!(formats(&answered), ["8 PCMA/8000", "101 telephone-event/8000"]);
    let [(caller, to_callee), (callee, to_caller)] = plans(&desk);
    assert_eq!((to_callee.destination, to_callee.audio), (Destination::Port(callee), None), "packets only pass");
    assert_eq!((to_caller.destination, to_caller.audio), (Destination::Port(caller), None));
}

#[test]
fn sides_that_share_none_are_brought_together() {
    let mut desk = Desk::new(&config(""));
    let (_, answered) = call(&mut desk, &[(111, OPUS), (110, "telephone-event/48000")], &[(8, PCMA), (101, EVENTS)]);
    assert_eq!(formats(&answered), ["111 opus/48000/2", "110 telephone-event/48000"]);
    let [(caller, near), (callee, far)] = plans(&desk);
    assert!(matches!(near.destination, Destination::Discard(_)) && matches!(far.destination, Destination::Discard(_)));
    let events = |clock_hz| Heard::Events { clock_hz };
    assert_eq!(audio(&near).hear.payloads, [(111, Heard::Speech(Codec::Opus)), (110, events(48_000))]);
    assert_eq!(audio(&far).hear.payloads, [(8, Heard::Speech(Codec::Pcma)), (101, events(8_000))]);
    let speak = |plan: &FlowPlan| audio(plan).speak.clone().expect("the node speaks");
    let (to_caller, to_callee) = (speak(&near), speak(&far));
    assert_eq!((to_caller.how.codec, to_caller.how.payload, to_caller.how.source_hz), (Codec::Opus, 111, 8_000));
    assert_eq!((to_callee.how.codec, to_callee.how.payload, to_callee.how.events), (Codec::Pcma, 8, Some((101, 8_000))));
    assert_eq!((to_caller.what, to_callee.what), (Source::Port(callee), Source::Port(caller)));
    assert_ne!(to_caller.how.ssrc, to_callee.how.ssrc);
}

/// The callee may send a codec that only the node offered it, beside one that passes.
#[test]
fn what_only_the_node_offered_is_heard_beside_what_passes() {
    let mut desk = Desk::new(&config(""));
    let (_, answered) = call(&mut desk, &[(8, PCMA)], &[(8, PCMA), (0, "PCMU/8000")]);
    assert_eq!(formats(&answered), ["8 PCMA/8000"]);
    let [(caller, near), (callee, far)] = plans(&desk);
    assert_eq!(
        (far.destination, &audio(&far).hear.payloads[..]),
        (Destination::Port(caller), &[(0, Heard::Speech(Codec::Pcmu))][..])
    );
    assert!(audio(&near).speak.as_ref().is_some_and(|speak| speak.pauses && speak.what == Source::Port(callee)));
}

#[test]
fn without_transcoding_the_callee_is_told_what_the_caller_has() {
    let mut desk = Desk::new(&format!("{}[media]\ntranscode = false\n", config("")));
    let (offered, _) = call(&mut desk, &[(111, OPUS)], &[(8, PCMA)]);
    assert_eq!(formats(&offered), ["111 opus/48000/2"]);
    assert_eq!(desk.answer(PHONE), 502, "an answer with what was not offered is none");
}

#[test]
fn a_peer_gets_the_codecs_of_its_profile() {
    let mut desk = Desk::new(&config("codecs = [\"g722\", \"pcma\"]"));
    let (offered, answered) =
        call(&mut desk, &[(0, "PCMU/8000"), (18, "G729/8000"), (101, EVENTS)], &[(9, "G722/8000"), (101, EVENTS)]);
    assert_eq!(formats(&offered), ["9 G722/8000", "8 PCMA/8000", "101 telephone-event/8000"]);
    assert_eq!(formats(&answered), ["0 PCMU/8000", "101 telephone-event/8000"]);
    assert_eq!(
        audio(&plans(&desk)[1].1).speak.as_ref().map(|speak| (speak.how.codec, speak.how.source_hz)),
        Some((Codec::G722, 8_000))
    );
}

#[test]
fn events_become_info_and_info_becomes_events() {
    let mut desk = Desk::new(&config("dtmf = \"info\""));
    let (offered, answered) = call(&mut desk, &[(8, PCMA), (101, EVENTS)], &[(8, PCMA)]);
    assert_eq!(
        (formats(&offered), formats(&answered).len()),
        (vec!["8 PCMA/8000".into(), "0 PCMU/8000".into()], 2),
        "{answered}"
    );
    desk.inside(PHONE, "ACK", &desk.last(PHONE), 1, "", "");
    let [(caller, near), (callee, far)] = plans(&desk);
    assert!(audio(&far).speak.as_ref().is_some_and(|speak| !speak.digits), "no tones beside the INFO");
    assert_eq!(audio(&near).speak.as_ref().and_then(|speak| speak.how.events), Some((101, 8_000)));
    let digit = |end| Digit { end, ..Digit::whole('#', 120).unwrap() };
    desk.input(Input::Relay(RelayEvent::Digit { port: caller, digit: digit(false) }));
    assert!(desk.requests(TRUNK, Method::Info).is_empty(), "it is not over");
    desk.input(Input::Relay(RelayEvent::Digit { port: caller, digit: digit(true) }));
    let info = desk.last(TRUNK);
    assert_eq!((info.method(), body(&info).as_str()), (Method::Info, "Signal=#\r\nDuration=120\r\n"));
    let invite = desk.last_of(TRUNK, |message| message.method() == Method::Invite);
    let told = desk.requests(PHONE, Method::Info).len();
    let field = |name| invite.header(name).expect("a field").to_string();
    let (local, remote) = (format!("{};tag=t", field(HeaderName::To)), field(HeaderName::From));
    let mut trunk = End { address: TRUNK, call_id: field(HeaderName::CallId), local, remote, cseq: 0 };
    trunk.send(&mut desk, "INFO", "Content-Type: application/dtmf-relay\r\n", "Signal= 5\r\nDuration= 250\r\n");
    assert_eq!(trunk.status(&desk), 200);
    assert_eq!(desk.requests(PHONE, Method::Info).len(), told, "it goes no further");
    assert!(desk.relayed.contains(&RelayCommand::Digit { port: caller, digit: Digit::whole('5', 250).unwrap() }));
    assert!(!desk.relayed.iter().any(|command| matches!(command, RelayCommand::Digit { port, .. } if *port == callee)));
}

/// A browser has events at the clock of its codec only.
#[test]
fn info_becomes_events_at_the_clock_of_opus() {
    let mut desk = Desk::new(&config("dtmf = \"info\""));
    let (_, answered) = call(&mut desk, &[(111, OPUS), (110, "telephone-event/48000")], &[(8, PCMA)]);
    assert_eq!(formats(&answered), ["111 opus/48000/2", "110 telephone-event/48000"]);
    desk.inside(PHONE, "ACK", &desk.last(PHONE), 1, "", "");
    let [(caller, near), _] = plans(&desk);
    assert_eq!(audio(&near).speak.as_ref().and_then(|speak| speak.how.events), Some((110, 48_000)));
    let (ok, invite) = (desk.last(PHONE), desk.last_of(TRUNK, |m| m.is_request() && m.method() == Method::Invite));
    let (_, mut trunk) = talk::ends(&ok, &invite);
    trunk.send(&mut desk, "INFO", "Content-Type: application/dtmf-relay\r\n", "Signal=9\r\nDuration=160\r\n");
    assert_eq!(trunk.status(&desk), 200);
    assert!(desk.relayed.contains(&RelayCommand::Digit { port: caller, digit: Digit::whole('9', 160).unwrap() }));
    let digit = Digit { end: true, ..Digit::whole('D', 200).unwrap() };
    desk.input(Input::Relay(RelayEvent::Digit { port: caller, digit }));
    assert_eq!(body(&desk.last(TRUNK)), "Signal=D\r\nDuration=200\r\n");
}

#[test]
fn tones_become_events_and_events_become_tones() {
    let mut desk = Desk::new(&config("dtmf = \"in-band\""));
    let (offered, answered) = call(&mut desk, &[(8, PCMA), (101, EVENTS)], &[(8, PCMA)]);
    assert!(!offered.contains("telephone-event") && answered.contains("telephone-event"), "{offered}\n{answered}");
    let [(_, near), (_, far)] = plans(&desk);
    assert!(audio(&far).speak.as_ref().is_some_and(|speak| speak.digits && speak.how.events.is_none()));
    assert!(audio(&far).hear.in_band && !audio(&near).hear.in_band, "tones are looked for where they are meant");
    assert_eq!(audio(&near).speak.as_ref().and_then(|speak| speak.how.events), Some((101, 8_000)));
}

/// As many calls are transcoded as may be: the next one gets what needs none, and a call that ends makes room.
#[test]
fn beyond_the_limit_sides_get_what_they_share() {
    let mut desk = Desk::new(&format!("{}[limits]\ntranscoded_calls_max = 1\n", config("")));
    let transcoded = |desk: &Desk| {
        let row = desk.status().limits.into_iter().find(|row| row.holder == "transcoded").expect("a row");
        (row.calls, row.peak, row.calls_max)
    };
    call(&mut desk, &[(111, OPUS), (9, "G722/8000")], &[(8, PCMA)]);
    assert_eq!(transcoded(&desk), (1, 1, 1));
    let (ok, invite) = (desk.last(PHONE), desk.last_of(TRUNK, |m| m.is_request() && m.method() == Method::Invite));
    let (mut first, _) = talk::ends(&ok, &invite);
    first.ack(&mut desk, "");
    let (offered, answered) = call(&mut desk, &[(111, OPUS), (9, "G722/8000")], &[(9, "G722/8000")]);
    assert_eq!(formats(&offered), ["111 opus/48000/2", "9 G722/8000"], "no law of G.711 is added");
    assert_eq!(formats(&answered), ["9 G722/8000"]);
    assert_eq!(transcoded(&desk), (1, 1, 1), "audio that passes takes no place");
    let contact = talk::contact("101", PHONE);
    desk.request(PHONE, "INVITE", "sip:0123@ringfort.local", "101", &contact, &sdp(PHONE, &[(111, OPUS)]));
    desk.reply(TRUNK, "488 Not Acceptable Here", "t", &talk::contact("gw", TRUNK), "");
    assert_eq!(desk.last(PHONE).status(), Some(488), "who shares nothing is refused");
    first.send(&mut desk, "BYE", "", "");
    assert_eq!(transcoded(&desk), (0, 1, 1));
    call(&mut desk, &[(111, OPUS)], &[(8, PCMA)]);
    assert_eq!(transcoded(&desk), (1, 1, 1));
}

/// What one side wants of Opus is for its own ears: the node does so, and says its own in return (RFC 7587 7.1).
#[test]
fn what_a_side_wants_of_opus_is_done_and_not_repeated() {
    let mut desk = Desk::new(&config(""));
    let contact = talk::contact("101", PHONE);
    assert_eq!(desk.register(PHONE, "101", &contact), 200);
    let wishes = "a=fmtp:111 maxplaybackrate=16000;maxaveragebitrate=20000;usedtx=1;stereo=1\r\n";
    let offer = sdp(PHONE, &[(111, OPUS)]) + wishes;
    desk.request(PHONE, "INVITE", "sip:0123@ringfort.local", "101", &contact, &offer);
    desk.reply(TRUNK, "200 OK", "t", &talk::contact("gw", TRUNK), &sdp(TRUNK, &[(8, PCMA)]));
    let answered = body(&desk.last(PHONE));
    assert!(answered.contains("a=fmtp:111 stereo=0;useinbandfec=1\r\n") && !answered.contains("maxplaybackrate"), "{answered}");
    let [(_, near), _] = plans(&desk);
    let how = audio(&near).speak.clone().expect("the node speaks").how;
    assert_eq!((how.opus.playback_hz, how.opus.bits_max, how.opus.dtx, how.opus.fec), (16_000, Some(20_000), true, false));
}
