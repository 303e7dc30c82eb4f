//! Call pickup (RFC 5359 2.16): INVITE with Replaces takes a call that rings.

use crate::fixture::Desk;
use crate::talk::{self, body, contact, sdp};
use ringfort_media::plan::RelayCommand;
use ringfort_sip::message::{HeaderName, Message, Method};
use std::time::Duration;

const ALICE: &str = "203.0.113.5:5060";
const BOB: &str = "203.0.113.6:5060";
const BILL: &str = "203.0.113.7:5060";

/// Alice (101) calls Bob (102), whose phone rings. Bill is 103, in Bob's group or not.
fn ringing(group: &str, alice: &str, provisional: (&str, &str)) -> Desk {
    let mut desk = Desk::new(&format!(
        "[[account]]\nuser = \"101\"\n[[account]]\nuser = \"102\"\npickup_group = \"sales\"\n[[account]]\nuser = \"103\"\n{group}"
    ));
    for (phone, user) in [(ALICE, "101"), (BOB, "102"), (BILL, "103")] {
        assert_eq!(desk.register(phone, user, &contact(user, phone)), 200);
    }
    let more = format!("{}{alice}", contact("101", ALICE));
    desk.request(ALICE, "INVITE", "sip:102@ringfort.local", "101", &more, &sdp(ALICE, 1, "sendrecv"));
    desk.reply(BOB, provisional.0, "b", &contact("102", BOB), provisional.1);
    desk
}

const RINGS: (&str, &str) = ("180 Ringing", "");
const SALES: &str = "pickup_group = \"sales\"\n";

fn picks_up(desk: &mut Desk, user: &str, bobs_tag: &str, body: &str) -> u16 {
    let invite = desk.requests(BOB, Method::Invite).remove(0);
    let nodes_tag = invite.from().expect("one").tag().expect("one").to_string();
    let replaces = format!("Replaces: {};to-tag={nodes_tag};from-tag={bobs_tag};early-only\r\n", invite.call_id().expect("one"));
    let more = format!("{}{replaces}Require: replaces\r\n", contact(user, BILL));
    desk.request(BILL, "INVITE", "sip:102@ringfort.local", user, &more, body);
    final_of(desk, BILL).status().unwrap_or_default()
}

fn final_of(desk: &Desk, phone: &str) -> Message {
    desk.last_of(phone, |m| m.status().is_some_and(|s| s >= 200) && m.cseq().is_ok_and(|(_, method)| method == Method::Invite))
}

fn acknowledges(desk: &mut Desk, phone: &str) {
    let ok = final_of(desk, phone);
    desk.inside(phone, "ACK", &ok, ok.cseq().expect("one").0, "", "");
}

#[test]
fn s2_16_call_pickup() {
    let mut desk = ringing(SALES, "", RINGS);
    assert_eq!(picks_up(&mut desk, "103", "b", &sdp(BILL, 1, "sendrecv")), 200);
    let cancel = desk.last(BOB);
    assert_eq!(
        (cancel.method(), cancel.header(HeaderName::Reason)),
        (Method::Cancel, Some("SIP;cause=200;text=\"Call completed elsewhere\""))
    );
    let ok = final_of(&desk, ALICE);
    assert_eq!((ok.status(), body(&ok).contains("m=audio")), (Some(200), true));
    assert_eq!(ok.header(HeaderName::PAssertedIdentity), Some("<sip:103@ringfort.local>"), "Alice sees who has her");
    assert_eq!(final_of(&desk, BILL).header(HeaderName::PAssertedIdentity), Some("<sip:101@ringfort.local>"));
    for text in [body(&ok), body(&final_of(&desk, BILL))] {
        assert!(text.contains("192.0.2.10") && !text.contains("203.0.113"), "{text}");
    }
    acknowledges(&mut desk, ALICE);
    acknowledges(&mut desk, BILL);
    desk.receive(BOB, &talk::reply(&cancel, "200 OK", "", ""));
    let invite = desk.requests(BOB, Method::Invite).remove(0);
    desk.reply_to(BOB, &invite, "487 Request Terminated", "b", "", "");
    assert_eq!((desk.status().calls.len(), desk.status().calls[0].state.as_str()), (1, "connected"));
    // A change goes from one to the other, and so does the end.
    let (alice, bill) = (final_of(&desk, ALICE), final_of(&desk, BILL));
    desk.inside(ALICE, "INVITE", &alice, 90, &contact("101", ALICE), &sdp(ALICE, 2, "sendonly"));
    let held = desk.last(BILL);
    assert_eq!((held.method(), body(&held).contains("a=sendonly")), (Method::Invite, true));
    desk.receive(BILL, &talk::reply(&held, "200 OK", &contact("103", BILL), &sdp(BILL, 2, "recvonly")));
    let ok = final_of(&desk, ALICE);
    desk.inside(ALICE, "ACK", &ok, 90, "", "");
    desk.inside(BILL, "BYE", &bill, 91, "", "");
    let bye = desk.last(ALICE);
    assert_eq!(bye.method(), Method::Bye);
    desk.receive(ALICE, &talk::reply(&bye, "200 OK", "", ""));
    desk.pass(Duration::from_secs(40));
    assert_eq!(desk.residue(), [0, 0, 0]);
}

#[test]
fn early_audio_of_who_rang_is_replaced_by_that_of_who_picked_up() {
    let mut desk = ringing(SALES, "Supported: 100rel\r\n", ("183 Session Progress", &sdp(BOB, 1, "sendrecv")));
    let early = desk.last(ALICE);
    assert_eq!(picks_up(&mut desk, "103", "b", &sdp(BILL, 1, "sendrecv")), 200);
    let answered =
        |desk: &Desk| desk.responses(ALICE, 200).iter().any(|m| m.cseq().is_ok_and(|(_, method)| method == Method::Invite));
    assert!(!answered(&desk), "the PRACK has to come first");
    let rack = format!("RAck: {} {} INVITE\r\n", early.header(HeaderName::RSeq).expect("one"), early.cseq().expect("one").0);
    desk.inside(ALICE, "PRACK", &early, 50, &rack, "");
    let ok = desk.last_of(ALICE, |m| m.status() == Some(200) && m.cseq().is_ok_and(|(_, method)| method == Method::Invite));
    assert!(ok.to().unwrap().tag() != early.to().unwrap().tag() && body(&ok).contains("m=audio"));
    assert_eq!(desk.status().calls[0].state, "connected");
}

#[test]
fn one_s_own_call_is_picked_up_at_another_device() {
    let mut desk = ringing("", "", RINGS);
    assert_eq!(desk.register(BILL, "102", &contact("102", BILL)), 200);
    assert_eq!(picks_up(&mut desk, "102", "b", &sdp(BILL, 1, "sendrecv")), 200);
    assert_eq!(final_of(&desk, ALICE).status(), Some(200));
}

#[test]
fn nobody_else_s_call_is_picked_up() {
    for (group, bobs_tag, body, status) in [
        ("", "b", sdp(BILL, 1, "sendrecv"), 403),
        ("pickup_group = \"service\"\n", "b", sdp(BILL, 1, "sendrecv"), 403),
        (SALES, "forged", sdp(BILL, 1, "sendrecv"), 481),
        (SALES, "b", sdp(BILL, 1, "sendrecv").replace("m=audio 4000 RTP/AVP 8", "m=audio 4000 RTP/AVP 3"), 488),
    ] {
        let mut desk = ringing(group, "", RINGS);
        assert_eq!(picks_up(&mut desk, "103", bobs_tag, &body), status, "{group} {bobs_tag}");
        acknowledges(&mut desk, BILL);
        // Bob still has it.
        let invite = desk.requests(BOB, Method::Invite).remove(0);
        desk.reply_to(BOB, &invite, "200 OK", "b", &contact("102", BOB), &sdp(BOB, 1, "sendrecv"));
        assert_eq!(final_of(&desk, ALICE).status(), Some(200));
        desk.input(ringfort_call::Input::HangUp(desk.status().calls[0].call));
        acknowledges(&mut desk, ALICE);
        desk.pass(Duration::from_secs(40));
        assert_eq!(desk.residue(), [0, 0, 0]);
    }
}

/// Bill's phone asks for an offer: it gets Alice's, and she hears by a re-INVITE what he took of it.
#[test]
fn a_call_is_picked_up_without_an_offer() {
    let mut desk = ringing(SALES, "", RINGS);
    assert_eq!(picks_up(&mut desk, "103", "b", ""), 200);
    let ok = final_of(&desk, BILL);
    assert!(body(&ok).contains("m=audio") && body(&ok).contains("192.0.2.10"), "{}", body(&ok));
    assert_eq!(final_of(&desk, ALICE).status(), Some(200));
    acknowledges(&mut desk, ALICE);
    desk.inside(BILL, "ACK", &ok, ok.cseq().expect("one").0, "", &sdp(BILL, 1, "sendrecv"));
    let again = desk.last(ALICE);
    assert_eq!((again.method(), body(&again).contains("m=audio")), (Method::Invite, true));
    desk.receive(ALICE, &talk::reply(&again, "200 OK", &contact("101", ALICE), &sdp(ALICE, 2, "sendrecv")));
    assert_eq!(desk.last(ALICE).method(), Method::Ack);
    let plans = |desk: &Desk| {
        let plan = |c: &RelayCommand| if let RelayCommand::Plan { plan, .. } = c { Some(plan.transmit.rtp) } else { None };
        desk.relayed.iter().rev().filter_map(plan).take(2).collect::<Vec<_>>()
    };
    let told: Vec<_> = plans(&desk).into_iter().flatten().map(|at| at.ip().to_string()).collect();
    assert!(told.contains(&"203.0.113.5".into()) && told.contains(&"203.0.113.7".into()), "{told:?}");
    desk.inside(BILL, "BYE", &ok, 91, "", "");
    assert_eq!(desk.last(ALICE).method(), Method::Bye);
}

#[test]
fn who_picks_up_and_never_says_what_it_takes_has_no_call() {
    for answer in ["".to_string(), sdp(BILL, 1, "sendrecv").replace("RTP/AVP 8", "RTP/AVP 3")] {
        let mut desk = ringing(SALES, "", RINGS);
        assert_eq!(picks_up(&mut desk, "103", "b", ""), 200);
        let ok = final_of(&desk, BILL);
        acknowledges(&mut desk, ALICE);
        desk.inside(BILL, "ACK", &ok, ok.cseq().expect("one").0, "", &answer);
        assert_eq!((desk.last(ALICE).method(), desk.last(BILL).method()), (Method::Bye, Method::Bye));
    }
    // Where Alice has no offer either, there is none to be had.
    let mut desk = Desk::new("[[account]]\nuser = \"101\"\n[[account]]\nuser = \"102\"\n");
    for (phone, user) in [(ALICE, "101"), (BOB, "102"), (BILL, "102")] {
        assert_eq!(desk.register(phone, user, &contact(user, phone)), 200);
    }
    desk.request(ALICE, "INVITE", "sip:102@ringfort.local", "101", &contact("101", ALICE), "");
    desk.reply(BOB, "180 Ringing", "b", &contact("102", BOB), "");
    assert_eq!(picks_up(&mut desk, "102", "b", ""), 488);
}

/// A phone that has to secure its audio does not get out of it by Replaces.
#[test]
fn keys_are_wanted_of_who_picks_up_too() {
    let secured = "[[profile]]\nname = \"s\"\nsrtp = \"required\"\n[[device]]\nuser_agent = \"Bill\"\nprofile = \"s\"\n";
    let mut desk = ringing(&format!("{SALES}{secured}"), "", RINGS);
    let invite = desk.requests(BOB, Method::Invite).remove(0);
    let nodes_tag = invite.from().expect("one").tag().expect("one").to_string();
    let replaces = format!("Replaces: {};to-tag={nodes_tag};from-tag=b\r\n", invite.call_id().expect("one"));
    let more = format!("{}{replaces}User-Agent: Bill\r\n", contact("103", BILL));
    desk.request(BILL, "INVITE", "sip:102@ringfort.local", "103", &more, &sdp(BILL, 1, "sendrecv"));
    assert_eq!(final_of(&desk, BILL).status(), Some(488));
}

/// Too late: Bob was faster, and `early-only` says that his call is not wanted.
#[test]
fn who_is_too_late_gets_nothing() {
    let mut desk = ringing(SALES, "", RINGS);
    let invite = desk.requests(BOB, Method::Invite).remove(0);
    desk.reply_to(BOB, &invite, "200 OK", "b", &contact("102", BOB), &sdp(BOB, 1, "sendrecv"));
    acknowledges(&mut desk, ALICE);
    assert_eq!(picks_up(&mut desk, "103", "b", &sdp(BILL, 1, "sendrecv")), 486);
}

/// What a lamp is told of a ringing phone is what Replaces needs (RFC 4235 4.1.1), and nothing of the phone's own.
#[test]
fn who_watches_learns_what_to_replace() {
    let mut desk = ringing(SALES, "", ("180 Ringing", ""));
    let more = "Event: dialog\r\nAccept: application/dialog-info+xml\r\nExpires: 600\r\n";
    crate::subscriptions::subscribe(&mut desk, BILL, "103", "102", more);
    desk.pass(Duration::from_millis(1_100));
    let told = body(&desk.requests(BILL, Method::Notify).pop().expect("a NOTIFY"));
    let word = |name: &str| told.split(&format!("{name}=\"")).nth(1).and_then(|rest| rest.split('"').next()).expect("a word");
    let invite = desk.requests(BOB, Method::Invite).remove(0);
    let own = [invite.call_id().expect("one"), invite.from().unwrap().tag().expect("one")];
    assert!(own.iter().all(|own| !told.contains(own)), "{told}");
    for (remote, status) in [("n9", 481), (word("remote-tag"), 200)] {
        let replaces = format!("Replaces: {};to-tag={remote};from-tag={}\r\n", word("call-id"), word("local-tag"));
        let more = format!("{}{replaces}", contact("103", BILL));
        desk.request(BILL, "INVITE", "sip:102@ringfort.local", "103", &more, &sdp(BILL, 1, "sendrecv"));
        assert_eq!(final_of(&desk, BILL).status(), Some(status));
    }
    assert_eq!(final_of(&desk, ALICE).status(), Some(200));
}
