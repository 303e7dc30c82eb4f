//! Session timers (RFC 4028) in both roles, on each leg by itself.

use crate::fixture::Desk;
use crate::talk::{self, ALLOWS_UPDATE, CONFIG, End, PHONE, TRUNK, body, sdp};
use ringfort_base::Event;
use ringfort_sip::message::{HeaderName, Method};
use std::time::Duration;

const TIMER: &str = "Supported: timer\r\n";

fn seconds(s: u64) -> Duration {
    Duration::from_secs(s)
}

fn causes(desk: &Desk) -> Vec<String> {
    desk.events.iter().filter_map(|e| if let Event::CallEnded(r) = e { Some(r.cause.clone()) } else { None }).collect()
}

/// Answers whatever the node asks the end, as long as time passes.
fn live(desk: &mut Desk, ends: &[&End], time: Duration) -> usize {
    let (mut seen, mut answered, step) = (desk.sent.len(), 0, seconds(10));
    for _ in 0..time.as_secs() / step.as_secs() {
        desk.pass(step);
        let arrived = desk.sent[seen..].to_vec();
        for (to, message) in &arrived {
            let end = ends.iter().find(|end| end.address == to.to_string() && message.call_id().unwrap() == end.call_id);
            let more =
                message.header(HeaderName::SessionExpires).map(|se| format!("Session-Expires: {se}\r\n")).unwrap_or_default();
            if let (Some(end), true) = (end, message.is_request() && message.method() != Method::Ack) {
                let body = if message.method() == Method::Invite { sdp(end.address, 1, "sendrecv") } else { String::new() };
                desk.receive(end.address, &talk::reply(message, "200 OK", &more, &body));
                answered += 1;
            }
        }
        seen = desk.sent.len();
    }
    answered
}

#[test]
fn the_node_asks_and_refreshes_by_update() {
    let granted = format!("{ALLOWS_UPDATE}Session-Expires: 600;refresher=uac\r\nRequire: timer\r\n");
    let (mut desk, _, trunk) = talk::connected(CONFIG, TIMER, &granted);
    let invite = desk.last_of(TRUNK, |m| m.method() == Method::Invite && m.is_request());
    assert_eq!((invite.header(HeaderName::SessionExpires), invite.header(HeaderName::MinSe)), (Some("1800"), None));
    desk.pass(seconds(299));
    assert_eq!(trunk.asked(&desk).method(), Method::Ack);
    desk.pass(seconds(1));
    let update = trunk.asked(&desk);
    assert_eq!((update.method(), update.body().len()), (Method::Update, 0));
    assert_eq!(update.header(HeaderName::SessionExpires), Some("600;refresher=uac"));
    trunk.answer(&mut desk, "200 OK", "Session-Expires: 600;refresher=uas\r\n", "");
    // The peer has taken the refreshing over, and does none.
    desk.pass(seconds(567));
    assert_eq!(trunk.asked(&desk).method(), Method::Update);
    desk.pass(seconds(2));
    assert_eq!(trunk.asked(&desk).method(), Method::Bye);
    assert_eq!(causes(&desk), ["session-expired"]);
}

#[test]
fn without_update_the_same_description_is_sent_again_and_stays_on_its_leg() {
    let (mut desk, phone, trunk) = talk::connected(CONFIG, "", "Session-Expires: 600;refresher=uac\r\n");
    let before = body(&trunk.asked(&desk));
    assert_eq!(before, "", "that is the ACK");
    let offer = body(&desk.last_of(TRUNK, |m| m.method() == Method::Invite && m.is_request()));
    desk.pass(seconds(300));
    let refresh = trunk.asked(&desk);
    let origin = |text: &str| text.lines().find(|l| l.starts_with("o=")).map(str::to_string);
    assert_eq!((refresh.method(), origin(&body(&refresh))), (Method::Invite, origin(&offer)));
    trunk.answer(&mut desk, "200 OK", "Session-Expires: 600;refresher=uac\r\n", &sdp(TRUNK, 1, "sendrecv"));
    assert_eq!(trunk.asked(&desk).method(), Method::Ack);
    assert!(desk.sent.iter().all(|(to, m)| to.to_string() != phone.address || m.method() != Method::Invite || !m.is_request()));
}

#[test]
fn who_asks_may_refresh_itself() {
    let asked = format!("{TIMER}Session-Expires: 300;refresher=uac\r\n");
    let (mut desk, mut phone, _) = talk::connected(CONFIG, &asked, "Session-Expires: 9000;refresher=uas\r\n");
    let ok = phone.answered(&desk);
    assert_eq!(
        (ok.header(HeaderName::SessionExpires), ok.header(HeaderName::Require)),
        (Some("300;refresher=uac"), Some("timer"))
    );
    for _ in 0..10 {
        desk.pass(seconds(150));
        phone.send(&mut desk, "UPDATE", &asked, "");
        assert_eq!(phone.status(&desk), 200);
    }
    assert_eq!(desk.status().calls.len(), 1);
    desk.pass(seconds(300 - 32));
    assert_eq!(phone.asked(&desk).method(), Method::Bye);
    desk.pass(seconds(2));
    assert_eq!(causes(&desk), ["session-expired"]);
}

#[test]
fn who_does_not_know_timers_is_refreshed_for() {
    let (desk, phone, _) = talk::connected(CONFIG, "Session-Expires: 300\r\n", "");
    let ok = phone.answered(&desk);
    assert_eq!((ok.header(HeaderName::SessionExpires), ok.header(HeaderName::Require)), (Some("300;refresher=uas"), None));
}

#[test]
fn a_session_that_is_too_short_is_refused() {
    let mut desk = Desk::new(CONFIG);
    desk.register(PHONE, "101", &talk::contact("101", PHONE));
    let more = format!("{}{TIMER}Session-Expires: 30\r\n", talk::contact("101", PHONE));
    desk.request(PHONE, "INVITE", "sip:0123@ringfort.local", "101", &more, &sdp(PHONE, 1, "sendrecv"));
    assert_eq!((desk.answer(PHONE), desk.last(PHONE).header(HeaderName::MinSe)), (422, Some("90")));
    let (mut desk, mut phone, trunk) = talk::connected(CONFIG, "", "");
    phone.send(&mut desk, "INVITE", "Session-Expires: 30\r\n", &sdp(PHONE, 2, "sendonly"));
    assert_eq!((phone.status(&desk), trunk.asked(&desk).method()), (422, Method::Ack));
}

/// RFC 4028 7.3, for a refresh.
#[test]
fn a_422_is_followed_by_a_longer_session() {
    let granted = format!("{ALLOWS_UPDATE}Session-Expires: 600;refresher=uac\r\n");
    let (mut desk, _, trunk) = talk::connected(CONFIG, "", &granted);
    desk.pass(seconds(300));
    trunk.answer(&mut desk, "422 Session Interval Too Small", "Min-SE: 900\r\n", "");
    let again = trunk.asked(&desk);
    assert_eq!(again.header(HeaderName::SessionExpires), Some("900;refresher=uac"));
    assert_eq!(again.header(HeaderName::MinSe), Some("900"));
}

/// RFC 4028 10: only silence, 408 and 481 end the session at once.
#[test]
fn a_refused_refresh_is_tried_again_and_a_peer_that_is_gone_ends_the_call() {
    let granted = format!("{ALLOWS_UPDATE}Session-Expires: 600;refresher=uac\r\n");
    let (mut desk, _, trunk) = talk::connected(CONFIG, "", &granted);
    desk.pass(seconds(300));
    let first = trunk.asked(&desk).cseq().unwrap();
    trunk.answer(&mut desk, "500 Server Internal Error", "", "");
    desk.pass(seconds(5));
    assert!(trunk.asked(&desk).cseq().unwrap() > first);
    trunk.answer(&mut desk, "481 Call/Transaction Does Not Exist", "", "");
    desk.pass(seconds(2));
    assert_eq!(causes(&desk), ["peer-gone"]);
    let (mut desk, ..) = talk::connected(CONFIG, "", &granted);
    desk.pass(seconds(300 + 33));
    assert_eq!(causes(&desk), ["peer-gone"]);
}

/// A whole day: both legs are refreshed, nobody is asked by OPTIONS, nothing piles up.
#[test]
fn a_call_of_24_hours() {
    let (caller, callee) = (format!("{TIMER}{ALLOWS_UPDATE}"), "Session-Expires: 1800;refresher=uac\r\n");
    let (mut desk, phone, trunk) = talk::connected(CONFIG, &caller, callee);
    let answered = live(&mut desk, &[&phone, &trunk], seconds(24 * 3600));
    assert_eq!(desk.status().calls.len(), 1);
    assert!((180..=200).contains(&answered), "{answered}");
    assert!(desk.sent.iter().all(|(_, m)| m.method() != Method::Options));
}

#[test]
fn sessions_survive_a_restart() {
    let granted = format!("{ALLOWS_UPDATE}Session-Expires: 600;refresher=uac\r\n");
    let (desk, _, trunk) = talk::connected(CONFIG, TIMER, &granted);
    let mut next = Desk::restarted(CONFIG, desk.left_behind());
    next.pass(seconds(300));
    let update = trunk.asked(&next);
    assert_eq!((update.method(), update.header(HeaderName::SessionExpires)), (Method::Update, Some("600;refresher=uac")));
    next.pass(seconds(33));
    assert_eq!(causes(&next), ["peer-gone"]);
}

#[test]
fn zero_asks_for_none_and_takes_what_is_asked() {
    let config = format!("{CONFIG}[sip]\nsession_expires_s = 0\n");
    let (desk, phone, _) = talk::connected(&config, TIMER, "");
    let invite = desk.last_of(TRUNK, |m| m.method() == Method::Invite && m.is_request());
    assert_eq!(invite.header(HeaderName::SessionExpires), None);
    assert_eq!(phone.answered(&desk).header(HeaderName::SessionExpires), None);
    let (desk, phone, _) = talk::connected(&config, &format!("{TIMER}Session-Expires: 400;refresher=uas\r\n"), "");
    assert_eq!(phone.answered(&desk).header(HeaderName::SessionExpires), Some("400;refresher=uas"));
}

/// RFC 4028 7.3: the node asks once more, with what the target wants, and goes by what it then grants.
#[test]
fn a_target_that_wants_longer_sessions_is_asked_once_more() {
    let mut desk = Desk::new(CONFIG);
    desk.register(PHONE, "101", &talk::contact("101", PHONE));
    desk.request(PHONE, "INVITE", "sip:0123@ringfort.local", "101", &talk::contact("101", PHONE), &sdp(PHONE, 1, "sendrecv"));
    let first = desk.last(TRUNK);
    desk.reply(TRUNK, "422 Session Interval Too Small", "a", "Min-SE: 3600\r\n", "");
    let second = desk.last(TRUNK);
    let field = |m: &ringfort_sip::message::Message, name| m.header(name).map(str::to_string);
    assert_eq!((second.method(), second.cseq()), (Method::Invite, Ok((2, Method::Invite))));
    assert_eq!(field(&second, HeaderName::SessionExpires).as_deref(), Some("3600"));
    assert_eq!(field(&second, HeaderName::MinSe).as_deref(), Some("3600"));
    for name in [HeaderName::CallId, HeaderName::From, HeaderName::To, HeaderName::Contact] {
        assert_eq!(field(&first, name), field(&second, name));
    }
    assert_ne!(field(&first, HeaderName::Via), field(&second, HeaderName::Via));
    assert_eq!(desk.requests(TRUNK, Method::Ack).len(), 1, "the 422 is acknowledged");
    let granted = format!("{}Session-Expires: 3600;refresher=uac\r\n", talk::contact("gw", TRUNK));
    desk.reply(TRUNK, "200 OK", "t", &granted, &sdp(TRUNK, 1, "sendrecv"));
    assert_eq!(desk.answer(PHONE), 200);
    assert_eq!(desk.last(TRUNK).cseq(), Ok((2, Method::Ack)));
    let ok = desk.last(PHONE);
    desk.inside(PHONE, "ACK", &ok, ok.cseq().expect("sound").0, "", "");
    let end = |address, message: &ringfort_sip::message::Message| {
        let (local, remote) = (String::new(), String::new());
        End { address, call_id: message.call_id().expect("one").to_string(), local, remote, cseq: 0 }
    };
    live(&mut desk, &[&end(PHONE, &ok), &end(TRUNK, &second)], seconds(1_810));
    assert!(desk.requests(TRUNK, Method::Invite).len() > 2, "refreshed at half of what was granted");
}

/// What a second 422, or one that asks for nothing new, means is the node's affair: the caller has a session of its own.
#[test]
fn a_second_422_is_the_target_s_failure() {
    let mut desk = Desk::new(CONFIG);
    desk.register(PHONE, "101", &talk::contact("101", PHONE));
    let dial = |desk: &mut Desk| {
        let (more, body) = (talk::contact("101", PHONE), sdp(PHONE, 1, "sendrecv"));
        desk.request(PHONE, "INVITE", "sip:0123@ringfort.local", "101", &more, &body);
    };
    dial(&mut desk);
    desk.reply(TRUNK, "422 Session Interval Too Small", "a", "Min-SE: 3600\r\n", "");
    desk.reply(TRUNK, "422 Session Interval Too Small", "a", "Min-SE: 7200\r\n", "");
    assert_eq!((desk.answer(PHONE), desk.requests(TRUNK, Method::Invite).len()), (500, 2));
    dial(&mut desk);
    desk.reply(TRUNK, "422 Session Interval Too Small", "a", "", "");
    assert_eq!((desk.answer(PHONE), desk.requests(TRUNK, Method::Invite).len()), (500, 3));
    desk.pass(seconds(40));
    assert_eq!(desk.residue(), [0, 0, 0]);
}
