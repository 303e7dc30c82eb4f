//! Server transactions: RFC 3261 17.2, RFC 6026 7.1, and the 2xx that the layer repeats for the UAS core (13.3.1.4).

use crate::bench::{Side, octets, request, request_via, response, tcp, udp};
use ringfort_base::Hop;
use ringfort_sip::transaction::{Error, Step, TransactionId};

fn invited(b: &mut Side, hop: Hop) -> (String, TransactionId) {
    let invite = request("INVITE", "1");
    hears!(b, hop, invite);
    let id = tells!(b, Step::Request { id, .. } => id);
    (invite, id)
}

#[test]
fn an_invite_is_answered_100_unless_the_tu_is_quicker() {
    let mut b = Side::new();
    let (invite, id) = invited(&mut b, udp());
    hears!(b, invite);
    let (hop, trying) = sends!(b, "SIP/2.0 100 Trying\r\n");
    assert_eq!((hop, trying.to().expect("To").tag()), (udp(), None));
    silent!(b);
    b.layer.respond(b.now, id, octets(&response(&invite, 180))).expect("possible");
    sends!(b, "SIP/2.0 180");
    hears!(b, invite);
    sends!(b, "SIP/2.0 180");
    silent!(b);

    let mut b = Side::new();
    let (invite, id) = invited(&mut b, udp());
    b.layer.respond(b.now, id, octets(&response(&invite, 403))).expect("possible");
    sends!(b, "SIP/2.0 403");
    silent!(b);
}

#[test]
fn a_refusal_is_repeated_until_its_ack() {
    let mut b = Side::new();
    let (invite, id) = invited(&mut b, udp());
    b.layer.respond(b.now, id, octets(&response(&invite, 486))).expect("possible");
    sends!(b, "SIP/2.0 486");
    hears!(b, invite);
    sends!(b, "SIP/2.0 486");
    for pause in [500, 1000, 2000, 4000, 4000] {
        fires!(b, G after pause);
        sends!(b, "SIP/2.0 486");
    }
    for _ in 0..3 {
        hears!(b, request("ACK", "1"));
        hears!(b, invite);
        silent!(b);
    }
    fires!(b, I after 5000);
    tells!(b, Step::Ended { .. });
    over!(b);
}

#[test]
fn a_refusal_that_is_never_acked_is_given_up() {
    let mut b = Side::new();
    let (invite, id) = invited(&mut b, tcp(1));
    b.layer.respond(b.now, id, octets(&response(&invite, 486))).expect("possible");
    sends!(b, "SIP/2.0 486");
    fires!(b, H after 32_000);
    tells!(b, Step::NoAck { .. });
    tells!(b, Step::Ended { .. });
    over!(b);
}

#[test]
fn a_2xx_is_repeated_on_any_transport_until_the_tu_saw_the_ack() {
    for hop in [udp(), tcp(1)] {
        let mut b = Side::new();
        let (invite, id) = invited(&mut b, hop);
        b.layer.respond(b.now, id, octets(&response(&invite, 200))).expect("possible");
        sends!(b, "SIP/2.0 200");
        for pause in [500, 1000, 2000, 4000, 4000] {
            fires!(b, Repeat2xx after pause);
            sends!(b, "SIP/2.0 200");
            hears!(b, hop, invite);
            silent!(b);
        }
        hears!(b, hop, request("ACK", "another"));
        tells!(b, Step::Ack { .. });
        b.layer.ack_received(b.now, id);
        fires!(b, L after 20_500);
        tells!(b, Step::Ended { .. });
        over!(b);
    }
}

#[test]
fn a_2xx_that_is_never_acked_is_reported() {
    let mut b = Side::new();
    let (invite, id) = invited(&mut b, udp());
    b.layer.respond(b.now, id, octets(&response(&invite, 200))).expect("possible");
    sends!(b, "SIP/2.0 200");
    for pause in [500, 1000, 2000, 4000, 4000, 4000, 4000, 4000, 4000, 4000] {
        fires!(b, Repeat2xx after pause);
        sends!(b, "SIP/2.0 200");
    }
    fires!(b, AckWait after 500);
    tells!(b, Step::NoAck { id: of } => assert_eq!(of, id));
    tells!(b, Step::Ended { .. });
    over!(b);
    assert_eq!(b.layer.counters().unacknowledged, 1);
}

/// Some peers send the ACK of a 2xx with the INVITE's branch.
#[test]
fn an_ack_of_a_2xx_reaches_the_tu_whatever_its_branch() {
    let mut b = Side::new();
    let (invite, id) = invited(&mut b, udp());
    b.layer.respond(b.now, id, octets(&response(&invite, 200))).expect("possible");
    sends!(b, "SIP/2.0 200");
    hears!(b, request("ACK", "1"));
    tells!(b, Step::Ack { .. });
    hears!(b, request("ACK", "2"));
    tells!(b, Step::Ack { .. });
    silent!(b);
}

#[test]
fn an_ack_before_any_final_response_is_ignored() {
    let mut b = Side::new();
    let (_, id) = invited(&mut b, udp());
    sends!(b, "SIP/2.0 100");
    hears!(b, request("ACK", "1"));
    silent!(b);
    assert!(b.layer.state(id).is_some());
}

#[test]
fn another_request_is_answered_from_memory() {
    let mut b = Side::new();
    let info = request("INFO", "1");
    hears!(b, info);
    let id = tells!(b, Step::Request { id, .. } => id);
    hears!(b, info);
    silent!(b);
    b.layer.respond(b.now, id, octets(&response(&info, 183))).expect("possible");
    sends!(b, "SIP/2.0 183");
    hears!(b, info);
    sends!(b, "SIP/2.0 183");
    b.layer.respond(b.now, id, octets(&response(&info, 404))).expect("possible");
    sends!(b, "SIP/2.0 404");
    hears!(b, info);
    sends!(b, "SIP/2.0 404");
    silent!(b);
    assert_eq!(b.layer.counters().absorbed, 3);
    fires!(b, J after 32_000);
    tells!(b, Step::Ended { .. });
    over!(b);
}

#[test]
fn a_second_final_response_is_an_error() {
    let mut b = Side::new();
    for (method, hop) in [("INVITE", udp()), ("INFO", udp())] {
        let text = request(method, "1");
        hears!(b, hop, text);
        let id = tells!(b, Step::Request { id, .. } => id);
        b.layer.respond(b.now, id, octets(&response(&text, 404))).expect("possible");
        assert!(matches!(b.layer.respond(b.now, id, octets(&response(&text, 200))), Err(Error::WrongState(_))));
        assert!(matches!(b.layer.respond(b.now, id, octets(&response(&text, 180))), Err(Error::WrongState(_))));
        sends!(b, "SIP/2.0 404");
        silent!(b);
    }
    let text = request("INFO", "2");
    hears!(b, tcp(1), text);
    let id = tells!(b, Step::Request { id, .. } => id);
    assert_eq!(b.layer.respond(b.now, id, octets(&text)), Err(Error::WrongKind));
    b.layer.respond(b.now, id, octets(&response(&text, 200))).expect("possible");
    assert_eq!(b.layer.respond(b.now, id, octets(&response(&text, 200))), Err(Error::Unknown));
}

#[test]
fn a_peer_of_rfc_2543_is_known_by_its_fields() {
    for via in ["SIP/2.0/UDP 192.0.2.2", "SIP/2.0/UDP 192.0.2.2;branch=1", "SIP/2.0/UDP 192.0.2.2;branch=z9hG4bK"] {
        let mut b = Side::new();
        let invite = request_via("INVITE", via);
        hears!(b, invite);
        let id = tells!(b, Step::Request { id, .. } => id);
        sends!(b, "SIP/2.0 100");
        hears!(b, invite);
        sends!(b, "SIP/2.0 100");
        silent!(b);
        for other in ["Call-ID: other", "CSeq: 2 INVITE"] {
            let name = &other[..5];
            let line = invite.lines().find(|line| line.starts_with(name)).expect("a line");
            hears!(b, invite.replace(line, other));
            tells!(b, Step::Request { .. });
            sends!(b, "SIP/2.0 100");
        }
        b.layer.respond(b.now, id, octets(&response(&invite, 486))).expect("possible");
        sends!(b, "SIP/2.0 486");
        let ack = request_via("ACK", via);
        hears!(b, ack);
        tells!(b, Step::Ack { .. });
        hears!(b, ack.replace("To: <sip:bob@example.com>", "To: <sip:bob@example.com>;tag=b"));
        silent!(b);
        fires!(b, I after 5000);
    }
}

#[test]
fn the_same_branch_with_another_sent_by_or_method_is_another_transaction() {
    let mut b = Side::new();
    hears!(b, request("INVITE", "1"));
    for other in [
        request("OPTIONS", "1"),
        request("INVITE", "2"),
        request("INVITE", "1").replace("192.0.2.2:5060", "192.0.2.2:5061"),
        request("INVITE", "1").replace("192.0.2.2:5060", "host.example"),
    ] {
        hears!(b, other);
    }
    assert_eq!(b.layer.len(), 5);
    hears!(b, request("INVITE", "1").replace("192.0.2.2:5060", "HOST.example"));
    hears!(b, request("INVITE", "1").replace("192.0.2.2:5060", "192.0.2.2"));
    assert_eq!(b.layer.len(), 5);
}
