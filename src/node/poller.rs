//! What the core thread waits for: datagrams on the UDP sockets, which it reads itself, and inputs that other threads hand in. One
//! wait for both spares each datagram a wake-up of another thread, which costs more than reading and parsing it.

use ringfort_base::signs::Asleep;
use rustix::event::{EventfdFlags, Timespec, epoll, eventfd};
use rustix::io::Errno;
use std::io;
use std::mem::MaybeUninit;
use std::net::UdpSocket;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

/// Mark of the bell among the things that are ready.
const BELL: u64 = u64::MAX;
/// Most things told ready by one wait.
const READY: usize = 64;

/// Wakes the core, when it sleeps.
pub struct Bell {
    counter: OwnedFd,
    asleep: Asleep,
}

impl Bell {
    /// Something was put where the core looks before it sleeps.
    pub fn ring(&self) {
        if self.asleep.found() {
            // It fails only when the counter is full, after 2^64 rings.
            let _ = rustix::io::write(&self.counter, &1u64.to_ne_bytes());
        }
    }
}

/// The core's one place of waiting.
pub struct Poller {
    epoll: OwnedFd,
    bell: Arc<Bell>,
    ready: Vec<usize>,
}

impl Poller {
    /// Waits for nothing but its bell yet.
    pub fn new() -> io::Result<Poller> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let counter = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        // Edge-triggered: each ring tells once, and nobody has to read the counter.
        epoll::add(&epoll, &counter, epoll::EventData::new_u64(BELL), epoll::EventFlags::IN | epoll::EventFlags::ET)?;
        let bell = Arc::new(Bell { counter, asleep: Asleep::default() });
        Ok(Poller { epoll, bell, ready: Vec::with_capacity(READY) })
    }

    /// The bell, for whoever hands inputs in.
    pub fn bell(&self) -> Arc<Bell> {
        self.bell.clone()
    }

    /// Waits for this socket too, under this number.
    pub fn watch(&self, socket: &UdpSocket, number: usize) -> io::Result<()> {
        let data = epoll::EventData::new_u64(number as u64);
        Ok(epoll::add(&self.epoll, socket, data, epoll::EventFlags::IN)?)
    }

    /// Sleeps until a socket is readable or the bell rings, `at_most` so long. `is_waiting`: something was handed in that rang no
    /// bell, because the core was awake. Returns the numbers of the sockets that are readable.
    pub fn wait(&mut self, at_most: Duration, is_waiting: impl Fn() -> bool) -> &[usize] {
        // The order matters: whoever hands something in after this look rings.
        self.bell.asleep.lie_down();
        let at_most = if is_waiting() { Duration::ZERO } else { at_most };
        // Whole milliseconds, rounded up: what is due in between would be asked for again and again.
        let ms = at_most.as_micros().div_ceil(1_000) as i64;
        let timeout = Timespec { tv_sec: ms / 1_000, tv_nsec: ms % 1_000 * 1_000_000 };
        self.ready.clear();
        let mut events = [MaybeUninit::uninit(); READY];
        let waited = epoll::wait(&self.epoll, &mut events[..], Some(&timeout));
        self.bell.asleep.get_up();
        match waited {
            Ok((events, _)) => {
                let numbers = events.iter().map(|event| event.data.u64()).filter(|number| *number != BELL);
                self.ready.extend(numbers.map(|number| number as usize));
            }
            Err(Errno::INTR) => {}
            Err(error) => {
                // Only a programming error gets here; going round at full speed helps nobody.
                tracing::error!(%error, "epoll");
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        &self.ready
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn a_datagram_a_ring_and_what_was_handed_in_before_end_the_wait() {
        let mut poller = Poller::new().unwrap();
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        poller.watch(&socket, 7).unwrap();
        let start = Instant::now();
        assert!(poller.wait(LONG, || true).is_empty(), "something waits already");
        socket.send_to(b"x", socket.local_addr().unwrap()).unwrap();
        assert_eq!(poller.wait(LONG, || false), [7]);
        socket.recv(&mut [0; 9]).unwrap();
        assert!(poller.wait(Duration::from_micros(1), || false).is_empty(), "the time is over");
        let bell = poller.bell();
        let ringer = std::thread::spawn(move || {
            while !bell.asleep.is_so() {
                std::thread::yield_now();
            }
            bell.ring();
        });
        assert!(poller.wait(LONG, || false).is_empty());
        ringer.join().unwrap();
        assert!(start.elapsed() < LONG);
    }
}
