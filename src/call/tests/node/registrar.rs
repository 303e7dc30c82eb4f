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

const INSTANCE: &str = "\"<urn:uuid:00000000-0000-1000-8000-AABBCCDDEEFF>\"";

fn listed(desk: &Desk) -> Vec<String> {
    desk.last(PHONE).values(HeaderName::Contact).map(str::to_string).collect()
}

/// RFC 3261 10.3 step 7 compares URIs, not text.
#[test]
fn a_contact_written_otherwise_is_the_same_one() {
    let mut desk = Desk::new(ALONE);
    assert_eq!(desk.register(PHONE, "101", "Contact: <sip:101@phone.example.com;transport=udp;x=1>\r\n"), 200);
    assert_eq!(desk.register(PHONE, "101", "Contact: <sip:%3101@Phone.Example.COM;transport=UDP>\r\n"), 200);
    assert_eq!(listed(&desk).len(), 1);
    assert_eq!(desk.register(PHONE, "101", "Contact: <sip:101@phone.example.com>\r\n"), 200);
    assert_eq!(listed(&desk).len(), 2);
}

/// RFC 5626 6: each connection of a device is a binding; the device is told that it has them.
#[test]
fn a_device_keeps_several_connections() {
    let mut desk = Desk::new(ALONE);
    let flow = |id: u32, port: u32| {
        format!(
            "Supported: path, outbound\r\nContact: <sip:101@203.0.113.5:{port}>;+sip.instance={INSTANCE};reg-id={id};q=0.5\r\n"
        )
    };
    assert_eq!(desk.register(PHONE, "101", &flow(1, 5060)), 200);
    assert_eq!(desk.register(PHONE, "101", &flow(2, 5062)), 200);
    assert_eq!(desk.register(PHONE, "101", &flow(1, 5064)), 200);
    let contacts = listed(&desk);
    assert_eq!(contacts.len(), 2, "{contacts:?}");
    assert!(contacts[0].contains(":5062>;expires=600;q=0.500;+sip.instance=\"<urn:uuid:") && contacts[0].ends_with(";reg-id=2"));
    assert!(contacts[1].contains(":5064>") && contacts[1].ends_with(";reg-id=1"), "{contacts:?}");
    assert_eq!(desk.last(PHONE).header(HeaderName::Require), Some("outbound"));
}

/// Without the option tag the number means nothing (RFC 5626 4.2.1), and the instance is one device.
#[test]
fn a_number_without_outbound_is_left_aside() {
    let mut desk = Desk::new(ALONE);
    for (id, port) in [(1, 5060), (2, 5062)] {
        let contact = format!("Contact: <sip:101@203.0.113.5:{port}>;+sip.instance={INSTANCE};reg-id={id}\r\n");
        assert_eq!(desk.register(PHONE, "101", &contact), 200);
    }
    assert_eq!((listed(&desk).len(), desk.last(PHONE).header(HeaderName::Require)), (1, None));
}

#[test]
fn gruus_are_given_to_who_understands_them() {
    let mut desk = Desk::new(ALONE);
    let contact = format!("Contact: <sip:101@203.0.113.5:5060>;+sip.instance={INSTANCE}\r\n");
    assert_eq!(desk.register(PHONE, "101", &contact), 200);
    assert!(!listed(&desk)[0].contains("gruu"));
    assert_eq!(desk.register(PHONE, "101", &format!("Supported: gruu\r\n{contact}")), 200);
    let with = listed(&desk)[0].clone();
    let public = "pub-gruu=\"sip:101@ringfort.local;gr=urn:uuid:00000000-0000-1000-8000-AABBCCDDEEFF\"";
    assert!(
        with.contains(public) && with.contains(";temp-gruu=\"sip:tgruu.") && with.ends_with("@ringfort.local;gr\""),
        "{with}"
    );
}

#[test]
fn path_and_service_route_are_told() {
    let mut desk = Desk::new(&format!("[sip]\nservice_route = [\"sip:sbc.example.com;lr\"]\n{ALONE}"));
    let path = "Path: <sip:edge.example.com;lr>\r\n";
    assert_eq!(desk.register(PHONE, "101", &format!("Supported: path\r\n{path}{}", contact(5060))), 200);
    let granted = desk.last(PHONE);
    assert_eq!(granted.header(HeaderName::Path), Some("<sip:edge.example.com;lr>"));
    assert_eq!(granted.header(HeaderName::ServiceRoute), Some("<sip:sbc.example.com;lr>"));
    assert_eq!(desk.register(PHONE, "101", &format!("Path: <tel:1>\r\n{}", contact(5060))), 400);
}
