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

#[test]
fn one_contact_stands_for_all_numbers_of_the_account() {
    let mut desk = Desk::new(&CONFIG.replace("expires_s", "bulk = true, expires_s"));
    desk.pass(Duration::from_millis(1));
    let register = registers(&desk).remove(0);
    assert_eq!(register.contacts().expect("contacts").first().expect("one").uri, "sip:192.0.2.10:5060;transport=udp;bnc");
    assert_eq!(register.to().expect("To").uri, "sip:+4930123@198.51.100.20");
    for name in [HeaderName::Require, HeaderName::ProxyRequire] {
        assert_eq!(register.header(name), Some("gin"), "RFC 6140 5.2");
    }
    desk.reply(CARRIER, "200 OK", "t", "Contact: <sip:192.0.2.10:5060;bnc>;expires=120\r\nExpires: 3600\r\n", "");
    desk.pass(Duration::from_secs(110));
    assert_eq!(registers(&desk).len(), 2, "refreshed as its own contact says");
}

#[test]
fn calls_take_the_service_route_of_the_registrar() {
    let more = "[[account]]\nuser = \"101\"\n[[route]]\nname = \"out\"\nnumber = \"0*\"\nto = [\"trunk:carrier\"]\n";
    let mut desk = Desk::new(&format!("{CONFIG}{more}"));
    desk.pass(Duration::from_millis(1));
    desk.reply(CARRIER, "200 OK", "t", "Service-Route: <sip:orig@edge.carrier.test;lr>, not an address <\r\n", "");
    let (phone, contact) = ("203.0.113.5:5060", "Contact: <sip:101@203.0.113.5:5060>\r\n");
    assert_eq!(desk.register(phone, "101", contact), 200);
    desk.request(phone, "INVITE", "sip:0123@ringfort.local", "101", contact, crate::fixture::SDP);
    let invite = desk.last(CARRIER);
    assert_eq!((invite.method(), invite.header(HeaderName::Route)), (Method::Invite, Some("<sip:orig@edge.carrier.test;lr>")));
    assert_eq!(invite.values(HeaderName::Route).count(), 1);
}

#[test]
fn another_process_goes_on_with_the_same_call_id_and_higher_numbers() {
    let desk = registered();
    let last = registers(&desk).pop().expect("a REGISTER");
    let mut desk = Desk::restarted(CONFIG, desk.left_behind());
    desk.pass(Duration::from_millis(1));
    let next = registers(&desk).remove(0);
    assert_eq!(next.call_id(), last.call_id());
    assert!(next.cseq().expect("a number").0 > last.cseq().expect("a number").0);
    // For another user it is another registration; without one nothing is kept.
    let mut other = Desk::restarted(&CONFIG.replace("+4930123", "+4930999"), desk.left_behind());
    other.pass(Duration::from_millis(1));
    assert_eq!(registers(&other).remove(0).cseq().expect("a number").0, 1);
    let none = Desk::restarted("", desk.left_behind());
    assert!(!none.kept.contains_key("trunk/carrier") && desk.kept.contains_key("trunk/carrier"));
}

#[test]
fn a_registration_whose_connection_breaks_is_made_anew_at_once() {
    let mut desk = Desk::new(&CONFIG.replace("\"198.51.100.20:5060\"", "\"198.51.100.20:5060\"\ntransport = \"tls\""));
    desk.connect(CARRIER, 7);
    desk.pass(Duration::from_millis(1));
    desk.reply(CARRIER, "200 OK", "t", "Contact: <sip:+4930123@192.0.2.10>;expires=3600\r\n", "");
    desk.disconnect(CARRIER);
    assert!(state(&desk).contains("the connection broke"), "{}", state(&desk));
    desk.connect(CARRIER, 8);
    desk.pass(Duration::from_secs(2));
    assert_eq!(registers(&desk).len(), 2);
}

#[test]
fn calls_over_the_connection_that_holds_the_registration_are_the_trunks() {
    let route = "[[account]]\nuser = \"101\"\n[[route]]\nname = \"in\"\nsource = \"trunk:carrier\"\nnumber = \"*\"\nto = [\"extension:101\"]\n";
    let name =
        CONFIG.replace("198.51.100.20:5060", "sip.carrier.test:5061").replace("\noptions", "\ntransport = \"tls\"\noptions");
    let mut desk = Desk::new(&format!("{name}{route}"));
    let (old, phone, contact) = ("198.51.100.40:5061", "203.0.113.5:5060", "Contact: <sip:101@203.0.113.5:5060>\r\n");
    desk.zone("sip.carrier.test A 198.51.100.40");
    desk.connect(old, 7);
    desk.pass(Duration::from_secs(2));
    desk.reply(old, "200 OK", "t", "Contact: <sip:+4930123@192.0.2.10>;expires=3600\r\n", "");
    assert_eq!(desk.register(phone, "101", contact), 200);
    // The name means another server by now, yet the connection stands.
    desk.zone("sip.carrier.test A 198.51.100.41");
    desk.pass(Duration::from_secs(120));
    for (from, flow, known) in [(old, 7, true), ("198.51.100.40:7000", 9, false)] {
        desk.connect(from, flow);
        let before = desk.count(phone);
        desk.request(
            from,
            "INVITE",
            "sip:+4930123@192.0.2.10",
            "0170",
            "Contact: <sip:gw@198.51.100.40>\r\n",
            crate::fixture::SDP,
        );
        assert_eq!(desk.count(phone) > before, known, "{from}");
    }
}
