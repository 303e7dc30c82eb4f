//! Calls: what of one leg may be seen on the other, and what a target's failure means.

use crate::fixture::{Desk, SDP};
use ringfort_sip::message::{HeaderName, Method};
use std::time::Duration;

const CONFIG: &str = "[[trunk]]\nname = \"carrier\"\naddress = \"198.51.100.1:5060\"\n\
    [[account]]\nuser = \"101\"\n[[route]]\nname = \"out\"\nnumber = \"0*\"\nto = [\"trunk:carrier\"]\n";
const PHONE: &str = "203.0.113.5:5060";
const TRUNK: &str = "198.51.100.1:5060";
const CONTACT: &str = "Contact: <sip:101@203.0.113.5:5060>\r\n";
const TRUNK_CONTACT: &str = "Contact: <sip:gw@198.51.100.1:5060>\r\n";

/// A registered phone has dialled and the trunk has the INVITE.
fn dialled(more: &str) -> Desk {
    let mut desk = Desk::new(CONFIG);
    assert_eq!(desk.register(PHONE, "101", CONTACT), 200);
    desk.request(PHONE, "INVITE", "sip:0123@ringfort.local", "101", &format!("{CONTACT}{more}"), SDP);
    assert_eq!(desk.last(TRUNK).method(), Method::Invite);
    desk
}

#[test]
fn an_early_dialog_bears_the_record_routes() {
    let mut desk = dialled("Record-Route: <sip:proxy.test;lr>\r\n");
    desk.reply(TRUNK, "180 Ringing", "t", TRUNK_CONTACT, "");
    assert_eq!(desk.last(PHONE).header(HeaderName::RecordRoute), Some("<sip:proxy.test;lr>"));
}

#[test]
fn a_refusal_names_no_inside_host() {
    let mut desk = dialled("");
    let told = "Reason: Q.850;cause=17;text=\"on gw7.inside\"\r\nWarning: 399 gw7.inside \"req_src_ip=10.1.2.3\"\r\n\
        Retry-After: 30 (gw7.inside)\r\n";
    desk.reply(TRUNK, "486 Busy at gw7.inside", "t", told, "");
    let refusal = desk.last(PHONE);
    let text = String::from_utf8_lossy(refusal.octets()).into_owned();
    assert!(!text.contains("inside") && !text.contains("10.1.2.3"), "{text}");
    assert_eq!((refusal.status(), refusal.reason()), (Some(486), "Busy Here"));
    assert_eq!(refusal.header(HeaderName::Reason), Some("Q.850;cause=17"));
    assert_eq!(refusal.header(HeaderName::RetryAfter), Some("30"));
}

#[test]
fn a_carrier_s_challenge_is_no_question_to_the_caller() {
    let mut desk = dialled("");
    desk.reply(TRUNK, "407 Proxy Authentication Required", "t", "Proxy-Authenticate: Digest realm=\"c\", nonce=\"n\"\r\n", "");
    assert_eq!((desk.answer(PHONE), desk.last(PHONE).header(HeaderName::ProxyAuthenticate)), (502, None));
}

#[test]
fn a_carrier_that_says_no_is_alive() {
    let mut desk = dialled("");
    let up = |desk: &Desk| desk.status().trunks[0].up;
    for status in ["408 Request Timeout", "504 Server Time-out", "408 Request Timeout"] {
        desk.reply(TRUNK, status, "t", "", "");
        assert!(up(&desk), "{status}");
        desk.request(PHONE, "INVITE", "sip:0123@ringfort.local", "101", CONTACT, SDP);
    }
    desk.reply(TRUNK, "503 Service Unavailable", "t", "", "");
    desk.request(PHONE, "INVITE", "sip:0123@ringfort.local", "101", CONTACT, SDP);
    desk.reply(TRUNK, "503 Service Unavailable", "t", "", "");
    assert!(!up(&desk));
}

/// The call is established; the INVITE's dialog on the trunk's side stands under tag `t`.
fn connected() -> Desk {
    let mut desk = dialled("");
    desk.reply(TRUNK, "200 OK", "t", TRUNK_CONTACT, &SDP.replace("10.0.0.9", "198.51.100.1"));
    assert_eq!(desk.answer(PHONE), 200);
    desk
}

/// A request of the trunk inside its dialog, with its tag as given.
fn inside(desk: &mut Desk, method: &str, tag: &str, cseq: u32, body: &str) {
    let (_, invite) =
        desk.sent.iter().find(|(to, m)| to.to_string() == TRUNK && m.method() == Method::Invite).expect("an INVITE").clone();
    let (call_id, from) = (invite.call_id().expect("one").to_string(), invite.header(HeaderName::From).expect("one").to_string());
    let kind = if body.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
    let text = format!(
        "{method} sip:ringfort@192.0.2.10 SIP/2.0\r\nVia: SIP/2.0/UDP {TRUNK};branch=z9hG4bKin{tag}{cseq}\r\nFrom: <sip:0123@x>;tag={tag}\r\n\
         To: {from}\r\nCall-ID: {call_id}\r\nCSeq: {cseq} {method}\r\n{TRUNK_CONTACT}{kind}Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    desk.receive(TRUNK, &text);
}

#[test]
fn both_tags_name_a_dialog() {
    let mut desk = connected();
    inside(&mut desk, "BYE", "forged", 7, "");
    assert_eq!((desk.answer(TRUNK), desk.status().calls.len()), (481, 1));
    inside(&mut desk, "BYE", "t", 8, "");
    assert_eq!(desk.status().calls.iter().filter(|call| call.state == "connected").count(), 0);
}

/// Early media came from one branch, the answer from another: audio goes to the one that answered.
#[test]
fn the_answer_s_description_counts_not_that_of_early_media() {
    let mut desk = dialled("");
    desk.reply(TRUNK, "183 Session Progress", "one", TRUNK_CONTACT, &SDP.replace("10.0.0.9", "198.51.100.7"));
    desk.reply(TRUNK, "200 OK", "two", TRUNK_CONTACT, &SDP.replace("10.0.0.9", "198.51.100.8"));
    assert_eq!(desk.answer(PHONE), 200);
    let call = desk.kept_call();
    assert!(call.contains("[198,51,100,8],4000") && !call.contains("[198,51,100,7],4000"), "{call}");
}

/// The process dies while a re-INVITE is on its way: the next one numbers its requests on, and takes offers again.
#[test]
fn a_restart_in_the_middle_of_a_reinvite() {
    let mut desk = connected();
    inside(&mut desk, "INVITE", "t", 7, &SDP.replace("10.0.0.9", "198.51.100.1").replace("1 1 IN", "1 2 IN"));
    let asked = desk.last(PHONE);
    assert_eq!(asked.method(), Method::Invite);
    let mut next = Desk::restarted(CONFIG, desk.left_behind());
    assert_eq!(next.status().calls.len(), 1);
    let ok = desk.sent.iter().find(|(to, m)| to.to_string() == PHONE && m.status() == Some(200) && m.method() == Method::Invite);
    let (from, to) = ok
        .map(|(_, m)| (m.header(HeaderName::From).expect("one").to_string(), m.header(HeaderName::To).expect("one").to_string()))
        .expect("a 200");
    next.receive(PHONE, &format!(
        "INVITE sip:ringfort@192.0.2.10 SIP/2.0\r\nVia: SIP/2.0/UDP {PHONE};branch=z9hG4bKre;rport\r\nFrom: {from}\r\nTo: {to}\r\nCall-ID: {}\r\n\
         CSeq: 900 INVITE\r\n{CONTACT}Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{SDP}a=sendonly\r\n",
        asked.call_id().expect("one"), SDP.len() + "a=sendonly\r\n".len()
    ));
    assert_eq!(next.last(TRUNK).method(), Method::Invite, "the offer goes on to the other leg");
    next.input(ringfort_call::Input::HangUp(next.status().calls[0].call));
    next.pass(Duration::from_millis(10));
    let bye = next.sent.iter().rev().find(|(to, m)| to.to_string() == PHONE && m.method() == Method::Bye && m.is_request());
    let (number, _) = bye.expect("a BYE").1.cseq().expect("sound");
    assert!(number > asked.cseq().expect("sound").0, "{number}");
}
