//! INFO and MESSAGE inside a dialog; methods that nobody takes.

use crate::talk::{self, CONFIG, body};
use ringfort_sip::message::{HeaderName, Method};
use std::time::Duration;

const DTMF: &str = "Content-Type: application/dtmf-relay\r\n";
const FIVE: &str = "Signal=5\r\nDuration=160\r\n";

#[test]
fn info_passes_with_its_body_and_its_answer_comes_back() {
    let (mut desk, mut phone, trunk) = talk::connected(CONFIG, "", "");
    phone.send(&mut desk, "INFO", &format!("{DTMF}X-Inside: pbx.inside\r\n"), FIVE);
    let info = trunk.asked(&desk);
    assert_eq!((info.method(), body(&info).as_str()), (Method::Info, FIVE));
    assert_eq!(info.header(HeaderName::ContentType), Some("application/dtmf-relay"));
    let text = String::from_utf8_lossy(info.octets()).into_owned();
    assert!(!text.contains("203.0.113.5") && !text.contains("inside"), "{text}");
    trunk.answer(&mut desk, "200 OK", "", "");
    assert_eq!((phone.status(&desk), phone.answered(&desk).method()), (200, Method::Info));
}

#[test]
fn message_passes_the_other_way_too() {
    let (mut desk, phone, mut trunk) = talk::connected(CONFIG, "", "");
    trunk.send(&mut desk, "MESSAGE", "Content-Type: text/plain\r\n", "hello");
    assert_eq!((phone.asked(&desk).method(), body(&phone.asked(&desk))), (Method::Message, "hello".into()));
    phone.answer(&mut desk, "415 Unsupported Media Type", "Accept: application/sdp\r\n", "");
    let refusal = trunk.answered(&desk);
    assert_eq!((refusal.status(), refusal.header(HeaderName::Accept)), (Some(415), Some("application/sdp")));
    assert_eq!(desk.status().calls.len(), 1);
}

#[test]
fn what_cannot_pass_is_refused() {
    let (mut desk, mut phone, trunk) = talk::connected(CONFIG, "", "");
    phone.send(&mut desk, "INFO", &format!("{DTMF}Info-Package: foo\r\n"), FIVE);
    assert_eq!((phone.status(&desk), phone.answered(&desk).header(HeaderName::RecvInfo)), (469, Some("")));
    phone.send(&mut desk, "INFO", DTMF, &"x".repeat(9_000));
    assert_eq!(phone.status(&desk), 413);
    for _ in 0..17 {
        phone.send(&mut desk, "INFO", DTMF, FIVE);
    }
    assert_eq!((phone.status(&desk), phone.answered(&desk).header(HeaderName::RetryAfter)), (500, Some("1")));
    assert_eq!(trunk.asked(&desk).method(), Method::Info);
    phone.send(&mut desk, "PUBLISH", "", "");
    let refusal = phone.answered(&desk);
    assert!(refusal.status() == Some(405) && refusal.header(HeaderName::Allow).is_some_and(|a| a.contains("INFO")));
    phone.send(&mut desk, "SUBSCRIBE", "Event: refer\r\n", "");
    let refusal = phone.answered(&desk);
    assert!(refusal.status() == Some(489) && refusal.header(HeaderName::AllowEvents).is_some());
    phone.send(&mut desk, "OPTIONS", "", "");
    assert!(phone.status(&desk) == 200 && phone.answered(&desk).header(HeaderName::Supported).is_some());
}

#[test]
fn silence_is_told_and_does_not_end_the_call_but_481_does() {
    let (mut desk, mut phone, trunk) = talk::connected(CONFIG, "", "");
    phone.send(&mut desk, "INFO", DTMF, FIVE);
    desk.pass(Duration::from_secs(33));
    assert_eq!((phone.status(&desk), desk.status().calls.len()), (408, 1));
    phone.send(&mut desk, "INFO", DTMF, FIVE);
    trunk.answer(&mut desk, "481 Call/Transaction Does Not Exist", "", "");
    assert_eq!(phone.asked(&desk).method(), Method::Bye);
}

/// RFC 3261 15.1.2: the BYE of the other end overtakes its answer.
#[test]
fn who_waits_when_the_call_ends_has_an_answer() {
    let (mut desk, mut phone, mut trunk) = talk::connected(CONFIG, "", "");
    phone.send(&mut desk, "INFO", DTMF, FIVE);
    assert_eq!(trunk.asked(&desk).method(), Method::Info);
    trunk.send(&mut desk, "BYE", "", "");
    assert_eq!((phone.status(&desk), phone.answered(&desk).method()), (487, Method::Info));
    assert_eq!(phone.asked(&desk).method(), Method::Bye);
    phone.answer(&mut desk, "200 OK", "", "");
    desk.pass(Duration::from_secs(40));
    assert_eq!(desk.residue(), [0, 0, 0]);
}
