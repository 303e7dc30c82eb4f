//! Client transactions: RFC 3261 17.1, RFC 6026 7.2.

use crate::bench::{Side, octets, request, response, response_tagged, tcp, udp};
use ringfort_sip::transaction::{ClientFailure, Error, Step};
use ringfort_sip::{HeaderName, Method};

#[test]
fn an_invite_that_nobody_answers_is_repeated_and_given_up() {
    let mut a = Side::new();
    let id = a.layer.request(a.now, udp(), octets(&request("INVITE", "1"))).expect("begun");
    sends!(a, "INVITE");
    for pause in [500, 1000, 2000, 4000, 8000, 16000] {
        fires!(a, A after pause);
        sends!(a, "INVITE");
        silent!(a);
    }
    fires!(a, B after 500);
    tells!(a, Step::Failed { id: failed, cause: ClientFailure::Timeout } => assert_eq!(failed, id));
    tells!(a, Step::Ended { .. });
    over!(a);
    assert_eq!((a.layer.counters().retransmitted, a.layer.counters().timed_out), (6, 1));
}

#[test]
fn an_accepted_invite_hands_on_every_2xx() {
    let mut a = Side::new();
    let invite = request("INVITE", "1");
    let id = a.layer.request(a.now, udp(), octets(&invite)).expect("begun");
    sends!(a, "INVITE");
    for status in [100, 180, 183] {
        hears!(a, response(&invite, status));
        tells!(a, Step::Response { id: of, message, .. } => assert_eq!((of, message.status()), (id, Some(status))));
    }
    assert!(a.layer.next_wake().is_none(), "how long it may ring is the call's decision");
    for tag in ["b", "b", "fork"] {
        hears!(a, response_tagged(&invite, 200, tag));
        tells!(a, Step::Response { id: of, .. } => assert_eq!(of, id));
    }
    hears!(a, response(&invite, 180));
    hears!(a, response_tagged(&invite, 486, "fork2"));
    silent!(a);
    fires!(a, M after 32_000);
    tells!(a, Step::Ended { .. });
    over!(a);
    hears!(a, response(&invite, 200));
    tells!(a, Step::StrayResponse { .. });
}

#[test]
fn a_refused_invite_is_acked_by_the_layer() {
    let mut a = Side::new();
    let invite = request("INVITE", "1");
    a.layer.request(a.now, udp(), octets(&invite)).expect("begun");
    sends!(a, "INVITE");
    hears!(a, response(&invite, 486));
    let (hop, ack) = sends!(a, "ACK sip:bob@example.com SIP/2.0\r\n");
    assert_eq!(hop, udp());
    assert_eq!(ack.values(HeaderName::Via).collect::<Vec<_>>(), ["SIP/2.0/UDP 192.0.2.2:5060;branch=z9hG4bK1"]);
    assert_eq!(ack.values(HeaderName::Route).collect::<Vec<_>>(), ["<sip:p1;lr>", "<sip:p2;lr>", "<sip:p3;lr>"]);
    assert_eq!(ack.header(HeaderName::From), Some("<sip:alice@example.com>;tag=a"));
    assert_eq!(ack.header(HeaderName::To), Some("<sip:bob@example.com>;tag=b"));
    assert_eq!((ack.call_id(), ack.cseq()), (Ok("call"), Ok((1, Method::Ack))));
    assert_eq!((ack.max_forwards(), ack.header(HeaderName::Require)), (Ok(Some(70)), None));
    tells!(a, Step::Response { message, .. } => assert_eq!(message.status(), Some(486)));
    for _ in 0..3 {
        hears!(a, response(&invite, 486));
        let (_, again) = sends!(a, "ACK");
        assert_eq!(again.octets(), ack.octets());
    }
    hears!(a, response(&invite, 200));
    silent!(a);
    fires!(a, D after 32_000);
    tells!(a, Step::Ended { .. });
    over!(a);
}

#[test]
fn reliable_transports_repeat_nothing_and_absorb_nothing() {
    let mut a = Side::new();
    for (method, status) in [("INVITE", 486), ("OPTIONS", 200), ("REGISTER", 401)] {
        let text = request(method, "1");
        a.layer.request(a.now, tcp(1), octets(&text)).expect("begun");
        sends!(a, method);
        hears!(a, tcp(1), response(&text, 100));
        tells!(a, Step::Response { .. });
        hears!(a, tcp(1), response(&text, status));
        if method == "INVITE" {
            sends!(a, "ACK");
        }
        tells!(a, Step::Response { .. });
        tells!(a, Step::Ended { .. });
        over!(a);
    }
    let id = a.layer.request(a.now, tcp(1), octets(&request("INVITE", "2"))).expect("begun");
    sends!(a, "INVITE");
    fires!(a, B after 32_000);
    tells!(a, Step::Failed { id: failed, .. } => assert_eq!(failed, id));
}

#[test]
fn another_request_is_repeated_up_to_t2() {
    let mut a = Side::new();
    a.layer.request(a.now, udp(), octets(&request("OPTIONS", "1"))).expect("begun");
    sends!(a, "OPTIONS");
    for pause in [500, 1000, 2000, 4000, 4000, 4000, 4000, 4000, 4000, 4000] {
        fires!(a, E after pause);
        sends!(a, "OPTIONS");
    }
    fires!(a, F after 500);
    tells!(a, Step::Failed { cause: ClientFailure::Timeout, .. });
    tells!(a, Step::Ended { .. });
    over!(a);
}

#[test]
fn a_provisional_response_slows_repeats_down_but_does_not_stop_them() {
    let mut a = Side::new();
    let options = request("OPTIONS", "1");
    a.layer.request(a.now, udp(), octets(&options)).expect("begun");
    sends!(a, "OPTIONS");
    hears!(a, response(&options, 100));
    tells!(a, Step::Response { .. });
    fires!(a, E after 500);
    sends!(a, "OPTIONS");
    fires!(a, E after 4000);
    sends!(a, "OPTIONS");
    hears!(a, response(&options, 200));
    tells!(a, Step::Response { .. });
    hears!(a, response(&options, 200));
    silent!(a);
    fires!(a, K after 5000);
    tells!(a, Step::Ended { .. });
    over!(a);
}

#[test]
fn a_response_finds_its_request_by_branch_sent_by_and_method() {
    let mut a = Side::new();
    let options = request("OPTIONS", "1");
    a.layer.request(a.now, udp(), octets(&options)).expect("begun");
    sends!(a, "OPTIONS");
    for wrong in [
        response(&request("OPTIONS", "2"), 200),
        response(&options, 200).replace("192.0.2.2:5060", "192.0.2.2:5070"),
        response(&options, 200).replace("192.0.2.2:5060", "192.0.2.3"),
        response(&options, 200).replace("1 OPTIONS", "1 INVITE"),
        response(&options, 200).replace("z9hG4bK1", "1"),
        response(&options, 200).replace(";branch=z9hG4bK1", ""),
    ] {
        hears!(a, wrong);
        tells!(a, Step::StrayResponse { .. });
    }
    assert_eq!(a.layer.counters().stray, 6);
    // The default port may be left out.
    hears!(a, response(&options, 200).replace("192.0.2.2:5060", "192.0.2.2"));
    tells!(a, Step::Response { .. });
}

#[test]
fn what_is_no_request_with_a_branch_of_its_own_is_refused() {
    let mut a = Side::new();
    let options = request("OPTIONS", "1");
    let mut try_it = |text: &str| a.layer.request(a.now, udp(), octets(text)).err();
    assert_eq!(try_it(&options), None);
    assert_eq!(try_it(&options), Some(Error::BranchInUse));
    assert_eq!(try_it(&request("ACK", "2")), Some(Error::WrongKind));
    assert_eq!(try_it(&response(&options, 200)), Some(Error::WrongKind));
    assert!(matches!(try_it("nonsense"), Some(Error::Parse(_))));
    assert!(matches!(try_it(&options.replace("z9hG4bK1", "z9hG4bK")), Some(Error::Header(_))));
    assert!(matches!(try_it(&options.replace(";branch=z9hG4bK1", "")), Some(Error::Header(_))));
}
