//! Browsers behind one port: known by the name in their checks, then by where they send from. With two workers, half of what arrives is
//! received by the one that does not have the leg.

use crate::world::*;
use ringfort_base::{CallId, PortId};
use ringfort_media::plan::*;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

/// A browser, its leg at the shared port, and the phone at the other end of its call.
struct Pair {
    browser: Peer,
    phone: Peer,
    leg: PortId,
    other: PortId,
    name: String,
}

impl Pair {
    fn open(world: &World, number: u64, shared: SocketAddr) -> (Pair, SocketAddr) {
        let [leg, other] = [1_000 + number, 2_000 + number].map(PortId);
        let pair = Pair { browser: Peer::new(), phone: Peer::new(), leg, other, name: format!("name{number}") };
        let call = CallId(number);
        world.relay.command(RelayCommand::Open { port: leg, call, rtp: shared, rtcp: None, shared: true });
        let any = "127.0.0.1:0".parse().unwrap();
        world.relay.command(RelayCommand::Open { port: other, call, rtp: any, rtcp: None, shared: false });
        let at = world.relay.local(leg).expect("the port is open").rtp;
        world.plan(other, &plan(leg, &pair.phone));
        (pair, at)
    }

    /// The plan of the shared leg once ICE has found the browser's address.
    fn plan(&self, latch: Latch) -> FlowPlan {
        let mut plan = plan(self.other, &self.browser);
        plan.receive.latch = latch;
        (plan.receive.fragment, plan.receive.control) = (Some(self.name.clone()), true);
        (plan.transmit.rtcp, plan.transmit.rtcp_mux) = (None, true);
        plan
    }

    /// The browser checks, and the node answers.
    fn check(&self, world: &World, at: SocketAddr) {
        self.browser.rtp.send_to(&check(&self.name), at).unwrap();
        let event = world.event();
        let datagram = check(&self.name);
        assert_eq!(event, RelayEvent::Control { port: self.leg, from: self.browser.address(), datagram });
        let (to, datagram) = (self.browser.address(), stun(9));
        world.relay.command(RelayCommand::Send { port: self.leg, to, datagram });
        assert_eq!(receive_from(&self.browser.rtp), (stun(9), at));
    }

    /// Both hear each other.
    fn talk(&self, world: &World, at: SocketAddr, sequence: u16) {
        let ssrc = self.leg.0 as u32;
        self.browser.rtp.send_to(&rtp(ssrc, sequence), at).unwrap();
        let (heard, from) = receive_from(&self.phone.rtp);
        assert_eq!(heard, rtp(ssrc, sequence));
        assert_eq!(Some(from), world.relay.local(self.other).map(|local| local.rtp));
        self.phone.rtp.send_to(&rtp(ssrc + 1, sequence), from).unwrap();
        assert_eq!(receive_from(&self.browser.rtp), (rtp(ssrc + 1, sequence), at));
    }
}

/// A check for the leg of this name.
fn check(name: &str) -> Vec<u8> {
    let name = format!("{name}:peer");
    let mut check = stun(1);
    check.extend([0, 6, 0, name.len() as u8]);
    check.extend(name.as_bytes());
    check.resize(check.len().next_multiple_of(4), 0);
    check
}

fn any() -> SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

/// Sixteen browsers: that the system gives all of them to the right worker would be a chance of one in 65,536.
fn sixteen(world: &World) -> (Vec<Pair>, SocketAddr) {
    let mut at = any();
    let open = |number| {
        let (pair, bound) = Pair::open(world, number, at);
        at = bound;
        world.plan(pair.leg, &pair.plan(Latch::Exact("0.0.0.0:0".parse().unwrap())));
        pair
    };
    let pairs: Vec<Pair> = (0..16).map(open).collect();
    assert!(pairs.iter().all(|pair| world.relay.local(pair.leg).is_some_and(|local| local.rtp == at)), "one port");
    (pairs, at)
}

#[test]
fn browsers_share_one_port() {
    let world = World::new();
    let (pairs, at) = sixteen(&world);
    for pair in &pairs {
        pair.check(&world, at);
        world.plan(pair.leg, &pair.plan(Latch::Exact(pair.browser.address())));
    }
    for sequence in 1..=3 {
        pairs.iter().for_each(|pair| pair.talk(&world, at, sequence));
    }
    let counters = world.counters(pairs[0].leg, |counters| counters.rtp_out == 3);
    assert_eq!((counters.rtp_in, counters.control_in, counters.stray_source), (3, 1, 0));
    assert_eq!((world.relay.strangers(), world.relay.handed_lost()), (0, 0));
}

#[test]
fn an_address_that_an_earlier_process_knew_is_enough() {
    let world = World::new();
    let (pairs, at) = sixteen(&world);
    for pair in &pairs {
        world.plan(pair.leg, &pair.plan(Latch::Exact(pair.browser.address())));
        pair.talk(&world, at, 1);
    }
}

#[test]
fn strangers_reach_nobody() {
    let world = World::new();
    let (pair, at) = Pair::open(&world, 1, any());
    world.plan(pair.leg, &pair.plan(Latch::Exact(pair.browser.address())));
    let stranger = Peer::new();
    for datagram in [&rtp(7, 1)[..], &check("other"), &stun(1), &[22, 254, 253, 0], b"?"] {
        stranger.rtp.send_to(datagram, at).unwrap();
    }
    // A check that names the leg is for it, wherever it comes from: only the core can tell whether it is authentic.
    stranger.rtp.send_to(&check(&pair.name), at).unwrap();
    assert!(matches!(world.event(), RelayEvent::Control { from, .. } if from == stranger.address()));
    stranger.rtp.send_to(&rtp(7, 2), at).unwrap();
    pair.talk(&world, at, 1);
    let deadline = Instant::now() + PATIENCE;
    while world.relay.strangers() < 6 && Instant::now() < deadline {
        std::thread::yield_now();
    }
    assert_eq!(world.relay.strangers(), 6);
    assert_eq!(world.counters(pair.leg, |counters| counters.rtp_in == 1).stray_source, 0);
}

#[test]
fn a_leg_that_joins_another_call_stays_at_the_port() {
    let world = World::new();
    let (pairs, at) = sixteen(&world);
    for (pair, call) in pairs.iter().zip((100..).map(CallId)) {
        world.plan(pair.leg, &pair.plan(Latch::Exact(pair.browser.address())));
        pair.talk(&world, at, 1);
        world.relay.command(RelayCommand::Move { port: pair.leg, call });
        world.relay.command(RelayCommand::Move { port: pair.other, call });
        pair.talk(&world, at, 2);
    }
}

#[test]
fn the_last_leg_closes_the_port() {
    let world = World::new();
    let (first, at) = Pair::open(&world, 1, any());
    let (second, _) = Pair::open(&world, 2, at);
    assert!(UdpSocket::bind(at).is_err());
    world.relay.command(RelayCommand::Close { port: first.leg });
    assert!(matches!(world.event(), RelayEvent::Counters { port, last: true, .. } if port == first.leg));
    world.plan(second.leg, &second.plan(Latch::Exact(second.browser.address())));
    second.talk(&world, at, 1);
    world.relay.command(RelayCommand::Close { port: second.leg });
    let deadline = Instant::now() + PATIENCE;
    while UdpSocket::bind(at).is_err() {
        assert!(Instant::now() < deadline, "the port is free again");
        std::thread::sleep(Duration::from_millis(1));
    }
    let (third, again) = Pair::open(&world, 3, at);
    assert_eq!(again, at);
    world.plan(third.leg, &third.plan(Latch::Exact(third.browser.address())));
    third.talk(&world, at, 1);
}

#[test]
fn a_port_that_somebody_has_is_not_shared() {
    let world = World::new();
    let other = Peer::new();
    let open = RelayCommand::Open { port: A, call: CallId(1), rtp: other.address(), rtcp: None, shared: true };
    world.relay.command(open);
    assert!(matches!(world.event(), RelayEvent::OpenFailed { port: A, .. }));
    assert_eq!(world.relay.open_ports(), 0);
}
