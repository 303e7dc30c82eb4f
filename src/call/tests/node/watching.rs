//! Subscriptions to calls that the node itself serves while there is no cloud (RFC 4235).

use crate::fixture::{Desk, SDP};
use crate::subscriptions::{CLOUD, MWI, OTHER, PBX, PHONE, accept, desk, notify, standing, subscribe};
use crate::talk::{self, body, contact};
use ringfort_base::event::Mode;
use ringfort_sip::message::{HeaderName, Message, Method};
use std::time::Duration;

const DIALOG: &str = "Event: dialog\r\nAccept: application/dialog-info+xml\r\n";
const SECOND: Duration = Duration::from_secs(1);
/// The watcher.
const CONSOLE: &str = "203.0.113.7:5060";

/// 103 watches 102.
fn watched() -> (Desk, Message) {
    let mut desk = Desk::new(talk::CONFIG);
    for (phone, user) in [(PHONE, "101"), (OTHER, "102"), (CONSOLE, "103")] {
        assert_eq!(desk.register(phone, user, &contact(user, phone)), 200);
    }
    subscribe(&mut desk, CONSOLE, "103", "102", &format!("{DIALOG}Expires: 600\r\n"));
    let granted = desk.last(CONSOLE);
    assert_eq!((granted.status(), granted.header(HeaderName::Expires)), (Some(200), Some("600")));
    desk.pass(SECOND);
    accept(&mut desk, CONSOLE, "200 OK");
    (desk, granted)
}

fn states(desk: &Desk) -> Vec<String> {
    let told = body(&desk.last_of(CONSOLE, Message::is_request));
    told.split("<dialog id=").skip(1).map(|part| part.split("direction=").nth(1).unwrap_or_default().to_string()).collect()
}

fn told(desk: &mut Desk) -> Vec<String> {
    desk.pass(SECOND + SECOND / 10);
    accept(desk, CONSOLE, "200 OK");
    let short = |state: &String| state.split("</state>").next().unwrap_or_default().replace("\"><state>", " ").replace('"', "");
    states(desk).iter().map(short).collect()
}

#[test]
fn a_lamp_follows_the_calls_of_an_extension() {
    let (mut desk, granted) = watched();
    let first = desk.last_of(CONSOLE, Message::is_request);
    assert_eq!((first.method(), first.header(HeaderName::Event)), (Method::Notify, Some("dialog")));
    assert!(first.header(HeaderName::SubscriptionState).is_some_and(|state| state.starts_with("active;expires=")));
    assert_eq!(first.header(HeaderName::From), granted.header(HeaderName::To));
    assert!(body(&first).contains("version=\"0\" state=\"full\" entity=\"sip:102@ringfort.local\""), "{}", body(&first));
    let contact = contact("101", PHONE);
    desk.request(PHONE, "INVITE", "sip:102@ringfort.local", "101", &contact, SDP);
    desk.reply(OTHER, "180 Ringing", "t", &talk::contact("102", OTHER), "");
    assert_eq!(told(&mut desk), ["recipient early"]);
    desk.reply_to(OTHER, &desk.last_of(OTHER, Message::is_request), "200 OK", "t", &talk::contact("102", OTHER), SDP);
    let ok = desk.last_of(PHONE, |m| m.status() == Some(200) && !m.body().is_empty());
    desk.inside(PHONE, "ACK", &ok, ok.cseq().expect("one").0, "", "");
    assert_eq!(told(&mut desk), ["recipient confirmed"]);
    let document = body(&desk.last_of(CONSOLE, Message::is_request));
    assert!(!document.contains("101") && document.contains("version=\"2\""), "{document}");
    desk.inside(PHONE, "BYE", &ok, 90, "", "");
    assert_eq!(told(&mut desk), ["recipient terminated"]);
    let before = desk.requests(CONSOLE, Method::Notify).len();
    desk.pass(SECOND * 20);
    assert_eq!(desk.requests(CONSOLE, Method::Notify).len(), before, "nothing changed");
}

#[test]
fn who_calls_is_watched_too_and_nobody_is_told_twice_a_second() {
    let (mut desk, _) = watched();
    let before = desk.requests(CONSOLE, Method::Notify).len();
    for _ in 0..10 {
        desk.request(OTHER, "INVITE", "sip:101@ringfort.local", "102", &contact("102", OTHER), SDP);
        desk.reply(PHONE, "486 Busy Here", "t", "", "");
        desk.pass(SECOND / 20);
    }
    desk.pass(SECOND * 3);
    assert!(desk.requests(CONSOLE, Method::Notify).len() <= before + 3);
    desk.request(OTHER, "INVITE", "sip:101@ringfort.local", "102", &contact("102", OTHER), SDP);
    assert!(told(&mut desk).contains(&"initiator trying".to_string()));
}

#[test]
fn a_refresh_has_the_whole_state_and_the_end_is_told() {
    let (mut desk, granted) = watched();
    desk.inside(CONSOLE, "SUBSCRIBE", &granted, 50, &format!("{}{DIALOG}Expires: 300\r\n", contact("103", CONSOLE)), "");
    assert_eq!(desk.last(CONSOLE).header(HeaderName::Expires), Some("300"));
    assert_eq!(told(&mut desk), [""; 0]);
    assert!(body(&desk.last_of(CONSOLE, Message::is_request)).contains("version=\"1\""));
    desk.pass(SECOND * 300);
    let last = desk.last_of(CONSOLE, Message::is_request);
    assert_eq!(last.header(HeaderName::SubscriptionState), Some("terminated;reason=timeout"));
    assert!(desk.kept.keys().all(|key| !key.starts_with("subscription/")));
    let (mut desk, granted) = watched();
    desk.inside(CONSOLE, "SUBSCRIBE", &granted, 50, &format!("{}{DIALOG}Expires: 0\r\n", contact("103", CONSOLE)), "");
    told(&mut desk);
    let last = desk.last_of(CONSOLE, Message::is_request);
    assert_eq!(last.header(HeaderName::SubscriptionState), Some("terminated;reason=timeout"));
    desk.inside(CONSOLE, "SUBSCRIBE", &granted, 51, &format!("{}{DIALOG}", contact("103", CONSOLE)), "");
    assert_eq!(desk.answer(CONSOLE), 481);
}

#[test]
fn a_watcher_that_knows_nothing_of_it_is_not_told_again() {
    let (mut desk, _) = watched();
    desk.request(PHONE, "INVITE", "sip:102@ringfort.local", "101", &contact("101", PHONE), SDP);
    desk.reply(OTHER, "180 Ringing", "t", &contact("102", OTHER), "");
    desk.pass(SECOND * 2);
    accept(&mut desk, CONSOLE, "481 Subscription Does Not Exist");
    assert!(desk.kept.keys().all(|key| !key.starts_with("subscription/")));
}

#[test]
fn only_calls_of_people_here_are_known() {
    let (mut desk, _) = watched();
    for (to, event, status) in [("999", "dialog", 404), ("102", "presence", 489), ("103", "message-summary", 489)] {
        subscribe(&mut desk, CONSOLE, "103", to, &format!("Event: {event}\r\n"));
        assert_eq!(desk.answer(CONSOLE), status, "{event} of {to}");
    }
    assert_eq!(desk.last(CONSOLE).header(HeaderName::AllowEvents), Some("dialog"));
}

#[test]
fn watching_outlives_the_process() {
    let (desk, granted) = watched();
    let mut desk = Desk::restarted(talk::CONFIG, desk.left_behind());
    desk.pass(SECOND);
    let told = desk.last_of(CONSOLE, Message::is_request);
    assert_eq!((told.method(), told.header(HeaderName::CallId)), (Method::Notify, granted.header(HeaderName::CallId)));
    assert!(told.cseq().is_ok_and(|(number, _)| number > 1_000) && body(&told).contains("version=\"1000\""), "{}", body(&told));
}

fn clouded() -> String {
    CLOUD.replace("options_interval_ms = 3600000\n", "options_interval_ms = 2000\n")
}

/// The cloud dies: those who watch calls are served by the node, those who wait for messages keep what they know.
#[test]
fn without_the_cloud_the_node_takes_over_and_gives_back() {
    let (mut desk, out, granted) = standing(&clouded(), DIALOG);
    subscribe(&mut desk, OTHER, "102", "102", MWI);
    desk.reply(PBX, "200 OK", "n", "Expires: 600\r\nContact: <sip:presence.pbx.inside>\r\n", "");
    let messages = desk.last(OTHER);
    let summary = desk.last_of(PBX, |m| m.is_request() && m.header(HeaderName::Event) == Some("message-summary"));
    notify(&mut desk, PBX, &summary, 1, "Event: message-summary\r\nSubscription-State: active\r\n", "");
    accept(&mut desk, OTHER, "200 OK");
    desk.pass(SECOND * 6);
    assert_eq!(desk.status().mode, Mode::Survivable);
    let last = desk.last_of(PHONE, Message::is_request);
    assert_eq!(last.header(HeaderName::SubscriptionState), Some("terminated;reason=deactivated"));
    accept(&mut desk, PHONE, "200 OK");
    // The device subscribes anew, as it is told to.
    subscribe(&mut desk, PHONE, "101", "102", DIALOG);
    let own = desk.last(PHONE);
    assert_eq!(own.status(), Some(200));
    desk.pass(SECOND);
    assert!(body(&desk.last_of(PHONE, Message::is_request)).contains("entity=\"sip:102@ringfort.local\""));
    accept(&mut desk, PHONE, "200 OK");
    desk.inside(OTHER, "SUBSCRIBE", &messages, 70, &format!("{}{MWI}", contact("102", OTHER)), "");
    assert_eq!((desk.answer(OTHER), desk.last(OTHER).header(HeaderName::RetryAfter)), (504, Some("60")));
    subscribe(&mut desk, PHONE, "101", "101", MWI);
    assert_eq!((desk.answer(PHONE), desk.last(PHONE).header(HeaderName::RetryAfter)), (480, Some("60")));
    // What the cloud still believes in is unknown here.
    notify(&mut desk, PBX, &out, 5, "Event: dialog\r\nSubscription-State: active\r\n", "");
    assert_eq!(desk.answer(PBX), 481);
    desk.inside(OTHER, "SUBSCRIBE", &messages, 71, &format!("{}{MWI}Expires: 0\r\n", contact("102", OTHER)), "");
    assert_eq!(desk.last_of(OTHER, |m| !m.is_request()).status(), Some(200));
    assert_eq!(desk.last_of(OTHER, Message::is_request).header(HeaderName::SubscriptionState), Some("terminated;reason=timeout"));
    // It is back.
    for _ in 0..10 {
        desk.pass(SECOND * 2);
        let probe = desk.last_of(PBX, |m| m.method() == Method::Options);
        desk.reply_to(PBX, &probe, "200 OK", "o", "", "");
    }
    desk.pass(SECOND / 10);
    assert_eq!(desk.status().mode, Mode::Normal);
    let last = desk.last_of(PHONE, Message::is_request);
    assert_eq!(last.header(HeaderName::SubscriptionState), Some("terminated;reason=deactivated"));
    assert_eq!(last.header(HeaderName::CallId), own.header(HeaderName::CallId));
    desk.inside(PHONE, "SUBSCRIBE", &granted, 99, &format!("{}{DIALOG}", contact("101", PHONE)), "");
    assert_eq!(desk.answer(PHONE), 481);
}

/// The cloud died with the process, or came back meanwhile: who notifies is settled anew.
#[test]
fn a_restart_in_an_outage_serves_by_the_node() {
    let (mut desk, _, granted) = standing(&clouded(), DIALOG);
    let left = desk.left_behind();
    desk.pass(SECOND * 6);
    let mode = desk.left_behind().into_iter().filter(|entry| entry.key == "mode");
    let mut desk = Desk::restarted(&clouded(), left.into_iter().chain(mode).collect());
    assert_eq!((desk.status().mode, desk.watchers()[0]), (Mode::Survivable, 1));
    desk.pass(SECOND / 10);
    let last = desk.last_of(PHONE, Message::is_request);
    assert_eq!(last.header(HeaderName::SubscriptionState), Some("terminated;reason=deactivated"));
    assert_eq!(last.header(HeaderName::CallId), granted.header(HeaderName::CallId));
    subscribe(&mut desk, PHONE, "101", "102", DIALOG);
    assert_eq!(desk.last_of(PHONE, |m| !m.is_request()).status(), Some(200));
    let left: Vec<_> = desk.left_behind().into_iter().filter(|entry| entry.key != "mode").collect();
    let mut desk = Desk::restarted(&clouded(), left);
    desk.pass(SECOND / 10);
    let last = desk.last_of(PHONE, Message::is_request);
    assert_eq!(last.header(HeaderName::SubscriptionState), Some("terminated;reason=deactivated"));
}

/// The very SUBSCRIBE that meets the dead cloud is answered.
#[test]
fn a_subscribe_that_meets_the_dead_cloud_is_served() {
    let mut desk = desk(&clouded());
    subscribe(&mut desk, PHONE, "101", "102", DIALOG);
    subscribe(&mut desk, OTHER, "102", "102", MWI);
    desk.pass(SECOND * 6);
    assert_eq!(desk.last_of(PHONE, |m| !m.is_request()).status(), Some(200));
    assert_eq!(desk.last_of(PHONE, Message::is_request).method(), Method::Notify);
    assert_eq!(desk.last_of(OTHER, |m| !m.is_request()).status(), Some(480));
}
