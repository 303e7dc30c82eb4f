//! Routes in the whole node: what reaches which peer, in which words, and what limits refuse.

use crate::fixture::{Desk, SDP};
use ringfort_base::Event;
use ringfort_sip::message::{HeaderName, Method};
use std::time::Duration;

const CONFIG: &str = r#"
    [numbers]
    country_code = "49"
    area_code = "30"
    outside_prefix = "0"
    [[did]]
    range = "+4930123400-99"
    to = "1"
    [[trunk]]
    name = "a"
    address = "198.51.100.1:5060"
    format = "e164"
    caller = "did"
    calls_max = 1
    options_interval_ms = 0
    [[trunk]]
    name = "b"
    address = "198.51.100.2:5060"
    format = "national"
    options_interval_ms = 0
    [[account]]
    user = "101"
    [[account]]
    user = "102"
    forward = { busy = "101", no_answer = "101", no_answer_s = 10 }
    [[route]]
    name = "not abroad"
    number = "+33*"
    deny = 403
    reason = "No Calls Abroad"
    [[route]]
    name = "outside"
    source = "accounts"
    number = "+*"
    to = ["trunk:a", "trunk:b"]
    [emergency]
    numbers = ["112"]
    to = ["trunk:b"]
"#;
const PHONE: &str = "203.0.113.5:5060";
const OTHER: &str = "203.0.113.6:5060";
const TRUNK: &str = "198.51.100.1:5060";
const SPARE: &str = "198.51.100.2:5060";

/// Both phones are registered.
fn site(more: &str) -> Desk {
    let mut desk = Desk::new(&format!("{CONFIG}{more}"));
    for (phone, user) in [(PHONE, "101"), (OTHER, "102")] {
        assert_eq!(desk.register(phone, user, &contact(phone, user)), 200);
    }
    desk
}

fn contact(phone: &str, user: &str) -> String {
    format!("Contact: <sip:{user}@{phone}>\r\n")
}

fn call(desk: &mut Desk, phone: &str, user: &str, number: &str) {
    desk.request(phone, "INVITE", &format!("sip:{number}@ringfort.local"), user, &contact(phone, user), SDP);
}

fn limits_met(desk: &Desk) -> usize {
    desk.events.iter().filter(|event| matches!(event, Event::LimitReached { .. })).count()
}

#[test]
fn a_trunk_is_told_numbers_in_its_format() {
    let mut desk = site("");
    call(&mut desk, PHONE, "101", "0040555666");
    let invite = desk.last(TRUNK);
    assert_eq!(invite.request_uri(), Some("sip:4940555666@198.51.100.1:5060"));
    let from = invite.header(HeaderName::From).unwrap_or_default();
    assert!(from.contains("sip:4930123401@"), "{from}");
    assert!(invite.header(HeaderName::To).unwrap_or_default().contains("sip:4940555666@"));
}

#[test]
fn a_call_to_a_did_rings_the_extension() {
    let mut desk = site("");
    desk.request(SPARE, "INVITE", "sip:030123402@192.0.2.10", "040555", "Contact: <sip:gw@198.51.100.2>\r\n", SDP);
    assert_eq!(desk.last(OTHER).method(), Method::Invite);
    desk.request(SPARE, "INVITE", "sip:030123477@192.0.2.10", "040555", "Contact: <sip:gw@198.51.100.2>\r\n", SDP);
    assert_eq!(desk.answer(SPARE), 404);
}

#[test]
fn a_full_trunk_is_passed_over_and_free_again_after_the_call() {
    let mut desk = site("");
    call(&mut desk, PHONE, "101", "0040555666");
    call(&mut desk, OTHER, "102", "0040555667");
    assert_eq!(desk.last(SPARE).request_uri(), Some("sip:040555667@198.51.100.2:5060"));
    assert_eq!(limits_met(&desk), 1);
    let row = desk.status().limits.into_iter().find(|row| row.holder == "trunk:a").expect("a limited trunk");
    assert_eq!((row.calls, row.calls_max, row.peak, row.refused), (1, 1, 1, 1));
    desk.reply(TRUNK, "486 Busy Here", "t", "", "");
    call(&mut desk, PHONE, "101", "0040555668");
    assert_eq!(desk.last(TRUNK).request_uri(), Some("sip:4940555668@198.51.100.1:5060"));
}

#[test]
fn a_full_node_says_when_to_come_back_and_lets_emergencies_through() {
    let mut desk = site("[limits]\ncalls_max = 1\nretry_after_s = 7\n");
    call(&mut desk, PHONE, "101", "0040555666");
    call(&mut desk, OTHER, "102", "0040555667");
    assert_eq!((desk.answer(OTHER), desk.last(OTHER).header(HeaderName::RetryAfter)), (503, Some("7")));
    for number in ["112", "0112", "+49112"] {
        let sent = desk.sent.len();
        call(&mut desk, OTHER, "102", number);
        assert_eq!(desk.last(SPARE).request_uri(), Some("sip:112@198.51.100.2:5060"), "{number}");
        assert!(desk.sent.len() > sent);
    }
}

#[test]
fn a_person_with_too_many_calls_is_busy() {
    let mut desk = site("[limits]\nuser_calls_max = 1\n");
    call(&mut desk, OTHER, "102", "0040555666");
    call(&mut desk, PHONE, "101", "0040555668");
    desk.request(SPARE, "INVITE", "sip:030123402@192.0.2.10", "040555", "Contact: <sip:gw@198.51.100.2>\r\n", SDP);
    assert_eq!(desk.answer(SPARE), 486, "so is 101, to whom 102 forwards");
    call(&mut desk, OTHER, "102", "0040555667");
    assert_eq!(desk.answer(OTHER), 503);
}

#[test]
fn a_refusing_route_says_why() {
    let mut desk = site("");
    call(&mut desk, PHONE, "101", "00033142000");
    let refusal = desk.last(PHONE);
    assert_eq!((refusal.status(), refusal.reason()), (Some(403), "No Calls Abroad"));
}

/// A caller from outside, so that both phones are free to ring.
fn from_outside(desk: &mut Desk) {
    desk.request(SPARE, "INVITE", "sip:030123402@192.0.2.10", "040555", "Contact: <sip:gw@198.51.100.2>\r\n", SDP);
    assert_eq!(desk.last(OTHER).method(), Method::Invite);
}

#[test]
fn who_is_busy_is_forwarded() {
    let mut desk = site("");
    from_outside(&mut desk);
    let before = desk.sent.len();
    desk.reply(OTHER, "486 Busy Here", "t", "", "");
    assert!(
        desk.sent.iter().skip(before).any(|(to, m)| to.to_string() == PHONE && m.method() == Method::Invite && m.is_request())
    );
}

#[test]
fn who_does_not_answer_is_forwarded_in_time() {
    let mut desk = site("");
    from_outside(&mut desk);
    desk.reply(OTHER, "180 Ringing", "t", &contact(OTHER, "102"), "");
    let before = desk.sent.len();
    desk.pass(Duration::from_millis(9_900));
    let rings = |desk: &Desk| desk.sent.iter().skip(before).any(|(to, m)| to.to_string() == PHONE && m.is_request());
    assert!(!rings(&desk));
    desk.pass(Duration::from_millis(200));
    assert!(rings(&desk));
    assert!(desk.sent.iter().skip(before).any(|(to, m)| to.to_string() == OTHER && m.method() == Method::Cancel));
}

#[test]
fn who_declines_is_not_forwarded() {
    let mut desk = site("");
    from_outside(&mut desk);
    desk.reply(OTHER, "603 Decline", "t", "", "");
    assert_eq!(desk.answer(SPARE), 603);
}
