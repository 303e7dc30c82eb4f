//! `ringfort-bench rtpengine`: the relay's tiers and rtpengine side by side, in turns, at equal packet rates.

mod calls;
mod curve;
mod floor;
mod handshakes;
mod subject;
mod traffic;

pub use calls::{Load, ServeOptions, serve};
pub use subject::Agreed;

use crate::load;
use crate::media::PACKET;
use crate::namespaces::{Link, drops, received};
use crate::report::{Report, Row, Table};
use crate::rtpengine;
use calls::ServedBy;
use rustix::process::{Resource, getrlimit, setrlimit};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;
use subject::{OTHER, Running, Subject};
use traffic::{Listener, Sender, softirq_cpu};

/// How much to measure.
#[derive(Clone, clap::Args)]
pub struct Options {
    /// Calls at once
    #[arg(long, default_value_t = Options::default().calls)]
    calls: usize,
    /// Packets a second, all calls together; one row each
    #[arg(long, value_delimiter = ',', default_values_t = Options::default().rates)]
    rates: Vec<u64>,
    /// Calls at once that are transcoded, 50 packets a second each
    #[arg(long, default_value_t = Options::default().transcoded)]
    transcoded: usize,
    /// Seconds for each measurement
    #[arg(long, default_value_t = Options::default().seconds)]
    seconds: u64,
    /// Turns at each rate; the median counts
    #[arg(long, default_value_t = Options::default().rounds)]
    rounds: usize,
    /// Highest rate that is tried for a lossless one, packets a second
    #[arg(long, default_value_t = Options::default().highest)]
    highest: u64,
    /// Most flows of the curve, 50 packets a second each
    #[arg(long, default_value_t = Options::default().flows)]
    flows: usize,
    /// Only these parts; the result has nothing else then
    #[arg(long, value_delimiter = ',')]
    only: Vec<Part>,
    /// Another build of this program, whose relay is measured in the same turns
    #[arg(long)]
    other: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            calls: 500,
            rates: vec![10_000, 25_000, 50_000],
            transcoded: 100,
            seconds: 2,
            rounds: 3,
            highest: 200_000,
            flows: 8_600,
            only: Vec::new(),
            other: None,
        }
    }
}

/// A part of the result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    Plain,
    Both,
    Sdes,
    Untouched,
    Dtls,
    Handshakes,
    Opus,
    Delay,
    Highest,
    Memory,
    Curve,
    SecuredCurve,
}

const PARTS: [Part; 12] = [
    Part::Plain,
    Part::Both,
    Part::Sdes,
    Part::Untouched,
    Part::Dtls,
    Part::Handshakes,
    Part::Opus,
    Part::Delay,
    Part::Highest,
    Part::Memory,
    Part::Curve,
    Part::SecuredCurve,
];
/// Handshakes of one turn.
const HANDSHAKES: usize = 300;

/// What stands below a table that has such a row.
const FLOOR: &str = " Bare sockets: as many as the calls have, one thread that looks every 500 µs, a call for each datagram in and one for each out, and nothing \
                     between; SRTP goes out as it came. What no relay goes below that has a socket for each leg.";

/// One run.
#[derive(Clone, Copy, Debug, Default)]
struct Figures {
    /// CPU of all that took part, µs a packet: sender, relay, and the kernel's own threads.
    whole_us: f64,
    /// CPU of the relay's process, µs a packet.
    process_us: f64,
    /// Share of packets that did not come back.
    lost: f64,
    /// Share of packets that were sent at all.
    sent: f64,
}

/// Measures and reports; the picture goes into `folder`.
pub fn run(options: &Options, folder: &Path) -> io::Result<Report> {
    let mut report = Report::new("rtpengine", "The relay's tiers beside rtpengine, in turns, at equal packet rates.");
    if !rtpengine::is_there() {
        report.not_measured.push("rtpengine: it is not installed here (`scripts/setup.sh bench`)".into());
        return Ok(report);
    }
    // What is measured inherits it: each call has two sockets and more.
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit)?;
    options.other.iter().for_each(|other| _ = OTHER.set(other.clone()));
    let link = Link::new()?;
    for part in PARTS.into_iter().filter(|part| options.only.is_empty() || options.only.contains(part)) {
        eprintln!("ringfort-bench rtpengine: {part:?}");
        // What one part meets does not take the others' figures away.
        match measure(part, &link, options, folder) {
            Ok(table) => report.tables.push(table),
            Err(error) => report.not_measured.push(format!("{part:?}: {error}")),
        }
    }
    report.not_measured.push("real network interfaces, their interrupts and drivers".into());
    report.not_measured.push("rtpengine's own kernel module, which Debian does not build for every kernel".into());
    Ok(report)
}

fn measure(part: Part, link: &Link, options: &Options, folder: &Path) -> io::Result<Table> {
    let plain = [Subject::Rtpengine, Subject::Sockets, Subject::Kernel];
    let by_kernel = [Subject::Rtpengine, Subject::Sockets, Subject::Kernel, Subject::Xdp];
    let secured = [Subject::Rtpengine, Subject::Sockets, Subject::AfXdp];
    let others = options.other.iter().flat_map(|_| [ServedBy::Sockets, ServedBy::AfXdp].map(Subject::Other));
    let with_others: Vec<_> = secured.into_iter().chain(others).collect();
    let all = [Subject::Rtpengine, Subject::Sockets, Subject::AfXdp, Subject::Kernel, Subject::Xdp];
    let cost = |load, both, subjects: &[Subject]| cpu(link, options, load, both, subjects);
    match part {
        Part::Plain => cost(Load::Plain, false, &by_kernel),
        Part::Both => cost(Load::Plain, true, &plain),
        Part::Sdes => cost(Load::Sdes, false, &[&with_others[..], &[Subject::Floor]].concat()),
        Part::Untouched => cost(Load::Untouched, false, &all),
        Part::Dtls => cost(Load::Dtls, false, &with_others),
        Part::Handshakes => handshakes::table(link, &plain[..2], HANDSHAKES, options.rounds),
        Part::Opus => cost(Load::Opus, true, &plain[..2]),
        Part::Delay => delay(link, options, &all),
        Part::Highest => highest(link, options, &all),
        Part::Memory => memory(link, &plain[..2]),
        Part::Curve => curve::table(link, options, Load::Plain, &plain, folder),
        Part::SecuredCurve => curve::table(link, options, Load::Sdes, &secured, folder),
    }
}

/// CPU for a packet at each rate.
fn cpu(link: &Link, options: &Options, load: Load, both: bool, subjects: &[Subject]) -> io::Result<Table> {
    let (calls, rates) = match load {
        // Speech goes at its own pace.
        Load::Opus => (options.transcoded, vec![options.transcoded as u64 * if both { 100 } else { 50 }]),
        // One rate shows it.
        _ if both => (options.calls, options.rates.get(options.rates.len() / 2).copied().into_iter().collect()),
        _ => (options.calls, options.rates.clone()),
    };
    let everybody = [&[Subject::Nobody], subjects].concat();
    let mut rows = Vec::new();
    for rate in rates {
        let mut found = vec![Vec::new(); everybody.len()];
        for _ in 0..options.rounds {
            for (n, subject) in everybody.iter().enumerate() {
                let run = Run { subject: *subject, load, both, calls, rate, seconds: options.seconds };
                found[n].push(run.figures(link)?);
            }
        }
        let of = |n: usize, value: fn(&Figures) -> f64| median(found[n].iter().map(value).collect());
        let sender = of(0, |f| f.whole_us);
        let first = of(1, |f| f.whole_us) - sender;
        for (n, subject) in subjects.iter().enumerate() {
            let whole = of(n + 1, |f| f.whole_us) - sender;
            let values = vec![whole, whole / first, of(n + 1, |f| f.process_us), sender, 100.0 * of(n + 1, |f| f.lost)];
            rows.push(Row { case: format!("{rate} a second: {}", subject.name()), values });
        }
    }
    Ok(Table {
        title: format!("CPU for a packet, {}{}: {calls} calls", load.name(), if both { ", both directions at once" } else { "" }),
        method: format!(
            "{}{}, from one network namespace to the relay in another one and back by the same veth link; \
             {} s for each of {} rounds in turns, median. Whole: CPU of the sending thread, the relay's process and the kernel's softirq threads by \
             schedstat, less what the sender alone costs when its packets are dropped as they come in. What comes back is dropped as it comes in and \
             counted by the interface.{}",
            goals(load, subjects, &rows),
            what_is_sent(load, both),
            options.seconds,
            options.rounds,
            if subjects.contains(&Subject::Floor) { FLOOR } else { "" }
        ),
        columns: ["whole, µs", "of rtpengine", "process, µs", "sender alone, µs", "lost, %"].map(String::from).to_vec(),
        rows,
    })
}

/// What was to be reached, whether it was, and if not, what comes next.
fn goals(load: Load, subjects: &[Subject], rows: &[Row]) -> String {
    // Codecs have a goal of their own, in calls a core.
    let wanted = subjects.iter().filter(|_| load != Load::Opus).filter_map(|subject| Some((subject, subject.goal()?)));
    let told = wanted.map(|(subject, (most, lever))| {
        let name = subject.name();
        let ratios = rows.iter().filter(|row| row.case.ends_with(name)).filter_map(|row| row.values.get(1));
        let worst = ratios.copied().fold(0.0, f64::max);
        match worst <= most {
            true => format!("{name}: {most} of rtpengine at most, met ({worst:.2}). "),
            false => format!("{name}: {most} of rtpengine at most, MISSED ({worst:.2}): {lever}. "),
        }
    });
    let told = told.collect::<String>();
    if told.is_empty() { told } else { format!("Goals. {told}\n\n") }
}

fn what_is_sent(load: Load, both: bool) -> String {
    let direction = if both { "in each direction" } else { "in one direction" };
    match load {
        Load::Opus => {
            format!("Something like speech, {direction}, a packet every 20 ms: Opus (48 kHz, 32 kbit/s) there, PCMA back")
        }
        Load::Dtls => {
            format!("{PACKET} octets of RTP, {direction}, under SRTP whose keys a DTLS handshake of each call agreed before")
        }
        Load::Untouched => format!(
            "{PACKET} octets of RTP under SRTP, {direction}; each side was told the other's keys, by rtpengine as by Ringfort, and packets leave as they came"
        ),
        Load::Sdes | Load::Plain => format!("{PACKET} octets of RTP, {direction}"),
    }
}

/// One turn.
struct Run {
    subject: Subject,
    load: Load,
    both: bool,
    calls: usize,
    rate: u64,
    seconds: u64,
}

impl Run {
    fn figures(&self, link: &Link) -> io::Result<Figures> {
        let mut running = Running::start(link, self.subject, self.load, self.calls)?;
        handshakes::complete(link, &mut running)?;
        let nobody = self.subject == Subject::Nobody;
        if nobody {
            drops(&link.node, "m1", true)?;
        }
        drops(&link.peer, "eth0", true)?;
        let figures = self.send(link, &running);
        drops(&link.peer, "eth0", false)?;
        if nobody {
            drops(&link.node, "m1", false)?;
        }
        figures
    }

    fn send(&self, link: &Link, running: &Running) -> io::Result<Figures> {
        let sender = Sender::new(link, running, self.load, self.both)?;
        // Latches settle, flows go down.
        let (sender, _) = sender.run(link, self.rate, Duration::from_secs(1))?;
        let before = (running.cpu(), softirq_cpu(), received(&link.peer, "eth0")?);
        let (_, sent) = sender.run(link, self.rate, Duration::from_secs(self.seconds))?;
        std::thread::sleep(Duration::from_millis(100));
        let after = (running.cpu(), softirq_cpu(), received(&link.peer, "eth0")?);
        let each = |ns: u64| ns as f64 / 1_000.0 / sent.packets as f64;
        let process = after.0 - before.0;
        let lost = 1.0 - (after.2 - before.2) as f64 / sent.packets as f64;
        let lost = if self.subject == Subject::Nobody { 0.0 } else { lost.max(0.0) };
        let whole_us = each(sent.cpu_ns + process + after.1 - before.1);
        let sent = sent.packets as f64 / (self.rate * self.seconds) as f64;
        Ok(Figures { whole_us, process_us: each(process), lost, sent })
    }
}

/// Sends for a while through a relay that has settled, and returns the delays and how many were sent.
fn heard(link: &Link, subject: Subject, options: &Options, rate: u64) -> io::Result<(Vec<u64>, u64)> {
    let running = Running::start(link, subject, Load::Plain, options.calls)?;
    let sender = Sender::new(link, &running, Load::Plain, false)?;
    let warm = Listener::new(&sender)?;
    let (sender, _) = sender.run(link, rate.min(10_000), Duration::from_secs(1))?;
    warm.finish();
    let listener = Listener::new(&sender)?;
    let (_sender, sent) = sender.run(link, rate, Duration::from_secs(options.seconds))?;
    Ok((listener.finish(), sent.packets))
}

/// Packets a second at which the delay is measured: of some calls, and of many.
const DELAY_RATES: [u64; 2] = [5_000, 25_000];

/// How long a packet is on its way.
fn delay(link: &Link, options: &Options, subjects: &[Subject]) -> io::Result<Table> {
    let mut rows = Vec::new();
    for (rate, subject) in DELAY_RATES.into_iter().flat_map(|rate| subjects.iter().map(move |subject| (rate, subject))) {
        let mut delays = Vec::new();
        for _ in 0..options.rounds.min(3) {
            delays.extend(heard(link, *subject, options, rate)?.0);
        }
        delays.sort_unstable();
        let at = |share: f64| delays.get((delays.len() as f64 * share) as usize).map_or(f64::NAN, |ns| *ns as f64 / 1_000.0);
        rows.push(Row { case: format!("{rate} a second: {}", subject.name()), values: vec![at(0.5), at(0.99), at(0.999)] });
    }
    Ok(Table {
        title: "Delay of a packet".into(),
        method: "From before the sender's call to after the receiver's, both in the same process; so the wakes of the receiver and of the relay are \
                 in it. Other work on the machine shows in the last two columns. A worker of ours that has many packets lets them gather for 500 µs \
                 (`media.gather_us`)."
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
    for load in [Load::Plain, Load::Dtls, Load::Opus] {
        let (few, many) = if load == Load::Plain { (1, 1 + CALLS) } else { (1, 1 + CALLS / 4) };
        for subject in subjects {
            let standing = |calls| {
                let mut running = Running::start(link, *subject, load, calls)?;
                handshakes::complete(link, &mut running)?;
                if load == Load::Opus {
                    // Decoders and encoders are made when something comes.
                    let sender = Sender::new(link, &running, load, true)?;
                    sender.run(link, 100 * calls as u64, Duration::from_millis(500))?;
                }
                io::Result::Ok(load::memory_mb(&running.pids()))
            };
            let (less, more) = (standing(few)?, standing(many)?);
            let each = (more - less) * 1_000.0 / (many - few) as f64;
            rows.push(Row { case: format!("{}: {}", load.name(), subject.name()), values: vec![each, more] });
        }
    }
    Ok(Table {
        title: "Memory of a call's media".into(),
        method: format!(
            "Proportional set size with one call and with {CALLS} more ({} with keys by DTLS or Opus), before packets, with Opus after half a second of them. \
             rtpengine holds the call's signalling state, too, and ours the legs' sessions with both descriptions; the node's calls and dialogs are in \
             neither, nor is kernel memory of sockets.",
            CALLS / 4
        ),
        columns: ["KB a call", "all, MB"].map(String::from).to_vec(),
        rows,
    })
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
