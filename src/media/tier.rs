//! What carries a flow: the kernel by itself, rings beside the kernel, or the relay's sockets, and why nothing faster does.

use serde::{Deserialize, Serialize};

/// What carries the RTP of one direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Tier {
    /// A program in the kernel forwards it as frames, before the kernel makes more of them (XDP); user space sees its counters only.
    Xdp,
    /// Another one forwards it behind that (tc).
    Tc(Obstacle),
    /// A worker receives it by a socket and sends it by another one.
    Sockets(Obstacle),
    /// A worker receives it as frames, past the kernel's sockets, and sends it so where it can.
    AfXdp(Obstacle),
}

/// Why a flow is not carried by a faster tier.
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
    /// As many flows, or neighbours, as the kernel's tables hold are there.
    Full,
    /// The interface by which it comes is not one where frames are asked for.
    NotNamed,
    /// It is asked for there, and an alarm says why it is not there.
    NoFrames,
    /// The driver of the interface by which it comes has no XDP of its own.
    GenericXdp,
    /// Its frames come or leave with a tag (VLAN).
    Tagged,
    /// The interface by which it leaves takes no frames of others.
    ExitTakesNone,
    /// The Ethernet address of the next hop is not known.
    NoNeighbour,
    /// The program that sees frames leaves its packets to the one behind.
    PassedOn,
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
            Tier::Xdp | Tier::Tc(_) => "kernel",
            Tier::AfXdp(_) => "af_xdp",
            Tier::Sockets(_) => "sockets",
        }
    }

    /// Which program in the kernel: `xdp` or `tc`; empty where it is none.
    pub fn program(self) -> &'static str {
        match self {
            Tier::Xdp => "xdp",
            Tier::Tc(_) => "tc",
            Tier::AfXdp(_) | Tier::Sockets(_) => "",
        }
    }

    /// Whether a program in the kernel forwards it.
    pub fn is_kernel(self) -> bool {
        matches!(self, Tier::Xdp | Tier::Tc(_))
    }

    /// Stable name of why it is not the fastest one: `secure`, `recorded`, ...; empty when it is.
    pub fn cause(self) -> &'static str {
        self.obstacle().map_or("", Obstacle::as_str)
    }

    /// Why it is not the fastest one, in words; empty when it is.
    pub fn reason(self) -> &'static str {
        self.obstacle().map_or("", Obstacle::words)
    }

    fn obstacle(self) -> Option<Obstacle> {
        match self {
            Tier::Xdp => None,
            Tier::Tc(obstacle) | Tier::AfXdp(obstacle) | Tier::Sockets(obstacle) => Some(obstacle),
        }
    }

    /// The same flow received as frames, or by sockets. What the kernel carries stays there.
    pub fn as_frames(self, frames: bool) -> Tier {
        match self {
            Tier::Xdp | Tier::Tc(_) => self,
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
            Obstacle::NotNamed => "not-named",
            Obstacle::NoFrames => "no-frames",
            Obstacle::GenericXdp => "generic-xdp",
            Obstacle::Tagged => "tagged",
            Obstacle::ExitTakesNone => "exit-takes-none",
            Obstacle::NoNeighbour => "no-neighbour",
            Obstacle::PassedOn => "passed-on",
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
            Obstacle::NotNamed => "media.af_xdp does not name the interface that it comes by",
            Obstacle::NoFrames => "the interface that it comes by has no AF_XDP, as an alarm says",
            Obstacle::GenericXdp => "the driver of the interface that it comes by has no XDP",
            Obstacle::Tagged => "its frames are tagged (VLAN)",
            Obstacle::ExitTakesNone => "the interface that it leaves by takes no frames of others",
            Obstacle::NoNeighbour => "the Ethernet address of the next hop is not known",
            Obstacle::PassedOn => "its packets are too long for it, or their headers, checksums or way are not what it takes",
        }
    }

    /// Whether it concerns the whole node, not one flow.
    pub fn is_of_the_system(self) -> bool {
        use Obstacle::{Configured, KernelTooOld, NotBuilt, NotPermitted, Refused};
        matches!(self, Configured | NotBuilt | KernelTooOld | NotPermitted | Refused)
    }
}
