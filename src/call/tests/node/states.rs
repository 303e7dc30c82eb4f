//! What a request inside a dialog meets in each state of a call that stands. The table is that of docs/call-states.md.

use crate::fixture::Desk;
use crate::talk::{self, CONFIG, End, PHONE, TRUNK, sdp};
use ringfort_sip::message::Method;

const PAGE: &str = include_str!("../../../../docs/call-states.md");
const EVENTS: [&str; 7] =
    ["INVITE with offer", "INVITE without offer", "UPDATE with offer", "UPDATE without offer", "INFO", "OPTIONS", "BYE"];
/// Brings a call between a phone and a trunk into a state.
type Play = fn(&mut Desk, &mut End, &mut End);

const STATES: [(&str, Play); 5] = [
    ("stands", |_, _, _| {}),
    ("own change on its way", |desk, phone, _| phone.send(desk, "INVITE", "", &sdp(PHONE, 2, "sendonly"))),
    ("other's change on its way", |desk, _, trunk| trunk.send(desk, "INVITE", "", &sdp(TRUNK, 2, "sendonly"))),
    ("own change answered, no ACK yet", |desk, phone, trunk| {
        phone.send(desk, "INVITE", "", &sdp(PHONE, 2, "sendonly"));
        trunk.answer(desk, "200 OK", "", &sdp(TRUNK, 2, "recvonly"));
    }),
    ("own late offer answered, no ACK yet", |desk, phone, trunk| {
        phone.send(desk, "INVITE", "", "");
        trunk.answer(desk, "200 OK", "", &sdp(TRUNK, 2, "sendrecv"));
    }),
];

/// What the asker and the other leg see.
fn outcome(state: fn(&mut Desk, &mut End, &mut End), event: &str) -> String {
    let (mut desk, mut phone, mut trunk) = talk::connected(CONFIG, "", talk::ALLOWS_UPDATE);
    state(&mut desk, &mut phone, &mut trunk);
    let before = desk.sent.len();
    let (method, offer) = event.split_once(' ').unwrap_or((event, ""));
    let body = if offer == "with offer" { sdp(PHONE, 9, "inactive") } else { String::new() };
    phone.send(&mut desk, method, "", &body);
    let news = &desk.sent[before..];
    let own = |m: &ringfort_sip::message::Message| m.cseq().is_ok_and(|(number, _)| number == phone.cseq);
    let answer =
        news.iter().filter(|(to, m)| to.to_string() == PHONE && own(m)).find_map(|(_, m)| m.status().filter(|s| *s >= 200));
    let passed = news.iter().find(|(to, m)| to.to_string() == TRUNK && m.is_request() && m.method() != Method::Ack);
    let answer = answer.map_or("waits".to_string(), |status| status.to_string());
    passed.map_or(answer.clone(), |(_, m)| format!("{answer}, {} on", m.method()))
}

#[test]
fn the_page_says_what_the_node_does() {
    let mut page = format!("| | {} |\n|{}\n", EVENTS.join(" | "), "---|".repeat(EVENTS.len() + 1));
    for (name, state) in STATES {
        let cells: Vec<String> = EVENTS.iter().map(|event| outcome(state, event)).collect();
        page += &format!("| {name} | {} |\n", cells.join(" | "));
    }
    assert!(PAGE.contains(&page), "the page should hold\n{page}");
}
