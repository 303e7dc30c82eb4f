//! SIP over each transport, as a peer of the node uses it: one message out, one message in.

use super::tls::{TlsStream, connect_tcp, connect_tls};
use super::{Context, Failure, Outcome};
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::{self, Message as Frame, WebSocket};

/// A read looks up this often whether its deadline has passed.
const TICK: Duration = Duration::from_millis(20);
/// Time for a handshake.
const HANDSHAKE: Duration = Duration::from_secs(5);

/// A way to the node.
pub enum Wire {
    /// Datagrams.
    Udp(UdpSocket),
    /// Octet stream, and what of it is not yet a whole message.
    Tcp(TcpStream, Vec<u8>),
    /// The same over TLS.
    Tls(Box<TlsStream>, Vec<u8>),
    /// RFC 7118.
    Ws(Box<WebSocket<TcpStream>>),
    /// RFC 7118 over TLS.
    Wss(Box<WebSocket<TlsStream>>),
}

impl Wire {
    /// UDP from a port of one's own, by the node's family; 0 takes any.
    pub fn udp(node: SocketAddr, port: u16) -> Outcome<Wire> {
        let own: IpAddr = match (node.ip().is_loopback(), node.is_ipv4()) {
            (true, true) => Ipv4Addr::LOCALHOST.into(),
            (true, false) => Ipv6Addr::LOCALHOST.into(),
            // Of a host of its own; connecting chooses the address.
            (false, true) => Ipv4Addr::UNSPECIFIED.into(),
            (false, false) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let socket = UdpSocket::bind((own, port)).during(format_args!("binding port {port}"))?;
        socket.connect(node).during(format_args!("connecting to {node}"))?;
        socket.set_read_timeout(Some(TICK)).during("setting a read timeout")?;
        Ok(Wire::Udp(socket))
    }

    /// TCP.
    pub fn tcp(node: SocketAddr) -> Outcome<Wire> {
        Ok(Wire::Tcp(connect_tcp(node, TICK)?, Vec::new()))
    }

    /// TLS.
    pub fn tls(node: SocketAddr) -> Outcome<Wire> {
        Ok(Wire::Tls(Box::new(connect_tls(node, TICK)?), Vec::new()))
    }

    /// WebSocket; `path` begins with a slash.
    pub fn ws(node: SocketAddr, path: &str) -> Outcome<Wire> {
        let tcp = connect_tcp(node, HANDSHAKE)?;
        let socket = upgrade(tcp, &format!("ws://{node}{path}"))?;
        socket.get_ref().set_read_timeout(Some(TICK)).during("setting a read timeout")?;
        Ok(Wire::Ws(Box::new(socket)))
    }

    /// WebSocket over TLS.
    pub fn wss(node: SocketAddr, path: &str) -> Outcome<Wire> {
        let tls = connect_tls(node, HANDSHAKE)?;
        let socket = upgrade(tls, &format!("wss://{node}{path}"))?;
        socket.get_ref().sock.set_read_timeout(Some(TICK)).during("setting a read timeout")?;
        Ok(Wire::Wss(Box::new(socket)))
    }

    /// The token in Via, and whether a lost message must be repeated.
    pub fn transport(&self) -> &'static str {
        match self {
            Wire::Udp(_) => "UDP",
            Wire::Tcp(..) => "TCP",
            Wire::Tls(..) => "TLS",
            Wire::Ws(_) => "WS",
            Wire::Wss(_) => "WSS",
        }
    }

    /// Own address.
    pub fn local(&self) -> Outcome<SocketAddr> {
        match self {
            Wire::Udp(socket) => socket.local_addr(),
            Wire::Tcp(stream, _) => stream.local_addr(),
            Wire::Tls(stream, _) => stream.sock.local_addr(),
            Wire::Ws(socket) => socket.get_ref().local_addr(),
            Wire::Wss(socket) => socket.get_ref().sock.local_addr(),
        }
        .during("asking for the own address")
    }

    /// Sends one message, or anything else.
    pub fn send(&mut self, octets: &[u8]) -> Outcome<()> {
        match self {
            Wire::Udp(socket) => socket.send(octets).map(drop).during("sending a datagram"),
            Wire::Tcp(stream, _) => stream.write_all(octets).during("writing to TCP"),
            Wire::Tls(stream, _) => stream.write_all(octets).and_then(|()| stream.flush()).during("writing to TLS"),
            Wire::Ws(socket) => socket.send(frame(octets)).during("writing to a WebSocket"),
            Wire::Wss(socket) => socket.send(frame(octets)).during("writing to a WebSocket over TLS"),
        }
    }

    /// The next message, or what else the node sends; `None` when it says nothing in time.
    pub fn receive(&mut self, limit: Duration) -> Outcome<Option<Vec<u8>>> {
        let deadline = Instant::now() + limit;
        while Instant::now() < deadline {
            let received = match self {
                Wire::Udp(socket) => receive_datagram(socket),
                Wire::Tcp(stream, rest) => receive_framed(stream, rest),
                Wire::Tls(stream, rest) => receive_framed(stream.as_mut(), rest),
                Wire::Ws(socket) => receive_frame(socket),
                Wire::Wss(socket) => receive_frame(socket),
            }?;
            if received.is_some() {
                return Ok(received);
            }
        }
        Ok(None)
    }
}

fn upgrade<S: Read + Write>(stream: S, address: &str) -> Outcome<WebSocket<S>> {
    let mut request = address.into_client_request().during("making a WebSocket request")?;
    request.headers_mut().insert("Sec-WebSocket-Protocol", HeaderValue::from_static("sip"));
    let (socket, response) =
        tungstenite::client(request, stream).map_err(|e| Failure::new(format!("WebSocket handshake with {address}: {e}")))?;
    let chosen = response.headers().get("Sec-WebSocket-Protocol").and_then(|v| v.to_str().ok());
    match chosen {
        Some("sip") => Ok(socket),
        other => Err(Failure::new(format!("the node chose subprotocol {other:?}, not sip (RFC 7118 4.1)"))),
    }
}

fn frame(octets: &[u8]) -> Frame {
    match std::str::from_utf8(octets) {
        Ok(text) => Frame::text(text),
        Err(_) => Frame::binary(octets.to_vec()),
    }
}

/// Whether a read only found nothing in time.
pub fn is_timeout(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}

fn receive_datagram(socket: &UdpSocket) -> Outcome<Option<Vec<u8>>> {
    let mut buffer = vec![0; 65_535];
    match socket.recv(&mut buffer) {
        Ok(length) => Ok(Some(buffer[..length].to_vec())),
        // A node that is just starting again refuses for a moment.
        Err(error) if is_timeout(error.kind()) || error.kind() == ErrorKind::ConnectionRefused => Ok(None),
        Err(error) => Err(error).during("receiving a datagram"),
    }
}

fn receive_framed(stream: &mut impl Read, rest: &mut Vec<u8>) -> Outcome<Option<Vec<u8>>> {
    if let Some(message) = take_message(rest) {
        return Ok(Some(message));
    }
    let mut buffer = [0; 16_384];
    match stream.read(&mut buffer) {
        Ok(0) => Err(Failure::new("the node closed the connection")),
        Ok(length) => {
            rest.extend_from_slice(&buffer[..length]);
            Ok(take_message(rest))
        }
        Err(error) if is_timeout(error.kind()) => Ok(None),
        Err(error) => Err(error).during("reading from the node"),
    }
}

fn receive_frame<S: Read + Write>(socket: &mut WebSocket<S>) -> Outcome<Option<Vec<u8>>> {
    match socket.read() {
        Ok(frame @ (Frame::Text(_) | Frame::Binary(_))) => Ok(Some(frame.into_data().to_vec())),
        Ok(Frame::Close(why)) => Err(Failure::new(format!("the node closed the WebSocket: {why:?}"))),
        Ok(_) => Ok(None),
        Err(tungstenite::Error::Io(error)) if is_timeout(error.kind()) => Ok(None),
        Err(error) => Err(error).during("reading from the WebSocket"),
    }
}

/// A whole message from the front of a stream; a pair of CRLF (RFC 5626 3.5.1) counts as one.
fn take_message(rest: &mut Vec<u8>) -> Option<Vec<u8>> {
    if rest.starts_with(b"\r\n") {
        return Some(rest.drain(..2).collect());
    }
    let head = rest.windows(4).position(|w| w == b"\r\n\r\n")? + 4;
    let text = String::from_utf8_lossy(&rest[..head]).to_ascii_lowercase();
    let length = text.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse::<usize>().ok());
    let whole = head + length.unwrap_or(0);
    (rest.len() >= whole).then(|| rest.drain(..whole).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_cut_into_messages() {
        let mut rest = b"SIP/2.0 200 OK\r\nContent-Length: 3\r\n\r\nabc\r\nSIP/2.0".to_vec();
        assert_eq!(take_message(&mut rest).as_deref(), Some(&b"SIP/2.0 200 OK\r\nContent-Length: 3\r\n\r\nabc"[..]));
        assert_eq!(take_message(&mut rest).as_deref(), Some(&b"\r\n"[..]));
        assert_eq!(take_message(&mut rest), None);
    }
}
