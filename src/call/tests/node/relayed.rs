//! INFO and MESSAGE inside a dialog; methods that nobody takes.

use crate::fixture::Desk;
use crate::talk::{self, CONFIG, End, PHONE, TRUNK, body};
use ringfort_sip::message::{HeaderName, Message, Method};
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

/// Candidates that come late are the sender's leg's own: they are taken, whether their package is named or not, and never go on.
#[test]
fn late_candidates_stay_on_their_leg() {
    let (mut desk, mut phone, trunk) = talk::connected(CONFIG, "", "");
    let asked = trunk.asked(&desk);
    let fragment = "a=ice-ufrag:qW3z\r\na=ice-pwd:H4xVt0dQ2mYk7nPzL1sBcR9f\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\n\
        a=candidate:1 1 udp 2122260223 192.168.77.31 51432 typ host\r\na=end-of-candidates\r\n";
    let kind = "Content-Type: application/trickle-ice-sdpfrag\r\n";
    for head in [format!("{kind}Info-Package: trickle-ice\r\nContent-Disposition: Info-Package\r\n"), kind.to_string()] {
        phone.send(&mut desk, "INFO", &head, fragment);
        assert_eq!(phone.status(&desk), 200);
    }
    assert_eq!(trunk.asked(&desk), asked, "nothing went on");
}

/// A browser is told that its candidates may come late; a phone is not.
#[test]
fn a_browser_may_trickle() {
    let mut desk = Desk::new(CONFIG);
    desk.connect_by(ringfort_base::Transport::Wss, PHONE, 7);
    let offer = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\na=ice-options:trickle\r\n\
        m=audio 9 UDP/TLS/RTP/SAVPF 0 8\r\nc=IN IP4 0.0.0.0\r\na=ice-ufrag:qW3z\r\na=ice-pwd:H4xVt0dQ2mYk7nPzL1sBcR9f\r\n\
        a=fingerprint:sha-256 4A:AD:B9:B1:3F:82:18:3B:54:02:12:DF:3E:5D:49:6B:19:E5:7C:AB:3B:4B:65:2E:7D:46:3F:54:42:CD:54:F1\r\n\
        a=setup:actpass\r\na=mid:0\r\na=rtcp-mux\r\n";
    let contact = format!("Contact: <sip:101@{PHONE};transport=ws>\r\n");
    assert_eq!(desk.register(PHONE, "101", &contact), 200);
    desk.request(PHONE, "INVITE", "sip:*43@ringfort.local", "101", &contact, offer);
    let answer = desk.last(PHONE);
    assert_eq!((answer.status(), answer.header(HeaderName::RecvInfo)), (Some(200), Some("trickle-ice")));
    let text = String::from_utf8_lossy(answer.octets()).into_owned();
    assert!(text.contains("Supported: trickle-ice\r\n") && text.contains("a=ice-options:trickle\r\n"), "{text}");
    let (desk, phone, _) = talk::connected(CONFIG, "", "");
    assert_eq!(phone.answered(&desk).header(HeaderName::RecvInfo), None);
}

#[test]
fn what_cannot_pass_is_refused() {
    let (mut desk, mut phone, trunk) = talk::connected(CONFIG, "", "");
    phone.send(&mut desk, "INFO", &format!("{DTMF}Info-Package: foo\r\n"), FIVE);
    assert_eq!((phone.status(&desk), phone.answered(&desk).header(HeaderName::RecvInfo)), (469, Some("trickle-ice")));
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

/// A digit for an announcement that plays before the answer, and one from there (RFC 6086 4.2.1).
#[test]
fn digits_pass_before_the_answer() {
    let phone_contact = talk::contact("101", PHONE);
    let mut desk = Desk::new(CONFIG);
    assert_eq!(desk.register(PHONE, "101", &phone_contact), 200);
    desk.request(PHONE, "INVITE", "sip:0123@ringfort.local", "101", &phone_contact, &talk::sdp(PHONE, 1, "sendrecv"));
    let invite = desk.last(TRUNK);
    let info = |desk: &mut Desk, founded: &Message, cseq: u32| desk.inside(PHONE, "INFO", founded, cseq, "", "");
    let gw = talk::contact("gw", TRUNK);
    desk.reply_to(TRUNK, &invite, "183 Session Progress", "t", &gw, &talk::sdp(TRUNK, 1, "sendrecv"));
    let early = desk.last(PHONE);
    info(&mut desk, &early, 50);
    let asked = desk.last(TRUNK);
    assert_eq!((asked.method(), asked.to().expect("one").tag()), (Method::Info, Some("t")));
    desk.receive(TRUNK, &talk::reply(&asked, "200 OK", "", ""));
    assert_eq!((desk.answer(PHONE), desk.last(PHONE).method()), (200, Method::Info));
    // A peer that has forgotten the dialog says so; the INVITE's answer decides what becomes of the call.
    info(&mut desk, &early, 51);
    let asked = desk.last(TRUNK);
    desk.receive(TRUNK, &talk::reply(&asked, "481 Call/Transaction Does Not Exist", "", ""));
    assert_eq!((desk.answer(PHONE), desk.status().calls.len()), (481, 1));
    // The other way.
    let field = |name| invite.header(name).expect("a field").to_string();
    let mut trunk = End {
        address: TRUNK,
        call_id: field(HeaderName::CallId),
        local: format!("{};tag=t", field(HeaderName::To)),
        remote: field(HeaderName::From),
        cseq: 7,
    };
    trunk.send(&mut desk, "INFO", DTMF, FIVE);
    let asked = desk.last(PHONE);
    assert_eq!((asked.method(), body(&asked)), (Method::Info, FIVE.to_string()));
    assert_eq!(asked.from().expect("one").tag(), early.to().expect("one").tag());
    desk.receive(PHONE, &talk::reply(&asked, "200 OK", "", ""));
    assert_eq!(trunk.status(&desk), 200);
    desk.reply_to(TRUNK, &invite, "200 OK", "t", &gw, &talk::sdp(TRUNK, 1, "sendrecv"));
    assert_eq!(desk.status().calls[0].state, "connected");
    let mut phone = End {
        address: PHONE,
        call_id: early.call_id().expect("one").to_string(),
        local: early.header(HeaderName::From).expect("one").to_string(),
        remote: early.header(HeaderName::To).expect("one").to_string(),
        cseq: 60,
    };
    phone.send(&mut desk, "BYE", "", "");
    assert_eq!((phone.status(&desk), desk.last(TRUNK).method()), (200, Method::Bye));
    let numbers: Vec<u32> = desk
        .sent
        .iter()
        .filter(|(to, m)| to.to_string() == TRUNK && m.is_request() && m.method() != Method::Ack)
        .map(|(_, m)| m.cseq().expect("one").0)
        .collect();
    assert!(numbers.is_sorted(), "{numbers:?}");
}

#[test]
fn before_anybody_is_there_a_digit_is_heard_by_nobody() {
    let mut desk = Desk::new(CONFIG);
    assert_eq!(desk.register(PHONE, "101", &talk::contact("101", PHONE)), 200);
    for (phone, at) in [("203.0.113.6:5060", "102"), ("203.0.113.7:5060", "102")] {
        assert_eq!(desk.register(phone, at, &talk::contact(at, phone)), 200);
    }
    let sdp = talk::sdp(PHONE, 1, "sendrecv");
    desk.request(PHONE, "INVITE", "sip:102@ringfort.local", "101", &talk::contact("101", PHONE), &sdp);
    for phone in ["203.0.113.6:5060", "203.0.113.7:5060"] {
        desk.reply(phone, "180 Ringing", "t", &talk::contact("102", phone), "");
    }
    let early = desk.last(PHONE);
    desk.inside(PHONE, "INFO", &early, 50, "", "");
    assert_eq!(desk.answer(PHONE), 480, "two ring, and neither speaks");
}
