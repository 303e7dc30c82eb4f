//! One step: a relay, its flows, and who sends and receives.

use super::ground::{DEVICE, Ground};
use super::{Kind, Step};
use crate::command::{Relay, RelayConfig};
use crate::sys::{Batch, Outgoing};
use ringfort_base::{CallId, PortId};
use ringfort_media::plan::*;
use ringfort_media::srtp::SrtpSender;
use ringfort_media::tier::Tier;
use std::io::{self, Error};
use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// A packet of telephone audio: 20 ms of G.711 with its RTP header, octets.
const PACKET: usize = 172;
const INTERVAL: Duration = Duration::from_millis(20);
/// Datagrams of one system call of whoever sends and receives.
const BATCH: usize = 32;
/// Before packets count: latches settle, flows go down to the kernel.
const SETTLING: Duration = Duration::from_millis(200);
/// After the last packet, for what is on its way.
const LINGER: Duration = Duration::from_millis(100);

pub(super) struct Course {
    kind: Kind,
    relay: Arc<Relay>,
    sender: UdpSocket,
    /// Where each flow is sent.
    to: Vec<SocketAddr>,
    srtp: Vec<Option<SrtpSender>>,
    receiver: Receiver,
    /// Flows that were found to be carried below sockets.
    lowered: Arc<AtomicUsize>,
    epoch: Instant,
}

impl Course {
    pub fn new(ground: &Ground, kind: Kind, flows: usize) -> io::Result<Course> {
        let epoch = Instant::now();
        let (lowered, peer) = (Arc::<AtomicUsize>::default(), ground.peer());
        let (sender, receiver) =
            ground.at_peer(move || Ok::<_, Error>((UdpSocket::bind(peer)?, Receiver::new(epoch, peer)?)))??;
        let ends = Ends { kind, flows, any: ground.node(), from: sender.local_addr()?, to: receiver.address };
        let counted = lowered.clone();
        let (relay, to) = ground.at_node(move || ends.set_up(counted))??;
        let keys = kind.keys();
        let srtp = to.iter().map(|_| keys.as_ref().and_then(|keys| SrtpSender::new(keys).ok())).collect();
        Ok(Course { kind, relay, sender, to, srtp, receiver, lowered, epoch })
    }

    /// A moment to settle, then `time` that counts.
    pub fn run(mut self, time: Duration) -> io::Result<Step> {
        let mut batch = Batch::new(BATCH);
        let rounds = |time: Duration| (time.as_micros() / INTERVAL.as_micros()).max(1) as u16;
        let settling = rounds(SETTLING);
        self.send(&mut batch, 0, settling);
        self.receiver.counts.store(true, Ordering::Relaxed);
        let (cpu, begun) = (self.cpu(), Instant::now());
        let late = self.send(&mut batch, settling, rounds(time));
        let (cpu, took) = (self.cpu().saturating_sub(cpu), begun.elapsed());
        let sent = self.to.len() * usize::from(rounds(time));
        self.relay.command(RelayCommand::Report);
        let mut delays = self.receiver.finish();
        let lowered = self.lowered.load(Ordering::Relaxed);
        drop(self.relay);
        if matches!(self.kind, Kind::Kernel | Kind::Frames) && lowered < self.to.len() {
            return Err(Error::other(format!("{lowered} of {} flows left the sockets", self.to.len())));
        }
        delays.sort_unstable();
        let delay_p99_us = delays.get(delays.len() * 99 / 100).copied().unwrap_or(u64::MAX);
        let lost = 1.0 - delays.len().min(sent) as f64 / sent.max(1) as f64;
        let cores = cpu.as_secs_f64() / took.as_secs_f64();
        Ok(Step { flows: self.to.len(), cores, delay_p99_us, lost, was_sent: late < (time / 50).max(INTERVAL) })
    }

    fn cpu(&self) -> Duration {
        if matches!(self.kind, Kind::Kernel | Kind::Frames) {
            let process = cpu_of("/proc/self/task", |_| true);
            process + cpu_of("/proc", |name| name.starts_with("ksoftirqd"))
        } else {
            cpu_of("/proc/self/task", |name| name.starts_with("relay-"))
        }
    }

    /// Each flow's packet in each round, spread evenly over it. Returns by how much the last one was late.
    fn send(&mut self, batch: &mut Batch, first: u16, rounds: u16) -> Duration {
        let begun = Instant::now();
        let spacing = INTERVAL.as_secs_f64() / self.to.len() as f64;
        for round in 0..rounds {
            for start in (0..self.to.len()).step_by(BATCH) {
                let due = INTERVAL * u32::from(round) + Duration::from_secs_f64(spacing * start as f64);
                if let Some(wait) = due.checked_sub(begun.elapsed()) {
                    std::thread::sleep(wait);
                }
                self.send_some(batch, start, first + round);
            }
        }
        begun.elapsed().saturating_sub(INTERVAL * u32::from(rounds))
    }

    fn send_some(&mut self, batch: &mut Batch, start: usize, sequence: u16) {
        let end = (start + BATCH).min(self.to.len());
        let mut outgoing = Vec::with_capacity(BATCH);
        for (buffer, flow) in (start..end).enumerate() {
            let octets = batch.buffer(buffer);
            write(octets, flow as u32, sequence, self.epoch.elapsed());
            let len = match &mut self.srtp[flow] {
                Some(sender) => sender.protect_rtp(octets, PACKET).unwrap_or(PACKET),
                None => PACKET,
            };
            outgoing.push(Outgoing { buffer, len, to: self.to[flow] });
        }
        // What the system does not take is lost, and seen to be.
        let _ = batch.send(&self.sender, &outgoing, None);
    }
}

/// A packet that tells when it was sent.
fn write(octets: &mut [u8], ssrc: u32, sequence: u16, sent: Duration) {
    let head = [0x80, 0].into_iter().chain(sequence.to_be_bytes()).chain((u32::from(sequence) * 160).to_be_bytes());
    let packet = head.chain(ssrc.to_be_bytes()).chain((sent.as_nanos() as u64).to_be_bytes());
    let packet = packet.chain(std::iter::repeat(0xd5)).take(PACKET);
    octets.iter_mut().zip(packet).for_each(|(place, octet)| *place = octet);
}

/// What a relay of so many flows is to be told.
struct Ends {
    kind: Kind,
    flows: usize,
    /// Any port of the relay.
    any: SocketAddr,
    from: SocketAddr,
    to: SocketAddr,
}

impl Ends {
    /// The relay, and where each flow is sent.
    fn set_up(self, lowered: Arc<AtomicUsize>) -> io::Result<(Arc<Relay>, Vec<SocketAddr>)> {
        let count = move |event| {
            // The ports that packets come to have even numbers.
            if let RelayEvent::Counters { port, counters, .. } = event
                && port.0 % 2 == 0
                && !matches!(counters.tier, Tier::Sockets(_))
            {
                lowered.fetch_add(1, Ordering::Relaxed);
            }
            true
        };
        let af_xdp = if self.kind == Kind::Frames { vec![DEVICE.to_string()] } else { Vec::new() };
        let config = RelayConfig { kernel: self.kind == Kind::Kernel, af_xdp, ..RelayConfig::default() };
        let relay = Arc::new(Relay::start(config, Arc::new(count))?);
        if let Some(why) = relay.without_kernel().filter(|why| !why.is_chosen()) {
            return Err(Error::other(why.to_string()));
        }
        if let Some((_, why)) = relay.without_af_xdp().first() {
            return Err(Error::other(why.to_string()));
        }
        let to = (0..self.flows as u64).map(|n| self.flow(&relay, n)).collect::<io::Result<_>>()?;
        Ok((relay, to))
    }

    fn flow(&self, relay: &Relay, n: u64) -> io::Result<SocketAddr> {
        let (from, out) = (PortId(2 * n), PortId(2 * n + 1));
        for port in [from, out] {
            relay.command(RelayCommand::Open { port, call: CallId(n), rtp: self.any, rtcp: None, shared: false });
        }
        relay.command(RelayCommand::Plan { port: from, plan: plan(out, self.from, self.kind.keys()) });
        relay.command(RelayCommand::Plan { port: out, plan: plan(from, self.to, None) });
        let local = relay.local(from).filter(|_| relay.local(out).is_some());
        Ok(local.ok_or_else(|| Error::other("no more sockets: the limit of open files is too low"))?.rtp)
    }
}

fn plan(to: PortId, peer: SocketAddr, keys: Option<SrtpKeys>) -> Box<FlowPlan> {
    let receive = Receive { srtp: keys, speech: vec![(0, 8_000)], ..Receive::of(Latch::Exact(peer)) };
    let transmit = Transmit { rtp: Some(peer), rtcp: None, rtcp_mux: true, srtp: None, lent: false, muted: false };
    Box::new(FlowPlan { receive, destination: Destination::Port(to), transmit, audio: None, copy: None, apart: None })
}

/// CPU so far of those tasks in `folder` whose name is `wanted`, by the scheduler's account.
fn cpu_of(folder: &str, wanted: impl Fn(&str) -> bool) -> Duration {
    let tasks = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|task| task.path());
    let is_wanted = |path: &Path| std::fs::read_to_string(path.join("comm")).is_ok_and(|name| wanted(&name));
    let nanoseconds = tasks.filter(|path| is_wanted(path)).filter_map(|path| {
        let text = std::fs::read_to_string(path.join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(nanoseconds.sum())
}

/// The other end of all flows.
struct Receiver {
    address: SocketAddr,
    /// What comes counts from now on.
    counts: Arc<AtomicBool>,
    stops: Arc<AtomicBool>,
    thread: JoinHandle<Vec<u64>>,
}

impl Receiver {
    fn new(epoch: Instant, at: SocketAddr) -> io::Result<Receiver> {
        let socket = UdpSocket::bind(at)?;
        let address = socket.local_addr()?;
        socket2::SockRef::from(&socket).set_recv_buffer_size(4 << 20)?;
        let (counts, stops) = (Arc::<AtomicBool>::default(), Arc::<AtomicBool>::default());
        let (counting, stopping) = (counts.clone(), stops.clone());
        let thread = std::thread::Builder::new().name("capacity".into()).spawn(move || {
            let (mut batch, mut delays) = (Batch::new(BATCH), Vec::new());
            while !stopping.load(Ordering::Relaxed) {
                let Ok(count) = batch.receive(&socket, BATCH) else {
                    // Short against the delays that matter.
                    std::thread::sleep(Duration::from_micros(100));
                    continue;
                };
                let now = epoch.elapsed().as_nanos() as u64;
                if counting.load(Ordering::Relaxed) {
                    delays.extend((0..count).filter_map(|n| {
                        let sent = batch.buffer(n).get(12..)?.first_chunk().map(|octets| u64::from_be_bytes(*octets))?;
                        Some(now.saturating_sub(sent) / 1_000)
                    }));
                }
            }
            delays
        })?;
        Ok(Receiver { address, counts, stops, thread })
    }

    /// What is on its way still counts; returns all delays, µs.
    fn finish(self) -> Vec<u64> {
        std::thread::sleep(LINGER);
        self.stops.store(true, Ordering::Relaxed);
        // A thread that panicked heard nothing.
        self.thread.join().unwrap_or_default()
    }
}
