//! A browser whose consent runs out in a call: the node asks it to begin ICE anew, so often and no more.

use crate::fixture::Desk;
use crate::talk::{self, BROWSER, CONFIG, End, PHONE, TRUNK, body, contact, sdp};
use ringfort_call::restore::Saved;
use ringfort_sip::message::{Message, Method};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;

/// A browser that has keys and a pair, as a process that was restarted finds it; its checks have ceased.
fn talking() -> (Desk, End, End) {
    let mut desk = Desk::new(CONFIG);
    assert_eq!(desk.register(PHONE, "101", &contact("101", PHONE)), 200);
    desk.request(PHONE, "INVITE", "sip:0123@ringfort.local", "101", &contact("101", PHONE), BROWSER);
    desk.reply(TRUNK, "200 OK", "t", &contact("gw", TRUNK), &sdp(TRUNK, 1, "sendrecv"));
    let (ok, invite) = (desk.last(PHONE), desk.last_of(TRUNK, |m| m.is_request() && m.method() == Method::Invite));
    let (mut browser, trunk) = talk::ends(&ok, &invite);
    browser.ack(&mut desk, "");
    let keys = json!({ "profile": "Aes128CmSha1_80", "key": vec![1; 16], "salt": vec![2; 14] });
    let saved = desk.left_behind().into_iter().map(|Saved { key, value }| {
        if !key.starts_with("call/") {
            return Saved { key, value };
        }
        let mut call: Value = rmp_serde::from_slice(&value).expect("it can be read");
        let transport = &mut call["caller"]["media"]["session"]["transport"];
        assert!(transport.is_object(), "{call}");
        transport["pair"] = json!({ "V4": [[203, 0, 113, 5], 4_000] });
        transport["keys"] = json!({ "ours": keys, "theirs": keys });
        Saved { key, value: rmp_serde::to_vec_named(&call).expect("it can be written") }
    });
    (Desk::restarted(CONFIG, saved.collect()), browser, trunk)
}

fn fragment(request: &Message) -> String {
    let text = body(request);
    text.lines().find_map(|line| line.strip_prefix("a=ice-ufrag:")).expect("a name").to_string()
}

/// Questions, their repeats not counted.
fn asked(desk: &Desk) -> BTreeSet<u32> {
    desk.requests(PHONE, Method::Invite).iter().map(|invite| invite.cseq().expect("a number").0).collect()
}

#[test]
fn a_silent_browser_is_asked_to_begin_anew_and_the_call_goes_on() {
    let (mut desk, browser, _) = talking();
    desk.pass(Duration::from_secs(29));
    assert_eq!(asked(&desk).len(), 0);
    desk.pass(Duration::from_secs(2));
    assert_eq!(asked(&desk).len(), 1);
    assert_eq!((desk.requests(TRUNK, Method::Invite).len(), desk.requests(TRUNK, Method::Bye).len()), (0, 0));
    let told = browser.asked(&desk);
    browser.answer(&mut desk, "200 OK", "", &BROWSER.replace("actpass", "active").replace("abcd", "efgh"));
    assert_eq!(desk.last(PHONE).method(), Method::Ack);
    // It has its time to consent again. It does not, and is asked once more, in other words.
    desk.pass(Duration::from_secs(20));
    assert_eq!((asked(&desk).len(), desk.status().calls.len()), (1, 1));
    desk.pass(Duration::from_secs(11));
    assert_eq!(asked(&desk).len(), 2);
    assert_ne!(fragment(&told), fragment(&browser.asked(&desk)));
}

#[test]
fn a_browser_that_does_not_begin_anew_loses_the_call() {
    let (mut desk, browser, _) = talking();
    desk.pass(Duration::from_secs(31));
    browser.answer(&mut desk, "488 Not Acceptable Here", "", "");
    assert_eq!(desk.status().calls.len(), 1);
    desk.pass(Duration::from_secs(10));
    assert_eq!(asked(&desk).len(), 2);
    desk.pass(Duration::from_secs(10));
    assert!(!desk.requests(TRUNK, Method::Bye).is_empty());
    desk.pass(Duration::from_secs(40));
    assert_eq!(desk.status().recent[0].cause, "consent-expired");
}

#[test]
fn a_change_that_is_under_way_comes_first() {
    let (mut desk, browser, mut trunk) = talking();
    desk.pass(Duration::from_secs(25));
    // A change of the other side is in the way of the first question, not of the second.
    trunk.send(&mut desk, "INVITE", "", &sdp(TRUNK, 2, "sendonly"));
    desk.pass(Duration::from_secs(6));
    assert_eq!(asked(&desk).len(), 1, "the other side's change");
    browser.answer(&mut desk, "488 Not Acceptable Here", "", "");
    trunk.ack(&mut desk, "");
    desk.pass(Duration::from_secs(10));
    assert_eq!(asked(&desk).len(), 2);
    assert!(!body(&browser.asked(&desk)).contains("a=recvonly"), "what was agreed");
}
