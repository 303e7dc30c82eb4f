//! STUN and DTLS between a port and the core.

use crate::world::*;
use ringfort_base::limits::CONTROL_PER_SECOND_MAX;
use ringfort_media::plan::*;

/// As of a leg with ICE or DTLS.
fn controlled(to: ringfort_base::PortId, peer: &Peer) -> FlowPlan {
    let mut plan = plan(to, peer);
    plan.receive.control = true;
    plan
}

#[test]
fn stun_and_dtls_go_up_and_answers_down() {
    let world = World::new();
    let a = Peer::new();
    let pa = world.open_on("127.0.0.1:0", A, false);
    world.plan(A, &controlled(B, &a));
    let dtls = vec![22, 0xfe, 0xfd, 0, 0, 0, 0];
    for datagram in [stun(1), dtls] {
        a.rtp.send_to(&datagram, pa.rtp).unwrap();
        assert_eq!(world.event(), RelayEvent::Control { port: A, from: a.address(), datagram });
    }
    world.relay.command(RelayCommand::Send { port: A, to: a.address(), datagram: stun(2) });
    assert_eq!(receive_from(&a.rtp), (stun(2), pa.rtp));
    assert_eq!(world.counters(A, |_| true).control_in, 2);
}

/// Where nobody speaks ICE or DTLS the core hears nothing of such datagrams.
#[test]
fn a_plain_leg_has_no_control() {
    let world = World::new();
    let (a, b) = (Peer::new(), Peer::new());
    let (pa, pb) = world.call();
    world.plan(A, &plan(B, &a));
    for to in [pa.rtp, pb.rtp] {
        a.rtp.send_to(&stun(1), to).unwrap();
    }
    b.rtp.send_to(&[22, 0xfe, 0xfd, 0, 0, 0, 0], pa.rtp).unwrap();
    assert_eq!(world.counters(A, |c| c.control_dropped == 2).control_in, 0);
    assert_eq!(world.counters(B, |c| c.control_dropped == 1).control_in, 0, "nor is there any without a plan");
}

/// ICE checks come from other addresses than the latched one.
#[test]
fn control_does_not_depend_on_the_latch() {
    let world = World::new();
    let (a, other) = (Peer::new(), Peer::new());
    let pa = world.open_on("127.0.0.1:0", A, false);
    let mut exact = controlled(B, &a);
    exact.receive.latch = Latch::Exact(a.address());
    world.plan(A, &exact);
    other.rtp.send_to(&stun(1), pa.rtp).unwrap();
    assert_eq!(world.event(), RelayEvent::Control { port: A, from: other.address(), datagram: stun(1) });
}

#[test]
fn a_flood_of_control_is_bounded_and_media_goes_on() {
    let world = World::new();
    let (a, b, flooder) = (Peer::new(), Peer::new(), Peer::new());
    let (pa, _) = world.call();
    world.plan(A, &controlled(B, &a));
    world.plan(B, &plan(A, &b));
    for _ in 0..20 {
        for n in 0..50 {
            flooder.rtp.send_to(&stun(n), pa.rtp).unwrap();
        }
        a.rtp.send_to(&rtp(1, 1), pa.rtp).unwrap();
        assert_eq!(receive(&b.rtp), rtp(1, 1));
    }
    let counters = world.counters(A, |c| c.control_in + c.control_dropped == 1000);
    // The flood may lie across the end of a second, or of several on a busy machine.
    assert_eq!(counters.control_in % u64::from(CONTROL_PER_SECOND_MAX), 0);
    assert!(counters.control_dropped > 0);
}

/// A core that does not listen costs control datagrams, which peers repeat; the rest waits for it.
#[test]
fn a_full_queue_drops_control_and_keeps_the_rest() {
    let world = World::with_queue(1);
    let (a, b) = (Peer::new(), Peer::new());
    let (pa, _) = world.call();
    world.plan(A, &controlled(B, &a));
    world.plan(B, &plan(A, &b));
    a.rtp.send_to(&stun(1), pa.rtp).unwrap();
    a.rtp.send_to(&rtp(1, 1), pa.rtp).unwrap();
    assert_eq!(receive(&b.rtp), rtp(1, 1));
    for n in 2..7 {
        a.rtp.send_to(&stun(n), pa.rtp).unwrap();
    }
    a.rtp.send_to(&rtp(1, 2), pa.rtp).unwrap();
    assert_eq!(receive(&b.rtp), rtp(1, 2));
    world.relay.command(RelayCommand::Close { port: A });
    assert_eq!(world.event(), RelayEvent::Control { port: A, from: a.address(), datagram: stun(1) });
    assert_eq!(world.event(), RelayEvent::Latched { port: A, component: Component::Rtp, source: a.address() });
    let RelayEvent::Counters { port: A, counters, last: true } = world.event() else { panic!("final counters") };
    assert_eq!((counters.control_in, counters.control_dropped, counters.rtp_in), (1, 5, 2));
}
