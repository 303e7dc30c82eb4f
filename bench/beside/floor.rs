//! The floor under every relay that uses sockets: as many of them as the calls have, a call for each datagram in and a call for each datagram
//! out, and nothing between. What it costs is the kernel's.

use super::calls::PORTS;
use crate::media::BUFFER;
use crate::namespaces::{NODE, PEER};
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::thread::set_current_timer_slack;
use std::io::{self, Error};
use std::net::{SocketAddr, UdpSocket};
use std::num::NonZeroU64;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

/// One look serves what came since the last one, so that waking costs as little as may be. As long as the node's own workers rest at most.
const LOOK: Duration = Duration::from_micros(500);
/// Most sockets told ready by one look.
const READY: usize = 256;

/// The sockets of all calls, two each, one behind the other.
pub struct Floor {
    epoll: OwnedFd,
    sockets: Vec<UdpSocket>,
    callee: SocketAddr,
}

impl Floor {
    /// Opens the sockets.
    pub fn new(calls: usize) -> io::Result<Floor> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        let sockets = (0..2 * calls as u64).map(|n| {
            let socket = UdpSocket::bind(format!("{NODE}:0"))?;
            socket.set_nonblocking(true)?;
            epoll::add(&epoll, &socket, EventData::new_u64(n), EventFlags::IN)?;
            Ok(socket)
        });
        let sockets = sockets.collect::<io::Result<_>>()?;
        Ok(Floor { epoll, sockets, callee: format!("{PEER}:{}", PORTS[1]).parse().map_err(Error::other)? })
    }

    /// Where a call's caller sends, and its callee.
    pub fn ports(&self, call: usize) -> io::Result<[u16; 2]> {
        Ok([self.sockets[2 * call].local_addr()?.port(), self.sockets[2 * call + 1].local_addr()?.port()])
    }

    /// Sends on what comes, until the process ends.
    pub fn run(&self) -> io::Result<()> {
        set_current_timer_slack(NonZeroU64::new(1))?;
        let (mut buffer, mut ready, mut due) = ([0; BUFFER], Vec::with_capacity(READY), Instant::now());
        loop {
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            due = Instant::now() + LOOK;
            epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut ready), Some(&Default::default()))?;
            for event in ready.drain(..) {
                let place = event.data.u64() as usize;
                let Ok((len, _)) = self.sockets[place].recv_from(&mut buffer) else { continue };
                // What the callee's port gets would go to the caller; there is one direction only.
                let _ = self.sockets[place ^ 1].send_to(&buffer[..len], self.callee);
            }
        }
    }
}
