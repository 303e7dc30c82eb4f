//! SIP over UDP. A datagram needs no framing, so the core reads these sockets itself (see `poller.rs`).

use super::{Door, mark, stun};
use bytes::Bytes;
use ringfort_base::{Hop, Transport};
use ringfort_call::Input;
use ringfort_sip::Message;
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::SocketAddr;

/// Datagrams that wait in the kernel while the core is busy: about half a second of a registration storm.
const RECEIVE_BUFFER: usize = 4 << 20;

pub(super) fn bind(address: SocketAddr, dscp: u8) -> io::Result<std::net::UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // The kernel grants what net.core.rmem_max allows; less is no failure.
    let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER);
    mark((&socket).into(), address, dscp);
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(socket.into())
}

/// Takes the next datagram that is there: who sent it, and its length in `buffer`. `WouldBlock`: none. Other errors are ICMP messages
/// about earlier datagrams, which the transactions' timers deal with; reading one clears it. `Ok(None)`: STUN, or a banned source.
pub fn receive(
    socket: &std::net::UdpSocket,
    local: SocketAddr,
    door: &Door,
    buffer: &mut [u8],
) -> io::Result<Option<(Hop, usize)>> {
    let (len, remote) = socket.recv_from(buffer)?;
    if door.refuses(remote.ip()) {
        return Ok(None);
    }
    if stun::is_stun(&buffer[..len]) {
        // A full socket loses the answer as the network may; the phone asks again.
        let _ = stun::answer(&buffer[..len], remote).map(|reply| socket.send_to(&reply, remote));
        return Ok(None);
    }
    Ok(Some((Hop { transport: Transport::Udp, remote, local: Some(local), flow: None }, len)))
}

/// The input that a datagram is. `None`: a keep-alive (RFC 5626 3.5.1 and the empty or CRLF ones that phones send).
pub fn read(hop: Hop, datagram: &[u8]) -> Option<Input> {
    if datagram.iter().all(|b| matches!(b, b'\r' | b'\n' | 0)) {
        return None;
    }
    let octets = Bytes::copy_from_slice(datagram);
    Some(match Message::parse(octets.clone()) {
        Ok(message) => Input::Message { hop, message },
        Err(error) => Input::Unparsed { hop, octets, error },
    })
}
