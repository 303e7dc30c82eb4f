//! Proves that a relayed packet allocates nothing, on any thread of the process. Alone in its binary: another test would
//! count too.

#![allow(unsafe_code)]

use ringfort_base::{CallId, PortId};
use ringfort_media::plan::*;
use ringfort_media::srtp::SrtpSender;
use ringfort_relay::{Relay, RelayConfig};
use std::alloc::{GlobalAlloc, Layout, System};
use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The system's allocator, counted.
struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

// SAFETY: every call goes to `System` unchanged, which keeps the contract of `GlobalAlloc`; counting touches no memory it
// hands out.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::SeqCst);
        // SAFETY: the caller keeps the contract of `alloc`, which is that of `System`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `dealloc`; `memory` came from `System` by `alloc` or `realloc` here.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::SeqCst);
        // SAFETY: as for `dealloc`.
        unsafe { System.realloc(memory, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const WARM_UP: u16 = 100;
const MEASURED: u16 = 2_000;

fn keys(profile: SrtpProfile) -> SrtpKeys {
    let (key, salt) = profile.lengths();
    SrtpKeys { profile, key: vec![7; key], salt: vec![9; salt] }
}

fn plan(to: PortId, peer: &UdpSocket, srtp: Option<SrtpKeys>) -> Box<FlowPlan> {
    let rtp = peer.local_addr().ok();
    Box::new(FlowPlan {
        receive: Receive {
            srtp: srtp.clone(),
            speech: vec![(0, 8_000)],
            signals: vec![101],
            ..Receive::of(Latch::Symmetric { expected: None, grace_ms: 0 })
        },
        destination: Destination::Port(to),
        transmit: Transmit { rtp, rtcp: None, rtcp_mux: true, srtp, lent: false, muted: false },
        audio: None,
        copy: None,
        apart: None,
    })
}

/// A packet and what it becomes under `profile`, made before anything is counted.
fn packets(profile: Option<SrtpProfile>) -> Vec<Vec<u8>> {
    let mut sender = profile.map(|profile| SrtpSender::new(&keys(profile)).unwrap());
    (0..WARM_UP + MEASURED)
        .map(|n| {
            let mut packet = vec![0u8; 172 + 32];
            packet[0] = 0x80;
            packet[2..4].copy_from_slice(&n.to_be_bytes());
            packet[8..12].copy_from_slice(&1u32.to_be_bytes());
            let len = sender.as_mut().map_or(172, |sender| sender.protect_rtp(&mut packet, 172).unwrap());
            packet.truncate(len);
            packet
        })
        .collect()
}

/// Sends packets one after the other through the relay and returns how many allocations the measured ones cost.
fn allocations(profile: Option<SrtpProfile>) -> u64 {
    let relay = Relay::start(RelayConfig { workers: 1, ..RelayConfig::default() }, Arc::new(|_| true)).unwrap();
    let socket = || UdpSocket::bind("127.0.0.1:0").unwrap();
    let (a, b, ports) = (socket(), socket(), [PortId(1), PortId(2)]);
    b.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let any = "127.0.0.1:0".parse().unwrap();
    // A recorder gets a copy, and reads it not: a full queue of its socket is nobody's business.
    let recorder = socket();
    relay.command(RelayCommand::Open { port: PortId(3), call: CallId(1), rtp: any, rtcp: None, shared: false });
    let mut recorded = plan(ports[0], &recorder, profile.map(keys));
    recorded.destination = Destination::Discard(DiscardReason::Unheard);
    relay.command(RelayCommand::Plan { port: PortId(3), plan: recorded });
    for (port, peer, other) in [(ports[0], &a, ports[1]), (ports[1], &b, ports[0])] {
        relay.command(RelayCommand::Open { port, call: CallId(1), rtp: any, rtcp: None, shared: false });
        let mut plan = plan(other, peer, profile.map(keys));
        plan.copy = Some(Box::new(CopyPlan { port: PortId(3), payloads: vec![(0, 8)] }));
        relay.command(RelayCommand::Plan { port, plan });
    }
    let to = relay.local(ports[0]).unwrap().rtp;
    let packets = packets(profile);
    let mut buffer = [0; 2000];
    let mut relayed = |packets: &[Vec<u8>]| {
        for packet in packets {
            a.send_to(packet, to).unwrap();
            assert_eq!(b.recv(&mut buffer).unwrap(), packet.len());
        }
    };
    let (warm_up, measured) = packets.split_at(WARM_UP.into());
    relayed(warm_up);
    let before = ALLOCATIONS.load(Ordering::SeqCst);
    relayed(measured);
    ALLOCATIONS.load(Ordering::SeqCst) - before
}

#[test]
fn a_relayed_packet_allocates_nothing() {
    use SrtpProfile::*;
    for profile in [None, Some(Aes128CmSha1_80), Some(Aes256CmSha1_80), Some(AeadAes128Gcm)] {
        assert_eq!(allocations(profile), 0, "{profile:?}, {MEASURED} packets");
    }
}
