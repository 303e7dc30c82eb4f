//! Bodies of several parts: the description among them makes the call, the caller's location goes with an emergency call and no
//! other, and what nobody here reads costs no call.

use crate::fixture::{Desk, SDP};
use crate::talk::body;
use ringfort_sip::message::{HeaderName, Message, Method};

const PHONE: &str = "203.0.113.5:5060";
const CARRIER: &str = "198.51.100.7:5060";
const MIXED: &str = "Content-Type: multipart/mixed;boundary=edge\r\n";
const LOCATION: &str =
    "<presence xmlns=\"urn:ietf:params:xml:ns:pidf\" entity=\"pres:101@203.0.113.5\"><tuple id=\"a\"/></presence>";

fn site() -> Desk {
    let mut desk = Desk::new(&format!(
        "[[account]]\nuser = \"101\"\n[[trunk]]\nname = \"carrier\"\naddress = \"{CARRIER}\"\noptions_interval_ms = 0\n\
         [emergency]\nnumbers = [\"112\"]\nto = [\"trunk:carrier\"]\n[[route]]\nname = \"out\"\nnumber = \"0X*\"\nto = [\"trunk:carrier\"]\n"
    ));
    assert_eq!(desk.register(PHONE, "101", "Contact: <sip:101@203.0.113.5:5060>\r\n"), 200);
    desk
}

/// A part of this type, with further header lines.
fn part(kind: &str, more: &str, content: &str) -> String {
    format!("--edge\r\nContent-Type: {kind}\r\n{more}\r\n{content}\r\n")
}

fn mixed(parts: &[String]) -> String {
    parts.concat() + "--edge--\r\n"
}

fn dial(desk: &mut Desk, number: &str, more: &str, body: &str) {
    let more = format!("Contact: <sip:101@203.0.113.5:5060>\r\n{more}{MIXED}");
    desk.request(PHONE, "INVITE", &format!("sip:{number}@ringfort.local"), "101", &more, body);
}

fn got(desk: &Desk) -> Option<Message> {
    desk.requests(CARRIER, Method::Invite).pop()
}

#[test]
fn an_emergency_call_takes_the_location_along_and_the_reference_still_finds_it() {
    let mut desk = site();
    let located = part("application/pidf+xml", "Content-ID: <loc7@203.0.113.5>\r\n", LOCATION);
    let body_sent = mixed(&[part("application/sdp", "", SDP), located, part("application/isup", "", "secret")]);
    let reference = "Geolocation: <cid:loc7@203.0.113.5>\r\nGeolocation-Routing: yes\r\n";
    dial(&mut desk, "112", reference, &body_sent);
    let invite = got(&desk).expect("an INVITE");
    assert!(invite.content_type().unwrap().unwrap().is("multipart/mixed"));
    assert!(invite.session_description().is_some_and(|sdp| sdp.starts_with(b"v=0")));
    let parts = invite.parts();
    assert_eq!(parts.iter().map(|part| part.media_type()).collect::<Vec<_>>(), ["application/sdp", "application/pidf+xml"]);
    assert_eq!(parts[1].field_named("Content-ID"), "<loc7@ringfort.local>");
    assert_eq!(invite.header(HeaderName::Geolocation), Some("<cid:loc7@ringfort.local>"));
    assert_eq!(String::from_utf8_lossy(parts[1].content()), LOCATION.replace("203.0.113.5", "ringfort.local"));
    let all = String::from_utf8_lossy(invite.octets()).into_owned();
    assert!(!all.contains("203.0.113.5") && !all.contains("secret"), "{all}");
}

#[test]
fn any_other_call_leaves_it_here() {
    let mut desk = site();
    let located = part("application/pidf+xml", "Content-ID: <loc7@203.0.113.5>\r\n", LOCATION);
    let reference = "Geolocation: <cid:loc7@203.0.113.5>\r\n";
    dial(&mut desk, "0301", reference, &mixed(&[located, part("application/sdp", "", SDP)]));
    let invite = got(&desk).expect("an INVITE");
    assert!(invite.content_type().unwrap().unwrap().is("application/sdp"));
    assert_eq!(invite.header(HeaderName::Geolocation), None);
    assert!(!body(&invite).contains("presence"));
}

#[test]
fn a_part_that_must_be_known_and_is_not_refuses_the_call() {
    for (disposition, taken) in [("", true), ("handling=optional", true), ("handling=required", false)] {
        let mut desk = site();
        let line = if disposition.is_empty() { String::new() } else { format!("Content-Disposition: signal;{disposition}\r\n") };
        dial(&mut desk, "0301", "", &mixed(&[part("application/isup", &line, "x"), part("application/sdp", "", SDP)]));
        assert_eq!(got(&desk).is_some(), taken, "{disposition}");
        if !taken {
            let refusal = desk.last(PHONE);
            assert_eq!((refusal.status(), refusal.header(HeaderName::Accept)), (Some(415), Some(ringfort_call::ACCEPT)));
        }
    }
}

#[test]
fn an_answer_may_come_in_parts() {
    let mut desk = site();
    desk.request(PHONE, "INVITE", "sip:0301@ringfort.local", "101", "Contact: <sip:101@203.0.113.5:5060>\r\n", SDP);
    let more = format!("Contact: <sip:gw@{CARRIER}>\r\n{MIXED}");
    desk.reply(
        CARRIER,
        "200 OK",
        "c",
        &more,
        &mixed(&[part("application/vnd.x+xml", "", "<x/>"), part("application/sdp", "", SDP)]),
    );
    let answer = desk.last(PHONE);
    assert_eq!(answer.status(), Some(200));
    assert!(answer.content_type().unwrap().unwrap().is("application/sdp") && body(&answer).contains("m=audio"));
}

#[test]
fn parts_without_a_description_are_an_invite_without_offer() {
    let mut desk = site();
    dial(&mut desk, "0301", "", &mixed(&[part("application/isup", "", "x")]));
    let invite = got(&desk).expect("an INVITE");
    desk.reply_to(CARRIER, &invite, "200 OK", "c", &format!("Contact: <sip:gw@{CARRIER}>\r\n"), SDP);
    assert!(body(&desk.last(PHONE)).contains("m=audio"), "the 200 offers");
}
