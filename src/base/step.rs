//! What the media of a call did, step by step: what its timeline is made of beside the events of its signalling.

use crate::pii::Pii;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

/// A side of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Party {
    /// Whoever called.
    Caller,
    /// Whoever was called.
    Callee,
}

impl Party {
    /// `caller` or `callee`.
    pub fn as_str(self) -> &'static str {
        match self {
            Party::Caller => "caller",
            Party::Callee => "callee",
        }
    }
}

/// One step of one party.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "kebab-case")]
pub enum Step {
    /// The node began anew and took the call over.
    Restored,
    /// A target rings, or is on the way to.
    Ringing {
        /// Status of the provisional response.
        status: u16,
    },
    /// The first authentic connectivity check came (RFC 8445 7.3).
    IceChecked {
        /// Whence.
        peer: Pii<SocketAddr>,
    },
    /// The peer nominated a pair (RFC 8445 8.1.1).
    IceSelected {
        /// Its address.
        peer: Pii<SocketAddr>,
    },
    /// A DTLS handshake began.
    DtlsBegun {
        /// `client` or `server`: the node's part.
        role: String,
        /// With whom.
        peer: Pii<SocketAddr>,
    },
    /// It yielded keys.
    DtlsDone {
        /// `1.2` or `1.3`.
        version: String,
        /// `aes-gcm-256`, ...
        suite: String,
    },
    /// The relay locked on a source.
    Latched {
        /// `rtp` or `rtcp`.
        component: String,
        /// The source.
        peer: Pii<SocketAddr>,
    },
    /// The first RTP came.
    FirstAudio {
        /// Its synchronisation source.
        ssrc: u32,
    },
    /// RTP comes from another synchronisation source than before.
    SsrcChanged {
        /// The new one.
        ssrc: u32,
    },
    /// The party's codec was agreed on.
    Codec {
        /// Encoding name.
        codec: String,
    },
    /// The party takes no media: it holds the call.
    Held,
    /// It takes media again.
    Resumed,
    /// Something else carries the party's audio.
    Tier {
        /// `kernel`, `af_xdp` or `sockets`.
        tier: String,
        /// Which program in the kernel: `xdp` or `tc`; empty where it is none.
        program: String,
        /// Stable name of why nothing faster does; empty where nothing is faster.
        cause: String,
    },
    /// How the party's audio arrived so far.
    Quality(Sample),
}

/// How a party's audio arrived from the beginning until now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// RTP packets that came.
    pub packets: u64,
    /// RTP packets that did not come.
    pub lost: u64,
    /// Interarrival jitter now, µs (RFC 3550 6.4.1).
    pub jitter_us: u32,
    /// Way to the party and back, µs, by RTCP; `None`: nothing that tells was reported.
    pub round_trip_us: Option<u32>,
    /// Packets that the party says it missed.
    pub missed: u32,
    /// Mean opinion score so far (ITU-T G.107).
    pub mos: Option<f64>,
}

impl Step {
    /// Stable name, as in the serialised form.
    pub fn name(&self) -> &'static str {
        match self {
            Step::Restored => "restored",
            Step::Ringing { .. } => "ringing",
            Step::IceChecked { .. } => "ice-checked",
            Step::IceSelected { .. } => "ice-selected",
            Step::DtlsBegun { .. } => "dtls-begun",
            Step::DtlsDone { .. } => "dtls-done",
            Step::Latched { .. } => "latched",
            Step::FirstAudio { .. } => "first-audio",
            Step::SsrcChanged { .. } => "ssrc-changed",
            Step::Codec { .. } => "codec",
            Step::Held => "held",
            Step::Resumed => "resumed",
            Step::Tier { .. } => "tier",
            Step::Quality(_) => "quality",
        }
    }
}
