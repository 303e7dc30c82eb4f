//! How the core wakes a worker that waits for packets.

use crate::sys::Epoll;
use std::fs::File;
use std::io::{self, Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};

/// Token of the bell in its worker's epoll; no socket has it.
pub(crate) const WAKE: u64 = u64::MAX;

/// Wakes a worker that waits for packets. Rings once however many commands come before the worker looks.
pub(crate) struct Bell {
    counter: File,
    rung: AtomicBool,
    /// Work is in the queue that can wait for the next packet.
    left: AtomicBool,
}

impl Bell {
    pub(crate) fn new(epoll: &Epoll) -> io::Result<Bell> {
        let counter = crate::sys::eventfd()?;
        epoll.add(&counter, WAKE)?;
        Ok(Bell { counter, rung: AtomicBool::new(false), left: AtomicBool::new(false) })
    }

    /// Work is in the queue.
    pub(crate) fn ring(&self) {
        if !self.rung.swap(true, Ordering::SeqCst) {
            // It can only fail when the counter is full, and then it rings.
            let _ = (&self.counter).write(&1u64.to_ne_bytes());
        }
    }

    /// Work is in the queue that concerns packets only: it is done before the next one, and nobody need wake for it.
    pub(crate) fn leave(&self) {
        self.left.store(true, Ordering::SeqCst);
    }

    /// Whether work is in the queue that the worker has not looked at.
    pub(crate) fn is_rung(&self) -> bool {
        self.rung.load(Ordering::SeqCst) || self.left.load(Ordering::SeqCst)
    }

    /// The worker was woken by the bell.
    pub(crate) fn hush(&self) {
        let _ = (&self.counter).read(&mut [0; 8]);
    }

    /// The worker looks: before it empties the queue, so that what comes later rings again.
    pub(crate) fn answer(&self) {
        self.left.store(false, Ordering::SeqCst);
        self.rung.store(false, Ordering::SeqCst);
    }
}
