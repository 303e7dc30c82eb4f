//! How the core wakes a worker that waits for packets.

use crate::sys::{self, Epoll};
use ringfort_base::limits::{AF_XDP_SOCKETS_MAX, SHARED_PORTS_MAX};
use ringfort_base::signs::Signs;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::time::Duration;

/// Token of the bell in its worker's epoll; no socket has it.
pub(crate) const WAKE: u64 = u64::MAX;
/// Token of the socket that hears of routes.
pub(crate) const ROUTES: u64 = u64::MAX - 1;
/// Tokens of sockets of shared ports begin here.
pub(crate) const SHARED: u64 = u64::MAX - 1 - SHARED_PORTS_MAX as u64;
/// Tokens of AF_XDP sockets begin here.
pub(crate) const FRAMES: u64 = SHARED - AF_XDP_SOCKETS_MAX as u64;
/// How long ports that were opened or closed wait for others, so that one wake serves them all: a wake costs as much as the work.
/// Packets that come to a new port meanwhile wait in its socket, and are not lost.
const GATHER: Duration = Duration::from_millis(10);

/// Wakes a worker that waits for packets. Rings once however many commands come before the worker looks. Both descriptors are
/// watched for edges, so nobody reads them.
pub(crate) struct Bell {
    counter: File,
    clock: OwnedFd,
    signs: Signs,
}

impl Bell {
    pub(crate) fn new(epoll: &Epoll) -> io::Result<Bell> {
        let (counter, clock) = (sys::eventfd()?, sys::timerfd()?);
        epoll.add_edge(&counter, WAKE)?;
        epoll.add_edge(&clock, WAKE)?;
        Ok(Bell { counter, clock, signs: Signs::new() })
    }

    /// Work is in the queue.
    pub(crate) fn ring(&self) {
        if self.signs.ring() {
            self.wake();
        }
    }

    /// Work is in the queue that others may join: it rings soon, or is done before the next packet.
    pub(crate) fn ring_soon(&self) {
        if self.signs.ring_soon() && sys::set_timer(&self.clock, GATHER).is_err() {
            self.ring();
        }
    }

    /// Work is in the queue that concerns packets only: it is done before the next one, and nobody need wake for it, unless the kernel
    /// carries packets that do not come here.
    pub(crate) fn leave(&self) {
        if self.signs.leave() {
            self.wake();
        }
    }

    /// So many flows are carried by the kernel. The worker looks at the queue after it said so: what was left before waits for it.
    pub(crate) fn set_down(&self, flows: usize) {
        self.signs.set_down(flows);
    }

    /// Whether work is in the queue that the worker has not looked at.
    pub(crate) fn is_rung(&self) -> bool {
        self.signs.is_rung()
    }

    /// The worker looks: before it empties the queue, so that what comes later rings again.
    pub(crate) fn answer(&self) {
        self.signs.answer();
    }

    fn wake(&self) {
        // It can only fail when the counter is full, after 2^64 rings.
        let _ = (&self.counter).write(&1u64.to_ne_bytes());
    }
}
