//! The whole relay on sockets of the loopback interface: CPU time of its worker thread for a packet.

use crate::allocations;
use crate::media::{BUFFER, CASES, Case, Stream, plan};
use crate::report::{Row, Table};
use ringfort_base::{CallId, PortId};
use ringfort_media::plan::{Latch, RelayCommand, RelayEvent};
use ringfort_relay::{Relay, RelayConfig};
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Packets between two pauses of the sender are what one such span asks for.
const TICK: Duration = Duration::from_millis(1);

/// How often the threads are listed.
const LISTINGS: usize = 100;

/// Load of one run.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Calls, each with one direction of media.
    pub streams: usize,
    /// Packets a second, all calls together.
    pub rate: usize,
    /// Measured time.
    pub seconds: u64,
}

/// Calls, and whether all their browsers' legs are at one port.
struct Setting {
    case: Case,
    shared: bool,
}

/// What one run found.
struct Finding {
    cpu_us_a_packet: f64,
    relayed: u64,
    lost: u64,
    allocated: u64,
}

/// Measures the cases that a call between a browser or secure phone and a plain one has. The cases take turns, so that what else
/// runs on the machine meets all of them.
pub fn run(load: Load, rounds: usize) -> io::Result<Table> {
    let [plain, phones, browsers, ..] = CASES;
    let between = Case { name: "SRTP AES-GCM to SRTP AES-GCM", to: browsers.from, ..browsers };
    let own = [plain, phones, browsers, between].map(|case| Setting { case, shared: false });
    let shared = [
        Case { name: "SRTP AES-GCM to RTP, browsers at one port", ..browsers },
        Case { name: "SRTP AES-GCM to SRTP AES-GCM, browsers at one port", ..between },
    ];
    let settings = own.into_iter().chain(shared.map(|case| Setting { case, shared: true })).collect::<Vec<_>>();
    let mut findings: Vec<Vec<Finding>> = settings.iter().map(|_| Vec::new()).collect();
    for _ in 0..rounds {
        for (case, findings) in settings.iter().zip(&mut findings) {
            findings.push(measure(case, load)?);
        }
    }
    Ok(Table {
        title: format!("Sockets on loopback: {} calls, {} packets a second", load.streams, load.rate),
        method: format!(
            "One worker, epoll with recvmmsg and sendmmsg; CPU time of the worker thread by the scheduler's own account \
             (schedstat), in {rounds} rounds of {} s. Sender and receiver are other threads of the process and not counted, but on \
             loopback a sending thread also carries the packet into the receiver's socket, so that work of the receiving side is in \
             the figure. Loss is loss of the relay and of its sockets' receive buffers together.",
            load.seconds
        ),
        columns: ["CPU, µs a packet, median", "lowest", "highest", "packets relayed", "lost", "allocations"]
            .map(String::from)
            .to_vec(),
        rows: settings.iter().zip(findings).map(|(setting, findings)| row(&setting.case, &findings)).collect(),
    })
}

fn row(case: &Case, findings: &[Finding]) -> Row {
    let mut cpu: Vec<f64> = findings.iter().map(|finding| finding.cpu_us_a_packet).collect();
    cpu.sort_by(f64::total_cmp);
    let sum = |of: fn(&Finding) -> u64| findings.iter().map(of).sum::<u64>() as f64;
    let ends = [cpu[cpu.len() / 2], cpu[0], cpu[cpu.len() - 1]];
    let values = [&ends[..], &[sum(|f| f.relayed), sum(|f| f.lost), sum(|f| f.allocated)]].concat();
    Row { case: case.name.into(), values }
}

fn measure(case: &Setting, load: Load) -> io::Result<Finding> {
    let mut bench = Bench::new(case, load)?;
    bench.send(Duration::from_millis(500));
    bench.settle();
    let (packets, cpu, allocated) = (bench.relayed()?, bench.worker_cpu()?, allocations::count());
    let sent = bench.send(Duration::from_secs(load.seconds));
    bench.settle();
    // In this order: reading the account allocates.
    let (allocated, cpu) = (allocations::count() - allocated, bench.worker_cpu()? - cpu);
    let relayed = bench.relayed()? - packets;
    let cpu_us_a_packet = cpu.as_nanos() as f64 / 1000.0 / relayed.max(1) as f64;
    Ok(Finding { cpu_us_a_packet, relayed, lost: sent.saturating_sub(relayed), allocated })
}

struct Bench {
    relay: Relay,
    events: Receiver<RelayEvent>,
    /// One for each stream where a stream is known by it, else one for all.
    senders: Vec<UdpSocket>,
    /// Where to send each stream.
    streams: Vec<(SocketAddr, Stream)>,
    next: usize,
    load: Load,
    schedstat: std::path::PathBuf,
    receiver: Sink,
}

impl Bench {
    fn new(setting: &Setting, load: Load) -> io::Result<Bench> {
        let (events_in, events) = sync_channel(4 * load.streams);
        let events_in = Mutex::new(events_in);
        let sink = move |event| events_in.lock().is_ok_and(|events| events.try_send(event).is_ok());
        let relay = Relay::start(RelayConfig { workers: 1, ..RelayConfig::default() }, Arc::new(sink))?;
        let count = if setting.shared { load.streams } else { 1 };
        let senders = (0..count).map(|_| UdpSocket::bind("127.0.0.1:0")).collect::<io::Result<Vec<_>>>()?;
        let receiver = Sink::new()?;
        let mut at = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut streams = Vec::with_capacity(load.streams);
        for n in 0..load.streams {
            let ends = [senders[n % count].local_addr()?, receiver.address];
            let stream = open(&relay, setting, n, ends, at)?;
            if setting.shared {
                at = stream.0;
            }
            streams.push(stream);
        }
        let schedstat = schedstat_of("relay-0")?;
        Ok(Bench { relay, events, senders, streams, next: 0, load, schedstat, receiver })
    }

    /// Sends at the rate for `time`, streams in turn. Returns how many packets. Allocates nothing.
    fn send(&mut self, time: Duration) -> u64 {
        let mut buffer = [0; BUFFER];
        let (begin, mut sent) = (Instant::now(), 0);
        loop {
            let elapsed = begin.elapsed().min(time);
            let due = (elapsed.as_secs_f64() * self.load.rate as f64) as u64;
            while sent < due {
                let place = self.next % self.streams.len();
                let (to, stream) = &mut self.streams[place];
                let len = stream.next(&mut buffer);
                // A full buffer shows as a lost packet.
                let _ = self.senders[place % self.senders.len()].send_to(&buffer[..len], *to);
                self.next += 1;
                sent += 1;
            }
            if elapsed == time {
                return sent;
            }
            std::thread::sleep(TICK);
        }
    }

    /// Waits until nothing arrives any more: the worker has nothing left to do.
    fn settle(&self) {
        let mut before = u64::MAX;
        while before != self.receiver.count() {
            before = self.receiver.count();
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// Packets that left by all ports so far.
    fn relayed(&self) -> io::Result<u64> {
        self.relay.command(RelayCommand::Report);
        let (mut reports, mut packets) = (0, 0);
        while reports < 2 * self.load.streams {
            match self.events.recv_timeout(Duration::from_secs(5)).map_err(io::Error::other)? {
                RelayEvent::Counters { counters, .. } => {
                    reports += 1;
                    packets += counters.rtp_out;
                }
                RelayEvent::OpenFailed { error, .. } => return Err(io::Error::other(error)),
                _ => {}
            }
        }
        Ok(packets)
    }

    /// CPU time of the worker thread so far: the first number of its schedstat, nanoseconds.
    fn worker_cpu(&self) -> io::Result<Duration> {
        let text = std::fs::read_to_string(&self.schedstat)?;
        let nanoseconds = text.split_whitespace().next().and_then(|first| first.parse().ok());
        nanoseconds.map(Duration::from_nanos).ok_or_else(|| io::Error::other("schedstat has no number"))
    }
}

/// Opens the two ports of a call, shared ones at `at`, and returns where its caller sends.
fn open(
    relay: &Relay,
    setting: &Setting,
    n: usize,
    [from, to]: [SocketAddr; 2],
    at: SocketAddr,
) -> io::Result<(SocketAddr, Stream)> {
    let case = &setting.case;
    let (a, b, call) = (PortId(2 * n as u64), PortId(2 * n as u64 + 1), CallId(n as u64));
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    for (port, peer, profile, other) in [(a, from, case.from, b), (b, to, case.to, a)] {
        let shared = setting.shared && profile.is_some();
        let at = relay.local(a).map_or(at, |local| local.rtp);
        relay.command(RelayCommand::Open { port, call, rtp: if shared { at } else { any }, rtcp: None, shared });
        let mut plan = plan(peer, profile, other);
        if shared {
            plan.receive.latch = Latch::Exact(peer);
        }
        relay.command(RelayCommand::Plan { port, plan });
    }
    let local = relay.local(a).ok_or_else(|| io::Error::other("no socket; is the limit of open files too low?"))?;
    Ok((local.rtp, Stream::new(n, case.from)))
}

/// The schedstat file of the thread called `name`.
fn schedstat_of(name: &str) -> io::Result<std::path::PathBuf> {
    let is_named = |path: &std::path::PathBuf| std::fs::read_to_string(path.join("comm")).is_ok_and(|comm| comm.trim() == name);
    // A listing may leave one out while others end.
    for _ in 0..LISTINGS {
        let mut threads = std::fs::read_dir("/proc/self/task")?.filter_map(|entry| Some(entry.ok()?.path()));
        if let Some(thread) = threads.find(is_named) {
            return Ok(thread.join("schedstat"));
        }
        std::thread::sleep(TICK);
    }
    Err(io::Error::other("no worker thread"))
}

/// A socket that is read until the bench ends, so that the kernel does the work of a delivery and not of a drop.
struct Sink {
    address: SocketAddr,
    socket: UdpSocket,
    received: Arc<AtomicU64>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Sink {
    fn new() -> io::Result<Sink> {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        let (address, reader, received) = (socket.local_addr()?, socket.try_clone()?, Arc::<AtomicU64>::default());
        let counter = received.clone();
        let thread = std::thread::spawn(move || {
            let mut buffer = [0; BUFFER];
            // An empty datagram from itself ends it.
            while !reader.recv_from(&mut buffer).is_ok_and(|(len, from)| len == 0 && from == address) {
                counter.fetch_add(1, Ordering::Relaxed);
            }
        });
        Ok(Sink { address, socket, received, thread: Some(thread) })
    }

    /// Packets so far.
    fn count(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        if self.socket.send_to(&[], self.address).is_ok() {
            let _ = self.thread.take().map(std::thread::JoinHandle::join);
        }
    }
}
