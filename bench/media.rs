//! Streams to be relayed: telephone audio, 20 ms of G.711 a packet.

use ringfort_base::PortId;
use ringfort_media::plan::*;
use ringfort_media::srtp::SrtpSender;
use std::net::SocketAddr;
use std::sync::Arc;

/// RTP header and 160 octets of payload.
pub const PACKET: usize = 172;
/// A packet and what SRTP may add.
pub const BUFFER: usize = 1532;

/// What the two sides of a call speak; packets go from the first to the second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Case {
    /// Name in tables.
    pub name: &'static str,
    /// The sender's SRTP profile; `None`: RTP.
    pub from: Option<SrtpProfile>,
    /// The receiver's.
    pub to: Option<SrtpProfile>,
}

const CM: Option<SrtpProfile> = Some(SrtpProfile::Aes128CmSha1_80);
const GCM: Option<SrtpProfile> = Some(SrtpProfile::AeadAes128Gcm);

/// All cases.
pub const CASES: [Case; 6] = [
    Case { name: "RTP to RTP", from: None, to: None },
    Case { name: "SRTP AES-CM to RTP", from: CM, to: None },
    Case { name: "SRTP AES-GCM to RTP", from: GCM, to: None },
    Case { name: "RTP to SRTP AES-CM", from: None, to: CM },
    Case { name: "RTP to SRTP AES-GCM", from: None, to: GCM },
    Case { name: "SRTP AES-GCM to SRTP AES-CM", from: GCM, to: CM },
];

/// Fixed keys: nothing here is secret.
pub fn keys(profile: SrtpProfile) -> SrtpKeys {
    let salt = if profile == SrtpProfile::AeadAes128Gcm { 12 } else { 14 };
    SrtpKeys { profile, key: (0..16).collect(), salt: (0..salt).collect() }
}

/// Plan of a port whose peer is at `peer`, speaks `profile`, and is connected to the port `to`.
pub fn plan(peer: SocketAddr, profile: Option<SrtpProfile>, to: PortId) -> Box<FlowPlan> {
    Box::new(FlowPlan {
        receive: Receive {
            srtp: profile.map(keys),
            speech: vec![(0, 8_000)],
            signals: vec![101],
            ..Receive::of(Latch::Symmetric { expected: Some(peer), grace_ms: 0 })
        },
        destination: Destination::Port(to),
        transmit: Transmit { rtp: Some(peer), rtcp: None, rtcp_mux: true, srtp: profile.map(keys), lent: false, muted: false },
        audio: None,
        copy: None,
        apart: None,
    })
}

/// Makes the packets of one stream, in order.
pub struct Stream {
    ssrc: u32,
    sequence: u16,
    timestamp: u32,
    /// Ticks of a packet's time.
    step: u32,
    /// Packets whose payloads are sent over and over; none: silence in G.711.
    speech: Option<Arc<Vec<Vec<u8>>>>,
    sender: Option<SrtpSender>,
}

impl Stream {
    /// Stream number `number` under `profile`.
    pub fn new(number: usize, profile: Option<SrtpProfile>) -> Stream {
        Stream::with_keys(number, profile.map(keys).as_ref())
    }

    /// Under these keys.
    pub fn with_keys(number: usize, keys: Option<&SrtpKeys>) -> Stream {
        let sender = keys.and_then(|keys| SrtpSender::new(keys).ok());
        Stream { ssrc: 0x1000_0000 + number as u32, sequence: 0, timestamp: 0, step: 160, speech: None, sender }
    }

    /// Speech, whose packets are `step` ticks apart.
    pub fn speech(number: usize, packets: Arc<Vec<Vec<u8>>>, step: u32) -> Stream {
        // Each is somewhere else in it, so that not all are loud or silent at once.
        let sequence = (number * 7) as u16;
        Stream { speech: Some(packets), step, sequence, ..Stream::new(number, None) }
    }

    /// Whether it is silence in the clear, whose payload may be anything else.
    pub fn is_plain(&self) -> bool {
        self.sender.is_none() && self.speech.is_none()
    }

    /// Writes the next packet and returns its length.
    pub fn next(&mut self, buffer: &mut [u8; BUFFER]) -> usize {
        let len = match &self.speech {
            Some(packets) => {
                let packet = &packets[usize::from(self.sequence) % packets.len()];
                buffer[..packet.len()].copy_from_slice(packet);
                packet.len()
            }
            None => {
                buffer[..PACKET].fill(0xd5);
                buffer[..2].copy_from_slice(&[0x80, 0]);
                PACKET
            }
        };
        buffer[2..4].copy_from_slice(&self.sequence.to_be_bytes());
        buffer[4..8].copy_from_slice(&self.timestamp.to_be_bytes());
        buffer[8..12].copy_from_slice(&self.ssrc.to_be_bytes());
        self.sequence = self.sequence.wrapping_add(1);
        self.timestamp = self.timestamp.wrapping_add(self.step);
        match &mut self.sender {
            Some(sender) => sender.protect_rtp(buffer, len).unwrap_or(len),
            None => len,
        }
    }
}
