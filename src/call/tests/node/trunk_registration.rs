//! The node registers with a carrier.

use crate::fixture::Desk;
use ringfort_sip::digest::{Credentials, Ha1};
use ringfort_sip::message::{HeaderName, Message, Method};
use std::time::Duration;

const CARRIER: &str = "198.51.100.20:5060";
const CONFIG: &str = "[[trunk]]\nname = \"carrier\"\naddress = \"198.51.100.20:5060\"\noptions_interval_ms = 0\n\
    register = { user = \"+4930123\", auth_user = \"acme\", password = \"word\", expires_s = 300 }\n";
const CHALLENGE: &str = "WWW-Authenticate: Digest realm=\"carrier\", nonce=\"one\", qop=\"auth\", algorithm=SHA-256\r\n";

/// REGISTERs so far, repetitions left out.
fn registers(desk: &Desk) -> Vec<Message> {
    let mut found: Vec<Message> = Vec::new();
    for (_, message) in &desk.sent {
        let known = found.iter().any(|m| m.cseq().ok() == message.cseq().ok());
        if message.is_request() && message.method() == Method::Register && !known {
            found.push(message.clone());
        }
    }
    found
}

fn credentials(message: &Message) -> Option<Credentials> {
    message.header(HeaderName::Authorization).and_then(|value| Credentials::parse(value).ok())
}

fn state(desk: &Desk) -> String {
    desk.status().trunks[0].reason.clone()
}

/// A desk whose carrier has granted the first registration.
fn registered() -> Desk {
    let mut desk = Desk::new(CONFIG);
    desk.pass(Duration::from_millis(1));
    desk.reply(CARRIER, "401 Unauthorized", "t", CHALLENGE, "");
    desk.reply(CARRIER, "200 OK", "t", "Contact: <sip:+4930123@192.0.2.10>;expires=120\r\n", "");
    desk
}

#[test]
fn it_begins_at_start_answers_the_challenge_and_refreshes_in_time() {
    let mut desk = registered();
    let sent = registers(&desk);
    assert_eq!(sent.len(), 2, "one without and one with credentials");
    assert_eq!((sent[0].request_uri(), sent[0].expires()), (Some("sip:198.51.100.20:5060"), Ok(Some(300))));
    assert_eq!(sent[0].call_id(), sent[1].call_id());
    let answer = credentials(&sent[1]).expect("credentials");
    assert!(answer.username == "acme" && Ha1::new("acme", "carrier", "word").verify(&answer, "REGISTER"));
    assert!(state(&desk).contains("registered until"), "{}", state(&desk));
    // Granted for 120 seconds: not at once, and before they are over.
    desk.pass(Duration::from_secs(80));
    assert_eq!(registers(&desk).len(), 2);
    desk.pass(Duration::from_secs(20));
    let sent = registers(&desk);
    let again = credentials(&sent[2]).expect("the known challenge is answered again");
    assert_eq!((sent.len(), again.nonce_count()), (3, Some(2)));
}

#[test]
fn a_stale_nonce_is_answered_anew_and_a_wrong_password_is_not_repeated() {
    let mut desk = registered();
    while registers(&desk).len() < 3 {
        desk.pass(Duration::from_secs(1));
    }
    desk.reply(CARRIER, "401 Unauthorized", "t", &CHALLENGE.replace("one\"", "two\", stale=true"), "");
    let sent = registers(&desk);
    let answer = credentials(&sent[3]).expect("credentials");
    assert_eq!((answer.nonce.as_str(), answer.nonce_count()), ("two", Some(1)));
    desk.reply(CARRIER, "401 Unauthorized", "t", &CHALLENGE.replace("one", "three"), "");
    assert!(state(&desk).contains("name or password refused"), "{}", state(&desk));
    desk.pass(Duration::from_secs(890));
    assert_eq!(registers(&desk).len(), 4, "half an hour, less some chance");
    desk.pass(Duration::from_secs(920));
    assert!(registers(&desk).len() > 4, "then it is tried again");
}

#[test]
fn a_registrar_that_wants_longer_gets_longer() {
    let mut desk = Desk::new(CONFIG);
    desk.pass(Duration::from_millis(1));
    desk.reply(CARRIER, "423 Interval Too Brief", "t", "Min-Expires: 900\r\n", "");
    assert_eq!(registers(&desk)[1].expires(), Ok(Some(900)));
    desk.reply(CARRIER, "423 Interval Too Brief", "t", "Min-Expires: 1000\r\n", "");
    assert_eq!(registers(&desk).len(), 2, "once is enough");
}

#[test]
fn silence_refusals_and_redirections_are_waited_for_longer_and_longer() {
    let mut desk = Desk::new(CONFIG);
    desk.pass(Duration::from_secs(6));
    assert!(registers(&desk).len() == 1 && state(&desk).contains("no answer"), "{}", state(&desk));
    desk.pass(Duration::from_secs(600));
    let tried = registers(&desk).len();
    assert!((4..8).contains(&tried), "{tried} in ten minutes");
    for refusal in ["302 Moved Temporarily", "403 Forbidden"] {
        let mut desk = Desk::new(CONFIG);
        desk.pass(Duration::from_millis(1));
        desk.reply(CARRIER, refusal, "t", "Contact: <sip:elsewhere@203.0.113.66>\r\n", "");
        desk.pass(Duration::from_secs(850));
        assert_eq!(registers(&desk).len(), 1, "{refusal}");
        assert!(desk.sent.iter().all(|(to, _)| to.to_string() == CARRIER), "credentials go nowhere else");
    }
}

#[test]
fn the_password_is_shown_nowhere() {
    assert!(!format!("{:?}", crate::fixture::snapshot(CONFIG)).contains("word"));
}
