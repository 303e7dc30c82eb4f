//! What the kernel carries is forwarded as frames already, where drivers take the program for that.

use super::network::{Addresses, V4, V6};
use super::sealed::Sealed;
use super::{A, B, Call, PATIENCE, bracketed, rtp};
use ringfort_base::{CallId, PortId};
use ringfort_media::plan::{RelayCommand, SrtpProfile, Transmit};
use ringfort_media::tier::{Obstacle, Tier};
use ringfort_relay::RelayConfig;
use ringfort_relay::namespace::left_out;
use std::time::Instant;

/// `None` where frames cannot be forwarded. Senders compute checksums, as hosts with a card do in the end.
fn call(addresses: &Addresses) -> Option<Call> {
    call_with(addresses, true)
}

fn call_with(addresses: &Addresses, in_software: bool) -> Option<Call> {
    let af_xdp = vec!["m1".into(), "m2".into()];
    let call = Call::between(addresses, addresses, RelayConfig { workers: 1, kernel: true, af_xdp, ..RelayConfig::default() })?;
    if !call.network.takes_frames() || in_software && !call.network.checksums_in_software() {
        left_out("forwarding of frames, for want of ethtool");
        return None;
    }
    Some(call)
}

/// Has packets pass both ways until both are forwarded as frames.
fn settle(call: &Call) -> u16 {
    call.settle();
    let deadline = Instant::now() + PATIENCE;
    for n in 2.. {
        call.pass(0, &rtp(1, n));
        call.pass(1, &rtp(2, n));
        if [A, B].iter().all(|port| call.counters(*port).rtp_as_frames > 0) {
            return n + 1;
        }
        assert!(Instant::now() < deadline, "no packet is forwarded as a frame: {:?}", call.counters(A));
    }
    unreachable!("the numbers do not end")
}

#[test]
fn frames_are_forwarded_and_counted() {
    for addresses in [&V4, &V6] {
        let Some(call) = call(addresses) else { return };
        let begin = settle(&call);
        let before = [A, B].map(|port| call.counters(port));
        for n in begin..begin + 500 {
            call.pass(0, &rtp(1, n));
            call.pass(1, &rtp(2, n));
        }
        for (port, before) in [A, B].into_iter().zip(before) {
            let now = call.counters(port);
            assert_eq!((now.rtp_in - before.rtp_in, now.rtp_lost, now.tier), (500, 0, Tier::Xdp));
            assert_eq!(now.rtp_in_octets - before.rtp_in_octets, 500 * 172);
            let as_frames = now.rtp_as_frames - before.rtp_as_frames;
            // Once a second one goes the usual way.
            assert!((450..=500).contains(&as_frames), "{as_frames}");
        }
    }
}

/// What is not certain is seen by the kernel's other program, or by the relay.
#[test]
fn what_is_not_certain_goes_the_usual_way() {
    for addresses in [&V4, &V6] {
        let Some(call) = call(addresses) else { return };
        let n = settle(&call);
        let before = call.counters(A);
        call.pass(0, &[0x80, 201, 0, 1, 0, 0, 0, 1]);
        let mut event = rtp(1, n);
        event[1] = 101;
        call.pass(0, &event);
        let stray = call.network.caller.socket(&bracketed(addresses.caller));
        stray.send_to(&rtp(9, n), call.ports[0]).unwrap();
        let malformed = [&[0x90, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 1, 0xbe, 0xde, 0, 99][..], &[5; 100]].concat();
        call.send(0, &malformed);
        call.pass(0, &rtp(1, n + 1));
        // What goes up is not what goes by meanwhile.
        let deadline = Instant::now() + PATIENCE;
        let now = loop {
            let now = call.counters(A);
            if (now.stray_source, now.malformed) == (1, 1) || Instant::now() > deadline {
                break now;
            }
        };
        assert_eq!((now.rtcp_in, now.unknown_payload, now.stray_source, now.malformed), (1, 1, 1, 1));
        assert_eq!((now.rtp_in - before.rtp_in, now.tier), (2, Tier::Xdp));
    }
}

/// A header extension is RTP, and long packets are the usual way's.
#[test]
fn extended_headers_pass_as_frames() {
    let Some(call) = call(&V4) else { return };
    let n = settle(&call);
    let before = call.counters(A).rtp_as_frames;
    for n in n..n + 10 {
        let [high, low] = n.to_be_bytes();
        let head = [0x90, 0, high, low, 0, 0, 0, 0, 0, 0, 0, 1, 0xbe, 0xde, 0, 1, 1, 2, 3, 4];
        call.pass(0, &[&head[..], &[5; 100]].concat());
    }
    assert!(call.counters(A).rtp_as_frames >= before + 9);
    call.pass(0, &[&rtp(1, n + 10)[..], &[0; 1_200]].concat());
}

/// A checksum that is left to an interface, and there is none that does it. IPv4 does without one, and with IPv6 the kernel's other program knows.
#[test]
fn checksums_that_were_only_begun_do_no_harm() {
    let Some(v4) = call_with(&V4, false) else { return };
    let n = settle(&v4);
    let before = v4.counters(A).rtp_as_frames;
    (n..n + 50).for_each(|n| v4.pass(0, &rtp(1, n)));
    assert!(v4.counters(A).rtp_as_frames >= before + 45);
    let Some(v6) = call_with(&V6, false) else { return };
    v6.settle();
    (2..50).for_each(|n| v6.pass(0, &rtp(1, n)));
    let a = v6.counters(A);
    assert_eq!((a.rtp_in, a.rtp_as_frames, a.tier), (50, 0, Tier::Tc(Obstacle::PassedOn)));
}

/// A neighbour that gets another Ethernet address is reached there, one that is forgotten is found again, and no packet is lost while
/// the kernel asks.
#[test]
fn neighbours_may_change() {
    for addresses in [&V4, &V6] {
        let Some(call) = call(addresses) else { return };
        let mut n = settle(&call);
        for round in 0..4 {
            match round % 2 {
                0 => call.network.node.ip("neigh flush dev m2"),
                _ => {
                    call.network.callee.ip(&format!("link set eth0 address 02:00:00:00:00:0{round}"));
                    // As a host does that has a new address: it is known by that before anybody sends to it.
                    call.network.node.ip(&format!("neigh replace {} dev m2 lladdr 02:00:00:00:00:0{round}", addresses.callee));
                }
            }
            let before = call.counters(A).rtp_as_frames;
            let deadline = Instant::now() + PATIENCE;
            while call.counters(A).rtp_as_frames < before + 5 {
                call.pass(0, &rtp(1, n));
                n += 1;
                assert!(Instant::now() < deadline, "no frame is forwarded any more");
            }
        }
    }
}

/// SRTP whose keys the other side was told is forwarded as frames, too; another source is proved first.
#[test]
fn srtp_that_passes_untouched_is_forwarded_as_frames() {
    for addresses in [&V4, &V6] {
        let Some(call) = call(addresses) else { return };
        let mut sealed = Sealed::over(call, SrtpProfile::AeadAes128Gcm);
        let (deadline, mut begin) = (Instant::now() + PATIENCE, 0);
        while sealed.call.counters(A).rtp_as_frames == 0 {
            sealed.pass(0, &rtp(1, begin));
            begin += 1;
            assert!(Instant::now() < deadline, "no packet is forwarded as a frame: {:?}", sealed.call.counters(A));
        }
        let before = sealed.call.counters(A);
        (begin..begin + 300).for_each(|n| drop(sealed.pass(0, &rtp(1, n))));
        let now = sealed.call.counters(A);
        assert!(now.rtp_as_frames - before.rtp_as_frames >= 250, "{now:?}");
        assert_eq!((now.rtp_in - before.rtp_in, now.rtp_lost, now.tier), (300, 0, Tier::Xdp));
        (0..50).for_each(|n| drop(sealed.pass(0, &rtp(9, n))));
        let now = sealed.call.counters(A);
        assert_eq!((now.auth_failed, now.replayed, now.rtp_lost), (0, 0, 0));
    }
}

/// Both parties are behind one interface, as it is in most offices. A virtual one takes frames back only where its other end reads as cards do.
#[test]
fn frames_leave_by_the_interface_that_they_came_by() {
    for takes_frames in [true, false] {
        let Some(call) = call(&V4) else { return };
        if !takes_frames {
            call.network.keeps_frames();
        }
        let (other, inner) = (PortId(3), bracketed(V4.inner).parse().unwrap());
        let second = call.network.caller.socket(&bracketed(V4.caller));
        let relay = call.relay.clone();
        let there = call.network.node.run(move || {
            relay.command(RelayCommand::Open { port: other, call: CallId(1), rtp: inner, rtcp: None, shared: false });
            relay.local(other).expect("the port is open").rtp
        });
        let mut to_second = call.plain(A, 0);
        to_second.transmit = Transmit { rtp: second.local_addr().ok(), ..to_second.transmit };
        call.plan(A, &call.plain(other, 0));
        call.plan(other, &to_second);
        for n in 0..100 {
            let mut buffer = [0; 2_000];
            call.send(0, &rtp(1, n));
            let (len, source) = second.recv_from(&mut buffer).expect("no packet is lost");
            assert_eq!((&buffer[..len], source), (&rtp(1, n)[..], there));
            second.send_to(&rtp(2, n), there).unwrap();
            call.arrives(0, &rtp(2, n));
        }
        let a = call.counters(A);
        let tier = if takes_frames { Tier::Xdp } else { Tier::Tc(Obstacle::ExitTakesNone) };
        assert_eq!((a.rtp_in, a.rtp_lost, a.tier), (100, 0, tier));
        assert_eq!(a.rtp_as_frames > 50, takes_frames, "{a:?}");
    }
}
