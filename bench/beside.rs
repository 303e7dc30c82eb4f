//! `ringfort-bench rtpengine`: the relay's tiers and rtpengine side by side, in turns, at equal packet rates.

use crate::load::{self, Guard};
use crate::media::{BUFFER, CASES, Case, PACKET, Stream, plan};
use crate::namespaces::{Link, NODE, PEER};
use crate::report::{Report, Row, Table};
use crate::rtpengine;
use ringfort_base::{CallId, PortId};
use ringfort_media::plan::{RelayCommand, RelayEvent};
use ringfort_relay::{Relay, RelayConfig};
use rustix::process::{Resource, getrlimit, setrlimit};
use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Error, Read, Write};
use std::net::{SocketAddr, UdpSocket};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How much to measure.
#[derive(Clone, clap::Args)]
pub struct Options {
    /// Calls at once
    #[arg(long, default_value_t = Options::default().calls)]
    calls: usize,
    /// Packets a second, all calls together; one row each
    #[arg(long, value_delimiter = ',', default_values_t = Options::default().rates)]
    rates: Vec<u64>,
    /// Seconds for each measurement
    #[arg(long, default_value_t = Options::default().seconds)]
    seconds: u64,
    /// Turns at each rate; the median counts
    #[arg(long, default_value_t = Options::default().rounds)]
    rounds: usize,
    /// Highest rate that is tried for a lossless one, packets a second
    #[arg(long, default_value_t = Options::default().highest)]
    highest: u64,
}

impl Default for Options {
    fn default() -> Options {
        Options { calls: 500, rates: vec![10_000, 25_000, 50_000], seconds: 3, rounds: 5, highest: 200_000 }
    }
}

/// Options of the process that is measured.
#[derive(clap::Args)]
pub struct ServeOptions {
    calls: usize,
    #[arg(action = clap::ArgAction::Set)]
    kernel: bool,
    case: usize,
    to: u16,
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Subject {
    /// Nothing: packets are dropped where they come in. What that costs is the sender's own.
    Nobody,
    Rtpengine,
    Sockets,
    Kernel,
}

impl Subject {
    fn name(self) -> &'static str {
        match self {
            Subject::Nobody => "nobody",
            Subject::Rtpengine => "rtpengine",
            Subject::Sockets => "Ringfort, sockets",
            Subject::Kernel => "Ringfort, kernel",
        }
    }
}

/// Ports of the peer: callers send from the first, callees are the second.
const PORTS: [u16; 2] = [40_002, 40_004];
/// Packets between two pauses of the sender are what one such span asks for.
const TICK: Duration = Duration::from_millis(1);

/// A relay with its calls.
struct Running {
    guard: Option<Guard>,
    ports: Vec<u16>,
}

/// Runs the relay for the measuring process: tells the ports, then waits until its input ends.
pub fn serve(options: &ServeOptions) -> io::Result<()> {
    let config = RelayConfig { kernel: options.kernel, ..RelayConfig::default() };
    let relay = Relay::start(config, Arc::new(|event| !matches!(event, RelayEvent::OpenFailed { .. })))?;
    if let Some(why) = relay.without_kernel().filter(|why| !why.is_chosen()) {
        return Err(Error::other(why.to_string()));
    }
    let case = CASES.get(options.case).ok_or_else(|| Error::other("no such case"))?;
    let peer = |port| format!("{PEER}:{port}").parse::<SocketAddr>().map_err(Error::other);
    let (from, to) = (peer(PORTS[0])?, peer(options.to)?);
    let any: SocketAddr = format!("{NODE}:0").parse().map_err(Error::other)?;
    let mut out = std::io::stdout().lock();
    for n in 0..options.calls as u64 {
        let (a, b, call) = (PortId(2 * n), PortId(2 * n + 1), CallId(n));
        for (port, peer, profile, other) in [(a, from, case.from, b), (b, to, case.to, a)] {
            relay.command(RelayCommand::Open { port, call, rtp: any, rtcp: None, shared: false });
            relay.command(RelayCommand::Plan { port, plan: plan(peer, profile, other) });
        }
        let local = relay.local(a).ok_or_else(|| Error::other("no socket; is the limit of open files too low?"))?;
        writeln!(out, "{}", local.rtp.port())?;
    }
    writeln!(out, "end")?;
    out.flush()?;
    std::io::stdin().read_to_end(&mut Vec::new()).map(drop)
}

impl Running {
    fn start(link: &Link, subject: Subject, case: usize, calls: usize) -> io::Result<Running> {
        match subject {
            Subject::Nobody => Ok(Running { guard: None, ports: (20_000..20_000 + calls as u16).collect() }),
            Subject::Rtpengine => {
                let guard = rtpengine::start(&link.node)?;
                let ports = rtpengine::set_up(&link.node, calls, CASES[case].from.is_some(), PORTS)?;
                Ok(Running { guard: Some(guard), ports })
            }
            Subject::Sockets | Subject::Kernel => own(link, subject == Subject::Kernel, case, calls),
        }
    }

    fn pids(&self) -> Vec<u32> {
        self.guard.iter().map(|guard| guard.0.id()).collect()
    }

    /// CPU of its threads, ns.
    fn cpu(&self) -> u64 {
        load::cpu(&self.pids()).values().sum()
    }
}

fn own(link: &Link, kernel: bool, case: usize, calls: usize) -> io::Result<Running> {
    let program = std::env::current_exe()?;
    let arguments = [calls.to_string(), kernel.to_string(), case.to_string(), PORTS[1].to_string()];
    let child = link
        .node
        .run(move || Command::new(program).arg("serve").args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn())??;
    let mut guard = Guard(child);
    let out = guard.0.stdout.take().ok_or_else(|| Error::other("no output"))?;
    let lines = BufReader::new(out).lines().map_while(Result::ok).take_while(|line| line != "end");
    let ports: Vec<u16> = lines.filter_map(|line| line.parse().ok()).collect();
    if ports.len() == calls { Ok(Running { guard: Some(guard), ports }) } else { Err(Error::other("the relay did not start")) }
}

/// One run.
#[derive(Clone, Copy, Debug, Default)]
struct Figures {
    /// CPU of all that took part, µs a packet: sender, relay, and the kernel's own threads.
    whole_us: f64,
    /// CPU of the relay's process, µs a packet.
    process_us: f64,
    lost: f64,
}

/// Measures and reports.
pub fn run(options: &Options) -> io::Result<Report> {
    let mut report = Report::new("rtpengine", "The relay's tiers beside rtpengine, in turns, at equal packet rates.");
    if !rtpengine::is_there() {
        report.not_measured.push("rtpengine: it is not installed here (`scripts/setup.sh bench`)".into());
        return Ok(report);
    }
    // What is measured inherits it: each call has two sockets and more.
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit)?;
    let link = Link::new()?;
    let plain = [Subject::Rtpengine, Subject::Sockets, Subject::Kernel];
    report.tables.push(cpu(&link, options, 0, &plain)?);
    report.tables.push(cpu(&link, options, 1, &plain[..2])?);
    report.tables.push(delay(&link, options, &plain)?);
    report.tables.push(highest(&link, options, &plain)?);
    report.tables.push(memory(&link, &plain[..2])?);
    report.not_measured.extend(
        ["real network interfaces, their interrupts and drivers", "both directions at once", "DTLS handshakes, transcoding"]
            .map(String::from),
    );
    Ok(report)
}

/// CPU for a packet at each rate.
fn cpu(link: &Link, options: &Options, case: usize, subjects: &[Subject]) -> io::Result<Table> {
    let mut rows = Vec::new();
    for rate in &options.rates {
        let everybody = [&[Subject::Nobody], subjects].concat();
        let mut found: BTreeMap<usize, Vec<Figures>> = BTreeMap::new();
        for _ in 0..options.rounds {
            for (n, subject) in everybody.iter().enumerate() {
                found.entry(n).or_default().push(cpu_run(link, options, *subject, case, *rate)?);
            }
        }
        let of = |n: usize, value: fn(&Figures) -> f64| median(found.get(&n).into_iter().flatten().map(value).collect());
        let sender = of(0, |f| f.whole_us);
        let first = of(1, |f| f.whole_us) - sender;
        for (n, subject) in subjects.iter().enumerate() {
            let whole = of(n + 1, |f| f.whole_us) - sender;
            let values = vec![whole, whole / first, of(n + 1, |f| f.process_us), sender, of(n + 1, |f| f.lost)];
            rows.push(Row { case: format!("{rate} a second: {}", subject.name()), values });
        }
    }
    Ok(Table {
        title: format!("CPU for a packet, {}: {} calls", CASES[case].name, options.calls),
        method: format!(
            "{PACKET} octets of RTP, one direction, from one network namespace to the relay in another one and back by the same veth link; \
             {} s for each of {} rounds in turns, median. Whole: CPU of the sending thread, the relay's process and the kernel's softirq threads by \
             schedstat, less what the sender alone costs when its packets are dropped as they come in. What comes back is dropped as it comes in and \
             counted by the interface.",
            options.seconds, options.rounds
        ),
        columns: ["whole, µs", "of rtpengine", "process, µs", "sender alone, µs", "lost, %"].map(String::from).to_vec(),
        rows,
    })
}

fn cpu_run(link: &Link, options: &Options, subject: Subject, case: usize, rate: u64) -> io::Result<Figures> {
    let running = Running::start(link, subject, case, options.calls)?;
    if subject == Subject::Nobody {
        link.node.drops("m1", true)?;
    }
    link.peer.drops("eth0", true)?;
    let sender = Sender::new(link, &running.ports, &CASES[case])?;
    // Latches settle, flows go down.
    let (sender, _) = sender.run(link, rate, Duration::from_secs(1))?;
    let before = (running.cpu(), softirq_cpu(), link.peer.received("eth0")?);
    let (_, sent) = sender.run(link, rate, Duration::from_secs(options.seconds))?;
    std::thread::sleep(Duration::from_millis(100));
    let after = (running.cpu(), softirq_cpu(), link.peer.received("eth0")?);
    link.peer.drops("eth0", false)?;
    if subject == Subject::Nobody {
        link.node.drops("m1", false)?;
    }
    let each = |ns: u64| ns as f64 / 1_000.0 / sent.packets as f64;
    let process = after.0 - before.0;
    let lost = 100.0 * (1.0 - (after.2 - before.2) as f64 / sent.packets as f64);
    let lost = if subject == Subject::Nobody { 0.0 } else { lost.max(0.0) };
    Ok(Figures { whole_us: each(sent.cpu_ns + process + after.1 - before.1), process_us: each(process), lost })
}

/// Sends streams in turn; what it needs from before the clock starts.
struct Sender {
    socket: UdpSocket,
    streams: Vec<(SocketAddr, Stream)>,
    next: usize,
}

/// What was sent.
struct Sent {
    packets: u64,
    cpu_ns: u64,
}

impl Sender {
    fn new(link: &Link, ports: &[u16], case: &Case) -> io::Result<Sender> {
        let socket = link.peer.run(|| UdpSocket::bind(format!("{PEER}:{}", PORTS[0])))??;
        let address = |port: &u16| format!("{NODE}:{port}").parse().map_err(Error::other);
        let stream = |(n, port)| Ok((address(port)?, Stream::new(n, case.from)));
        Ok(Sender { socket, streams: ports.iter().enumerate().map(stream).collect::<io::Result<_>>()?, next: 0 })
    }

    /// Sends at the rate for `time`, on a thread whose CPU is told.
    fn run(mut self, link: &Link, rate: u64, time: Duration) -> io::Result<(Sender, Sent)> {
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
                let (to, stream) = &mut self.streams[place];
                let len = stream.next(&mut buffer);
                if stream.is_plain() {
                    buffer[12..28].copy_from_slice(&now_ns().to_be_bytes());
                }
                let _ = self.socket.send_to(&buffer[..len], *to);
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
fn softirq_cpu() -> u64 {
    let threads = std::fs::read_dir("/proc").into_iter().flatten().flatten().map(|entry| entry.path());
    let is_one =
        |path: &std::path::PathBuf| std::fs::read_to_string(path.join("comm")).is_ok_and(|comm| comm.starts_with("ksoftirqd"));
    threads.filter(is_one).filter_map(|path| schedstat(&path.join("schedstat").to_string_lossy()).ok()).sum()
}

/// The callee's socket, read by a thread until told to stop: how long each packet was on its way, ns.
struct Listener {
    stop: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<Vec<u64>>,
}

impl Listener {
    fn new(link: &Link) -> io::Result<Listener> {
        let socket = link.peer.run(|| UdpSocket::bind(format!("{PEER}:{}", PORTS[1])))??;
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

    fn finish(self) -> Vec<u64> {
        std::thread::sleep(Duration::from_millis(200));
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap_or_default()
    }
}

/// Sends for a while through a relay that has settled, and returns the delays and how many were sent.
fn heard(link: &Link, subject: Subject, options: &Options, rate: u64) -> io::Result<(Vec<u64>, u64)> {
    let running = Running::start(link, subject, 0, options.calls)?;
    let sender = Sender::new(link, &running.ports, &CASES[0])?;
    let warm = Listener::new(link)?;
    let (sender, _) = sender.run(link, rate.min(10_000), Duration::from_secs(1))?;
    warm.finish();
    let listener = Listener::new(link)?;
    let (_, sent) = sender.run(link, rate, Duration::from_secs(options.seconds))?;
    Ok((listener.finish(), sent.packets))
}

/// How long a packet is on its way.
fn delay(link: &Link, options: &Options, subjects: &[Subject]) -> io::Result<Table> {
    let mut rows = Vec::new();
    for subject in subjects {
        let mut delays = Vec::new();
        for _ in 0..options.rounds.min(3) {
            delays.extend(heard(link, *subject, options, 5_000)?.0);
        }
        delays.sort_unstable();
        let at = |share: f64| delays.get((delays.len() as f64 * share) as usize).map_or(f64::NAN, |ns| *ns as f64 / 1_000.0);
        rows.push(Row { case: subject.name().into(), values: vec![at(0.5), at(0.99), at(0.999)] });
    }
    Ok(Table {
        title: "Delay of a packet, 5,000 a second".into(),
        method: "From before the sender's call to after the receiver's, both in the same process; so the wakes of the receiver and of the relay are \
                 in it. Other work on the machine shows in the last two columns."
            .into(),
        columns: ["median, µs", "p99, µs", "p99.9, µs"].map(String::from).to_vec(),
        rows,
    })
}

/// The highest rate at which nothing is lost.
fn highest(link: &Link, options: &Options, subjects: &[Subject]) -> io::Result<Table> {
    let mut rows = Vec::new();
    for subject in subjects {
        let (mut best, mut worse, mut rate) = (0, 0, 25_000);
        while rate <= options.highest && worse < 2 {
            let (delays, sent) = heard(link, *subject, options, rate)?;
            let reached = sent as f64 >= 0.95 * (rate * options.seconds) as f64;
            match reached && delays.len() as f64 >= 0.9999 * sent as f64 {
                true => (best, worse) = (rate, 0),
                false => worse += 1,
            }
            rate += 25_000;
        }
        rows.push(Row { case: subject.name().into(), values: vec![best as f64] });
    }
    Ok(Table {
        title: "Highest rate without loss".into(),
        method: format!(
            "Rates in steps of 25,000 up to {}, {} s each; one packet in 10,000 may be missing. Sender and receiver are on the same cores, and the sender \
             sends one packet a system call.",
            options.highest, options.seconds
        ),
        columns: vec!["packets a second".into()],
        rows,
    })
}

/// Memory of calls that stand.
fn memory(link: &Link, subjects: &[Subject]) -> io::Result<Table> {
    const CALLS: usize = 1_000;
    let mut rows = Vec::new();
    for subject in subjects {
        let [few, many] = [1, 1 + CALLS].map(|calls| {
            let running = Running::start(link, *subject, 0, calls)?;
            Ok::<f64, Error>(load::memory_mb(&running.pids()))
        });
        let (few, many) = (few?, many?);
        rows.push(Row { case: subject.name().into(), values: vec![(many - few) * 1_000.0 / CALLS as f64, many] });
    }
    Ok(Table {
        title: "Memory of a call's media".into(),
        method: format!(
            "Proportional set size with one call and with {CALLS} more, plain, before packets. rtpengine holds the call's signalling state, too, which \
             the relay has no part in. Kernel memory of sockets is in neither."
        ),
        columns: ["KB a call", "all, MB"].map(String::from).to_vec(),
        rows,
    })
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
