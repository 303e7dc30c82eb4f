//! Where messages go, and what happens when the way breaks: RFC 3261 18.2.2, 18.4, RFC 3581.

use crate::bench::{Side, octets, request, request_via, response, tcp, udp};
use ringfort_base::{FlowId, Hop, Transport};
use ringfort_sip::HeaderName;
use ringfort_sip::transaction::{ClientFailure, Step};

fn from(port: u16) -> Hop {
    Hop::to(Transport::Udp, format!("198.51.100.7:{port}").parse().expect("an address"))
}

#[test]
fn rport_brings_the_response_through_the_nat() {
    let mut b = Side::new();
    hears!(b, from(40_001), request_via("OPTIONS", "SIP/2.0/UDP 10.0.0.1:5060;rport;branch=z9hG4bK1"));
    let (id, request) = tells!(b, Step::Request { id, message, .. } => (id, message));
    let via = request.header(HeaderName::Via).expect("a Via").to_owned();
    assert!(via.contains(";received=198.51.100.7") && via.contains(";rport=40001"), "{via}");
    let reply = ringfort_sip::Builder::reply(&request, 200, None, Some("b")).build();
    b.layer.respond(b.now, id, reply).expect("possible");
    let (hop, ok) = sends!(b, "SIP/2.0 200");
    assert_eq!((hop.remote, ok.header(HeaderName::Via)), (from(40_001).remote, Some(via.as_str())));
}

#[test]
fn without_rport_it_goes_to_the_port_of_sent_by() {
    for (sent_by, port) in [("10.0.0.1:5070", 5070), ("10.0.0.1", 5060), ("phone.example:0005080", 5080)] {
        let mut b = Side::new();
        hears!(b, from(40_001), request_via("INVITE", &format!("SIP/2.0/UDP {sent_by};branch=z9hG4bK1;maddr=203.0.113.5")));
        tells!(b, Step::Request { hop, .. } => assert_eq!(hop, from(40_001)));
        let (hop, trying) = sends!(b, "SIP/2.0 100");
        assert_eq!(hop.remote, from(port).remote);
        assert_eq!(trying.top_via().expect("a Via").received, Some("198.51.100.7"));
    }
}

#[test]
fn a_closed_connection_fails_the_requests_on_it_and_no_others() {
    let mut a = Side::new();
    let ids: Vec<_> = [1, 1, 2, 1]
        .iter()
        .zip(["INVITE", "OPTIONS", "OPTIONS", "INVITE"])
        .enumerate()
        .map(|(n, (flow, method))| a.layer.request(a.now, tcp(*flow), octets(&request(method, &n.to_string()))).expect("begun"))
        .collect();
    (0..4).for_each(|_| drop(sends!(a, "")));
    hears!(a, tcp(1), response(&request("INVITE", "0"), 180));
    tells!(a, Step::Response { .. });
    hears!(a, tcp(1), response(&request("INVITE", "3"), 200));
    tells!(a, Step::Response { .. });
    a.layer.flow_closed(a.now, FlowId(1));
    for expected in [ids[0], ids[1]] {
        tells!(a, Step::Failed { id, cause: ClientFailure::Transport } => assert_eq!(id, expected));
        tells!(a, Step::Ended { .. });
    }
    silent!(a);
    assert!(a.layer.state(ids[2]).is_some() && a.layer.state(ids[3]).is_some());
    a.layer.flow_closed(a.now, FlowId(9));
    silent!(a);
}

#[test]
fn a_request_fails_when_its_peer_cannot_be_reached() {
    let mut a = Side::new();
    let unopened = Hop { flow: None, ..tcp(0) };
    let id = a.layer.request(a.now, unopened, octets(&request("OPTIONS", "1"))).expect("begun");
    a.layer.request(a.now, udp(), octets(&request("OPTIONS", "2"))).expect("begun");
    (0..2).for_each(|_| drop(sends!(a, "OPTIONS")));
    a.layer.transport_failed(a.now, unopened);
    tells!(a, Step::Failed { id: failed, cause: ClientFailure::Transport } => assert_eq!(failed, id));
    tells!(a, Step::Ended { .. });
    silent!(a);
    a.layer.transport_failed(a.now, udp());
    tells!(a, Step::Failed { .. });
}

#[test]
fn what_follows_a_request_goes_by_the_connection_that_was_opened_for_it() {
    let mut a = Side::new();
    let invite = request("INVITE", "1");
    let id = a.layer.request(a.now, Hop { flow: None, ..tcp(0) }, octets(&invite)).expect("begun");
    sends!(a, "INVITE");
    hears!(a, tcp(8), response(&invite, 180));
    tells!(a, Step::Response { .. });
    a.layer.cancel(a.now, id, &[]).expect("an INVITE");
    let (hop, _) = sends!(a, "CANCEL");
    assert_eq!(hop.flow, Some(FlowId(8)));
    a.layer.flow_closed(a.now, FlowId(8));
    tells!(a, Step::Failed { id: failed, .. } => assert_eq!(failed, id));
}

#[test]
fn an_icmp_error_does_not_end_what_we_serve() {
    let mut b = Side::new();
    let invite = request("INVITE", "1");
    hears!(b, invite);
    let id = tells!(b, Step::Request { id, .. } => id);
    b.layer.respond(b.now, id, octets(&response(&invite, 486))).expect("possible");
    sends!(b, "SIP/2.0 486");
    b.layer.transport_failed(b.now, udp());
    silent!(b);
    fires!(b, G after 500);
    sends!(b, "SIP/2.0 486");
}

#[test]
fn a_response_opens_a_new_connection_when_its_own_is_closed() {
    let mut b = Side::new();
    let source = Hop { remote: "192.0.2.2:49152".parse().expect("an address"), ..tcp(1) };
    let invite = request("INVITE", "1");
    hears!(b, source, invite);
    let id = tells!(b, Step::Request { id, .. } => id);
    let (hop, _) = sends!(b, "SIP/2.0 100");
    assert_eq!(hop, source);
    b.layer.flow_closed(b.now, FlowId(1));
    b.layer.respond(b.now, id, octets(&response(&invite, 200))).expect("possible");
    let (hop, _) = sends!(b, "SIP/2.0 200");
    assert_eq!((hop.flow, hop.remote.to_string().as_str()), (None, "192.0.2.2:5060"));
}

#[test]
fn a_2xx_is_not_repeated_into_a_closed_connection() {
    let mut b = Side::new();
    let invite = request("INVITE", "1");
    hears!(b, tcp(1), invite);
    let id = tells!(b, Step::Request { id, .. } => id);
    b.layer.respond(b.now, id, octets(&response(&invite, 200))).expect("possible");
    sends!(b, "SIP/2.0 200");
    b.layer.flow_closed(b.now, FlowId(1));
    fires!(b, AckWait after 32_000);
    tells!(b, Step::NoAck { .. });
    tells!(b, Step::Ended { .. });
    over!(b);
}

#[test]
fn a_browser_is_answered_again_when_it_comes_back() {
    let mut b = Side::new();
    let ws = |flow: u64, ip: &str| Hop {
        transport: Transport::Wss,
        remote: format!("{ip}:50000").parse().expect("an address"),
        ..tcp(flow)
    };
    let bye = request_via("BYE", "SIP/2.0/WSS df7jal23ls0d.invalid;branch=z9hG4bK1");
    hears!(b, ws(1, "192.0.2.2"), bye);
    let id = tells!(b, Step::Request { id, .. } => id);
    b.layer.respond(b.now, id, octets(&response(&bye, 100))).expect("possible");
    sends!(b, "SIP/2.0 100");
    b.layer.flow_closed(b.now, FlowId(1));
    hears!(b, ws(3, "203.0.113.66"), bye);
    silent!(b);
    hears!(b, ws(2, "192.0.2.2"), bye);
    let (hop, _) = sends!(b, "SIP/2.0 100");
    assert_eq!(hop.flow, Some(FlowId(2)));
    b.layer.respond(b.now, id, octets(&response(&bye, 200))).expect("possible");
    let (hop, _) = sends!(b, "SIP/2.0 200");
    assert_eq!(hop.flow, Some(FlowId(2)));
}

#[test]
fn whoever_knows_a_branch_cannot_have_the_answers_sent_to_himself() {
    let mut b = Side::new();
    let register = request("REGISTER", "1");
    hears!(b, tcp(1), register);
    let id = tells!(b, Step::Request { id, .. } => id);
    let thief = Hop { remote: "203.0.113.66:5060".parse().expect("an address"), ..tcp(66) };
    hears!(b, thief, register);
    b.layer.respond(b.now, id, octets(&response(&register, 200))).expect("possible");
    let (hop, _) = sends!(b, "SIP/2.0 200");
    assert_eq!(hop, tcp(1));
}

/// RFC 5626 4.3: a device that comes back by another connection gets there what waited for it.
#[test]
fn what_waits_for_a_device_follows_it_to_its_new_connection() {
    let mut a = Side::new();
    let within = |method: &str, n: &str| octets(&request(method, n)).to_vec();
    let tagged = |method: &str, n: &str| {
        let text = String::from_utf8(within(method, n)).expect("text");
        let to = text.lines().find(|line| line.starts_with("To:")).expect("a To").to_string();
        bytes::Bytes::from(text.replace(&to, &format!("{to};tag=x")))
    };
    let before = a.layer.request(a.now, tcp(1), tagged("OPTIONS", "1")).expect("begun");
    let new = a.layer.request(a.now, tcp(1), octets(&request("INVITE", "2"))).expect("begun");
    (0..2).for_each(|_| drop(sends!(a, "")));
    a.layer.hold(a.now, FlowId(1));
    // Another target may take a call; nobody else can take what belongs to a dialog.
    tells!(a, Step::Failed { id, cause: ClientFailure::Transport } => assert_eq!(id, new));
    tells!(a, Step::Ended { .. });
    let bye = a.layer.request(a.now, tcp(1), tagged("BYE", "3")).expect("begun");
    silent!(a);
    assert_eq!(a.layer.next_timeout(), ringfort_base::Time::NEVER);
    a.layer.moved(a.now, FlowId(1), tcp(2));
    let mut sent = [sends!(a, ""), sends!(a, "")].map(|(hop, message)| (hop.flow, message.method().to_string()));
    sent.sort();
    assert_eq!(sent, [(Some(FlowId(2)), "BYE".to_string()), (Some(FlowId(2)), "OPTIONS".to_string())]);
    assert!(a.layer.state(before).is_some() && a.layer.state(bye).is_some());
    fires!(a, F after 32_000);
    tells!(a, Step::Failed { .. });
}

#[test]
fn an_answer_waits_for_a_device_too() {
    let mut b = Side::new();
    hears!(b, tcp(1), request("INVITE", "1"));
    let id = tells!(b, Step::Request { id, .. } => id);
    sends!(b, "SIP/2.0 100");
    b.layer.hold(b.now, FlowId(1));
    b.layer.respond(b.now, id, octets(&response(&request("INVITE", "1"), 486))).expect("possible");
    silent!(b);
    b.layer.moved(b.now, FlowId(1), tcp(2));
    let (hop, _) = sends!(b, "SIP/2.0 486");
    assert_eq!(hop.flow, Some(FlowId(2)));
}

/// A large request goes by TCP; where nobody takes TCP it goes by UDP, from another of the node's ports, which the response bears.
#[test]
fn a_request_that_takes_the_other_way_meets_its_response() {
    let mut a = Side::new();
    let worded = |sent_by: &str| request_via("INVITE", &format!("SIP/2.0/{sent_by};branch=z9hG4bK1"));
    let (by_tcp, by_udp) = (worded("TCP 192.0.2.1:5070"), worded("UDP 192.0.2.1:5060"));
    let unopened = Hop { flow: None, ..tcp(0) };
    let id = a.layer.request_or(a.now, unopened, octets(&by_tcp), (udp(), octets(&by_udp))).expect("begun");
    sends!(a, "INVITE");
    a.layer.transport_failed(a.now, unopened);
    let (hop, _) = sends!(a, "INVITE");
    assert_eq!(hop, udp());
    hears!(a, response(&by_udp, 486));
    sends!(a, "ACK");
    tells!(a, Step::Response { id: answered, .. } => assert_eq!(answered, id));
    a.run_out();
    over!(a);
}
