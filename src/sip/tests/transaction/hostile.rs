//! Limits, and peers who look for them.

use crate::bench::{Side, message, octets, request, request_via, response, udp};
use proptest::prelude::*;
use ringfort_base::{Hop, Time, Transport};
use ringfort_sip::HeaderName;
use ringfort_sip::transaction::{Error, RETRY_AFTER_S, STEPS_MAX, Step, TIMEOUTS_PER_TURN_MAX, TransactionId};

#[test]
fn beyond_the_limit_a_request_is_answered_503_without_a_transaction() {
    let mut b = Side::limited(2);
    hears!(b, request("INVITE", "1"));
    let id = tells!(b, Step::Request { id, .. } => id);
    sends!(b, "SIP/2.0 100");
    a_request_of_ours_and_no_more(&mut b);
    let source = Hop::to(Transport::Udp, "198.51.100.7:40001".parse().expect("an address"));
    let refused = request_via("INVITE", "SIP/2.0/UDP 10.0.0.1;rport;branch=z9hG4bK3");
    hears!(b, source, refused);
    let (hop, reply) = sends!(b, "SIP/2.0 503");
    assert_eq!(hop, source);
    assert_eq!(reply.header(HeaderName::RetryAfter), Some(RETRY_AFTER_S.to_string().as_str()));
    assert_eq!(reply.top_via().expect("a Via").received, Some("198.51.100.7"));
    hears!(b, source, refused);
    let (_, again) = sends!(b, "SIP/2.0 503");
    assert_eq!(again.octets(), reply.octets(), "RFC 3261 8.2.7: the same tag each time");
    // Its ACK goes the way of all ACKs and is answered by nothing.
    hears!(b, source, refused.replace("INVITE", "ACK"));
    tells!(b, Step::Ack { .. });
    silent!(b);
    assert_eq!((b.layer.len(), b.layer.counters().refused_full), (2, 2));
    hears!(b, request("CANCEL", "1"));
    sends!(b, "SIP/2.0 200");
    tells!(b, Step::Cancel { .. });
    assert_eq!(b.layer.len(), 3, "what frees a transaction is let in");
    b.layer.respond(b.now, id, octets(&response(&request("INVITE", "1"), 486))).expect("possible");
    sends!(b, "SIP/2.0 486");
}

fn a_request_of_ours_and_no_more(b: &mut Side) {
    b.layer.request(b.now, udp(), octets(&request("OPTIONS", "ours"))).expect("begun");
    assert_eq!(b.layer.request(b.now, udp(), octets(&request("OPTIONS", "more"))), Err(Error::Full));
    sends!(b, "OPTIONS");
}

#[test]
fn what_nobody_polls_is_dropped_in_the_end() {
    let mut b = Side::new();
    let stray = response(&request("OPTIONS", "1"), 200);
    for _ in 0..STEPS_MAX + 10 {
        hears!(b, stray);
    }
    assert_eq!(b.layer.counters().overrun, 10);
    assert_eq!(b.rest().len(), STEPS_MAX);
}

#[test]
fn a_burst_of_timers_fires_turn_by_turn() {
    let mut a = Side::new();
    let count = 3 * TIMEOUTS_PER_TURN_MAX + 1;
    for n in 0..count {
        a.layer.request(a.now, udp(), octets(&request("OPTIONS", &n.to_string()))).expect("begun");
    }
    assert_eq!(a.rest().len(), count);
    a.now = a.layer.next_timeout();
    let mut turns = Vec::new();
    while a.layer.next_timeout() <= a.now {
        a.layer.handle_timeout(a.now);
        turns.push(a.rest().len());
    }
    assert_eq!(turns, [TIMEOUTS_PER_TURN_MAX, TIMEOUTS_PER_TURN_MAX, TIMEOUTS_PER_TURN_MAX, 1]);
}

#[test]
fn messages_that_belong_nowhere_are_dropped() {
    let mut b = Side::new();
    hears!(b, "OPTIONS sip:x SIP/2.0\r\nContent-Length: 0\r\n\r\n");
    hears!(b, "OPTIONS sip:x SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=old\r\nContent-Length: 0\r\n\r\n");
    hears!(b, "ACK sip:x SIP/2.0\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(b.layer.counters().unusable, 3);
    over!(b);
}

/// What may stand in a branch, a host and a method, with characters that a sloppy key would use as separators.
fn piece() -> impl Strategy<Value = String> {
    "[a-c!%*+.~_-]{1,4}"
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn two_requests_are_one_transaction_only_when_all_that_counts_is_the_same(
        one in (piece(), "[ab]{1,3}", 1u16..4, "[AB-]{1,3}"), other in (piece(), "[ab]{1,3}", 1u16..4, "[AB-]{1,3}"),
    ) {
        let text = |(branch, host, port, method): &(String, String, u16, String)| {
            request_via(&format!("X{method}"), &format!("SIP/2.0/UDP {host}:{port};branch=z9hG4bK{branch}"))
        };
        let mut b = Side::new();
        b.hears(udp(), &text(&one));
        b.hears(udp(), &text(&other));
        prop_assert_eq!(b.layer.len(), if one == other { 1 } else { 2 });
    }

    #[test]
    fn two_requests_of_rfc_2543_likewise(
        one in (piece(), piece(), piece(), 1u32..4), other in (piece(), piece(), piece(), 1u32..4),
    ) {
        let text = |(call_id, from, to, cseq): &(String, String, String, u32)| {
            request_via("INFO", "SIP/2.0/UDP h").replace("Call-ID: call", &format!("Call-ID: {call_id}"))
                .replace("tag=a", &format!("tag={from}")).replace("CSeq: 1", &format!("CSeq: {cseq}"))
                .replace("To: <sip:bob@example.com>", &format!("To: <sip:bob@example.com>;tag={to}"))
        };
        let mut b = Side::new();
        b.hears(udp(), &text(&one));
        b.hears(udp(), &text(&other));
        prop_assert_eq!(b.layer.len(), if one == other { 1 } else { 2 });
    }

    /// Any messages in any order: no panic, the steps stay sound, and time alone empties the layer once the TU did its part.
    #[test]
    fn no_sequence_of_messages_breaks_the_layer(inputs in prop::collection::vec((0u8..12, 0u8..4, 0u16..3000), 1..60)) {
        let (mut side, mut ours) = (Side::new(), Vec::new());
        for (kind, branch, pause) in inputs {
            let id = feed(&mut side, kind, &branch.to_string());
            ours.extend(id);
            if branch == 1 {
                cancel_all(&mut side, &ours);
            }
            side.now = side.now + std::time::Duration::from_millis(u64::from(pause));
            side.layer.handle_timeout(side.now);
            answer(&mut side, 486);
        }
        // The TU answered everything; when it also gives up what still rings, only time is needed.
        cancel_all(&mut side, &ours);
        side.run_out();
        prop_assert_eq!((side.layer.len(), side.layer.next_timeout()), (0, Time::NEVER));
    }
}

/// One input; the id if it is a request of ours.
fn feed(side: &mut Side, kind: u8, branch: &str) -> Option<TransactionId> {
    let methods = ["INVITE", "ACK", "CANCEL", "BYE"];
    match kind {
        0..4 => side.hears(udp(), &request(methods[usize::from(kind)], branch)),
        4 | 5 => {
            let text = request(if kind == 4 { "INVITE" } else { "BYE" }, &format!("our{branch}"));
            return side.layer.request(side.now, udp(), octets(&text)).ok();
        }
        6 => side.layer.transport_failed(side.now, udp()),
        _ => {
            let status = [100, 180, 200, 302, 486][usize::from(kind - 7)];
            let method = if branch == "2" { "BYE" } else { "INVITE" };
            side.hears(udp(), &response(&request(method, &format!("our{branch}")), status));
        }
    }
    None
}

/// Requests that are no INVITE, or have ended, cannot be cancelled; here that is no fault.
fn cancel_all(side: &mut Side, ours: &[TransactionId]) {
    for id in ours {
        let _ = side.layer.cancel(side.now, *id, &[]);
    }
}

fn answer(side: &mut Side, status: u16) {
    while let Some(step) = side.step() {
        match step {
            Step::Request { id, message, .. } => {
                let reply = response(&String::from_utf8_lossy(message.octets()), status);
                side.layer.respond(side.now, id, octets(&reply)).expect("the first answer");
            }
            Step::Send { octets, .. } => drop(message(&String::from_utf8_lossy(&octets))),
            _ => {}
        }
    }
}
