//! A port goes from one call to another, and so from one worker to another.

use crate::world::*;
use ringfort_base::{CallId, PortId};
use ringfort_media::plan::*;

const C: PortId = PortId(3);

/// The call of another worker than call 7: all that is there are tried.
fn calls() -> impl Iterator<Item = CallId> {
    (8..16).map(CallId)
}

fn open_in(world: &World, port: PortId, call: CallId) -> std::net::SocketAddr {
    let rtp = "127.0.0.1:0".parse().unwrap();
    world.relay.command(RelayCommand::Open { port, call, rtp, rtcp: Some(rtp), shared: false });
    world.relay.local(port).expect("the port is open").rtp
}

#[test]
fn a_port_moves_with_its_latch_and_counters() {
    for call in calls() {
        let world = World::new();
        let (a, b, c, stranger) = (Peer::new(), Peer::new(), Peer::new(), Peer::new());
        let (pa, _) = world.call();
        world.plan(A, &plan(B, &a));
        world.plan(B, &plan(A, &b));
        a.rtp.send_to(&rtp(1, 1), pa.rtp).unwrap();
        assert_eq!(receive(&b.rtp), rtp(1, 1));
        let pc = open_in(&world, C, call);
        world.relay.command(RelayCommand::Move { port: A, call });
        assert_eq!(world.relay.local(A), Some(pa), "the same sockets");
        world.plan(A, &plan(C, &a));
        world.plan(C, &plan(A, &c));
        stranger.rtp.send_to(&rtp(9, 1), pa.rtp).unwrap();
        a.rtp.send_to(&rtp(1, 2), pa.rtp).unwrap();
        assert_eq!(receive(&c.rtp), rtp(1, 2), "{call:?}");
        c.rtp.send_to(&rtp(2, 1), pc).unwrap();
        assert_eq!(receive(&a.rtp), rtp(2, 1));
        let counters = world.counters(A, |c| c.rtp_out == 1);
        assert_eq!((counters.rtp_in, counters.stray_source), (2, 1));
        world.relay.command(RelayCommand::Close { port: A });
        world.relay.command(RelayCommand::Close { port: B });
        world.relay.command(RelayCommand::Close { port: C });
        assert_eq!(world.relay.open_ports(), 0);
    }
}

/// Neither roll-over counters nor replay windows begin anew: what was heard before is not taken again.
#[test]
fn keys_go_on_after_a_move() {
    let profile = SrtpProfile::AeadAes128Gcm;
    for call in calls() {
        let world = World::new();
        let (a, b) = (Peer::new(), Peer::new());
        let (pa, _) = world.call();
        let mut secured = plan(B, &a);
        secured.receive.srtp = Some(keys(profile, 1));
        world.plan(A, &secured);
        world.plan(B, &plan(A, &b));
        let mut sender = ringfort_media::srtp::SrtpSender::new(&keys(profile, 1)).unwrap();
        let mut packet = |sequence| {
            let (mut buffer, len) = (rtp(1, sequence), rtp(1, sequence).len());
            buffer.resize(len + ringfort_base::limits::SRTP_TRAILER_MAX, 0);
            let len = sender.protect_rtp(&mut buffer, len).unwrap();
            buffer.truncate(len);
            buffer
        };
        let first = packet(1);
        a.rtp.send_to(&first, pa.rtp).unwrap();
        assert_eq!(receive(&b.rtp), rtp(1, 1));
        world.relay.command(RelayCommand::Move { port: A, call });
        world.relay.command(RelayCommand::Move { port: B, call });
        a.rtp.send_to(&first, pa.rtp).unwrap();
        a.rtp.send_to(&packet(2), pa.rtp).unwrap();
        assert_eq!(receive(&b.rtp), rtp(1, 2), "{call:?}: both ports moved, their plans with them");
        assert_eq!(world.counters(A, |c| c.rtp_in == 2).replayed, 1);
    }
}

#[test]
fn ports_move_while_packets_pour_in() {
    let world = World::new();
    let (a, b) = (Peer::new(), Peer::new());
    let (pa, _) = world.call();
    world.plan(A, &plan(B, &a));
    world.plan(B, &plan(A, &b));
    for n in 0..200 {
        a.rtp.send_to(&rtp(1, n), pa.rtp).unwrap();
        world.relay.command(RelayCommand::Move { port: A, call: CallId(n.into()) });
        world.relay.command(RelayCommand::Move { port: B, call: CallId(n.into()) });
    }
    a.rtp.send_to(&rtp(1, 500), pa.rtp).unwrap();
    while receive(&b.rtp) != rtp(1, 500) {}
    world.relay.command(RelayCommand::Move { port: PortId(99), call: CallId(1) });
    assert_eq!(world.relay.open_ports(), 2);
}
