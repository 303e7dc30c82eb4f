//! Networks that the node stands in: realms with addresses of their own, and both address families. Nobody reads an address of another
//! network, or of a family that is not his.

use crate::fixture::Desk;
use crate::talk::{End, body, call, contact, sdp};
use ringfort_media::plan::RelayCommand;
use ringfort_sip::message::{HeaderName, Message, Method};
use std::net::SocketAddr;
use std::time::Duration;

const PHONE: &str = "[2001:db8::5]:5060";
const TRUNK: &str = "198.51.100.1:5060";
const DUAL: &str = "[sip]\nlisten = [\"udp:192.0.2.10:5060\", \"udp:[2001:db8::10]:5060\"]\n\
    [[trunk]]\nname = \"carrier\"\naddress = \"198.51.100.1:5060\"\noptions_interval_ms = 0\n[[account]]\nuser = \"101\"\n\
    [[route]]\nname = \"out\"\nnumber = \"0*\"\nto = [\"trunk:carrier\"]\n\
    [[route]]\nname = \"in\"\nsource = \"trunk:carrier\"\nnumber = \"*\"\nto = [\"extension:101\"]\n";
/// A carrier in a network of its own, and nobody else there.
const REALM: &str = "[sip]\nlisten = [\"udp:192.0.2.10:5060\"]\n\
    [[realm]]\nname = \"outside\"\nlisten = [\"udp:203.0.113.10:5070\"]\nmedia_bind = \"203.0.113.11\"\nmedia_advertise = \"203.0.113.12\"\nusers = false\n";
const CARRIER: &str = "[[trunk]]\nname = \"carrier\"\naddress = \"198.51.100.1:5060\"\noptions_interval_ms = 0\nrealm = \"outside\"\n\
    [[account]]\nuser = \"101\"\n[[route]]\nname = \"out\"\nnumber = \"0*\"\nto = [\"trunk:carrier\"]\n\
    [[route]]\nname = \"in\"\nsource = \"trunk:carrier\"\nnumber = \"*\"\nto = [\"extension:101\"]\n";
const INSIDE: &str = "10.0.0.5:5060";

fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

fn all(message: &Message) -> String {
    String::from_utf8_lossy(message.octets()).into_owned()
}

/// Everything that went to a party, for searching.
fn told(desk: &Desk, to: &str) -> String {
    desk.sent.iter().filter(|(remote, _)| *remote == address(to)).map(|(_, message)| all(message)).collect()
}

fn field(message: &Message, name: HeaderName) -> String {
    message.header(name).expect("a field").to_string()
}

/// Addresses of the RTP sockets that were opened.
fn opened(desk: &Desk) -> Vec<String> {
    let rtp = |command: &RelayCommand| match command {
        RelayCommand::Open { rtp, .. } => Some(rtp.ip().to_string()),
        _ => None,
    };
    desk.relayed.iter().filter_map(rtp).collect()
}

/// The phone, on IPv6, has called the carrier, on IPv4.
fn interworking() -> (Desk, End, End) {
    let mut desk = Desk::listening(DUAL);
    assert_eq!(desk.register(PHONE, "101", &contact("101", PHONE)), 200);
    let (phone, trunk) = call(&mut desk, (PHONE, "101", ""), "0123", (TRUNK, ""));
    (desk, phone, trunk)
}

#[test]
fn a_phone_on_ipv6_and_a_trunk_on_ipv4_each_read_their_own_family() {
    let (desk, phone, trunk) = interworking();
    let invite = desk.last_of(TRUNK, |m| m.is_request() && m.method() == Method::Invite);
    assert!(field(&invite, HeaderName::Via).starts_with("SIP/2.0/UDP 192.0.2.10:5060;"), "{}", all(&invite));
    assert_eq!(field(&invite, HeaderName::Contact), "<sip:ringfort@192.0.2.10:5060;transport=udp>");
    assert!(
        body(&invite).contains("c=IN IP4 192.0.2.10\r\n") && body(&invite).contains(" IN IP4 192.0.2.10\r\ns="),
        "{}",
        body(&invite)
    );
    let ok = phone.answered(&desk);
    assert_eq!(field(&ok, HeaderName::Contact), "<sip:ringfort@[2001:db8::10]:5060;transport=udp>");
    assert!(body(&ok).contains("c=IN IP6 2001:db8::10\r\n") && body(&ok).contains(" IN IP6 2001:db8::10\r\ns="), "{}", body(&ok));
    assert!(!told(&desk, TRUNK).contains("2001:") && !told(&desk, TRUNK).contains("IP6"), "{}", told(&desk, TRUNK));
    assert!(!told(&desk, PHONE).contains("192.0.2.10") && !told(&desk, PHONE).contains("IP4"), "{}", told(&desk, PHONE));
    assert_eq!(opened(&desk), ["2001:db8::10", "192.0.2.10"]);
    drop(trunk);
}

#[test]
fn requests_within_a_call_between_the_families() {
    let (mut desk, mut phone, mut trunk) = interworking();
    phone.send(&mut desk, "INVITE", "", &sdp(PHONE, 2, "sendonly"));
    let asked = trunk.asked(&desk);
    assert_eq!(field(&asked, HeaderName::Contact), "<sip:ringfort@192.0.2.10:5060;transport=udp>");
    assert!(body(&asked).contains("c=IN IP4 192.0.2.10\r\n"), "{}", body(&asked));
    trunk.answer(&mut desk, "200 OK", "", &sdp(TRUNK, 2, "recvonly"));
    assert!(body(&phone.answered(&desk)).contains("c=IN IP6 2001:db8::10\r\n"));
    phone.ack(&mut desk, "");
    trunk.send(&mut desk, "INVITE", "", &sdp(TRUNK, 3, "sendrecv"));
    let asked = phone.asked(&desk);
    assert!(field(&asked, HeaderName::Via).starts_with("SIP/2.0/UDP [2001:db8::10]:5060;"), "{}", all(&asked));
    assert!(body(&asked).contains("c=IN IP6 2001:db8::10\r\n"), "{}", body(&asked));
    phone.answer(&mut desk, "200 OK", "", &sdp(PHONE, 3, "sendrecv"));
    trunk.ack(&mut desk, "");
    trunk.send(&mut desk, "BYE", "", "");
    assert_eq!(phone.asked(&desk).method(), Method::Bye);
    assert!(!told(&desk, PHONE).contains("192.0.2.10") && !told(&desk, TRUNK).contains("2001:"));
}

#[test]
fn a_call_from_ipv4_reaches_the_phone_on_ipv6() {
    let mut desk = Desk::listening(DUAL);
    assert_eq!(desk.register(PHONE, "101", &contact("101", PHONE)), 200);
    let (trunk, _) = call(&mut desk, (TRUNK, "0170", ""), "4930123", (PHONE, ""));
    let invite = desk.last_of(PHONE, |m| m.is_request() && m.method() == Method::Invite);
    assert!(field(&invite, HeaderName::Via).starts_with("SIP/2.0/UDP [2001:db8::10]:5060;"));
    assert_eq!(invite.request_uri(), Some("sip:101@[2001:db8::5]:5060"));
    assert!(body(&invite).contains("c=IN IP6 2001:db8::10\r\n"));
    assert!(body(&trunk.answered(&desk)).contains("c=IN IP4 192.0.2.10\r\n"));
}

#[test]
fn audio_has_the_family_that_the_offer_names_whatever_signalling_has() {
    let mut desk = Desk::listening(DUAL);
    assert_eq!(desk.register(PHONE, "101", &contact("101", PHONE)), 200);
    desk.request(PHONE, "INVITE", "sip:0123@ringfort.local", "101", &contact("101", PHONE), &sdp("10.0.0.5:1", 1, "sendrecv"));
    desk.reply(TRUNK, "200 OK", "t", &contact("gw", TRUNK), &sdp(TRUNK, 1, "sendrecv"));
    let ok = desk.last(PHONE);
    assert_eq!(field(&ok, HeaderName::Contact), "<sip:ringfort@[2001:db8::10]:5060;transport=udp>");
    assert!(body(&ok).contains("c=IN IP4 192.0.2.10\r\n"), "{}", body(&ok));
}

#[test]
fn servers_are_looked_up_in_both_families_where_the_node_has_both() {
    let text = "[cloud]\naddress = \"pbx.example.com:5060\"\ntransport = \"udp\"\n";
    for (listen, server) in [(DUAL, "[2001:db8:9::1]:5060"), ("", "198.51.100.9:5060")] {
        let mut desk = Desk::listening(&format!("{}{text}", listen.replace("0.0.0.0", "192.0.2.10")));
        desk.zone("pbx.example.com AAAA 2001:db8:9::1\npbx.example.com A 198.51.100.9");
        desk.pass(Duration::from_secs(2));
        assert_eq!(desk.last(server).method(), Method::Options);
    }
}

fn inside() -> Desk {
    let mut desk = Desk::listening(&format!("{REALM}{CARRIER}"));
    desk.listeners.insert(address(TRUNK), address("203.0.113.10:5070"));
    assert_eq!(desk.register(INSIDE, "101", &contact("101", INSIDE)), 200);
    desk
}

#[test]
fn a_trunk_in_a_realm_is_spoken_to_by_its_addresses_only() {
    let mut desk = inside();
    let (mut phone, trunk) = call(&mut desk, (INSIDE, "101", ""), "0123", (TRUNK, ""));
    let invite = desk.last_of(TRUNK, |m| m.is_request() && m.method() == Method::Invite);
    assert!(field(&invite, HeaderName::Via).starts_with("SIP/2.0/UDP 203.0.113.10:5070;"));
    assert_eq!(field(&invite, HeaderName::Contact), "<sip:ringfort@203.0.113.10:5070;transport=udp>");
    assert!(body(&invite).contains("c=IN IP4 203.0.113.12\r\n"), "{}", body(&invite));
    phone.send(&mut desk, "BYE", "", "");
    assert_eq!(trunk.asked(&desk).method(), Method::Bye);
    assert!(!told(&desk, TRUNK).contains("192.0.2.10"), "{}", told(&desk, TRUNK));
    assert!(!told(&desk, INSIDE).contains("203.0.113.1"), "{}", told(&desk, INSIDE));
    assert_eq!(opened(&desk), ["192.0.2.10", "203.0.113.11"]);
    let ways = desk.ways.iter().filter(|hop| hop.remote == address(TRUNK)).map(|hop| hop.local);
    assert!(ways.clone().count() > 2 && ways.clone().all(|local| local == Some(address("203.0.113.10:5070"))));
    let ways = desk.ways.iter().filter(|hop| hop.remote == address(INSIDE)).map(|hop| hop.local);
    assert!(ways.clone().all(|local| local == Some(address("192.0.2.10:5060"))));
}

#[test]
fn what_comes_by_another_network_is_not_the_trunk() {
    let dial = |desk: &mut Desk| {
        desk.request(TRUNK, "INVITE", "sip:4930123@192.0.2.10", "0170", &contact("gw", TRUNK), &sdp(TRUNK, 1, "sendrecv"))
    };
    let mut desk = inside();
    dial(&mut desk);
    assert_eq!(desk.last(INSIDE).method(), Method::Invite);
    let mut desk = inside();
    desk.listeners.clear();
    dial(&mut desk);
    assert!(desk.requests(INSIDE, Method::Invite).is_empty());
    assert!(matches!(desk.answer(TRUNK), 401 | 403 | 407), "{}", desk.answer(TRUNK));
}

#[test]
fn where_no_users_are_nobody_registers_or_calls() {
    let mut desk = inside();
    let stranger = "198.51.100.77:5060";
    desk.listeners.insert(address(stranger), address("203.0.113.10:5070"));
    desk.request(stranger, "REGISTER", "sip:ringfort.local", "101", &contact("101", stranger), "");
    assert_eq!(desk.answer(stranger), 403);
    desk.request(stranger, "INVITE", "sip:0123@ringfort.local", "101", &contact("101", stranger), &sdp(stranger, 1, "sendrecv"));
    assert_eq!((desk.answer(stranger), desk.count(TRUNK)), (403, 0));
}

#[test]
fn a_registration_and_options_name_the_realms_address() {
    let keys = "register = { user = \"acme\", password = \"word\" }\n";
    let text = format!(
        "{REALM}{}",
        CARRIER.replace("realm =", &format!("{keys}realm =")).replace("interval_ms = 0", "interval_ms = 1000")
    );
    let mut desk = Desk::listening(&text);
    desk.pass(Duration::from_secs(2));
    let register = desk.last_of(TRUNK, |m| m.method() == Method::Register);
    assert!(field(&register, HeaderName::Contact).contains("@203.0.113.10:5070"), "{}", all(&register));
    assert!(!desk.requests(TRUNK, Method::Options).is_empty());
    assert!(!told(&desk, TRUNK).contains("192.0.2.10"), "{}", told(&desk, TRUNK));
}

#[test]
fn a_realm_has_room_for_so_many_legs() {
    let text = format!("{REALM}calls_max = 1\n{CARRIER}");
    let mut desk = Desk::listening(&text);
    desk.listeners.insert(address(TRUNK), address("203.0.113.10:5070"));
    assert_eq!(desk.register(INSIDE, "101", &contact("101", INSIDE)), 200);
    let (mut phone, _) = call(&mut desk, (INSIDE, "101", ""), "0123", (TRUNK, ""));
    let dial = |desk: &mut Desk| {
        desk.request(INSIDE, "INVITE", "sip:0124@ringfort.local", "101", &contact("101", INSIDE), &sdp(INSIDE, 1, "sendrecv"))
    };
    dial(&mut desk);
    assert_eq!((desk.answer(INSIDE), desk.requests(TRUNK, Method::Invite).len()), (503, 1));
    desk.request(TRUNK, "INVITE", "sip:4930123@203.0.113.10", "0170", &contact("gw", TRUNK), &sdp(TRUNK, 1, "sendrecv"));
    assert_eq!(desk.last_of(TRUNK, |m| !m.is_request()).status(), Some(503));
    phone.send(&mut desk, "BYE", "", "");
    dial(&mut desk);
    assert_eq!(desk.requests(TRUNK, Method::Invite).len(), 2);
    // Without a profile rule or a place too many, nothing of the realm without limits is counted.
    assert!(desk.status().limits.iter().any(|row| row.holder == "realm:outside" && row.calls_max == 1 && row.refused == 2));
}
