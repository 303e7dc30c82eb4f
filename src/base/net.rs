//! Where a SIP message came from and where it goes.

use crate::ids::FlowId;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// SIP transports (RFC 3261 18, RFC 7118).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// Datagrams.
    Udp,
    /// Octet stream.
    Tcp,
    /// Octet stream over TLS.
    Tls,
    /// WebSocket (RFC 7118).
    Ws,
    /// WebSocket over TLS.
    Wss,
}

impl Transport {
    /// Whether the transport itself repeats what is lost; if so timers A, E and G do not run (RFC 3261 17.1.1.1).
    pub fn is_reliable(self) -> bool {
        self != Transport::Udp
    }
    /// Whether others on the path can read along.
    pub fn is_secure(self) -> bool {
        matches!(self, Transport::Tls | Transport::Wss)
    }
    /// The token in `Via` (RFC 3261 25.1, RFC 7118 4.1).
    pub fn via_token(self) -> &'static str {
        match self {
            Transport::Udp => "UDP",
            Transport::Tcp => "TCP",
            Transport::Tls => "TLS",
            Transport::Ws => "WS",
            Transport::Wss => "WSS",
        }
    }
    /// The value of the `transport` URI parameter. WSS is written `ws` there with a `sips` or secure flow
    /// (RFC 7118 5.2.3 keeps `ws` for both).
    pub fn uri_token(self) -> &'static str {
        match self {
            Transport::Udp => "udp",
            Transport::Tcp => "tcp",
            Transport::Tls => "tls",
            Transport::Ws | Transport::Wss => "ws",
        }
    }
    /// Reads a `Via` transport or a URI parameter, in any case.
    pub fn from_token(token: &str) -> Option<Transport> {
        [Transport::Udp, Transport::Tcp, Transport::Tls, Transport::Ws, Transport::Wss]
            .into_iter()
            .find(|t| t.via_token().eq_ignore_ascii_case(token))
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.via_token())
    }
}

/// The next hop of a SIP message, or the last hop of a received one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Hop {
    /// Transport.
    pub transport: Transport,
    /// The peer's address and port.
    pub remote: SocketAddr,
    /// The node's own address and port on which a message arrived. `None` when sending lets the driver choose.
    pub local: Option<SocketAddr>,
    /// The connection to use. `None`: UDP from the first listener, or a connection that the driver opens or reuses.
    pub flow: Option<FlowId>,
}

impl Hop {
    /// A hop to an address for which no connection is known yet.
    pub fn to(transport: Transport, remote: SocketAddr) -> Hop {
        Hop { transport, remote, local: None, flow: None }
    }
    /// Same transport and peer address; the connection may differ.
    pub fn same_peer(&self, other: &Hop) -> bool {
        self.transport == other.transport && self.remote == other.remote
    }
}

/// What counts as one source: an IPv4 address, or an IPv6 /64, which one customer has whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SourceNet(IpAddr);

impl SourceNet {
    /// The source that an address belongs to. An IPv4 address written as IPv6 is the IPv4 address.
    pub fn of(address: IpAddr) -> SourceNet {
        match address.to_canonical() {
            IpAddr::V4(v4) => SourceNet(v4.into()),
            IpAddr::V6(v6) => SourceNet(Ipv6Addr::from(u128::from(v6) >> 64 << 64).into()),
        }
    }

    /// Its octets; those of IPv6 without the lower half.
    pub fn octets(&self) -> [u8; 8] {
        let mut octets = [0; 8];
        match self.0 {
            IpAddr::V4(v4) => octets.iter_mut().zip(v4.octets()).for_each(|(to, from)| *to = from),
            IpAddr::V6(v6) => octets.iter_mut().zip(v6.octets()).for_each(|(to, from)| *to = from),
        }
        octets
    }
}

impl fmt::Display for SourceNet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            IpAddr::V4(v4) => write!(f, "{v4}"),
            IpAddr::V6(v6) => write!(f, "{v6}/64"),
        }
    }
}

impl std::str::FromStr for SourceNet {
    type Err = std::net::AddrParseError;

    /// An address, or what [`SourceNet`] displays.
    fn from_str(text: &str) -> Result<SourceNet, Self::Err> {
        Ok(SourceNet::of(text.strip_suffix("/64").unwrap_or(text).parse()?))
    }
}
