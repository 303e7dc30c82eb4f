//! Several targets: at once and in turn, and who wins.

use crate::fixture::{Desk, SDP};
use ringfort_call::Input;
use ringfort_media::plan::{RelayCommand, RelayEvent};
use ringfort_sip::message::{HeaderName, Method};
use std::time::Duration;

const CONFIG: &str = "[[trunk]]\nname = \"a\"\naddress = \"198.51.100.1:5060\"\noptions_interval_ms = 0\n[[trunk]]\nname = \"b\"\naddress = \"198.51.100.2:5060\"\noptions_interval_ms = 0\n\
    [[account]]\nuser = \"101\"\n[[account]]\nuser = \"102\"\n[[route]]\nname = \"out\"\nnumber = \"0*\"\nto = [\"trunk:a\", \"trunk:b\"]\n";
const CALLER: &str = "203.0.113.5:5060";
const CONTACT: &str = "Contact: <sip:101@203.0.113.5:5060>\r\n";
const ONE: &str = "203.0.113.6:5060";
const TWO: &str = "203.0.113.7:5060";
const A: &str = "198.51.100.1:5060";
const B: &str = "198.51.100.2:5060";

/// 102 has two phones, 101 calls.
fn ringing(more: &str) -> Desk {
    let mut desk = Desk::new(CONFIG);
    assert_eq!(desk.register(CALLER, "101", CONTACT), 200);
    for phone in [ONE, TWO] {
        assert_eq!(desk.register(phone, "102", &format!("Contact: <sip:102@{phone}>\r\n")), 200);
    }
    desk.request(CALLER, "INVITE", "sip:102@ringfort.local", "101", &format!("{CONTACT}{more}"), SDP);
    desk
}

fn contact(at: &str) -> String {
    format!("Contact: <sip:x@{at}>\r\n")
}

fn sdp(host: &str) -> String {
    SDP.replace("10.0.0.9", host)
}

#[test]
fn all_devices_ring_and_the_first_answer_wins() {
    let mut desk = ringing("");
    desk.reply(ONE, "180 Ringing", "one", &contact(ONE), "");
    desk.reply(TWO, "180 Ringing", "two", &contact(TWO), "");
    let invite = desk.requests(TWO, Method::Invite).remove(0);
    desk.reply(ONE, "200 OK", "one", &contact(ONE), &sdp("203.0.113.6"));
    assert_eq!(desk.answer(CALLER), 200);
    let cancel = desk.requests(TWO, Method::Cancel).remove(0);
    assert_eq!(cancel.header(HeaderName::Reason), Some("SIP;cause=200;text=\"Call completed elsewhere\""));
    assert_eq!(desk.residue()[..2], [1, 2], "the port of the branch that lost is closed");
    // It answered before the CANCEL came.
    desk.reply_to(TWO, &invite, "200 OK", "two", &contact(TWO), &sdp("203.0.113.7"));
    assert_eq!((desk.requests(TWO, Method::Ack).len(), desk.requests(TWO, Method::Bye).len()), (1, 1));
    assert_eq!(
        (desk.responses(CALLER, 200).len(), desk.requests(ONE, Method::Bye).len()),
        (2, 0),
        "one 200 to REGISTER, one to INVITE"
    );
    assert_eq!(desk.status().calls[0].target, "extension:102");
}

/// RFC 3261 13.2.2.4: each 2xx is acknowledged, also that of a fork behind the target when the call is over.
#[test]
fn answers_that_come_after_the_call_are_acknowledged_and_released() {
    let mut desk = ringing("");
    let invite = desk.requests(ONE, Method::Invite).remove(0);
    desk.reply(ONE, "200 OK", "one", &contact(ONE), &sdp("203.0.113.6"));
    desk.input(Input::HangUp(desk.status().calls[0].call));
    let count = |desk: &Desk, method: Method| desk.requests(ONE, method).len();
    assert_eq!((count(&desk, Method::Ack), count(&desk, Method::Bye)), (1, 1));
    desk.reply_to(ONE, &invite, "200 OK", "one", &contact(ONE), &sdp("203.0.113.6"));
    assert_eq!((count(&desk, Method::Ack), count(&desk, Method::Bye)), (2, 1), "its ACK was lost");
    desk.reply_to(ONE, &invite, "200 OK", "fork", &contact(ONE), &sdp("203.0.113.6"));
    assert_eq!((count(&desk, Method::Ack), count(&desk, Method::Bye)), (3, 2));
    let bye = desk.requests(ONE, Method::Bye).remove(1);
    assert!(bye.header(HeaderName::To).is_some_and(|to| to.ends_with("tag=fork")));
}

#[test]
fn six_hundred_ends_all() {
    let mut desk = ringing("");
    desk.reply(ONE, "180 Ringing", "one", &contact(ONE), "");
    desk.reply(TWO, "603 Decline", "two", "", "");
    assert_eq!((desk.answer(CALLER), desk.requests(ONE, Method::Cancel).len()), (603, 1));
}

/// 102 has three phones: two of one preference and one that is asked last.
fn with_preferences() -> Desk {
    let mut desk = Desk::new(CONFIG);
    assert_eq!(desk.register(CALLER, "101", CONTACT), 200);
    for (at, q) in [(ONE, "0.5"), (TWO, "1.0"), (THREE, "1.0")] {
        assert_eq!(desk.register(at, "102", &format!("Contact: <sip:102@{at}>;q={q}\r\n")), 200);
    }
    desk.request(CALLER, "INVITE", "sip:102@ringfort.local", "101", CONTACT, SDP);
    desk
}

const THREE: &str = "203.0.113.8:5060";

fn invited(desk: &Desk) -> [bool; 3] {
    [ONE, TWO, THREE].map(|at| !desk.requests(at, Method::Invite).is_empty())
}

/// Parallel, then sequential (RFC 3261 16.6).
#[test]
fn devices_of_a_lower_preference_ring_afterwards() {
    let mut desk = with_preferences();
    assert_eq!(invited(&desk), [false, true, true]);
    for at in [TWO, THREE] {
        let invite = desk.requests(at, Method::Invite).remove(0);
        desk.reply_to(at, &invite, "180 Ringing", "r", &contact(at), "");
    }
    desk.pass(Duration::from_secs(14));
    assert_eq!(invited(&desk), [false, true, true]);
    desk.pass(Duration::from_secs(2));
    assert_eq!(invited(&desk), [true; 3]);
    for at in [TWO, THREE] {
        let cancel = desk.requests(at, Method::Cancel).remove(0);
        desk.receive(at, &crate::talk::reply(&cancel, "200 OK", "", ""));
        let invite = desk.requests(at, Method::Invite).remove(0);
        desk.reply_to(at, &invite, "487 Request Terminated", "r", "", "");
    }
    let invite = desk.requests(ONE, Method::Invite).remove(0);
    desk.reply_to(ONE, &invite, "200 OK", "one", &contact(ONE), &sdp("203.0.113.6"));
    assert_eq!(desk.answer(CALLER), 200);

    // Refusals need not be waited for; 6xx is for all of them.
    let mut desk = with_preferences();
    for at in [TWO, THREE] {
        assert_eq!(invited(&desk), [false, true, true]);
        let invite = desk.requests(at, Method::Invite).remove(0);
        desk.reply_to(at, &invite, "486 Busy Here", "r", "", "");
    }
    assert_eq!(invited(&desk), [true; 3]);
    let mut desk = with_preferences();
    desk.reply(TWO, "603 Decline", "two", "", "");
    assert_eq!((desk.answer(CALLER), invited(&desk)), (603, [false, true, true]));
}

#[test]
fn the_best_refusal_is_told_when_all_have_spoken() {
    let mut desk = ringing("");
    desk.reply(ONE, "486 Busy Here", "one", "", "");
    assert_eq!(desk.answer(CALLER), 100);
    desk.reply(TWO, "404 Not Found", "two", "", "");
    assert_eq!(desk.answer(CALLER), 486);
    desk.pass(Duration::from_secs(40));
    assert_eq!(desk.residue()[..2], [0, 0]);
}

#[test]
fn the_caller_s_reason_reaches_those_who_ring() {
    let mut desk = ringing("");
    desk.reply(ONE, "180 Ringing", "one", &contact(ONE), "");
    let invite = desk.responses(CALLER, 180).remove(0);
    let via = invite.header(HeaderName::Via).expect("one").to_string();
    let field = |name| invite.header(name).unwrap_or_default().to_string();
    let (from, call_id, number) = (field(HeaderName::From), field(HeaderName::CallId), invite.cseq().expect("sound").0);
    desk.receive(CALLER, &format!(
        "CANCEL sip:102@ringfort.local SIP/2.0\r\nVia: {via}\r\nFrom: {from}\r\nTo: <sip:102@ringfort.local>\r\nCall-ID: {call_id}\r\n\
         CSeq: {number} CANCEL\r\nMax-Forwards: 70\r\nReason: SIP;cause=200;text=\"taken at desk9.inside\"\r\nContent-Length: 0\r\n\r\n"
    ));
    assert_eq!(desk.answer(CALLER), 487);
    assert_eq!(desk.requests(ONE, Method::Cancel)[0].header(HeaderName::Reason), Some("SIP;cause=200"));
    assert_eq!(desk.requests(TWO, Method::Cancel).len(), 0, "nothing came from it yet");
    desk.reply(TWO, "180 Ringing", "two", &contact(TWO), "");
    assert_eq!(desk.requests(TWO, Method::Cancel).len(), 1);
}

#[test]
fn each_early_audio_has_its_own_dialog() {
    let mut desk = ringing("Supported: 199\r\n");
    desk.reply(TWO, "180 Ringing", "two", &contact(TWO), "");
    desk.reply(ONE, "183 Session Progress", "one", &contact(ONE), &sdp("203.0.113.6"));
    desk.reply(TWO, "183 Session Progress", "two", &contact(TWO), &sdp("203.0.113.7"));
    let early = desk.responses(CALLER, 183);
    let tag = |m: &ringfort_sip::message::Message| m.to().expect("sound").tag().expect("one").to_string();
    assert_eq!(tag(&desk.responses(CALLER, 180)[0]), tag(&early[0]));
    assert_ne!(tag(&early[0]), tag(&early[1]));
    // Both are found again; the one that refuses ends alone.
    desk.inside(CALLER, "OPTIONS", &early[1], 90, "", "");
    assert_eq!(desk.answer(CALLER), 200);
    let invite = desk.requests(ONE, Method::Invite).remove(0);
    desk.reply_to(ONE, &invite, "486 Busy Here", "one", "", "");
    assert_eq!(tag(&desk.responses(CALLER, 199)[0]), tag(&early[0]));
    let invite = desk.requests(TWO, Method::Invite).remove(0);
    desk.reply_to(TWO, &invite, "200 OK", "two", &contact(TWO), &sdp("203.0.113.7"));
    let ok = desk.last(CALLER);
    assert_eq!((ok.status(), tag(&ok)), (Some(200), tag(&early[1])));
    desk.inside(CALLER, "BYE", &early[0], 91, "", "");
    assert_eq!(desk.answer(CALLER), 481);
}

#[test]
fn a_fork_behind_a_trunk_has_its_own_dialog_too() {
    let mut desk = ringing("");
    desk.request(CALLER, "INVITE", "sip:0123@ringfort.local", "101", CONTACT, SDP);
    for (tag, host) in [("t1", "198.51.100.11"), ("t2", "198.51.100.12")] {
        desk.reply(A, "183 Session Progress", tag, &contact(A), &sdp(host));
    }
    let early = desk.responses(CALLER, 183);
    assert_ne!(early[0].header(HeaderName::To), early[1].header(HeaderName::To));
    desk.reply(A, "200 OK", "t1", &contact(A), "");
    assert_eq!(desk.last(CALLER).header(HeaderName::To), early[0].header(HeaderName::To));
    assert!(!desk.last(CALLER).body().is_empty());
}

#[test]
fn a_target_that_says_100_and_no_more_is_given_up() {
    let mut desk = ringing("");
    desk.request(CALLER, "INVITE", "sip:0123@ringfort.local", "101", CONTACT, SDP);
    desk.reply(A, "100 Trying", "x", "", "");
    desk.pass(Duration::from_millis(11_900));
    assert_eq!(desk.requests(B, Method::Invite).len(), 0);
    desk.pass(Duration::from_millis(200));
    assert_eq!((desk.requests(A, Method::Cancel).len(), desk.requests(B, Method::Invite).len()), (1, 1));
    desk.reply(B, "100 Trying", "x", "", "");
    desk.pass(Duration::from_secs(60));
    assert_eq!(desk.requests(B, Method::Cancel).len(), 0, "nobody else is left");
}

#[test]
fn a_silent_target_costs_less_than_two_seconds() {
    let mut desk = ringing("");
    desk.request(CALLER, "INVITE", "sip:0123@ringfort.local", "101", CONTACT, SDP);
    desk.pass(Duration::from_millis(1_999));
    assert!(!desk.requests(B, Method::Invite).is_empty());
}

#[test]
fn a_port_that_another_process_holds_costs_no_call() {
    let mut desk = ringing("");
    let opened = |desk: &Desk| -> Vec<_> {
        let port = |command: &RelayCommand| match command {
            RelayCommand::Open { port, rtp, .. } => Some((*port, rtp.port())),
            _ => None,
        };
        desk.relayed.iter().filter_map(port).collect()
    };
    let ports = opened(&desk);
    desk.input(Input::Relay(RelayEvent::OpenFailed { port: ports[0].0, error: "in use".into() }));
    assert!(opened(&desk)[3].1 != ports[0].1, "the caller's leg moved");
    desk.input(Input::Relay(RelayEvent::OpenFailed { port: ports[1].0, error: "in use".into() }));
    assert_eq!(desk.requests(TWO, Method::Invite).len() + desk.requests(ONE, Method::Invite).len(), 3, "asked anew");
    assert_eq!((desk.status().calls.len(), desk.residue()[1]), (1, 3));
}

#[test]
fn breadth_is_shared_and_what_exceeds_it_waits() {
    let mut desk = ringing("Max-Breadth: 4\r\n");
    for phone in [ONE, TWO] {
        assert_eq!(desk.requests(phone, Method::Invite)[0].header_named("Max-Breadth"), Some("2"));
    }
    desk.request(CALLER, "INVITE", "sip:102@ringfort.local", "101", &format!("{CONTACT}Max-Breadth: 1\r\n"), SDP);
    assert_eq!((desk.requests(ONE, Method::Invite).len(), desk.requests(TWO, Method::Invite).len()), (1, 2));
    desk.reply(TWO, "486 Busy Here", "two", "", "");
    assert_eq!(desk.requests(ONE, Method::Invite).len(), 2);
    desk.request(CALLER, "INVITE", "sip:102@ringfort.local", "101", &format!("{CONTACT}Max-Breadth: 0\r\n"), SDP);
    assert_eq!(desk.answer(CALLER), 440);
}

#[test]
fn the_same_invite_by_another_way_and_the_node_s_own() {
    let mut desk = ringing("");
    desk.request(CALLER, "INVITE", "sip:0123@ringfort.local", "101", CONTACT, SDP);
    let own = desk.requests(A, Method::Invite).remove(0);
    let text = |via: &str, uri: &str, call_id: &str| {
        format!(
            "INVITE sip:{uri}@192.0.2.10 SIP/2.0\r\nVia: SIP/2.0/UDP {A};branch=z9hG4bKx{call_id}{uri}\r\nVia: {via}\r\nFrom: <sip:1@x>;tag=1\r\n\
             To: <sip:2@x>\r\nCall-ID: {call_id}\r\nCSeq: 1 INVITE\r\nMax-Forwards: 70\r\nContact: <sip:x@{A}>\r\n\
             Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{SDP}",
            SDP.len()
        )
    };
    let via = own.header(HeaderName::Via).expect("one").to_string();
    // A trunk's question is another one than the phone's; the second time round it is the same.
    desk.receive(A, &text(&via, "0123", "c1"));
    let back = desk.requests(A, Method::Invite).last().expect("one").header(HeaderName::Via).expect("one").to_string();
    assert_ne!(back, via, "a spiral goes on");
    desk.receive(A, &text(&back, "0123", "c2"));
    assert_eq!((desk.answer(A), desk.last(A).reason()), (482, "Loop Detected"));
    desk.receive(A, &text("SIP/2.0/UDP p.test;branch=z9hG4bKother", "0124", "c1"));
    assert_eq!((desk.answer(A), desk.last(A).reason()), (482, "Merged Request"));
}
