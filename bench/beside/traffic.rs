//! Whoever sends and receives.

use super::calls::{Load, PORTS, profile};
use super::subject::Running;
use crate::media::{BUFFER, PACKET, Stream};
use crate::namespaces::{Link, NODE, PEER};
use ringfort_media::audio::Codec;
use ringfort_media::audio::trial;
use ringfort_media::plan::{Destination, DiscardReason};
use std::io::{self, Error};
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Packets between two pauses of the sender are what one such span asks for.
const TICK: Duration = Duration::from_millis(1);
/// Seconds of speech that are sent over and over.
const SPEECH_S: usize = 4;

/// Sends streams in turn; what it needs from before the clock starts.
pub struct Sender {
    sockets: [UdpSocket; 2],
    /// From which socket, to where.
    streams: Vec<(usize, SocketAddr, Stream)>,
    next: usize,
}

/// What was sent.
pub struct Sent {
    pub packets: u64,
    pub cpu_ns: u64,
}

impl Sender {
    /// A stream of each caller, and with `both` one of each callee, too.
    pub fn new(link: &Link, running: &Running, load: Load, both: bool) -> io::Result<Sender> {
        let socket = |port: u16| link.peer.run(move || UdpSocket::bind(format!("{PEER}:{port}")))?;
        let sockets = [socket(PORTS[0])?, socket(PORTS[1])?];
        // Nobody reads them here; what comes is dropped before.
        let speech = |codec| trial::packets(codec, SPEECH_S).map(Arc::new).ok_or_else(|| Error::other("no codec"));
        let opus = if load == Load::Opus { Some((speech(Codec::Opus)?, speech(Codec::Pcma)?)) } else { None };
        let mut streams = Vec::new();
        for (n, ports) in running.ports.iter().enumerate() {
            let [there, back] = ports.map(|port| format!("{NODE}:{port}").parse().map_err(Error::other));
            let agreed = running.callers.get(n).map(|caller| caller.plan(Destination::Discard(DiscardReason::NotConnected)));
            let forth = match (&opus, agreed) {
                (Some((opus, _)), _) => Stream::speech(n, opus.clone(), 960),
                (None, Some(plan)) => Stream::with_keys(n, plan.transmit.srtp.as_ref()),
                (None, None) => Stream::new(n, profile(load)),
            };
            streams.push((0, there?, forth));
            if both {
                let stream = opus.as_ref().map(|(_, pcma)| Stream::speech(n, pcma.clone(), 160));
                streams.push((1, back?, stream.unwrap_or_else(|| Stream::new(n + 100_000, None))));
            }
        }
        Ok(Sender { sockets, streams, next: 0 })
    }

    /// Sends at the rate for `time`, on a thread whose CPU is told.
    pub fn run(mut self, link: &Link, rate: u64, time: Duration) -> io::Result<(Sender, Sent)> {
        link.peer.run(move || {
            let before = own_cpu()?;
            let packets = self.send(rate, time);
            Ok((self, Sent { packets, cpu_ns: own_cpu()? - before }))
        })?
    }

    fn send(&mut self, rate: u64, time: Duration) -> u64 {
        let mut buffer = [0; BUFFER];
        let (begin, mut sent) = (Instant::now(), 0);
        loop {
            let elapsed = begin.elapsed().min(time);
            let due = (elapsed.as_secs_f64() * rate as f64) as u64;
            while sent < due {
                let place = self.next % self.streams.len();
                let (socket, to, stream) = &mut self.streams[place];
                let len = stream.next(&mut buffer);
                if stream.is_plain() {
                    buffer[12..28].copy_from_slice(&now_ns().to_be_bytes());
                }
                let _ = self.sockets[*socket].send_to(&buffer[..len], *to);
                self.next += 1;
                sent += 1;
            }
            if elapsed == time {
                return sent;
            }
            std::thread::sleep(TICK);
        }
    }
}

/// Time that both ends of this process agree on.
fn now_ns() -> u128 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_nanos())
}

/// CPU of this thread, ns.
fn own_cpu() -> io::Result<u64> {
    schedstat("/proc/thread-self/schedstat")
}

fn schedstat(path: &str) -> io::Result<u64> {
    let text = std::fs::read_to_string(path)?;
    text.split(' ').next().and_then(|first| first.parse().ok()).ok_or_else(|| Error::other("schedstat has no number"))
}

/// CPU of the kernel's softirq threads, ns.
pub fn softirq_cpu() -> u64 {
    let threads = std::fs::read_dir("/proc").into_iter().flatten().flatten().map(|entry| entry.path());
    let is_one =
        |path: &std::path::PathBuf| std::fs::read_to_string(path.join("comm")).is_ok_and(|comm| comm.starts_with("ksoftirqd"));
    threads.filter(is_one).filter_map(|path| schedstat(&path.join("schedstat").to_string_lossy()).ok()).sum()
}

/// The callee's packets, read by a thread until told to stop: how long each was on its way, ns.
pub struct Listener {
    stop: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<Vec<u64>>,
}

impl Listener {
    /// On the callee's socket of `sender`.
    pub fn new(sender: &Sender) -> io::Result<Listener> {
        let socket = sender.sockets[1].try_clone()?;
        socket.set_read_timeout(Some(Duration::from_millis(100)))?;
        socket2::SockRef::from(&socket).set_recv_buffer_size(8 << 20)?;
        let stop = Arc::<AtomicBool>::default();
        let told = stop.clone();
        let thread = std::thread::spawn(move || {
            let (mut buffer, mut delays) = ([0; BUFFER], Vec::with_capacity(1 << 20));
            while !told.load(Ordering::Relaxed) {
                if let Ok((PACKET, _)) = socket.recv_from(&mut buffer) {
                    let sent = buffer[12..].first_chunk().map_or(0, |octets| u128::from_be_bytes(*octets));
                    delays.push(now_ns().saturating_sub(sent) as u64);
                }
            }
            delays
        });
        Ok(Listener { stop, thread })
    }

    pub fn finish(self) -> Vec<u64> {
        std::thread::sleep(Duration::from_millis(200));
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap_or_default()
    }
}
