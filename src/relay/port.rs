//! Sockets of media ports.

use crate::command::RelayConfig;
use ringfort_media::plan::Component;
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::{SocketAddr, UdpSocket};

/// The sockets of one open port.
pub(crate) struct Sockets {
    rtp: UdpSocket,
    rtcp: Option<UdpSocket>,
}

impl Sockets {
    /// Binds both sockets, or none.
    pub(crate) fn bind(rtp: SocketAddr, rtcp: Option<SocketAddr>, config: &RelayConfig) -> io::Result<Sockets> {
        let rtp = bind(rtp, config)?;
        let rtcp = rtcp.map(|address| bind(address, config)).transpose()?;
        Ok(Sockets { rtp, rtcp })
    }

    /// The socket of a component, if the port has it.
    pub(crate) fn of(&self, component: Component) -> Option<&UdpSocket> {
        match component {
            Component::Rtp => Some(&self.rtp),
            Component::Rtcp => self.rtcp.as_ref(),
        }
    }
}

/// A socket that never blocks and that nobody else shares: neither a second one on the same port (no `SO_REUSEADDR`) nor the
/// other address family.
fn bind(address: SocketAddr, config: &RelayConfig) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM.nonblocking(), Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    tune(&socket, address, config);
    socket.bind(&address.into())?;
    Ok(socket.into())
}

/// What makes media better but not possible: a system that refuses it still carries calls.
fn tune(socket: &Socket, address: SocketAddr, config: &RelayConfig) {
    let tos = u32::from(config.dscp) << 2;
    let marked = if address.is_ipv6() { socket.set_tclass_v6(tos) } else { socket.set_tos_v4(tos) };
    let sized = socket.set_recv_buffer_size(config.receive_buffer);
    for error in [marked.err(), sized.err()].into_iter().flatten() {
        tracing::debug!(%error, "media socket option refused");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn audio_is_marked() {
        for (dscp, host) in [(46, "127.0.0.1:0"), (10, "127.0.0.1:0"), (46, "[::1]:0")] {
            let address: SocketAddr = host.parse().unwrap();
            let config = RelayConfig { dscp, ..RelayConfig::default() };
            let sockets = Sockets::bind(address, Some(address), &config).unwrap();
            for component in [Component::Rtp, Component::Rtcp] {
                let socket = socket2::SockRef::from(sockets.of(component).unwrap());
                let tos = if address.is_ipv6() { socket.tclass_v6() } else { socket.tos_v4() };
                assert_eq!(tos.unwrap(), u32::from(dscp) << 2, "{host}");
            }
        }
    }
}
