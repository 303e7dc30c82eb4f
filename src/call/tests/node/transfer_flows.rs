//! Flows of RFC 5589 beside those of `transfer.rs` (6.1, 6.2, 6.3.1, 7.3) and `refer.rs` (7.4, who cannot REFER; 7.6; 8, Referred-By), named
//! after their sections. Of the others, 7.5 does not arise: every contact that a peer sees is the node's, and is routable. 9, a
//! conference on the way to a transfer, is `services.rs` 2.10. 11 tells what a gateway does when its own transfers come back to it: the
//! node hands the call to itself, as 7.2 does, and ends what goes in a ring.

use crate::fixture::Desk;
use crate::talk::{self, CONFIG, End, PHONE, TRUNK, body, contact, sdp};
use ringfort_sip::message::{Message, Method};
use std::time::Duration;

const TARGET: &str = "203.0.113.9:5060";
const ROOM: &str = "203.0.113.10:5060";

/// A carrier's call to 102 (the transferor); 103 is the target, 101 another phone.
fn talking() -> (Desk, End, End) {
    let mut desk = Desk::new(CONFIG);
    for (phone, user) in [(PHONE, "102"), (TARGET, "103"), (ROOM, "101")] {
        assert_eq!(desk.register(phone, user, &contact(user, phone)), 200);
    }
    let (trunk, phone) = talk::call(&mut desk, (TRUNK, "0301", ""), "102", (PHONE, ""));
    (desk, trunk, phone)
}

fn refer(desk: &mut Desk, end: &mut End, to: &str) {
    end.send(desk, "REFER", &format!("Refer-To: {to}\r\n"), "");
    assert_eq!(end.status(desk), 202);
}

fn accept_notifies(desk: &mut Desk, at: &str) {
    for notify in desk.requests(at, Method::Notify) {
        desk.receive(at, &talk::reply(&notify, "200 OK", "", ""));
    }
}

fn last_news(desk: &Desk, at: &str) -> String {
    desk.requests(at, Method::Notify).last().map(|notify| body(notify).trim().to_string()).unwrap_or_default()
}

/// The target answers; everybody agrees to what follows.
fn target_answers(desk: &mut Desk, at: &'static str, remains: &End, version: u32) -> End {
    let invite = desk.requests(at, Method::Invite).pop().expect("an INVITE");
    desk.reply_to(at, &invite, "200 OK", "tt", &format!("{}{}", contact("x", at), talk::ALLOWS_UPDATE), &sdp(at, 1, "sendrecv"));
    assert_eq!(remains.asked(desk).method(), Method::Invite);
    remains.answer(desk, "200 OK", "", &sdp(remains.address, version, "sendrecv"));
    let field = |m: &Message, name| m.header(name).expect("a field").to_string();
    use ringfort_sip::message::HeaderName as H;
    let end = End {
        address: at,
        call_id: field(&invite, H::CallId),
        local: format!("{};tag=tt", field(&invite, H::To)),
        remote: field(&invite, H::From),
        cseq: 0,
    };
    assert_eq!(end.asked(desk).method(), Method::Update, "the target learns who is there");
    end.answer(desk, "200 OK", talk::ALLOWS_UPDATE, "");
    end
}

fn leaves(desk: &mut Desk, referrer: &End) {
    accept_notifies(desk, referrer.address);
    assert_eq!(referrer.asked(desk).method(), Method::Bye);
    referrer.answer(desk, "200 OK", "", "");
}

fn ends(mut desk: Desk, mut one: End, other: &End) {
    one.send(&mut desk, "BYE", "", "");
    assert_eq!(other.asked(&desk).method(), Method::Bye);
    other.answer(&mut desk, "200 OK", "", "");
    desk.pass(Duration::from_secs(40));
    assert_eq!(desk.residue(), [0, 0, 0]);
}

fn named(end: &End) -> String {
    let tag = |field: &str| field.split(";tag=").nth(1).unwrap_or_default().to_string();
    format!("{}%3Bto-tag%3D{}%3Bfrom-tag%3D{}", end.call_id, tag(&end.remote), tag(&end.local))
}

/// 6.2.2: nobody answers; the transferor takes its party back.
#[test]
fn s6_2_2_transfer_target_does_not_answer() {
    let (mut desk, trunk, mut phone) = talking();
    phone.send(&mut desk, "INVITE", "", &sdp(PHONE, 2, "sendonly"));
    trunk.answer(&mut desk, "200 OK", "", &sdp(TRUNK, 2, "recvonly"));
    phone.ack(&mut desk, "");
    refer(&mut desk, &mut phone, "<sip:103@ringfort.local>");
    let invite = desk.requests(TARGET, Method::Invite).remove(0);
    desk.reply_to(TARGET, &invite, "180 Ringing", "tt", &contact("103", TARGET), "");
    accept_notifies(&mut desk, PHONE);
    desk.reply_to(TARGET, &invite, "480 Temporarily Unavailable", "tt", "", "");
    assert!(last_news(&desk, PHONE).starts_with("SIP/2.0 480"));
    accept_notifies(&mut desk, PHONE);
    phone.send(&mut desk, "INVITE", "", &sdp(PHONE, 3, "sendrecv"));
    trunk.answer(&mut desk, "200 OK", "", &sdp(TRUNK, 3, "sendrecv"));
    phone.ack(&mut desk, "");
    assert_eq!(desk.status().calls[0].state, "connected");
    ends(desk, trunk, &phone);
}

/// 7.1: the target is consulted, that call ends, and a plain transfer follows.
#[test]
fn s7_1_exposing_transfer_target() {
    let (mut desk, trunk, mut phone) = talking();
    let (mut consult, target) = talk::call(&mut desk, (PHONE, "102", ""), "103", (TARGET, ""));
    consult.send(&mut desk, "BYE", "", "");
    target.answer(&mut desk, "200 OK", "", "");
    refer(&mut desk, &mut phone, "<sip:103@ringfort.local>");
    let target = target_answers(&mut desk, TARGET, &trunk, 2);
    leaves(&mut desk, &phone);
    ends(desk, trunk, &target);
}

/// 7.2: the target refers the party to itself by Replaces; here the roles turn, and the transferor's other call is replaced.
#[test]
fn s7_2_protecting_transfer_target() {
    let (mut desk, trunk, phone) = talking();
    let (mut consult, target) = talk::call(&mut desk, (PHONE, "102", ""), "103", (TARGET, ""));
    // The transferor refers its consultation call to the party that waits.
    refer(&mut desk, &mut consult, &format!("<sip:0301@ringfort.local?Replaces={}>", named(&phone)));
    leaves(&mut desk, &consult);
    assert_eq!(phone.asked(&desk).method(), Method::Bye);
    phone.answer(&mut desk, "200 OK", "", "");
    assert_eq!(target.asked(&desk).method(), Method::Invite);
    target.answer(&mut desk, "200 OK", "", &sdp(TARGET, 2, "sendrecv"));
    assert_eq!(trunk.asked(&desk).method(), Method::Invite);
    trunk.answer(&mut desk, "200 OK", "", &sdp(TRUNK, 2, "sendrecv"));
    desk.pass(Duration::from_secs(2));
    assert_eq!(desk.status().calls.len(), 1);
    ends(desk, trunk, &target);
}

/// 7.7: the dialog to be replaced is gone; the transferor is told and falls back to a plain transfer.
#[test]
fn s7_7_attended_transfer_fallback_to_basic_transfer() {
    let (mut desk, trunk, mut phone) = talking();
    let (mut consult, target) = talk::call(&mut desk, (PHONE, "102", ""), "103", (TARGET, ""));
    let gone = named(&consult);
    consult.send(&mut desk, "BYE", "", "");
    target.answer(&mut desk, "200 OK", "", "");
    desk.pass(Duration::from_secs(2));
    refer(&mut desk, &mut phone, &format!("<sip:103@ringfort.local?Replaces={gone}>"));
    assert!(last_news(&desk, PHONE).starts_with("SIP/2.0 481"));
    accept_notifies(&mut desk, PHONE);
    refer(&mut desk, &mut phone, "<sip:103@ringfort.local>");
    let target = target_answers(&mut desk, TARGET, &trunk, 2);
    leaves(&mut desk, &phone);
    ends(desk, trunk, &target);
}

/// 10: the target of a transfer transfers once more.
#[test]
fn s10_transfer_with_multiple_parties() {
    let (mut desk, trunk, mut phone) = talking();
    refer(&mut desk, &mut phone, "<sip:103@ringfort.local>");
    let mut target = target_answers(&mut desk, TARGET, &trunk, 2);
    leaves(&mut desk, &phone);
    refer(&mut desk, &mut target, "<sip:101@ringfort.local>");
    let room = target_answers(&mut desk, ROOM, &trunk, 3);
    leaves(&mut desk, &target);
    desk.pass(Duration::from_secs(2));
    assert_eq!(desk.status().calls.len(), 1);
    ends(desk, trunk, &room);
}
