//! Where it is measured: loopback, which needs no privilege, or two hosts in namespaces, which the kernel tier needs: it forwards between
//! Ethernet interfaces.

use crate::namespace::Host;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

const PEER: Ipv4Addr = Ipv4Addr::new(10, 77, 1, 1);
/// The interface of the relay's host, where it has one of its own.
pub(super) const DEVICE: &str = "m1";
const NODE: Ipv4Addr = Ipv4Addr::new(10, 77, 1, 2);

/// The relay's place, and that of whoever sends and receives.
pub(super) enum Ground {
    Loopback,
    Link { node: Host, peer: Host },
}

impl Ground {
    /// Two hosts on an Ethernet.
    pub fn link() -> io::Result<Ground> {
        let (node, peer) = (Host::new()?, Host::new()?);
        node.connect((DEVICE, &format!("{NODE}/24")), &peer, ("eth0", &format!("{PEER}/24")))?;
        Ok(Ground::Link { node, peer })
    }

    /// Does it where the relay is.
    pub fn at_node<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
        match self {
            Ground::Loopback => Ok(job()),
            Ground::Link { node, .. } => node.run(job),
        }
    }

    /// Does it where senders and receivers are.
    pub fn at_peer<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
        match self {
            Ground::Loopback => Ok(job()),
            Ground::Link { peer, .. } => peer.run(job),
        }
    }

    /// Any port of the relay.
    pub fn node(&self) -> SocketAddr {
        let address = if matches!(self, Ground::Loopback) { Ipv4Addr::LOCALHOST } else { NODE };
        (IpAddr::V4(address), 0).into()
    }

    /// Any port of whoever sends and receives.
    pub fn peer(&self) -> SocketAddr {
        let address = if matches!(self, Ground::Loopback) { Ipv4Addr::LOCALHOST } else { PEER };
        (IpAddr::V4(address), 0).into()
    }
}
