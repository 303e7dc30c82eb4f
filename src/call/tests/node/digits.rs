//! Digits between a peer with telephone events and one without, where no profile says anything: by INFO where it takes that, as tones
//! where it has nothing else, and always once.

use crate::fixture::Desk;
use crate::talk::{self, End, PHONE, TRUNK, body};
use crate::transcoding::{EVENTS, PCMA, audio, config, formats, plans, sdp};
use ringfort_base::PortId;
use ringfort_call::Input;
use ringfort_media::audio::{Digit, Heard};
use ringfort_media::plan::{Destination, RelayCommand, RelayEvent};
use ringfort_sip::message::{HeaderName, Method};

const ALLOW: &str = "Allow: INVITE, ACK, BYE, CANCEL, INFO\r\n";
const ALLOW_NO_INFO: &str = "Allow: INVITE, ACK, BYE, CANCEL\r\n";
const KIND: &str = "Content-Type: application/dtmf-relay\r\n";
const PLAIN: &[(u8, &str)] = &[(8, PCMA)];
const WITH_EVENTS: &[(u8, &str)] = &[(8, PCMA), (101, EVENTS)];

/// What a party says of itself: formats, and a header line.
type Says<'a> = (&'a [(u8, &'a str)], &'a str);

/// A phone has called the trunk, and both talk.
fn connected(profile: &str, (offer, caller): Says<'_>, (answer, callee): Says<'_>) -> (Desk, End, End) {
    let mut desk = Desk::new(&config(profile));
    let contact = talk::contact("101", PHONE);
    assert_eq!(desk.register(PHONE, "101", &contact), 200);
    desk.request(PHONE, "INVITE", "sip:0123@ringfort.local", "101", &(contact + caller), &sdp(PHONE, offer));
    desk.reply(TRUNK, "200 OK", "t", &(talk::contact("gw", TRUNK) + callee), &sdp(TRUNK, answer));
    let (ok, invite) = (desk.last(PHONE), desk.last_of(TRUNK, |m| m.is_request() && m.method() == Method::Invite));
    let (mut phone, trunk) = talk::ends(&ok, &invite);
    phone.ack(&mut desk, "");
    (desk, phone, trunk)
}

fn described(desk: &Desk, to: &str) -> Vec<String> {
    let sdp = |message: &ringfort_sip::message::Message| message.header(HeaderName::ContentType) == Some("application/sdp");
    formats(&body(&desk.last_of(to, sdp)))
}

fn hears(desk: &mut Desk, port: PortId, symbol: char, duration_ms: u32) {
    let whole = Digit::whole(symbol, duration_ms).expect("a key");
    for end in [false, true] {
        desk.input(Input::Relay(RelayEvent::Digit { port, digit: Digit { end, ..whole } }));
    }
}

fn infos(desk: &Desk, to: &str) -> Vec<String> {
    desk.requests(to, Method::Info).iter().map(body).collect()
}

/// Digits that the relay is to tell this port's peer.
fn told(desk: &Desk, port: PortId) -> Vec<(char, u32)> {
    let digits = desk.relayed.iter().filter_map(|command| match command {
        RelayCommand::Digit { port: at, digit } if *at == port => Some((digit.symbol(), digit.duration_ms)),
        _ => None,
    });
    digits.collect()
}

fn passes(desk: &Desk) -> bool {
    let [(caller, near), (callee, far)] = plans(desk);
    (near.destination, far.destination) == (Destination::Port(callee), Destination::Port(caller))
}

fn transcoded(desk: &Desk) -> u64 {
    let row = desk.status().limits.into_iter().find(|row| row.holder == "transcoded").expect("a row");
    row.calls as u64
}

#[test]
fn events_and_info_meet_beside_audio_that_passes() {
    let (mut desk, _, mut trunk) = connected("", (WITH_EVENTS, ""), (PLAIN, ALLOW));
    assert_eq!(described(&desk, PHONE), ["8 PCMA/8000", "101 telephone-event/8000"], "the phone keeps its events");
    assert!(passes(&desk) && transcoded(&desk) == 0);
    let [(caller, near), (_, far)] = plans(&desk);
    assert_eq!(audio(&near).hear.payloads, [(101, Heard::Events { clock_hz: 8_000 })]);
    assert!(audio(&far).speak.as_ref().is_some_and(|speak| !speak.digits && speak.pauses), "no tones beside the INFO");
    hears(&mut desk, caller, '#', 120);
    assert_eq!(infos(&desk, TRUNK), ["Signal=#\r\nDuration=120\r\n"]);
    trunk.send(&mut desk, "INFO", KIND, "Signal=5\r\nDuration=250\r\n");
    assert_eq!((trunk.status(&desk), told(&desk, caller)), (200, vec![('5', 250)]));
    assert!(infos(&desk, PHONE).is_empty(), "it is told once");
}

#[test]
fn a_caller_with_info_reaches_events() {
    let (mut desk, mut phone, _) = connected("", (PLAIN, ALLOW), (WITH_EVENTS, ""));
    assert_eq!(described(&desk, TRUNK), ["8 PCMA/8000", "0 PCMU/8000", "101 telephone-event/8000"], "events are offered for it");
    assert_eq!(described(&desk, PHONE), ["8 PCMA/8000"]);
    let [(_, near), (callee, far)] = plans(&desk);
    assert!(passes(&desk) && audio(&near).hear.payloads.is_empty());
    assert_eq!(audio(&far).speak.as_ref().and_then(|speak| speak.how.events), Some((101, 8_000)));
    phone.send(&mut desk, "INFO", KIND, "Signal=*\r\nDuration=100\r\n");
    assert_eq!((phone.status(&desk), told(&desk, callee)), (200, vec![('*', 100)]));
    hears(&mut desk, callee, '3', 80);
    assert_eq!(infos(&desk, PHONE), ["Signal=3\r\nDuration=80\r\n"]);
}

#[test]
fn who_has_neither_hears_tones() {
    let (mut desk, mut phone, _) = connected("", (WITH_EVENTS, ""), (PLAIN, ALLOW_NO_INFO));
    let [(caller, near), (_, far)] = plans(&desk);
    assert!(passes(&desk) && transcoded(&desk) == 0);
    assert!(audio(&far).speak.as_ref().is_some_and(|speak| speak.digits && speak.pauses && speak.how.events.is_none()));
    assert!(!audio(&far).hear.in_band && !audio(&near).hear.in_band, "nothing that is said is decoded for it");
    hears(&mut desk, caller, '1', 100);
    assert!(infos(&desk, TRUNK).is_empty(), "the tones are the relay's to make");
    phone.send(&mut desk, "BYE", "", "");
}

#[test]
fn who_refuses_a_digit_by_info_hears_it_as_tones() {
    let (mut desk, _, _) = connected("", (WITH_EVENTS, ""), (PLAIN, ALLOW));
    let [(caller, _), (callee, _)] = plans(&desk);
    hears(&mut desk, caller, '7', 140);
    desk.reply(TRUNK, "503 Service Unavailable", "t", "", "");
    assert!(told(&desk, callee).is_empty(), "who is busy is no refusal");
    hears(&mut desk, caller, '8', 140);
    desk.reply(TRUNK, "415 Unsupported Media Type", "t", ALLOW, "");
    assert_eq!(told(&desk, callee), [('8', 140)]);
    let [_, (_, far)] = plans(&desk);
    assert!(audio(&far).speak.as_ref().is_some_and(|speak| speak.digits && speak.how.events.is_none()));
    hears(&mut desk, caller, '9', 140);
    assert_eq!(infos(&desk, TRUNK).len(), 2, "it is not asked again");
}

/// Some telephones send an event and an INFO for one key.
#[test]
fn who_tells_it_both_ways_is_heard_once() {
    for first in ["event", "INFO"] {
        let (mut desk, mut phone, _) = connected("", (WITH_EVENTS, ALLOW), (PLAIN, ALLOW));
        let [(caller, _), _] = plans(&desk);
        for (key, n) in [('4', 1), ('4', 2), ('5', 3)] {
            let mut info = |desk: &mut Desk| {
                phone.send(desk, "INFO", KIND, &format!("Signal={key}\r\nDuration=100\r\n"));
                if first == "INFO" {
                    desk.reply(TRUNK, "200 OK", "t", "", "");
                }
                assert_eq!(phone.status(desk), 200, "{first}");
            };
            if first == "INFO" {
                info(&mut desk);
            }
            hears(&mut desk, caller, key, 100);
            if first == "event" {
                desk.reply(TRUNK, "200 OK", "t", "", "");
                info(&mut desk);
            }
            assert_eq!(infos(&desk, TRUNK).len(), n, "{first} {key}");
        }
    }
}

/// A peer whose Allow says nothing shows by its first INFO that it takes INFO.
#[test]
fn who_tells_a_digit_by_info_is_told_so() {
    let (mut desk, _, mut trunk) = connected("", (WITH_EVENTS, ""), (PLAIN, ""));
    let [(caller, _), _] = plans(&desk);
    trunk.send(&mut desk, "INFO", KIND, "Signal=0\r\nDuration=90\r\n");
    assert_eq!((trunk.status(&desk), told(&desk, caller)), (200, vec![('0', 90)]));
    hears(&mut desk, caller, '2', 110);
    assert_eq!(infos(&desk, TRUNK), ["Signal=2\r\nDuration=110\r\n"]);
}

/// A hold by the side without events does not take the other one's away.
#[test]
fn events_outlive_a_change_of_the_other_side() {
    for allow in [ALLOW, ALLOW_NO_INFO] {
        let (mut desk, _, mut trunk) = connected("", (WITH_EVENTS, ""), (PLAIN, allow));
        trunk.send(&mut desk, "INVITE", allow, &(sdp(TRUNK, PLAIN).replace("1 1 IN", "1 2 IN") + "a=sendonly\r\n"));
        let offered = described(&desk, PHONE);
        assert!(offered.contains(&EVENTS_101.to_string()), "{allow}: {offered:?}");
    }
}

const EVENTS_101: &str = "101 telephone-event/8000";

/// Two sides that both tell digits by INFO, or both have nothing else than tones, are none of the node's business.
#[test]
fn ways_that_are_alike_pass() {
    for allow in [ALLOW, ALLOW_NO_INFO] {
        let (desk, ..) = connected("", (PLAIN, allow), (PLAIN, allow));
        let [(_, near), (_, far)] = plans(&desk);
        assert!(passes(&desk) && near.audio.is_none() && far.audio.is_none(), "{allow}");
        assert_eq!(described(&desk, TRUNK).iter().any(|format| format.contains("telephone-event")), allow == ALLOW);
    }
    let (desk, ..) = connected("codecs = [\"pcma\"]\n[media]\ntranscode = false", (WITH_EVENTS, ""), (PLAIN, ALLOW));
    assert_eq!(described(&desk, PHONE), ["8 PCMA/8000"], "without transcoding nothing is turned");
}

/// A browser does not play a stream that it knew before: what it hears comes in the node's own stream once a digit was told to it.
#[test]
fn a_browser_that_is_told_a_digit_hears_one_stream() {
    let browser = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 8 101\r\n\
        c=IN IP4 0.0.0.0\r\na=mid:0\r\na=rtcp-mux\r\na=sendrecv\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:101 telephone-event/8000\r\n\
        a=ice-ufrag:abcd\r\na=ice-pwd:0123456789abcdef01234567\r\na=setup:actpass\r\na=fingerprint:sha-256 \
        00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF\r\n";
    let mut desk = Desk::new(&config(""));
    let contact = talk::contact("101", PHONE);
    assert_eq!(desk.register(PHONE, "101", &contact), 200);
    desk.request(PHONE, "INVITE", "sip:0123@ringfort.local", "101", &contact, browser);
    desk.reply(TRUNK, "200 OK", "t", &(talk::contact("gw", TRUNK) + ALLOW), &sdp(TRUNK, PLAIN));
    let (ok, invite) = (desk.last(PHONE), desk.last_of(TRUNK, |m| m.is_request() && m.method() == Method::Invite));
    let (mut phone, mut trunk) = talk::ends(&ok, &invite);
    phone.ack(&mut desk, "");
    let speech = |desk: &Desk| audio(&plans(desk)[0].1).speak.clone().expect("the node tells digits");
    let before = speech(&desk);
    assert!(before.pauses, "audio passes");
    for n in 1..3 {
        trunk.send(&mut desk, "INFO", KIND, "Signal=5\r\nDuration=250\r\n");
        assert_eq!((trunk.status(&desk), told(&desk, plans(&desk)[0].0).len()), (200, n));
        let after = speech(&desk);
        assert!(!after.pauses && after.how.ssrc != before.how.ssrc, "all of it is the node's");
        assert_eq!(after.how.events, Some((101, 8_000)));
    }
}
