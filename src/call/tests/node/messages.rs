//! MESSAGE, PUBLISH and NOTIFY outside any dialog: one request for each target, routed as a call.

use crate::fixture::Desk;
use crate::subscriptions::{CLOUD, MWI, OTHER, PBX, PHONE, STRANGER, SUMMARY, desk};
use crate::talk::{self, body, contact};
use ringfort_call::Input;
use ringfort_sip::message::{HeaderName, Message, Method};
use std::time::Duration;

const TRUNK: &str = talk::TRUNK;
const PLAIN: &str = "Content-Type: text/plain\r\n";

fn alone() -> Desk {
    let mut desk = Desk::new(talk::CONFIG);
    assert_eq!(desk.register(PHONE, "101", &contact("101", PHONE)), 200);
    assert_eq!(desk.register(OTHER, "102", &contact("102", OTHER)), 200);
    desk
}

/// A request with a text; the fixture's own Content-Type gives way.
fn say(desk: &mut Desk, from: &str, user: &str, to: &str, more: &str) {
    write(desk, from, ("MESSAGE", &format!("sip:{to}@ringfort.local")), user, &format!("{PLAIN}{more}"), "hello");
}

fn write(desk: &mut Desk, from: &str, (method, uri): (&str, &str), user: &str, more: &str, body: &str) {
    let n = desk.sent.len();
    let text = format!(
        "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {from};branch=z9hG4bKm{n};rport\r\nFrom: <sip:{user}@ringfort.local>;tag=m{n}\r\n\
         To: <{uri}>\r\nCall-ID: m{n}@lan.example\r\nCSeq: 1 {method}\r\nMax-Forwards: 70\r\n{more}Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    desk.receive(from, &text);
}

fn text(message: &Message) -> String {
    String::from_utf8_lossy(message.octets()).into_owned()
}

#[test]
fn a_message_reaches_the_extension_and_its_answer_comes_back() {
    let mut desk = alone();
    say(&mut desk, PHONE, "101", "102", "Subject: lunch\r\nContact: <sip:101@203.0.113.5>\r\nX-Inside: lan.example\r\n");
    let out = desk.last(OTHER);
    assert_eq!((out.method(), body(&out).as_str()), (Method::Message, "hello"));
    assert_eq!((out.header(HeaderName::ContentType), out.header(HeaderName::Subject)), (Some("text/plain"), Some("lunch")));
    assert_eq!((out.header(HeaderName::MaxForwards), out.header(HeaderName::Contact)), (Some("69"), None));
    assert!(!text(&out).contains("203.0.113.5:") && !text(&out).contains("lan.example"), "{}", text(&out));
    desk.reply(OTHER, "202 Accepted", "t", "", "");
    assert_eq!(desk.answer(PHONE), 202);
    desk.pass(Duration::from_secs(40));
    assert_eq!((desk.residue(), desk.watchers()), ([0, 0, 0], [0, 0]));
}

#[test]
fn it_goes_where_a_call_would() {
    let mut desk = alone();
    say(&mut desk, PHONE, "101", "0123", "");
    assert_eq!(
        (desk.last(TRUNK).method(), desk.last(TRUNK).request_uri()),
        (Method::Message, Some("sip:0123@198.51.100.1:5060"))
    );
    desk.reply(TRUNK, "405 Method Not Allowed", "t", "Allow: INVITE\r\n", "");
    assert_eq!(desk.answer(PHONE), 405);
    for (number, status) in [("103", 480), ("999", 404)] {
        say(&mut desk, PHONE, "101", number, "");
        assert_eq!(desk.answer(PHONE), status, "{number}");
    }
    say(&mut desk, TRUNK, "0456", "102", "");
    assert_eq!(desk.last(OTHER).method(), Method::Message);
}

#[test]
fn all_devices_are_asked_and_the_best_answer_is_told() {
    let mut desk = alone();
    assert_eq!(desk.register("203.0.113.7:5060", "102", &contact("102", "203.0.113.7:5060")), 200);
    say(&mut desk, PHONE, "101", "102", "");
    desk.reply(OTHER, "415 Unsupported Media Type", "t", "Accept: text/html\r\n", "");
    assert_eq!(desk.last(PHONE).method(), Method::Register);
    desk.reply("203.0.113.7:5060", "200 OK", "u", "", "");
    assert_eq!(desk.answer(PHONE), 200);
    say(&mut desk, PHONE, "101", "102", "");
    desk.reply("203.0.113.7:5060", "480 Temporarily Unavailable", "u", "", "");
    desk.reply(OTHER, "415 Unsupported Media Type", "t", "Accept: text/html\r\n", "");
    assert_eq!((desk.answer(PHONE), desk.last(PHONE).header(HeaderName::Accept)), (415, Some("text/html")));
    say(&mut desk, PHONE, "101", "102", "");
    desk.reply(OTHER, "603 Decline", "t", "", "");
    assert_eq!(desk.answer(PHONE), 603);
    // Silence: 408 says nothing to whoever sent no INVITE.
    say(&mut desk, PHONE, "101", "102", "");
    desk.pass(Duration::from_secs(33));
    assert_eq!(desk.answer(PHONE), 480);
}

#[test]
fn who_is_unknown_and_what_is_too_large_goes_nowhere() {
    let mut desk = alone();
    say(&mut desk, STRANGER, "101", "102", "");
    assert_eq!(desk.answer(STRANGER), 407);
    let before = desk.count(OTHER);
    write(&mut desk, PHONE, ("MESSAGE", "sip:102@ringfort.local"), "101", PLAIN, &"x".repeat(9_000));
    assert_eq!((desk.answer(PHONE), desk.count(OTHER)), (413, before));
}

#[test]
fn what_needs_a_dialog_is_refused_without_one() {
    let mut desk = alone();
    for (method, status) in [("INFO", 481), ("UPDATE", 481), ("REFER", 403), ("NOTIFY", 481), ("SUBSCRIBE", 489)] {
        write(&mut desk, PHONE, (method, "sip:102@ringfort.local"), "101", "Contact: <sip:101@203.0.113.5:5060>\r\n", "");
        assert_eq!(desk.answer(PHONE), status, "{method}");
    }
}

#[test]
fn the_cloud_routes_messages_while_it_is_there() {
    let mut desk = desk(CLOUD);
    let clouds =
        "Proxy-Authorization: Digest username=\"101\", realm=\"pbx.inside\", nonce=\"x\", uri=\"sip:a\", response=\"0\"\r\n";
    say(&mut desk, PHONE, "101", "102", clouds);
    let out = desk.last(PBX);
    assert_eq!((out.method(), out.request_uri()), (Method::Message, Some("sip:102@pbx.inside")));
    assert!(out.header(HeaderName::ProxyAuthorization).is_some());
    assert_eq!(out.header(HeaderName::PAssertedIdentity), Some("<sip:101@pbx.inside>"));
    let before = desk.count(OTHER);
    desk.reply(
        PBX,
        "407 Proxy Authentication Required",
        "t",
        "Proxy-Authenticate: Digest realm=\"pbx.inside\", nonce=\"n\"\r\n",
        "",
    );
    assert_eq!((desk.answer(PHONE), desk.count(OTHER)), (407, before));
    assert!(desk.last(PHONE).header(HeaderName::ProxyAuthenticate).is_some_and(|value| value.contains("pbx.inside")));
    say(&mut desk, PBX, "101", "102", "");
    assert_eq!(desk.last(OTHER).method(), Method::Message, "and brings it back to the device");
    desk.reply(OTHER, "200 OK", "t", "", "");
    assert_eq!(desk.answer(PBX), 200);
    // It cannot: the extension's own devices are next.
    say(&mut desk, PHONE, "101", "102", "");
    desk.reply(PBX, "503 Service Unavailable", "t", "", "");
    assert_eq!(desk.last(OTHER).method(), Method::Message);
    desk.reply(OTHER, "200 OK", "t", "", "");
    assert_eq!(desk.answer(PHONE), 200);
}

/// The message that meets the dead cloud is not lost.
#[test]
fn a_message_goes_on_when_the_cloud_is_found_dead() {
    let config = CLOUD.replace("options_interval_ms = 3600000\n", "options_interval_ms = 2000\n");
    let mut desk = desk(&config);
    say(&mut desk, PHONE, "101", "102", "");
    assert_eq!(desk.last(PBX).method(), Method::Message);
    desk.pass(Duration::from_secs(6));
    assert_eq!(desk.last(OTHER).method(), Method::Message);
    desk.reply(OTHER, "200 OK", "t", "", "");
    assert_eq!(desk.answer(PHONE), 200);
    desk.pass(Duration::from_secs(40));
    assert_eq!(desk.responses(PHONE, 480).len(), 0);
}

#[test]
fn publish_goes_to_the_cloud_for_its_own_user_only() {
    let mut desk = desk(CLOUD);
    let pidf =
        "<presence entity=\"sip:101@ringfort.local\"><tuple id=\"a\"><contact>sip:101@203.0.113.5</contact></tuple></presence>";
    let more = "Event: presence\r\nSIP-If-Match: abc\r\nExpires: 600\r\nContent-Type: application/pidf+xml\r\n";
    write(&mut desk, PHONE, ("PUBLISH", "sip:101@ringfort.local"), "101", more, pidf);
    let out = desk.last(PBX);
    assert_eq!((out.method(), out.request_uri()), (Method::Publish, Some("sip:101@pbx.inside")));
    assert_eq!((out.header(HeaderName::SipIfMatch), out.header(HeaderName::Expires)), (Some("abc"), Some("600")));
    assert!(text(&out).contains("entity=\"sip:101@pbx.inside\"") && !text(&out).contains("203.0.113.5"), "{}", text(&out));
    desk.reply(PBX, "200 OK", "t", "SIP-ETag: def\r\nExpires: 300\r\n", "");
    let done = desk.last(PHONE);
    assert_eq!(
        (done.status(), done.header(HeaderName::SipETag), done.header(HeaderName::Expires)),
        (Some(200), Some("def"), Some("300"))
    );
    write(&mut desk, PHONE, ("PUBLISH", "sip:101@ringfort.local"), "101", more, pidf);
    desk.reply(PBX, "412 Conditional Request Failed", "t", "", "");
    assert_eq!(desk.answer(PHONE), 412);
    let before = desk.count(PBX);
    write(&mut desk, PHONE, ("PUBLISH", "sip:102@ringfort.local"), "101", more, pidf);
    assert_eq!(desk.answer(PHONE), 403);
    write(&mut desk, PHONE, ("PUBLISH", "sip:101@ringfort.local"), "101", "Event: other\r\n", "");
    assert_eq!((desk.answer(PHONE), desk.count(PBX)), (489, before));
    let mut desk = alone();
    write(&mut desk, PHONE, ("PUBLISH", "sip:101@ringfort.local"), "101", more, pidf);
    assert_eq!((desk.answer(PHONE), desk.last(PHONE).header(HeaderName::AllowEvents)), (489, Some("dialog")));
}

#[test]
fn the_cloud_tells_a_device_unasked() {
    let mut desk = desk(CLOUD);
    let more = format!("{MWI}Subscription-State: active\r\nContent-Type: application/simple-message-summary\r\n");
    write(&mut desk, PBX, ("NOTIFY", "sip:101@192.0.2.10"), "101", &more, SUMMARY);
    let told = desk.last(PHONE);
    assert_eq!((told.method(), told.header(HeaderName::Event)), (Method::Notify, Some("message-summary")));
    assert_eq!(told.header(HeaderName::SubscriptionState), Some("terminated;reason=noresource"));
    assert!(body(&told).contains("sip:101@ringfort.local"), "{}", body(&told));
    desk.reply(PHONE, "200 OK", "t", "", "");
    assert_eq!(desk.answer(PBX), 200);
    // By the contact that the node gave it for one device.
    let register = desk.requests(PBX, Method::Register);
    let given = register.last().and_then(|m| m.header(HeaderName::Contact)).expect("one").to_string();
    let uri = given.split(['<', '>']).nth(1).expect("a URI").to_string();
    write(&mut desk, PBX, ("NOTIFY", &uri), "102", "Event: check-sync\r\n", "");
    assert_eq!(desk.last(OTHER).header(HeaderName::Event), Some("check-sync"));
    let before = desk.count(PHONE);
    for (from, user, event, status) in
        [(PBX, "199", "message-summary", 480), (PBX, "101", "presence", 481), (OTHER, "101", "message-summary", 481)]
    {
        write(&mut desk, from, ("NOTIFY", &format!("sip:{user}@192.0.2.10")), "x", &format!("Event: {event}\r\n"), "");
        assert_eq!(desk.answer(from), status, "{event} of {from}");
    }
    assert_eq!(desk.count(PHONE), before);
}

/// Phones want proof before they fetch settings: the cloud, which knows their passwords, is asked for it.
#[test]
fn a_device_that_challenges_what_the_cloud_tells_it_has_its_proof() {
    let mut desk = desk(CLOUD);
    let challenge = "WWW-Authenticate: Digest realm=\"phone\", nonce=\"n\", qop=\"auth\"\r\n";
    write(&mut desk, PBX, ("NOTIFY", "sip:101@192.0.2.10"), "x", "Event: check-sync\r\n", "");
    desk.reply(PHONE, "401 Unauthorized", "t", challenge, "");
    assert_eq!(desk.answer(PBX), 401);
    assert_eq!(desk.last(PBX).header(HeaderName::WwwAuthenticate), Some("Digest realm=\"phone\", nonce=\"n\", qop=\"auth\""));
    let proof = "Authorization: Digest username=\"101\", realm=\"phone\", nonce=\"n\", uri=\"sip:x\", response=\"00\"\r\n";
    write(&mut desk, PBX, ("NOTIFY", "sip:101@192.0.2.10"), "x", &format!("Event: check-sync\r\n{proof}"), "");
    assert!(desk.last(PHONE).header(HeaderName::Authorization).is_some_and(|value| value.contains("realm=\"phone\"")));
    desk.reply(PHONE, "200 OK", "t", "", "");
    assert_eq!(desk.answer(PBX), 200);
}

/// A carrier knows no phone's password, and no phone's challenge.
#[test]
fn a_device_s_challenge_is_none_of_a_carriers_business() {
    let config = format!("{}[[did]]\nrange = \"+49891231\"\nto = \"101\"\n", talk::CONFIG);
    let mut desk = Desk::new(&config);
    assert_eq!(desk.register(PHONE, "101", &contact("101", PHONE)), 200);
    let proof = "Authorization: Digest username=\"a\", realm=\"b\", nonce=\"n\", uri=\"sip:x\", response=\"00\"\r\n";
    write(&mut desk, TRUNK, ("NOTIFY", "sip:+49891231@192.0.2.10"), "vm", &format!("Event: message-summary\r\n{proof}"), "");
    assert_eq!(desk.last(PHONE).header(HeaderName::Authorization), None);
    desk.reply(PHONE, "401 Unauthorized", "t", "WWW-Authenticate: Digest realm=\"phone\", nonce=\"n\"\r\n", "");
    assert_eq!((desk.answer(TRUNK), desk.last(TRUNK).header(HeaderName::WwwAuthenticate)), (502, None));
}

#[test]
fn a_carrier_tells_an_extension_of_its_messages_by_its_number() {
    let config = format!("{}[[did]]\nrange = \"+49891231\"\nto = \"101\"\n", talk::CONFIG);
    let mut desk = Desk::new(&config);
    assert_eq!(desk.register(PHONE, "101", &contact("101", PHONE)), 200);
    write(&mut desk, TRUNK, ("NOTIFY", "sip:+49891231@192.0.2.10"), "vm", "Event: message-summary\r\n", "");
    assert_eq!((desk.last(PHONE).method(), desk.last(PHONE).request_uri()), (Method::Notify, Some("sip:101@203.0.113.5:5060")));
    write(&mut desk, TRUNK, ("NOTIFY", "sip:+49891231@192.0.2.10"), "vm", "Event: check-sync\r\n", "");
    assert_eq!(desk.answer(TRUNK), 481);
    write(&mut desk, TRUNK, ("NOTIFY", "sip:0999@192.0.2.10"), "vm", "Event: message-summary\r\n", "");
    assert_eq!(desk.answer(TRUNK), 480);
}

#[test]
fn options_of_the_cloud_tell_whether_a_device_is_there() {
    let mut desk = desk(CLOUD);
    let register = desk.requests(PBX, Method::Register);
    let given = register.last().and_then(|m| m.header(HeaderName::Contact)).expect("one").to_string();
    let uri = given.split(['<', '>']).nth(1).expect("a URI").to_string();
    write(&mut desk, PBX, ("OPTIONS", &uri), "ping", "", "");
    assert_eq!(desk.answer(PBX), 200);
    write(&mut desk, PBX, ("OPTIONS", "sip:ringfort@192.0.2.10;rf=gone"), "ping", "", "");
    assert_eq!(desk.answer(PBX), 480);
    write(&mut desk, STRANGER, ("OPTIONS", "sip:ringfort@192.0.2.10;rf=gone"), "ping", "", "");
    assert_eq!(desk.answer(STRANGER), 200);
}

#[test]
fn a_reload_that_takes_the_cloud_away_serves_by_the_node() {
    let mut desk = desk(CLOUD);
    desk.input(Input::Reload(crate::fixture::snapshot("[[account]]\nuser = \"101\"\n[[account]]\nuser = \"102\"\n")));
    say(&mut desk, PHONE, "101", "102", "");
    assert_eq!(desk.last(OTHER).method(), Method::Message);
}
