//! REGISTER: all or nothing, in order, and nothing injected towards the cloud.

use crate::fixture::Desk;
use ringfort_base::event::Mode;
use ringfort_sip::message::{HeaderName, Message};
use std::time::Duration;

const ALONE: &str = "[[account]]\nuser = \"101\"\n";
const CLOUD: &str = "[cloud]\naddress = \"198.51.100.1:5060\"\n";
const PHONE: &str = "203.0.113.5:5060";
const PBX: &str = "198.51.100.1:5060";

fn contact(n: usize) -> String {
    format!("Contact: <sip:101@203.0.113.5:{n}>\r\n")
}

#[test]
fn too_many_contacts_bind_none_of_them() {
    let mut desk = Desk::new(ALONE);
    let eleven: String = (1..=11).map(|n| contact(5000 + n)).collect();
    assert_eq!(desk.register(PHONE, "101", &eleven), 403);
    assert_eq!(desk.status().registrations.len(), 0);
}

/// A phone that comes with a new address after each start must not lock its owner out.
#[test]
fn the_device_that_was_silent_for_longest_makes_room() {
    let mut desk = Desk::new(ALONE);
    for n in 1..=30 {
        assert_eq!(desk.register(PHONE, "101", &contact(5000 + n)), 200);
    }
    assert_eq!(desk.status().registrations.len(), 10);
    assert_eq!(desk.kept.keys().filter(|key| key.starts_with("binding/")).count(), 10);
    desk.pass(Duration::from_secs(700));
    assert_eq!(desk.status().registrations.len(), 0);
}

#[test]
fn an_account_that_is_taken_away_is_not_registered_any_more() {
    let mut desk = Desk::new(ALONE);
    assert_eq!(desk.register(PHONE, "101", &contact(5060)), 200);
    desk.input(ringfort_call::Input::Reload(crate::fixture::snapshot("[[account]]\nuser = \"102\"\n")));
    assert!(desk.status().registrations.is_empty() && desk.kept.keys().all(|key| !key.starts_with("binding/")));
}

#[test]
fn a_user_part_stays_one_towards_the_cloud() {
    let mut desk = Desk::new(CLOUD);
    desk.request(PHONE, "REGISTER", "sip:ringfort.local", "x%3e;expires=1,%3csip:y", &contact(5060), "");
    let relayed: Message = desk.last(PBX);
    assert_eq!(relayed.contacts().map(|c| matches!(c, ringfort_sip::message::Contacts::List(list) if list.len() == 1)), Ok(true));
    let to = relayed.to().expect("a To");
    assert!(to.uri.ends_with("@ringfort.local") && !to.params.has("expires"), "{}", to.uri);
}

/// A phone that only the cloud knows goes on through an outage that is longer than two of its refreshes.
#[test]
fn what_the_cloud_granted_is_refreshed_again_and_again() {
    let mut desk = Desk::new(CLOUD);
    desk.request(PHONE, "REGISTER", "sip:ringfort.local", "300", &contact(5060), "");
    desk.reply(PBX, "200 OK", "t", "Expires: 600\r\n", "");
    assert_eq!((desk.answer(PHONE), desk.status().registrations.len()), (200, 1));
    desk.pass(Duration::from_secs(6));
    assert_eq!(desk.status().mode, Mode::Survivable);
    for _ in 0..3 {
        desk.pass(Duration::from_secs(300));
        let credentials = "Authorization: Digest username=\"300\", realm=\"ringfort.local\", nonce=\"the cloud's\", uri=\"sip:ringfort.local\", response=\"00\"\r\n";
        desk.request(PHONE, "REGISTER", "sip:ringfort.local", "300", &(contact(5060) + credentials), "");
        assert_eq!(desk.answer(PHONE), 200);
    }
    assert_eq!(desk.status().registrations.len(), 1);
}

#[test]
fn removing_all_is_done_in_order() {
    let mut desk = Desk::new(ALONE);
    assert_eq!(desk.register(PHONE, "101", &contact(5060)), 200);
    let granted = desk.last(PHONE);
    let (call_id, from) =
        (granted.call_id().expect("one").to_string(), granted.header(HeaderName::From).expect("one").to_string());
    desk.request(PHONE, "REGISTER", "sip:ringfort.local", "101", "Contact: *\r\nExpires: 0\r\n", "");
    let challenge = desk.last(PHONE).header(HeaderName::WwwAuthenticate).expect("a challenge").to_string();
    let ha1 = ringfort_sip::digest::Ha1::new("101", "ringfort.local", "secret of 101");
    let answer = ringfort_sip::digest::Challenge::parse(&challenge).expect("sound").answer(
        "101",
        &ha1,
        "REGISTER",
        "sip:ringfort.local",
        "c",
        1,
    );
    desk.receive(PHONE, &format!(
        "REGISTER sip:ringfort.local SIP/2.0\r\nVia: SIP/2.0/UDP {PHONE};branch=z9hG4bKlate\r\nFrom: {from}\r\nTo: <sip:101@ringfort.local>\r\n\
         Call-ID: {call_id}\r\nCSeq: 1 REGISTER\r\nContact: *\r\nExpires: 0\r\nAuthorization: {answer}\r\n\r\n"
    ));
    assert_eq!((desk.answer(PHONE), desk.status().registrations.len()), (500, 1));
}
