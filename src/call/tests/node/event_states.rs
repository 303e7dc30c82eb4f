//! What each event does to a subscription in each of its phases. The table is that of docs/event-states.md.

use crate::fixture::Desk;
use crate::subscriptions::{CLOUD, MWI, PBX, PHONE, accept, desk, notify, standing, subscribe};
use crate::talk::{self, contact};
use ringfort_sip::message::{Message, Method};
use std::time::Duration;

const PAGE: &str = include_str!("../../../../docs/event-states.md");
const EVENTS: [&str; 7] = [
    "SUBSCRIBE",
    "SUBSCRIBE, 0 s",
    "NOTIFY, active",
    "NOTIFY, terminated",
    "time passes",
    "the cloud is lost",
    "it is lost, `dialog`",
];
const DIALOG: &str = "Event: dialog\r\n";
const GRANT: &str = "Expires: 600\r\nContact: <sip:presence.pbx.inside>\r\n";

/// A desk, the node's SUBSCRIBE to the cloud, and its answer to the phone.
type Scene = (Desk, Option<Message>, Option<Message>);

/// Plays from a configuration and an event package to a scene.
type Play = fn(&str, &str) -> Scene;

const STATES: [(&str, Play); 5] = [
    ("asked", |config, event| {
        let mut desk = desk(config);
        subscribe(&mut desk, PHONE, "101", "101", &format!("{event}Expires: 600\r\n"));
        let out = desk.last(PBX);
        (desk, Some(out), None)
    }),
    ("granted", |config, event| {
        let mut desk = desk(config);
        subscribe(&mut desk, PHONE, "101", "101", &format!("{event}Expires: 600\r\n"));
        let out = desk.last(PBX);
        desk.reply(PBX, "200 OK", "n", GRANT, "");
        let granted = desk.last(PHONE);
        (desk, Some(out), Some(granted))
    }),
    ("stands", |config, event| {
        let (desk, out, granted) = standing(config, event);
        (desk, Some(out), Some(granted))
    }),
    ("ends", |config, event| {
        let (mut desk, out, granted) = standing(config, event);
        desk.inside(PHONE, "SUBSCRIBE", &granted, 20, &format!("{}{event}Expires: 0\r\n", contact("101", PHONE)), "");
        accept(&mut desk, PBX, "200 OK");
        (desk, Some(out), Some(granted))
    }),
    ("served by the node", |_, _| {
        let mut desk = Desk::new(talk::CONFIG);
        assert_eq!(desk.register(PHONE, "101", &contact("101", PHONE)), 200);
        subscribe(&mut desk, PHONE, "101", "102", &format!("{DIALOG}Expires: 600\r\n"));
        let granted = desk.last(PHONE);
        desk.pass(Duration::from_secs(1));
        accept(&mut desk, PHONE, "200 OK");
        (desk, None, Some(granted))
    }),
];

/// What the asker is answered, what goes on, and whether the subscription is gone afterwards.
fn outcome(state: &str, scene: fn(&str, &str) -> Scene, event: &str) -> String {
    let lost = event.contains("is lost");
    let package = if state == "served by the node" || event.ends_with("`dialog`") { DIALOG } else { MWI };
    let config = if lost { CLOUD.replace("= 3600000", "= 2000") } else { CLOUD.to_string() };
    let (mut desk, out, granted) = scene(&config, package);
    let before = desk.sent.len();
    let name = package.lines().next().unwrap_or_default();
    match (event, &out, &granted) {
        ("SUBSCRIBE", _, Some(granted)) | ("SUBSCRIBE, 0 s", _, Some(granted)) => {
            let expires_s = if event == "SUBSCRIBE" { 600 } else { 0 };
            let more = format!("{}{package}Expires: {expires_s}\r\n", contact("101", PHONE));
            desk.inside(PHONE, "SUBSCRIBE", granted, 30, &more, "");
        }
        ("NOTIFY, active", Some(out), _) => {
            notify(&mut desk, PBX, out, 9, &format!("{name}\r\nSubscription-State: active;expires=500\r\n"), "")
        }
        ("NOTIFY, terminated", Some(out), _) => {
            notify(&mut desk, PBX, out, 9, &format!("{name}\r\nSubscription-State: terminated\r\n"), "");
            accept(&mut desk, PHONE, "200 OK");
        }
        ("time passes", ..) => return over_time(desk),
        (_, Some(_), _) if lost => desk.pass(Duration::from_secs(6)),
        _ => return "-".into(),
    }
    desk.pass(Duration::from_millis(100));
    describe(&desk, before)
}

fn describe(desk: &Desk, before: usize) -> String {
    let mut seen: Vec<&[u8]> = desk.sent[..before].iter().map(|(_, message)| &message.octets()[..]).collect();
    let mut news: Vec<&Message> = Vec::new();
    for (_, message) in desk.sent[before..].iter().filter(|(_, message)| message.method() != Method::Options) {
        if !seen.contains(&&message.octets()[..]) {
            news.push(message);
        }
        seen.push(message.octets());
    }
    let mut parts: Vec<String> = news.iter().filter_map(|m| m.status()).map(|status| status.to_string()).collect();
    parts.extend(news.iter().filter(|m| m.is_request()).map(|m| m.method().to_string()));
    if desk.watchers()[0] == 0 {
        parts.push("gone".into());
    }
    if parts.is_empty() { "stays".into() } else { parts.join(", ") }
}

fn over_time(mut desk: Desk) -> String {
    let before = desk.sent.len();
    let mut seconds = 0;
    while desk.watchers()[0] > 0 && seconds < 1_000 {
        desk.pass(Duration::from_secs(1));
        seconds += 1;
    }
    format!("{} after {seconds} s", describe(&desk, before))
}

#[test]
fn the_page_says_what_happens_to_a_subscription() {
    let mut page = format!("| | {} |\n|{}\n", EVENTS.join(" | "), "---|".repeat(EVENTS.len() + 1));
    for (name, state) in STATES {
        let cells: Vec<String> = EVENTS.iter().map(|event| outcome(name, state, event)).collect();
        page += &format!("| {name} | {} |\n", cells.join(" | "));
    }
    assert!(PAGE.contains(&page), "the page should hold\n{page}");
}
