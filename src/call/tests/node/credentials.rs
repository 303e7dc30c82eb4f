//! Carriers that ask for credentials: at the INVITE and at any request within the dialog.

use crate::fixture::Desk;
use crate::talk::{ALLOWS_UPDATE, CONFIG, End, PHONE, TRUNK, call, connected, contact, sdp};
use ringfort_sip::digest::{Credentials, Ha1};
use ringfort_sip::message::{HeaderName, Message, Method};
use std::time::Duration;

const AUTH: &str = "auth = { user = \"acme\", password = \"word\" }\n";

/// The configuration with credentials of the trunk.
fn config() -> String {
    CONFIG.replace("options_interval_ms = 0\n", &format!("options_interval_ms = 0\n{AUTH}"))
}

fn challenge(name: &str, realm: &str, nonce: &str) -> String {
    format!("{name}: Digest realm=\"{realm}\", nonce=\"{nonce}\", qop=\"auth\", algorithm=SHA-256\r\n")
}

fn unauthorized(desk: &mut Desk, more: &str) {
    let invite = desk.last_of(TRUNK, |m| m.is_request() && m.method() != Method::Ack);
    desk.reply_to(TRUNK, &invite, "401 Unauthorized", "c", more, "");
}

/// The credentials of a request in this field, which are right. `None`: it has none there.
fn proved(request: &Message, name: HeaderName, realm: &str) -> Option<Credentials> {
    let mut all = request.headers(name).filter_map(|value| Credentials::parse(value).ok());
    let given = all.find(|given| given.realm == realm)?;
    assert!(Ha1::new("acme", realm, "word").verify(&given, &request.method().to_string()), "{given}");
    assert_eq!((given.username.as_str(), Some(given.uri.as_str())), ("acme", request.request_uri()));
    Some(given)
}

fn dial(desk: &mut Desk) -> Message {
    assert_eq!(desk.register(PHONE, "101", &contact("101", PHONE)), 200);
    desk.request(PHONE, "INVITE", "sip:0123@ringfort.local", "101", &contact("101", PHONE), &sdp(PHONE, 1, "sendrecv"));
    desk.last(TRUNK)
}

/// INVITEs to the trunk, repeats left out.
fn invites(desk: &Desk) -> Vec<Message> {
    let mut found = desk.requests(TRUNK, Method::Invite);
    found.dedup_by_key(|message| message.cseq().ok().map(|(number, _)| number));
    found
}

#[test]
fn the_invite_comes_again_with_credentials_and_the_call_goes_on() {
    for (status, asked, name) in [
        ("401 Unauthorized", "WWW-Authenticate", HeaderName::Authorization),
        ("407 Proxy Authentication Required", "Proxy-Authenticate", HeaderName::ProxyAuthorization),
    ] {
        let mut desk = Desk::new(&config());
        let first = dial(&mut desk);
        assert!(first.header(name).is_none());
        desk.reply(TRUNK, status, "c", &challenge(asked, "carrier", "one"), "");
        let again = desk.last(TRUNK);
        assert_eq!(proved(&again, name, "carrier").expect("credentials").nonce, "one");
        let id = |m: &Message| (m.call_id().expect("one").to_string(), m.header(HeaderName::From).map(str::to_string));
        assert_eq!((id(&again), again.body()), (id(&first), first.body()));
        assert!(again.cseq().expect("a number").0 > first.cseq().expect("a number").0);
        desk.reply(TRUNK, "200 OK", "t", &contact("gw", TRUNK), &sdp(TRUNK, 1, "sendrecv"));
        assert_eq!(desk.answer(PHONE), 200);
        // The one is of the phone's registration.
        assert_eq!((desk.responses(PHONE, 401).len(), desk.responses(PHONE, 407).len()), (1, 0));
        let ack = desk.last(TRUNK);
        assert_eq!((ack.method(), ack.header(name)), (Method::Ack, again.header(name)), "RFC 3261 13.2.2.4");
        assert_eq!(ack.cseq().expect("a number").0, again.cseq().expect("a number").0);
    }
}

#[test]
fn a_wrong_password_is_tried_once_and_shows_the_caller_no_challenge() {
    let mut desk = Desk::new(&config());
    dial(&mut desk);
    unauthorized(&mut desk, &challenge("WWW-Authenticate", "carrier", "one"));
    unauthorized(&mut desk, &challenge("WWW-Authenticate", "carrier", "two"));
    assert_eq!((invites(&desk).len(), desk.answer(PHONE)), (2, 502));
    assert!(desk.last(PHONE).header(HeaderName::WwwAuthenticate).is_none());
    desk.pass(Duration::from_secs(40));
    assert_eq!(desk.residue(), [0; 3]);
}

#[test]
fn a_stale_nonce_is_answered_anew_but_not_for_ever() {
    let mut desk = Desk::new(&config());
    dial(&mut desk);
    unauthorized(&mut desk, &challenge("WWW-Authenticate", "carrier", "0"));
    for nonce in ["1", "2", "3", "4"] {
        let stale = challenge("WWW-Authenticate", "carrier", nonce).replace("qop", "stale=true, qop");
        if desk.responses(PHONE, 502).is_empty() {
            unauthorized(&mut desk, &stale);
        }
    }
    assert_eq!((invites(&desk).len(), desk.answer(PHONE)), (4, 502));
}

#[test]
fn a_proxy_and_the_server_behind_it_may_both_ask() {
    let mut desk = Desk::new(&config());
    dial(&mut desk);
    desk.reply(TRUNK, "407 Proxy Authentication Required", "c", &challenge("Proxy-Authenticate", "edge", "one"), "");
    desk.reply(TRUNK, "407 Proxy Authentication Required", "c", &challenge("Proxy-Authenticate", "core", "two"), "");
    unauthorized(&mut desk, &challenge("WWW-Authenticate", "home", "three"));
    let invite = desk.last(TRUNK);
    for (name, realm) in
        [(HeaderName::ProxyAuthorization, "edge"), (HeaderName::ProxyAuthorization, "core"), (HeaderName::Authorization, "home")]
    {
        assert!(proved(&invite, name, realm).is_some(), "{realm}");
    }
}

#[test]
fn what_cannot_be_answered_is_a_refusal() {
    for (config, challenge) in [
        (CONFIG.to_string(), challenge("WWW-Authenticate", "carrier", "one")),
        (config(), "WWW-Authenticate: Digest realm=\"c\", nonce=\"n\", algorithm=SHA-512-256\r\n".to_string()),
        (config(), "WWW-Authenticate: Bearer x\r\n".to_string()),
        (config(), String::new()),
    ] {
        let mut desk = Desk::new(&config);
        dial(&mut desk);
        unauthorized(&mut desk, &challenge);
        assert_eq!((invites(&desk).len(), desk.answer(PHONE)), (1, 502), "{challenge}");
    }
}

/// A call whose INVITE the trunk challenged.
fn challenged() -> (Desk, End, End) {
    let mut desk = Desk::new(&config());
    dial(&mut desk);
    desk.reply(TRUNK, "407 Proxy Authentication Required", "c", &challenge("Proxy-Authenticate", "carrier", "one"), "");
    let more = format!("{}{ALLOWS_UPDATE}", contact("gw", TRUNK));
    desk.reply(TRUNK, "200 OK", "t", &more, &sdp(TRUNK, 1, "sendrecv"));
    let (ok, invite) = (desk.last(PHONE), desk.last_of(TRUNK, |m| m.method() == Method::Invite));
    let field = |m: &Message, name| m.header(name).expect("a field").to_string();
    let call_id = |m: &Message| m.call_id().expect("one").to_string();
    let cseq = ok.cseq().expect("one").0;
    let (local, remote) = (field(&ok, HeaderName::From), field(&ok, HeaderName::To));
    let mut phone = End { address: PHONE, call_id: call_id(&ok), local, remote, cseq };
    phone.ack(&mut desk, "");
    let (local, remote) = (format!("{};tag=t", field(&invite, HeaderName::To)), field(&invite, HeaderName::From));
    let trunk = End { address: TRUNK, call_id: call_id(&invite), local, remote, cseq: 0 };
    (desk, phone, trunk)
}

const NEXT: &str =
    "Proxy-Authenticate: Digest realm=\"carrier\", nonce=\"next\", qop=\"auth\", algorithm=SHA-256, stale=true\r\n";

#[test]
fn requests_within_the_dialog_have_credentials_and_are_sent_again_when_the_nonce_is_too_old() {
    for method in ["INVITE", "UPDATE", "INFO", "MESSAGE", "BYE"] {
        let (mut desk, mut phone, trunk) = challenged();
        let body = if matches!(method, "INVITE" | "UPDATE") { sdp(PHONE, 2, "sendonly") } else { "x".to_string() };
        let body = if method == "BYE" { String::new() } else { body };
        phone.send(&mut desk, method, "", &body);
        let first = trunk.asked(&desk);
        assert_eq!(
            (first.method().to_string(), first.header(HeaderName::ContentType).is_some()),
            (method.into(), method != "BYE")
        );
        assert_eq!(proved(&first, HeaderName::ProxyAuthorization, "carrier").expect("credentials").nonce_count(), Some(2));
        trunk.answer(&mut desk, "407 Proxy Authentication Required", NEXT, "");
        let again = desk.last_of(TRUNK, |m| m.is_request() && m.method() == first.method());
        let given = proved(&again, HeaderName::ProxyAuthorization, "carrier").expect("credentials");
        assert_eq!((given.nonce.as_str(), given.nonce_count()), ("next", Some(1)), "{method}");
        assert_eq!(again.headers(HeaderName::ProxyAuthorization).count(), 1);
        assert_eq!(again.cseq().expect("a number").0, first.cseq().expect("a number").0 + 1);
        let answer = if matches!(method, "INVITE" | "UPDATE") { sdp(TRUNK, 2, "recvonly") } else { String::new() };
        trunk.answer(&mut desk, "200 OK", "", &answer);
        assert_eq!((phone.status(&desk), phone.answered(&desk).cseq().expect("one").1.to_string()), (200, method.into()));
        if method == "INVITE" {
            phone.ack(&mut desk, "");
        }
        desk.pass(Duration::from_secs(40));
        assert_eq!(desk.status().calls.len(), usize::from(method != "BYE"), "{method}");
    }
}

#[test]
fn a_wrong_password_within_the_dialog_ends_no_call_and_no_loop_begins() {
    for method in ["INVITE", "INFO"] {
        let (mut desk, mut phone, trunk) = challenged();
        phone.send(&mut desk, method, "", &sdp(PHONE, 2, "sendonly"));
        for nonce in ["a", "b", "c", "d", "e"] {
            let fresh = challenge("Proxy-Authenticate", "carrier", nonce);
            trunk.answer(&mut desk, "407 Proxy Authentication Required", &fresh, "");
        }
        assert_eq!(phone.status(&desk), 502, "{method}");
        assert!(desk.requests(TRUNK, Method::parse(method)).len() <= 6, "{method}");
        assert_eq!(desk.status().calls.len(), 1);
    }
}

#[test]
fn a_call_that_came_from_the_carrier_is_released_with_credentials() {
    let text = config() + "[[route]]\nname = \"in\"\nsource = \"trunk:carrier\"\nnumber = \"*\"\nto = [\"extension:101\"]\n";
    let mut desk = Desk::new(&text);
    assert_eq!(desk.register(PHONE, "101", &contact("101", PHONE)), 200);
    let (carrier, mut phone) = call(&mut desk, (TRUNK, "0170", ""), "4930123", (PHONE, ""));
    phone.cseq = 100;
    phone.send(&mut desk, "BYE", "", "");
    let first = carrier.asked(&desk);
    assert_eq!((first.method(), first.header(HeaderName::ProxyAuthorization)), (Method::Bye, None));
    carrier.answer(&mut desk, "407 Proxy Authentication Required", &challenge("Proxy-Authenticate", "carrier", "one"), "");
    assert!(proved(&carrier.asked(&desk), HeaderName::ProxyAuthorization, "carrier").is_some());
    carrier.answer(&mut desk, "407 Proxy Authentication Required", &challenge("Proxy-Authenticate", "carrier", "two"), "");
    desk.pass(Duration::from_secs(40));
    assert_eq!((desk.requests(TRUNK, Method::Bye).len(), desk.residue()), (2, [0; 3]));
}

#[test]
fn reliable_responses_are_acknowledged_with_credentials() {
    let mut desk = Desk::new(&config());
    dial(&mut desk);
    unauthorized(&mut desk, &challenge("WWW-Authenticate", "carrier", "one"));
    let invite = desk.last(TRUNK);
    let more = format!("{}Require: 100rel\r\nRSeq: 1\r\n", contact("gw", TRUNK));
    desk.reply_to(TRUNK, &invite, "183 Session Progress", "t", &more, &sdp(TRUNK, 1, "sendrecv"));
    let first = desk.last(TRUNK);
    assert_eq!(first.method(), Method::Prack);
    assert!(proved(&first, HeaderName::Authorization, "carrier").is_some());
    unauthorized(&mut desk, &challenge("WWW-Authenticate", "carrier", "two"));
    let again = desk.last(TRUNK);
    assert_eq!(proved(&again, HeaderName::Authorization, "carrier").expect("credentials").nonce, "two");
    assert_eq!((again.method(), again.header(HeaderName::RAck)), (Method::Prack, first.header(HeaderName::RAck)));
    desk.reply_to(TRUNK, &invite, "200 OK", "t", &contact("gw", TRUNK), &sdp(TRUNK, 1, "sendrecv"));
    assert_eq!(desk.answer(PHONE), 200);
}

#[test]
fn a_late_answer_is_released_with_credentials() {
    let mut desk = Desk::new(&config());
    dial(&mut desk);
    unauthorized(&mut desk, &challenge("WWW-Authenticate", "carrier", "one"));
    let invite = desk.last(TRUNK);
    desk.reply_to(TRUNK, &invite, "180 Ringing", "t", &contact("gw", TRUNK), "");
    let asked = desk.last_of(PHONE, |m| m.status() == Some(180));
    let via = asked.header(HeaderName::Via).expect("a Via").to_string();
    desk.receive(
        PHONE,
        &format!(
            "CANCEL sip:0123@ringfort.local SIP/2.0\r\nVia: {via}\r\nFrom: {}\r\nTo: <sip:0123@ringfort.local>\r\nCall-ID: {}\r\n\
             CSeq: {} CANCEL\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n",
            asked.header(HeaderName::From).expect("From"),
            asked.call_id().expect("one"),
            asked.cseq().expect("one").0
        ),
    );
    desk.reply_to(TRUNK, &invite, "200 OK", "t", &contact("gw", TRUNK), &sdp(TRUNK, 1, "sendrecv"));
    let bye = desk.last(TRUNK);
    assert_eq!(bye.method(), Method::Bye);
    assert!(proved(&bye, HeaderName::Authorization, "carrier").is_some());
    let ack =
        desk.last_of(TRUNK, |m| m.method() == Method::Ack && m.cseq().ok() != desk.requests(TRUNK, Method::Ack)[0].cseq().ok());
    assert_eq!(ack.header(HeaderName::Authorization), invite.header(HeaderName::Authorization));
}

#[test]
fn another_party_is_asked_by_nobody_for_the_trunks_credentials() {
    // A phone that challenges gets nothing.
    let (mut desk, phone, mut trunk) = connected(&config(), "", "");
    trunk.send(&mut desk, "INFO", "Content-Type: text/plain\r\n", "x");
    phone.answer(&mut desk, "401 Unauthorized", &challenge("WWW-Authenticate", "carrier", "one"), "");
    assert_eq!((trunk.status(&desk), desk.requests(PHONE, Method::Info).len()), (502, 1));
}

#[test]
fn after_a_restart_the_next_request_is_challenged_anew_and_proved() {
    let (desk, mut phone, trunk) = challenged();
    let mut desk = Desk::restarted(&config(), desk.left_behind());
    phone.send(&mut desk, "BYE", "", "");
    let bye = trunk.asked(&desk);
    assert_eq!((bye.method(), bye.header(HeaderName::ProxyAuthorization)), (Method::Bye, None));
    trunk.answer(&mut desk, "407 Proxy Authentication Required", NEXT, "");
    assert!(proved(&trunk.asked(&desk), HeaderName::ProxyAuthorization, "carrier").is_some());
}
