//! A device whose connection changes: its calls go with it, and nobody else takes them.

use crate::fixture::{Desk, SDP};
use ringfort_sip::message::{HeaderName, Message, Method};
use std::time::Duration;

const TEXT: &str = "[[account]]\nuser = \"101\"\n[[account]]\nuser = \"102\"\n";
const CALLER: &str = "203.0.113.5:5060";
const OLD: &str = "203.0.113.9:40001";
const NEW: &str = "198.51.100.77:40002";
const INSTANCE: &str = "\"<urn:uuid:00000000-0000-1000-8000-AABBCCDDEEFF>\"";

fn contact(at: &str) -> String {
    format!("Supported: outbound, gruu\r\nContact: <sip:102@{at};transport=tls>;+sip.instance={INSTANCE}\r\n")
}

/// A desk where 102 is registered over TLS and 101 over UDP.
fn desk() -> Desk {
    let mut desk = Desk::new(TEXT);
    assert_eq!(desk.register(CALLER, "101", "Contact: <sip:101@203.0.113.5:5060>\r\n"), 200);
    desk.connect(OLD, 1);
    assert_eq!(desk.register(OLD, "102", &contact(OLD)), 200);
    desk
}

/// 101 calls 102, who answers and names `target` as its contact.
fn call(desk: &mut Desk, uri: &str, target: &str) -> Message {
    desk.request(CALLER, "INVITE", uri, "101", &format!("Contact: <sip:101@{CALLER}>\r\n"), SDP);
    let invite = desk.last(OLD);
    assert_eq!(invite.method(), Method::Invite);
    desk.reply(OLD, "200 OK", "b", &format!("Contact: <{target}>\r\n"), SDP);
    let answer = desk.last(CALLER);
    assert_eq!(answer.status(), Some(200));
    within(desk, CALLER, &answer, "ACK", 0, "");
    answer
}

fn field(message: &Message, name: HeaderName) -> String {
    message.header(name).unwrap_or_default().to_string()
}

/// The caller's request within the dialog that `answer` founded, so many numbers later.
fn within(desk: &mut Desk, from: &str, answer: &Message, method: &str, later: u32, more: &str) {
    let (own, peer, id) = (field(answer, HeaderName::From), field(answer, HeaderName::To), field(answer, HeaderName::CallId));
    let cseq = answer.cseq().expect("a number").0 + later;
    let text = format!(
        "{method} sip:192.0.2.10 SIP/2.0\r\nVia: SIP/2.0/UDP {from};branch=z9hG4bK{method}{cseq}x{};rport\r\nFrom: {own}\r\nTo: {peer}\r\nCall-ID: {id}\r\n\
         CSeq: {cseq} {method}\r\nMax-Forwards: 70\r\n{more}Content-Length: 0\r\n\r\n",
        more.len()
    );
    desk.receive(from, &text);
}

/// The callee's request within the dialog that `invite` founded.
fn from_callee(desk: &mut Desk, at: &str, invite: &Message, method: &str, cseq: u32, more: &str) {
    let (own, peer, id) = (field(invite, HeaderName::To), field(invite, HeaderName::From), field(invite, HeaderName::CallId));
    let text = format!(
        "{method} sip:192.0.2.10 SIP/2.0\r\nVia: SIP/2.0/TLS {at};branch=z9hG4bK{method}{cseq}x{};rport\r\nFrom: {own};tag=b\r\nTo: {peer}\r\nCall-ID: {id}\r\n\
         CSeq: {cseq} {method}\r\nMax-Forwards: 70\r\n{more}Content-Length: 0\r\n\r\n",
        more.len()
    );
    desk.receive(at, &text);
}

fn comes_back(desk: &mut Desk) {
    desk.connect(NEW, 2);
    assert_eq!(desk.register(NEW, "102", &contact(NEW)), 200);
}

#[test]
fn a_bye_waits_for_the_phone_and_meets_it_on_its_new_connection() {
    let mut desk = desk();
    let answer = call(&mut desk, "sip:102@ringfort.local", &format!("sip:102@{OLD};transport=tls"));
    desk.disconnect(OLD);
    let before = desk.count(OLD);
    within(&mut desk, CALLER, &answer, "BYE", 1, "");
    assert_eq!((desk.answer(CALLER), desk.count(OLD)), (200, before));
    desk.pass(Duration::from_secs(40));
    comes_back(&mut desk);
    let bye = desk.sent.iter().rev().find(|(to, m)| to.to_string() == NEW && m.is_request()).expect("a request").1.clone();
    assert_eq!(bye.method(), Method::Bye);
    desk.pass(Duration::from_secs(40));
    assert!(desk.status().calls.is_empty());
}

#[test]
fn a_phone_that_came_back_is_sent_the_bye_with_its_new_contact() {
    let mut desk = desk();
    let answer = call(&mut desk, "sip:102@ringfort.local", &format!("sip:102@{OLD};transport=tls"));
    desk.disconnect(OLD);
    comes_back(&mut desk);
    within(&mut desk, CALLER, &answer, "BYE", 1, "");
    let bye = desk.last(NEW);
    assert_eq!((bye.method(), bye.request_uri()), (Method::Bye, Some("sip:102@198.51.100.77:40002;transport=tls")));
}

#[test]
fn what_waited_too_long_is_given_up() {
    let mut desk = desk();
    let answer = call(&mut desk, "sip:102@ringfort.local", &format!("sip:102@{OLD};transport=tls"));
    desk.disconnect(OLD);
    within(&mut desk, CALLER, &answer, "BYE", 1, "");
    desk.pass(Duration::from_secs(130));
    comes_back(&mut desk);
    assert_eq!(desk.last(NEW).status(), Some(200));
    assert_eq!(desk.residue(), [0, 0, 0]);
}

/// Who knows the tags of a dialog has heard them somewhere; only the device moves its call.
#[test]
fn a_request_by_another_connection_must_prove_whose_it_is() {
    let mut desk = desk();
    call(&mut desk, "sip:102@ringfort.local", &format!("sip:102@{OLD};transport=tls"));
    let invite = desk.sent.iter().find(|(to, m)| to.to_string() == OLD && m.method() == Method::Invite).expect("one").1.clone();
    desk.connect(NEW, 2);
    from_callee(&mut desk, NEW, &invite, "BYE", 1, "");
    assert_eq!(desk.answer(NEW), 407);
    assert_eq!(desk.status().calls.len(), 1);
    let challenge = field(&desk.last(NEW), HeaderName::ProxyAuthenticate);
    let answer = crate::fixture::proof(&challenge, "102", "BYE", "sip:192.0.2.10");
    from_callee(&mut desk, NEW, &invite, "BYE", 2, &format!("Proxy-Authorization: {answer}\r\n"));
    assert_eq!(desk.answer(NEW), 200);
    assert_eq!(desk.last(CALLER).method(), Method::Bye);
}

/// RFC 5627: what is dialled means one device, and requests to it go to its registered contact.
#[test]
fn a_gruu_that_was_handed_out_is_routed() {
    let mut desk = desk();
    let granted = desk.last(OLD);
    let value = field(&granted, HeaderName::Contact);
    let named =
        |name: &str| value.split(&format!("{name}=\"")).nth(1).and_then(|v| v.split('"').next()).expect("a GRUU").to_string();
    assert_eq!(desk.register("203.0.113.10:5060", "102", "Contact: <sip:102@203.0.113.10:5060>\r\n"), 200);
    for gruu in [named("pub-gruu"), named("temp-gruu")] {
        let answer = call(&mut desk, &gruu, &gruu);
        let ack = desk.last_of(OLD, |message| message.method() == Method::Ack);
        assert_eq!(ack.request_uri(), Some("sip:102@203.0.113.9:40001;transport=tls"));
        within(&mut desk, CALLER, &answer, "BYE", 1, "");
        let bye = desk.last(OLD);
        assert_eq!(bye.request_uri(), Some("sip:102@203.0.113.9:40001;transport=tls"));
        desk.reply(OLD, "200 OK", "", "", "");
    }
    let strange = "sip:tgruu.0011@ringfort.local;gr";
    desk.request(CALLER, "INVITE", strange, "101", &format!("Contact: <sip:101@{CALLER}>\r\n"), SDP);
    assert_eq!(desk.answer(CALLER), 404);
    desk.disconnect(OLD);
    desk.request(CALLER, "INVITE", &named("pub-gruu"), "101", &format!("Contact: <sip:101@{CALLER}>\r\n"), SDP);
    assert_eq!(desk.answer(CALLER), 480);
}

/// Who names another's GRUU as its contact is not told where that one is.
#[test]
fn a_foreign_gruu_tells_nothing() {
    let mut desk = desk();
    let gruu = field(&desk.last(OLD), HeaderName::Contact);
    let gruu = gruu.split("pub-gruu=\"").nth(1).and_then(|rest| rest.split('"').next()).expect("a GRUU").to_string();
    desk.request(CALLER, "INVITE", "sip:102@ringfort.local", "101", &format!("Contact: <{gruu}>\r\n"), SDP);
    desk.reply(OLD, "200 OK", "b", &format!("Contact: <sip:102@{OLD}>\r\n"), SDP);
    let (answer, invite) = (desk.last(CALLER), desk.last_of(OLD, |message| message.method() == Method::Invite));
    within(&mut desk, CALLER, &answer, "ACK", 0, "");
    from_callee(&mut desk, OLD, &invite, "BYE", 1, "");
    let told: Vec<&str> =
        desk.sent.iter().filter(|(to, _)| to.to_string() == CALLER).filter_map(|(_, m)| m.request_uri()).collect();
    assert_eq!(told, ["sip:101@203.0.113.5:5060"]);
}

/// RFC 3327: the proxies that the device came by are on the way back.
#[test]
fn the_path_of_a_device_is_the_route_to_it() {
    let mut desk = Desk::new(TEXT);
    assert_eq!(desk.register(CALLER, "101", "Contact: <sip:101@203.0.113.5:5060>\r\n"), 200);
    let path =
        "Supported: path\r\nPath: <sip:edge.example.com;lr>, <sip:inner.example.com;lr>\r\nContact: <sip:102@10.0.0.7>\r\n";
    assert_eq!(desk.register("203.0.113.20:5060", "102", path), 200);
    desk.request(CALLER, "INVITE", "sip:102@ringfort.local", "101", &format!("Contact: <sip:101@{CALLER}>\r\n"), SDP);
    let invite = desk.last("203.0.113.20:5060");
    let routes: Vec<&str> = invite.values(HeaderName::Route).collect();
    assert_eq!(
        (invite.request_uri(), routes.as_slice()),
        (Some("sip:102@10.0.0.7"), ["<sip:edge.example.com;lr>", "<sip:inner.example.com;lr>"].as_slice(),)
    );
}

/// The call of a phone on TLS lives through a restart: the phone comes back by a new connection.
#[test]
fn a_call_over_tls_is_taken_over_after_a_restart() {
    let mut desk = desk();
    let answer = call(&mut desk, "sip:102@ringfort.local", &format!("sip:102@{OLD};transport=tls"));
    let mut desk = Desk::restarted(TEXT, desk.left_behind());
    assert_eq!(desk.status().calls.len(), 1);
    within(&mut desk, CALLER, &answer, "BYE", 1, "");
    assert_eq!((desk.answer(CALLER), desk.count(OLD)), (200, 0));
    comes_back(&mut desk);
    assert!(desk.sent.iter().any(|(to, message)| to.to_string() == NEW && message.method() == Method::Bye));
}
