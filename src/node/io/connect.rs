//! Connections that the node opens: to a peer over TCP or TLS.

use super::flows::Queued;
use super::stream::Patience;
use super::{Signalling, mark, stream};
use crate::tls;
use bytes::Bytes;
use ringfort_base::{Hop, Transport, limits};
use ringfort_call::Input;
use rustls_pki_types::ServerName;
use std::io;
use std::net::{IpAddr, SocketAddr};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

impl Signalling {
    /// Sends by a connection: the one that the hop names, one that exists to the same peer, or a new one. What cannot be sent is
    /// told to the core.
    pub fn send(&self, hop: Hop, octets: Bytes) {
        match self.flows.find(&hop) {
            Some((_, sender)) => {
                // A full queue is a peer that does not read; its transactions fail now rather than much later.
                if sender.try_send(octets).is_err() {
                    self.core.offer(Input::SendFailed(hop));
                }
            }
            None if hop.flow.is_none() && matches!(hop.transport, Transport::Tcp | Transport::Tls) => {
                match self.flows.queue(&hop, octets) {
                    Queued::First => drop(tokio::spawn(self.clone().open(hop))),
                    Queued::Waiting => {}
                    Queued::Full => drop(self.core.offer(Input::SendFailed(hop))),
                }
            }
            None => {
                self.core.offer(Input::SendFailed(hop));
            }
        }
    }

    /// Opens the connection that messages wait for. When that fails the core is told once: every request on its way there fails.
    async fn open(self, hop: Hop) {
        let opened = timeout(limits::CONNECTION_HANDSHAKE, self.connect(hop)).await;
        if !matches!(opened, Ok(Ok(()))) {
            self.flows.not_opened(&hop);
            self.core.deliver(Input::SendFailed(hop)).await;
        }
    }

    /// Opens the connection and has it served.
    async fn connect(&self, hop: Hop) -> io::Result<()> {
        let stream = timeout(limits::CONNECTION_OPEN, dial(hop, self.dscp)).await.map_err(io::Error::from)??;
        // Without it a request may wait for the peer's delayed acknowledgement.
        let _ = stream.set_nodelay(true);
        match hop.transport {
            Transport::Tls => {
                let stream = self.tls.connector().connect(self.certified_name(hop.remote.ip()), stream).await?;
                let names = tls::proved(stream.get_ref().1);
                self.enter(hop, names, stream)
            }
            _ => self.enter(hop, Vec::new(), stream),
        }
    }

    /// What the peer's certificate must bear: the configured name, or the address where that is configured (RFC 5922 7.3).
    fn certified_name(&self, address: IpAddr) -> ServerName<'static> {
        let named = self.names.of(address).and_then(|name| ServerName::try_from(name).ok());
        named.unwrap_or_else(|| ServerName::IpAddress(address.into()))
    }

    /// Enters the connection into the table, so that the caller finds it, and has it served.
    fn enter<S>(&self, hop: Hop, names: Vec<String>, stream: S) -> io::Result<()>
    where
        S: AsyncRead + AsyncWrite + Send + 'static,
    {
        let opened = self.flows.opened(&hop);
        let (flow, outgoing) = opened.ok_or_else(|| io::Error::other("too many connections"))?;
        let hop = Hop { flow: Some(flow), ..hop };
        let signalling = self.clone();
        tokio::spawn(async move {
            if !names.is_empty() {
                signalling.core.deliver(Input::Proved { flow, names }).await;
            }
            let patience = Patience { first: limits::CONNECTION_IDLE, keep_alive: Some(limits::CONNECTION_KEEP_ALIVE) };
            stream::serve_opened(stream, hop, flow, outgoing, signalling, patience).await;
        });
        Ok(())
    }
}

/// Connects, from the address of the listener that the hop names: that of the peer's realm.
async fn dial(hop: Hop, dscp: u8) -> io::Result<TcpStream> {
    let socket = if hop.remote.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    mark((&socket).into(), hop.remote, dscp);
    let own = hop.local.map(|local| local.ip()).filter(|ip| !ip.is_unspecified() && ip.is_ipv4() == hop.remote.is_ipv4());
    if let Some(ip) = own {
        socket.bind(SocketAddr::new(ip, 0))?;
    }
    socket.connect(hop.remote).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use ringfort_base::Transport;
    use socket2::SockRef;

    fn mark_of(socket: SockRef<'_>, at: SocketAddr) -> u32 {
        if at.is_ipv6() { socket.tclass_v6().unwrap() } else { socket.tos_v4().unwrap() }
    }

    #[tokio::test]
    async fn signalling_is_marked() {
        for (host, dscp) in [("127.0.0.1:0", 40), ("[::1]:0", 40), ("127.0.0.1:0", 0)] {
            let at: SocketAddr = host.parse().unwrap();
            let tos = u32::from(dscp) << 2;
            let udp = crate::io::udp::bind(at, dscp).unwrap();
            assert_eq!(mark_of((&udp).into(), at), tos, "{host} by UDP");
            let listener = tokio::net::TcpListener::from_std(stream::bind(at, dscp).unwrap()).unwrap();
            let hop = Hop { transport: Transport::Tcp, remote: listener.local_addr().unwrap(), local: None, flow: None };
            let (dialled, accepted) = tokio::join!(dial(hop, dscp), listener.accept());
            assert_eq!(mark_of((&dialled.unwrap()).into(), at), tos, "{host}, a connection that the node opens");
            assert_eq!(mark_of((&accepted.unwrap().0).into(), at), tos, "{host}, a connection that a peer opens");
        }
    }
}
