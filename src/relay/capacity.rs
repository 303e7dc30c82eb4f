//! What this very machine relays in time: more and more calls' audio through a relay of its own on loopback, until packets come late or
//! not at all. Whoever sends and receives shares the machine with the relay, so it can carry a little more than is found.

use crate::command::{Relay, RelayConfig};
use crate::sys::{Batch, Outgoing};
use ringfort_base::{CallId, PortId};
use ringfort_media::plan::*;
use ringfort_media::srtp::SrtpSender;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// A packet of telephone audio: 20 ms of G.711 with its RTP header, octets.
const PACKET: usize = 172;
const INTERVAL: Duration = Duration::from_millis(20);
/// Datagrams of one system call of whoever sends and receives.
const BATCH: usize = 32;
/// So many times more flows in the next step.
const GROWTH: f64 = 1.3;
/// First step, flows.
const FIRST: usize = 100;
/// Packets that may be missing: one in a thousand.
const LOST_MAX: f64 = 0.001;

/// What the flows are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// RTP to RTP.
    Plain,
    /// SRTP (AES-CM 128, HMAC-SHA1-80) to RTP.
    Secure,
}

/// One step: what so many flows at once cost.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// Directions of audio, 50 packets a second each.
    pub flows: usize,
    /// Processors that the relay used.
    pub cores: f64,
    /// 99 of 100 packets were faster than that, µs, from the sender's call to the receiver's.
    pub delay_p99_us: u64,
    /// Share of packets that did not arrive.
    pub lost: f64,
    /// Everything was sent in time: the machine had room for the sender.
    pub was_sent: bool,
}

impl Step {
    /// Whether all came in time.
    pub fn is_carried(&self, delay_max: Duration) -> bool {
        self.was_sent && self.lost <= LOST_MAX && Duration::from_micros(self.delay_p99_us) <= delay_max
    }
}

/// Measures steps of `time` each until one is not carried with `delay_max`, or `flows_max` is reached; that one is the last. `told` hears
/// of each.
pub fn curve(
    kind: Kind,
    delay_max: Duration,
    time: Duration,
    flows_max: usize,
    mut told: impl FnMut(&Step),
) -> io::Result<Vec<Step>> {
    let mut steps = Vec::new();
    let mut flows = FIRST.min(flows_max);
    loop {
        let step = Course::new(kind, flows)?.run(time)?;
        told(&step);
        steps.push(step);
        if !step.is_carried(delay_max) || flows >= flows_max {
            return Ok(steps);
        }
        flows = ((flows as f64 * GROWTH) as usize).min(flows_max);
    }
}

/// A relay, and who sends and receives.
struct Course {
    relay: Relay,
    sender: UdpSocket,
    /// Where each flow is sent.
    to: Vec<SocketAddr>,
    srtp: Vec<Option<SrtpSender>>,
    receiver: Receiver,
    epoch: Instant,
}

impl Course {
    fn new(kind: Kind, flows: usize) -> io::Result<Course> {
        let epoch = Instant::now();
        let relay = Relay::start(RelayConfig::default(), Arc::new(|_| true))?;
        let sender = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        let receiver = Receiver::new(epoch)?;
        let keys = (kind == Kind::Secure).then(keys);
        let mut to = Vec::with_capacity(flows);
        for n in 0..flows as u64 {
            let (from, out) = (PortId(2 * n), PortId(2 * n + 1));
            for port in [from, out] {
                relay.command(RelayCommand::Open {
                    port,
                    call: CallId(n),
                    rtp: (Ipv4Addr::LOCALHOST, 0).into(),
                    rtcp: None,
                    shared: false,
                });
            }
            relay.command(RelayCommand::Plan { port: from, plan: plan(out, sender.local_addr()?, keys.clone()) });
            relay.command(RelayCommand::Plan { port: out, plan: plan(from, receiver.address, None) });
            let local = relay.local(from).filter(|_| relay.local(out).is_some());
            to.push(local.ok_or_else(|| io::Error::other("no more sockets: the limit of open files is too low"))?.rtp);
        }
        let srtp = to.iter().map(|_| keys.as_ref().and_then(|keys| SrtpSender::new(keys).ok())).collect();
        Ok(Course { relay, sender, to, srtp, receiver, epoch })
    }

    /// Half a second to settle, then `time` that counts.
    fn run(mut self, time: Duration) -> io::Result<Step> {
        let mut batch = Batch::new(BATCH);
        let rounds = |time: Duration| (time.as_micros() / INTERVAL.as_micros()).max(1) as u16;
        let settling = rounds(Duration::from_millis(500));
        self.send(&mut batch, 0, settling);
        self.receiver.counts.store(true, Ordering::Relaxed);
        let (cpu, begun) = (relay_cpu(), Instant::now());
        let late = self.send(&mut batch, settling, rounds(time));
        let (cpu, took) = (relay_cpu().saturating_sub(cpu), begun.elapsed());
        let sent = self.to.len() * usize::from(rounds(time));
        let mut delays = self.receiver.finish();
        drop(self.relay);
        delays.sort_unstable();
        let delay_p99_us = delays.get(delays.len() * 99 / 100).copied().unwrap_or(u64::MAX);
        let lost = 1.0 - delays.len().min(sent) as f64 / sent.max(1) as f64;
        Ok(Step {
            flows: self.to.len(),
            cores: cpu.as_secs_f64() / took.as_secs_f64(),
            delay_p99_us,
            lost,
            was_sent: late < time / 50,
        })
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
        let _ = batch.send(&self.sender, &outgoing);
    }
}

/// A packet that tells when it was sent.
fn write(octets: &mut [u8], ssrc: u32, sequence: u16, sent: Duration) {
    let head = [0x80, 0].into_iter().chain(sequence.to_be_bytes()).chain((u32::from(sequence) * 160).to_be_bytes());
    let packet = head.chain(ssrc.to_be_bytes()).chain((sent.as_nanos() as u64).to_be_bytes());
    let packet = packet.chain(std::iter::repeat(0xd5)).take(PACKET);
    octets.iter_mut().zip(packet).for_each(|(place, octet)| *place = octet);
}

/// Nothing here is secret.
fn keys() -> SrtpKeys {
    SrtpKeys { profile: SrtpProfile::Aes128CmSha1_80, key: (0..16).collect(), salt: (0..14).collect() }
}

fn plan(to: PortId, peer: SocketAddr, keys: Option<SrtpKeys>) -> Box<FlowPlan> {
    let receive = Receive {
        latch: Latch::Exact(peer),
        srtp: keys,
        speech: vec![(0, 8_000)],
        signals: Vec::new(),
        video: Vec::new(),
        udptl: false,
        fragment: None,
    };
    let transmit = Transmit { rtp: Some(peer), rtcp: None, rtcp_mux: true, srtp: None, muted: false };
    Box::new(FlowPlan { receive, destination: Destination::Port(to), transmit, audio: None, copy: None })
}

/// CPU of the relay's workers so far, by the scheduler's account.
fn relay_cpu() -> Duration {
    let tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten().map(|task| task.path());
    let is_worker =
        |path: &std::path::PathBuf| std::fs::read_to_string(path.join("comm")).is_ok_and(|name| name.starts_with("relay-"));
    let nanoseconds = tasks.filter(is_worker).filter_map(|path| {
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
    fn new(epoch: Instant) -> io::Result<Receiver> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
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
        std::thread::sleep(Duration::from_millis(200));
        self.stops.store(true, Ordering::Relaxed);
        // A thread that panicked heard nothing.
        self.thread.join().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_flows_are_carried() {
        for kind in [Kind::Plain, Kind::Secure] {
            let mut told = 0;
            let steps = curve(kind, Duration::from_secs(5), Duration::from_millis(200), 20, |_| told += 1).unwrap();
            let [step] = steps[..] else { panic!("{steps:?}") };
            assert_eq!((step.flows, told), (20, 1));
            assert!(step.lost < 0.5 && step.cores > 0.0, "{step:?}");
        }
    }

    #[test]
    fn a_step_is_carried_when_all_of_it_came_in_time() {
        let good = Step { flows: 1, cores: 0.1, delay_p99_us: 5_000, lost: 0.001, was_sent: true };
        let carried = |step: Step| step.is_carried(Duration::from_millis(5));
        assert!(carried(good));
        assert!(!carried(Step { delay_p99_us: 5_001, ..good }));
        assert!(!carried(Step { lost: 0.002, ..good }));
        assert!(!carried(Step { was_sent: false, ..good }));
    }
}
