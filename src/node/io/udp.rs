//! SIP over UDP.

use super::Signalling;
use bytes::Bytes;
use ringfort_base::{Hop, Transport, limits};
use ringfort_call::Input;
use ringfort_sip::Message;
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

/// Datagrams that wait in the kernel while the core is busy: about half a second of a registration storm.
const RECEIVE_BUFFER: usize = 4 << 20;
/// Pause after an error.
const AFTER_ERROR: Duration = Duration::from_millis(1);

pub(super) fn bind(address: SocketAddr) -> io::Result<std::net::UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // The kernel grants what net.core.rmem_max allows; less is no failure.
    let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER);
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(socket.into())
}

pub(super) fn serve(socket: std::net::UdpSocket, local: SocketAddr, signalling: Signalling) -> io::Result<()> {
    let socket = tokio::net::UdpSocket::from_std(socket)?;
    tokio::spawn(async move {
        let mut buffer = vec![0; limits::SIP_MESSAGE_MAX];
        loop {
            let Ok((len, remote)) = socket.recv_from(&mut buffer).await else {
                // An ICMP message about an earlier datagram, which the transactions' timers deal with; or the system is short of
                // something, and asking again at once would spin.
                tokio::time::sleep(AFTER_ERROR).await;
                continue;
            };
            let hop = Hop { transport: Transport::Udp, remote, local: Some(local), flow: None };
            if let Some(input) = read(hop, &buffer[..len]) {
                signalling.core.offer(input);
            }
        }
    });
    Ok(())
}

/// The input that a datagram is. `None`: a keep-alive (RFC 5626 3.5.1 and the empty or CRLF ones that phones send).
fn read(hop: Hop, datagram: &[u8]) -> Option<Input> {
    if datagram.iter().all(|b| matches!(b, b'\r' | b'\n' | 0)) {
        return None;
    }
    let octets = Bytes::copy_from_slice(datagram);
    Some(match Message::parse(octets.clone()) {
        Ok(message) => Input::Message { hop, message },
        Err(error) => Input::Unparsed { hop, octets, error },
    })
}
