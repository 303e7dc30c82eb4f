//! The kernel tier in a network of namespaces. Where the system permits none, each test says so and ends.

mod beside;
mod frames;
mod network;
mod sealed;
mod xdp;

use crossbeam_channel::{Receiver, bounded};
use network::{Addresses, Network, V4, V6, set_ecn};
use ringfort_base::{CallId, PortId};
use ringfort_media::plan::*;
use ringfort_media::tier::{Obstacle, Tier};
use ringfort_relay::namespace::left_out;
use ringfort_relay::{Relay, RelayConfig};
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(5);
const A: PortId = PortId(1);
const B: PortId = PortId(2);
/// Carried by the kernel where frames are not asked for.
const TC: Tier = Tier::Tc(Obstacle::NotNamed);

/// A call through the relay.
struct Call {
    network: Network,
    relay: Arc<Relay>,
    events: Receiver<RelayEvent>,
    /// Where the caller sends, and the callee.
    ports: [SocketAddr; 2],
    peers: [UdpSocket; 2],
}

impl Call {
    /// `None` where the kernel tier cannot be had.
    fn new(addresses: &Addresses) -> Option<Call> {
        Call::between(addresses, addresses, RelayConfig { workers: 1, kernel: true, ..RelayConfig::default() })
    }

    /// Of parties that may be of two families. `None` where what is configured cannot be had.
    fn between(caller: &Addresses, callee: &Addresses, config: RelayConfig) -> Option<Call> {
        let network = Network::new()?;
        let (sender, events) = bounded(4096);
        let relay = network
            .node
            .run(move || Arc::new(Relay::start(config, Arc::new(move |event| sender.try_send(event).is_ok())).unwrap()));
        let frames = relay.without_af_xdp().first().map(|(_, why)| why);
        if let Some(why) = relay.without_kernel().or(frames) {
            assert_ne!(why.obstacle, Obstacle::Refused, "{}", why.detail);
            left_out(why);
            return None;
        }
        let peers = [network.caller.socket(&bracketed(caller.caller)), network.callee.socket(&bracketed(callee.callee))];
        let ports = [(A, caller.inner), (B, callee.outer)].map(|(port, host)| {
            let (relay, rtp): (_, SocketAddr) = (relay.clone(), bracketed(host).parse().unwrap());
            network.node.run(move || {
                relay.command(RelayCommand::Open { port, call: CallId(1), rtp, rtcp: None, shared: false });
                relay.local(port).expect("the port is open").rtp
            })
        });
        let call = Call { network, relay, events, ports, peers };
        call.plan(A, &call.plain(B, 0));
        call.plan(B, &call.plain(A, 1));
        Some(call)
    }

    fn plain(&self, to: PortId, peer: usize) -> FlowPlan {
        let transmit = Transmit {
            rtp: self.peers[peer].local_addr().ok(),
            rtcp: None,
            rtcp_mux: true,
            srtp: None,
            lent: false,
            muted: false,
        };
        let latch = Latch::Symmetric { expected: None, grace_ms: 0 };
        FlowPlan {
            receive: Receive { speech: vec![(0, 8_000)], control: true, ..Receive::of(latch) },
            destination: Destination::Port(to),
            transmit,
            audio: None,
            copy: None,
            apart: None,
        }
    }

    fn plan(&self, port: PortId, plan: &FlowPlan) {
        self.relay.command(RelayCommand::Plan { port, plan: Box::new(plan.clone()) });
    }

    /// From the caller (0) or the callee (1).
    fn send(&self, from: usize, packet: &[u8]) {
        self.peers[from].send_to(packet, self.ports[from]).unwrap();
    }

    /// Sends and has it arrive at the other side, unchanged and from the right address.
    fn pass(&self, from: usize, packet: &[u8]) {
        self.send(from, packet);
        self.arrives(1 - from, packet);
    }

    fn arrives(&self, at: usize, packet: &[u8]) {
        let mut buffer = [0; 2000];
        let (len, source) = self.peers[at].recv_from(&mut buffer).expect("a packet");
        assert_eq!((&buffer[..len], source), (packet, self.ports[at]));
    }

    fn counters(&self, port: PortId) -> PortCounters {
        self.relay.command(RelayCommand::Report);
        let deadline = Instant::now() + PATIENCE;
        let mut found = None;
        // One report tells both ports, in this order.
        while let Ok(event) = self.events.recv_deadline(deadline) {
            if let RelayEvent::Counters { port: of, counters, .. } = event {
                found = if of == port { Some(*counters) } else { found };
                if of == B {
                    return found.expect("both ports report");
                }
            }
        }
        panic!("no counters");
    }

    /// Both directions are carried by the kernel after two packets each.
    fn settle(&self) {
        for n in 0..2 {
            self.pass(0, &rtp(1, n));
            self.pass(1, &rtp(2, n));
        }
        assert!([A, B].iter().all(|port| self.counters(*port).tier.is_kernel()));
    }
}

fn bracketed(host: &str) -> String {
    if host.contains(':') { format!("[{host}]:0") } else { format!("{host}:0") }
}

fn rtp(ssrc: u32, n: u16) -> Vec<u8> {
    let head = [&[0x80, 0][..], &n.to_be_bytes(), &(u32::from(n) * 160).to_be_bytes(), &ssrc.to_be_bytes()].concat();
    [head, n.to_be_bytes().repeat(80)].concat()
}

#[test]
fn the_kernel_forwards_and_counts() {
    for (addresses, in_software) in [(&V4, false), (&V6, false), (&V4, true), (&V6, true)] {
        let Some(call) = Call::new(addresses) else { return };
        if in_software && !call.network.checksums_in_software() {
            left_out("checksums in software, for want of ethtool");
            return;
        }
        call.settle();
        // Every tenth of the caller's is missing, and one comes late.
        let numbers = (2..500).filter(|n| n % 10 != 9).chain([449]);
        numbers.for_each(|n| call.pass(0, &rtp(1, n)));
        (2..300).for_each(|n| call.pass(1, &rtp(2, n)));
        let (a, b) = (call.counters(A), call.counters(B));
        assert_eq!((a.rtp_in, a.rtp_in_octets, a.rtp_lost, a.rtp_out), (451, 451 * 172, 48, 300));
        assert_eq!((b.rtp_in, b.rtp_in_octets, b.rtp_lost, b.rtp_out), (300, 300 * 172, 0, 451));
        assert!(a.jitter_max_us > 5_000, "packets 20 ms apart in time came at once: {}", a.jitter_max_us);
        assert_eq!([a.tier, b.tier], [TC; 2]);
        for counters in [a, b] {
            let refused = counters.stray_source + counters.malformed + counters.discarded + counters.send_failed;
            assert_eq!(refused, 0, "{counters:?}");
        }
    }
}

#[test]
fn the_mark_is_the_node_s_and_congestion_the_path_s() {
    for addresses in [&V4, &V6] {
        let Some(call) = Call::new(addresses) else { return };
        call.settle();
        for ecn in 0..4 {
            let wire = call.network.callee.wire();
            set_ecn(&call.peers[0], ecn);
            call.pass(0, &rtp(1, 2 + ecn as u16));
            assert_eq!(wire.traffic_class(call.ports[1]), 46 << 2 | ecn as u8);
        }
        assert_eq!(call.counters(A).tier, TC);
    }
}

/// Video has a mark of its own where it shares a port with audio, by sockets and as frames.
#[test]
fn video_and_audio_are_marked_apart() {
    let links = ["m1", "m2"].map(String::from);
    for (addresses, af_xdp) in [(&V4, vec![]), (&V6, vec![]), (&V4, links.to_vec()), (&V6, links.to_vec())] {
        let config = RelayConfig { workers: 1, kernel: true, af_xdp, ..RelayConfig::default() };
        let Some(call) = Call::between(addresses, addresses, config) else { return };
        let mut plan = call.plain(B, 0);
        plan.receive.video = vec![96];
        call.plan(A, &plan);
        let wire = call.network.callee.wire();
        for n in 0..20 {
            let mut packets = [rtp(1, n), rtp(3, n), rtp(3, 100 + n)];
            packets[1][1] = 96;
            packets[2][1] = 96;
            // At once, so that they may leave at once.
            packets.iter().for_each(|packet| call.send(0, packet));
            packets.iter().for_each(|packet| call.arrives(1, packet));
            assert_eq!([(); 3].map(|()| wire.traffic_class(call.ports[1]) >> 2), [46, 34, 34]);
        }
        // On a port of its own, by whatever carries it in the end.
        plan.receive = Receive { speech: vec![(96, 90_000)], is_video: true, ..Receive::of(plan.receive.latch) };
        call.plan(A, &plan);
        for n in 200..220 {
            let mut packet = rtp(3, n);
            packet[1] = 96;
            call.pass(0, &packet);
            assert_eq!(wire.traffic_class(call.ports[1]) >> 2, 34);
        }
        assert!(call.counters(A).tier.is_kernel());
    }
}

/// The sequence numbers roll over, the source changes, the sender begins anew: as the relay itself counts.
#[test]
fn the_kernel_counts_as_the_relay_does() {
    let Some(call) = Call::new(&V4) else { return };
    call.settle();
    (65_400..=u16::MAX).filter(|n| n % 50 != 0).for_each(|n| call.pass(0, &rtp(7, n)));
    (0..100).for_each(|n| call.pass(0, &rtp(7, n)));
    (30_000..30_100).for_each(|n| call.pass(0, &rtp(7, n)));
    let a = call.counters(A);
    // 65400 is the first and was not sent, 65450 and 65500 are missing.
    assert_eq!((a.rtp_lost, a.rtp_in), (2, 2 + 133 + 100 + 100));
}

#[test]
fn others_are_refused_and_control_goes_up() {
    let Some(call) = Call::new(&V4) else { return };
    call.settle();
    let stray = call.network.caller.socket("10.77.1.1:0");
    for n in 0..20 {
        stray.send_to(&rtp(9, n), call.ports[0]).unwrap();
    }
    let report = [0x80, 201, 0, 1, 0, 0, 0, 1];
    call.pass(0, &report);
    call.pass(0, &rtp(1, 2));
    // Padding and a header extension are RTP all the same.
    let mut padded = rtp(1, 3);
    padded[0] |= 0x20;
    *padded.last_mut().unwrap() = 4;
    call.pass(0, &padded);
    let extended = [&[0x90, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 1, 0xbe, 0xde, 0, 1, 1, 2, 3, 4][..], &[5; 100]].concat();
    call.pass(0, &extended);
    // A telephone event is not the agreed speech.
    let mut event = rtp(1, 5);
    event[1] = 101;
    call.pass(0, &event);
    let malformed = [&[0x90, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 1, 0xbe, 0xde, 0, 99][..], &[5; 100]].concat();
    call.send(0, &malformed);
    let stun = [&[0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42][..], &[7; 12]].concat();
    call.send(0, &stun);
    let control = std::iter::from_fn(|| call.events.recv_timeout(PATIENCE).ok());
    let mut control = control.filter(|event| matches!(event, RelayEvent::Control { .. }));
    assert!(matches!(control.next(), Some(RelayEvent::Control { port: A, datagram, .. }) if datagram == stun));
    let a = call.counters(A);
    assert_eq!((a.stray_source, a.rtcp_in, a.control_in, a.malformed), (20, 1, 1, 1));
    assert_eq!((a.rtp_in, a.rtp_lost, a.unknown_payload, a.tier), (6, 0, 1, TC));
}

/// Plans change while packets pour in: each packet arrives, once.
#[test]
fn changes_in_mid_stream_lose_nothing() {
    let Some(call) = Call::new(&V4) else { return };
    let (sent, rounds) = (2_000u16, 40);
    let (sender, to) = (call.peers[0].try_clone().unwrap(), call.ports[0]);
    let stream = std::thread::spawn(move || {
        for n in 0..sent {
            sender.send_to(&rtp(1, n), to).unwrap();
            std::thread::sleep(Duration::from_micros(300));
        }
    });
    let mut arrived = vec![0u32; sent.into()];
    let mut buffer = [0; 2000];
    let mut replans = 0;
    for n in 0..sent {
        call.peers[1].recv_from(&mut buffer).expect("no packet is lost");
        arrived[usize::from(u16::from_be_bytes([buffer[2], buffer[3]]))] += 1;
        if n % (sent / rounds) == 0 {
            // By turns the port that receives and the port that sends; every other time another code point of the same plan.
            let (port, peer, other) = if replans % 2 == 0 { (A, 0, B) } else { (B, 1, A) };
            let mut plan = call.plain(other, peer);
            plan.receive.speech = vec![(0, 8_000), (101, 8_000 + replans)];
            call.plan(port, &plan);
            replans += 1;
        }
    }
    stream.join().unwrap();
    assert!(arrived.iter().all(|count| *count == 1));
    let (a, b) = (call.counters(A), call.counters(B));
    assert_eq!((a.rtp_in, a.rtp_lost, b.rtp_out), (sent.into(), 0, sent.into()));
    assert_eq!((a.tier, replans), (TC, rounds.into()));
}

/// What needs user space comes up, and a command reaches a worker that no packet wakes.
#[test]
fn hold_and_keys_bring_a_flow_up() {
    let Some(call) = Call::new(&V4) else { return };
    call.settle();
    let mut held = call.plain(B, 0);
    held.destination = Destination::Discard(DiscardReason::OnHold);
    call.plan(A, &held);
    // The kernel forwards until the worker has heard of it, which asking for counters waits for.
    assert_eq!(call.counters(A).tier, Tier::Sockets(Obstacle::Settling));
    (2..12).for_each(|n| call.send(0, &rtp(1, n)));
    // A packet is judged by the plan of the moment at which the worker reads it.
    let deadline = Instant::now() + PATIENCE;
    while call.counters(A).discarded < 10 && Instant::now() < deadline {}
    call.plan(A, &call.plain(B, 0));
    call.counters(A);
    call.pass(0, &rtp(1, 12));
    let a = call.counters(A);
    assert_eq!((a.rtp_in, a.discarded, a.tier), (13, 10, TC));
    let mut secure = call.plain(A, 1);
    secure.transmit.srtp = Some(SrtpKeys { profile: SrtpProfile::AeadAes128Gcm, key: vec![1; 16], salt: vec![2; 12] });
    call.plan(B, &secure);
    call.counters(A);
    call.send(0, &rtp(1, 13));
    let mut buffer = [0; 2000];
    assert_eq!(call.peers[1].recv(&mut buffer).unwrap(), 172 + 16);
    assert_eq!(call.counters(A).tier, Tier::Sockets(Obstacle::Secure));
}

/// A recorder gets its copies in user space, and the flow goes down again when recording ends.
#[test]
fn recording_brings_a_flow_up_and_its_end_lets_it_down() {
    let Some(call) = Call::new(&V4) else { return };
    call.settle();
    let recorded = |n: u16| {
        let copy = Some(Box::new(CopyPlan { port: PortId(99), payloads: vec![(0, 0)] }));
        call.plan(A, &FlowPlan { copy, ..call.plain(B, 0) });
        call.counters(A);
        (n..n + 20).for_each(|n| call.pass(0, &rtp(1, n)));
        assert_eq!(call.counters(A).tier, Tier::Sockets(Obstacle::Recorded));
    };
    recorded(2);
    call.plan(A, &call.plain(B, 0));
    call.counters(A);
    (22..42).for_each(|n| call.pass(0, &rtp(1, n)));
    let a = call.counters(A);
    assert_eq!((a.rtp_in, a.rtp_lost, a.tier), (42, 0, TC), "nothing was lost on the way up and down");
    recorded(42);
}

#[test]
fn a_port_that_closes_takes_its_flows_from_the_kernel() {
    let Some(call) = Call::new(&V4) else { return };
    call.settle();
    call.relay.command(RelayCommand::Close { port: B });
    let last = std::iter::from_fn(|| call.events.recv_timeout(PATIENCE).ok());
    let last = last.filter_map(|event| match event {
        RelayEvent::Counters { port: B, counters, last: true } => Some(counters),
        _ => None,
    });
    assert_eq!(last.map(|counters| counters.rtp_out).next(), Some(2));
    call.send(0, &rtp(1, 2));
    call.peers[1].set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    assert!(call.peers[1].recv(&mut [0; 2000]).is_err(), "nothing is forwarded any more");
}

#[test]
fn a_route_that_goes_brings_a_flow_up() {
    let Some(call) = Call::new(&V4) else { return };
    call.settle();
    call.network.node.ip("link set m2 down");
    call.send(0, &rtp(1, 2));
    let deadline = Instant::now() + PATIENCE;
    while call.counters(A).tier == TC {
        assert!(Instant::now() < deadline, "the worker hears of the route");
    }
    call.network.node.ip("link set m2 up");
    (3..5).for_each(|n| call.send(0, &rtp(1, n)));
    let mut buffer = [0; 2000];
    while call.peers[1].recv(&mut buffer).is_ok_and(|_| buffer[3] != 4) {}
    assert_eq!(buffer[3], 4);
}

#[test]
fn without_the_privilege_sockets_carry_it_and_the_reason_is_told() {
    let Some(network) = Network::new() else { return };
    let (why, relay) = network.node.run(|| {
        let mut sets = rustix::thread::capabilities(None).unwrap();
        sets.effective = rustix::thread::CapabilitySet::empty();
        rustix::thread::set_capabilities(None, sets).unwrap();
        let config = RelayConfig { workers: 1, kernel: true, ..RelayConfig::default() };
        let relay = Relay::start(config, Arc::new(|_| true)).unwrap();
        (relay.without_kernel().map(|why| why.obstacle), relay)
    });
    assert_eq!(why, Some(Obstacle::NotPermitted));
    let faults = relay.faults();
    assert!(matches!(&faults[..], [(path, why)] if path == "kernel" && why.contains("CAP_BPF")), "{faults:?}");
    drop(relay);
}
