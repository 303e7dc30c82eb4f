//! SIP over TCP and TLS: accepting, framing, writing. WebSocket listeners are accepted here too and served by [`super::websocket`].

use super::door::{Place, Room};
use super::{Signalling, mark, websocket};
use crate::tls;
use bytes::Bytes;
use ringfort_base::{FlowId, Hop, Transport, limits};
use ringfort_call::Input;
use ringfort_sip::Message;
use ringfort_sip::framing::StreamFramer;
use socket2::{Domain, Protocol, Socket, Type};
use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout, timeout_at};

/// Connections that wait to be accepted.
const BACKLOG: i32 = 1024;
/// Octets read at once.
const CHUNK: usize = 16_384;

pub(crate) fn bind(address: SocketAddr, dscp: u8) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // A restarted process takes its port over while old connections linger in TIME_WAIT.
    socket.set_reuse_address(true)?;
    mark((&socket).into(), address, dscp);
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

pub(super) fn serve(listener: std::net::TcpListener, transport: Transport, signalling: Signalling) -> io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let local = Some(listener.local_addr()?);
    tokio::spawn(async move {
        loop {
            match listener.accept().await {
                Ok((stream, remote)) => {
                    if let Some(place) = signalling.door.enter(remote.ip(), Room::Signalling) {
                        let hop = Hop { transport, remote, local, flow: None };
                        tokio::spawn(accepted(stream, hop, signalling.clone(), place));
                    }
                }
                // Out of descriptors: those that end make room. Accepting again at once would spin.
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    });
    Ok(())
}

/// The handshakes that a transport begins with have their time; then the connection is served, by a task of its own: this one is as large
/// as the largest handshake, which an idle connection has no use for.
async fn accepted(stream: TcpStream, hop: Hop, signalling: Signalling, place: Place) {
    // Without it a response may wait for the peer's delayed acknowledgement.
    let _ = stream.set_nodelay(true);
    let patience = limits::CONNECTION_HANDSHAKE;
    match hop.transport {
        Transport::Udp => {}
        Transport::Tcp => {
            tokio::spawn(serve_stream(stream, hop, Vec::new(), signalling, place));
        }
        Transport::Tls => {
            if let Ok(Ok(stream)) = timeout(patience, signalling.tls.sip_acceptor().accept(stream)).await {
                let names = tls::proved(stream.get_ref().1);
                tokio::spawn(serve_stream(Box::new(stream), hop, names, signalling, place));
            }
        }
        Transport::Ws => {
            if let Ok(Some(socket)) = timeout(patience, websocket::accept(stream)).await {
                tokio::spawn(websocket::serve(socket, hop, signalling, place));
            }
        }
        Transport::Wss => {
            let Ok(Ok(stream)) = timeout(patience, signalling.tls.web_acceptor().accept(stream)).await else { return };
            if let Ok(Some(socket)) = timeout(patience, websocket::accept(stream)).await {
                tokio::spawn(websocket::serve(socket, hop, signalling, place));
            }
        }
    }
}

/// Serves a connection until it ends: reads messages for the core, writes what the core sends.
async fn serve_stream<S>(stream: S, hop: Hop, names: Vec<String>, signalling: Signalling, mut place: Place)
where
    S: AsyncRead + AsyncWrite + Send + 'static,
{
    if let Some((flow, outgoing)) = signalling.flows.open(hop.transport, hop.remote) {
        place.named(flow);
        if !names.is_empty() {
            signalling.core.deliver(Input::Proved { flow, names }).await;
        }
        let hop = Hop { flow: Some(flow), ..hop };
        let patience = Patience { first: limits::CONNECTION_FIRST_MESSAGE, keep_alive: None };
        serve_opened(stream, hop, flow, outgoing, signalling, patience).await;
    }
}

/// How long silence lasts on a connection.
pub(super) struct Patience {
    /// Until something whole came over it; afterwards the idle limit counts.
    pub first: Duration,
    /// Where the node opened it: after such a silence of its own it sends a ping (RFC 5626 3.5.1), for what lies between forgets
    /// connections on which nothing moves.
    pub keep_alive: Option<Duration>,
}

/// The same for a connection that is in the table already. Octets that make nothing whole count as silence, or a peer could hold a connection by one octet an hour.
pub(super) async fn serve_opened<S>(
    stream: S,
    hop: Hop,
    flow: FlowId,
    mut outgoing: mpsc::Receiver<Bytes>,
    signalling: Signalling,
    patience: Patience,
) where
    S: AsyncRead + AsyncWrite + Send + 'static,
{
    let (mut reader, mut writer) = tokio::io::split(stream);
    let reading = async {
        let mut framer = StreamFramer::new();
        let mut until = Instant::now() + patience.first;
        while let Ok(Ok(1..)) = timeout_at(until, read_into(&mut framer, &mut reader)).await {
            match take_messages(&mut framer, hop, &signalling).await {
                Ok(0) => {}
                Ok(_) => until = Instant::now() + limits::CONNECTION_IDLE,
                Err(Lost) => break,
            }
        }
    };
    let writing = async {
        while let Some(octets) = next_octets(&mut outgoing, patience.keep_alive).await {
            if !matches!(timeout(limits::CONNECTION_HANDSHAKE, writer.write_all(&octets)).await, Ok(Ok(()))) {
                break;
            }
        }
    };
    tokio::select! { () = reading => {}, () = writing => {} }
    signalling.flows.close(flow);
    signalling.core.deliver(Input::FlowClosed(flow)).await;
}

/// Reads what there is; returns how many octets that were. The buffer is the stack's, for a connection that waits needs none.
async fn read_into(framer: &mut StreamFramer, reader: &mut (impl AsyncRead + Unpin)) -> io::Result<usize> {
    poll_fn(|cx| {
        let mut chunk = [MaybeUninit::uninit(); CHUNK];
        let mut read = ReadBuf::uninit(&mut chunk);
        ready!(Pin::new(&mut *reader).poll_read(cx, &mut read))?;
        framer.push(read.filled());
        Poll::Ready(Ok(read.filled().len()))
    })
    .await
}

/// What is written next. `None`: nothing will be any more.
async fn next_octets(outgoing: &mut mpsc::Receiver<Bytes>, keep_alive: Option<Duration>) -> Option<Bytes> {
    let Some(silence) = keep_alive else { return outgoing.recv().await };
    timeout(silence, outgoing.recv()).await.unwrap_or(Some(Bytes::from_static(b"\r\n\r\n")))
}

/// The stream cannot be framed any more.
struct Lost;

/// Hands on what is whole; returns how many messages and pings that were.
async fn take_messages(framer: &mut StreamFramer, hop: Hop, signalling: &Signalling) -> Result<u32, Lost> {
    let mut whole = 0;
    loop {
        let next = framer.next_message();
        let pings = framer.take_pings();
        whole += pings.min(1);
        // RFC 5626 3.5.1: a ping is answered by a pong.
        for _ in 0..pings.min(4) {
            if let Some((_, sender)) = signalling.flows.find(&hop) {
                let _ = sender.try_send(Bytes::from_static(b"\r\n"));
            }
        }
        match next {
            Ok(None) => return Ok(whole),
            Ok(Some(octets)) => {
                whole += 1;
                signalling.arrived(hop, read(hop, octets)).await;
            }
            Err(broken) => {
                let input = Input::Unparsed { hop, octets: broken.octets, error: broken.error };
                signalling.arrived(hop, input).await;
                return Err(Lost);
            }
        }
    }
}

/// The input that one framed message is.
pub(super) fn read(hop: Hop, octets: Bytes) -> Input {
    match Message::parse(octets.clone()) {
        Ok(message) => Input::Message { hop, message },
        Err(error) => Input::Unparsed { hop, octets, error },
    }
}
