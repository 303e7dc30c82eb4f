//! Two hosts on one Ethernet link, as network namespaces: what is measured, and whoever sends and receives.

use ringfort_relay::namespace::Host;
use std::io::{self, Error};

/// Address of whoever sends and receives.
pub const PEER: &str = "10.77.1.1";
/// Address of what is measured.
pub const NODE: &str = "10.77.1.2";

/// The node's end of the link.
pub const DEVICE: &str = "m1";

/// UDP packets that come in are dropped before anybody looks at them, or no more.
pub fn drops(host: &Host, device: &str, on: bool) -> io::Result<()> {
    if on {
        host.call("nft add table netdev bench")?;
        host.call(&format!("nft add chain netdev bench in {{ type filter hook ingress device {device} priority 0 ; }}"))?;
        host.call("nft add rule netdev bench in ip protocol udp drop")
    } else {
        host.call("nft delete table netdev bench")
    }
}

/// Packets that a device received so far.
pub fn received(host: &Host, device: &'static str) -> io::Result<u64> {
    host.run(move || {
        let text = std::fs::read_to_string("/proc/thread-self/net/dev")?;
        let line = text.lines().find_map(|line| line.trim().strip_prefix(device)?.strip_prefix(':'));
        let packets = line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok());
        packets.ok_or_else(|| Error::other("no such device"))
    })?
}

/// Both, with `eth0` at the peer and `m1` at the node.
pub struct Link {
    /// Who sends and receives.
    pub peer: Host,
    /// What is measured.
    pub node: Host,
}

impl Link {
    /// Needs the right to make namespaces.
    pub fn new() -> io::Result<Link> {
        let link = Link { peer: Host::new()?, node: Host::new()? };
        link.node.connect((DEVICE, &format!("{NODE}/24")), &link.peer, ("eth0", &format!("{PEER}/24")))?;
        Ok(link)
    }

    /// Whether the peer's end reads as a card's driver does. Only then the node's takes frames that were only forwarded.
    pub fn reads_as_cards_do(&self, on: bool) -> io::Result<()> {
        self.peer.call(if on { "ethtool -K eth0 gro on" } else { "ethtool -K eth0 gro off" })
    }
}
