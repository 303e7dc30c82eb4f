//! SRTP with keys in the description: who is asked for it, and what a peer without it gets.

use crate::fixture::{Desk, SDP};
use ringfort_call::Input;
use ringfort_media::plan::{Component, Latch, PortPositions, RelayCommand, RelayEvent};
use ringfort_media::srtp::{Position, StreamPosition};
use ringfort_sip::message::Method;

const CONFIG: &str = "[[trunk]]\nname = \"carrier\"\naddress = \"198.51.100.1:5060\"\nprofile = \"secured\"\n\
    [[profile]]\nname = \"secured\"\nsrtp = \"required\"\n\
    [[account]]\nuser = \"101\"\n[[route]]\nname = \"out\"\nnumber = \"0*\"\nto = [\"trunk:carrier\"]\n";
const PHONE: &str = "203.0.113.5:5060";
const TRUNK: &str = "198.51.100.1:5060";
const CONTACT: &str = "Contact: <sip:101@203.0.113.5:5060>\r\n";
const TRUNK_CONTACT: &str = "Contact: <sip:gw@198.51.100.1:5060>\r\n";
const KEY: &str = "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwd\r\n";

/// A phone with plain RTP calls a carrier that wants SRTP: each side gets what it speaks, and no key crosses over.
#[test]
fn a_secured_trunk_and_a_plain_phone() {
    let mut desk = Desk::new(CONFIG);
    assert_eq!(desk.register(PHONE, "101", CONTACT), 200);
    desk.request(PHONE, "INVITE", "sip:0123@ringfort.local", "101", CONTACT, SDP);
    let invite = desk.last(TRUNK);
    let offer = String::from_utf8_lossy(invite.body()).into_owned();
    assert!(offer.contains(" RTP/SAVP ") && offer.contains("a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:"), "{offer}");
    let secured = format!("{}{KEY}", SDP.replace("10.0.0.9", "198.51.100.1").replace("RTP/AVP", "RTP/SAVP"));
    desk.reply(TRUNK, "200 OK", "t", TRUNK_CONTACT, &secured);
    let answer = desk.last(PHONE);
    let answer = String::from_utf8_lossy(answer.body()).into_owned();
    assert!(answer.contains(" RTP/AVP ") && !answer.contains("crypto"), "{answer}");
    assert_eq!(desk.status().calls[0].media, ["rtp", "sdes-srtp aes-cm-128-80"]);
}

/// The next process has the keys, and where roll-over counters and replay windows stood.
#[test]
fn a_secured_call_goes_on_after_a_restart() {
    let mut desk = Desk::new(CONFIG);
    assert_eq!(desk.register(PHONE, "101", CONTACT), 200);
    desk.request(PHONE, "INVITE", "sip:0123@ringfort.local", "101", CONTACT, SDP);
    let secured = format!("{}{KEY}", SDP.replace("10.0.0.9", "198.51.100.1").replace("RTP/AVP", "RTP/SAVP"));
    desk.reply(TRUNK, "200 OK", "t", TRUNK_CONTACT, &secured);
    let plans = |desk: &Desk| {
        let secure = |command: &RelayCommand| match command {
            RelayCommand::Plan { port, plan } if plan.receive.srtp.is_some() => Some((*port, plan.clone())),
            _ => None,
        };
        desk.relayed.iter().rev().find_map(secure).expect("a plan with keys")
    };
    let (port, before) = plans(&desk);
    let stream = StreamPosition { ssrc: 7, rtp: Some(Position { highest: 0x3_4000, seen: [1, 0] }), rtcp: None, shift: 0 };
    let mut positions = PortPositions::default();
    positions.receive.streams = vec![stream];
    positions.transmit.rtcp_next = 99;
    desk.input(Input::Relay(RelayEvent::Positions { port, positions: Box::new(positions.clone()) }));
    let source = "198.51.100.1:4000".parse().expect("an address");
    desk.input(Input::Relay(RelayEvent::Latched { port, component: Component::Rtp, source }));

    let next = Desk::restarted(CONFIG, desk.left_behind());
    assert!(!next.sent.iter().any(|(_, message)| message.method() == Method::Bye));
    let (_, after) = plans(&next);
    assert_eq!((after.receive.srtp, after.transmit.srtp), (before.receive.srtp, before.transmit.srtp));
    assert_eq!(after.receive.latch, Latch::Exact(source));
    let restored: Vec<_> = next.relayed.iter().filter(|command| matches!(command, RelayCommand::Restore { .. })).collect();
    assert_eq!(restored, [&RelayCommand::Restore { port, positions: Box::new(positions) }], "the plain leg has none");
}

/// Keys by a handshake: the trunk is offered a fingerprint, the phone plain RTP, and no media flows before the handshake.
#[test]
fn a_trunk_that_agrees_keys_by_dtls() {
    let mut desk = Desk::new(&CONFIG.replace("srtp = \"required\"", "srtp = \"required\"\nsrtp_keying = \"dtls\""));
    assert_eq!(desk.register(PHONE, "101", CONTACT), 200);
    desk.request(PHONE, "INVITE", "sip:0123@ringfort.local", "101", CONTACT, SDP);
    let invite = desk.last(TRUNK);
    let offer = String::from_utf8_lossy(invite.body()).into_owned();
    for part in [" UDP/TLS/RTP/SAVP ", "a=fingerprint:sha-256 ", "a=setup:actpass", "a=rtcp-mux"] {
        assert!(offer.contains(part), "{offer}");
    }
    assert!(!offer.contains("crypto") && !offer.contains("ice-"), "{offer}");
    let print = format!("a=fingerprint:sha-256 {}\r\na=setup:active\r\na=rtcp-mux\r\n", ["AB"; 32].join(":"));
    let secured = SDP.replace("10.0.0.9", "198.51.100.1").replace("RTP/AVP", "UDP/TLS/RTP/SAVP");
    desk.reply(TRUNK, "200 OK", "t", TRUNK_CONTACT, &format!("{secured}{print}"));
    let answer = desk.last(PHONE);
    let answer = String::from_utf8_lossy(answer.body()).into_owned();
    assert!(answer.contains(" RTP/AVP ") && !answer.contains("fingerprint"), "{answer}");
    assert_eq!(desk.status().calls[0].media, ["rtp", "dtls-srtp"]);
    // Nobody opens the handshake.
    desk.pass(std::time::Duration::from_secs(16));
    assert!(!desk.requests(TRUNK, Method::Bye).is_empty());
}

/// A phone that described itself while it rings has its time when it answers.
#[test]
fn a_phone_that_rings_for_long_may_begin_its_handshake_late() {
    let mut desk = Desk::new(&CONFIG.replace("srtp = \"required\"", "srtp = \"required\"\nsrtp_keying = \"dtls\""));
    assert_eq!(desk.register(PHONE, "101", CONTACT), 200);
    desk.request(PHONE, "INVITE", "sip:0123@ringfort.local", "101", CONTACT, SDP);
    let print = format!("a=fingerprint:sha-256 {}\r\na=setup:active\r\na=rtcp-mux\r\n", ["AB"; 32].join(":"));
    let secured = SDP.replace("10.0.0.9", "198.51.100.1").replace("RTP/AVP", "UDP/TLS/RTP/SAVP");
    let body = format!("{secured}{print}");
    desk.reply(TRUNK, "183 Session Progress", "t", TRUNK_CONTACT, &body);
    desk.pass(std::time::Duration::from_secs(40));
    assert_eq!(desk.requests(TRUNK, Method::Cancel).len(), 0, "it rings on");
    let invite = desk.requests(TRUNK, Method::Invite).remove(0);
    desk.reply_to(TRUNK, &invite, "200 OK", "t", TRUNK_CONTACT, &body);
    assert_eq!(desk.answer(PHONE), 200);
    assert_eq!(desk.status().calls.len(), 1);
}

#[test]
fn a_trunk_that_answers_without_keys_is_released() {
    let mut desk = Desk::new(CONFIG);
    assert_eq!(desk.register(PHONE, "101", CONTACT), 200);
    desk.request(PHONE, "INVITE", "sip:0123@ringfort.local", "101", CONTACT, SDP);
    desk.reply(TRUNK, "200 OK", "t", TRUNK_CONTACT, SDP);
    assert_eq!(desk.answer(PHONE), 502);
    assert_eq!(desk.last(TRUNK).method(), Method::Bye);
}
