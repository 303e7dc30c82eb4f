//! Before the answer: reliable provisional responses on either leg, offers in every place, UPDATE in early dialogs.

use crate::fixture::{Desk, SDP};
use ringfort_call::Input;
use ringfort_sip::message::{HeaderName, Message, Method};
use std::time::Duration;

const CONFIG: &str = "[[trunk]]\nname = \"carrier\"\naddress = \"198.51.100.1:5060\"\n\
    [[account]]\nuser = \"101\"\n[[route]]\nname = \"out\"\nnumber = \"0*\"\nto = [\"trunk:carrier\"]\n";
pub const PHONE: &str = "203.0.113.5:5060";
pub const TRUNK: &str = "198.51.100.1:5060";
pub const CONTACT: &str = "Contact: <sip:101@203.0.113.5:5060>\r\n";
pub const TRUNK_CONTACT: &str = "Contact: <sip:gw@198.51.100.1:5060>\r\n";

pub fn dialled(more: &str, body: &str) -> Desk {
    let mut desk = Desk::new(CONFIG);
    assert_eq!(desk.register(PHONE, "101", CONTACT), 200);
    desk.request(PHONE, "INVITE", "sip:0123@ringfort.local", "101", &format!("{CONTACT}{more}"), body);
    desk
}

pub fn invite(desk: &Desk) -> Message {
    desk.requests(TRUNK, Method::Invite).remove(0)
}

pub fn answers(desk: &mut Desk, status: &str, more: &str, body: &str) {
    let invite = invite(desk);
    desk.reply_to(TRUNK, &invite, status, "t", &format!("{TRUNK_CONTACT}{more}"), body);
}

pub fn trunk_sdp() -> String {
    SDP.replace("10.0.0.9", "198.51.100.1")
}

pub fn rack(response: &Message) -> String {
    let rseq = response.header(HeaderName::RSeq).expect("a reliable response");
    format!("RAck: {rseq} {} INVITE\r\n", response.cseq().expect("sound").0)
}

fn invites_ok(desk: &Desk) -> Vec<Message> {
    desk.responses(PHONE, 200).into_iter().filter(|m| m.cseq().expect("sound").1 == Method::Invite).collect()
}

#[test]
fn audio_before_the_answer_is_reliable_where_the_caller_can() {
    let mut desk = dialled("Supported: 100rel\r\n", SDP);
    answers(&mut desk, "180 Ringing", "", "");
    assert_eq!(desk.last(PHONE).header(HeaderName::RSeq), None);
    answers(&mut desk, "183 Session Progress", "", &trunk_sdp());
    let early = desk.last(PHONE);
    assert!(early.has_token(HeaderName::Require, "100rel") && !early.body().is_empty());
    desk.pass(Duration::from_millis(1_600));
    assert_eq!(desk.responses(PHONE, 183).len(), 3, "at T1 and at 3 T1");
    // The answer waits for the PRACK.
    answers(&mut desk, "200 OK", "", &trunk_sdp());
    assert_eq!((desk.requests(TRUNK, Method::Ack).len(), invites_ok(&desk).len()), (1, 0));
    desk.inside(PHONE, "PRACK", &early, 50, "RAck: 1 1 INVITE\r\n", "");
    assert_eq!(desk.answer(PHONE), 481);
    desk.inside(PHONE, "PRACK", &early, 51, &rack(&early), "");
    let ok = invites_ok(&desk);
    assert_eq!(ok.len(), 1);
    assert!(ok[0].body().is_empty() && ok[0].header(HeaderName::To) == early.header(HeaderName::To));
    assert_eq!(desk.status().calls[0].state, "connected");
}

#[test]
fn a_caller_that_requires_it_gets_nothing_else_and_in_order() {
    let mut desk = dialled("Require: 100rel\r\n", SDP);
    answers(&mut desk, "180 Ringing", "", "");
    answers(&mut desk, "183 Session Progress", "", &trunk_sdp());
    let first = desk.last(PHONE);
    assert_eq!((first.status(), desk.responses(PHONE, 183).len()), (Some(180), 0));
    desk.inside(PHONE, "PRACK", &first, 50, &rack(&first), "");
    let second = desk.responses(PHONE, 183).remove(0);
    let rseq = |m: &Message| m.number(HeaderName::RSeq).expect("sound").expect("one");
    assert_eq!(rseq(&second), rseq(&first) + 1);
    desk.inside(PHONE, "PRACK", &second, 51, &rack(&second), "");
    answers(&mut desk, "200 OK", "", &trunk_sdp());
    assert_eq!(invites_ok(&desk).len(), 1);
}

#[test]
fn without_prack_the_invite_is_refused_and_the_target_released() {
    let mut desk = dialled("Supported: 100rel\r\n", SDP);
    answers(&mut desk, "183 Session Progress", "", &trunk_sdp());
    answers(&mut desk, "200 OK", "", &trunk_sdp());
    desk.pass(Duration::from_secs(33));
    assert_eq!((desk.responses(PHONE, 504).is_empty(), desk.requests(TRUNK, Method::Bye).is_empty()), (false, false));
    desk.pass(Duration::from_secs(40));
    assert_eq!(desk.residue()[..2], [0, 0]);
}

#[test]
fn the_target_s_reliable_responses_are_acknowledged_once_and_in_order() {
    let mut desk = dialled("", SDP);
    assert!(invite(&desk).has_token(HeaderName::Supported, "100rel"));
    let reliable = |n: u32| format!("Require: 100rel\r\nRSeq: {n}\r\n");
    answers(&mut desk, "183 Session Progress", &reliable(7), &trunk_sdp());
    let prack = desk.last(TRUNK);
    assert_eq!((prack.method(), prack.header(HeaderName::RAck)), (Method::Prack, Some("7 1 INVITE")));
    desk.reply_to(TRUNK, &prack, "200 OK", "t", "", "");
    let told = desk.sent.len();
    answers(&mut desk, "183 Session Progress", &reliable(7), &trunk_sdp());
    answers(&mut desk, "180 Ringing", &reliable(9), "");
    assert_eq!(desk.sent.len(), told, "a repeat, and one too early");
    answers(&mut desk, "180 Ringing", &reliable(8), "");
    assert_eq!(desk.requests(TRUNK, Method::Prack).len(), 2);
    assert_eq!((desk.answer(PHONE), desk.last(PHONE).header(HeaderName::RSeq)), (180, None), "the caller knows nothing of it");
    // The numbers of PRACK and BYE are one sequence.
    answers(&mut desk, "200 OK", "", "");
    desk.inside(PHONE, "BYE", &invites_ok(&desk)[0], 60, "", "");
    let ok = invites_ok(&desk).remove(0);
    desk.inside(PHONE, "ACK", &ok, ok.cseq().expect("sound").0, "", "");
    assert_eq!(desk.requests(TRUNK, Method::Bye)[0].cseq().expect("sound").0, 4);
}

#[test]
fn an_invite_without_offer_is_offered_what_the_target_answered() {
    let mut desk = dialled("", "");
    let offer = String::from_utf8_lossy(invite(&desk).body()).into_owned();
    assert!(offer.contains("PCMA") && offer.contains("telephone-event"), "{offer}");
    answers(&mut desk, "183 Session Progress", "", &trunk_sdp());
    assert!(desk.last(PHONE).body().is_empty(), "an offer has no place in an unreliable response");
    answers(&mut desk, "200 OK", "", &trunk_sdp());
    let ok = invites_ok(&desk).remove(0);
    assert!(String::from_utf8_lossy(ok.body()).contains("RTP/AVP 8"));
    desk.inside(PHONE, "ACK", &ok, ok.cseq().expect("sound").0, "", SDP);
    assert!(desk.kept_call().contains("[10,0,0,9],4000"));
    assert_eq!(desk.status().calls[0].state, "connected");
}

#[test]
fn an_ack_without_answer_ends_the_call() {
    for body in ["", "v=0\r\n"] {
        let mut desk = dialled("", "");
        answers(&mut desk, "200 OK", "", &trunk_sdp());
        let ok = invites_ok(&desk).remove(0);
        desk.inside(PHONE, "ACK", &ok, ok.cseq().expect("sound").0, "", body);
        assert_eq!((desk.requests(PHONE, Method::Bye).len(), desk.requests(TRUNK, Method::Bye).len()), (1, 1));
        desk.pass(Duration::from_secs(2));
        assert_eq!(desk.status().recent[0].cause, "bad-sdp-in-ack");
    }
}

#[test]
fn an_offer_in_a_reliable_response_is_answered_in_its_prack() {
    let mut desk = dialled("Supported: 100rel\r\n", "");
    answers(&mut desk, "183 Session Progress", "", &trunk_sdp());
    let early = desk.last(PHONE);
    assert!(!early.body().is_empty());
    desk.inside(PHONE, "PRACK", &early, 50, &rack(&early), SDP);
    assert_eq!(desk.answer(PHONE), 200);
    answers(&mut desk, "200 OK", "", &trunk_sdp());
    let ok = invites_ok(&desk).remove(0);
    assert!(ok.body().is_empty());
    desk.inside(PHONE, "ACK", &ok, ok.cseq().expect("sound").0, "", "");
    assert_eq!(desk.status().calls[0].state, "connected");
}

/// RFC 3262 5: without SDP of the target there is no offer to make, and without an offer no first reliable response.
#[test]
fn the_first_reliable_response_to_an_invite_without_offer_holds_one() {
    let mut desk = dialled("Require: 100rel\r\n", "");
    answers(&mut desk, "180 Ringing", "", "");
    assert!(desk.responses(PHONE, 180).is_empty());
    answers(&mut desk, "183 Session Progress", "", &trunk_sdp());
    let early = desk.last(PHONE);
    assert!(early.status() == Some(183) && early.has_token(HeaderName::Require, "100rel") && !early.body().is_empty());
    desk.inside(PHONE, "PRACK", &early, 50, &rack(&early), SDP);
    assert_eq!(desk.answer(PHONE), 200);
    answers(&mut desk, "180 Ringing", "", "");
    assert_eq!(desk.responses(PHONE, 180).len(), 1, "now it may ring");
}

#[test]
fn an_offer_in_a_prack_is_answered_in_its_200() {
    let mut desk = dialled("Supported: 100rel\r\n", SDP);
    answers(&mut desk, "183 Session Progress", "", &trunk_sdp());
    let early = desk.last(PHONE);
    desk.inside(PHONE, "PRACK", &early, 50, &rack(&early), &SDP.replace("1 1 IN", "1 2 IN").replace("4000", "4010"));
    let answer = desk.last(PHONE);
    assert_eq!((answer.status(), answer.body().is_empty()), (Some(200), false));
}

#[test]
fn update_before_the_answer() {
    let mut desk = dialled("Supported: 100rel\r\n", SDP);
    answers(&mut desk, "183 Session Progress", "", &trunk_sdp());
    let early = desk.last(PHONE);
    let moved = SDP.replace("1 1 IN", "1 2 IN").replace("4000", "4010");
    desk.inside(PHONE, "UPDATE", &early, 50, CONTACT, &moved);
    assert_eq!((desk.answer(PHONE), desk.last(PHONE).header(HeaderName::RetryAfter).is_some()), (500, true));
    desk.inside(PHONE, "UPDATE", &early, 51, CONTACT, "");
    assert_eq!(desk.answer(PHONE), 200, "a refresh");
    desk.inside(PHONE, "PRACK", &early, 52, &rack(&early), "");
    desk.inside(PHONE, "UPDATE", &early, 53, CONTACT, &moved);
    assert_eq!((desk.answer(PHONE), desk.last(PHONE).body().is_empty()), (200, false));
    desk.inside(PHONE, "UPDATE", &early, 53, CONTACT, &moved);
    assert_eq!(desk.answer(PHONE), 500, "an old number");
    desk.inside(PHONE, "INVITE", &early, 54, CONTACT, &moved);
    assert_eq!(desk.answer(PHONE), 491);
    desk.inside(PHONE, "BYE", &early, 55, "", "");
    assert_eq!((desk.responses(PHONE, 487).len(), desk.requests(TRUNK, Method::Cancel).len()), (1, 1));
}

/// A BYE waits for the ACK; what that ACK answers then has no port any more.
#[test]
fn an_answer_in_the_ack_of_a_call_that_ended_means_nothing() {
    let mut desk = dialled("", "");
    answers(&mut desk, "200 OK", "", &trunk_sdp());
    let call = desk.status().calls[0].call;
    desk.input(Input::HangUp(call));
    let told = desk.relayed.len();
    let ok = invites_ok(&desk).remove(0);
    desk.inside(PHONE, "ACK", &ok, ok.cseq().expect("sound").0, "", SDP);
    assert_eq!(desk.requests(PHONE, Method::Bye).len(), 1);
    assert_eq!(desk.relayed.len(), told, "{:?}", &desk.relayed[told..]);
}
