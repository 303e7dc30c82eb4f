//! Who deals with a REFER: the node, the other end, nobody; consultation calls that still ring (RFC 5589 7.6); REFER outside the call's
//! dialog (RFC 4538); Referred-By (RFC 3892).

use crate::fixture::Desk;
use crate::talk::{self, CONFIG, End, PHONE, TRUNK, body, contact, sdp};
use ringfort_base::Event;
use ringfort_sip::message::{HeaderName, Message, Method};
use std::time::Duration;

const TARGET: &str = "203.0.113.9:5060";
const ALLOWS_REFER: &str = "Allow: INVITE, ACK, BYE, CANCEL, REFER, NOTIFY\r\n";
const TO: &str = "Refer-To: <sip:103@ringfort.local>\r\n";

/// A carrier's call to 102, with 103 registered; the carrier's profile says what becomes of REFER.
fn talking(refer: &str, caller: &str, callee: &str) -> (Desk, End, End) {
    let config = format!(
        "{}[[device]]\nuser_agent = \"*\"\nprofile = \"p\"\n[[profile]]\nname = \"p\"\nrefer = \"{refer}\"\n",
        CONFIG.replace("options_interval_ms = 0\n", "options_interval_ms = 0\nprofile = \"p\"\n")
    );
    let mut desk = Desk::new(&config);
    assert_eq!(desk.register(PHONE, "102", &format!("{}User-Agent: A\r\n", contact("102", PHONE))), 200);
    assert_eq!(desk.register(TARGET, "103", &format!("{}User-Agent: A\r\n", contact("103", TARGET))), 200);
    let (trunk, phone) = talk::call(&mut desk, (TRUNK, "0301", caller), "102", (PHONE, callee));
    (desk, trunk, phone)
}

fn tag(field: &str) -> String {
    field.split(";tag=").nth(1).unwrap_or_default().to_string()
}

/// Bodies of the NOTIFYs that a party got.
fn news(desk: &Desk, party: &str) -> Vec<String> {
    desk.requests(party, Method::Notify).iter().map(|notify| body(notify).trim().to_string()).collect()
}

fn causes(desk: &Desk) -> Vec<String> {
    desk.events.iter().filter_map(|e| if let Event::CallEnded(record) = e { Some(record.cause.clone()) } else { None }).collect()
}

/// RFC 3515 2.4.4: the referrer may prolong the subscription of its REFER, and end it.
#[test]
fn the_referrer_watches_for_as_long_as_it_wants() {
    let (mut desk, trunk, mut phone) = talking("node", "", "");
    phone.send(&mut desk, "SUBSCRIBE", "Event: refer\r\nExpires: 60\r\n", "");
    assert_eq!(phone.status(&desk), 489, "nothing is told of any REFER");
    phone.send(&mut desk, "REFER", "Refer-To: <sip:103@ringfort.local>\r\n", "");
    let id = phone.cseq;
    desk.reply(TARGET, "180 Ringing", "t2", &contact("103", TARGET), "");
    let told = news(&desk, PHONE).len();
    phone.send(&mut desk, "SUBSCRIBE", &format!("Event: refer;id={}\r\nExpires: 60\r\n", id + 7), "");
    assert_eq!(phone.status(&desk), 489, "of another one");
    phone.send(&mut desk, "SUBSCRIBE", &format!("Event: refer;id={id}\r\nExpires: 60\r\n"), "");
    assert_eq!((phone.status(&desk), phone.answered(&desk).header(HeaderName::Expires)), (200, Some("60")));
    assert_eq!(news(&desk, PHONE).len(), told + 1);
    let again = desk.requests(PHONE, Method::Notify).pop().expect("a NOTIFY");
    assert!(
        crate::talk::body(&again).contains("180")
            && again.header(HeaderName::SubscriptionState).is_some_and(|s| s.starts_with("active"))
    );
    phone.send(&mut desk, "SUBSCRIBE", "Event: refer\r\nExpires: 0\r\n", "");
    let last = desk.requests(PHONE, Method::Notify).pop().expect("a NOTIFY");
    assert!(last.header(HeaderName::SubscriptionState).is_some_and(|s| s.starts_with("terminated")));
    // The transfer goes on unwatched.
    answer_notifies(&mut desk);
    let told = news(&desk, PHONE).len();
    let invite = desk.requests(TARGET, Method::Invite).remove(0);
    desk.reply_to(TARGET, &invite, "200 OK", "t2", &contact("103", TARGET), &sdp(TARGET, 1, "sendrecv"));
    assert_eq!((trunk.asked(&desk).method(), phone.asked(&desk).method()), (Method::Invite, Method::Bye));
    assert_eq!(news(&desk, PHONE).len(), told);
}

#[test]
fn refused_where_the_profile_says_so() {
    let (mut desk, _, mut phone) = talking("refuse", ALLOWS_REFER, "");
    phone.send(&mut desk, "REFER", TO, "");
    assert_eq!(phone.status(&desk), 603);
    assert_eq!((desk.requests(TRUNK, Method::Refer).len(), desk.requests(TARGET, Method::Invite).len()), (0, 0));
}

#[test]
fn passed_to_the_peer_that_takes_it_and_its_news_come_back() {
    let (mut desk, mut trunk, mut phone) = talking("pass", ALLOWS_REFER, "");
    phone.send(&mut desk, "REFER", &format!("{TO}Referred-By: <sip:102@pbx.inside>;cid=\"1@pbx.inside\"\r\n"), "");
    let refer = trunk.asked(&desk);
    assert_eq!(refer.method(), Method::Refer);
    assert_eq!(refer.header(HeaderName::ReferTo), Some("<sip:103@ringfort.local>"));
    assert_eq!(refer.header(HeaderName::ReferredBy), Some("<sip:102@ringfort.local>"));
    assert_eq!(desk.responses(PHONE, 202).len(), 0, "it is answered when the other end has answered");
    trunk.answer(&mut desk, "202 Accepted", "", "");
    assert_eq!(phone.status(&desk), 202);
    let id = format!("refer;id={}", phone.cseq);
    for (fragment, state) in
        [("SIP/2.0 180 At gw1.inside", "active;expires=60"), ("SIP/2.0 200 OK", "terminated;reason=noresource")]
    {
        let more = format!("Event: refer\r\nSubscription-State: {state}\r\nContent-Type: message/sipfrag\r\n");
        trunk.send(&mut desk, "NOTIFY", &more, &format!("{fragment}\r\n"));
        assert_eq!(trunk.status(&desk), 200);
        let notify = phone.asked(&desk);
        assert_eq!((notify.method(), notify.header(HeaderName::Event)), (Method::Notify, Some(id.as_str())));
        phone.answer(&mut desk, "200 OK", "", "");
    }
    assert_eq!(news(&desk, PHONE), ["SIP/2.0 180 Ringing", "SIP/2.0 200 OK"]);
    // The subscription is over.
    trunk.send(&mut desk, "NOTIFY", "Event: refer\r\nSubscription-State: active\r\n", "");
    assert_eq!(trunk.status(&desk), 481);
    assert_eq!(desk.requests(TARGET, Method::Invite).len(), 0);
    phone.send(&mut desk, "BYE", "", "");
    assert_eq!(trunk.asked(&desk).method(), Method::Bye);
}

#[test]
fn the_other_end_s_refusal_comes_back() {
    let (mut desk, trunk, mut phone) = talking("pass", ALLOWS_REFER, "");
    phone.send(&mut desk, "REFER", TO, "");
    phone.send(&mut desk, "REFER", TO, "");
    assert_eq!(phone.status(&desk), 491, "one at a time");
    trunk.answer(&mut desk, "603 Decline", "", "");
    assert_eq!(phone.status(&desk), 603);
    phone.send(&mut desk, "REFER", TO, "");
    assert_eq!(trunk.asked(&desk).method(), Method::Refer);
}

/// A peer that does not say that it takes REFER, or does not after all: the node follows it.
#[test]
fn the_node_does_what_the_other_end_cannot() {
    for allows in ["", ALLOWS_REFER] {
        let (mut desk, trunk, mut phone) = talking("pass", allows, "");
        phone.send(&mut desk, "REFER", TO, "");
        if !allows.is_empty() {
            trunk.answer(&mut desk, "405 Method Not Allowed", "", "");
        }
        assert_eq!(desk.responses(PHONE, 202).len(), 1);
        assert_eq!(desk.last(TARGET).method(), Method::Invite);
    }
}

#[test]
fn the_target_is_told_who_referred() {
    let (mut desk, _, mut phone) = talking("node", "", "");
    phone.send(&mut desk, "REFER", &format!("{TO}Referred-By: <sip:999@pbx.inside>;cid=\"1@pbx.inside\"\r\n"), "");
    assert_eq!(desk.last(TARGET).header(HeaderName::ReferredBy), Some("<sip:102@ringfort.local>"), "an account is who it is");
    let (mut desk, _, mut phone) = talking("node", "", "");
    phone.send(&mut desk, "REFER", TO, "");
    assert_eq!(desk.last(TARGET).header(HeaderName::ReferredBy), None);
}

/// RFC 4538: REFER in a dialog of its own that names the call.
#[test]
fn a_refer_outside_the_dialog_that_names_it() {
    for turned in [false, true] {
        let (mut desk, trunk, phone) = talking("node", "", "");
        let (mine, nodes) = (tag(&phone.local), tag(&phone.remote));
        let (local, remote) = if turned { (mine, nodes) } else { (nodes, mine) };
        let named = format!("Target-Dialog: {};local-tag={local};remote-tag={remote}\r\n", phone.call_id);
        let more = format!("{}{TO}{named}Require: tdialog\r\n", contact("102", PHONE));
        desk.request(PHONE, "REFER", "sip:ringfort@192.0.2.10", "102", &more, "");
        let accepted = desk.last_of(PHONE, |m| m.status() == Some(202));
        let notify = desk.last(PHONE);
        assert_eq!(notify.method(), Method::Notify);
        assert_eq!(notify.call_id().unwrap(), accepted.call_id().unwrap(), "NOTIFY belongs to the REFER's own dialog");
        assert_ne!(notify.call_id().unwrap(), phone.call_id);
        let tag_of = |m: &Message| (m.from().unwrap().tag().map(str::to_string), m.to().unwrap().tag().map(str::to_string));
        let (from, to) = tag_of(&accepted);
        assert_eq!(tag_of(&notify), (to, from));
        desk.receive(PHONE, &talk::reply(&notify, "200 OK", "", ""));
        let ok = format!("{}Allow: INVITE\r\n", contact("103", TARGET));
        desk.reply(TARGET, "200 OK", "t2", &ok, &sdp(TARGET, 1, "sendrecv"));
        assert_eq!(trunk.asked(&desk).method(), Method::Invite);
        assert_eq!(news(&desk, PHONE).last().map(String::as_str), Some("SIP/2.0 200 OK"));
        desk.receive(PHONE, &talk::reply(&desk.requests(PHONE, Method::Notify)[1], "200 OK", "", ""));
        assert_eq!(phone.asked(&desk).method(), Method::Bye);
    }
}

#[test]
fn a_refer_outside_a_dialog_is_refused_without_its_name_or_from_others() {
    let (mut desk, _, phone) = talking("node", "", "");
    let named = |tag: &str| format!("Target-Dialog: {};local-tag={tag};remote-tag=t\r\n", phone.call_id);
    let (right, wrong) = (named(&tag(&phone.remote)), named("forged"));
    for (from, user, target, status) in [
        (PHONE, "102", "", 403),
        (PHONE, "102", "Target-Dialog: x\r\n", 400),
        (PHONE, "102", wrong.as_str(), 481),
        (TARGET, "103", right.as_str(), 403),
    ] {
        desk.request(from, "REFER", "sip:ringfort@192.0.2.10", user, &format!("{}{TO}{target}", contact(user, from)), "");
        let refusal = desk.last(from);
        assert_eq!((refusal.status(), refusal.to().unwrap().tag().is_some()), (Some(status), true), "{target}");
    }
}

/// 102 talks to the carrier, calls 103 and refers the carrier to that call while 103 rings.
fn ringing() -> (Desk, End, End, Message) {
    let (mut desk, trunk, mut phone) = talking("node", "", "");
    desk.request(PHONE, "INVITE", "sip:103@ringfort.local", "102", &contact("102", PHONE), &sdp(PHONE, 1, "sendrecv"));
    let invite = desk.last(TARGET);
    desk.reply_to(TARGET, &invite, "180 Ringing", "t2", &contact("103", TARGET), "");
    let early = desk.last_of(PHONE, |m| m.status() == Some(180));
    let field = |name| early.header(name).unwrap_or_default().to_string();
    let (to, from) = (tag(&field(HeaderName::To)), tag(&field(HeaderName::From)));
    let replaces = format!("{}%3Bto-tag%3D{to}%3Bfrom-tag%3D{from}", early.call_id().unwrap());
    phone.send(&mut desk, "REFER", &format!("Refer-To: <sip:103@ringfort.local?Replaces={replaces}>\r\n"), "");
    assert_eq!(desk.responses(PHONE, 202).len(), 1);
    (desk, trunk, phone, invite)
}

fn answer_notifies(desk: &mut Desk) {
    for notify in desk.requests(PHONE, Method::Notify) {
        desk.receive(PHONE, &talk::reply(&notify, "200 OK", "", ""));
    }
}

/// RFC 5589 7.6, as phones do it: transfer while the consultation call rings.
#[test]
fn semi_attended_transfer() {
    let (mut desk, trunk, phone, invite) = ringing();
    assert_eq!(desk.responses(PHONE, 487).len(), 1, "the referrer's part of the consultation call is over");
    assert_eq!(news(&desk, PHONE), ["SIP/2.0 100 Trying", "SIP/2.0 180 Ringing"]);
    assert!(desk.requests(TARGET, Method::Cancel).is_empty());
    desk.reply_to(TARGET, &invite, "200 OK", "t2", &contact("103", TARGET), &sdp(TARGET, 1, "sendrecv"));
    assert_eq!(desk.last_of(TARGET, |m| m.is_request()).method(), Method::Ack);
    assert_eq!(trunk.asked(&desk).method(), Method::Invite);
    answer_notifies(&mut desk);
    assert_eq!(
        (news(&desk, PHONE).last().map(String::as_str), phone.asked(&desk).method()),
        (Some("SIP/2.0 200 OK"), Method::Bye)
    );
    trunk.answer(&mut desk, "200 OK", "", &sdp(TRUNK, 2, "sendrecv"));
    let again = desk.last(TARGET);
    assert_eq!(again.method(), Method::Invite, "the target was offered what the referrer can");
    desk.receive(TARGET, &talk::reply(&again, "200 OK", &contact("103", TARGET), &sdp(TARGET, 2, "sendrecv")));
    phone.answer(&mut desk, "200 OK", "", "");
    desk.pass(Duration::from_secs(2));
    assert_eq!((causes(&desk), desk.status().calls.len()), (vec!["transferred".to_string()], 1));
    let mut trunk = trunk;
    trunk.send(&mut desk, "BYE", "", "");
    assert_eq!(desk.last(TARGET).method(), Method::Bye);
    desk.receive(TARGET, &talk::reply(&desk.last(TARGET), "200 OK", "", ""));
    desk.pass(Duration::from_secs(40));
    assert_eq!((causes(&desk).len(), desk.residue()), (2, [0, 0, 0]));
}

#[test]
fn semi_attended_transfer_whose_target_refuses_leaves_the_call_as_it_was() {
    let (mut desk, mut trunk, phone, invite) = ringing();
    desk.reply_to(TARGET, &invite, "486 Busy Here", "t2", "", "");
    assert_eq!(news(&desk, PHONE).last().map(String::as_str), Some("SIP/2.0 486 Busy Here"));
    trunk.send(&mut desk, "INVITE", "", &sdp(TRUNK, 2, "sendonly"));
    assert_eq!(phone.asked(&desk).method(), Method::Invite);
}

#[test]
fn semi_attended_transfer_whose_referrer_leaves_and_whose_party_leaves() {
    let (mut desk, trunk, mut phone, invite) = ringing();
    phone.send(&mut desk, "BYE", "", "");
    assert_eq!(phone.status(&desk), 200);
    desk.reply_to(TARGET, &invite, "200 OK", "t2", &contact("103", TARGET), &sdp(TARGET, 1, "sendrecv"));
    assert_eq!(trunk.asked(&desk).method(), Method::Invite);
    let (mut desk, mut trunk, phone, _) = ringing();
    trunk.send(&mut desk, "BYE", "", "");
    assert_eq!((desk.last(TARGET).method(), phone.asked(&desk).method()), (Method::Cancel, Method::Bye));
}

#[test]
fn a_passed_refer_has_an_answer_when_the_call_ends_before() {
    let (mut desk, mut trunk, mut phone) = talking("pass", ALLOWS_REFER, "");
    phone.send(&mut desk, "REFER", TO, "");
    assert_eq!(trunk.asked(&desk).method(), Method::Refer);
    trunk.send(&mut desk, "BYE", "", "");
    assert_eq!((phone.status(&desk), phone.answered(&desk).method()), (487, Method::Refer));
}

/// RFC 6665 4.1.2.1: a NOTIFY may come before the answer, and instead of it.
#[test]
fn news_of_a_passed_refer_accept_it() {
    let (mut desk, mut trunk, mut phone) = talking("pass", ALLOWS_REFER, "");
    phone.send(&mut desk, "REFER", TO, "");
    let more = "Event: refer\r\nSubscription-State: terminated;reason=noresource\r\nContent-Type: message/sipfrag\r\n";
    trunk.send(&mut desk, "NOTIFY", more, "SIP/2.0 200 OK\r\n");
    assert_eq!(desk.responses(PHONE, 202).len(), 1);
    assert_eq!(news(&desk, PHONE), ["SIP/2.0 200 OK"]);
}
