//! What a server transaction remembers, and where its responses go: RFC 3261 18.2 with RFC 3581.
//!
//! `maddr` in a Via is not honoured: it would let whoever sends a request aim the responses at somebody else, and its
//! only use, multicast, is not offered. The rest of RFC 3261 18.2.2 is.

use super::key::default_port;
use crate::message::Via;
use bytes::Bytes;
use ringfort_base::{Hop, Transport};
use std::net::SocketAddr;

/// The server side of a transaction.
#[derive(Debug, Default)]
pub(super) struct Server {
    /// The last response given; empty while there is none.
    pub response: Bytes,
    /// Port of the Via's sent-by: where a connection is opened to when the one that the request came by is closed.
    pub reply_port: u16,
    /// The connection closed and none can be opened (WebSocket): nothing is sent until the peer is heard again.
    pub unreachable: bool,
}

/// Where responses to a request go that came by `hop`. On connections and with `rport` back to where it came from; else to the
/// source address and the port of sent-by (RFC 3261 18.2.2, RFC 3581 4).
pub(super) fn reply_hop(hop: Hop, via: &Via<'_>) -> Hop {
    if hop.transport.is_reliable() || via.rport.is_some() {
        return hop;
    }
    let port = via.port.unwrap_or_else(|| default_port(via.transport));
    Hop { remote: SocketAddr::new(hop.remote.ip(), port), ..hop }
}

/// Where responses go when the connection is closed: over a new one to the source address and the port of sent-by
/// (RFC 3261 18.2.2). Nobody can connect to a browser (RFC 7118 5).
pub(super) fn hop_without_flow(hop: Hop, reply_port: u16) -> Option<Hop> {
    match hop.transport {
        Transport::Ws | Transport::Wss => None,
        _ => Some(Hop { remote: SocketAddr::new(hop.remote.ip(), reply_port), flow: None, ..hop }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source() -> SocketAddr {
        "192.0.2.9:40001".parse().expect("an address")
    }

    #[test]
    fn replies_go_where_rfc_3261_18_2_2_says() {
        let hop = Hop::to(Transport::Udp, source());
        let to =
            |value: &str, transport| reply_hop(Hop { transport, ..hop }, &Via::parse(value).expect("a Via")).remote.to_string();
        assert_eq!(to("SIP/2.0/UDP h:5070;rport", Transport::Udp), "192.0.2.9:40001");
        assert_eq!(to("SIP/2.0/UDP h:5070", Transport::Udp), "192.0.2.9:5070");
        assert_eq!(to("SIP/2.0/UDP h;maddr=203.0.113.1", Transport::Udp), "192.0.2.9:5060");
        assert_eq!(to("SIP/2.0/TCP h:5070", Transport::Tcp), "192.0.2.9:40001");
        let again = hop_without_flow(Hop { transport: Transport::Tls, ..hop }, 5061).expect("a hop");
        assert_eq!((again.remote.port(), again.flow), (5061, None));
        assert_eq!(hop_without_flow(Hop { transport: Transport::Wss, ..hop }, 443), None);
    }
}
