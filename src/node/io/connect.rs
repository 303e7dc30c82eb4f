//! Connections that the node opens: to a peer over TCP or TLS.

use super::{Signalling, stream};
use bytes::Bytes;
use ringfort_base::{Hop, Transport, limits};
use ringfort_call::Input;
use rustls_pki_types::ServerName;
use std::io;
use std::net::IpAddr;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
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
                tokio::spawn(self.clone().connect_and_send(hop, octets));
            }
            None => {
                self.core.offer(Input::SendFailed(hop));
            }
        }
    }

    async fn connect_and_send(self, hop: Hop, octets: Bytes) {
        let opened = timeout(limits::CONNECTION_HANDSHAKE, self.connect(hop)).await;
        let sent = matches!(opened, Ok(Ok(())));
        let sender = self.flows.find(&hop).filter(|_| sent);
        if sender.is_none_or(|(_, sender)| sender.try_send(octets).is_err()) {
            self.core.deliver(Input::SendFailed(hop)).await;
        }
    }

    /// Opens the connection and has it served. A second message to the same peer in the meantime may open another; both work.
    async fn connect(&self, hop: Hop) -> io::Result<()> {
        let stream = TcpStream::connect(hop.remote).await?;
        // Without it a request may wait for the peer's delayed acknowledgement.
        let _ = stream.set_nodelay(true);
        match hop.transport {
            Transport::Tls => {
                let stream = self.tls.connector().connect(self.certified_name(hop.remote.ip()), stream).await?;
                self.enter(hop, stream)
            }
            _ => self.enter(hop, stream),
        }
    }

    /// What the peer's certificate must bear: the configured name, or the address where that is configured (RFC 5922 7.3).
    fn certified_name(&self, address: IpAddr) -> ServerName<'static> {
        let named = self.names.of(address).and_then(|name| ServerName::try_from(name).ok());
        named.unwrap_or_else(|| ServerName::IpAddress(address.into()))
    }

    /// Enters the connection into the table, so that the caller finds it, and has it served.
    fn enter<S>(&self, hop: Hop, stream: S) -> io::Result<()>
    where
        S: AsyncRead + AsyncWrite + Send + 'static,
    {
        let opened = self.flows.open(hop.transport, hop.remote);
        let (flow, outgoing) = opened.ok_or_else(|| io::Error::other("too many connections"))?;
        let hop = Hop { flow: Some(flow), ..hop };
        tokio::spawn(stream::serve_opened(stream, hop, flow, outgoing, self.clone(), limits::CONNECTION_IDLE));
        Ok(())
    }
}
