//! Transfers, named after RFC 5589: the node handles REFER itself.

use crate::fixture::Desk;
use crate::talk::{self, CONFIG, End, PHONE, TRUNK, body, contact, sdp};
use ringfort_base::Event;
use ringfort_base::event::CallRecord;
use ringfort_call::Input;
use ringfort_media::audio::Signal;
use ringfort_media::plan::{Destination, DiscardReason, PortCounters, RelayCommand, RelayEvent, Source};
use ringfort_sip::message::{HeaderName, Message, Method};
use std::time::Duration;

const TARGET: &str = "203.0.113.9:5060";
const ROOM: &str = "203.0.113.10:5060";

fn records(desk: &Desk) -> Vec<CallRecord> {
    desk.events.iter().filter_map(|e| if let Event::CallEnded(record) = e { Some(record.clone()) } else { None }).collect()
}

/// A carrier's call to 102 (the transferor), with 103 registered as the target. Returns the remaining carrier and the transferor.
fn talking() -> (Desk, End, End) {
    talking_with("")
}

fn talking_with(more: &str) -> (Desk, End, End) {
    let mut desk = Desk::new(&format!("{CONFIG}{more}"));
    assert_eq!(desk.register(PHONE, "102", &contact("102", PHONE)), 200);
    assert_eq!(desk.register(TARGET, "103", &contact("103", TARGET)), 200);
    let (trunk, phone) = talk::call(&mut desk, (TRUNK, "0301", ""), "102", (PHONE, ""));
    (desk, trunk, phone)
}

/// Every NOTIFY that the transferor got is answered; their bodies' first lines.
fn notified(desk: &mut Desk, end: &End, seen: &mut usize) -> Vec<String> {
    let news: Vec<_> = desk.sent[*seen..].to_vec();
    *seen = desk.sent.len();
    let mut lines = Vec::new();
    for (to, message) in news {
        if to.to_string() == end.address && message.is_request() && message.method() == Method::Notify {
            lines.push(format!(
                "{} {}",
                body(&message).trim(),
                message.header(HeaderName::SubscriptionState).unwrap_or_default()
            ));
            desk.receive(end.address, &talk::reply(&message, "200 OK", "", ""));
        }
    }
    lines
}

fn refer(desk: &mut Desk, end: &mut End, to: &str, more: &str) {
    end.send(desk, "REFER", &format!("Refer-To: {to}\r\n{more}"), "");
}

/// RFC 5589 6.1.
#[test]
fn basic_transfer() {
    let (mut desk, trunk, mut phone) = talking();
    let mut seen = desk.sent.len();
    phone.send(&mut desk, "INVITE", "", &sdp(PHONE, 2, "sendonly"));
    trunk.answer(&mut desk, "200 OK", "", &sdp(TRUNK, 2, "recvonly"));
    phone.ack(&mut desk, "");
    refer(&mut desk, &mut phone, "<sip:103@ringfort.local>", "");
    assert_eq!(phone.status(&desk), 202);
    assert_eq!(notified(&mut desk, &phone, &mut seen), ["SIP/2.0 100 Trying active;expires=300"]);
    let invite = desk.last(TARGET);
    assert_eq!(invite.method(), Method::Invite);
    assert!(invite.header(HeaderName::From).is_some_and(|from| from.contains("sip:102@")) && !body(&invite).contains("only"));
    desk.reply(TARGET, "180 Ringing", "t2", &contact("103", TARGET), "");
    assert_eq!(notified(&mut desk, &phone, &mut seen), ["SIP/2.0 180 Ringing active;expires=300"]);
    desk.receive(
        TARGET,
        &talk::reply(&invite, "200 OK", &contact("103", TARGET), &sdp(TARGET, 1, "sendrecv")).replacen(
            ">\r\nCall-ID",
            ">;tag=t2\r\nCall-ID",
            1,
        ),
    );
    let ack = desk.last(TARGET);
    assert_eq!(ack.method(), Method::Ack);
    let rejoin = trunk.asked(&desk);
    assert_eq!(rejoin.method(), Method::Invite);
    assert!(!body(&rejoin).contains("only") && !body(&rejoin).contains("203.0.113"), "{}", body(&rejoin));
    trunk.answer(&mut desk, "200 OK", "", &sdp(TRUNK, 3, "sendrecv"));
    assert_eq!(trunk.asked(&desk).method(), Method::Ack);
    assert_eq!(notified(&mut desk, &phone, &mut seen), ["SIP/2.0 200 OK terminated;reason=noresource"]);
    assert_eq!(phone.asked(&desk).method(), Method::Bye);
    phone.answer(&mut desk, "200 OK", "", "");
    desk.pass(Duration::from_secs(2));
    assert_eq!(records(&desk).iter().map(|r| r.cause.as_str()).collect::<Vec<_>>(), ["transferred"]);
    assert_eq!(desk.status().calls.len(), 1);
    // The joined call ends as any other.
    let mut trunk = trunk;
    trunk.send(&mut desk, "BYE", "", "");
    assert_eq!((trunk.status(&desk), desk.last(TARGET).method()), (200, Method::Bye));
    desk.pass(Duration::from_secs(40));
    assert_eq!(records(&desk).len(), 2);
    assert_eq!(desk.status().calls.len(), 0);
}

/// RFC 5589 6.1, the transferor hangs up as soon as its REFER was accepted.
#[test]
fn transfer_whose_transferor_leaves_at_once() {
    let (mut desk, mut trunk, mut phone) = talking();
    refer(&mut desk, &mut phone, "<sip:103@ringfort.local>", "Refer-Sub: false\r\n");
    assert_eq!((phone.status(&desk), phone.answered(&desk).header(HeaderName::ReferSub)), (202, Some("false")));
    phone.send(&mut desk, "BYE", "", "");
    assert_eq!(phone.status(&desk), 200);
    assert!(desk.sent.iter().all(|(_, m)| m.method() != Method::Notify));
    desk.reply(TARGET, "200 OK", "t2", &contact("103", TARGET), &sdp(TARGET, 1, "sendrecv"));
    assert_eq!(trunk.asked(&desk).method(), Method::Invite);
    trunk.answer(&mut desk, "200 OK", "", &sdp(TRUNK, 2, "sendrecv"));
    // The target takes no UPDATE, so a re-INVITE tells it who is at the other end now.
    let who = desk.last(TARGET);
    assert_eq!((who.method(), who.header(HeaderName::PAssertedIdentity)), (Method::Invite, Some("<sip:0301@ringfort.local>")));
    desk.receive(TARGET, &talk::reply(&who, "200 OK", &contact("103", TARGET), &sdp(TARGET, 2, "sendrecv")));
    desk.pass(Duration::from_secs(2));
    assert_eq!((desk.status().calls.len(), records(&desk).len()), (1, 1));
    trunk.send(&mut desk, "INVITE", "", &sdp(TRUNK, 3, "sendonly"));
    assert!(body(&desk.last(TARGET)).contains("a=sendonly"));
}

/// What the node says of its own to the carrier, whose port was opened first.
fn heard(desk: &Desk) -> Option<Source> {
    let opened = |command: &RelayCommand| if let RelayCommand::Open { port, .. } = command { Some(*port) } else { None };
    let first = desk.relayed.iter().find_map(opened).expect("a port");
    let plan = desk.relayed.iter().rev().find_map(|command| match command {
        RelayCommand::Plan { port, plan } if *port == first => Some(plan.clone()),
        _ => None,
    });
    Some(plan?.audio?.speak?.what)
}

fn ring_back() -> Option<Source> {
    Some(Source::Tone { country: "de".into(), signal: Signal::RingBack })
}

/// The transferor holds and refers, or leaves: while the target rings the remaining party hears that, and not silence or music.
#[test]
fn the_remaining_party_hears_the_target_ring() {
    for leaves in [false, true] {
        let (mut desk, trunk, mut phone) = talking_with("[services]\ntones = \"de\"\n");
        if !leaves {
            phone.send(&mut desk, "INVITE", "", &sdp(PHONE, 2, "sendonly"));
            trunk.answer(&mut desk, "200 OK", "", &sdp(TRUNK, 2, "recvonly"));
            phone.ack(&mut desk, "");
        }
        refer(&mut desk, &mut phone, "<sip:103@ringfort.local>", "Refer-Sub: false\r\n");
        let invite = desk.last(TARGET);
        if leaves {
            phone.send(&mut desk, "BYE", "", "");
        }
        assert_eq!(heard(&desk), None, "nothing rings yet");
        desk.receive(
            TARGET,
            &talk::reply(&invite, "180 Ringing", &contact("103", TARGET), "").replacen(">\r\nCall-ID", ">;tag=t2\r\nCall-ID", 1),
        );
        assert_eq!(heard(&desk), ring_back());
        let told = talk::reply(&invite, "200 OK", &contact("103", TARGET), &sdp(TARGET, 1, "sendrecv"));
        desk.receive(TARGET, &told.replacen(">\r\nCall-ID", ">;tag=t2\r\nCall-ID", 1));
        trunk.answer(&mut desk, "200 OK", "", &sdp(TRUNK, 3, "sendrecv"));
        assert_eq!(heard(&desk), None, "the target is heard");
    }
}

/// The target is busy: the tone ends, and the call goes on as it was.
#[test]
fn the_ring_back_of_a_transfer_that_fails_ends() {
    let (mut desk, trunk, mut phone) = talking_with("[services]\ntones = \"de\"\n");
    phone.send(&mut desk, "INVITE", "", &sdp(PHONE, 2, "sendonly"));
    trunk.answer(&mut desk, "200 OK", "", &sdp(TRUNK, 2, "recvonly"));
    phone.ack(&mut desk, "");
    refer(&mut desk, &mut phone, "<sip:103@ringfort.local>", "");
    desk.reply(TARGET, "180 Ringing", "t2", &contact("103", TARGET), "");
    assert_eq!(heard(&desk), ring_back());
    desk.reply(TARGET, "486 Busy Here", "t2", "", "");
    assert_eq!(heard(&desk), None);
    desk.pass(Duration::from_secs(2));
    assert_eq!(desk.status().calls.len(), 1);
}

/// RFC 5589 6.2: the target is busy, the call goes on.
#[test]
fn transfer_that_fails() {
    let (mut desk, mut trunk, mut phone) = talking();
    let mut seen = desk.sent.len();
    refer(&mut desk, &mut phone, "<sip:103@ringfort.local>", "");
    desk.reply(TARGET, "486 Busy Here", "t2", "", "");
    assert_eq!(
        notified(&mut desk, &phone, &mut seen).last().map(String::as_str),
        Some("SIP/2.0 486 Busy Here terminated;reason=noresource")
    );
    desk.pass(Duration::from_secs(2));
    assert_eq!(desk.status().calls.len(), 1);
    trunk.send(&mut desk, "INVITE", "", &sdp(TRUNK, 2, "sendonly"));
    assert_eq!(phone.asked(&desk).method(), Method::Invite);
}

#[test]
fn a_transfer_goes_only_where_the_referrer_may_call() {
    let (mut desk, mut trunk, _) = talking();
    let mut seen = desk.sent.len();
    refer(&mut desk, &mut trunk, "<sip:555@anywhere.test>", "");
    assert_eq!(trunk.status(&desk), 202);
    assert!(
        notified(&mut desk, &trunk, &mut seen).last().is_some_and(|line| line.contains("404") && line.contains("terminated"))
    );
}

#[test]
fn who_remains_may_hang_up_while_the_target_rings() {
    let (mut desk, mut trunk, mut phone) = talking();
    refer(&mut desk, &mut phone, "<sip:103@ringfort.local>", "");
    desk.reply(TARGET, "180 Ringing", "t2", &contact("103", TARGET), "");
    trunk.send(&mut desk, "BYE", "", "");
    assert_eq!((trunk.status(&desk), desk.last(TARGET).method()), (200, Method::Cancel));
    assert_eq!(phone.asked(&desk).method(), Method::Bye);
    desk.pass(Duration::from_secs(2));
    assert_eq!(desk.status().calls.len(), 0);
}

#[test]
fn the_transferor_leaves_and_the_target_fails() {
    let (mut desk, trunk, mut phone) = talking();
    refer(&mut desk, &mut phone, "<sip:103@ringfort.local>", "");
    phone.send(&mut desk, "BYE", "", "");
    desk.reply(TARGET, "486 Busy Here", "t2", "", "");
    assert_eq!(trunk.asked(&desk).method(), Method::Bye);
    desk.pass(Duration::from_secs(2));
    assert_eq!(desk.status().calls.len(), 0);
}

#[test]
fn refers_that_cannot_be_followed() {
    let (mut desk, _, mut phone) = talking();
    for (to, status) in [("<mailto:a@b>", 416), ("<sip:103@h;method=BYE>", 501), ("<sip:103@h?Replaces=x>", 400), ("sip:", 400)] {
        refer(&mut desk, &mut phone, to, "");
        assert_eq!(phone.status(&desk), status, "{to}");
    }
    refer(&mut desk, &mut phone, "<sip:103@h>", "Refer-To: <sip:104@h>\r\n");
    assert_eq!(phone.status(&desk), 400);
    refer(&mut desk, &mut phone, "<sip:103@h>", "");
    refer(&mut desk, &mut phone, "<sip:103@h>", "");
    assert_eq!(phone.status(&desk), 491);
    desk.request(PHONE, "REFER", "sip:103@ringfort.local", "102", "Refer-To: <sip:103@h>\r\n", "");
    assert_eq!(desk.answer(PHONE), 403);
}

/// RFC 5589 7: the transferor consults the target, and then joins both calls.
#[test]
fn attended_transfer() {
    let (mut desk, trunk, mut phone) = talking();
    let (consult, target) = talk::call(&mut desk, (PHONE, "102", ""), "103", (TARGET, ""));
    let mut seen = desk.sent.len();
    let tag = |field: &str| field.split(";tag=").nth(1).unwrap_or_default().to_string();
    let replaces = format!("{}%3Bto-tag%3D{}%3Bfrom-tag%3D{}", consult.call_id, tag(&consult.remote), tag(&consult.local));
    refer(&mut desk, &mut phone, &format!("<sip:103@ringfort.local?Replaces={replaces}>"), "");
    assert_eq!(phone.status(&desk), 202);
    assert_eq!(consult.asked(&desk).method(), Method::Bye);
    consult.answer(&mut desk, "200 OK", "", "");
    let plans = desk.relayed.iter().rev().filter_map(|c| if let RelayCommand::Plan { plan, .. } = c { Some(plan) } else { None });
    let last = plans.map(|plan| plan.destination).next();
    assert_eq!(last, Some(Destination::Discard(DiscardReason::NotConnected)), "the referrer is not heard until it hangs up");
    let lines = notified(&mut desk, &phone, &mut seen);
    assert_eq!(lines.last().map(String::as_str), Some("SIP/2.0 200 OK terminated;reason=noresource"));
    assert_eq!(phone.asked(&desk).method(), Method::Bye);
    assert_eq!(trunk.asked(&desk).method(), Method::Invite);
    trunk.answer(&mut desk, "200 OK", "", &sdp(TRUNK, 2, "sendrecv"));
    assert_eq!((trunk.asked(&desk).method(), target.asked(&desk).method()), (Method::Ack, Method::Invite));
    target.answer(&mut desk, "200 OK", "", &sdp(TARGET, 2, "sendrecv"));
    assert_eq!(target.asked(&desk).method(), Method::Ack);
    desk.pass(Duration::from_secs(2));
    assert_eq!(records(&desk).iter().map(|r| r.cause.as_str()).collect::<Vec<_>>(), ["transferred"]);
    let mut target = target;
    target.send(&mut desk, "BYE", "", "");
    assert_eq!(trunk.asked(&desk).method(), Method::Bye);
    desk.pass(Duration::from_secs(40));
    assert_eq!(records(&desk).len(), 2);
}

/// Each call counts what was heard in it: a leg brings its port along, and with it the port's counters.
#[test]
fn packets_are_counted_in_the_call_that_heard_them() {
    let (mut desk, trunk, mut phone) = talking();
    let ports: Vec<_> = desk
        .relayed
        .iter()
        .filter_map(|command| if let RelayCommand::Open { port, .. } = command { Some(*port) } else { None })
        .collect();
    let count = |desk: &mut Desk, port, rtp_in, last| {
        let counters = Box::new(PortCounters { rtp_in, ..PortCounters::default() });
        desk.input(Input::Relay(RelayEvent::Counters { port, counters, last }));
    };
    count(&mut desk, ports[0], 100, false);
    refer(&mut desk, &mut phone, "<sip:103@ringfort.local>", "Refer-Sub: false\r\n");
    desk.reply(TARGET, "200 OK", "t2", &contact("103", TARGET), &sdp(TARGET, 1, "sendrecv"));
    trunk.answer(&mut desk, "200 OK", "", &sdp(TRUNK, 2, "sendrecv"));
    let mut trunk = trunk;
    trunk.send(&mut desk, "BYE", "", "");
    count(&mut desk, ports[0], 150, true);
    desk.pass(Duration::from_secs(10));
    assert_eq!(records(&desk).iter().map(|record| record.packets[0]).collect::<Vec<_>>(), [100, 50]);
}

#[test]
fn a_dialog_of_somebody_else_is_not_taken() {
    let (mut desk, mut trunk, _) = talking();
    assert_eq!(desk.register(ROOM, "101", &contact("101", ROOM)), 200);
    let (other, _) = talk::call(&mut desk, (ROOM, "101", ""), "103", (TARGET, ""));
    let mut seen = desk.sent.len();
    let tag = |field: &str| field.split(";tag=").nth(1).unwrap_or_default().to_string();
    for (to, from, status) in [(tag(&other.remote), tag(&other.local), "603"), (tag(&other.remote), "forged".into(), "481")] {
        let replaces = format!("{}%3Bto-tag%3D{to}%3Bfrom-tag%3D{from}", other.call_id);
        refer(&mut desk, &mut trunk, &format!("<sip:103@ringfort.local?Replaces={replaces}>"), "");
        assert!(notified(&mut desk, &trunk, &mut seen).last().is_some_and(|line| line.contains(status)), "{status}");
    }
    assert_eq!(desk.status().calls.len(), 2);
}

fn replaces(end: &End) -> String {
    let tag = |field: &str| field.split(";tag=").nth(1).unwrap_or_default().to_string();
    format!("{}%3Bto-tag%3D{}%3Bfrom-tag%3D{}", end.call_id, tag(&end.remote), tag(&end.local))
}

/// Between the transfer and the release of who asked for it: each leg is written down once.
#[test]
fn a_restart_amid_a_transfer_keeps_the_joined_call() {
    let (mut desk, trunk, mut phone) = talking();
    let (consult, target) = talk::call(&mut desk, (PHONE, "102", ""), "103", (TARGET, ""));
    refer(&mut desk, &mut phone, &format!("<sip:103@ringfort.local?Replaces={}>", replaces(&consult)), "");
    let mut next = Desk::restarted(CONFIG, desk.left_behind());
    next.pass(Duration::from_secs(2));
    assert_eq!(next.status().calls.len(), 1);
    assert_eq!(phone.asked(&next).method(), Method::Bye, "its part is done");
    let (mut target, seen) = (target, next.sent.len());
    target.send(&mut next, "BYE", "", "");
    assert!(next.sent[seen..].iter().any(|(_, m)| m.is_request() && m.method() == Method::Bye));
    assert_eq!(trunk.asked(&next).method(), Method::Bye);
}

/// A phone called itself through a proxy that keeps dialogs as they are, and transfers one of its calls to the other: nobody is left.
#[test]
fn a_ring_of_the_node_with_itself_ends() {
    let mut desk = Desk::new(CONFIG);
    assert_eq!(desk.register(PHONE, "102", &contact("102", PHONE)), 200);
    let own = "Contact: <sip:ringfort@192.0.2.10>\r\n";
    let of = |m: &Message, name| m.header(name).expect("a field").to_string();
    desk.request(PHONE, "INVITE", "sip:0301@ringfort.local", "102", &contact("102", PHONE), &sdp(PHONE, 1, "sendrecv"));
    let out = desk.last(TRUNK);
    let back = |method: &str, to: &str, body: &str| {
        let kind = if body.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
        format!(
            "{method} sip:102@192.0.2.10 SIP/2.0\r\nVia: SIP/2.0/UDP {TRUNK};branch=z9hG4bKback{method}\r\nFrom: {}\r\nTo: {to}\r\n\
             Call-ID: {}\r\nCSeq: 1 {method}\r\nMax-Forwards: 60\r\n{own}{kind}Content-Length: {}\r\n\r\n{body}",
            of(&out, HeaderName::From),
            of(&out, HeaderName::CallId),
            body.len()
        )
    };
    desk.receive(TRUNK, &back("INVITE", &of(&out, HeaderName::To), &body(&out)));
    let inward = desk.last(PHONE);
    desk.reply_to(PHONE, &inward, "200 OK", "p2", &contact("102", PHONE), &sdp(PHONE, 1, "sendrecv"));
    let accepted = desk.last_of(TRUNK, |m| m.status() == Some(200));
    let tag = of(&accepted, HeaderName::To).split(";tag=").nth(1).unwrap_or_default().to_string();
    desk.reply_to(TRUNK, &out, "200 OK", &tag, own, &body(&accepted));
    desk.receive(TRUNK, &back("ACK", &of(&accepted, HeaderName::To), ""));
    let ok = desk.last_of(PHONE, |m| m.status() == Some(200) && m.cseq().is_ok_and(|(_, method)| method == Method::Invite));
    let end = |m: &Message, local: String, remote: String| End {
        address: PHONE,
        call_id: of(m, HeaderName::CallId),
        local,
        remote,
        cseq: m.cseq().expect("one").0,
    };
    let mut one = end(&ok, of(&ok, HeaderName::From), of(&ok, HeaderName::To));
    one.ack(&mut desk, "");
    let mut two = end(&inward, format!("{};tag=p2", of(&inward, HeaderName::To)), of(&inward, HeaderName::From));
    assert_eq!(desk.status().calls.len(), 2);
    refer(&mut desk, &mut two, &format!("<sip:0301@ringfort.local?Replaces={}>", replaces(&one)), "Refer-Sub: false\r\n");
    assert_eq!(two.status(&desk), 202);
    desk.pass(Duration::from_secs(2));
    assert_eq!(records(&desk).iter().map(|r| r.cause.as_str()).collect::<Vec<_>>(), ["transferred", "loop"]);
    assert_eq!(desk.status().calls.len(), 0);
}
