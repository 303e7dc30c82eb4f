//! What carries a flow: the kernel by itself, rings beside the kernel, or the relay's sockets, and why not the kernel.

use serde::{Deserialize, Serialize};

/// What carries the RTP of one direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Tier {
    /// A program in the kernel forwards it; user space sees its counters only.
    Kernel,
    /// A worker receives it by a socket and sends it by another one.
    Sockets(Obstacle),
    /// A worker receives it as frames, past the kernel's sockets, and sends it so where it can.
    AfXdp(Obstacle),
}

/// Why a flow is not carried by the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Obstacle {
    /// Sockets are configured.
    Configured,
    /// The kernel's program was left out when the relay was built.
    NotBuilt,
    /// The kernel is older than 6.6, where programs cannot be attached in a way that ends with the process.
    KernelTooOld,
    /// The process may not load programs into the kernel: CAP_BPF and CAP_NET_ADMIN are needed, for AF_XDP also CAP_NET_RAW.
    NotPermitted,
    /// The system refused for another reason, which the log tells.
    Refused,
    /// Nothing came yet, or it was decided anew a moment ago.
    Settling,
    /// The plan lets nothing through: on hold, not connected, not ready.
    Stopped,
    /// The node itself hears or speaks: echo, announcement, conference, transcoding, DTMF.
    Service,
    /// A recorder gets a copy.
    Recorded,
    /// It is a fax or video, which is told from speech in user space.
    NotSpeech,
    /// SRTP begins or ends at the node.
    Secure,
    /// The peer's address is not known for sure.
    NotLatched,
    /// One side has IPv4, the other one IPv6.
    Families,
    /// A peer is on this very host.
    LocalPeer,
    /// No route to a peer that the kernel could use directly.
    NoRoute,
    /// The way to a peer is no Ethernet interface.
    NoEthernet,
    /// The kernel does not see its packets, as they come by another interface than answers leave by, or leaves them, as they are not the
    /// speech that was agreed on.
    Unseen,
    /// As many flows as the kernel's tables hold are there.
    Full,
}

impl Default for Tier {
    fn default() -> Tier {
        Tier::Sockets(Obstacle::Configured)
    }
}

impl Tier {
    /// `kernel`, `af_xdp` or `sockets`.
    pub fn name(self) -> &'static str {
        match self {
            Tier::Kernel => "kernel",
            Tier::AfXdp(_) => "af_xdp",
            Tier::Sockets(_) => "sockets",
        }
    }

    /// Stable name of why it is not the fastest one: `secure`, `recorded`, ...; empty when it is.
    pub fn cause(self) -> &'static str {
        match self {
            Tier::Kernel => "",
            Tier::Sockets(obstacle) | Tier::AfXdp(obstacle) => obstacle.as_str(),
        }
    }

    /// Why it is not the fastest one, in words; empty when it is.
    pub fn reason(self) -> &'static str {
        match self {
            Tier::Kernel => "",
            Tier::Sockets(obstacle) | Tier::AfXdp(obstacle) => obstacle.words(),
        }
    }

    /// The same flow received as frames, or by sockets. What the kernel carries stays there.
    pub fn as_frames(self, frames: bool) -> Tier {
        match self {
            Tier::Kernel => Tier::Kernel,
            Tier::Sockets(obstacle) | Tier::AfXdp(obstacle) if frames => Tier::AfXdp(obstacle),
            Tier::Sockets(obstacle) | Tier::AfXdp(obstacle) => Tier::Sockets(obstacle),
        }
    }
}

impl Obstacle {
    /// Stable name, for metrics and programs.
    pub fn as_str(self) -> &'static str {
        match self {
            Obstacle::Configured => "configured",
            Obstacle::NotBuilt => "not-built",
            Obstacle::KernelTooOld => "kernel-too-old",
            Obstacle::NotPermitted => "not-permitted",
            Obstacle::Refused => "refused",
            Obstacle::Settling => "settling",
            Obstacle::Stopped => "stopped",
            Obstacle::Service => "service",
            Obstacle::Recorded => "recorded",
            Obstacle::NotSpeech => "not-speech",
            Obstacle::Secure => "secure",
            Obstacle::NotLatched => "not-latched",
            Obstacle::Families => "families",
            Obstacle::LocalPeer => "local-peer",
            Obstacle::NoRoute => "no-route",
            Obstacle::NoEthernet => "no-ethernet",
            Obstacle::Unseen => "unseen",
            Obstacle::Full => "full",
        }
    }

    /// In words, for people.
    pub fn words(self) -> &'static str {
        match self {
            Obstacle::Configured => "sockets are configured",
            Obstacle::NotBuilt => "built without clang, so without the kernel's program",
            Obstacle::KernelTooOld => "the kernel is older than 6.6",
            Obstacle::NotPermitted => "the process lacks CAP_BPF, CAP_NET_ADMIN or, for AF_XDP, CAP_NET_RAW",
            Obstacle::Refused => "the system refused the kernel's program",
            Obstacle::Settling => "nothing came yet",
            Obstacle::Stopped => "the media is stopped: on hold or not connected",
            Obstacle::Service => "the node itself hears or speaks",
            Obstacle::Recorded => "a recorder gets a copy",
            Obstacle::NotSpeech => "fax or video",
            Obstacle::Secure => "SRTP begins or ends here",
            Obstacle::NotLatched => "the peer's address is not known for sure",
            Obstacle::Families => "one side has IPv4, the other IPv6",
            Obstacle::LocalPeer => "a peer is on this host",
            Obstacle::NoRoute => "no direct route to a peer",
            Obstacle::NoEthernet => "the way to a peer is no Ethernet",
            Obstacle::Unseen => "the packets come by another interface than answers leave by, or are not the agreed speech",
            Obstacle::Full => "the kernel's tables are full",
        }
    }

    /// Whether it concerns the whole node, not one flow.
    pub fn is_of_the_system(self) -> bool {
        use Obstacle::{Configured, KernelTooOld, NotBuilt, NotPermitted, Refused};
        matches!(self, Configured | NotBuilt | KernelTooOld | NotPermitted | Refused)
    }
}
