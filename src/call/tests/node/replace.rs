//! INVITE with Replaces (RFC 3891), and what cannot be done with one; BYE with Reason.

use crate::fixture::Desk;
use crate::talk::{self, CONFIG, End, PHONE, TRUNK, body, contact, sdp};
use ringfort_sip::message::{HeaderName, Message, Method};
use std::time::Duration;

const HAND: &str = "203.0.113.9:5060";

/// A carrier's call to 102 on its desk phone; 102 and 103 are registered on further devices.
fn talking() -> (Desk, End, End) {
    let mut desk = Desk::new(CONFIG);
    assert_eq!(desk.register(PHONE, "102", &contact("102", PHONE)), 200);
    let (trunk, phone) = talk::call(&mut desk, (TRUNK, "0301", ""), "102", (PHONE, ""));
    assert_eq!(desk.register(HAND, "102", &contact("102", HAND)), 200);
    (desk, trunk, phone)
}

fn tag(field: &str) -> String {
    field.split(";tag=").nth(1).unwrap_or_default().to_string()
}

fn pull(desk: &mut Desk, user: &str, phone: &End, more: &str) {
    let replaces = format!("Replaces: {};to-tag={};from-tag={}{more}\r\n", phone.call_id, tag(&phone.remote), tag(&phone.local));
    let more = format!("{}{replaces}", contact(user, HAND));
    desk.request(HAND, "INVITE", "sip:102@ringfort.local", user, &more, &sdp(HAND, 1, "sendrecv"));
}

fn final_of(desk: &Desk) -> Message {
    desk.last_of(HAND, |m| m.method() == Method::Invite && m.status().is_some_and(|s| s >= 200))
}

#[test]
fn a_device_pulls_the_call_of_its_user() {
    let (mut desk, mut trunk, phone) = talking();
    pull(&mut desk, "102", &phone, "");
    let asked = trunk.asked(&desk);
    assert_eq!(asked.method(), Method::Invite);
    assert_ne!(phone.asked(&desk).method(), Method::Bye, "the old device is released when the new one has its answer");
    trunk.answer(&mut desk, "200 OK", "", &sdp(TRUNK, 2, "sendrecv"));
    let ok = final_of(&desk);
    assert_eq!((ok.status(), body(&ok).contains("m=audio")), (Some(200), true));
    assert_eq!(phone.asked(&desk).method(), Method::Bye);
    assert_eq!(trunk.asked(&desk).method(), Method::Ack);
    trunk.send(&mut desk, "INFO", "Content-Type: application/dtmf-relay\r\n", "Signal=1\r\n");
    assert_eq!(desk.last(HAND).method(), Method::Info);
    trunk.send(&mut desk, "BYE", "", "");
    desk.pass(Duration::from_secs(40));
    assert_eq!(desk.last_of(HAND, |m| m.is_request() && m.method() == Method::Bye).method(), Method::Bye);
    assert_eq!(desk.status().calls.len(), 0);
}

/// What a user's clients are told of each other is what Replaces asks for; whoever is unknown stays so.
#[test]
fn a_seat_names_the_dialog_that_another_client_may_take() {
    for (more, peer) in [("", "0301"), ("Privacy: id\r\n", "")] {
        let mut desk = Desk::new(CONFIG);
        assert_eq!(desk.register(PHONE, "102", &contact("102", PHONE)), 200);
        let (mut trunk, phone) = talk::call(&mut desk, (TRUNK, "0301", more), "102", (PHONE, ""));
        let seats = desk.status().seats;
        assert_eq!(seats.len(), 1, "the carrier has no clients: {seats:?}");
        let seat = &seats[0];
        assert_eq!((seat.user.reveal().as_str(), seat.peer.reveal().as_str(), seat.outgoing), ("102", peer, false));
        assert_eq!((seat.call_id.reveal(), &seat.node_tag), (&phone.call_id, &tag(&phone.remote)));
        assert_eq!((&seat.client_tag, seat.held), (&tag(&phone.local), false));
        assert_eq!(desk.register(HAND, "102", &contact("102", HAND)), 200);
        pull(&mut desk, "102", &phone, "");
        trunk.answer(&mut desk, "200 OK", "", &sdp(TRUNK, 2, "sendrecv"));
        let seats = desk.status().seats;
        assert_eq!((seats.len(), seats[0].user.reveal().as_str()), (1, "102"));
        assert_eq!(*seats[0].call_id.reveal(), final_of(&desk).call_id().unwrap(), "the new client's dialog");
        trunk.send(&mut desk, "BYE", "", "");
        assert!(desk.status().seats.is_empty());
    }
}

#[test]
fn what_is_refused_leaves_the_call_where_it_was() {
    let (mut desk, mut trunk, phone) = talking();
    pull(&mut desk, "102", &phone, "");
    trunk.answer(&mut desk, "488 Not Acceptable Here", "", "");
    assert_eq!(final_of(&desk).status(), Some(488));
    assert!(final_of(&desk).to().unwrap().tag().is_some());
    trunk.send(&mut desk, "INVITE", "", &sdp(TRUNK, 3, "sendonly"));
    assert_eq!(phone.asked(&desk).method(), Method::Invite);
    assert_eq!(desk.status().calls.len(), 1);
}

#[test]
fn each_refusal_of_replaces() {
    let (mut desk, _, mut phone) = talking();
    pull(&mut desk, "102", &phone, ";early-only");
    assert_eq!(final_of(&desk).status(), Some(486));
    let forged = End { local: "x;tag=forged".into(), ..phone.clone() };
    pull(&mut desk, "102", &forged, "");
    assert_eq!(final_of(&desk).status(), Some(481));
    assert_eq!(desk.register(HAND, "103", &contact("103", HAND)), 200);
    pull(&mut desk, "103", &phone, "");
    assert_eq!(final_of(&desk).status(), Some(403));
    pull(&mut desk, "102", &phone, "\r\nReplaces: a;to-tag=b;from-tag=c");
    assert_eq!(final_of(&desk).status(), Some(400));
    phone.send(&mut desk, "BYE", "", "");
    pull(&mut desk, "102", &phone, "");
    assert!(matches!(final_of(&desk).status(), Some(481 | 603)));
}

/// RFC 3911: nobody joins a call of two.
#[test]
fn join_is_refused() {
    let (mut desk, ..) = talking();
    let join = format!("{}Join: a;to-tag=b;from-tag=c\r\n", contact("102", HAND));
    desk.request(HAND, "INVITE", "sip:102@ringfort.local", "102", &join, &sdp(HAND, 1, "sendrecv"));
    let refusal = final_of(&desk);
    assert_eq!(refusal.status(), Some(488));
    assert!(refusal.header(HeaderName::Warning).is_some_and(|warning| warning.contains("Join")));
    desk.request(HAND, "INVITE", "sip:102@ringfort.local", "102", &format!("{join}Require: join\r\n"), "");
    assert_eq!((final_of(&desk).status(), final_of(&desk).header(HeaderName::Unsupported)), (Some(420), Some("join")));
}

#[test]
fn a_reason_passes_from_bye_to_bye() {
    let (mut desk, mut trunk, phone) = talking();
    trunk.send(&mut desk, "BYE", "Reason: Q.850;cause=16;text=\"released by gw7.inside\"\r\n", "");
    let bye = phone.asked(&desk);
    assert_eq!((bye.method(), bye.header(HeaderName::Reason)), (Method::Bye, Some("Q.850;cause=16")));
}

/// RFC 3261 15: the BYE waits for the ACK. A process that dies meanwhile leaves it to the next one.
#[test]
fn a_bye_that_waits_outlives_the_process() {
    let mut desk = Desk::new(CONFIG);
    assert_eq!(desk.register(PHONE, "101", &contact("101", PHONE)), 200);
    desk.request(PHONE, "INVITE", "sip:0123@ringfort.local", "101", &contact("101", PHONE), &sdp(PHONE, 1, "sendrecv"));
    desk.reply(TRUNK, "200 OK", "t", &contact("gw", TRUNK), &sdp(TRUNK, 1, "sendrecv"));
    desk.input(ringfort_call::Input::HangUp(desk.status().calls[0].call));
    assert!(desk.sent.iter().all(|(to, m)| to.to_string() != PHONE || m.method() != Method::Bye));
    let next = Desk::restarted(CONFIG, desk.left_behind());
    assert_eq!(next.last(PHONE).method(), Method::Bye);
    assert!(next.kept.keys().all(|key| !key.starts_with("bye/")));
}
