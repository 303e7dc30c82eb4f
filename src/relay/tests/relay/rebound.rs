//! A peer that comes from elsewhere in the middle of a call, as behind a NAT that begins anew, and packets that cross a change of keys.
//! In virtual time, through the path without sockets.

use crate::world::keys;
use ringfort_base::limits::STRAYS_PROVED_PER_SECOND_MAX;
use ringfort_base::{PortId, Time};
use ringfort_media::plan::*;
use ringfort_media::srtp::{SrtpReceiver, SrtpSender};
use ringfort_relay::path::{Arrival, Flows, Slot, Step, Verdict};
use std::net::SocketAddr;

const PROFILES: [SrtpProfile; 2] = [SrtpProfile::Aes128CmSha1_80, SrtpProfile::AeadAes128Gcm];

fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// A leg of each kind, and a plain one across.
struct Call {
    flows: Flows,
    slots: [Slot; 2],
    now_ms: u64,
    sequence: u16,
    /// Others know the peer's keys.
    told: bool,
}

impl Call {
    fn new() -> Call {
        let mut flows = Flows::new();
        let slots = [1, 2].map(|port| flows.open(PortId(port), false).unwrap());
        let mut call = Call { flows, slots, now_ms: 0, sequence: 0, told: false };
        call.plan(2, None, 0);
        call
    }

    fn plan(&mut self, port: u64, srtp: Option<&SrtpKeys>, opened: u32) {
        let receive = Receive {
            srtp: srtp.cloned(),
            speech: vec![(0, 8_000)],
            opened,
            told: self.told,
            ..Receive::of(Latch::Symmetric { expected: Some(at("10.0.0.5:4000")), grace_ms: 300 })
        };
        let rtp = Some(at("192.0.2.200:9000"));
        let transmit = Transmit { rtp, rtcp: None, rtcp_mux: true, srtp: srtp.cloned(), lent: false, muted: false };
        let destination = Destination::Port(PortId(3 - port));
        let plan = FlowPlan { receive, destination, transmit, audio: None, copy: None, apart: None };
        self.flows.plan(Time::from_millis(self.now_ms), PortId(port), Box::new(plan));
    }

    fn packet(&mut self) -> Vec<u8> {
        self.sequence += 1;
        let sequence = self.sequence.to_be_bytes();
        [&[0x80, 0][..], &sequence, &[0; 4], &[0, 0, 0, 7], &sequence.repeat(10)].concat()
    }

    /// What becomes of a packet of the first leg's peer.
    fn pass(&mut self, from: SocketAddr, packet: &[u8]) -> Verdict {
        let arrival = Arrival { slot: self.slots[0], component: Component::Rtp, from, len: packet.len() };
        self.flows.relay(Time::from_millis(self.now_ms), arrival, &mut [packet, &[0; 32]].concat())
    }

    fn counters(&self) -> PortCounters {
        self.flows.counters().find(|(port, _)| *port == PortId(1)).unwrap().1
    }

    /// Whether a packet from here passes, and whether the port has locked on it just now.
    fn heard(&mut self, from: SocketAddr, sender: Option<&mut SrtpSender>) -> (bool, bool) {
        let packet = self.packet();
        let packet = sender.map_or(packet.clone(), |sender| protected(sender, &packet));
        let verdict = self.pass(from, &packet);
        (matches!(verdict.step, Step::Send(_)), verdict.latched)
    }

    /// Where the first leg's peer gets what the other one sends.
    fn answered(&mut self) -> SocketAddr {
        let packet = self.packet();
        let (from, slot) = (at("192.0.2.200:9000"), self.slots[1]);
        let arrival = Arrival { slot, component: Component::Rtp, from, len: packet.len() };
        let verdict = self.flows.relay(Time::from_millis(self.now_ms), arrival, &mut [&packet[..], &[0; 32]].concat());
        let Step::Send(departure) = verdict.step else { panic!("{verdict:?}") };
        departure.to
    }
}

fn protected(sender: &mut SrtpSender, packet: &[u8]) -> Vec<u8> {
    let mut buffer = [packet, &[0; 32]].concat();
    let len = sender.protect_rtp(&mut buffer, packet.len()).unwrap();
    buffer.truncate(len);
    buffer
}

#[test]
fn keys_prove_where_a_silent_peer_is_now() {
    for profile in PROFILES {
        let (mut call, key) = (Call::new(), keys(profile, 1));
        call.now_ms = 1_000;
        call.plan(1, Some(&key), 0);
        call.now_ms = 2_000;
        let mut sender = SrtpSender::new(&key).unwrap();
        let (old, new) = (at("198.51.100.1:1000"), at("198.51.100.99:2000"));
        assert_eq!(call.heard(old, Some(&mut sender)), (true, true));
        assert_eq!(call.answered(), old);
        call.now_ms += 900;
        assert_eq!(call.heard(new, Some(&mut sender)), (false, false), "not while the old one may be heard");
        call.now_ms += 200;
        let replayed = protected(&mut sender, &call.packet());
        assert!(matches!(call.pass(old, &replayed).step, Step::Send(_)));
        call.now_ms += 1_000;
        assert_eq!(call.pass(new, &replayed).step, Step::Drop, "a packet seen before proves nothing");
        assert_eq!(call.heard(new, None), (false, false), "nor does one without keys");
        assert_eq!((call.counters().stray_source, call.counters().stray_last), (3, Some(new)));
        assert_eq!(call.heard(new, Some(&mut sender)), (true, true));
        assert_eq!(call.answered(), new);
        assert_eq!(call.heard(new, Some(&mut sender)), (true, false));
        assert_eq!(call.heard(old, Some(&mut sender)), (false, false));
    }
}

/// Others know the keys: only from the host of the description they prove that it is the peer, or after it has described itself anew.
#[test]
fn keys_that_others_know_move_nobody() {
    let (mut call, key) = (Call::new(), keys(PROFILES[0], 1));
    call.told = true;
    call.plan(1, Some(&key), 0);
    call.now_ms = 1_000;
    let mut sender = SrtpSender::new(&key).unwrap();
    let (old, other, named) = (at("198.51.100.1:1000"), at("198.51.100.99:2000"), at("10.0.0.5:7000"));
    assert_eq!(call.heard(old, Some(&mut sender)), (true, true));
    call.now_ms = 5_000;
    assert_eq!(call.heard(other, Some(&mut sender)), (false, false), "it may be who was told the keys");
    call.plan(1, Some(&key), 1);
    call.now_ms = 6_500;
    assert_eq!(call.heard(other, None), (false, false), "keys it must have all the same");
    assert_eq!(call.heard(other, Some(&mut sender)), (true, true));
    assert_eq!(call.heard(old, Some(&mut sender)), (true, true), "and the one before may take it back");
    assert_eq!(call.heard(named, Some(&mut sender)), (true, true), "the host of the description");
    call.now_ms = 9_000;
    assert_eq!(call.heard(at("10.0.0.5:9000"), Some(&mut sender)), (true, true), "whatever its port");
    assert_eq!(call.heard(other, Some(&mut sender)), (false, false));
}

/// Whoever floods a port with packets from elsewhere has twenty of them decrypted in a second.
#[test]
fn strays_are_asked_for_keys_now_and_then() {
    let (mut call, key) = (Call::new(), keys(PROFILES[0], 1));
    call.plan(1, Some(&key), 0);
    call.now_ms = 1_000;
    let (mut sender, mut forger) = (SrtpSender::new(&key).unwrap(), SrtpSender::new(&keys(PROFILES[0], 9)).unwrap());
    call.heard(at("198.51.100.1:1000"), Some(&mut sender));
    call.now_ms = 5_000;
    let (stranger, new) = (at("203.0.113.66:6"), at("198.51.100.99:2000"));
    for _ in 0..STRAYS_PROVED_PER_SECOND_MAX {
        assert_eq!(call.heard(stranger, Some(&mut forger)), (false, false));
    }
    assert_eq!(call.heard(new, Some(&mut sender)), (false, false), "the second's allowance is used up");
    call.now_ms += 1_000;
    assert_eq!(call.heard(new, Some(&mut sender)), (true, true));
}

/// With ICE a peer is where its checks say (RFC 8445), and nowhere else.
#[test]
fn with_ice_keys_move_nobody() {
    let (mut call, key) = (Call::new(), keys(PROFILES[0], 1));
    let receive = Receive {
        srtp: Some(key.clone()),
        fragment: Some("f".into()),
        control: true,
        ..Receive::of(Latch::Exact(at("198.51.100.1:1000")))
    };
    let transmit = Transmit { rtp: None, rtcp: None, rtcp_mux: true, srtp: Some(key.clone()), lent: false, muted: false };
    let destination = Destination::Port(PortId(2));
    let plan = FlowPlan { receive, destination, transmit, audio: None, copy: None, apart: None };
    call.flows.plan(Time::ZERO, PortId(1), Box::new(plan));
    call.now_ms = 9_000;
    assert_eq!(call.heard(at("198.51.100.99:2000"), Some(&mut SrtpSender::new(&key).unwrap())), (false, false));
}

#[test]
fn an_offer_lets_a_plain_peer_come_from_elsewhere() {
    let mut call = Call::new();
    call.plan(1, None, 0);
    call.now_ms = 1_000;
    let (old, new) = (at("198.51.100.1:1000"), at("198.51.100.99:2000"));
    assert_eq!(call.heard(old, None), (true, true));
    call.now_ms = 60_000;
    assert_eq!(call.heard(new, None), (false, false));
    call.plan(1, None, 0);
    call.now_ms = 62_000;
    assert_eq!(call.heard(new, None), (false, false), "a plan of the node's own opens nothing");
    call.plan(1, None, 1);
    assert_eq!(call.answered(), old, "what is known of it is kept");
    call.now_ms = 63_000;
    assert_eq!(call.heard(new, None), (true, true));
    assert_eq!(call.answered(), new);
    assert_eq!(call.heard(at("203.0.113.66:6"), None), (false, false), "nobody else");
}

/// A re-INVITE with new keys: what was on its way is heard for two seconds, from the peer alone, and each packet once.
#[test]
fn packets_cross_a_change_of_keys() {
    for (profile, next) in [(PROFILES[0], PROFILES[1]), (PROFILES[1], PROFILES[0]), (PROFILES[1], PROFILES[1])] {
        let (mut call, key, new_key) = (Call::new(), keys(profile, 1), keys(next, 2));
        call.plan(1, Some(&key), 0);
        call.now_ms = 1_000;
        let peer = at("198.51.100.1:1000");
        let (mut before, mut after) = (SrtpSender::new(&key).unwrap(), SrtpSender::new(&new_key).unwrap());
        assert_eq!(call.heard(peer, Some(&mut before)), (true, true));
        call.plan(1, Some(&new_key), 0);
        assert_eq!(call.heard(peer, Some(&mut after)), (true, false));
        let crossing = call.packet();
        let secret = protected(&mut before, &crossing);
        let arrival = Arrival { slot: call.slots[0], component: Component::Rtp, from: peer, len: secret.len() };
        let mut buffer = [&secret[..], &[0; 32]].concat();
        let step = call.flows.relay(Time::from_millis(1_000), arrival, &mut buffer).step;
        assert!(matches!(step, Step::Send(departure) if buffer[..departure.len] == crossing), "{step:?}");
        assert_eq!(call.pass(peer, &secret).step, Step::Drop);
        assert_eq!((call.counters().replayed, call.counters().auth_failed), (1, 0));
        assert_eq!(call.heard(peer, Some(&mut after)), (true, false));
        call.now_ms += 1_999;
        assert_eq!(call.heard(peer, Some(&mut before)), (true, false));
        call.now_ms += 1;
        assert_eq!(call.heard(peer, Some(&mut before)), (false, false));
        assert_eq!(call.counters().auth_failed, 1);
        assert_eq!(call.heard(peer, Some(&mut after)), (true, false));
    }
}

/// When SRTP ends, what comes late under its keys is not taken for sound; and keys are never mixed with none.
#[test]
fn late_packets_of_ended_srtp_are_read() {
    let (mut call, key) = (Call::new(), keys(PROFILES[1], 1));
    call.plan(1, Some(&key), 0);
    call.now_ms = 1_000;
    let (peer, mut sender) = (at("198.51.100.1:1000"), SrtpSender::new(&key).unwrap());
    call.heard(peer, Some(&mut sender));
    call.plan(1, None, 0);
    let (late, plain) = (call.packet(), call.packet());
    let secret = protected(&mut sender, &late);
    for (packet, expected) in [(&secret, &late), (&plain, &plain)] {
        let arrival = Arrival { slot: call.slots[0], component: Component::Rtp, from: peer, len: packet.len() };
        let mut buffer = [&packet[..], &[0; 32]].concat();
        let Step::Send(departure) = call.flows.relay(Time::from_millis(1_100), arrival, &mut buffer).step else { panic!() };
        assert_eq!(buffer[..departure.len], expected[..]);
    }
    call.plan(1, Some(&key), 0);
    assert_eq!(call.heard(peer, None), (false, false), "nothing in plain where keys were agreed on");
    assert!(SrtpReceiver::new(&key).is_ok());
}
