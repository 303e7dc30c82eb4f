//! The INVITE that meets a dead server goes to the peer's next one (RFC 3263 4.3), and to the next stage when none is left.

use crate::fixture::{Desk, SDP};
use crate::talk::contact;
use ringfort_base::{Event, Hop, Transport};
use ringfort_call::Input;
use ringfort_sip::message::{HeaderName, Message, Method};
use std::time::Duration;

const PHONE: &str = "203.0.113.5:5060";
const ONE: &str = "198.51.100.1:5080";
const TWO: &str = "198.51.100.2:5090";
const OTHER: &str = "198.51.100.9:5060";
const CONFIG: &str = "[[trunk]]\nname = \"carrier\"\naddress = \"sip.carrier.test\"\ntransport = \"udp\"\noptions_interval_ms = 0\n\
    auth = { user = \"acme\", password = \"word\" }\n\
    [[trunk]]\nname = \"other\"\naddress = \"198.51.100.9:5060\"\noptions_interval_ms = 0\n[[account]]\nuser = \"101\"\n\
    [[route]]\nname = \"out\"\nnumber = \"0*\"\nto = [\"trunk:carrier\", \"trunk:other\"]\n";
const ZONE: &str = "
    _sip._udp.sip.carrier.test SRV 10 1 5080 one.carrier.test
    _sip._udp.sip.carrier.test SRV 20 1 5090 two.carrier.test
    one.carrier.test A 198.51.100.1
    two.carrier.test A 198.51.100.2";
/// More than half of `patience_ms`, less than all of it.
const PATIENCE: Duration = Duration::from_millis(700);
const CHALLENGE: &str = "WWW-Authenticate: Digest realm=\"carrier\", nonce=\"one\", qop=\"auth\"\r\n";

fn dialled(config: &str) -> Desk {
    let mut desk = Desk::new(config);
    desk.zone(ZONE);
    desk.pass(Duration::from_secs(1));
    assert_eq!(desk.register(PHONE, "101", &contact("101", PHONE)), 200);
    dial(&mut desk);
    desk
}

fn dial(desk: &mut Desk) {
    desk.request(PHONE, "INVITE", "sip:0123@ringfort.local", "101", &contact("101", PHONE), SDP);
}

fn invite(desk: &Desk, to: &str) -> Message {
    desk.last_of(to, |m| m.is_request() && m.method() == Method::Invite)
}

fn invites(desk: &Desk, to: &str) -> usize {
    let mut found = desk.requests(to, Method::Invite);
    found.dedup_by_key(|message| message.cseq().ok().map(|(number, _)| number));
    found.len()
}

fn take(desk: &mut Desk, server: &str) {
    let invite = invite(desk, server);
    desk.reply_to(server, &invite, "200 OK", "t", &contact("gw", server), SDP);
    assert_eq!(desk.last_of(PHONE, |m| !m.is_request()).status(), Some(200));
}

#[test]
fn a_silent_server_gives_way_to_the_next_one_and_calls_go_there_from_then_on() {
    let mut desk = dialled(CONFIG);
    assert_eq!((invites(&desk, ONE), invites(&desk, TWO)), (1, 0));
    desk.pass(PATIENCE);
    assert_eq!((invites(&desk, TWO), invites(&desk, OTHER)), (1, 0), "before another trunk has its turn");
    let (first, second) = (invite(&desk, ONE), invite(&desk, TWO));
    assert_eq!(
        (first.call_id().ok(), first.request_uri(), first.body()),
        (second.call_id().ok(), second.request_uri(), second.body())
    );
    assert!(second.cseq().expect("one").0 > first.cseq().expect("one").0);
    assert_ne!(first.top_via().expect("one").branch, second.top_via().expect("one").branch);
    take(&mut desk, TWO);
    assert!(!desk.events.iter().any(|event| matches!(event, Event::CallRerouted { .. })), "it is the same target");
    dial(&mut desk);
    assert_eq!((invites(&desk, ONE), invites(&desk, TWO)), (1, 2), "the dead one is left alone");
}

#[test]
fn a_late_answer_of_the_first_server_is_released() {
    let mut desk = dialled(CONFIG);
    let first = invite(&desk, ONE);
    desk.pass(PATIENCE);
    take(&mut desk, TWO);
    desk.reply_to(ONE, &first, "200 OK", "late", &contact("gw", ONE), SDP);
    assert_eq!((desk.requests(ONE, Method::Ack).len(), desk.requests(ONE, Method::Bye).len()), (1, 1));
    assert!(desk.requests(TWO, Method::Bye).is_empty());
    // One that only begins to answer is cancelled.
    let mut desk = dialled(CONFIG);
    let first = invite(&desk, ONE);
    desk.pass(PATIENCE);
    desk.reply_to(ONE, &first, "180 Ringing", "late", &contact("gw", ONE), "");
    assert_eq!(desk.requests(ONE, Method::Cancel).len(), 1);
    take(&mut desk, TWO);
}

#[test]
fn a_503_and_a_broken_way_lead_on_at_once() {
    let mut desk = dialled(CONFIG);
    let first = invite(&desk, ONE);
    desk.reply_to(ONE, &first, "503 Service Unavailable", "t", "Retry-After: 120\r\n", "");
    assert_eq!((invites(&desk, TWO), invites(&desk, OTHER)), (1, 0));
    take(&mut desk, TWO);

    let mut desk = Desk::new(&CONFIG.replace("transport = \"udp\"", "transport = \"tcp\""));
    desk.zone(&ZONE.replace("_udp", "_tcp"));
    desk.pass(Duration::from_secs(1));
    assert_eq!(desk.register(PHONE, "101", &contact("101", PHONE)), 200);
    dial(&mut desk);
    assert_eq!((invites(&desk, ONE), invites(&desk, TWO)), (1, 0));
    desk.input(Input::SendFailed(Hop::to(Transport::Tcp, ONE.parse().expect("an address"))));
    assert_eq!((invites(&desk, TWO), invites(&desk, OTHER)), (1, 0));
    assert!(invite(&desk, TWO).header(HeaderName::Via).is_some_and(|via| via.starts_with("SIP/2.0/TCP")));
}

#[test]
fn other_refusals_are_the_carriers_answer_whichever_server_gives_it() {
    for (status, other) in [("486 Busy Here", 0), ("500 Server Error", 1), ("404 Not Found", 0)] {
        let mut desk = dialled(CONFIG);
        let first = invite(&desk, ONE);
        desk.reply_to(ONE, &first, status, "t", "", "");
        assert_eq!((invites(&desk, TWO), invites(&desk, OTHER)), (0, other), "{status}");
    }
}

#[test]
fn when_all_servers_are_dead_the_next_stage_has_its_turn_and_loses_no_time_the_next_time() {
    let mut desk = dialled(CONFIG);
    desk.pass(Duration::from_secs(8));
    assert_eq!((invites(&desk, ONE), invites(&desk, TWO), invites(&desk, OTHER)), (1, 1, 1));
    take(&mut desk, OTHER);
    let mut desk = dialled(CONFIG);
    for server in [ONE, TWO] {
        let asked = invite(&desk, server);
        desk.reply_to(server, &asked, "503 Service Unavailable", "t", "", "");
    }
    assert_eq!(invites(&desk, OTHER), 1);
    // The last trunk dies too: the caller hears it, and nothing is left.
    let asked = invite(&desk, OTHER);
    desk.reply_to(OTHER, &asked, "503 Service Unavailable", "t", "", "");
    assert_eq!(desk.answer(PHONE), 503);
    desk.pass(Duration::from_secs(40));
    assert_eq!(desk.residue(), [0; 3]);
}

#[test]
fn whoever_rings_is_not_left_for_another_server() {
    let mut desk = dialled(CONFIG);
    let first = invite(&desk, ONE);
    desk.reply_to(ONE, &first, "180 Ringing", "t", &contact("gw", ONE), "");
    desk.pass(Duration::from_secs(20));
    desk.reply_to(ONE, &first, "503 Service Unavailable", "t", "", "");
    assert_eq!((invites(&desk, TWO), invites(&desk, OTHER)), (0, 1));
}

#[test]
fn a_challenge_of_the_second_server_is_answered_and_a_cancel_goes_where_the_invite_is() {
    let mut desk = dialled(CONFIG);
    let asked = invite(&desk, ONE);
    desk.reply_to(ONE, &asked, "401 Unauthorized", "c", CHALLENGE, "");
    let asked = invite(&desk, ONE);
    desk.reply_to(ONE, &asked, "503 Service Unavailable", "c", "", "");
    let asked = invite(&desk, TWO);
    desk.reply_to(TWO, &asked, "401 Unauthorized", "c", &CHALLENGE.replace("one\"", "two\""), "");
    let asked = invite(&desk, TWO);
    assert!(asked.header(HeaderName::Authorization).is_some_and(|value| value.contains("nonce=\"two\"")));
    assert_eq!((asked.headers(HeaderName::Authorization).count(), asked.cseq().expect("one").0), (1, 4));
    desk.reply_to(TWO, &asked, "180 Ringing", "t", &contact("gw", TWO), "");
    let call = desk.status().calls[0].call;
    desk.input(Input::HangUp(call));
    assert_eq!((desk.requests(TWO, Method::Cancel).len(), desk.requests(ONE, Method::Cancel).len()), (1, 0));
}

#[test]
fn one_request_tries_four_servers_at_most() {
    let mut desk = Desk::new(CONFIG);
    let records: String = (1..=8)
        .map(|n| format!("_sip._udp.sip.carrier.test SRV {n} 1 5060 s{n}.carrier.test\ns{n}.carrier.test A 198.51.100.{n}\n"))
        .collect();
    desk.zone(&records);
    desk.pass(Duration::from_secs(1));
    assert_eq!(desk.register(PHONE, "101", &contact("101", PHONE)), 200);
    dial(&mut desk);
    for n in 1..=4 {
        let server = format!("198.51.100.{n}:5060");
        let asked = invite(&desk, &server);
        desk.reply_to(&server, &asked, "503 Service Unavailable", "t", "", "");
    }
    assert_eq!((invites(&desk, "198.51.100.5:5060"), invites(&desk, OTHER)), (0, 1));
}
