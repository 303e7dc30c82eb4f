//! Ports that nobody else uses: below the range from which the kernel takes ports by itself, and each reserved by a
//! name that the kernel holds for as long as the reservation lives, so that tests in other processes respect it.

use super::{Failure, Outcome};
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::ops::Range;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};

const SINGLES: Range<u16> = 10_000..18_000;
const BLOCKS: Range<u16> = 18_000..32_000;
const BLOCK: u16 = 1_000;

/// Reservations; they end with it.
#[derive(Debug, Default)]
pub struct Ports {
    held: Vec<UnixListener>,
}

/// Media ports of one node.
#[derive(Clone, Copy, Debug)]
pub struct PortBlock {
    /// The first.
    pub first: u16,
    /// The last.
    pub last: u16,
}

impl Ports {
    /// An even port, free for UDP and TCP together with the odd one above it.
    pub fn take(&mut self) -> Outcome<u16> {
        let start = SINGLES.start + (std::process::id() % 1_000) as u16 * 2;
        let candidates = (start..SINGLES.end).chain(SINGLES.start..start).step_by(2);
        self.first_free(candidates, "port", |port| is_free(port) && is_free(port + 1))
    }

    /// A thousand ports for media.
    pub fn take_block(&mut self) -> Outcome<PortBlock> {
        let first = self.first_free(BLOCKS.step_by(BLOCK.into()), "block", is_free)?;
        Ok(PortBlock { first, last: first + BLOCK - 1 })
    }

    fn first_free(&mut self, candidates: impl Iterator<Item = u16>, kind: &str, free: impl Fn(u16) -> bool) -> Outcome<u16> {
        for port in candidates {
            if let Some(reservation) = reserve(kind, port)
                && free(port)
            {
                self.held.push(reservation);
                return Ok(port);
            }
        }
        Err(Failure::new(format!("no {kind} is left on the loopback interface")))
    }
}

/// Takes a name that exists once in this network namespace.
fn reserve(kind: &str, port: u16) -> Option<UnixListener> {
    let name = format!("ringfort-test-{kind}-{port}");
    let address = SocketAddr::from_abstract_name(name).ok()?;
    UnixListener::bind_addr(&address).ok()
}

/// Waits for the right to do what only one test of the machine may do at a time; kept until the value is dropped.
pub fn exclusive(what: &str, limit: std::time::Duration) -> Outcome<UnixListener> {
    super::wait::await_until(&format!("its turn with {what}"), limit, || Ok(reserve(what, 0)))
}

fn is_free(port: u16) -> bool {
    let here = (Ipv4Addr::LOCALHOST, port);
    UdpSocket::bind(here).is_ok() && TcpListener::bind(here).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_port_is_given_twice() {
        let (mut a, mut b) = (Ports::default(), Ports::default());
        let ports = [a.take(), b.take(), a.take()].map(|p| p.expect("plenty"));
        assert!(ports[0] != ports[1] && ports[1] != ports[2] && ports[0] != ports[2], "{ports:?}");
        assert_ne!(a.take_block().expect("some").first, b.take_block().expect("some").first);
    }
}
