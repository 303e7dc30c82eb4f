//! What is looked for, and which transports come into question (RFC 3263 4.1).

use super::Kind;
use crate::uri::Uri;
use ringfort_base::Transport;
use std::net::IpAddr;

/// A server to be found: a host, and what is known of port and transport.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Target {
    /// Domain in lower case, or address; IPv6 without brackets.
    host: String,
    /// The port, where one is written: then no SRV is asked.
    pub port: Option<u16>,
    /// The transport, where one is demanded: then no NAPTR is asked.
    pub transport: Option<Transport>,
    /// Only secure transports (`sips`).
    pub secure: bool,
}

impl Target {
    /// A host by name or address.
    pub fn new(host: &str, port: Option<u16>, transport: Option<Transport>, secure: bool) -> Target {
        let host = host.trim_start_matches('[').trim_end_matches(['.', ']']).to_ascii_lowercase();
        Target { host, port, transport, secure }
    }

    /// Where a request with this Request-URI or Route goes (RFC 3263 4: `maddr` before the host). `None`: no SIP URI, no host, or a
    /// transport that nobody knows.
    pub fn of_uri(uri: &Uri) -> Option<Target> {
        let written = uri.host.ip().map_or_else(|| uri.host.to_string(), |ip| ip.to_string());
        let host = uri.param("maddr").filter(|maddr| !maddr.is_empty()).map_or(written, str::to_string);
        let unknown = uri.param("transport").is_some() && uri.transport().is_none();
        if !uri.is_sip() || host.is_empty() || unknown {
            return None;
        }
        Some(Target::new(&host, uri.port.filter(|port| *port != 0), uri.transport(), uri.is_secure()))
    }

    /// The host as text.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The address, where the host is one.
    pub fn ip(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }

    /// The domain, unless the host is an address.
    pub fn name(&self) -> Option<&str> {
        self.ip().is_none().then_some(self.host.as_str())
    }

    /// The port, written or that of the transport (RFC 3261 18.1.1, 19.1.2).
    pub fn port_on(&self, transport: Transport) -> u16 {
        self.port.unwrap_or(default_port(transport))
    }

    /// The transports that may be used, in the order in which SRV is asked for them. With an address or a port and no transport
    /// it is UDP, or TLS for `sips`. Empty: what is demanded cannot be done.
    pub(super) fn transports(&self, support: &Support) -> Vec<Transport> {
        let demanded = self.transport.map(|transport| if self.secure { secured(transport) } else { Some(transport) });
        match demanded {
            Some(Some(transport)) if support.has(transport) => vec![transport],
            Some(_) => Vec::new(),
            None if self.secure => [Transport::Tls].into_iter().filter(|t| support.has(*t)).collect(),
            None if self.port.is_some() || self.ip().is_some() => {
                [Transport::Udp, Transport::Tcp].into_iter().filter(|t| support.has(*t)).take(1).collect()
            }
            None => [Transport::Udp, Transport::Tcp, Transport::Tls].into_iter().filter(|t| support.has(*t)).collect(),
        }
    }
}

/// A transport's default port.
pub fn default_port(transport: Transport) -> u16 {
    match transport {
        Transport::Udp | Transport::Tcp => 5060,
        Transport::Tls => 5061,
        Transport::Ws => 80,
        Transport::Wss => 443,
    }
}

/// What a transport becomes where every hop must be secure (RFC 3261 26.2.2).
fn secured(transport: Transport) -> Option<Transport> {
    match transport {
        Transport::Tcp | Transport::Tls => Some(Transport::Tls),
        Transport::Ws | Transport::Wss => Some(Transport::Wss),
        Transport::Udp => None,
    }
}

/// Service and protocol labels of SRV names (RFC 3263 4.1). WebSocket servers have none (RFC 7118 B.1 leaves it to configuration).
pub(super) fn srv_label(transport: Transport) -> Option<&'static str> {
    match transport {
        Transport::Udp => Some("_sip._udp"),
        Transport::Tcp => Some("_sip._tcp"),
        Transport::Tls => Some("_sips._tcp"),
        Transport::Ws | Transport::Wss => None,
    }
}

/// What the node has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Support {
    transports: Vec<Transport>,
    families: Vec<Kind>,
}

impl Support {
    /// Transports by which the node sends, and its address families. With both, IPv6 is tried first as RFC 6724 would.
    pub fn new(transports: &[Transport], v4: bool, v6: bool) -> Support {
        let families = [(v6, Kind::Aaaa), (v4 || !v6, Kind::A)];
        Support {
            transports: transports.to_vec(),
            families: families.into_iter().filter(|(has, _)| *has).map(|(_, kind)| kind).collect(),
        }
    }

    fn has(&self, transport: Transport) -> bool {
        self.transports.contains(&transport)
    }

    pub(super) fn families(&self) -> &[Kind] {
        &self.families
    }
}
