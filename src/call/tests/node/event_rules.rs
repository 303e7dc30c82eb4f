//! Rules of a profile apply to what is no call as they do to calls.

use crate::fixture::Desk;
use crate::subscriptions::{CLOUD, MWI, PBX, PHONE, SUMMARY, desk, notify, subscribe};
use crate::talk::body;
use ringfort_sip::message::{HeaderName, Message, Method};

const RULES: &str = r#"
[[profile]]
name = "own"
[[profile.rule]]
name = "out"
direction = "send"
method = ["SUBSCRIBE", "MESSAGE"]
do = [{ set = "From.host", value = "sbc.example.com" }, { set = "X-Site", value = "${node.domain}" }]
[[profile.rule]]
name = "in"
direction = "receive"
method = ["NOTIFY"]
do = [{ remove = "Content-Language" }]
"#;

fn ruled() -> Desk {
    desk(&(CLOUD.replace("[cloud]\n", "[cloud]\nprofile = \"own\"\n") + RULES))
}

fn asked(desk: &Desk, method: Method) -> Message {
    desk.last_of(PBX, |m| m.is_request() && m.method() == method)
}

#[test]
fn a_subscription_stands_whatever_rules_make_of_its_messages() {
    let mut desk = ruled();
    subscribe(&mut desk, PHONE, "101", "101", &format!("{MWI}Expires: 600\r\n"));
    let out = asked(&desk, Method::Subscribe);
    assert_eq!(out.header_named("X-Site"), Some("ringfort.local"));
    assert!(out.header(HeaderName::From).is_some_and(|from| from.contains("@sbc.example.com")));
    desk.reply_to(PBX, &out, "200 OK", "n", "Expires: 600\r\nContact: <sip:presence.pbx.inside>\r\n", "");
    assert_eq!(desk.answer(PHONE), 200);
    let state = "Event: message-summary\r\nSubscription-State: active\r\nContent-Language: x\r\n";
    notify(&mut desk, PBX, &out, 1, state, SUMMARY);
    let told = desk.last(PHONE);
    assert_eq!((told.method(), told.header_named("Content-Language")), (Method::Notify, None));
    assert!(body(&told).contains("Messages-Waiting: yes"));
}

#[test]
fn a_message_bears_what_rules_add() {
    let mut desk = ruled();
    desk.request(PHONE, "MESSAGE", "sip:102@ringfort.local", "101", "", "hello");
    assert_eq!(asked(&desk, Method::Message).header_named("X-Site"), Some("ringfort.local"));
}
