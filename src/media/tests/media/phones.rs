//! DTLS-SRTP without ICE (RFC 5763): two legs as each other's peers, on a wire in virtual time.

use crate::peers::{PHONE_ANSWER, SIPP, T0, lines, rtp, text};
use ringfort_base::{PortId, Time, limits};
use ringfort_media::plan::{Component, Destination, DiscardReason, FlowPlan, Latch};
use ringfort_media::{
    Description, DtlsIdentity, Keying, LegKind, LegOutput, LegSession, MediaCause, MediaError, Security, Srtp, kind_of_offer,
    sdp::Sdp,
};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

const WAY: Duration = Duration::from_millis(10);

fn dtls(srtp: Srtp) -> Security {
    Security { srtp, keying: Keying::Dtls, ..Security::default() }
}

fn phone(port: u16) -> LegSession {
    rtp(port).with_identity(Arc::new(DtlsIdentity::generate().expect("a certificate")))
}

fn plan(leg: &LegSession) -> FlowPlan {
    leg.plan(Destination::Port(PortId(9)))
}

fn address(leg: &LegSession) -> SocketAddr {
    leg.address().rtp
}

/// `asking` offers, `asked` answers; what the answer tells may be changed on the way.
fn agree(asking: &mut LegSession, asked: &mut LegSession) -> (String, String) {
    let offer = text(asking.make_offer(T0, &Description::g711()).expect("an offer"));
    let described = asked.receive_offer(T0, offer.as_bytes()).expect("an offer that can be used");
    let answer = text(asked.make_answer(T0, &described).expect("an answer"));
    asking.receive_answer(T0, answer.as_bytes()).expect("an answer that can be used");
    (offer, answer)
}

/// Legs that send each other what they want sent, and what else they want. `way`: an address as the other side sees it.
struct Wire<'a> {
    now: Time,
    legs: [&'a mut LegSession; 2],
    seen: [Vec<LegOutput>; 2],
    seen_as: [SocketAddr; 2],
}

impl<'a> Wire<'a> {
    fn new(one: &'a mut LegSession, other: &'a mut LegSession) -> Wire<'a> {
        let seen_as = [address(one), address(other)];
        Wire { now: T0, legs: [one, other], seen: [Vec::new(), Vec::new()], seen_as }
    }

    fn run(&mut self, until: Time) {
        while self.now < until {
            let mut carried = false;
            for (side, other) in [(0, 1), (1, 0)] {
                while let Some(output) = self.legs[side].poll_output() {
                    match output {
                        LegOutput::Send { datagram, .. } => {
                            carried = true;
                            self.legs[other].handle_datagram(self.now, self.seen_as[side], &datagram);
                        }
                        output => self.seen[side].push(output),
                    }
                }
            }
            let next = self.legs.iter().map(|leg| leg.next_timeout()).min().unwrap_or(Time::NEVER);
            self.now = if carried { self.now + WAY } else { next.max(self.now + WAY).min(until) };
            for leg in &mut self.legs {
                if leg.next_timeout() <= self.now {
                    leg.handle_timeout(self.now);
                }
            }
        }
    }

    fn ready(&self, side: usize) -> bool {
        self.seen[side].iter().any(|output| matches!(output, LegOutput::Ready { how } if how.starts_with("dtls-srtp aes-")))
    }

    fn failure(&self, side: usize) -> Option<MediaCause> {
        self.seen[side].iter().find_map(|output| match output {
            LegOutput::Failed { cause } => Some(*cause),
            _ => None,
        })
    }
}

fn assert_keys_meet(one: &LegSession, other: &LegSession) {
    let (a, b) = (plan(one), plan(other));
    assert!(a.transmit.srtp.is_some() && a.transmit.srtp != a.receive.srtp, "{a:?}");
    assert_eq!((&a.transmit.srtp, &a.receive.srtp), (&b.receive.srtp, &b.transmit.srtp));
    assert_eq!((a.receive.latch, a.transmit.rtp), (Latch::Exact(address(other)), Some(address(other))));
    assert!(a.transmit.rtcp_mux && b.transmit.rtcp_mux);
}

/// Both roles: the answerer is passive, and asked by the other side the first one becomes the client.
#[test]
fn two_phones_agree_on_keys() {
    let (mut one, mut other) = (phone(4000).with_security(dtls(Srtp::Required)), phone(4100));
    let (offer, answer) = agree(&mut one, &mut other);
    assert!(lines(&offer, "m=")[0].contains(" UDP/TLS/RTP/SAVP ") && offer.contains("a=setup:actpass"), "{offer}");
    assert!(lines(&answer, "m=")[0].contains(" UDP/TLS/RTP/SAVP ") && answer.contains("a=setup:passive"), "{answer}");
    for body in [&offer, &answer] {
        assert!(body.contains("a=rtcp-mux") && !body.contains("a=ice-") && !body.contains("a=crypto"), "{body}");
    }
    assert_eq!(plan(&one).destination, Destination::Discard(DiscardReason::NotReady));
    let mut wire = Wire::new(&mut one, &mut other);
    wire.run(T0 + Duration::from_secs(2));
    assert!(wire.ready(0) && wire.ready(1), "{:?}", wire.seen);
    assert_keys_meet(&one, &other);
    assert!(one.is_protected() && one.describe().starts_with("dtls-srtp aes-"));
}

#[test]
fn the_association_outlives_a_hold_and_an_hour() {
    let (mut one, mut other) = (phone(4000).with_security(dtls(Srtp::Required)), phone(4100));
    agree(&mut one, &mut other);
    Wire::new(&mut one, &mut other).run(T0 + Duration::from_secs(2));
    let before = (plan(&one), plan(&other));
    let (offer, answer) = agree(&mut other, &mut one);
    assert!(offer.contains("a=setup:actpass") && answer.contains("a=setup:active"), "roles stay: {answer}");
    let mut wire = Wire::new(&mut one, &mut other);
    wire.now = T0 + Duration::from_secs(3);
    wire.run(T0 + Duration::from_secs(3_600));
    assert_eq!((wire.failure(0), wire.failure(1)), (None, None));
    assert_eq!((plan(&one), plan(&other)), before, "no consent is needed without ICE");
}

/// Another certificate, another name of the association, another address: each begins anew.
#[test]
fn a_peer_that_changed_begins_anew() {
    let (mut one, mut other) = (phone(4000).with_security(dtls(Srtp::Required)), phone(4100));
    let (_, answer) = agree(&mut one, &mut other);
    Wire::new(&mut one, &mut other).run(T0 + Duration::from_secs(2));
    let fingerprint = lines(&answer, "a=fingerprint:")[0].to_owned();
    let changes = [
        answer.replace(&fingerprint, &format!("a=fingerprint:sha-256 {}", ["AB"; 32].join(":"))),
        format!("{answer}a=tls-id:abc3de65cddef001be82\r\n"),
        answer.replace("m=audio 4100", "m=audio 4102"),
    ];
    for changed in changes {
        let written = serde_json::to_string(&one).expect("plain data");
        let mut leg: LegSession = serde_json::from_str(&written).expect("what was written");
        assert!(plan(&leg).transmit.srtp.is_some());
        leg.make_offer(T0, &Description::g711()).expect("an offer");
        leg.receive_answer(T0, changed.as_bytes()).expect("an answer");
        assert_eq!(plan(&leg).destination, Destination::Discard(DiscardReason::NotReady), "{changed}");
    }
}

/// Keys where the peer takes them up, plain RTP where not, and the next offer does not ask again.
#[test]
fn an_offer_may_leave_the_choice() {
    let (mut one, mut other) = (phone(4000).with_security(dtls(Srtp::Optional)), phone(4100));
    let (offer, answer) = agree(&mut one, &mut other);
    assert!(lines(&offer, "m=")[0].contains(" RTP/AVP ") && lines(&answer, "m=")[0].contains(" RTP/AVP "), "{answer}");
    Wire::new(&mut one, &mut other).run(T0 + Duration::from_secs(2));
    assert_keys_meet(&one, &other);
    let mut one = phone(4000).with_security(dtls(Srtp::Optional));
    one.make_offer(T0, &Description::g711()).expect("an offer");
    one.receive_answer(T0, PHONE_ANSWER.as_bytes()).expect("a phone without SRTP");
    assert_eq!((plan(&one).receive.srtp, one.describe(), one.is_protected()), (None, "rtp", false));
    let again = text(one.make_offer(T0, &Description::g711()).expect("an offer"));
    assert!(!again.contains("a=setup") && !again.contains("fingerprint"), "{again}");
}

#[test]
fn where_both_are_offered_dtls_is_taken() {
    let key = "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwd\r\n";
    let print = format!("a=fingerprint:sha-256 {}\r\na=setup:actpass\r\n", ["AB"; 32].join(":"));
    for proto in ["RTP/AVP", "RTP/SAVP", "RTP/SAVPF"] {
        let offer = format!("{}{key}{print}", SIPP.replace("RTP/AVP", proto));
        let mut leg = phone(4000);
        let described = leg.receive_offer(T0, offer.as_bytes()).expect("usable");
        let answer = text(leg.make_answer(T0, &described).expect("an answer"));
        assert!(
            answer.contains("a=setup:passive") && !answer.contains("a=crypto") && answer.contains(&format!(" {proto} ")),
            "{answer}"
        );
    }
}

#[test]
fn what_is_missing_is_named() {
    let secured = SIPP.replace("RTP/AVP", "UDP/TLS/RTP/SAVP");
    let refused = |offer: &str| phone(4000).receive_offer(T0, offer.as_bytes()).err();
    assert_eq!(refused(&secured), Some(MediaError::Missing { attribute: "fingerprint" }));
    let old = format!("{secured}a=fingerprint:sha-1 {}\r\n", ["AB"; 20].join(":"));
    assert_eq!(refused(&old), Some(MediaError::NoSha256));
    let mut leg = phone(4000).with_security(dtls(Srtp::Required));
    assert_eq!(leg.receive_offer(T0, SIPP.as_bytes()), Err(MediaError::Missing { attribute: "fingerprint" }));
    leg.make_offer(T0, &Description::g711()).expect("an offer");
    assert!(leg.receive_answer(T0, PHONE_ANSWER.as_bytes()).is_err());
}

/// ICE and one port for all make a browser; DTLS alone does not.
#[test]
fn a_phone_is_told_from_a_browser() {
    let kind = |offer: &str| kind_of_offer(&Sdp::parse(offer.as_bytes()).expect("a description"));
    assert_eq!(kind(crate::peers::CHROMIUM), LegKind::Webrtc);
    for gone in ["a=rtcp-mux\r\n", "a=ice-ufrag:qW3z\r\n"] {
        assert_eq!(kind(&crate::peers::CHROMIUM.replace(gone, "")), LegKind::Rtp);
    }
}

/// The peer that the description announced comes through a NAT, and a stranger who knows the port was there before it.
#[test]
fn a_stranger_neither_gets_the_call_nor_ends_it() {
    let (mut one, mut other) = (phone(4000).with_security(dtls(Srtp::Required)), phone(4100));
    let (_, answer) = agree(&mut one, &mut other);
    for n in 0..6 {
        let mut stranger = impostor(5000 + n, &answer);
        let mut wire = Wire::new(&mut stranger, &mut other);
        wire.seen_as[0] = SocketAddr::from(([203, 0, 113, 66], 7000 + n));
        wire.run(T0 + Duration::from_millis(300));
        assert_eq!(wire.failure(1), None);
    }
    let mut wire = Wire::new(&mut one, &mut other);
    wire.run(T0 + Duration::from_secs(8));
    assert!(wire.ready(0) && wire.ready(1), "{:?}", wire.seen);
    assert_keys_meet(&one, &other);
}

/// A hello may come in somebody else's name: what that one gets is no more than was sent, until he answers.
#[test]
fn nobody_is_flooded_by_hellos_in_his_name() {
    let (mut one, mut other) = (phone(4000).with_security(dtls(Srtp::Required)), phone(4100));
    let (_, answer) = agree(&mut one, &mut other);
    let mut liar = impostor(5000, &answer);
    let sent = |leg: &mut LegSession| -> Vec<Vec<u8>> {
        let outputs = std::iter::from_fn(|| leg.poll_output());
        outputs.filter_map(|output| if let LegOutput::Send { datagram, .. } = output { Some(datagram) } else { None }).collect()
    };
    liar.handle_timeout(T0);
    other.handle_timeout(T0);
    let (mut node, mut hellos) = (other, sent(&mut liar));
    if hellos.is_empty() {
        // The other one opens.
        (node, hellos) = (liar, sent(&mut node));
    }
    assert!(!hellos.is_empty());
    let victim = SocketAddr::from(([203, 0, 113, 66], 7000));
    hellos.iter().for_each(|hello| node.handle_datagram(T0, victim, hello));
    let octets = |datagrams: &[Vec<u8>]| datagrams.iter().map(Vec::len).sum::<usize>();
    let answers = sent(&mut node);
    // A small hello is about so long; a certificate's flight is several times that.
    assert!(!answers.is_empty() && octets(&answers) < 150, "{} octets", octets(&answers));
}

/// Somebody with another certificate who has read the node's answer.
fn impostor(port: u16, answer: &str) -> LegSession {
    let mut leg = phone(port).with_security(dtls(Srtp::Required));
    leg.make_offer(T0, &Description::g711()).expect("an offer");
    leg.receive_answer(T0, answer.as_bytes()).expect("an answer");
    leg
}

/// Another host behind the same public address says hello first, and somebody forges alerts in the peer's name: neither is the peer.
#[test]
fn who_shares_the_peer_s_address_does_not_end_the_call() {
    let alert = [21, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 9, 0, 2, 2, 40];
    let (mut one, mut other) = (phone(4000).with_security(dtls(Srtp::Required)), phone(4100));
    let (_, answer) = agree(&mut one, &mut other);
    for n in 0..6 {
        let mut neighbour = impostor(5000 + n, &answer);
        let mut wire = Wire::new(&mut neighbour, &mut other);
        wire.seen_as[0] = SocketAddr::new(address(&one).ip(), 7000 + n);
        wire.run(T0 + Duration::from_millis(300));
        assert_eq!(wire.failure(1), None, "{:?}", wire.seen);
    }
    let mut wire = Wire::new(&mut one, &mut other);
    for n in 0..40 {
        // Before the handshake, in the midst of it, and afterwards.
        let (one, other) = (wire.seen_as[0], wire.seen_as[1]);
        wire.legs[0].handle_datagram(wire.now, other, &alert);
        wire.legs[1].handle_datagram(wire.now, one, &alert);
        wire.run(T0 + Duration::from_millis(5 * n));
    }
    wire.run(T0 + Duration::from_secs(4));
    assert!(wire.ready(0) && wire.ready(1), "{:?}", wire.seen);
    assert_eq!((wire.failure(0), wire.failure(1)), (None, None));
    assert_keys_meet(&one, &other);
}

/// The node opens the handshake and meets somebody else at the announced address; when the peer is there, it is found.
#[test]
fn a_handshake_that_failed_is_opened_again() {
    let (mut one, mut other) = (phone(4000).with_security(dtls(Srtp::Required)), phone(4100));
    let (offer, _) = agree(&mut one, &mut other);
    let mut squatter = phone(4100);
    let described = squatter.receive_offer(T0, offer.as_bytes()).expect("an offer");
    squatter.make_answer(T0, &described).expect("an answer");
    let mut wire = Wire::new(&mut one, &mut squatter);
    while wire.legs[0].lacks() != Some(MediaCause::FingerprintMismatch) {
        assert!(wire.now < T0 + Duration::from_secs(8), "nobody was refused");
        wire.run(wire.now + WAY);
    }
    assert_eq!((wire.failure(0), wire.ready(0)), (None, false), "{:?}", wire.seen);
    let now = wire.now;
    let mut wire = Wire::new(&mut one, &mut other);
    wire.now = now;
    wire.run(now + Duration::from_secs(6));
    assert!(wire.ready(0) && wire.ready(1), "{:?}", wire.seen);
    assert_keys_meet(&one, &other);
}

/// The keys are used from elsewhere: the relay has seen it, and the next plan says so.
#[test]
fn a_peer_with_keys_is_followed() {
    let (mut one, mut other) = (phone(4000).with_security(dtls(Srtp::Required)), phone(4100));
    agree(&mut one, &mut other);
    Wire::new(&mut one, &mut other).run(T0 + Duration::from_secs(2));
    let elsewhere = SocketAddr::from(([203, 0, 113, 9], 7000));
    one.latched(Component::Rtp, elsewhere);
    assert_eq!((plan(&one).receive.latch, plan(&one).transmit.rtp), (Latch::Exact(elsewhere), Some(elsewhere)));
    assert_eq!(one.source(), Some(elsewhere));
}

/// STUN and DTLS are passed up where somebody speaks them; a plain peer's offers in a call tell that it may have moved.
#[test]
fn the_plan_says_what_is_for_the_core() {
    let (mut one, mut other) = (phone(4000).with_security(dtls(Srtp::Required)), phone(4100));
    agree(&mut one, &mut other);
    assert!(plan(&one).receive.control && plan(&other).receive.control);
    let mut plain = rtp(4000);
    for opened in 0..3 {
        let described = plain.receive_offer(T0, SIPP.as_bytes()).expect("an offer");
        plain.make_answer(T0, &described).expect("an answer");
        plain.make_answer(T0, &described).expect("the same in the 200");
        assert_eq!((plan(&plain).receive.control, plan(&plain).receive.opened), (false, opened));
    }
    let held = SIPP.replace("\r\nm=", "\r\na=inactive\r\nm=");
    let described = plain.receive_offer(T0, held.as_bytes()).expect("an offer");
    plain.make_answer(T0, &described).expect("an answer");
    assert_eq!(plan(&plain).receive.opened, 2, "who sends nothing is not looked for");
}

/// From the very address that was announced another certificate, and nobody at all: the leg ends when its time is up.
#[test]
fn failures_have_names() {
    let (mut one, mut other) = (phone(4000).with_security(dtls(Srtp::Required)), phone(4100));
    let (_, answer) = agree(&mut one, &mut other);
    let mut impostor = impostor(4000, &answer);
    let mut wire = Wire::new(&mut impostor, &mut other);
    wire.run(T0 + Duration::from_secs(2));
    assert_eq!(wire.failure(1), None, "it may be somebody else");
    other.handle_timeout(T0 + limits::MEDIA_SETUP_MAX);
    let failed = |o| o == LegOutput::Failed { cause: MediaCause::FingerprintMismatch };
    assert!(std::iter::from_fn(|| other.poll_output()).any(failed));
    let (mut one, mut other) = (phone(4000).with_security(dtls(Srtp::Required)), phone(4100));
    agree(&mut one, &mut other);
    other.handle_timeout(T0 + limits::MEDIA_SETUP_MAX);
    assert!(std::iter::from_fn(|| other.poll_output()).any(|o| o == LegOutput::Failed { cause: MediaCause::DtlsTimeout }));
}

/// A server that refuses the node's hello has no certificate of an elliptic curve; as nobody vouches for the alert, it ends nothing before
/// its time.
#[test]
fn a_server_without_a_certificate_that_will_do_is_named() {
    let (mut one, mut other) = (phone(4000).with_security(dtls(Srtp::Required)), phone(4100));
    agree(&mut one, &mut other);
    let failure = |leg: &mut LegSession| {
        std::iter::from_fn(|| leg.poll_output())
            .find_map(|o| if let LegOutput::Failed { cause } = o { Some(cause) } else { None })
    };
    let alert = [21, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 2, 40];
    one.handle_timeout(T0);
    one.handle_datagram(T0 + WAY, address(&other), &alert);
    assert_eq!(failure(&mut one), None, "anybody may have sent it");
    one.handle_timeout(T0 + limits::MEDIA_SETUP_MAX);
    assert_eq!(failure(&mut one), Some(MediaCause::DtlsCertificate));
}

/// RTCP on a port of its own would need an association of its own (RFC 5764 4.1.2), which the node has not: the audio has its keys, and
/// no RTCP passes.
#[test]
fn without_a_common_port_there_is_no_rtcp() {
    let (mut one, mut other) = (phone(4000).with_security(dtls(Srtp::Required)), phone(4100));
    let offer = text(one.make_offer(T0, &Description::g711()).expect("an offer")).replace("a=rtcp-mux\r\n", "");
    let described = other.receive_offer(T0, offer.as_bytes()).expect("an offer that can be used");
    let answer = text(other.make_answer(T0, &described).expect("an answer"));
    assert!(!answer.contains("a=rtcp-mux"), "what was not offered is not answered (RFC 5761 5.1.1): {answer}");
    one.receive_answer(T0, answer.as_bytes()).expect("an answer that can be used");
    let mut wire = Wire::new(&mut one, &mut other);
    wire.run(T0 + Duration::from_secs(2));
    assert!(wire.ready(0) && wire.ready(1), "{:?}", wire.seen);
    for (leg, peer) in [(&one, &other), (&other, &one)] {
        let plan = plan(leg);
        assert!(plan.transmit.srtp.is_some() && plan.receive.srtp.is_some());
        assert_eq!((plan.transmit.rtp, plan.transmit.rtcp, plan.transmit.rtcp_mux), (Some(address(peer)), None, false));
    }
}

/// What rang answers: the same answer again gives it its time, so that a phone may ring for longer than a handshake takes.
#[test]
fn the_final_answer_gives_time() {
    let (mut one, mut other) = (phone(4000).with_security(dtls(Srtp::Required)), phone(4100));
    let (_, answer) = agree(&mut one, &mut other);
    let late = T0 + limits::MEDIA_SETUP_MAX - Duration::from_secs(1);
    one.receive_answer(late, answer.as_bytes()).expect("the 200 after the 183");
    let failed = |leg: &mut LegSession| std::iter::from_fn(|| leg.poll_output()).any(|o| matches!(o, LegOutput::Failed { .. }));
    one.handle_timeout(T0 + limits::MEDIA_SETUP_MAX);
    assert!(!failed(&mut one));
    one.handle_timeout(late + limits::MEDIA_SETUP_MAX);
    assert!(failed(&mut one));
    one.receive_answer(late + limits::MEDIA_SETUP_MAX, answer.as_bytes()).expect("an answer later still");
    assert!(one.next_timeout() < Time::NEVER, "it tries again");
}
