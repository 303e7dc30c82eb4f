//! Forwards of the node itself, as the one who is called instead reads them: Diversion (RFC 5806) and History-Info (RFC 7044, 7544).

use crate::fixture::{Desk, SDP};
use ringfort_sip::message::{HeaderName, Message, Method};
use std::time::Duration;

const CALLER: &str = "203.0.113.5:5060";
const ONE: &str = "203.0.113.6:5060";
const TWO: &str = "203.0.113.7:5060";
const TRUNK: &str = "198.51.100.1:5060";
const CONTACT: &str = "Contact: <sip:101@203.0.113.5:5060>\r\n";

/// 101, 102 and 103 are registered; `forward` is what 102 and 103 do with calls, numbers with 0 go to a trunk that reads both fields.
fn site(forwards: [&str; 2]) -> Desk {
    let account = |user: &str, forward: &str| format!("[[account]]\nuser = \"{user}\"\nforward = {{ {forward} }}\n");
    let mut desk = Desk::new(&format!(
        "[[trunk]]\nname = \"carrier\"\naddress = \"{TRUNK}\"\noptions_interval_ms = 0\nprofile = \"p\"\n\
         [[profile]]\nname = \"p\"\nforwarding = \"both\"\n[[did]]\nrange = \"+4930555100-199\"\nto = \"\"\n\
         [[route]]\nname = \"out\"\nnumber = \"0*\"\nto = [\"trunk:carrier\"]\n{}{}{}",
        account("101", ""),
        account("102", forwards[0]),
        account("103", forwards[1])
    ));
    for (phone, user) in [(CALLER, "101"), (ONE, "102"), (TWO, "103")] {
        assert_eq!(desk.register(phone, user, &format!("Contact: <sip:{user}@{phone}>\r\n")), 200);
    }
    desk.request(CALLER, "INVITE", "sip:102@ringfort.local", "101", CONTACT, SDP);
    desk
}

fn told(invite: &Message, name: HeaderName) -> Vec<String> {
    invite.values(name).map(str::to_string).collect()
}

fn last_invite(desk: &Desk, party: &str) -> Message {
    desk.requests(party, Method::Invite).pop().expect("an INVITE")
}

#[test]
fn unconditional() {
    let desk = site(["always = \"0777\"", ""]);
    let invite = last_invite(&desk, TRUNK);
    assert_eq!(told(&invite, HeaderName::Diversion), ["<sip:+4930555102@192.0.2.10>;reason=unconditional;counter=1"]);
    let history = ["<sip:+4930555102@192.0.2.10>;index=1", "<sip:0777@192.0.2.10;cause=302>;index=1.1;mp=1"];
    assert_eq!(told(&invite, HeaderName::HistoryInfo), history);
    assert!(desk.requests(ONE, Method::Invite).is_empty());
}

#[test]
fn busy_and_then_no_answer_and_each_says_why() {
    let mut desk = site(["busy = \"103\"", "no_answer = \"0777\", no_answer_s = 10"]);
    desk.reply(ONE, "486 Busy Here", "b", "", "");
    let inside = last_invite(&desk, TWO);
    assert_eq!(told(&inside, HeaderName::Diversion), ["<sip:102@ringfort.local>;reason=user-busy;counter=1"]);
    desk.reply_to(TWO, &inside, "180 Ringing", "c", &format!("Contact: <sip:103@{TWO}>\r\n"), "");
    desk.pass(Duration::from_secs(11));
    let invite = last_invite(&desk, TRUNK);
    assert_eq!(
        told(&invite, HeaderName::Diversion),
        ["<sip:+4930555103@192.0.2.10>;reason=no-answer;counter=1", "<sip:+4930555102@192.0.2.10>;reason=user-busy;counter=1"]
    );
    assert_eq!(
        told(&invite, HeaderName::HistoryInfo),
        [
            "<sip:+4930555102@192.0.2.10>;index=1",
            "<sip:+4930555103@192.0.2.10;cause=486>;index=1.1;mp=1",
            "<sip:0777@192.0.2.10;cause=408>;index=1.1.1;mp=1.1"
        ]
    );
}

#[test]
fn a_redirection_that_is_followed_counts_as_a_forward_and_so_do_those_before_it() {
    let mut desk = site(["busy = \"103\"", ""]);
    desk.reply(ONE, "486 Busy Here", "b", "", "");
    let moved = "Contact: <sip:0777@ringfort.local>\r\nDiversion: <sip:103@ringfort.local>;reason=no-answer\r\n";
    desk.reply(TWO, "302 Moved Temporarily", "c", moved, "");
    let diversions = told(&last_invite(&desk, TRUNK), HeaderName::Diversion);
    let reasons: Vec<&str> = diversions.iter().filter_map(|value| value.split(";reason=").nth(1)).collect();
    assert_eq!(reasons, ["no-answer;counter=1", "user-busy;counter=1"]);
}

/// RFC 5806 5.2: the count of forwards before is kept; privacy=full is for trusted peers only.
#[test]
fn what_a_carrier_tells_of_forwards_keeps_its_count_and_its_privacy() {
    let mut desk = site(["always = \"0777\"", ""]);
    let more = "Contact: <sip:gw@198.51.100.1>\r\nDiversion: <sip:+49301@a.example>;reason=user-busy;counter=3, \
                <sip:+49302@a.example>;reason=no-answer;privacy=full\r\n";
    desk.request(TRUNK, "INVITE", "sip:+4930555102@192.0.2.10", "+49309", more, SDP);
    assert_eq!(
        told(&last_invite(&desk, TRUNK), HeaderName::Diversion),
        ["<sip:+4930555102@192.0.2.10>;reason=unconditional;counter=1", "<sip:+49301@192.0.2.10>;reason=user-busy;counter=3"]
    );
}

/// Who rings along reads for whom; the extension's own device was not diverted to.
#[test]
fn a_phone_that_rings_along_reads_for_whom() {
    let mut desk = site(["}\nalso_ring = [\"0777\", \"103\"] # ", ""]);
    let invite = last_invite(&desk, TRUNK);
    assert_eq!(told(&invite, HeaderName::Diversion), ["<sip:+4930555102@192.0.2.10>;reason=unconditional;counter=1"]);
    let history = ["<sip:+4930555102@192.0.2.10>;index=1", "<sip:0777@192.0.2.10;cause=302>;index=1.1;mp=1"];
    assert_eq!(told(&invite, HeaderName::HistoryInfo), history);
    let along = last_invite(&desk, TWO);
    assert_eq!(told(&along, HeaderName::Diversion), ["<sip:102@ringfort.local>;reason=unconditional;counter=1"]);
    assert!(told(&last_invite(&desk, ONE), HeaderName::Diversion).is_empty());
    // A device of the extension that rings along sends the call on: both are named.
    let along = last_invite(&desk, TWO);
    let moved = "Contact: <sip:0888@ringfort.local>\r\n";
    desk.reply_to(TWO, &along, "302 Moved Temporarily", "c", moved, "");
    let last = last_invite(&desk, TRUNK);
    let told = told(&last, HeaderName::Diversion);
    assert!(told.len() == 2 && told[0].contains("555103") && told[1].contains("555102"), "{told:?}");
}

/// A device sends the call on to an extension for which another phone rings along.
#[test]
fn a_redirection_to_who_is_not_alone_is_told_to_both() {
    let mut desk = site(["", "}\nalso_ring = [\"0777\"] # "]);
    let invite = last_invite(&desk, ONE);
    desk.reply_to(ONE, &invite, "302 Moved Temporarily", "b", "Contact: <sip:103@ringfort.local>\r\n", "");
    assert_eq!(told(&last_invite(&desk, TWO), HeaderName::Diversion).len(), 1);
    let told = told(&last_invite(&desk, TRUNK), HeaderName::Diversion);
    assert!(told.len() == 2 && told[0].contains("555103") && told[1].contains("555102"), "{told:?}");
}
