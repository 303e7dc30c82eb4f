//! Calls through the node, step by step.

use crate::script::{Party, Script};
use ringfort_base::limits;
use ringfort_media::plan::Destination;
use std::time::Duration;

const CONFIG: &str = r#"
[node]
domain = "ringfort.test"
[sip]
listen = ["udp:192.0.2.10:5060"]
[[trunk]]
name = "carrier"
address = "10.2.0.101:5060"
[[trunk]]
name = "backup"
address = "10.2.0.102:5060"
[[account]]
user = "101"
[[account]]
user = "102"
[[route]]
name = "outside"
number = "0*"
to = ["trunk:carrier", "trunk:backup"]
"#;

/// A registered phone and two trunks.
fn stage() -> (Script, Party, Party, Party) {
    let mut s = Script::new(CONFIG);
    let (phone, trunk) = (s.party("101", "10.1.0.101:5060"), s.party("carrier", "10.2.0.101:5060"));
    let backup = s.party("backup", "10.2.0.102:5060");
    s.register(&phone);
    (s, phone, trunk, backup)
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

#[test]
fn a_call_from_dialling_to_its_record() {
    let (mut s, phone, trunk, _) = stage();
    let (mut caller, _) = s.dial(&phone, "0123");
    let invite = s.expect(&trunk, "INVITE");
    assert_eq!(invite.dialled(), "0123");
    assert!(!invite.body.contains("10.1.0.101") && invite.body.contains("192.0.2.10"), "{}", invite.body);
    let mut callee = s.called(&trunk, &invite);
    s.send(&trunk, &trunk.reply(&invite, 180, &callee));
    s.expect(&phone, "180");
    s.send(&trunk, &trunk.accept(&invite, &callee));
    s.expect(&trunk, "ACK");
    let ok = s.expect(&phone, "200");
    caller.learn(&ok);
    s.send(&phone, &caller.ack(1));
    s.run(ms(3_000));
    let number =
        |body: &str| body.lines().find_map(|l| l.strip_prefix("m=audio ")?.split(' ').next()?.parse().ok()).expect("audio");
    let towards_phone = s.world.relay.plan(number(&ok.body)).expect("planned");
    let towards_trunk = s.world.relay.plan(number(&invite.body)).expect("planned");
    assert_eq!(towards_phone.transmit.rtp, Some("10.1.0.101:40000".parse().expect("constant")));
    assert_eq!(towards_trunk.transmit.rtp, Some("10.2.0.101:40000".parse().expect("constant")));
    assert!(!towards_phone.transmit.muted && !towards_trunk.transmit.muted);
    assert!(
        matches!((towards_phone.destination, towards_trunk.destination), (Destination::Port(a), Destination::Port(b)) if a != b)
    );
    s.hang_up(&trunk, &mut callee, &phone);
    let records = s.records();
    assert_eq!(records.len(), 1);
    assert_eq!((records[0].status, records[0].cause.as_str(), records[0].route.as_str()), (200, "normal", "route outside"));
    assert_eq!(records[0].ended.0 / 1000 - records[0].answered.expect("answered").0 / 1000, 3);
    s.ensure_empty();
}

#[test]
fn a_refusal_reaches_the_caller_without_the_callee_s_address() {
    let (mut s, phone, trunk, _) = stage();
    let (caller, sent) = s.dial(&phone, "0123");
    let invite = s.expect(&trunk, "INVITE");
    let callee = s.called(&trunk, &invite);
    s.send(&trunk, &trunk.reply(&invite, 486, &callee).with("Warning", "399 10.2.0.101 \"in a meeting\""));
    s.expect(&trunk, "ACK");
    let busy = s.expect(&phone, "486");
    assert_eq!(busy.get("Warning"), "399 192.0.2.10 \"in a meeting\"");
    s.send(&phone, &caller.ack_refusal(&sent, &busy));
    assert_eq!(s.causes(), ["busy"]);
    s.ensure_empty();
}

#[test]
fn a_redirection_is_not_followed_and_not_told() {
    let (mut s, phone, trunk, _) = stage();
    let _ = s.dial(&phone, "0123");
    let invite = s.expect(&trunk, "INVITE");
    let callee = s.called(&trunk, &invite);
    s.send(&trunk, &trunk.reply(&invite, 302, &callee));
    s.expect(&trunk, "ACK");
    assert_eq!(s.expect(&phone, "480").get("Contact"), "");
    assert_eq!(s.causes(), ["unavailable"]);
}

#[test]
fn nobody_rings_for_ever() {
    let (mut s, phone, trunk, _) = stage();
    let _ = s.dial(&phone, "0123");
    let invite = s.expect(&trunk, "INVITE");
    let callee = s.called(&trunk, &invite);
    s.send(&trunk, &trunk.reply(&invite, 180, &callee));
    s.expect(&phone, "180");
    let cancel = s.expect_within(&trunk, "CANCEL", limits::RING_MAX + ms(100));
    s.send(&trunk, &cancel.reply(200, "x"));
    s.send(&trunk, &trunk.reply(&invite, 487, &callee));
    s.expect(&phone, "480");
    s.expect(&trunk, "ACK");
    assert_eq!(s.causes(), ["no-answer"]);
    s.ensure_empty();
}

#[test]
fn a_silent_trunk_costs_a_second_not_the_call() {
    let (mut s, phone, trunk, backup) = stage();
    s.silence(&trunk);
    let begin = s.world.now;
    let _ = s.dial(&phone, "0123");
    let invite = s.expect(&backup, "INVITE");
    assert!(s.world.now.since(begin) <= ms(1_100), "{:?}", s.world.now.since(begin));
    s.answer(&backup, &invite);
    s.expect(&phone, "200");
}

#[test]
fn a_trunk_s_503_moves_the_call_on_and_its_404_does_not() {
    let (mut s, phone, trunk, backup) = stage();
    let _ = s.dial(&phone, "0123");
    let invite = s.expect(&trunk, "INVITE");
    let callee = s.called(&trunk, &invite);
    s.send(&trunk, &trunk.reply(&invite, 503, &callee));
    s.expect(&trunk, "ACK");
    let second = s.expect(&backup, "INVITE");
    assert_ne!(second.get("Call-ID"), invite.get("Call-ID"));
    let callee = s.called(&backup, &second);
    s.send(&backup, &backup.reply(&second, 404, &callee));
    s.expect(&phone, "404");
    assert_eq!(s.records()[0].reroutes, 1);
}

#[test]
fn the_caller_cancels() {
    let (mut s, phone, trunk, _) = stage();
    let (caller, sent) = s.dial(&phone, "0123");
    let invite = s.expect(&trunk, "INVITE");
    let callee = s.called(&trunk, &invite);
    s.send(&trunk, &trunk.reply(&invite, 180, &callee));
    s.expect(&phone, "180");
    s.send(&phone, &caller.cancel(&sent));
    assert_eq!(s.expect(&phone, "200").method(), "CANCEL");
    let terminated = s.expect(&phone, "487");
    s.send(&phone, &caller.ack_refusal(&sent, &terminated));
    let cancel = s.expect(&trunk, "CANCEL");
    assert_eq!(cancel.branch(), invite.branch());
    s.send(&trunk, &cancel.reply(200, "x"));
    s.send(&trunk, &trunk.reply(&invite, 487, &callee));
    s.expect(&trunk, "ACK");
    assert_eq!(s.causes(), ["cancelled"]);
    s.ensure_empty();
}

#[test]
fn an_answer_that_crosses_the_cancel_is_acknowledged_and_released() {
    let (mut s, phone, trunk, _) = stage();
    let (caller, sent) = s.dial(&phone, "0123");
    let invite = s.expect(&trunk, "INVITE");
    let callee = s.called(&trunk, &invite);
    s.send(&trunk, &trunk.reply(&invite, 180, &callee));
    s.expect(&phone, "180");
    s.send(&phone, &caller.cancel(&sent));
    s.expect(&phone, "200");
    s.expect(&phone, "487");
    s.expect(&trunk, "CANCEL");
    s.send(&trunk, &trunk.accept(&invite, &callee));
    s.expect(&trunk, "ACK");
    let bye = s.expect(&trunk, "BYE");
    s.send(&trunk, &bye.reply(200, ""));
    assert_eq!(s.causes(), ["cancelled"]);
    s.ensure_empty();
}

#[test]
fn of_two_answers_of_a_fork_the_first_stays() {
    let (mut s, phone, trunk, _) = stage();
    let (mut caller, _) = s.dial(&phone, "0123");
    let invite = s.expect(&trunk, "INVITE");
    let mut first = s.answer(&trunk, &invite);
    let ok = s.expect(&phone, "200");
    caller.learn(&ok);
    s.send(&phone, &caller.ack(1));
    let second = s.called(&trunk, &invite);
    s.send(&trunk, &trunk.accept(&invite, &second));
    s.expect(&trunk, "ACK");
    let bye = s.expect(&trunk, "BYE");
    assert_eq!(bye.to_tag(), second.local.rsplit("tag=").next().unwrap_or_default());
    s.send(&trunk, &bye.reply(200, ""));
    s.expect_nothing(&phone, ms(1_000));
    s.hang_up(&trunk, &mut first, &phone);
    assert_eq!(s.causes(), ["normal"]);
    s.ensure_empty();
}

#[test]
fn an_answer_that_nobody_acknowledges_ends_the_call() {
    let (mut s, phone, trunk, _) = stage();
    let _ = s.dial(&phone, "0123");
    let invite = s.expect(&trunk, "INVITE");
    s.answer(&trunk, &invite);
    s.expect(&phone, "200");
    let bye = s.expect_within(&phone, "BYE", Duration::from_secs(33));
    s.send(&phone, &bye.reply(481, ""));
    let bye = s.expect(&trunk, "BYE");
    s.send(&trunk, &bye.reply(200, ""));
    assert_eq!(s.causes(), ["no-ack"]);
    s.ensure_empty();
}

/// RFC 3261 15: a callee does not hang up before the ACK; it would leave a caller that has not seen the 2xx alone with a call.
#[test]
fn a_bye_waits_for_the_ack() {
    let (mut s, phone, trunk, _) = stage();
    let (mut caller, _) = s.dial(&phone, "0123");
    let invite = s.expect(&trunk, "INVITE");
    let mut callee = s.answer(&trunk, &invite);
    let ok = s.expect(&phone, "200");
    s.send(&trunk, &callee.request("BYE"));
    s.expect(&trunk, "200");
    s.expect_nothing(&phone, ms(300));
    caller.learn(&ok);
    s.send(&phone, &caller.ack(1));
    let bye = s.expect(&phone, "BYE");
    s.send(&phone, &bye.reply(200, ""));
    assert_eq!(s.causes(), ["normal"]);
    s.ensure_empty();
}

#[test]
fn both_hang_up_at_once() {
    let (mut s, phone, trunk, _) = stage();
    let (mut caller, mut callee) = s.connect(&phone, &trunk, "0123");
    s.send(&phone, &caller.request("BYE"));
    s.send(&trunk, &callee.request("BYE"));
    s.run(ms(10));
    assert_eq!(s.causes(), ["normal"]);
    s.ensure_empty();
}

#[test]
fn hold_and_resume_pass_both_ways() {
    let (mut s, phone, trunk, _) = stage();
    let (mut caller, mut callee) = s.connect(&phone, &trunk, "0123");
    let pairs = [("sendonly", "recvonly"), ("inactive", "inactive"), ("sendrecv", "sendrecv")];
    for (offered, answered) in pairs {
        let request = phone.reinvite(&mut caller, offered);
        s.send(&phone, &request);
        let invite = s.expect(&trunk, "INVITE");
        assert_eq!(invite.direction(), offered);
        s.send(&trunk, &trunk.accept(&invite, &callee));
        s.expect(&trunk, "ACK");
        assert_eq!(s.expect(&phone, "200").direction(), answered);
        s.send(&phone, &caller.ack(request.cseq()));
        s.run(ms(100));
        let state = s.world.node.status().calls[0].state.clone();
        assert_eq!(state, if offered == "sendrecv" { "connected" } else { "held" });
    }
    let request = trunk.reinvite(&mut callee, "sendonly");
    s.send(&trunk, &request);
    let invite = s.expect(&phone, "INVITE");
    assert_eq!(invite.direction(), "sendonly");
    s.send(&phone, &phone.accept(&invite, &caller));
    s.expect(&phone, "ACK");
    assert_eq!(s.expect(&trunk, "200").direction(), "recvonly");
}

#[test]
fn two_changes_at_once_meet_491() {
    let (mut s, phone, trunk, _) = stage();
    let (mut caller, mut callee) = s.connect(&phone, &trunk, "0123");
    s.send(&phone, &phone.reinvite(&mut caller, "sendonly"));
    let passed = s.expect(&trunk, "INVITE");
    s.send(&trunk, &trunk.reinvite(&mut callee, "sendonly"));
    s.expect(&trunk, "491");
    // The node made this leg's Call-ID: it comes again after 2.1 to 4 s (RFC 3261 14.1), while the phone waits.
    s.send(&trunk, &passed.reply(491, ""));
    s.expect(&trunk, "ACK");
    s.expect_nothing(&phone, ms(2_050));
    let again = s.expect_within(&trunk, "INVITE", ms(2_000));
    s.send(&trunk, &trunk.accept(&again, &callee));
    s.expect(&trunk, "ACK");
    s.expect(&phone, "200");
}

#[test]
fn a_refused_change_leaves_the_call_as_it_was() {
    let (mut s, phone, trunk, _) = stage();
    let (mut caller, mut callee) = s.connect(&phone, &trunk, "0123");
    let request = phone.reinvite(&mut caller, "sendonly");
    s.send(&phone, &request);
    let invite = s.expect(&trunk, "INVITE");
    s.send(&trunk, &invite.reply(488, ""));
    s.expect(&trunk, "ACK");
    let refused = s.expect(&phone, "488");
    s.send(&phone, &caller.ack_refusal(&request, &refused));
    assert_eq!(s.world.node.status().calls[0].state, "connected");
    // Even if that ACK is lost, the call is none the worse.
    s.run(Duration::from_secs(40));
    s.hang_up(&trunk, &mut callee, &phone);
    assert_eq!(s.causes(), ["normal"]);
}

#[test]
fn an_unacknowledged_refusal_of_a_change_does_not_end_the_call() {
    let (mut s, phone, trunk, _) = stage();
    let (mut caller, mut callee) = s.connect(&phone, &trunk, "0123");
    let request = phone.reinvite(&mut caller, "sendonly");
    s.send(&phone, &request.replace("Content-Type", "").sdp("v=1\r\n"));
    assert!(s.expect(&phone, "400").get("Warning").contains("192.0.2.10"));
    s.run(Duration::from_secs(40));
    assert_eq!(s.world.node.status().calls.len(), 1);
    s.hang_up(&trunk, &mut callee, &phone);
}

#[test]
fn a_change_that_is_taken_back_but_was_accepted_is_acknowledged() {
    let (mut s, phone, trunk, _) = stage();
    let (mut caller, mut callee) = s.connect(&phone, &trunk, "0123");
    let request = phone.reinvite(&mut caller, "sendonly");
    s.send(&phone, &request);
    let invite = s.expect(&trunk, "INVITE");
    s.send(&trunk, &invite.reply(100, ""));
    s.run(ms(10));
    s.send(&phone, &caller.cancel(&request));
    s.expect(&phone, "200");
    s.expect(&phone, "487");
    s.expect(&trunk, "CANCEL");
    s.send(&trunk, &trunk.accept(&invite, &callee));
    s.expect(&trunk, "ACK");
    // What it accepted does not hold: it is told so.
    let undo = s.expect(&trunk, "INVITE");
    assert_eq!(undo.direction(), "sendrecv");
    s.send(&trunk, &trunk.accept(&undo, &callee));
    s.expect(&trunk, "ACK");
    s.expect_nothing(&trunk, Duration::from_secs(2));
    s.hang_up(&trunk, &mut callee, &phone);
    assert_eq!(s.causes(), ["normal"]);
    s.ensure_empty();
}

#[test]
fn a_change_that_is_never_answered_does_not_block_the_call() {
    let (mut s, phone, trunk, _) = stage();
    let (mut caller, mut callee) = s.connect(&phone, &trunk, "0123");
    s.send(&phone, &phone.reinvite(&mut caller, "sendonly"));
    let invite = s.expect(&trunk, "INVITE");
    s.send(&trunk, &invite.reply(100, ""));
    s.expect_within(&phone, "504", Duration::from_secs(33));
    s.expect(&trunk, "CANCEL");
    s.send(&phone, &phone.reinvite(&mut caller, "sendrecv"));
    s.expect(&trunk, "INVITE");
    s.send(&trunk, &callee.request("BYE"));
    s.expect(&trunk, "200");
    s.expect(&phone, "487");
    s.expect(&phone, "BYE");
    s.ensure_empty();
}

#[test]
fn an_old_ack_that_comes_again_ends_no_change() {
    let (mut s, phone, trunk, _) = stage();
    let (mut caller, _) = s.connect(&phone, &trunk, "0123");
    let request = phone.reinvite(&mut caller, "sendonly");
    s.send(&phone, &request);
    let invite = s.expect(&trunk, "INVITE");
    let callee = s.called(&trunk, &invite);
    s.send(&trunk, &trunk.accept(&invite, &callee));
    s.expect(&trunk, "ACK");
    s.expect(&phone, "200");
    s.send(&phone, &caller.ack(1));
    s.run(ms(100));
    // The 200 of the change is still repeated until its own ACK comes, and the call ends for want of it.
    let bye = s.expect_within(&phone, "BYE", Duration::from_secs(33));
    assert_eq!(bye.cseq(), 1);
    assert_eq!(s.causes(), ["no-ack"]);
}

#[test]
fn early_media_is_passed_on_once() {
    let (mut s, phone, trunk, _) = stage();
    let _ = s.dial(&phone, "0123");
    let invite = s.expect(&trunk, "INVITE");
    let callee = s.called(&trunk, &invite);
    s.send(&trunk, &trunk.reply(&invite, 183, &callee).sdp(&trunk.sdp(1, "sendrecv")));
    let early = s.expect(&phone, "183");
    assert!(early.body.contains("192.0.2.10") && !early.body.contains("10.2.0.101"));
    s.send(&trunk, &trunk.accept(&invite, &callee));
    assert_eq!(s.expect(&phone, "200").body, early.body);
}

#[test]
fn an_answer_without_description_is_an_error_of_the_target() {
    let (mut s, phone, trunk, _) = stage();
    let _ = s.dial(&phone, "0123");
    let invite = s.expect(&trunk, "INVITE");
    let callee = s.called(&trunk, &invite);
    s.send(&trunk, &trunk.reply(&invite, 200, &callee));
    s.expect(&trunk, "ACK");
    s.expect(&trunk, "BYE");
    s.expect(&phone, "502");
    assert_eq!(s.causes(), ["no-sdp-in-answer"]);
}

#[test]
fn descriptions_that_cannot_be_used_are_refused_with_a_warning() {
    let cases = [
        ("v=1\r\n", 400),
        (
            "v=0\r\no=- 1 1 IN IP4 10.1.0.101\r\ns=-\r\nc=IN IP4 10.1.0.101\r\nt=0 0\r\nm=video 4000 RTP/AVP 96\r\na=rtpmap:96 VP8/90000\r\n",
            488,
        ),
    ];
    for (sdp, status) in cases {
        let (mut s, phone, _, _) = stage();
        let uri = "sip:0123@ringfort.test";
        let mut leg = s.leg(&phone, uri, &format!("<{uri}>"));
        let invite = leg.request("INVITE").with("Contact", phone.contact());
        s.send(&phone, &invite.sdp(sdp));
        let refused = s.expect(&phone, &status.to_string());
        assert!(refused.get("Warning").starts_with("3"), "{sdp:?}: {}", refused.get("Warning"));
        assert_eq!(s.causes(), ["bad-sdp"]);
        s.ensure_empty();
    }
}

#[test]
fn strangers_are_challenged_and_nobody_calls_as_another() {
    let (mut s, _, trunk, _) = stage();
    let thief = s.party("101", "10.9.0.101:5060");
    let (mut leg, invite) = s.dial(&thief, "0123");
    let challenge = s.expect(&thief, "407");
    s.send(&thief, &leg.ack_refusal(&invite, &challenge));
    let uri = invite.uri().to_string();
    let secret = crate::wire::Secret { user: "102".into(), password: "102102".into(), algorithm: "SHA-256" };
    let answer = secret.answer(&secret.challenge(&challenge).expect("offered"), "INVITE", &uri, 1);
    let again = leg.request("INVITE").with("Contact", thief.contact()).with("Proxy-Authorization", answer);
    s.send(&thief, &again.sdp(&thief.sdp(1, "sendrecv")));
    s.expect(&thief, "403");
    s.expect_nothing(&trunk, ms(500));
}

#[test]
fn the_limit_of_calls_holds() {
    let mut s = Script::new(&format!("{CONFIG}\n[media]\nport_first = 10000\nport_last = 65535\n"));
    let phone = s.party("101", "10.1.0.101:5060");
    s.register(&phone);
    for _ in 0..limits::CALLS_MAX {
        let _ = s.dial(&phone, "*43");
    }
    s.run(ms(5));
    assert_eq!(s.world.node.residue()[0], limits::CALLS_MAX);
    s.world.mail.get_mut(&phone.address).expect("party").clear();
    s.sift();
    let _ = s.dial(&phone, "*43");
    let refused = s.expect(&phone, "503");
    assert!(!refused.get("Retry-After").is_empty());
}

#[test]
fn the_last_media_port_is_the_limit_too() {
    let mut s = Script::new(&format!("{CONFIG}\n[media]\nport_first = 10000\nport_last = 10005\n"));
    let phone = s.party("101", "10.1.0.101:5060");
    s.register(&phone);
    for _ in 0..2 {
        let _ = s.dial(&phone, "*43");
        s.expect(&phone, "200");
    }
    let _ = s.dial(&phone, "*43");
    s.expect(&phone, "503");
    assert_eq!(s.causes(), ["no-media-port"]);
}

/// The office loses power in the middle of a call between two phones; the node, on its battery, does not keep their ports.
#[test]
fn a_call_whose_ends_vanished_ends() {
    let (mut s, phone, trunk, _) = stage();
    let _ = s.connect(&phone, &trunk, "0123");
    s.silence(&phone);
    s.silence(&trunk);
    s.run(Duration::from_secs(640));
    assert_eq!(s.causes(), ["peer-gone"]);
    s.ensure_empty();
}

/// As long as audio comes, silence on the signalling path ends nothing.
#[test]
fn a_call_that_is_heard_is_not_ended_for_want_of_an_answer() {
    let (mut s, phone, trunk, _) = stage();
    let (_, mut callee) = s.connect(&phone, &trunk, "0123");
    s.run(Duration::from_secs(1_000));
    assert_eq!(s.world.node.status().calls.len(), 1);
    s.send(&trunk, &callee.request("BYE"));
    s.run(ms(100));
    assert_eq!(s.causes(), ["normal"]);
}

/// A phone that restarted knows nothing of its call; the other side is released.
#[test]
fn an_end_that_forgot_the_call_ends_it() {
    let (mut s, phone, trunk, _) = stage();
    let _ = s.connect(&phone, &trunk, "0123");
    let asked = s.expect_within(&phone, "OPTIONS", Duration::from_secs(301));
    s.send(&phone, &asked.reply(481, ""));
    s.expect(&trunk, "OPTIONS");
    let bye = s.expect(&trunk, "BYE");
    s.send(&trunk, &bye.reply(200, ""));
    assert_eq!(s.causes(), ["peer-gone"]);
}

/// RFC 3261 12.2.1.1: numbers rise, also over a restart, whatever was sent after the last entry of the journal.
#[test]
fn a_restarted_node_goes_on_counting() {
    let (mut s, phone, trunk, _) = stage();
    let (mut caller, mut callee) = s.connect(&phone, &trunk, "0123");
    let mut last = 0;
    for _ in 0..3 {
        let request = phone.reinvite(&mut caller, "sendonly");
        s.send(&phone, &request);
        let invite = s.expect(&trunk, "INVITE");
        last = invite.cseq();
        s.send(&trunk, &invite.reply(488, ""));
        s.expect(&trunk, "ACK");
        let refused = s.expect(&phone, "488");
        s.send(&phone, &caller.ack_refusal(&request, &refused));
    }
    s.world.restart();
    let asked = s.expect_within(&trunk, "OPTIONS", Duration::from_secs(46));
    assert!(asked.cseq() > last, "{} after {last}", asked.cseq());
    s.send(&trunk, &asked.reply(200, ""));
    let asked = s.expect(&phone, "OPTIONS");
    s.send(&phone, &asked.reply(405, ""));
    s.run(ms(100));
    assert_eq!(s.world.node.status().calls.len(), 1, "405 shows life as well");
    s.hang_up(&trunk, &mut callee, &phone);
    assert_eq!(s.causes(), ["normal"]);
}
