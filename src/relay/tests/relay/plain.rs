//! Plain RTP: both ways, RTCP in both forms, echo, hold.

use crate::world::*;
use ringfort_media::plan::*;

#[test]
fn packets_cross_both_ways_unchanged() {
    for host in ["127.0.0.1:0", "[::1]:0"] {
        let world = World::new();
        let (a, b) = (Peer::on(host), Peer::on(host));
        let (pa, pb) = (world.open_on(host, A, true), world.open_on(host, B, true));
        world.plan(A, &plan(B, &a));
        world.plan(B, &plan(A, &b));
        for n in 0..50 {
            a.rtp.send_to(&rtp(1, n), pa.rtp).unwrap();
            assert_eq!(receive_from(&b.rtp), (rtp(1, n), pb.rtp));
            b.rtp.send_to(&rtp(2, n), pb.rtp).unwrap();
            assert_eq!(receive_from(&a.rtp), (rtp(2, n), pa.rtp));
        }
        let counters = world.counters(A, |c| c.rtp_out == 50);
        let expected = PortCounters { rtp_in: 50, rtp_in_octets: 50 * 172, rtp_out: 50, ..PortCounters::default() };
        assert_eq!(counters, expected);
    }
}

#[test]
fn a_burst_keeps_its_order() {
    let world = World::new();
    let (a, b) = (Peer::new(), Peer::new());
    let (pa, _) = world.call();
    world.plan(A, &plan(B, &a));
    world.plan(B, &plan(A, &b));
    for n in 0..100 {
        a.rtp.send_to(&rtp(1, n), pa.rtp).unwrap();
    }
    for n in 0..100 {
        assert_eq!(receive(&b.rtp), rtp(1, n));
    }
}

#[test]
fn rtcp_goes_by_its_own_port() {
    let world = World::new();
    let (a, b) = (Peer::new(), Peer::new());
    let (pa, pb) = world.call();
    world.plan(A, &plan(B, &a));
    world.plan(B, &plan(A, &b));
    a.rtcp.send_to(&rtcp(1), pa.rtcp.unwrap()).unwrap();
    assert_eq!(receive_from(&b.rtcp), (rtcp(1), pb.rtcp.unwrap()));
    b.rtcp.send_to(&rtcp(2), pb.rtcp.unwrap()).unwrap();
    assert_eq!(receive_from(&a.rtcp), (rtcp(2), pa.rtcp.unwrap()));
    let counters = world.counters(A, |c| c.rtcp_out == 1);
    assert_eq!(counters, PortCounters { rtcp_in: 1, rtcp_out: 1, ..PortCounters::default() });
}

/// RFC 5761 on A's side only: what comes multiplexed leaves on two ports, and back.
#[test]
fn rtcp_mux_meets_separate_ports() {
    let world = World::new();
    let (a, b) = (Peer::new(), Peer::new());
    let (pa, pb) = (world.open_on("127.0.0.1:0", A, false), world.open_on("127.0.0.1:0", B, true));
    let mut mux = plan(B, &a);
    mux.transmit.rtcp_mux = true;
    mux.transmit.rtcp = None;
    world.plan(A, &mux);
    world.plan(B, &plan(A, &b));
    a.rtp.send_to(&rtp(1, 1), pa.rtp).unwrap();
    a.rtp.send_to(&rtcp(1), pa.rtp).unwrap();
    assert_eq!(receive(&b.rtp), rtp(1, 1));
    assert_eq!(receive_from(&b.rtcp), (rtcp(1), pb.rtcp.unwrap()));
    b.rtcp.send_to(&rtcp(2), pb.rtcp.unwrap()).unwrap();
    assert_eq!(receive_from(&a.rtp), (rtcp(2), pa.rtp));
}

#[test]
fn a_peer_that_takes_no_rtcp_gets_none() {
    let world = World::new();
    let (a, b) = (Peer::new(), Peer::new());
    let (pa, _) = world.call();
    world.plan(A, &plan(B, &a));
    let mut without = plan(A, &b);
    without.transmit.rtcp = None;
    world.plan(B, &without);
    a.rtcp.send_to(&rtcp(1), pa.rtcp.unwrap()).unwrap();
    assert_eq!(world.counters(B, |c| c.discarded == 1).rtcp_out, 0);
}

#[test]
fn echo_comes_back_under_another_ssrc() {
    let world = World::new();
    let a = Peer::new();
    let pa = world.open_on("127.0.0.1:0", A, true);
    world.plan(A, &FlowPlan { destination: Destination::Echo { ssrc: 0xdead_beef }, ..plan(A, &a) });
    for n in 0..10 {
        a.rtp.send_to(&rtp(1, n), pa.rtp).unwrap();
        assert_eq!(receive_from(&a.rtp), (rtp(0xdead_beef, n), pa.rtp));
    }
    a.rtcp.send_to(&rtcp(1), pa.rtcp.unwrap()).unwrap();
    let counters = world.counters(A, |c| c.rtcp_in == 1);
    assert_eq!((counters.rtp_in, counters.rtp_out, counters.rtcp_out, counters.discarded), (10, 10, 0, 1));
}

/// Hold and retrieval: nothing passes in between, and the latch and the counters go on.
#[test]
fn hold_discards_and_retrieval_resumes() {
    let world = World::new();
    let (a, b) = (Peer::new(), Peer::new());
    let (pa, _) = world.call();
    world.plan(A, &plan(B, &a));
    world.plan(B, &plan(A, &b));
    a.rtp.send_to(&rtp(1, 1), pa.rtp).unwrap();
    assert_eq!(receive(&b.rtp), rtp(1, 1));

    for reason in [DiscardReason::OnHold, DiscardReason::NotConnected, DiscardReason::NotReady] {
        world.plan(A, &FlowPlan { destination: Destination::Discard(reason), ..plan(B, &a) });
    }
    a.rtp.send_to(&rtp(1, 2), pa.rtp).unwrap();
    assert_eq!(world.counters(A, |c| c.discarded == 1).rtp_in, 2);

    world.plan(A, &plan(B, &a));
    let mut muted = plan(A, &b);
    muted.transmit.muted = true;
    world.plan(B, &muted);
    a.rtp.send_to(&rtp(1, 3), pa.rtp).unwrap();
    assert_eq!(world.counters(B, |c| c.discarded == 1).rtp_out, 1);

    world.plan(B, &plan(A, &b));
    a.rtp.send_to(&rtp(1, 4), pa.rtp).unwrap();
    assert_eq!(receive(&b.rtp), rtp(1, 4), "what came during hold stays away");
}

#[test]
fn what_is_not_media_is_refused() {
    let world = World::new();
    let (a, b) = (Peer::new(), Peer::new());
    let (pa, _) = world.call();
    world.plan(A, &plan(B, &a));
    world.plan(B, &plan(A, &b));
    let mut long = rtp(1, 1);
    long.resize(1501, 0);
    let csrc_missing = [&[0x8f][..], &rtp(1, 1)[1..40]].concat();
    for bad in [vec![], vec![0x80], vec![0xff; 100], csrc_missing, long] {
        a.rtp.send_to(&bad, pa.rtp).unwrap();
    }
    a.rtcp.send_to(&rtp(1, 1), pa.rtcp.unwrap()).unwrap();
    let counters = world.counters(A, |c| c.malformed == 6);
    assert_eq!((counters.rtp_in, counters.rtcp_in), (0, 0));
    a.rtp.send_to(&rtp(1, 2), pa.rtp).unwrap();
    assert_eq!(receive(&b.rtp), rtp(1, 2));
}

/// The largest datagram that is handled, with the largest trailer.
#[test]
fn full_size_packets_pass() {
    let world = World::new();
    let (a, b) = (Peer::new(), Peer::new());
    let (pa, _) = world.call();
    world.plan(A, &plan(B, &a));
    let mut secure = plan(A, &b);
    secure.transmit.srtp = Some(keys(SrtpProfile::AeadAes128Gcm, 1));
    world.plan(B, &secure);
    let mut large = rtp(1, 1);
    large.resize(1500, 7);
    a.rtp.send_to(&large, pa.rtp).unwrap();
    assert_eq!(receive(&b.rtp).len(), 1516);
}

/// T.38 over UDPTL: whatever is in a datagram passes as it is, from the party's source only, and nothing else passes.
#[test]
fn datagrams_of_a_fax_pass_as_they_are() {
    let world = World::new();
    let (a, b, stranger) = (Peer::new(), Peer::new(), Peer::new());
    let (pa, pb) = world.call();
    let fax = |to, peer: &Peer| {
        let mut plan = plan(to, peer);
        plan.receive.udptl = true;
        plan.transmit.rtcp = None;
        plan
    };
    world.plan(A, &fax(B, &a));
    world.plan(B, &fax(A, &b));
    for datagram in [&[0, 0, 1, 0x40, 0][..], &[0, 1, 1, 0x60, 0, 0], &[0x80, 0, 7], &[20; 3], &[0x16; 300], &stun(1)] {
        a.rtp.send_to(datagram, pa.rtp).unwrap();
        assert_eq!(receive_from(&b.rtp), (datagram.to_vec(), pb.rtp));
        b.rtp.send_to(datagram, pb.rtp).unwrap();
        assert_eq!(receive_from(&a.rtp), (datagram.to_vec(), pa.rtp));
    }
    stranger.rtp.send_to(&[0, 2, 1, 0x40, 0], pa.rtp).unwrap();
    a.rtcp.send_to(&rtcp(1), pa.rtcp.unwrap()).unwrap();
    let counters = world.counters(A, |c| c.stray_source == 1 && c.malformed == 1);
    assert_eq!((counters.rtp_in, counters.signals_in, counters.rtp_out, counters.rtcp_in), (6, 6, 6, 0));
    // While the one side is a fax already and the other one still speaks, neither hears the other.
    world.plan(B, &plan(A, &b));
    a.rtp.send_to(&[0, 3, 1, 0x40, 0], pa.rtp).unwrap();
    b.rtp.send_to(&rtp(2, 1), pb.rtp).unwrap();
    assert_eq!((world.counters(B, |c| c.discarded == 1).rtp_out, world.counters(A, |c| c.discarded == 1).rtp_out), (6, 6));
}

/// Pictures on the transport of the audio pass both ways, and nothing that is measured of the audio counts them.
#[test]
fn video_beside_the_audio_passes_and_is_not_measured_as_speech() {
    let world = World::new();
    let (a, b) = (Peer::new(), Peer::new());
    let (pa, _) = world.call();
    let both = |to, peer: &Peer| {
        let mut plan = plan(to, peer);
        (plan.receive.speech, plan.receive.video) = (vec![(0, 8_000)], vec![96]);
        plan
    };
    world.plan(A, &both(B, &a));
    world.plan(B, &both(A, &b));
    for n in 0..20 {
        let mut picture = rtp(7, n * 100);
        picture[1] = 96;
        for packet in [rtp(1, n), picture] {
            a.rtp.send_to(&packet, pa.rtp).unwrap();
            assert_eq!(receive(&b.rtp), packet);
        }
    }
    let counters = world.counters(A, |c| c.rtp_in == 40);
    assert_eq!((counters.signals_in, counters.unknown_payload, counters.rtp_lost, counters.speech_in()), (20, 0, 0, 20));
}
