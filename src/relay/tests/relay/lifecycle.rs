//! Ports open, close and fail.

use crate::world::*;
use ringfort_base::limits::STREAMS_TOLD_MAX;
use ringfort_base::{CallId, PortId};
use ringfort_media::plan::*;
use std::net::UdpSocket;

#[test]
fn a_taken_address_is_told() {
    let world = World::new();
    let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
    let rtp = taken.local_addr().unwrap();
    world.relay.command(RelayCommand::Open { port: A, call: CallId(1), rtp, rtcp: None, shared: false });
    let RelayEvent::OpenFailed { port: A, error } = world.event() else { panic!("told") };
    assert!(error.contains("in use"), "{error}");
    assert_eq!((world.relay.local(A), world.relay.open_ports()), (None, 0));

    let free = "127.0.0.1:0".parse().unwrap();
    world.relay.command(RelayCommand::Open { port: B, call: CallId(1), rtp: free, rtcp: Some(rtp), shared: false });
    assert!(matches!(world.event(), RelayEvent::OpenFailed { port: B, .. }), "both sockets or none");
}

#[test]
fn a_port_opens_once() {
    let world = World::new();
    let first = world.open_on("127.0.0.1:0", A, true);
    let second = world.open_on("127.0.0.1:0", A, true);
    assert!(matches!(world.event(), RelayEvent::OpenFailed { port: A, .. }));
    assert_eq!(first, second);
}

#[test]
fn closing_frees_the_address_and_counts_a_last_time() {
    let world = World::new();
    let (a, b) = (Peer::new(), Peer::new());
    let (pa, _) = world.call();
    world.plan(A, &plan(B, &a));
    world.plan(B, &plan(A, &b));
    a.rtp.send_to(&rtp(1, 1), pa.rtp).unwrap();
    assert_eq!(receive(&b.rtp), rtp(1, 1));
    assert!(matches!(world.event(), RelayEvent::Latched { port: A, .. }));
    world.relay.command(RelayCommand::Close { port: A });
    let RelayEvent::Counters { port: A, counters, last: true } = world.event() else { panic!("final counters") };
    assert_eq!((counters.rtp_in, counters.rtp_in_octets), (1, 172));
    UdpSocket::bind(pa.rtp).expect("free again");
    assert_eq!(world.relay.open_ports(), 1);
}

/// A peer that changes its source with each packet is told of so often and no more.
#[test]
fn streams_that_begin_are_told() {
    let world = World::new();
    let (a, b) = (Peer::new(), Peer::new());
    let (pa, pb) = world.call();
    world.plan(A, &plan(B, &a));
    world.plan(B, &plan(A, &b));
    for (ssrc, sequence) in [(1, 1), (1, 2), (2, 3)] {
        a.rtp.send_to(&rtp(ssrc, sequence), pa.rtp).unwrap();
        assert_eq!(receive(&b.rtp), rtp(ssrc, sequence));
    }
    b.rtp.send_to(&rtp(9, 1), pb.rtp).unwrap();
    assert_eq!([world.stream(), world.stream(), world.stream()], [(A, 1), (A, 2), (B, 9)]);
    for n in 0..2 * u32::from(STREAMS_TOLD_MAX) {
        a.rtp.send_to(&rtp(100 + n, 1), pa.rtp).unwrap();
        assert_eq!(receive(&b.rtp), rtp(100 + n, 1));
    }
    world.relay.command(RelayCommand::Close { port: A });
    let told = std::iter::from_fn(|| world.events.recv_timeout(PATIENCE).ok());
    let told = told.take_while(|event| !matches!(event, RelayEvent::Counters { port: A, last: true, .. }));
    let streams = told.filter(|event| matches!(event, RelayEvent::Stream { port: A, .. })).count();
    assert_eq!(streams, usize::from(STREAMS_TOLD_MAX) - 2);
}

/// What was sent to a port that is gone does not reach the one that took its place.
#[test]
fn the_destination_may_go_and_come() {
    let world = World::new();
    let (a, b) = (Peer::new(), Peer::new());
    let (pa, _) = world.call();
    world.plan(A, &plan(B, &a));
    world.plan(B, &plan(A, &b));
    a.rtp.send_to(&rtp(1, 1), pa.rtp).unwrap();
    assert_eq!(receive(&b.rtp), rtp(1, 1));

    world.relay.command(RelayCommand::Close { port: B });
    let other = PortId(3);
    world.open_on("127.0.0.1:0", other, true);
    world.plan(other, &plan(A, &b));
    a.rtp.send_to(&rtp(1, 2), pa.rtp).unwrap();
    world.counters(A, |c| c.discarded == 1);

    world.open_on("127.0.0.1:0", B, true);
    world.plan(B, &plan(A, &b));
    a.rtp.send_to(&rtp(1, 3), pa.rtp).unwrap();
    assert_eq!(receive(&b.rtp), rtp(1, 3));
}

#[test]
fn commands_for_ports_that_are_not_there_do_nothing() {
    let world = World::new();
    let peer = Peer::new();
    world.plan(A, &plan(B, &peer));
    world.relay.command(RelayCommand::Send { port: A, to: peer.address(), datagram: stun(1) });
    world.relay.command(RelayCommand::Close { port: A });
    assert_eq!(world.relay.positions(&[A]), vec![]);
    world.open_on("127.0.0.1:0", A, true);
    assert_eq!(world.counters(A, |_| true), PortCounters::default());
}

/// Sending where nobody listens brings ICMP errors back; they end nothing.
#[test]
fn a_peer_that_is_gone_does_no_harm() {
    let world = World::new();
    let (a, b) = (Peer::new(), Peer::new());
    let (pa, pb) = world.call();
    let gone = { Peer::new() }.address();
    world.plan(A, &plan(B, &a));
    let mut to_gone = plan(A, &b);
    to_gone.transmit.rtp = Some(gone);
    world.plan(B, &to_gone);
    for n in 0..20 {
        a.rtp.send_to(&rtp(1, n), pa.rtp).unwrap();
    }
    world.counters(B, |c| c.rtp_out + c.send_failed == 20);
    b.rtp.send_to(&rtp(2, 1), pb.rtp).unwrap();
    assert_eq!(receive(&a.rtp), rtp(2, 1));
}

/// The system refuses a destination: counted, and the packets around it pass.
#[test]
fn refused_sends_are_counted() {
    let world = World::new();
    let (a, b) = (Peer::new(), Peer::new());
    let (pa, pb) = world.call();
    world.plan(A, &plan(B, &a));
    let mut wrong_family = plan(A, &b);
    wrong_family.transmit.rtp = Some("[::1]:9".parse().unwrap());
    world.plan(B, &wrong_family);
    for n in 0..5 {
        a.rtp.send_to(&rtp(1, n), pa.rtp).unwrap();
    }
    assert_eq!(world.counters(B, |c| c.send_failed == 5).rtp_out, 0);
    let mut nowhere = plan(A, &b);
    nowhere.transmit.rtp = None;
    world.plan(B, &nowhere);
    a.rtp.send_to(&rtp(1, 6), pa.rtp).unwrap();
    world.counters(B, |c| c.send_failed == 6);
    b.rtp.send_to(&rtp(2, 1), pb.rtp).unwrap();
    a.rtp.send_to(&rtp(1, 7), pa.rtp).unwrap();
    assert_eq!(receive(&b.rtp), rtp(1, 7), "latched since");
}

#[test]
fn ports_close_while_packets_pour_in() {
    let world = World::new();
    let (a, b) = (Peer::new(), Peer::new());
    for round in 0..20 {
        let (port_a, port_b) = (PortId(100 + 2 * round), PortId(101 + 2 * round));
        let pa = world.open_on("127.0.0.1:0", port_a, true);
        world.open_on("127.0.0.1:0", port_b, true);
        world.plan(port_a, &plan(port_b, &a));
        world.plan(port_b, &plan(port_a, &b));
        for n in 0..100 {
            a.rtp.send_to(&rtp(1, n), pa.rtp).unwrap();
            if n == 50 {
                world.relay.command(RelayCommand::Close { port: if round % 2 == 0 { port_a } else { port_b } });
            }
        }
        world.relay.command(RelayCommand::Close { port: port_a });
        world.relay.command(RelayCommand::Close { port: port_b });
    }
    let last = |event: &RelayEvent| matches!(event, RelayEvent::Counters { last: true, .. });
    let mut closed = 0;
    while closed < 40 {
        closed += usize::from(last(&world.event()));
    }
    assert_eq!(world.relay.open_ports(), 0);
}

#[test]
fn dropping_the_relay_ends_it_with_ports_open() {
    let world = World::new();
    let (pa, pb) = world.call();
    drop(world);
    for address in [pa.rtp, pb.rtp] {
        UdpSocket::bind(address).expect("free again");
    }
}
