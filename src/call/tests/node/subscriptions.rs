//! Subscriptions between devices and the cloud: two dialogs, one unseen by the other.

use crate::fixture::Desk;
use crate::talk::{contact, reply};
use ringfort_call::Input;
use ringfort_sip::message::{HeaderName, Message, Method};
use std::time::Duration;

pub const CLOUD: &str = "[cloud]\naddress = \"198.51.100.1:5060\"\ndomain = \"pbx.inside\"\noptions_interval_ms = 3600000\n\
    [[account]]\nuser = \"101\"\n[[account]]\nuser = \"102\"\n";
pub const PHONE: &str = "203.0.113.5:5060";
pub const OTHER: &str = "203.0.113.6:5060";
pub const STRANGER: &str = "203.0.113.66:5060";
pub const PBX: &str = "198.51.100.1:5060";
pub const MWI: &str = "Event: message-summary\r\nAccept: application/simple-message-summary\r\n";
pub const SUMMARY: &str = "Messages-Waiting: yes\r\nMessage-Account: sip:101@pbx.inside\r\n";

/// A desk with both phones registered at the cloud.
pub fn desk(config: &str) -> Desk {
    let mut desk = Desk::new(config);
    desk.pass(Duration::from_millis(1));
    desk.reply(PBX, "200 OK", "o", "", "");
    for (phone, user) in [(PHONE, "101"), (OTHER, "102")] {
        desk.request(phone, "REGISTER", "sip:ringfort.local", user, &contact(user, phone), "");
        desk.reply(PBX, "200 OK", "r", "Expires: 3600\r\n", "");
        assert_eq!(desk.answer(phone), 200);
    }
    desk
}

pub fn subscribe(desk: &mut Desk, from: &str, user: &str, to: &str, more: &str) {
    desk.request(from, "SUBSCRIBE", &format!("sip:{to}@ringfort.local"), user, &format!("{}{more}", contact(user, from)), "");
}

/// What the notifier sends inside the dialog that this SUBSCRIBE of the node founded.
pub fn notify(desk: &mut Desk, from: &str, subscribe: &Message, cseq: u32, more: &str, body: &str) {
    notify_as(desk, (from, "n"), subscribe, cseq, more, body);
}

fn notify_as(desk: &mut Desk, who: (&str, &str), subscribe: &Message, cseq: u32, more: &str, body: &str) {
    let (from, tag) = who;
    let field = |name| subscribe.header(name).unwrap_or_default().to_string();
    let kind = if body.is_empty() { "" } else { "Content-Type: application/simple-message-summary\r\n" };
    let text = format!(
        "NOTIFY sip:ringfort@192.0.2.10 SIP/2.0\r\nVia: SIP/2.0/UDP {from};branch=z9hG4bK{tag}{cseq}{};rport\r\nFrom: {};tag={tag}\r\nTo: {}\r\n\
         Call-ID: {}\r\nCSeq: {cseq} NOTIFY\r\nMax-Forwards: 70\r\nContact: <sip:presence.pbx.inside>\r\n{more}{kind}Content-Length: {}\r\n\r\n{body}",
        field(HeaderName::CallId),
        field(HeaderName::To),
        field(HeaderName::From),
        field(HeaderName::CallId),
        body.len()
    );
    desk.receive(from, &text);
}

/// A subscription of 101 that stands: the node's SUBSCRIBE to the cloud, and its 200 to the phone.
pub fn standing(config: &str, event: &str) -> (Desk, Message, Message) {
    let mut desk = desk(config);
    subscribe(&mut desk, PHONE, "101", "101", &format!("{event}Expires: 600\r\n"));
    let out = desk.last(PBX);
    desk.reply(PBX, "200 OK", "n", "Expires: 600\r\nContact: <sip:presence.pbx.inside>\r\n", "");
    let granted = desk.last(PHONE);
    assert_eq!(granted.status(), Some(200));
    let event = event.lines().next().unwrap_or_default().to_string();
    notify(&mut desk, PBX, &out, 1, &format!("{event}\r\nSubscription-State: active;expires=600\r\n"), SUMMARY);
    accept(&mut desk, PHONE, "200 OK");
    assert_eq!(desk.answer(PBX), 200);
    (desk, out, granted)
}

/// A party answers the last request of the node to it.
pub fn accept(desk: &mut Desk, from: &str, status: &str) {
    let request = desk.last_of(from, Message::is_request);
    desk.receive(from, &reply(&request, status, "", ""));
}

fn text(message: &Message) -> String {
    String::from_utf8_lossy(message.octets()).into_owned()
}

fn kept(desk: &Desk) -> usize {
    desk.kept.keys().filter(|key| key.starts_with("subscription/")).count()
}

#[test]
fn a_subscription_is_two_dialogs_of_which_neither_shows_the_other() {
    let mut desk = desk(CLOUD);
    subscribe(&mut desk, PHONE, "101", "101", &format!("{MWI}Expires: 600\r\nX-Inside: lan.example\r\n"));
    let out = desk.last(PBX);
    assert_eq!((out.method(), out.request_uri()), (Method::Subscribe, Some("sip:101@pbx.inside")));
    assert_eq!((out.header(HeaderName::Event), out.header(HeaderName::Expires)), (Some("message-summary"), Some("600")));
    assert_eq!(out.header(HeaderName::Accept), Some("application/simple-message-summary"));
    assert!(
        !text(&out).contains("203.0.113.5") && !text(&out).contains("call") && !text(&out).contains("lan.example"),
        "{}",
        text(&out)
    );
    assert_eq!(out.header(HeaderName::Contact), Some("<sip:ringfort@192.0.2.10:5060;transport=udp>"));
    desk.reply(PBX, "200 OK", "n", "Expires: 300\r\nContact: <sip:presence.pbx.inside>\r\n", "");
    let granted = desk.last(PHONE);
    assert_eq!((granted.status(), granted.header(HeaderName::Expires)), (Some(200), Some("300")));
    let state = "Event: message-summary\r\nSubscription-State: active;expires=299;x=pbx.inside\r\n";
    notify(&mut desk, PBX, &out, 1, state, SUMMARY);
    let told = desk.last(PHONE);
    assert_eq!((told.method(), told.header(HeaderName::SubscriptionState)), (Method::Notify, Some("active;expires=299")));
    assert!(
        text(&told).contains("Message-Account: sip:101@ringfort.local\r\n") && !text(&told).contains("pbx.inside"),
        "{}",
        text(&told)
    );
    let field = |m: &Message, name| m.header(name).unwrap_or_default().to_string();
    assert_eq!(field(&told, HeaderName::CallId), field(&granted, HeaderName::CallId));
    assert_eq!(field(&told, HeaderName::From), field(&granted, HeaderName::To));
    accept(&mut desk, PHONE, "200 OK");
    assert_eq!((desk.answer(PBX), kept(&desk)), (200, 1));
}

#[test]
fn a_refresh_and_the_end_go_to_the_cloud() {
    let (mut desk, out, granted) = standing(CLOUD, MWI);
    desk.inside(PHONE, "SUBSCRIBE", &granted, 20, &format!("{}{MWI}Expires: 600\r\n", contact("101", PHONE)), "");
    let refresh = desk.last(PBX);
    assert_eq!(refresh.cseq().map(|(number, _)| number), Ok(2));
    assert_eq!((refresh.call_id(), refresh.request_uri()), (out.call_id(), Some("sip:presence.pbx.inside")));
    accept(&mut desk, PBX, "200 OK");
    assert_eq!((desk.answer(PHONE), desk.last(PHONE).header(HeaderName::Expires)), (200, Some("600")));
    desk.inside(PHONE, "SUBSCRIBE", &granted, 21, &format!("{}{MWI}Expires: 0\r\n", contact("101", PHONE)), "");
    assert_eq!(desk.last(PBX).header(HeaderName::Expires), Some("0"));
    accept(&mut desk, PBX, "200 OK");
    notify(&mut desk, PBX, &out, 2, "Event: message-summary\r\nSubscription-State: terminated;reason=timeout\r\n", "");
    assert_eq!(desk.last(PHONE).header(HeaderName::SubscriptionState), Some("terminated;reason=timeout"));
    accept(&mut desk, PHONE, "200 OK");
    assert_eq!((desk.answer(PBX), kept(&desk)), (200, 0));
    desk.inside(PHONE, "SUBSCRIBE", &granted, 22, &format!("{}{MWI}", contact("101", PHONE)), "");
    assert_eq!(desk.answer(PHONE), 481);
}

/// RFC 6665 4.4.3: a SUBSCRIBE of 0 seconds asks once; its NOTIFY may overtake the 200.
#[test]
fn a_state_is_fetched_once() {
    for overtakes in [false, true] {
        let mut desk = desk(CLOUD);
        subscribe(&mut desk, PHONE, "101", "101", &format!("{MWI}Expires: 0\r\n"));
        let out = desk.last(PBX);
        let grant = |desk: &mut Desk| {
            desk.reply_to(PBX, &out, "200 OK", "n", "Expires: 0\r\nContact: <sip:presence.pbx.inside>\r\n", "");
            assert_eq!((desk.answer(PHONE), desk.last(PHONE).header(HeaderName::Expires)), (200, Some("0")));
        };
        if !overtakes {
            grant(&mut desk);
        }
        notify(&mut desk, PBX, &out, 1, "Event: message-summary\r\nSubscription-State: terminated;reason=timeout\r\n", SUMMARY);
        accept(&mut desk, PHONE, "200 OK");
        assert_eq!(desk.answer(PBX), 200);
        if overtakes {
            grant(&mut desk);
        }
        desk.pass(Duration::from_secs(40));
        assert_eq!((desk.watchers(), kept(&desk)), ([0, 0], 0));
    }
}

#[test]
fn other_packages_are_refused_by_name() {
    let mut desk = desk(CLOUD);
    let before = desk.count(PBX);
    for event in ["Event: conference\r\n", "Event: refer\r\n", "", "Event: dia log\r\n"] {
        subscribe(&mut desk, PHONE, "101", "101", event);
        assert_eq!(
            (desk.answer(PHONE), desk.last(PHONE).header(HeaderName::AllowEvents)),
            (489, Some("message-summary, dialog, presence"))
        );
    }
    subscribe(&mut desk, PHONE, "101", "101", &format!("{MWI}Expires: 10\r\n"));
    assert_eq!((desk.answer(PHONE), desk.last(PHONE).header(HeaderName::MinExpires)), (423, Some("60")));
    assert_eq!(desk.count(PBX), before);
}

#[test]
fn strangers_are_challenged_and_know_no_dialog() {
    let (mut desk, out, granted) = standing(CLOUD, MWI);
    subscribe(&mut desk, STRANGER, "101", "101", MWI);
    assert_eq!(desk.answer(STRANGER), 407);
    // They know every tag, and are asked for the password all the same.
    let before = desk.count(PBX);
    desk.inside(STRANGER, "SUBSCRIBE", &granted, 30, &format!("{}{MWI}Expires: 0\r\n", contact("101", STRANGER)), "");
    assert_eq!((desk.answer(STRANGER), desk.count(PBX)), (407, before));
    let before = desk.count(PHONE);
    notify(&mut desk, STRANGER, &out, 9, "Event: message-summary\r\nSubscription-State: terminated\r\n", "");
    assert_eq!((desk.answer(STRANGER), desk.count(PHONE)), (481, before));
    subscribe(&mut desk, OTHER, "101", "101", MWI);
    assert_eq!(desk.answer(OTHER), 407);
}

#[test]
fn notifies_that_do_not_fit_are_refused() {
    let (mut desk, out, _) = standing(CLOUD, MWI);
    let before = desk.count(PHONE);
    let mut ask = |cseq: u32, more: &str| {
        notify(&mut desk, PBX, &out, cseq, more, "");
        desk.answer(PBX)
    };
    assert_eq!(ask(2, "Event: message-summary\r\n"), 400);
    assert_eq!(ask(3, "Event: message-summary\r\nSubscription-State: unheard\r\n"), 400);
    assert_eq!(ask(4, "Event: presence\r\nSubscription-State: active\r\n"), 489);
    assert_eq!(ask(0, "Event: message-summary\r\nSubscription-State: active\r\n"), 500);
    assert_eq!(desk.count(PHONE), before);
}

#[test]
fn a_notify_may_come_before_the_answer_and_one_of_a_fork_is_refused() {
    let mut desk = desk(CLOUD);
    subscribe(&mut desk, PHONE, "101", "102", "Event: presence\r\n");
    let out = desk.last(PBX);
    let state = "Event: presence\r\nSubscription-State: pending\r\n";
    notify(&mut desk, PBX, &out, 1, state, "");
    assert_eq!(desk.last(PHONE).header(HeaderName::SubscriptionState), Some("pending"));
    accept(&mut desk, PHONE, "200 OK");
    desk.reply_to(PBX, &out, "202 Accepted", "n", "Expires: 600\r\nContact: <sip:presence.pbx.inside>\r\n", "");
    assert_eq!(desk.answer(PHONE), 200);
    let before = desk.count(PHONE);
    notify_as(&mut desk, (PBX, "fork"), &out, 2, state, "");
    assert_eq!((desk.answer(PBX), desk.count(PHONE)), (481, before));
}

#[test]
fn a_refusal_comes_back_and_leaves_nothing() {
    let mut desk = desk(CLOUD);
    let challenge = "Proxy-Authenticate: Digest realm=\"pbx.inside\", nonce=\"n\"\r\n";
    for (status, more, told) in [
        ("407 Proxy Authentication Required", challenge, 407),
        ("404 Not Found", "", 404),
        ("302 Moved Temporarily", "Contact: <sip:x@other.inside>\r\n", 480),
        ("503 Service Unavailable", "Retry-After: 9 (at pbx.inside)\r\n", 500),
        ("489 Bad Event", "Allow-Events: presence\r\n", 489),
    ] {
        subscribe(&mut desk, PHONE, "101", "101", MWI);
        desk.reply(PBX, status, "n", more, "");
        let refusal = desk.last(PHONE);
        assert_eq!(refusal.status(), Some(told));
        assert!(!text(&refusal).contains(".inside") || told == 407, "{}", text(&refusal));
    }
    assert_eq!(kept(&desk), 0);
    // The answer to the cloud's challenge passes, that to the node's own does not.
    let own =
        "Proxy-Authorization: Digest username=\"101\", realm=\"ringfort.local\", nonce=\"x\", uri=\"sip:a\", response=\"0\"\r\n";
    let clouds = own.replace("ringfort.local", "pbx.inside");
    subscribe(&mut desk, PHONE, "101", "101", &format!("{MWI}{own}{clouds}"));
    let passed: Vec<String> = desk.last(PBX).headers(HeaderName::ProxyAuthorization).map(str::to_string).collect();
    assert!(passed.len() == 1 && passed[0].contains("pbx.inside"), "{passed:?}");
}

#[test]
fn what_the_phone_does_not_know_any_more_the_cloud_ends() {
    let (mut desk, out, _) = standing(CLOUD, MWI);
    notify(&mut desk, PBX, &out, 2, "Event: message-summary\r\nSubscription-State: active\r\n", SUMMARY);
    accept(&mut desk, PHONE, "481 Subscription Does Not Exist");
    assert_eq!((desk.answer(PBX), kept(&desk)), (481, 0));
    notify(&mut desk, PBX, &out, 3, "Event: message-summary\r\nSubscription-State: active\r\n", SUMMARY);
    assert_eq!(desk.answer(PBX), 481);
}

#[test]
fn time_ends_what_nobody_refreshes_and_what_is_never_notified() {
    let (mut desk, _, _) = standing(CLOUD, MWI);
    desk.pass(Duration::from_secs(600 + 33));
    assert_eq!(kept(&desk), 0);
    let mut desk = self::desk(CLOUD);
    subscribe(&mut desk, PHONE, "101", "101", MWI);
    desk.reply(PBX, "200 OK", "n", "Expires: 600\r\nContact: <sip:presence.pbx.inside>\r\n", "");
    assert_eq!(kept(&desk), 1);
    desk.pass(Duration::from_secs(33));
    assert_eq!(kept(&desk), 0);
    subscribe(&mut desk, PHONE, "101", "101", MWI);
    desk.pass(Duration::from_secs(33));
    assert_eq!((desk.answer(PHONE), desk.last(PHONE).header(HeaderName::RetryAfter)), (480, Some("60")));
    desk.pass(Duration::from_secs(40));
    assert_eq!((desk.residue(), desk.watchers()), ([0, 0, 0], [0, 0]));
}

#[test]
fn a_subscription_outlives_the_process() {
    let (desk, out, granted) = standing(CLOUD, MWI);
    let mut desk = Desk::restarted(CLOUD, desk.left_behind());
    notify(&mut desk, PBX, &out, 2, "Event: message-summary\r\nSubscription-State: active;expires=500\r\n", SUMMARY);
    let told = desk.last(PHONE);
    assert_eq!((told.method(), told.header(HeaderName::CallId)), (Method::Notify, granted.header(HeaderName::CallId)));
    assert!(told.cseq().is_ok_and(|(number, _)| number > 1_000));
    accept(&mut desk, PHONE, "200 OK");
    assert_eq!(desk.answer(PBX), 200);
    desk.inside(PHONE, "SUBSCRIBE", &granted, 20, &format!("{}{MWI}Expires: 600\r\n", contact("101", PHONE)), "");
    assert!(desk.last(PBX).cseq().is_ok_and(|(number, _)| number > 1_000));
}

#[test]
fn one_subscriber_has_so_many_and_no_more() {
    let mut desk = desk(CLOUD);
    for n in 0..1_000 {
        subscribe(&mut desk, PHONE, "101", &format!("{}", 200 + n), "Event: dialog\r\n");
        desk.reply(PBX, "200 OK", &format!("n{n}"), "Expires: 600\r\nContact: <sip:presence.pbx.inside>\r\n", "");
        desk.sent.clear();
    }
    subscribe(&mut desk, PHONE, "101", "999", "Event: dialog\r\n");
    assert_eq!((desk.answer(PHONE), desk.count(PBX)), (503, 0));
    subscribe(&mut desk, OTHER, "102", "999", "Event: dialog\r\n");
    assert_eq!(desk.count(PBX), 1);
}

#[test]
fn the_cloud_subscribes_at_a_device() {
    let mut desk = desk(CLOUD);
    desk.request(PBX, "SUBSCRIBE", "sip:101@192.0.2.10", "watcher", "Contact: <sip:w@pbx.inside>\r\nEvent: dialog\r\n", "");
    let out = desk.last(PHONE);
    assert_eq!((out.method(), out.request_uri()), (Method::Subscribe, Some("sip:101@203.0.113.5:5060")));
    assert!(!text(&out).contains("pbx.inside") && !text(&out).contains("198.51.100.1"), "{}", text(&out));
    desk.reply(PHONE, "200 OK", "n", "Expires: 600\r\nContact: <sip:101@203.0.113.5:5060>\r\n", "");
    assert_eq!(desk.answer(PBX), 200);
    notify(&mut desk, PHONE, &out, 1, "Event: dialog\r\nSubscription-State: active\r\n", "");
    let told = desk.last(PBX);
    assert_eq!((told.method(), told.request_uri()), (Method::Notify, Some("sip:w@pbx.inside")));
    assert!(!text(&told).contains("203.0.113.5"), "{}", text(&told));
    desk.request(PBX, "SUBSCRIBE", "sip:102@192.0.2.10", "watcher", "Contact: <sip:w@pbx.inside>\r\nEvent: dialog\r\n", "");
    desk.reply(OTHER, "401 Unauthorized", "n", "WWW-Authenticate: Digest realm=\"phone\", nonce=\"n\"\r\n", "");
    assert_eq!((desk.answer(PBX), desk.last(PBX).header(HeaderName::WwwAuthenticate)), (403, None));
    desk.request(PBX, "SUBSCRIBE", "sip:199@192.0.2.10", "watcher", "Contact: <sip:w@pbx.inside>\r\nEvent: dialog\r\n", "");
    assert_eq!(desk.answer(PBX), 480);
}

/// The phone's connection broke, and it registered by another one: what it watches comes there.
#[test]
fn a_phone_is_told_on_its_new_connection() {
    let mut desk = Desk::new(CLOUD);
    let register = |desk: &mut Desk, from: &str| {
        desk.request(from, "REGISTER", "sip:ringfort.local", "101", "Contact: <sip:101@phone.invalid;transport=tls>\r\n", "");
        desk.reply(PBX, "200 OK", "r", "Expires: 3600\r\n", "");
    };
    desk.connect("203.0.113.5:40000", 1);
    register(&mut desk, "203.0.113.5:40000");
    let more = format!("Contact: <sip:101@phone.invalid;transport=tls>\r\n{MWI}");
    desk.request("203.0.113.5:40000", "SUBSCRIBE", "sip:101@ringfort.local", "101", &more, "");
    let out = desk.last(PBX);
    desk.reply(PBX, "200 OK", "n", "Expires: 600\r\nContact: <sip:presence.pbx.inside>\r\n", "");
    desk.disconnect("203.0.113.5:40000");
    desk.connect("203.0.113.5:40001", 2);
    desk.pass(Duration::from_millis(10));
    register(&mut desk, "203.0.113.5:40001");
    notify(&mut desk, PBX, &out, 1, "Event: message-summary\r\nSubscription-State: active\r\n", SUMMARY);
    assert_eq!(desk.last("203.0.113.5:40001").method(), Method::Notify);
}

#[test]
fn a_reload_takes_no_subscription_away() {
    let (mut desk, out, _) = standing(CLOUD, MWI);
    desk.input(Input::Reload(crate::fixture::snapshot(&CLOUD.replace("[[account]]\nuser = \"101\"\n", ""))));
    notify(&mut desk, PBX, &out, 2, "Event: message-summary\r\nSubscription-State: active\r\n", SUMMARY);
    assert_eq!(desk.last(PHONE).method(), Method::Notify);
}
