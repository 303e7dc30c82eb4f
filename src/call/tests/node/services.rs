//! The services of RFC 5359 by its sections, each through the node from the first INVITE to the last BYE. Transfers (2.4, 2.5) have
//! `transfer.rs` and `refer.rs` of their own; pickup (2.16) has `pickup.rs`. A server that parks calls (2.15)
//! registers as an account. Not here: 2.6, a transfer of instant messages, where a REFER outside any call makes the other side send a
//! MESSAGE: the node follows REFER for calls only, as 2.18 shows.

use crate::fixture::Desk;
use crate::subscriptions::{accept, subscribe};
use crate::talk::{self, End, body, contact, sdp};
use ringfort_sip::message::{HeaderName, Message, Method};
use std::time::Duration;

const ALICE: &str = "203.0.113.5:5060";
const BOB: &str = "203.0.113.6:5060";
const CAROL: &str = "203.0.113.7:5060";
const MOBILE: &str = "198.51.100.1:5060";

/// Alice is 101, Bob 102, Carol 103; numbers with 0 lead to a trunk. `bob` and `carol` say where their calls go instead.
fn house(bob: &str, carol: &str) -> Desk {
    let account = |user: &str, forward: &str| format!("[[account]]\nuser = \"{user}\"\nforward = {{ {forward} }}\n");
    let accounts = [account("101", ""), account("102", bob), account("103", carol)].concat();
    let mut desk = Desk::new(&format!(
        "[[trunk]]\nname = \"mobile\"\naddress = \"{MOBILE}\"\noptions_interval_ms = 0\n{accounts}\
         [[route]]\nname = \"out\"\nnumber = \"0*\"\nto = [\"trunk:mobile\"]\n\
         [[route]]\nname = \"nobody\"\nnumber = \"9*\"\ndeny = 403\n"
    ));
    for (phone, user) in [(ALICE, "101"), (BOB, "102"), (CAROL, "103")] {
        assert_eq!(desk.register(phone, user, &contact(user, phone)), 200);
    }
    desk
}

fn calls(desk: &mut Desk, (from, user): (&'static str, &str), number: &str, to: &'static str) -> (End, End) {
    talk::call(desk, (from, user, ""), number, (to, ""))
}

/// One side changes what it sends, the other agrees.
fn change(desk: &mut Desk, (one, other): (&mut End, &End), version: u32, direction: &str, answer: &str) {
    one.send(desk, "INVITE", "", &sdp(one.address, version, direction));
    other.answer(desk, "200 OK", "", &sdp(other.address, version, answer));
    one.ack(desk, "");
}

fn hangs_up(desk: &mut Desk, one: &mut End, other: &End) {
    one.send(desk, "BYE", "", "");
    assert_eq!(other.asked(desk).method(), Method::Bye);
    other.answer(desk, "200 OK", "", "");
}

fn nothing_is_left(mut desk: Desk) {
    desk.pass(Duration::from_secs(40));
    assert_eq!(desk.residue(), [0, 0, 0]);
}

fn state(desk: &Desk, call: usize) -> String {
    desk.status().calls[call].state.clone()
}

fn rings(desk: &mut Desk, at: &str) -> Message {
    let invite = desk.requests(at, Method::Invite).pop().expect("an INVITE");
    desk.reply_to(at, &invite, "180 Ringing", "r", &contact("x", at), "");
    invite
}

/// The last INVITE of a party is answered, and everything acknowledged.
fn answers(desk: &mut Desk, caller: &'static str, callee: &'static str) -> (End, End) {
    let invite = desk.requests(callee, Method::Invite).pop().expect("an INVITE");
    desk.reply_to(callee, &invite, "200 OK", "r", &contact("x", callee), &sdp(callee, 1, "sendrecv"));
    let ok = desk.last_of(caller, |m| m.status() == Some(200) && m.cseq().is_ok_and(|(_, method)| method == Method::Invite));
    let field = |m: &Message, name| m.header(name).expect("a field").to_string();
    let mut one = End {
        address: caller,
        call_id: field(&ok, HeaderName::CallId),
        local: field(&ok, HeaderName::From),
        remote: field(&ok, HeaderName::To),
        cseq: ok.cseq().expect("one").0,
    };
    one.ack(desk, "");
    let local = format!("{};tag=r", field(&invite, HeaderName::To));
    let other = End {
        address: callee,
        call_id: field(&invite, HeaderName::CallId),
        local,
        remote: field(&invite, HeaderName::From),
        cseq: 0,
    };
    (one, other)
}

fn dials(desk: &mut Desk, number: &str) {
    desk.request(
        ALICE,
        "INVITE",
        &format!("sip:{number}@ringfort.local"),
        "101",
        &contact("101", ALICE),
        &sdp(ALICE, 1, "sendrecv"),
    );
}

#[test]
fn s2_1_call_hold() {
    let mut desk = house("", "");
    let (mut alice, mut bob) = calls(&mut desk, (ALICE, "101"), "102", BOB);
    change(&mut desk, (&mut bob, &alice), 2, "sendonly", "recvonly");
    assert_eq!(state(&desk, 0), "held");
    assert!(body(&bob.answered(&desk)).contains("a=recvonly"));
    change(&mut desk, (&mut bob, &alice), 3, "sendrecv", "sendrecv");
    assert_eq!(state(&desk, 0), "connected");
    hangs_up(&mut desk, &mut alice, &bob);
    nothing_is_left(desk);
}

#[test]
fn s2_2_consultation_hold() {
    let mut desk = house("", "");
    let (mut alice, mut bob) = calls(&mut desk, (ALICE, "101"), "102", BOB);
    change(&mut desk, (&mut bob, &alice), 2, "sendonly", "recvonly");
    let (mut consult, carol) = calls(&mut desk, (BOB, "102"), "103", CAROL);
    assert_eq!((state(&desk, 0), state(&desk, 1)), ("held".into(), "connected".into()));
    hangs_up(&mut desk, &mut consult, &carol);
    change(&mut desk, (&mut bob, &alice), 3, "sendrecv", "sendrecv");
    assert_eq!(state(&desk, 0), "connected");
    hangs_up(&mut desk, &mut alice, &bob);
    nothing_is_left(desk);
}

/// Bob asks Alice for an offer, takes it to a music server of his and answers with the server's description: music comes from elsewhere.
#[test]
fn s2_3_music_on_hold() {
    let mut desk = house("", "");
    let (mut alice, mut bob) = calls(&mut desk, (ALICE, "101"), "102", BOB);
    bob.send(&mut desk, "INVITE", "", "");
    alice.answer(&mut desk, "200 OK", "", &sdp(ALICE, 2, "sendrecv"));
    assert!(body(&bob.answered(&desk)).contains("m=audio"), "Alice's offer, by the node");
    let music = sdp("203.0.113.99:5060", 1, "sendonly");
    bob.ack(&mut desk, &music);
    let told = body(&alice.asked(&desk));
    assert!(told.contains("a=sendonly") && told.contains("192.0.2.10") && !told.contains("203.0.113.99"), "{told}");
    assert_eq!(state(&desk, 0), "held");
    change(&mut desk, (&mut bob, &alice), 3, "sendrecv", "sendrecv");
    assert_eq!(state(&desk, 0), "connected");
    hangs_up(&mut desk, &mut alice, &bob);
    nothing_is_left(desk);
}

#[test]
fn s2_7_call_forwarding_unconditional() {
    let mut desk = house("always = \"103\"", "");
    dials(&mut desk, "102");
    assert!(desk.requests(BOB, Method::Invite).is_empty());
    rings(&mut desk, CAROL);
    let (mut alice, carol) = answers(&mut desk, ALICE, CAROL);
    hangs_up(&mut desk, &mut alice, &carol);
    nothing_is_left(desk);
}

#[test]
fn s2_8_call_forwarding_on_busy() {
    let mut desk = house("busy = \"103\"", "");
    dials(&mut desk, "102");
    desk.reply(BOB, "486 Busy Here", "b", "", "");
    assert_eq!(desk.requests(CAROL, Method::Invite)[0].values(HeaderName::Diversion).count(), 1);
    let (mut alice, carol) = answers(&mut desk, ALICE, CAROL);
    hangs_up(&mut desk, &mut alice, &carol);
    nothing_is_left(desk);
}

#[test]
fn s2_9_call_forwarding_on_no_answer() {
    let mut desk = house("no_answer = \"103\", no_answer_s = 15", "");
    dials(&mut desk, "102");
    let invite = rings(&mut desk, BOB);
    desk.pass(Duration::from_secs(14));
    assert!(desk.requests(CAROL, Method::Invite).is_empty());
    desk.pass(Duration::from_secs(2));
    assert!(!desk.requests(BOB, Method::Cancel).is_empty());
    desk.receive(BOB, &talk::reply(&desk.requests(BOB, Method::Cancel)[0], "200 OK", "", ""));
    desk.reply_to(BOB, &invite, "487 Request Terminated", "r", "", "");
    let (mut alice, carol) = answers(&mut desk, ALICE, CAROL);
    hangs_up(&mut desk, &mut alice, &carol);
    nothing_is_left(desk);
}

/// Bob's phone mixes: he holds Alice, calls Carol and takes Alice back, and both calls stand at once.
#[test]
fn s2_10_three_way_conference_by_the_phone() {
    let mut desk = house("", "");
    let (alice, mut bob) = calls(&mut desk, (ALICE, "101"), "102", BOB);
    change(&mut desk, (&mut bob, &alice), 2, "sendonly", "recvonly");
    let (mut added, carol) = calls(&mut desk, (BOB, "102"), "103", CAROL);
    change(&mut desk, (&mut bob, &alice), 3, "sendrecv", "sendrecv");
    assert_eq!((state(&desk, 0), state(&desk, 1)), ("connected".into(), "connected".into()));
    hangs_up(&mut desk, &mut added, &carol);
    assert_eq!(state(&desk, 0), "connected");
    hangs_up(&mut desk, &mut bob, &alice);
    nothing_is_left(desk);
}

/// The same by REFER: Alice is sent to the bridge that Carol's number is, and Bob dials it himself.
#[test]
fn s2_10_three_way_conference_by_refer() {
    let mut desk = house("", "");
    let (alice, mut bob) = calls(&mut desk, (ALICE, "101"), "102", BOB);
    bob.send(&mut desk, "REFER", "Refer-To: <sip:103@ringfort.local>\r\n", "");
    let invite = desk.requests(CAROL, Method::Invite).remove(0);
    let more = format!("{}{}", contact("103", CAROL), talk::ALLOWS_UPDATE);
    desk.reply_to(CAROL, &invite, "200 OK", "b1", &more, &sdp(CAROL, 1, "sendrecv"));
    for notify in desk.requests(BOB, Method::Notify) {
        desk.receive(BOB, &talk::reply(&notify, "200 OK", "", ""));
    }
    assert_eq!(bob.asked(&desk).method(), Method::Bye);
    bob.answer(&mut desk, "200 OK", "", "");
    alice.answer(&mut desk, "200 OK", "", &sdp(ALICE, 2, "sendrecv"));
    let update = desk.requests(CAROL, Method::Update).remove(0);
    assert_eq!(update.header(HeaderName::PAssertedIdentity), Some("<sip:101@ringfort.local>"));
    desk.receive(CAROL, &talk::reply(&update, "200 OK", &more, ""));
    let (mut own, bridge) = calls(&mut desk, (BOB, "102"), "103", CAROL);
    desk.pass(Duration::from_secs(2));
    assert_eq!(desk.status().calls.len(), 2, "two parties at the bridge");
    hangs_up(&mut desk, &mut own, &bridge);
    let mut alice = alice;
    alice.send(&mut desk, "BYE", "", "");
    let bye = desk.requests(CAROL, Method::Bye).pop().expect("a BYE");
    desk.receive(CAROL, &talk::reply(&bye, "200 OK", "", ""));
    nothing_is_left(desk);
}

/// The one who joins would ask by Join (RFC 3911). It is refused, so that he is taken in by the phone that mixes, as above.
#[test]
fn s2_11_three_way_conference_by_join_is_refused() {
    let mut desk = house("", "");
    let (mut alice, bob) = calls(&mut desk, (ALICE, "101"), "102", BOB);
    let tag = |field: &str| field.split(";tag=").nth(1).unwrap_or_default().to_string();
    let join = format!("Join: {};to-tag={};from-tag={}\r\n", bob.call_id, tag(&bob.remote), tag(&bob.local));
    let more = format!("{}{join}", contact("103", CAROL));
    desk.request(CAROL, "INVITE", "sip:102@ringfort.local", "103", &more, &sdp(CAROL, 1, "sendrecv"));
    assert_eq!(desk.answer(CAROL), 488);
    desk.request(
        CAROL,
        "INVITE",
        "sip:102@ringfort.local",
        "103",
        &format!("{more}Require: join\r\n"),
        &sdp(CAROL, 1, "sendrecv"),
    );
    assert_eq!((desk.answer(CAROL), desk.last(CAROL).header(HeaderName::Unsupported)), (420, Some("join")));
    assert_eq!(state(&desk, 0), "connected");
    hangs_up(&mut desk, &mut alice, &bob);
    nothing_is_left(desk);
}

/// Calls from some numbers do not reach Bob.
#[test]
fn s2_13_incoming_call_screening() {
    let mut desk = Desk::new(&format!(
        "[[trunk]]\nname = \"mobile\"\naddress = \"{MOBILE}\"\noptions_interval_ms = 0\n[[account]]\nuser = \"102\"\n\
         [[route]]\nname = \"unwanted\"\nnumber = \"102\"\ncaller = [\"0900*\"]\ndeny = 603\n"
    ));
    assert_eq!(desk.register(BOB, "102", &contact("102", BOB)), 200);
    let invite = |desk: &mut Desk, from: &str| {
        desk.request(MOBILE, "INVITE", "sip:102@ringfort.local", from, &contact("gw", MOBILE), &sdp(MOBILE, 1, "sendrecv"));
    };
    invite(&mut desk, "0900123");
    assert_eq!((desk.answer(MOBILE), desk.requests(BOB, Method::Invite).len()), (603, 0));
    invite(&mut desk, "0301");
    assert_eq!(desk.requests(BOB, Method::Invite).len(), 1);
}

/// Bob, then Carol, then the mobile phone.
#[test]
fn s2_12_find_me() {
    let mut desk = house("no_answer = \"103\", no_answer_s = 10", "no_answer = \"0777\", no_answer_s = 10");
    dials(&mut desk, "102");
    for phone in [BOB, CAROL] {
        let invite = rings(&mut desk, phone);
        desk.pass(Duration::from_secs(11));
        let cancel = desk.requests(phone, Method::Cancel).remove(0);
        desk.receive(phone, &talk::reply(&cancel, "200 OK", "", ""));
        desk.reply_to(phone, &invite, "487 Request Terminated", "r", "", "");
    }
    rings(&mut desk, MOBILE);
    let (mut alice, mobile) = answers(&mut desk, ALICE, MOBILE);
    hangs_up(&mut desk, &mut alice, &mobile);
    nothing_is_left(desk);
}

#[test]
fn s2_14_outgoing_call_screening() {
    let mut desk = house("", "");
    dials(&mut desk, "900123");
    assert_eq!(desk.answer(ALICE), 403);
    desk.request(ALICE, "ACK", "sip:900123@ringfort.local", "101", "", "");
    nothing_is_left(desk);
}

/// Bob sends Alice to the server that parks calls; Carol sees her there and takes her by Replaces.
#[test]
fn s2_15_call_park() {
    const PARK: &str = "203.0.113.8:5060";
    let group = "pickup_group = \"house\"\n";
    let mut desk = Desk::new(&format!(
        "[[account]]\nuser = \"101\"\n[[account]]\nuser = \"102\"\n{group}[[account]]\nuser = \"103\"\n{group}\
         [[account]]\nuser = \"700\"\nparks = true\n{group}"
    ));
    for (phone, user) in [(ALICE, "101"), (BOB, "102"), (CAROL, "103"), (PARK, "700")] {
        assert_eq!(desk.register(phone, user, &contact(user, phone)), 200);
    }
    let (mut alice, mut bob) = calls(&mut desk, (ALICE, "101"), "102", BOB);
    bob.send(&mut desk, "REFER", "Refer-To: <sip:700@ringfort.local>\r\nRefer-Sub: false\r\n", "");
    let invite = desk.requests(PARK, Method::Invite).remove(0);
    let more = format!("{}{}", contact("700", PARK), talk::ALLOWS_UPDATE);
    desk.reply_to(PARK, &invite, "200 OK", "p", &more, &sdp(PARK, 1, "sendrecv"));
    alice.answer(&mut desk, "200 OK", "", &sdp(ALICE, 2, "sendrecv"));
    let update = desk.requests(PARK, Method::Update).remove(0);
    desk.receive(PARK, &talk::reply(&update, "200 OK", &more, ""));
    bob.answer(&mut desk, "200 OK", "", "");
    subscribe(&mut desk, CAROL, "103", "700", "Event: dialog\r\nAccept: application/dialog-info+xml\r\nExpires: 600\r\n");
    desk.pass(Duration::from_millis(1_100));
    let told = body(&desk.requests(CAROL, Method::Notify).pop().expect("a NOTIFY"));
    accept(&mut desk, CAROL, "200 OK");
    let word = |name: &str| told.split(&format!("{name}=\"")).nth(1).and_then(|rest| rest.split('"').next()).unwrap_or_default();
    let replaces = format!("Replaces: {};to-tag={};from-tag={}\r\n", word("call-id"), word("remote-tag"), word("local-tag"));
    // Alice herself is not of the house, and nobody takes who is not parked.
    let takes = |desk: &mut Desk, at: &str, user: &str, replaces: &str| {
        let more = format!("{}{replaces}", contact(user, at));
        desk.request(at, "INVITE", "sip:700@ringfort.local", user, &more, &sdp(at, 1, "sendrecv"));
    };
    takes(&mut desk, ALICE, "101", &replaces);
    assert_eq!(desk.answer(ALICE), 403);
    takes(&mut desk, CAROL, "103", &replaces.replace("callee", "caller"));
    assert_eq!(desk.answer(CAROL), 403);
    takes(&mut desk, CAROL, "103", &replaces);
    let asked = alice.asked(&desk);
    assert_eq!(asked.method(), Method::Invite);
    alice.answer(&mut desk, "200 OK", "", &sdp(ALICE, 3, "sendrecv"));
    let ok = desk.last_of(CAROL, |m| m.status() == Some(200) && m.cseq().is_ok_and(|(_, method)| method == Method::Invite));
    desk.inside(CAROL, "ACK", &ok, ok.cseq().expect("one").0, "", "");
    let bye = desk.requests(PARK, Method::Bye).pop().expect("the server is rid of her");
    desk.receive(PARK, &talk::reply(&bye, "200 OK", "", ""));
    alice.send(&mut desk, "BYE", "", "");
    let bye = desk.requests(CAROL, Method::Bye).pop().expect("a BYE");
    desk.receive(CAROL, &talk::reply(&bye, "200 OK", "", ""));
    desk.pass(Duration::from_secs(40));
    assert_eq!(desk.status().calls.len(), 0);
}

/// Bob is busy; Alice watches him and calls again when he is free.
#[test]
fn s2_17_automatic_redial() {
    let mut desk = house("", "");
    let (mut carol, bob) = calls(&mut desk, (CAROL, "103"), "102", BOB);
    dials(&mut desk, "102");
    desk.reply(BOB, "486 Busy Here", "b", "", "");
    assert_eq!(desk.last_of(ALICE, |m| m.status().is_some_and(|s| s >= 300)).status(), Some(486));
    subscribe(&mut desk, ALICE, "101", "102", "Event: dialog\r\nAccept: application/dialog-info+xml\r\nExpires: 600\r\n");
    let told = |desk: &mut Desk| {
        desk.pass(Duration::from_millis(1_100));
        let notify = desk.requests(ALICE, Method::Notify).pop().expect("a NOTIFY");
        accept(desk, ALICE, "200 OK");
        body(&notify)
    };
    assert!(told(&mut desk).contains("<state>confirmed</state>"));
    hangs_up(&mut desk, &mut carol, &bob);
    assert!(told(&mut desk).contains("<state>terminated</state>"));
    dials(&mut desk, "102");
    rings(&mut desk, BOB);
    let (mut alice, bob) = answers(&mut desk, ALICE, BOB);
    hangs_up(&mut desk, &mut alice, &bob);
    desk.pass(Duration::from_secs(40));
    assert_eq!(desk.status().calls.len(), 0);
}

/// Nobody outside a call makes the node dial.
#[test]
fn s2_18_click_to_dial_is_refused() {
    let mut desk = house("", "");
    let more = format!("{}Refer-To: <sip:102@ringfort.local>\r\n", contact("101", ALICE));
    desk.request(ALICE, "REFER", "sip:101@ringfort.local", "101", &more, "");
    assert_eq!((desk.answer(ALICE), desk.requests(BOB, Method::Invite).len()), (403, 0));
}
