//! CANCEL, both ways: RFC 3261 9.

use crate::bench::{Side, octets, request, response, response_tagged, tcp, udp};
use ringfort_sip::transaction::{ClientFailure, Error, Step, TransactionId};
use ringfort_sip::{HeaderName, Method};

fn calling(a: &mut Side) -> (String, TransactionId) {
    let invite = request("INVITE", "1");
    let id = a.layer.request(a.now, udp(), octets(&invite)).expect("begun");
    sends!(a, "INVITE");
    (invite, id)
}

#[test]
fn a_cancel_waits_for_a_provisional_response() {
    let mut a = Side::new();
    let (invite, id) = calling(&mut a);
    a.layer.cancel(a.now, id, &[(HeaderName::Reason, "SIP;cause=200")]).expect("an INVITE");
    silent!(a);
    fires!(a, A after 500);
    sends!(a, "INVITE");
    hears!(a, response(&invite, 100));
    tells!(a, Step::Response { .. });
    let (_, cancel) = sends!(a, "CANCEL sip:bob@example.com SIP/2.0\r\n");
    assert_eq!(cancel.values(HeaderName::Via).collect::<Vec<_>>(), ["SIP/2.0/UDP 192.0.2.2:5060;branch=z9hG4bK1"]);
    assert_eq!(cancel.values(HeaderName::Route).collect::<Vec<_>>(), ["<sip:p1;lr>", "<sip:p2;lr>", "<sip:p3;lr>"]);
    assert_eq!(cancel.header(HeaderName::To), Some("<sip:bob@example.com>"));
    assert_eq!(cancel.header(HeaderName::From), Some("<sip:alice@example.com>;tag=a"));
    assert_eq!((cancel.call_id(), cancel.cseq()), (Ok("call"), Ok((1, Method::Cancel))));
    assert_eq!((cancel.header(HeaderName::Reason), cancel.header(HeaderName::Require)), (Some("SIP;cause=200"), None));
    // The outcome of the CANCEL is nobody's business, that of the INVITE is.
    let cancel = String::from_utf8_lossy(cancel.octets()).into_owned();
    hears!(a, response(&cancel, 200));
    silent!(a);
    hears!(a, response(&invite, 487));
    sends!(a, "ACK");
    tells!(a, Step::Response { id: of, .. } => assert_eq!(of, id));
    silent!(a);
    a.run_out();
    over!(a);
}

#[test]
fn a_cancel_is_sent_at_once_while_it_rings_and_only_once() {
    let mut a = Side::new();
    let (invite, id) = calling(&mut a);
    hears!(a, response(&invite, 180));
    tells!(a, Step::Response { .. });
    for _ in 0..3 {
        a.layer.cancel(a.now, id, &[]).expect("an INVITE");
    }
    sends!(a, "CANCEL");
    silent!(a);
    hears!(a, response(&invite, 183));
    tells!(a, Step::Response { .. });
    silent!(a);
    fires!(a, E after 500);
    sends!(a, "CANCEL");
    silent!(a);
}

#[test]
fn a_cancelled_invite_that_stays_unanswered_is_given_up() {
    let mut a = Side::new();
    let (invite, id) = calling(&mut a);
    hears!(a, response(&invite, 180));
    tells!(a, Step::Response { .. });
    a.layer.cancel(a.now, id, &[]).expect("an INVITE");
    let (_, cancel) = sends!(a, "CANCEL");
    hears!(a, response(&String::from_utf8_lossy(cancel.octets()), 200));
    fires!(a, K after 5_000);
    silent!(a);
    fires!(a, CancelWait after 27_000);
    tells!(a, Step::Failed { id: failed, cause: ClientFailure::CancelTimeout } => assert_eq!(failed, id));
    tells!(a, Step::Ended { .. });
    over!(a);
}

#[test]
fn a_final_response_makes_a_cancel_needless() {
    for status in [200, 486] {
        let mut a = Side::new();
        let (invite, id) = calling(&mut a);
        a.layer.cancel(a.now, id, &[]).expect("an INVITE");
        hears!(a, response(&invite, status));
        if status == 486 {
            sends!(a, "ACK");
        }
        tells!(a, Step::Response { .. });
        a.layer.cancel(a.now, id, &[]).expect("an INVITE");
        silent!(a);
    }
}

#[test]
fn a_cancel_that_never_had_its_provisional_ends_with_the_invite() {
    let mut a = Side::new();
    let (_, id) = calling(&mut a);
    a.layer.cancel(a.now, id, &[]).expect("an INVITE");
    let mut failed = Vec::new();
    while a.layer.next_wake().is_some() {
        a.now = a.layer.next_timeout();
        a.layer.handle_timeout(a.now);
        while let Some(step) = a.step() {
            match step {
                Step::Failed { cause, .. } => failed.push(cause),
                Step::Send { octets, .. } => assert!(octets.starts_with(b"INVITE")),
                _ => {}
            }
        }
    }
    assert_eq!(failed, [ClientFailure::Timeout]);
}

#[test]
fn only_an_invite_of_ours_can_be_cancelled() {
    let mut a = Side::new();
    let options = a.layer.request(a.now, udp(), octets(&request("OPTIONS", "1"))).expect("begun");
    hears!(a, request("INVITE", "2"));
    sends!(a, "OPTIONS");
    let served = tells!(a, Step::Request { id, .. } => id);
    assert_eq!(a.layer.cancel(a.now, options, &[]), Err(Error::Unknown));
    assert_eq!(a.layer.cancel(a.now, served, &[]), Err(Error::Unknown));
}

#[test]
fn there_is_always_room_for_a_cancel() {
    let mut a = Side::limited(1);
    let (invite, id) = calling(&mut a);
    hears!(a, response(&invite, 180));
    tells!(a, Step::Response { .. });
    a.layer.cancel(a.now, id, &[]).expect("an INVITE");
    sends!(a, "CANCEL");
    assert_eq!(a.layer.len(), 2);
}

fn ringing(b: &mut Side) -> (String, TransactionId) {
    let invite = request("INVITE", "1");
    hears!(b, invite);
    let id = tells!(b, Step::Request { id, .. } => id);
    b.layer.respond(b.now, id, octets(&response_tagged(&invite, 180, "bell"))).expect("possible");
    sends!(b, "SIP/2.0 180");
    silent!(b);
    (invite, id)
}

#[test]
fn a_cancel_received_is_answered_and_told_once() {
    let mut b = Side::new();
    let (invite, id) = ringing(&mut b);
    hears!(b, request("CANCEL", "1"));
    let (_, ok) = sends!(b, "SIP/2.0 200");
    assert_eq!((ok.method(), ok.to().expect("To").tag()), (Method::Cancel, Some("bell")));
    tells!(b, Step::Cancel { invite, .. } => assert_eq!(invite, id));
    hears!(b, request("CANCEL", "1"));
    let (_, again) = sends!(b, "SIP/2.0 200");
    assert_eq!(again.octets(), ok.octets());
    silent!(b);
    b.layer.respond(b.now, id, octets(&response_tagged(&invite, 487, "bell"))).expect("possible");
    sends!(b, "SIP/2.0 487");
    hears!(b, request("ACK", "1"));
    silent!(b);
    fires!(b, I after 5_000);
    tells!(b, Step::Ended { id: of } => assert_eq!(of, id));
    fires!(b, J after 27_000);
    over!(b);
}

#[test]
fn a_cancel_after_the_final_response_changes_nothing() {
    for status in [200, 486] {
        let mut b = Side::new();
        let (invite, id) = ringing(&mut b);
        b.layer.respond(b.now, id, octets(&response(&invite, status))).expect("possible");
        sends!(b, "SIP/2.0");
        hears!(b, request("CANCEL", "1"));
        sends!(b, "SIP/2.0 200");
        silent!(b);
    }
}

#[test]
fn a_cancel_of_nothing_is_answered_481_every_time_alike() {
    let mut b = Side::new();
    hears!(b, request("OPTIONS", "1"));
    tells!(b, Step::Request { .. });
    hears!(b, request("CANCEL", "1"));
    let (_, gone) = sends!(b, "SIP/2.0 481");
    assert!(gone.to().expect("To").tag().is_some());
    hears!(b, request("CANCEL", "1"));
    let (_, again) = sends!(b, "SIP/2.0 481");
    assert_eq!(again.octets(), gone.octets());
    assert_eq!((b.layer.len(), b.layer.counters().cancels_unmatched), (1, 2));
}

#[test]
fn a_cancel_over_a_connection_leaves_nothing_behind() {
    let mut b = Side::new();
    hears!(b, tcp(1), request("INVITE", "1"));
    tells!(b, Step::Request { .. });
    sends!(b, "SIP/2.0 100");
    hears!(b, tcp(1), request("CANCEL", "1"));
    let (hop, ok) = sends!(b, "SIP/2.0 200");
    assert_eq!(hop, tcp(1));
    assert!(ok.to().expect("To").tag().is_some(), "only 100 may lack a tag");
    tells!(b, Step::Cancel { .. });
    assert_eq!(b.layer.len(), 1);
}
