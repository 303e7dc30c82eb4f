//! Signalling sockets: UDP, TCP, TLS, WebSocket. They frame and parse, hand messages to the core, and send what the core says.

mod connect;
mod door;
mod flows;
mod names;
mod stream;
mod stun;
pub mod udp;
pub mod websocket;

pub use door::{Door, Place, Room};
pub use flows::Flows;
pub use names::Names;
pub(crate) use stream::bind as bind_stream;

use crate::core::CoreHandle;
use crate::tls::Tls;
use ringfort_base::{Hop, Transport, limits};
use ringfort_call::Input;
use ringfort_call::config::ListenAddress;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

/// What every signalling task needs.
#[derive(Clone)]
pub struct Signalling {
    /// Where messages go.
    pub core: CoreHandle,
    /// Connections alive.
    pub flows: Arc<Flows>,
    /// Who is let in.
    pub door: Arc<Door>,
    /// Names that peers' certificates have to bear.
    pub names: Arc<Names>,
    /// Certificates.
    pub tls: Tls,
    /// Code point of what leaves by connections that the node opens.
    pub dscp: u8,
}

impl Signalling {
    /// Hands in what came over a connection. A stranger's is not read on while much waits: others have the rest of the queue.
    pub(crate) async fn arrived(&self, hop: Hop, input: Input) {
        let room = if self.door.trusts(hop.remote.ip()) { limits::CORE_QUEUE_MAX } else { limits::STRANGERS_QUEUE_MAX };
        self.core.deliver_within(room, input).await;
    }
}

/// Marks what a socket sends (RFC 2474). Accepted connections have the mark of their listener. A system that refuses it sends unmarked.
fn mark(socket: socket2::SockRef<'_>, at: SocketAddr, dscp: u8) {
    let tos = u32::from(dscp) << 2;
    let marked = if at.is_ipv6() { socket.set_tclass_v6(tos) } else { socket.set_tos_v4(tos) };
    if let Err(error) = marked {
        tracing::debug!(%error, "signalling goes unmarked");
    }
}

/// A listener that is bound but not served yet.
pub struct Bound {
    transport: Transport,
    address: SocketAddr,
    socket: Socket,
}

enum Socket {
    Udp(std::net::UdpSocket),
    Stream(std::net::TcpListener),
}

impl Bound {
    /// Binds a listener; port 0 asks the system for one.
    /// What leaves by it has the code point `dscp`.
    pub fn bind(wanted: &ListenAddress, dscp: u8) -> io::Result<Bound> {
        let (socket, address) = match wanted.transport {
            Transport::Udp => {
                let socket = udp::bind(wanted.address, dscp)?;
                let address = socket.local_addr()?;
                (Socket::Udp(socket), address)
            }
            _ => {
                let listener = stream::bind(wanted.address, dscp)?;
                let address = listener.local_addr()?;
                (Socket::Stream(listener), address)
            }
        };
        Ok(Bound { transport: wanted.transport, address, socket })
    }

    /// Transport and real address.
    pub fn address(&self) -> (Transport, SocketAddr) {
        (self.transport, self.address)
    }

    /// A second handle of a UDP socket, for the core to read and to send by.
    pub fn sender(&self) -> io::Result<Option<std::net::UdpSocket>> {
        match &self.socket {
            Socket::Udp(socket) => socket.try_clone().map(Some),
            Socket::Stream(_) => Ok(None),
        }
    }

    /// Serves it until the process ends.
    pub fn serve(self, signalling: Signalling) -> io::Result<()> {
        match self.socket {
            Socket::Udp(_) => Ok(()), // The core reads it.
            Socket::Stream(listener) => stream::serve(listener, self.transport, signalling),
        }
    }
}
