//! Trunks: the proxy before a carrier, the names that it is known by, and where its calls come from.

use crate::fixture::{Desk, SDP, snapshot};
use ringfort_call::config::Snapshot;
use ringfort_sip::message::{HeaderName, Message, Method};
use std::time::Duration;

const PHONE: &str = "203.0.113.5:5060";
const CARRIER: &str = "198.51.100.20:5060";
const PROXY: &str = "198.51.100.30:5070";
const CONTACT: &str = "Contact: <sip:101@203.0.113.5:5060>\r\n";

/// A node with a phone and a carrier of this address and these further keys.
fn desk(keys: &str) -> Desk {
    let mut desk = Desk::new(&format!(
        "[[trunk]]\nname = \"carrier\"\naddress = \"198.51.100.20:5060\"\noptions_interval_ms = 0\n{keys}\n[[account]]\nuser = \"101\"\n\
         [[route]]\nname = \"out\"\nnumber = \"0*\"\nto = [\"trunk:carrier\"]\n[[route]]\nname = \"in\"\nsource = \"trunk:carrier\"\nnumber = \"*\"\nto = [\"extension:101\"]\n"
    ));
    assert_eq!(desk.register(PHONE, "101", CONTACT), 200);
    desk
}

fn dial(desk: &mut Desk, to: &str) -> Message {
    desk.request(PHONE, "INVITE", "sip:0123@ringfort.local", "101", CONTACT, SDP);
    let invite = desk.last(to);
    assert_eq!(invite.method(), Method::Invite);
    invite
}

fn uri(value: Result<ringfort_sip::message::NameAddr<'_>, ringfort_sip::message::HeaderError>) -> String {
    value.expect("an address").uri.to_string()
}

#[test]
fn an_outbound_proxy_is_the_next_hop_and_stands_in_route() {
    let mut desk = desk("outbound_proxy = \"198.51.100.30:5070\"\n");
    let invite = dial(&mut desk, PROXY);
    assert_eq!(invite.request_uri(), Some("sip:0123@198.51.100.20:5060"));
    assert_eq!(invite.header(HeaderName::Route), Some("<sip:198.51.100.30:5070;lr>"));
    assert_eq!(desk.count(CARRIER), 0);
}

#[test]
fn a_carrier_is_called_by_its_domain_and_the_node_by_the_user_that_it_knows() {
    let mut desk = desk("domain = \"sip.carrier.test\"\ncontact_user = \"acme\"\n");
    let invite = dial(&mut desk, CARRIER);
    assert_eq!(invite.request_uri(), Some("sip:0123@sip.carrier.test"));
    assert_eq!(uri(invite.to()), "sip:0123@sip.carrier.test");
    assert!(uri(invite.from()).ends_with("@sip.carrier.test"), "{}", uri(invite.from()));
    assert!(invite.header(HeaderName::Contact).expect("a contact").starts_with("<sip:acme@192.0.2.10"));
}

#[test]
fn supervision_goes_by_the_proxy_too() {
    let text = "[[trunk]]\nname = \"carrier\"\naddress = \"carrier.test\"\noutbound_proxy = \"198.51.100.30:5070\"\n";
    let mut desk = Desk::new(text);
    desk.pass(Duration::from_millis(1));
    let options = desk.last(PROXY);
    assert_eq!((options.method(), options.request_uri()), (Method::Options, Some("sip:carrier.test")));
    assert_eq!(options.header(HeaderName::Route), Some("<sip:198.51.100.30:5070;lr>"));
}

#[test]
fn calls_come_from_the_networks_of_a_trunk() {
    let mut desk = desk("sources = [\"192.0.2.128/25\"]\n");
    for (from, known) in [("192.0.2.200:5062", true), ("192.0.2.100:5062", false)] {
        let before = desk.count(PHONE);
        let contact = format!("Contact: <sip:gw@{from}>\r\n");
        desk.request(from, "INVITE", "sip:+4930999@192.0.2.10", "0170", &contact, SDP);
        assert_eq!(desk.count(PHONE) > before, known, "{from}");
    }
}

#[test]
fn behind_nat_requests_go_back_where_the_carrier_was_heard() {
    for (keys, there) in [("", "10.9.9.9:5060"), ("nat = true\n", CARRIER)] {
        let mut desk = desk(keys);
        dial(&mut desk, CARRIER);
        desk.reply(CARRIER, "200 OK", "t", "Contact: <sip:gw@10.9.9.9:5060>\r\n", SDP);
        assert_eq!(desk.last(there).method(), Method::Ack, "{keys}");
    }
}

#[test]
fn unfit_keys_are_refused_and_passwords_are_not_shown() {
    let load = |keys: &str| {
        let text = format!("[[trunk]]\nname = \"c\"\naddress = \"198.51.100.20\"\n{keys}\n");
        Snapshot::load("t", &text, &mut |_| None).map(|_| ()).map_err(|error| error.to_string())
    };
    for keys in ["sources = [\"0.0.0.0/0\"]", "domain = \"a.test:5060\"", "contact_user = \"a b\"", "contact_user = \"\""] {
        assert!(load(keys).is_err(), "{keys}");
    }
    let text = "[[trunk]]\nname = \"c\"\naddress = \"198.51.100.20\"\nauth = { user = \"acme\", password = \"word\" }\n";
    assert!(!format!("{:?}", snapshot(text)).contains("word"));
}
