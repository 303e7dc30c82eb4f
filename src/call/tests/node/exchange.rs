//! Offer and answer after the call stands: re-INVITE and UPDATE in every place of RFC 6337, hold, and changes that meet.

use crate::fixture::Desk;
use crate::talk::{self, ALLOWS_UPDATE, CONFIG, PHONE, TRUNK, body, sdp};
use ringfort_sip::message::{HeaderName, Message, Method};
use std::time::Duration;

#[test]
fn update_goes_on_as_update_where_the_other_leg_takes_it() {
    let (mut desk, mut phone, trunk) = talk::connected(CONFIG, "", ALLOWS_UPDATE);
    phone.send(&mut desk, "UPDATE", "", &sdp(PHONE, 2, "sendonly"));
    let update = trunk.asked(&desk);
    assert_eq!((update.method(), body(&update).contains("a=sendonly")), (Method::Update, true));
    trunk.answer(&mut desk, "200 OK", "", &sdp(TRUNK, 2, "recvonly"));
    let ok = phone.answered(&desk);
    assert_eq!((ok.status(), ok.method(), body(&ok).contains("a=recvonly")), (Some(200), Method::Update, true));
    assert_eq!(desk.status().calls[0].state, "held");
}

#[test]
fn update_goes_on_as_reinvite_where_it_is_not_taken() {
    let (mut desk, mut phone, trunk) = talk::connected(CONFIG, "", "");
    phone.send(&mut desk, "UPDATE", "", &sdp(PHONE, 2, "inactive"));
    assert_eq!(trunk.asked(&desk).method(), Method::Invite);
    trunk.answer(&mut desk, "200 OK", "", &sdp(TRUNK, 2, "inactive"));
    assert_eq!(trunk.asked(&desk).method(), Method::Ack);
    assert_eq!((phone.status(&desk), phone.answered(&desk).method()), (200, Method::Update));
}

#[test]
fn an_update_that_is_not_taken_after_all_is_repeated_as_reinvite() {
    let (mut desk, mut phone, trunk) = talk::connected(CONFIG, "", ALLOWS_UPDATE);
    phone.send(&mut desk, "UPDATE", "", &sdp(PHONE, 2, "sendonly"));
    trunk.answer(&mut desk, "405 Method Not Allowed", "", "");
    assert_eq!(trunk.asked(&desk).method(), Method::Invite);
    trunk.answer(&mut desk, "200 OK", "", &sdp(TRUNK, 2, "recvonly"));
    assert_eq!(phone.status(&desk), 200);
}

#[test]
fn update_without_offer_is_answered_here() {
    let (mut desk, mut phone, trunk) = talk::connected(CONFIG, "", ALLOWS_UPDATE);
    phone.send(&mut desk, "UPDATE", "Contact: <sip:moved@203.0.113.5:5070>\r\n", "");
    assert_eq!((phone.status(&desk), phone.answered(&desk).body().len()), (200, 0));
    assert_eq!(trunk.asked(&desk).method(), Method::Ack, "the other leg hears nothing");
}

/// RFC 6337 table 1, pattern 2: the offer is in the 2xx, the answer in the ACK, on both legs.
#[test]
fn a_reinvite_without_offer_asks_the_other_leg_for_one() {
    let (mut desk, mut phone, trunk) = talk::connected(CONFIG, "", "");
    phone.send(&mut desk, "INVITE", "", "");
    let asked = trunk.asked(&desk);
    assert_eq!((asked.method(), asked.body().len()), (Method::Invite, 0));
    trunk.answer(&mut desk, "200 OK", "", &sdp(TRUNK, 2, "sendrecv"));
    let offer = phone.answered(&desk);
    assert_eq!((offer.status(), body(&offer).contains("m=audio")), (Some(200), true));
    assert_ne!(trunk.asked(&desk).cseq(), asked.cseq().map(|(n, _)| (n, Method::Ack)), "the ACK waits for the answer");
    phone.ack(&mut desk, &sdp(PHONE, 2, "sendonly"));
    let ack = trunk.asked(&desk);
    assert_eq!(ack.method(), Method::Ack);
    assert!(body(&ack).contains("a=sendonly") && body(&ack).contains("192.0.2.10"), "{}", body(&ack));
    assert_eq!(desk.status().calls[0].state, "held");
}

#[test]
fn a_late_offer_whose_ack_has_no_answer_is_answered_with_what_held_before() {
    let (mut desk, mut phone, trunk) = talk::connected(CONFIG, "", "");
    phone.send(&mut desk, "INVITE", "", "");
    trunk.answer(&mut desk, "200 OK", "", &sdp(TRUNK, 2, "sendrecv"));
    phone.ack(&mut desk, "");
    assert!(body(&trunk.asked(&desk)).contains("m=audio"));
    assert_eq!(desk.status().calls[0].state, "connected");
    phone.send(&mut desk, "INVITE", "", &sdp(PHONE, 3, "sendonly"));
    assert_eq!(trunk.asked(&desk).method(), Method::Invite, "the next change finds nothing in its way");
}

#[test]
fn a_leg_that_gives_no_offer_is_offered_for() {
    let (mut desk, mut phone, trunk) = talk::connected(CONFIG, "", "");
    phone.send(&mut desk, "INVITE", "", "");
    trunk.answer(&mut desk, "488 Not Acceptable Here", "", "");
    let offer = phone.answered(&desk);
    assert_eq!((offer.status(), body(&offer).contains("m=audio")), (Some(200), true));
    phone.ack(&mut desk, &sdp(PHONE, 2, "sendrecv"));
    assert_eq!(desk.status().calls[0].state, "connected");
}

/// RFC 5359 2.1 and 2.2, in all styles of hold.
#[test]
fn every_style_of_hold_and_retrieve() {
    let zero = |version| sdp(PHONE, version, "sendrecv").replace("c=IN IP4 203.0.113.5", "c=IN IP4 0.0.0.0");
    for (hold, told) in
        [(sdp(PHONE, 2, "sendonly"), "a=sendonly"), (sdp(PHONE, 2, "inactive"), "a=inactive"), (zero(2), "a=sendonly")]
    {
        let (mut desk, mut phone, trunk) = talk::connected(CONFIG, "", "");
        phone.send(&mut desk, "INVITE", "", &hold);
        assert!(body(&trunk.asked(&desk)).contains(told), "{told}");
        trunk.answer(&mut desk, "200 OK", "", &sdp(TRUNK, 2, if told == "a=inactive" { "inactive" } else { "recvonly" }));
        phone.ack(&mut desk, "");
        assert_eq!(desk.status().calls[0].state, "held");
        phone.send(&mut desk, "INVITE", "", &sdp(PHONE, 3, "sendrecv"));
        assert!(!body(&trunk.asked(&desk)).contains("only"));
        trunk.answer(&mut desk, "200 OK", "", &sdp(TRUNK, 3, "sendrecv"));
        phone.ack(&mut desk, "");
        assert_eq!(desk.status().calls[0].state, "connected");
    }
}

#[test]
fn a_refresh_is_not_carried_on() {
    let (mut desk, mut phone, trunk) = talk::connected(CONFIG, "", "");
    let before = body(&phone.answered(&desk));
    phone.send(&mut desk, "INVITE", "", &sdp(PHONE, 1, "sendrecv"));
    assert_eq!(trunk.asked(&desk).method(), Method::Ack);
    let ok = phone.answered(&desk);
    assert_eq!((ok.cseq(), body(&ok)), (Ok((phone.cseq, Method::Invite)), before));
}

/// RFC 3261 14.1: the 491 of the other leg is waited out while the first one waits.
#[test]
fn a_change_that_meets_491_is_tried_again() {
    let (mut desk, mut phone, trunk) = talk::connected(CONFIG, "", "");
    phone.send(&mut desk, "INVITE", "", &sdp(PHONE, 2, "sendonly"));
    let first = trunk.asked(&desk).cseq();
    trunk.answer(&mut desk, "491 Request Pending", "", "");
    desk.pass(Duration::from_millis(2_090));
    assert_eq!(trunk.asked(&desk).method(), Method::Ack);
    desk.pass(Duration::from_millis(1_920));
    let again = trunk.asked(&desk);
    assert!(again.method() == Method::Invite && again.cseq().unwrap() > first.unwrap());
    assert!(phone.answered(&desk).status() == Some(100));
    trunk.answer(&mut desk, "200 OK", "", &sdp(TRUNK, 2, "recvonly"));
    assert_eq!(phone.status(&desk), 200);
}

#[test]
fn a_third_491_goes_back() {
    let (mut desk, mut phone, trunk) = talk::connected(CONFIG, "", "");
    phone.send(&mut desk, "INVITE", "", &sdp(PHONE, 2, "sendonly"));
    for _ in 0..3 {
        trunk.answer(&mut desk, "491 Request Pending", "", "");
        desk.pass(Duration::from_millis(4_010));
    }
    assert_eq!(phone.status(&desk), 491);
}

/// The leg that said 491 sends the change that it had in mind: it goes first.
#[test]
fn the_change_that_caused_the_491_goes_first() {
    let (mut desk, mut phone, mut trunk) = talk::connected(CONFIG, "", "");
    phone.send(&mut desk, "INVITE", "", &sdp(PHONE, 2, "sendonly"));
    trunk.answer(&mut desk, "491 Request Pending", "", "");
    trunk.send(&mut desk, "INVITE", "", &sdp(TRUNK, 2, "sendonly"));
    assert_eq!(phone.status(&desk), 491);
    assert_eq!(phone.asked(&desk).method(), Method::Invite);
}

/// RFC 3261 14.2 and RFC 3311 5.2.
#[test]
fn who_comes_second_is_told_to_come_again() {
    for method in ["INVITE", "UPDATE"] {
        let (mut desk, mut phone, mut trunk) = talk::connected(CONFIG, "", "");
        phone.send(&mut desk, "INVITE", "", &sdp(PHONE, 2, "sendonly"));
        trunk.send(&mut desk, method, "", &sdp(TRUNK, 2, "sendonly"));
        assert_eq!(trunk.status(&desk), 491);
        phone.send(&mut desk, method, "", &sdp(PHONE, 3, "sendonly"));
        let busy = phone.answered(&desk);
        assert_eq!(busy.status(), Some(500));
        assert!(busy.header(HeaderName::RetryAfter).and_then(|s| s.parse::<u32>().ok()).is_some_and(|s| s <= 10));
    }
}

/// The answer was lost with the peer's connection, so its ACK never comes. Whoever changes the call again is there.
#[test]
fn a_change_whose_answer_was_lost_gives_way_to_the_next() {
    let (mut desk, mut phone, trunk) = talk::connected(CONFIG, "", "");
    for (version, direction, answer) in [(2, "sendonly", "recvonly"), (3, "sendrecv", "sendrecv")] {
        phone.send(&mut desk, "INVITE", "", &sdp(PHONE, version, direction));
        trunk.answer(&mut desk, "200 OK", "", &sdp(TRUNK, version, answer));
        assert_eq!(phone.status(&desk), 200);
    }
    phone.ack(&mut desk, "");
    desk.pass(Duration::from_secs(40));
    assert_eq!((desk.status().calls.len(), desk.status().calls[0].state.as_str()), (1, "connected"));
    // Nobody comes again: without its ACK the call ends, as before.
    phone.send(&mut desk, "INVITE", "", &sdp(PHONE, 4, "sendonly"));
    trunk.answer(&mut desk, "200 OK", "", &sdp(TRUNK, 4, "recvonly"));
    desk.pass(Duration::from_secs(40));
    assert_eq!(phone.asked(&desk).method(), Method::Bye);
}

/// Taken back, but the other leg accepted it before it saw the CANCEL: it is told what really holds.
#[test]
fn a_cancelled_change_that_was_accepted_is_undone() {
    let (mut desk, mut phone, trunk) = talk::connected(CONFIG, "", "");
    phone.send(&mut desk, "INVITE", "", &sdp(PHONE, 2, "sendonly"));
    let invite = trunk.asked(&desk);
    desk.receive(TRUNK, &talk::reply(&invite, "100 Trying", "", ""));
    let cancel = phone.clone();
    desk.receive(PHONE, &format!(
        "CANCEL sip:ringfort@192.0.2.10 SIP/2.0\r\nVia: SIP/2.0/UDP {PHONE};branch=z9hG4bKINVITE{}{};rport\r\nFrom: {}\r\nTo: {}\r\n\
         Call-ID: {}\r\nCSeq: {} CANCEL\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n",
        cancel.call_id, cancel.cseq, cancel.local, cancel.remote, cancel.call_id, cancel.cseq
    ));
    assert_eq!(trunk.asked(&desk).method(), Method::Cancel);
    desk.receive(TRUNK, &talk::reply(&invite, "200 OK", &talk::contact("x", TRUNK), &sdp(TRUNK, 2, "recvonly")));
    let undo = trunk.asked(&desk);
    assert_eq!(undo.method(), Method::Invite);
    assert!(!body(&undo).contains("only") && undo.cseq().unwrap() > invite.cseq().unwrap());
    trunk.answer(&mut desk, "200 OK", "", &sdp(TRUNK, 3, "sendrecv"));
    assert_eq!(trunk.asked(&desk).method(), Method::Ack);
    assert_eq!(desk.status().calls[0].state, "connected");
}

/// RFC 3264 8: the version rises by one with each change, also when the process that told the last one died before it was acknowledged.
#[test]
fn a_version_told_before_the_death_of_the_process_is_not_told_again() {
    for gives_offer in [true, false] {
        let (mut desk, mut phone, mut trunk) = talk::connected(CONFIG, "", "");
        trunk.send(&mut desk, "INVITE", "", &sdp(TRUNK, 2, "sendonly"));
        phone.answer(&mut desk, "200 OK", "", &sdp(PHONE, 2, "recvonly"));
        trunk.ack(&mut desk, "");
        phone.send(&mut desk, "INVITE", "", "");
        match gives_offer {
            true => trunk.answer(&mut desk, "200 OK", "", &sdp(TRUNK, 3, "sendrecv")),
            false => trunk.answer(&mut desk, "500 No Idea", "", ""),
        }
        let told = version(&phone.answered(&desk));
        let mut desk = Desk::restarted(CONFIG, desk.left_behind());
        trunk.send(&mut desk, "INVITE", "", &sdp(TRUNK, 4, "inactive"));
        assert_eq!(version(&phone.asked(&desk)), told + 1, "the other leg gives an offer: {gives_offer}");
    }
}

fn version(message: &Message) -> u64 {
    let body = body(message);
    let origin = body.lines().find(|line| line.starts_with("o=")).expect("a description");
    origin.split(' ').nth(2).and_then(|version| version.parse().ok()).expect("a version")
}
