//! What transports have to do with calls: large requests, and peers that certificates name.

use crate::fixture::{Desk, SDP};
use ringfort_base::{FlowId, Hop, Transport};
use ringfort_call::Input;
use ringfort_sip::message::{HeaderName, Method};
use std::net::SocketAddr;

const TRUNK: &str = "198.51.100.1:5060";
const PHONE: &str = "203.0.113.5:5060";
const TEXT: &str = "[[account]]\nuser = \"101\"\n[[trunk]]\nname = \"out\"\naddress = \"198.51.100.1:5060\"\noptions_interval_ms = 0\n\
                    [[route]]\nname = \"out\"\nnumber = \"0*\"\nto = [\"trunk:out\"]\n";

/// An offer that no datagram should carry.
fn large() -> String {
    let lines: String = (0..60).map(|n| format!("a=x-attribute-{n}:{}\r\n", "y".repeat(20))).collect();
    SDP.to_string() + &lines
}

fn call(text: &str) -> Desk {
    let mut desk = Desk::new(text);
    assert_eq!(desk.register(PHONE, "101", "Contact: <sip:101@203.0.113.5:5060>\r\n"), 200);
    desk.request(PHONE, "INVITE", "sip:0301@ringfort.local", "101", "Contact: <sip:101@203.0.113.5>\r\n", &large());
    desk
}

fn via(desk: &Desk) -> String {
    desk.last(TRUNK).header(HeaderName::Via).unwrap_or_default().to_string()
}

fn tcp() -> Hop {
    Hop::to(Transport::Tcp, TRUNK.parse::<SocketAddr>().expect("an address"))
}

/// RFC 3261 18.1.1.
#[test]
fn a_large_request_goes_by_tcp_and_by_udp_where_nobody_takes_tcp() {
    let mut desk = call(TEXT);
    assert!(via(&desk).starts_with("SIP/2.0/TCP 192.0.2.10:5060;branch="), "{}", via(&desk));
    let branch = via(&desk).split("branch=").nth(1).map(str::to_string);
    desk.input(Input::SendFailed(tcp()));
    assert!(via(&desk).starts_with("SIP/2.0/UDP 192.0.2.10:5060;branch="), "{}", via(&desk));
    assert_eq!(via(&desk).split("branch=").nth(1).map(str::to_string), branch);
    desk.reply(TRUNK, "486 Busy Here", "b", "", "");
    assert_eq!((desk.answer(PHONE), desk.last(TRUNK).method()), (486, Method::Ack));
    desk.request(PHONE, "INVITE", "sip:0302@ringfort.local", "101", "Contact: <sip:101@203.0.113.5>\r\n", &large());
    assert!(via(&desk).starts_with("SIP/2.0/UDP"), "a peer that takes no TCP is not asked again at once: {}", via(&desk));
}

#[test]
fn a_dialog_that_began_by_tcp_for_its_size_goes_on_by_udp() {
    let mut desk = call(TEXT);
    desk.reply(TRUNK, "200 OK", "b", "Contact: <sip:gw@198.51.100.1>\r\n", SDP);
    let ack = desk.last(TRUNK);
    assert_eq!(ack.method(), Method::Ack);
    assert!(via(&desk).starts_with("SIP/2.0/UDP"), "{}", via(&desk));
}

#[test]
fn who_wants_no_tcp_gets_datagrams() {
    let desk = call(&format!("[sip]\nlarge_by_tcp = \"none\"\n{TEXT}"));
    assert!(via(&desk).starts_with("SIP/2.0/UDP"), "{}", via(&desk));
}

/// RFC 5922: a trunk that comes from an address nobody knows is known by its certificate, for as long as the connection stands.
#[test]
fn a_trunk_is_known_by_its_certificate() {
    let text = "[[trunk]]\nname = \"in\"\naddress = \"sip.carrier.example:5061\"\ntransport = \"tls\"\noptions_interval_ms = 0\n\
                [[route]]\nname = \"in\"\nnumber = \"*\"\nsource = \"trunk:in\"\nto = [\"echo\"]\n";
    for (name, status) in [("sip.carrier.example", 200), ("other.example", 407)] {
        let mut desk = Desk::new(text);
        desk.connect("203.0.113.77:50001", 9);
        desk.input(Input::Proved { flow: FlowId(9), names: vec![name.into()] });
        desk.request("203.0.113.77:50001", "INVITE", "sip:1@ringfort.local", "x", "Contact: <sip:x@203.0.113.77>\r\n", SDP);
        assert_eq!(desk.answer("203.0.113.77:50001"), status, "{name}");
    }
}

/// RFC 5923: a connection that a peer opened is used for requests to it, when it offers that and its certificate names it.
#[test]
fn a_connection_that_a_trunk_offers_is_used_for_calls_to_it() {
    let text = "[[account]]\nuser = \"101\"\n[[trunk]]\nname = \"out\"\naddress = \"198.51.100.1:5061\"\ntransport = \"tls\"\n\
                options_interval_ms = 0\n[[route]]\nname = \"out\"\nnumber = \"0*\"\nto = [\"trunk:out\"]\n";
    const ITS: &str = "198.51.100.1:50001";
    for (name, alias, used) in [("198.51.100.1", ";alias", true), ("other.example", ";alias", false), ("198.51.100.1", "", false)]
    {
        let mut desk = Desk::new(text);
        assert_eq!(desk.register(PHONE, "101", "Contact: <sip:101@203.0.113.5:5060>\r\n"), 200);
        desk.connect(ITS, 9);
        desk.input(Input::Proved { flow: FlowId(9), names: vec![name.into()] });
        desk.receive(
            ITS,
            &format!(
                "OPTIONS sip:ringfort.local SIP/2.0\r\nVia: SIP/2.0/TLS 198.51.100.1:5061;branch=z9hG4bKa{alias}\r\nMax-Forwards: 70\r\n\
                 From: <sip:a@carrier>;tag=1\r\nTo: <sip:ringfort.local>\r\nCall-ID: a\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
            ),
        );
        let by = |desk: &mut Desk, number: &str| {
            let uri = format!("sip:{number}@ringfort.local");
            desk.request(PHONE, "INVITE", &uri, "101", "Contact: <sip:101@203.0.113.5>\r\n", SDP);
            let sent = desk.sent.iter().zip(&desk.ways).rev().find(|((_, message), _)| message.is_request());
            sent.map(|((_, message), hop)| (message.method(), hop.remote.to_string(), hop.flow)).expect("a request")
        };
        let trunk = "198.51.100.1:5061".to_string();
        assert_eq!(by(&mut desk, "0301"), (Method::Invite, trunk.clone(), used.then_some(FlowId(9))), "{name} {alias}");
        desk.disconnect(ITS);
        assert_eq!(by(&mut desk, "0302"), (Method::Invite, trunk, None), "the connection is gone");
    }
}

#[test]
fn connections_of_the_node_are_offered_to_their_peers() {
    let tcp = "[[account]]\nuser = \"101\"\n[[trunk]]\nname = \"out\"\naddress = \"198.51.100.1:5060\"\ntransport = \"tcp\"\n\
               options_interval_ms = 0\n[[route]]\nname = \"out\"\nnumber = \"0*\"\nto = [\"trunk:out\"]\n";
    assert!(via(&call(tcp)).contains(";alias"), "{}", via(&call(tcp)));
    assert!(!via(&call(&format!("[sip]\nlarge_by_tcp = \"none\"\n{TEXT}"))).contains("alias"));
}
