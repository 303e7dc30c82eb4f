//! Sockets of media ports.

use crate::command::RelayConfig;
use ringfort_media::plan::Component;
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;

/// The buffer of a shared socket has room for what so many sockets have.
const SHARED_BUFFERS: usize = 32;

/// The sockets of one open port.
pub(crate) enum Sockets {
    /// Nobody else's.
    Own { rtp: UdpSocket, rtcp: Option<UdpSocket> },
    /// The worker's socket of a port that several legs share. Others wait for what comes to it.
    Shared(Arc<UdpSocket>),
}

impl Sockets {
    /// Binds both sockets, or none.
    pub(crate) fn bind(rtp: SocketAddr, rtcp: Option<SocketAddr>, config: &RelayConfig) -> io::Result<Sockets> {
        let rtp = bind(rtp, config)?;
        let rtcp = rtcp.map(|address| bind(address, config)).transpose()?;
        Ok(Sockets::Own { rtp, rtcp })
    }

    /// The socket of a component, if the port has it.
    pub(crate) fn of(&self, component: Component) -> Option<&UdpSocket> {
        match (self, component) {
            (Sockets::Own { rtp, .. }, Component::Rtp) => Some(rtp),
            (Sockets::Own { rtcp, .. }, Component::Rtcp) => rtcp.as_ref(),
            (Sockets::Shared(socket), Component::Rtp) => Some(socket),
            (Sockets::Shared(_), Component::Rtcp) => None,
        }
    }

    /// The sockets whose packets are waited for with the port.
    pub(crate) fn own(&self) -> impl Iterator<Item = (Component, &UdpSocket)> {
        let own = matches!(self, Sockets::Own { .. });
        let both = [Component::Rtp, Component::Rtcp].into_iter().filter(move |_| own);
        both.filter_map(|component| Some((component, self.of(component)?)))
    }
}

/// A socket that never blocks and that nobody else shares: neither a second one on the same port (no `SO_REUSEADDR`) nor the
/// other address family.
pub(crate) fn bind(address: SocketAddr, config: &RelayConfig) -> io::Result<UdpSocket> {
    open(address, config, false)
}

/// One of several sockets at the same address. Many legs' packets wait in it.
pub(crate) fn bind_shared(address: SocketAddr, config: &RelayConfig) -> io::Result<UdpSocket> {
    let many = RelayConfig { receive_buffer: config.receive_buffer.saturating_mul(SHARED_BUFFERS), ..config.clone() };
    open(address, &many, true)
}

fn open(address: SocketAddr, config: &RelayConfig, shared: bool) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM.nonblocking(), Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_port(shared)?;
    tune(&socket, address, config);
    socket.bind(&address.into())?;
    Ok(socket.into())
}

/// Which code points (RFC 2474) packets have that leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Marks {
    /// Sockets have this one.
    pub(crate) audio: u8,
    pub(crate) video: u8,
}

impl Marks {
    pub(crate) fn of(self, is_video: bool) -> u8 {
        if is_video { self.video } else { self.audio }
    }

    /// What is to be said beside a packet that leaves by a socket.
    pub(crate) fn beside(self, is_video: bool) -> Option<u8> {
        (self.of(is_video) != self.audio).then_some(self.video)
    }
}

/// What makes media better but not possible: a system that refuses it still carries calls.
fn tune(socket: &Socket, address: SocketAddr, config: &RelayConfig) {
    let tos = u32::from(config.dscp) << 2;
    let marked = if address.is_ipv6() { socket.set_tclass_v6(tos) } else { socket.set_tos_v4(tos) };
    // By privilege beyond what the system grants everybody, where there is one.
    let forced = rustix::net::sockopt::set_socket_recv_buffer_size_force(socket, config.receive_buffer);
    let sized = forced.map_err(io::Error::from).or_else(|_| socket.set_recv_buffer_size(config.receive_buffer));
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
