//! The AF_XDP tier in a network of namespaces: what is sent into the rings is what comes out of them.

use super::network::{Addresses, Network, V4, V6, set_ecn};
use super::{A, B, PATIENCE, rtp};
use ringfort_base::{CallId, PortId};
use ringfort_media::plan::*;
use ringfort_media::srtp::{SrtpReceiver, SrtpSender};
use ringfort_media::tier::{Obstacle, Tier};
use ringfort_relay::namespace::left_out;
use ringfort_relay::{Relay, RelayConfig};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::ops::Deref;
use std::sync::Arc;
use std::time::{Duration, Instant};

const PROFILE: SrtpProfile = SrtpProfile::AeadAes128Gcm;

/// A call between a party with keys and one without, who may be of another address family.
struct Call {
    call: super::Call,
    sender: SrtpSender,
    receiver: SrtpReceiver,
}

impl Deref for Call {
    type Target = super::Call;

    fn deref(&self) -> &super::Call {
        &self.call
    }
}

fn keys(side: u8) -> SrtpKeys {
    SrtpKeys { profile: PROFILE, key: vec![side; 16], salt: vec![side + 1; 12] }
}

impl Call {
    /// `None` where the tier cannot be had.
    fn new(caller: &Addresses, callee: &Addresses, workers: usize) -> Option<Call> {
        let af_xdp = vec!["m1".into(), "m2".into()];
        let config = RelayConfig { workers, kernel: true, af_xdp, ..RelayConfig::default() };
        let call = super::Call::between(caller, callee, config)?;
        let (sender, receiver) = (SrtpSender::new(&keys(1)).unwrap(), SrtpReceiver::new(&keys(2)).unwrap());
        let call = Call { call, sender, receiver };
        call.plan(A, &call.secure());
        call.plan(B, &call.plain(A, 1));
        Some(call)
    }

    /// The caller's.
    fn secure(&self) -> FlowPlan {
        let mut plan = self.plain(B, 0);
        plan.receive.srtp = Some(keys(1));
        plan.transmit.srtp = Some(keys(2));
        plan
    }

    /// From the caller, under its keys.
    fn send_secure(&mut self, packet: &[u8]) {
        let mut buffer = [packet, &[0; 32]].concat();
        let len = self.sender.protect_rtp(&mut buffer, packet.len()).unwrap();
        self.peers[0].send_to(&buffer[..len], self.ports[0]).unwrap();
    }

    fn arrives_plain(&self, packet: &[u8]) {
        let mut buffer = [0; 2000];
        let (len, source) = self.peers[1].recv_from(&mut buffer).expect("a packet");
        assert_eq!((&buffer[..len], source), (packet, self.ports[1]));
    }

    fn arrives_secure(&mut self, packet: &[u8]) {
        let mut buffer = vec![0; 2000];
        let (len, source) = self.peers[0].recv_from(&mut buffer).expect("a packet");
        buffer.truncate(len);
        let len = self.receiver.unprotect_rtp(&mut buffer).expect("authentic");
        assert_eq!((&buffer[..len], source), (packet, self.ports[0]));
    }

    /// Packets `numbers` go both ways.
    fn talk(&mut self, numbers: std::ops::Range<u16>) {
        for n in numbers {
            self.send_secure(&rtp(1, n));
            self.arrives_plain(&rtp(1, n));
            self.peers[1].send_to(&rtp(2, n), self.ports[1]).unwrap();
            self.arrives_secure(&rtp(2, n));
        }
    }

    fn counters(&self) -> [PortCounters; 2] {
        self.relay.command(RelayCommand::Report);
        let deadline = Instant::now() + PATIENCE;
        let mut found: HashMap<PortId, PortCounters> = HashMap::new();
        while let Ok(event) = self.events.recv_deadline(deadline) {
            if let RelayEvent::Counters { port, counters, .. } = event {
                found.insert(port, *counters);
            }
            if let (Some(a), Some(b)) = (found.get(&A), found.get(&B)) {
                return [*a, *b];
            }
        }
        panic!("no counters");
    }
}

#[test]
fn secured_calls_pass_as_frames() {
    let families = [(&V4, &V4, Obstacle::Secure), (&V6, &V6, Obstacle::Secure), (&V4, &V6, Obstacle::Secure)];
    for (workers, (caller, callee, why)) in [1, 2].into_iter().flat_map(|workers| families.map(|family| (workers, family))) {
        let Some(mut call) = Call::new(caller, callee, workers) else { return };
        call.talk(0..500);
        let [a, b] = call.counters();
        assert_eq!((a.rtp_in, a.rtp_out, a.rtp_lost), (500, 500, 0));
        assert_eq!((b.rtp_in, b.rtp_out, b.rtp_lost), (500, 500, 0));
        assert_eq!((a.rtp_in_octets, b.rtp_in_octets), (500 * (172 + 16), 500 * 172));
        assert_eq!([a.tier, b.tier], [Tier::AfXdp(why); 2]);
        for counters in [a, b] {
            let refused = counters.stray_source + counters.malformed + counters.discarded + counters.send_failed;
            assert_eq!(refused, 0, "{counters:?}");
        }
    }
}

/// What is said beside audio that passes is a digit now and then: no reason to leave the worker that reads frames.
#[test]
fn digits_beside_audio_that_passes_cost_no_frames() {
    let Some(mut call) = Call::new(&V4, &V4, 2) else { return };
    let [caller, callee] = super::beside::plans(&call);
    let mut secure = call.secure();
    secure.receive.signals = caller.receive.signals;
    secure.audio = caller.audio;
    call.plan(A, &secure);
    call.plan(B, &callee);
    call.talk(0..500);
    let [a, b] = call.counters();
    assert_eq!((a.rtp_in, b.rtp_in, a.rtp_lost, b.rtp_lost), (500, 500, 0, 0));
    assert!(matches!([a.tier, b.tier], [Tier::AfXdp(_), Tier::AfXdp(_)]), "{:?} and {:?}", a.tier, b.tier);
}

#[test]
fn the_mark_is_the_node_s_and_congestion_the_path_s() {
    for (caller, callee) in [(&V4, &V4), (&V6, &V6), (&V4, &V6)] {
        let Some(mut call) = Call::new(caller, callee, 1) else { return };
        let (deadline, mut numbers) = (Instant::now() + PATIENCE, 0..);
        for ecn in [1, 2, 3] {
            let wire = call.network.callee.wire();
            set_ecn(&call.peers[0], ecn);
            // The first packets go by the socket, and now and then another one: that has the kernel look for the neighbour. A socket knows nothing
            // of the path before.
            let mut classes = numbers.by_ref().map(|n| {
                assert!(Instant::now() < deadline, "none said so of its path");
                call.send_secure(&rtp(1, n));
                call.arrives_plain(&rtp(1, n));
                wire.traffic_class(call.ports[1])
            });
            let passed = classes.find(|class| *class != 46 << 2);
            assert_eq!(passed, Some(46 << 2 | ecn as u8));
        }
        assert_eq!(call.counters()[0].tier, Tier::AfXdp(Obstacle::Secure));
    }
}

/// What the kernel can carry goes down to it from the rings, and comes up to them again.
#[test]
fn keys_that_come_and_go_lose_nothing() {
    let Some(mut call) = Call::new(&V4, &V4, 1) else { return };
    call.talk(0..10);
    for round in 1..5u16 {
        call.plan(A, &call.plain(B, 0));
        call.counters();
        for n in round * 100..round * 100 + 20 {
            call.peers[0].send_to(&rtp(1, n), call.ports[0]).unwrap();
            call.arrives_plain(&rtp(1, n));
        }
        assert!(call.counters()[0].tier.is_kernel());
        call.plan(A, &call.secure());
        call.counters();
        call.talk(round * 100 + 20..round * 100 + 40);
        assert_eq!(call.counters().map(|counters| counters.tier), [Tier::AfXdp(Obstacle::Secure); 2]);
    }
    let [a, b] = call.counters();
    assert_eq!((a.rtp_in, b.rtp_out, b.rtp_in, a.rtp_out), (10 + 4 * 40, 10 + 4 * 40, 10 + 4 * 20, 10 + 4 * 20));
}

/// Where the kernel does not know the neighbour, it sends itself, and finds out.
#[test]
fn a_neighbour_that_is_forgotten_is_found_again() {
    for addresses in [&V4, &V6] {
        let Some(mut call) = Call::new(addresses, addresses, 1) else { return };
        call.talk(0..10);
        for round in 1..4 {
            call.network.node.ip("neigh flush dev m1");
            call.network.node.ip("neigh flush dev m2");
            call.talk(round * 10..round * 10 + 10);
        }
        let [a, b] = call.counters();
        assert_eq!((a.rtp_out, b.rtp_out, a.send_failed + b.send_failed), (40, 40, 0));
    }
}

/// Long packets that come in pieces are the kernel's, and what is damaged or a stranger's goes nowhere.
#[test]
fn what_is_no_whole_datagram_of_the_peer_is_not_taken_for_one() {
    let Some(mut call) = Call::new(&V4, &V4, 1) else { return };
    call.talk(0..10);
    let stray = call.network.callee.socket("10.77.2.1:0");
    (0..20).for_each(|n| assert!(stray.send_to(&rtp(9, n), call.ports[1]).is_ok()));
    // Of a size that the kernel cuts in two, and that the relay has no room for.
    call.peers[1].send_to(&[0x80; 1_600], call.ports[1]).unwrap();
    let mut forged = rtp(1, 10);
    forged.extend([0; 16]);
    call.peers[0].send_to(&forged, call.ports[0]).unwrap();
    call.talk(11..20);
    let deadline = Instant::now() + PATIENCE;
    let told = loop {
        let [a, b] = call.counters();
        let told = (b.stray_source, b.malformed, a.auth_failed);
        if told == (20, 1, 1) || Instant::now() > deadline {
            break told;
        }
    };
    assert_eq!(told, (20, 1, 1));
}

/// Legs of one shared port are told apart in frames as in datagrams, on whichever worker they live.
#[test]
fn legs_behind_one_port_are_told_apart() {
    for workers in [1, 2] {
        let Some(mut call) = Call::new(&V4, &V4, workers) else { return };
        let (relay, rtp_at): (_, SocketAddr) = (call.relay.clone(), format!("{}:0", V4.inner).parse().unwrap());
        let shared = PortId(3);
        call.call.ports[0] = call.network.node.run(move || {
            relay.command(RelayCommand::Open { port: shared, call: CallId(1), rtp: rtp_at, rtcp: None, shared: true });
            relay.local(shared).expect("the port is open").rtp
        });
        let mut plan = call.secure();
        plan.receive.latch = Latch::Exact(call.peers[0].local_addr().unwrap());
        plan.receive.fragment = Some("ours".into());
        call.plan(shared, &plan);
        call.plan(B, &call.plain(shared, 1));
        call.talk(0..200);
        let stranger = call.network.caller.socket("10.77.1.1:0");
        (0..20).for_each(|n| assert!(stranger.send_to(&rtp(9, n), call.ports[0]).is_ok()));
        call.talk(200..210);
        let deadline = Instant::now() + PATIENCE;
        while call.relay.strangers() < 20 {
            assert!(Instant::now() < deadline, "strangers are counted: {}", call.relay.strangers());
        }
        assert_eq!((call.relay.strangers(), call.relay.handed_lost()), (20, 0));
        call.relay.command(RelayCommand::Close { port: shared });
    }
}

#[test]
fn without_the_privilege_the_reason_is_told() {
    let Some(network) = Network::new() else { return };
    let told = network.node.run(|| {
        let config = |names: &[&str]| RelayConfig {
            workers: 1,
            af_xdp: names.iter().map(ToString::to_string).collect(),
            ..RelayConfig::default()
        };
        let start = |names| Relay::start(config(names), Arc::new(|_| true)).unwrap().without_af_xdp().to_vec();
        let missing = start(&["nowhere0", "lo"]);
        let mut sets = rustix::thread::capabilities(None).unwrap();
        sets.effective = rustix::thread::CapabilitySet::empty();
        rustix::thread::set_capabilities(None, sets).unwrap();
        [missing, start(&["m1"])]
    });
    if told[0].first().is_some_and(|(_, why)| why.obstacle == Obstacle::NotBuilt) {
        left_out("built without clang");
        return;
    }
    let words: Vec<String> = told[0].iter().map(|(name, why)| format!("{name}: {}", why.detail)).collect();
    assert_eq!(words, ["nowhere0: there is no such interface", "lo: it is no Ethernet interface"]);
    assert!(matches!(&told[1][..], [(name, why)] if name == "m1" && why.obstacle == Obstacle::NotPermitted), "{told:?}");
}

/// What was there and is lost stands as a fault; before that there is none.
#[test]
fn an_interface_that_goes_is_a_fault() {
    let Some(call) = Call::new(&V4, &V4, 1) else { return };
    let faults = || {
        let relay = call.relay.clone();
        let all = call.network.node.run(move || relay.faults());
        all.into_iter().filter(|(path, _)| path.starts_with("af_xdp")).collect::<Vec<_>>()
    };
    assert_eq!(faults(), []);
    call.network.node.ip("link del m1");
    for _ in 0..2 {
        let told = faults();
        assert!(matches!(&told[..], [(path, why)] if path == "af_xdp m1" && why.contains("the interface is gone")), "{told:?}");
    }
}

/// A second call, opened while frames of the first one come, is steered like it.
#[test]
fn a_call_that_begins_meanwhile_is_steered_too() {
    let Some(mut call) = Call::new(&V4, &V4, 1) else { return };
    call.talk(0..10);
    let relay = call.relay.clone();
    let (opened, other) = (relay.clone(), PortId(7));
    let rtp_at: SocketAddr = format!("{}:0", V4.inner).parse().unwrap();
    let at = call.network.node.run(move || {
        opened.command(RelayCommand::Open { port: other, call: CallId(2), rtp: rtp_at, rtcp: None, shared: false });
        opened.local(other).expect("the port is open").rtp
    });
    // The first call's frames are what carries the command out.
    call.talk(10..60);
    let mut echo = call.secure();
    echo.destination = Destination::Echo { ssrc: 5 };
    let phone = call.network.caller.socket("10.77.1.1:0");
    echo.transmit.rtp = phone.local_addr().ok();
    call.plan(other, &echo);
    let (mut sender, mut buffer) = (SrtpSender::new(&keys(1)).unwrap(), [0; 2000]);
    for n in 0..20 {
        let mut packet = [&rtp(3, n)[..], &[0; 32]].concat();
        let len = sender.protect_rtp(&mut packet, 172).unwrap();
        phone.send_to(&packet[..len], at).unwrap();
        assert_eq!(phone.recv(&mut buffer).unwrap(), 172 + 16);
    }
    relay.command(RelayCommand::Report);
    let deadline = Instant::now() + PATIENCE;
    let tier = std::iter::from_fn(|| call.events.recv_deadline(deadline).ok()).find_map(|event| match event {
        RelayEvent::Counters { port, counters, .. } if port == other => Some(counters.tier),
        _ => None,
    });
    assert_eq!(tier, Some(Tier::AfXdp(Obstacle::Service)));
}

/// An interface that is down while packets are to leave by it: they are lost, and nothing after them is.
#[test]
fn after_an_interface_was_down_all_goes_on() {
    let Some(mut call) = Call::new(&V4, &V4, 1) else { return };
    call.talk(0..10);
    for round in 1..3u16 {
        call.network.node.ip("link set m2 down");
        (0..3_000).for_each(|n| call.send_secure(&rtp(1, 10_000 * round + n)));
        let deadline = Instant::now() + PATIENCE;
        while call.counters()[0].rtp_in < u64::from(round) * 3_000 && Instant::now() < deadline {}
        call.network.node.ip("link set m2 up");
        // What waited may still come, the link has to find its carrier and the node its neighbour: that takes the kernel up to a second.
        call.peers[1].set_read_timeout(Some(Duration::from_millis(1))).unwrap();
        let mut buffer = [0; 2000];
        let after = 10_000 * round + 5_000;
        let deadline = Instant::now() + PATIENCE;
        for n in after.. {
            assert!(Instant::now() < deadline && n < after + 4_000, "nothing comes any more");
            call.send_secure(&rtp(1, n));
            if call.peers[1].recv(&mut buffer).is_ok() && u16::from_be_bytes([buffer[2], buffer[3]]) >= after {
                break;
            }
        }
        while call.peers[1].recv(&mut buffer).is_ok() {}
        call.peers[1].set_read_timeout(Some(PATIENCE)).unwrap();
    }
}

/// A source that is the node's own port, or no host at all, is nobody's: the kernel, which would refuse it, has not seen it.
#[test]
fn sources_that_cannot_be_are_refused() {
    let Some(mut call) = Call::new(&V4, &V4, 1) else { return };
    call.talk(0..10);
    let own = call.ports[1];
    call.network.caller.ip(&format!("addr add {}/32 dev eth0", own.ip()));
    let forger = call.network.caller.socket(&own.to_string());
    (0..5).for_each(|n| assert!(forger.send_to(&rtp(9, n), call.ports[0]).is_ok()));
    call.talk(10..20);
    assert_eq!(call.relay.strangers(), 5);
    assert_eq!(call.counters()[0].stray_source, 0);
}
