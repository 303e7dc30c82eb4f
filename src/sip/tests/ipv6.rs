//! What RFC 5118, "SIP Torture Test Messages for IPv6", asks for, case by case in messages of our own.

use bytes::Bytes;
use ringfort_sip::message::{HeaderName, Message};
use ringfort_sip::screen::{Verdict, screen};
use ringfort_sip::uri::Uri;
use std::net::{IpAddr, SocketAddr};

const VIA: &str = "SIP/2.0/UDP [2001:db8::9:1];branch=z9hG4bKas3-111";
const HOME: &str = "sip:user@example.org";

/// A REGISTER with this Request-URI and top Via.
fn register(uri: &str, via: &str) -> Message {
    let text = format!(
        "REGISTER {uri} SIP/2.0\r\nVia: {via}\r\nTo: <{HOME}>\r\nFrom: <{HOME}>;tag=81x2\r\nContact: <sip:user@[2001:db8::1]>;expires=60\r\n\
         Max-Forwards: 70\r\nCall-ID: SSG9559905523997077@hlau_4100\r\nCSeq: 98176 REGISTER\r\nContent-Length: 0\r\n\r\n"
    );
    Message::parse(Bytes::from(text)).expect("a message")
}

fn is_accepted(message: &Message) -> bool {
    matches!(screen(message), Verdict::Accept)
}

fn ip(text: &str) -> Option<IpAddr> {
    text.parse().ok()
}

/// 4.1, 4.2: an address stands in brackets, or the request is malformed.
#[test]
fn a_request_uri_has_its_address_in_brackets() {
    assert!(is_accepted(&register("sip:[2001:db8::10]", VIA)));
    let refused = screen(&register("sip:2001:db8::10", VIA));
    assert!(matches!(refused, Verdict::Reply { status: 400, .. }), "{refused:?}");
}

/// 4.3, 4.4: what looks like a port and stands inside the brackets is a group of the address.
#[test]
fn a_port_is_what_stands_behind_the_bracket() {
    let inside = Uri::parse("sip:[2001:db8::10:5070]").expect("a URI");
    assert_eq!((inside.host.ip(), inside.port), (ip("2001:db8::10:5070"), None));
    let behind = Uri::parse("sip:[2001:db8::10]:5070").expect("a URI");
    assert_eq!((behind.host.ip(), behind.port), (ip("2001:db8::10"), Some(5070)));
}

/// 4.5: `received` is written without brackets and read with them and without.
#[test]
fn received_is_read_with_brackets_and_without() {
    for value in ["2001:db8::9:255", "[2001:db8::9:255]"] {
        let message =
            register("sip:[2001:db8::10]", &format!("SIP/2.0/UDP [2001:db8::9:1];received={value};branch=z9hG4bKas3-111"));
        assert!(is_accepted(&message), "{value}");
        let reply = ringfort_sip::message::Builder::reply(&message, 200, None, Some("t")).build();
        let reply = Message::parse(reply).expect("a reply");
        let received = reply.top_via().expect("a Via").received.map(str::to_string);
        assert_eq!(received.as_deref().and_then(|text| ip(text.trim_matches(['[', ']']))), ip("2001:db8::9:255"));
    }
    let source: SocketAddr = "[2001:db8::9:255]:5060".parse().expect("an address");
    let stamped = register("sip:[2001:db8::10]", VIA).received_from(source);
    assert_eq!(stamped.top_via().expect("a Via").received, Some("2001:db8::9:255"));
}

/// 4.6, 4.7: addresses of both families in one message are each what they are.
#[test]
fn families_may_be_mixed_in_one_message() {
    let text = format!(
        "BYE sip:user@[2001:db8::10] SIP/2.0\r\nVia: {VIA}\r\nVia: SIP/2.0/UDP [2001:db8::9:255];branch=z9hG4bKas3-112\r\n\
         Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKas3-113;received=2001:db8::9:1\r\nTo: <{HOME}>;tag=bd76ya\r\n\
         From: <sip:user@example.com>;tag=81x2\r\nRoute: <sip:[2001:db8::10]:5062;lr>, <sip:192.0.2.5;lr>\r\nMax-Forwards: 69\r\n\
         Call-ID: SSG9559905523997077@hlau_4100\r\nCSeq: 98177 BYE\r\nContent-Length: 0\r\n\r\n"
    );
    let message = Message::parse(Bytes::from(text)).expect("a message");
    assert!(is_accepted(&message));
    assert_eq!(message.values(HeaderName::Via).count(), 3);
    let routes: Vec<&str> = message.values(HeaderName::Route).collect();
    assert_eq!(routes, ["<sip:[2001:db8::10]:5062;lr>", "<sip:192.0.2.5;lr>"]);
}

/// 4.8, 4.9: IPv4 addresses within IPv6 ones are read; 4.10: three colons are none.
#[test]
fn mapped_addresses_are_read_and_three_colons_are_not() {
    let mapped = Uri::parse("sip:user@[::ffff:192.0.2.10]:19823").expect("a URI");
    assert_eq!((mapped.host.ip(), mapped.port), (ip("::ffff:192.0.2.10"), Some(19823)));
    assert!(Uri::parse("sip:user@[2001:db8::192.0.2.1]").is_ok());
    assert!(Uri::parse("sip:user@[2001:db8:::192.0.2.1]").is_err());
    let refused = screen(&register("sip:[2001:db8:::192.0.2.1]", VIA));
    assert!(matches!(refused, Verdict::Reply { status: 400, .. }), "{refused:?}");
}
