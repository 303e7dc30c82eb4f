//! A relay, its events, and peers that talk through it.

use crossbeam_channel::{Receiver, bounded};
use ringfort_base::{CallId, PortId};
use ringfort_media::plan::*;
use ringfort_relay::{LocalAddresses, Relay, RelayConfig};
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Nothing on loopback takes this long.
pub const PATIENCE: Duration = Duration::from_secs(5);

pub const A: PortId = PortId(1);
pub const B: PortId = PortId(2);

pub struct World {
    pub relay: Relay,
    pub events: Receiver<RelayEvent>,
}

impl World {
    pub fn new() -> World {
        World::with_queue(1024)
    }

    /// With room for `capacity` events.
    pub fn with_queue(capacity: usize) -> World {
        let (sender, events) = bounded(capacity);
        let config = RelayConfig { workers: 2, ..RelayConfig::default() };
        let relay = Relay::start(config, Arc::new(move |event| sender.try_send(event).is_ok())).unwrap();
        World { relay, events }
    }

    /// Opens a port of the one call on `host`.
    pub fn open_on(&self, host: &str, port: PortId, rtcp: bool) -> LocalAddresses {
        let rtp: SocketAddr = host.parse().unwrap();
        self.relay.command(RelayCommand::Open { port, call: CallId(7), rtp, rtcp: rtcp.then_some(rtp), shared: false });
        self.relay.local(port).expect("the port is open")
    }

    /// Opens both ports of a call, each with an RTCP socket.
    pub fn call(&self) -> (LocalAddresses, LocalAddresses) {
        (self.open_on("127.0.0.1:0", A, true), self.open_on("127.0.0.1:0", B, true))
    }

    pub fn plan(&self, port: PortId, plan: &FlowPlan) {
        self.relay.command(RelayCommand::Plan { port, plan: Box::new(plan.clone()) });
    }

    /// The next stream that began.
    pub fn stream(&self) -> (PortId, u32) {
        loop {
            if let RelayEvent::Stream { port, ssrc } = self.events.recv_timeout(PATIENCE).expect("an event") {
                return (port, ssrc);
            }
        }
    }

    /// The next event that is neither a report nor a stream.
    pub fn event(&self) -> RelayEvent {
        loop {
            let event = self.events.recv_timeout(PATIENCE).expect("an event");
            if !matches!(event, RelayEvent::Counters { last: false, .. } | RelayEvent::Stream { .. }) {
                return event;
            }
        }
    }

    /// Asks for counters until they satisfy `condition`. Other events are passed over.
    pub fn counters(&self, port: PortId, condition: impl Fn(&PortCounters) -> bool) -> PortCounters {
        let deadline = Instant::now() + PATIENCE;
        let mut seen = None;
        while Instant::now() < deadline {
            self.relay.command(RelayCommand::Report);
            while let Ok(event) = self.events.recv_timeout(Duration::from_millis(200)) {
                match event {
                    RelayEvent::Counters { port: p, counters, .. } if p == port => {
                        if condition(&counters) {
                            return *counters;
                        }
                        seen = Some(*counters);
                        break;
                    }
                    _ => {}
                }
            }
        }
        panic!("counters never came: {seen:?}");
    }
}

/// One side of a call.
pub struct Peer {
    pub rtp: UdpSocket,
    pub rtcp: UdpSocket,
}

impl Peer {
    pub fn new() -> Peer {
        Peer::on("127.0.0.1:0")
    }

    pub fn on(host: &str) -> Peer {
        let socket = || {
            let socket = UdpSocket::bind(host).unwrap();
            socket.set_read_timeout(Some(PATIENCE)).unwrap();
            socket
        };
        Peer { rtp: socket(), rtcp: socket() }
    }

    pub fn address(&self) -> SocketAddr {
        self.rtp.local_addr().unwrap()
    }

    pub fn rtcp_address(&self) -> SocketAddr {
        self.rtcp.local_addr().unwrap()
    }
}

/// Waits for the next datagram.
pub fn receive(socket: &UdpSocket) -> Vec<u8> {
    receive_from(socket).0
}

pub fn receive_from(socket: &UdpSocket) -> (Vec<u8>, SocketAddr) {
    let mut buffer = [0; 2000];
    let (len, from) = socket.recv_from(&mut buffer).expect("a packet");
    (buffer[..len].to_vec(), from)
}

/// An RTP packet of one telephone frame.
pub fn rtp(ssrc: u32, sequence: u16) -> Vec<u8> {
    let payload = sequence.to_be_bytes().repeat(80);
    let builder = rtp_types::RtpPacketBuilder::new().payload_type(0).ssrc(ssrc).sequence_number(sequence);
    builder.timestamp(u32::from(sequence) * 160).payload(payload.as_slice()).write_vec().unwrap()
}

/// A receiver report without blocks.
pub fn rtcp(ssrc: u32) -> Vec<u8> {
    [&[0x80, 201, 0, 1][..], &ssrc.to_be_bytes()].concat()
}

/// A STUN binding request without attributes (RFC 8489 5).
pub fn stun(id: u8) -> Vec<u8> {
    [&[0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42][..], &[id; 12]].concat()
}

pub fn symmetric() -> Latch {
    Latch::Symmetric { expected: None, grace_ms: 0 }
}

/// Plain RTP from whoever speaks first, across to `to`, sending to `peer` until then.
pub fn plan(to: PortId, peer: &Peer) -> FlowPlan {
    FlowPlan {
        receive: Receive::of(symmetric()),
        destination: Destination::Port(to),
        transmit: Transmit {
            rtp: Some(peer.address()),
            rtcp: Some(peer.rtcp_address()),
            rtcp_mux: false,
            srtp: None,
            lent: false,
            muted: false,
        },
        audio: None,
        copy: None,
        apart: None,
    }
}

/// Keys of a profile, different for each `seed`.
pub fn keys(profile: SrtpProfile, seed: u8) -> SrtpKeys {
    let (key, salt) = profile.lengths();
    SrtpKeys { profile, key: (0..key as u8).map(|n| n ^ seed).collect(), salt: (0..salt as u8).map(|n| (n * 7) ^ seed).collect() }
}
