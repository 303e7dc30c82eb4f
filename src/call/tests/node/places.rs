//! Where offers and answers may stand: table 1 of RFC 6337, each row in each state of a dialog, by the caller and by the target. The table
//! of docs/call-states.md is what the node does.

use crate::early::{self, CONTACT, TRUNK_CONTACT, answers, dialled, rack, trunk_sdp};
use crate::fixture::{Desk, SDP};
use crate::talk::{self, ALLOWS_UPDATE, End, body, sdp};
use ringfort_sip::message::{HeaderName, Message, Method};

const PAGE: &str = include_str!("../../../../docs/call-states.md");
const RELIABLE: &str = "Require: 100rel\r\nRSeq: 7\r\n";
const CAN: &str = "Supported: 100rel\r\n";

/// What whoever offers in this way sees: `works`, or the status of the refusal.
type Try = fn() -> String;

/// Each place with: initial by the caller, initial by the target, early by the caller, early by the target, established.
const ROWS: [(&str, [Try; 5]); 6] = [
    ("INVITE, 2xx", [invite_2xx, target_2xx, || early_invite(SDP), || target_early("INVITE"), || inside("INVITE", false)]),
    ("2xx, ACK", [late_2xx, unused, || early_invite(""), unused, || inside("INVITE", true)]),
    ("INVITE, reliable 1xx", [invite_1xx, target_1xx, || early_invite(SDP), || target_early("INVITE"), reliable_inside]),
    ("reliable 1xx, PRACK", [late_1xx, unused, || early_invite(""), unused, unused]),
    ("PRACK, 2xx", [prack_too_soon, || target_early("PRACK"), prack_offer, || target_early("PRACK"), || inside("PRACK", false)]),
    (
        "UPDATE, 2xx",
        [|| update(false), target_update_too_soon, || update(true), || target_early("UPDATE"), || inside("UPDATE", false)],
    ),
];

/// The node never sends what would allow it.
fn unused() -> String {
    "unused".into()
}

fn seen(response: &Message, answer: bool) -> String {
    let status = response.status().unwrap_or_default();
    let sound = (200..300).contains(&status) && (!answer || body(response).contains("m=audio"));
    let retry = if response.header(HeaderName::RetryAfter).is_some() { ", Retry-After" } else { "" };
    if sound { "works".into() } else { format!("{status}{retry}") }
}

fn connected(desk: &Desk) -> String {
    desk.status().calls.first().map_or("no call".into(), |call| match call.state.as_str() {
        "connected" => "works".to_string(),
        other => other.to_string(),
    })
}

fn moved() -> String {
    SDP.replace("1 1 IN", "1 2 IN").replace("4000", "4010")
}

fn final_ok(desk: &Desk) -> Message {
    desk.last_of(early::PHONE, |m| m.status() == Some(200) && m.cseq().is_ok_and(|(_, method)| method == Method::Invite))
}

fn ack(desk: &mut Desk, body: &str) {
    let ok = final_ok(desk);
    desk.inside(early::PHONE, "ACK", &ok, ok.cseq().expect("one").0, "", body);
}

fn invite_2xx() -> String {
    let mut desk = dialled("", SDP);
    answers(&mut desk, "200 OK", "", &trunk_sdp());
    ack(&mut desk, "");
    seen(&final_ok(&desk), true)
}

fn target_2xx() -> String {
    let mut desk = dialled("", SDP);
    assert!(body(&early::invite(&desk)).contains("m=audio"));
    answers(&mut desk, "200 OK", "", &trunk_sdp());
    connected(&desk)
}

fn late_2xx() -> String {
    let mut desk = dialled("", "");
    answers(&mut desk, "200 OK", "", &trunk_sdp());
    assert!(body(&final_ok(&desk)).contains("m=audio"));
    ack(&mut desk, SDP);
    connected(&desk)
}

/// A call whose caller has the answer in a reliable 183 that it has not acknowledged.
fn reliable_183(offer: &str) -> (Desk, Message) {
    let mut desk = dialled(CAN, offer);
    answers(&mut desk, "183 Session Progress", "", &trunk_sdp());
    let response = desk.last(early::PHONE);
    assert!(body(&response).contains("m=audio") && response.header(HeaderName::RSeq).is_some());
    (desk, response)
}

fn invite_1xx() -> String {
    let (mut desk, response) = reliable_183(SDP);
    desk.inside(early::PHONE, "PRACK", &response, 50, &rack(&response), "");
    answers(&mut desk, "200 OK", "", &trunk_sdp());
    assert!(final_ok(&desk).body().is_empty(), "it was said already");
    ack(&mut desk, "");
    connected(&desk)
}

fn target_1xx() -> String {
    let mut desk = dialled("", SDP);
    answers(&mut desk, "183 Session Progress", RELIABLE, &trunk_sdp());
    assert_eq!(desk.last(early::TRUNK).method(), Method::Prack);
    answers(&mut desk, "200 OK", "", "");
    ack(&mut desk, "");
    seen(&final_ok(&desk), true)
}

fn late_1xx() -> String {
    let (mut desk, response) = reliable_183("");
    desk.inside(early::PHONE, "PRACK", &response, 50, &rack(&response), SDP);
    answers(&mut desk, "200 OK", "", &trunk_sdp());
    ack(&mut desk, "");
    connected(&desk)
}

fn early_invite(offer: &str) -> String {
    let (mut desk, response) = reliable_183(SDP);
    desk.inside(early::PHONE, "PRACK", &response, 50, &rack(&response), "");
    desk.inside(early::PHONE, "INVITE", &response, 51, CONTACT, offer);
    seen(&desk.last(early::PHONE), true)
}

/// The reliable response has no answer yet, so the INVITE's offer is open.
fn prack_too_soon() -> String {
    let mut desk = dialled("Require: 100rel\r\n", SDP);
    answers(&mut desk, "180 Ringing", "", "");
    let response = desk.last(early::PHONE);
    desk.inside(early::PHONE, "PRACK", &response, 50, &rack(&response), &moved());
    seen(&desk.last(early::PHONE), true)
}

fn prack_offer() -> String {
    let (mut desk, response) = reliable_183(SDP);
    desk.inside(early::PHONE, "PRACK", &response, 50, &rack(&response), &moved());
    seen(&desk.last(early::PHONE), true)
}

fn update(settled: bool) -> String {
    let (mut desk, response) = reliable_183(SDP);
    if settled {
        desk.inside(early::PHONE, "PRACK", &response, 50, &rack(&response), "");
    }
    desk.inside(early::PHONE, "UPDATE", &response, 51, CONTACT, &moved());
    seen(&desk.last(early::PHONE), true)
}

/// The target sends a request in the dialog that its 18x founded.
fn target_asks(desk: &mut Desk, method: &str) -> String {
    let invite = early::invite(desk);
    let field = |name| invite.header(name).unwrap_or_default().to_string();
    let mut end = End {
        address: early::TRUNK,
        call_id: invite.call_id().expect("one").to_string(),
        local: format!("{};tag=t", field(HeaderName::To)),
        remote: field(HeaderName::From),
        cseq: 70,
    };
    let more = if method == "PRACK" { "RAck: 1 1 INVITE\r\n" } else { TRUNK_CONTACT };
    end.send(desk, method, more, &sdp(early::TRUNK, 3, "sendrecv"));
    seen(&end.answered(desk), true)
}

fn target_update_too_soon() -> String {
    let mut desk = dialled("", SDP);
    answers(&mut desk, "180 Ringing", "", "");
    target_asks(&mut desk, "UPDATE")
}

fn target_early(method: &str) -> String {
    let mut desk = dialled("", SDP);
    answers(&mut desk, "183 Session Progress", RELIABLE, &trunk_sdp());
    target_asks(&mut desk, method)
}

/// In a call that stands, by either side.
fn inside(method: &str, late: bool) -> String {
    let by = |caller: bool| {
        let (mut desk, phone, trunk) = talk::connected(talk::CONFIG, ALLOWS_UPDATE, ALLOWS_UPDATE);
        let (mut asks, other) = if caller { (phone, trunk) } else { (trunk, phone) };
        let offer = sdp(asks.address, 2, "sendrecv");
        asks.send(&mut desk, method, "", if late { "" } else { &offer });
        if method != "PRACK" {
            assert_eq!(other.asked(&desk).method().as_str(), method);
            other.answer(&mut desk, "200 OK", "", &sdp(other.address, 2, "sendrecv"));
            asks.ack(&mut desk, if late { &offer } else { "" });
            assert_eq!(connected(&desk), "works");
        }
        seen(&asks.answered(&desk), true)
    };
    let (caller, callee) = (by(true), by(false));
    assert_eq!(caller, callee);
    caller
}

/// No re-INVITE of the node asks for reliable responses, so none may come.
fn reliable_inside() -> String {
    let (mut desk, mut phone, trunk) = talk::connected(talk::CONFIG, "", "");
    phone.send(&mut desk, "INVITE", CAN, &sdp(talk::PHONE, 2, "sendonly"));
    assert!(!trunk.asked(&desk).has_token(HeaderName::Supported, "100rel"));
    unused()
}

#[test]
fn the_page_says_where_offers_may_stand() {
    let mut page = String::from(
        "| offer, answer | initial, caller | initial, target | early, caller | early, target | established |\n|---|---|---|---|---|---|\n",
    );
    for (name, tries) in ROWS {
        let cells: Vec<String> = tries.iter().map(|one| one()).collect();
        page += &format!("| {name} | {} |\n", cells.join(" | "));
    }
    assert!(PAGE.contains(&page), "the page should hold\n{page}");
}
