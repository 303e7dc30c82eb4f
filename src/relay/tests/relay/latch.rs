//! Symmetric latching and the lock against strays ("RTP bleed").

use crate::world::*;
use ringfort_media::plan::*;

#[test]
fn the_first_source_locks_and_is_answered() {
    let world = World::new();
    let (nat, told, stray, b) = (Peer::new(), Peer::new(), Peer::new(), Peer::new());
    let (pa, pb) = world.call();
    world.plan(A, &plan(B, &told));
    world.plan(B, &plan(A, &b));
    b.rtp.send_to(&rtp(2, 1), pb.rtp).unwrap();
    assert_eq!(receive(&told.rtp), rtp(2, 1), "before the latch: the address in the SDP");
    assert_eq!(world.event(), RelayEvent::Latched { port: B, component: Component::Rtp, source: b.address() });

    nat.rtp.send_to(&rtp(1, 1), pa.rtp).unwrap();
    assert_eq!(receive(&b.rtp), rtp(1, 1));
    assert_eq!(world.event(), RelayEvent::Latched { port: A, component: Component::Rtp, source: nat.address() });
    b.rtp.send_to(&rtp(2, 2), pb.rtp).unwrap();
    assert_eq!(receive(&nat.rtp), rtp(2, 2), "after the latch: where the peer sends from");

    for n in 0..20 {
        stray.rtp.send_to(&rtp(9, n), pa.rtp).unwrap();
    }
    world.counters(A, |c| c.stray_source == 20);
    nat.rtp.send_to(&rtp(1, 2), pa.rtp).unwrap();
    assert_eq!(receive(&b.rtp), rtp(1, 2), "nothing of the stray came through");
    b.rtp.send_to(&rtp(2, 3), pb.rtp).unwrap();
    assert_eq!(receive(&nat.rtp), rtp(2, 3), "nor was the answer drawn away");
}

#[test]
fn an_identical_latch_keeps_the_lock_and_another_does_not() {
    let world = World::new();
    let (a, stray, b) = (Peer::new(), Peer::new(), Peer::new());
    let (pa, _) = world.call();
    world.plan(A, &plan(B, &a));
    world.plan(B, &plan(A, &b));
    a.rtp.send_to(&rtp(1, 1), pa.rtp).unwrap();
    assert_eq!(receive(&b.rtp), rtp(1, 1));
    world.plan(A, &plan(B, &a));
    stray.rtp.send_to(&rtp(9, 1), pa.rtp).unwrap();
    world.counters(A, |c| c.stray_source == 1);

    let mut moved = plan(B, &a);
    moved.receive.latch = Latch::Symmetric { expected: Some(stray.address()), grace_ms: 1000 };
    world.plan(A, &moved);
    stray.rtp.send_to(&rtp(9, 2), pa.rtp).unwrap();
    assert_eq!(receive(&b.rtp), rtp(9, 2), "a re-INVITE moved the peer");
}

/// Loopback has more addresses than one, so a stranger has another host's.
#[test]
fn during_grace_only_the_expected_host_latches() {
    let world = World::new();
    let (stranger, a, b) = (Peer::on("127.0.0.2:0"), Peer::new(), Peer::new());
    let (pa, _) = world.call();
    let mut graced = plan(B, &a);
    graced.receive.latch = Latch::Symmetric { expected: Some("127.0.0.1:9".parse().unwrap()), grace_ms: 60_000 };
    world.plan(A, &graced);
    world.plan(B, &plan(A, &b));
    stranger.rtp.send_to(&rtp(9, 1), pa.rtp).unwrap();
    world.counters(A, |c| c.stray_source == 1);
    a.rtp.send_to(&rtp(1, 1), pa.rtp).unwrap();
    assert_eq!(receive(&b.rtp), rtp(1, 1), "the host counts, not the port");
}

#[test]
fn after_grace_whoever_speaks_first_latches() {
    let world = World::new();
    let (stranger, a, b) = (Peer::on("127.0.0.2:0"), Peer::new(), Peer::new());
    let (pa, _) = world.call();
    let mut graced = plan(B, &a);
    graced.receive.latch = Latch::Symmetric { expected: Some(a.address()), grace_ms: 0 };
    world.plan(A, &graced);
    world.plan(B, &plan(A, &b));
    stranger.rtp.send_to(&rtp(9, 1), pa.rtp).unwrap();
    assert_eq!(receive(&b.rtp), rtp(9, 1));
}

/// A forged packet must not win the lock: with keys only an authentic one does.
#[test]
fn with_keys_only_authentic_packets_lock() {
    let world = World::new();
    let (stray, a, b) = (Peer::new(), Peer::new(), Peer::new());
    let (pa, _) = world.call();
    let key = keys(SrtpProfile::Aes128CmSha1_80, 3);
    let mut secure = plan(B, &a);
    secure.receive.srtp = Some(key.clone());
    world.plan(A, &secure);
    world.plan(B, &plan(A, &b));
    let mut forged = rtp(1, 1);
    forged.extend([0; 10]);
    stray.rtp.send_to(&forged, pa.rtp).unwrap();
    world.counters(A, |c| c.auth_failed == 1);

    let mut sender = ringfort_media::srtp::SrtpSender::new(&key).unwrap();
    let mut buffer = [rtp(1, 1), vec![0; 32]].concat();
    let len = sender.protect_rtp(&mut buffer, 172).unwrap();
    a.rtp.send_to(&buffer[..len], pa.rtp).unwrap();
    assert_eq!(receive(&b.rtp), rtp(1, 1));
    assert_eq!(world.event(), RelayEvent::Latched { port: A, component: Component::Rtp, source: a.address() });
}

#[test]
fn rtcp_latches_on_the_host_of_rtp() {
    let world = World::new();
    let (a, b, stranger) = (Peer::new(), Peer::new(), Peer::on("127.0.0.2:0"));
    let (pa, _) = world.call();
    world.plan(A, &plan(B, &a));
    world.plan(B, &plan(A, &b));
    a.rtp.send_to(&rtp(1, 1), pa.rtp).unwrap();
    assert_eq!(receive(&b.rtp), rtp(1, 1));
    assert_eq!(world.event(), RelayEvent::Latched { port: A, component: Component::Rtp, source: a.address() });
    stranger.rtcp.send_to(&rtcp(9), pa.rtcp.unwrap()).unwrap();
    world.counters(A, |c| c.stray_source == 1);
    a.rtcp.send_to(&rtcp(1), pa.rtcp.unwrap()).unwrap();
    assert_eq!(receive(&b.rtcp), rtcp(1));
    assert_eq!(world.event(), RelayEvent::Latched { port: A, component: Component::Rtcp, source: a.rtcp_address() });
}

/// After a restart the journal knows the peer: no packet of it is needed first, and nobody else gets in.
#[test]
fn an_exact_latch_works_at_once() {
    let world = World::new();
    let (a, b, stray) = (Peer::new(), Peer::new(), Peer::new());
    let (pa, pb) = world.call();
    let mut exact = plan(B, &a);
    exact.receive.latch = Latch::Exact(a.address());
    exact.transmit.rtp = Some(stray.address());
    world.plan(A, &exact);
    world.plan(B, &plan(A, &b));
    b.rtp.send_to(&rtp(2, 1), pb.rtp).unwrap();
    assert_eq!(receive(&a.rtp), rtp(2, 1));
    stray.rtp.send_to(&rtp(9, 1), pa.rtp).unwrap();
    world.counters(A, |c| c.stray_source == 1);
    a.rtp.send_to(&rtp(1, 1), pa.rtp).unwrap();
    assert_eq!(receive(&b.rtp), rtp(1, 1));
}

/// RTP bleed against a party that is silent at first: the stranger is heard only until the party speaks, and gets nothing afterwards.
#[test]
fn a_stranger_that_was_first_is_put_out_by_the_party() {
    let world = World::new();
    let (stranger, a, b) = (Peer::on("127.0.0.2:0"), Peer::new(), Peer::new());
    let (pa, pb) = world.call();
    let mut graced = plan(B, &a);
    graced.receive.latch = Latch::Symmetric { expected: Some(a.address()), grace_ms: 0 };
    world.plan(A, &graced);
    world.plan(B, &plan(A, &b));
    stranger.rtp.send_to(&rtp(9, 1), pa.rtp).unwrap();
    assert_eq!(receive(&b.rtp), rtp(9, 1));
    a.rtp.send_to(&rtp(1, 1), pa.rtp).unwrap();
    assert_eq!(receive(&b.rtp), rtp(1, 1), "the party is heard");
    for n in 2..20 {
        stranger.rtp.send_to(&rtp(9, n), pa.rtp).unwrap();
    }
    let counters = world.counters(A, |c| c.stray_source == 18);
    assert_eq!(counters.stray_last, Some(stranger.address()));
    b.rtp.send_to(&rtp(2, 1), pb.rtp).unwrap();
    assert_eq!(receive(&a.rtp), rtp(2, 1), "and hears");
    stranger.rtp.set_nonblocking(true).unwrap();
    assert!(stranger.rtp.recv(&mut [0; 100]).is_err(), "the stranger gets nothing");
}

/// What the cause of missing audio is read from: whence strays come, what was not agreed on, and what hold discards.
#[test]
fn what_is_refused_is_told_apart() {
    let world = World::new();
    let (a, stray, b) = (Peer::new(), Peer::new(), Peer::new());
    let (pa, _) = world.call();
    let mut known = plan(B, &a);
    (known.receive.speech, known.receive.signals) = (vec![(0, 8_000)], vec![101]);
    world.plan(A, &known);
    world.plan(B, &plan(A, &b));
    for (n, payload) in [(1, 0), (2, 101), (3, 97), (4, 0)] {
        let mut packet = rtp(1, n);
        packet[1] = payload;
        a.rtp.send_to(&packet, pa.rtp).unwrap();
        assert_eq!(receive(&b.rtp), packet, "the node passes on what comes");
    }
    stray.rtp.send_to(&rtp(9, 1), pa.rtp).unwrap();
    let counters = world.counters(A, |c| c.stray_source == 1);
    assert_eq!((counters.rtp_in, counters.speech_in(), counters.signals_in, counters.unknown_payload), (4, 2, 1, 1));
    assert_eq!((counters.unknown_payload_last, counters.stray_last), (Some(97), Some(stray.address())));

    known.destination = Destination::Discard(DiscardReason::OnHold);
    world.plan(A, &known);
    a.rtp.send_to(&rtp(1, 5), pa.rtp).unwrap();
    let held = world.counters(A, |c| c.discarded == 1);
    known.destination = Destination::Discard(DiscardReason::NotReady);
    known.receive.latch = Latch::Exact("0.0.0.0:0".parse().unwrap());
    world.plan(A, &known);
    a.rtp.send_to(&rtp(1, 6), pa.rtp).unwrap();
    let closed = world.counters(A, |c| c.discarded == 2);
    assert_eq!((held.discarded_on_hold, closed.discarded_on_hold, closed.discarded_not_ready), (1, 1, 1));
    assert_eq!(closed.stray_source, 1, "before anybody may send nobody is a stray");
}
