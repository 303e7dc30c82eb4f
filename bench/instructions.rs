//! `ringfort-bench instructions`: how many instructions the parts of a call take, counted by Valgrind's callgrind. The count does not
//! depend on what else the machine does, so it shows changes that times hide.
//!
//! The program runs itself under callgrind, twice for each part, with different numbers of repetitions: the difference is free of what
//! happens once. Only what runs within [`counted`] is collected.

use crate::report::{Report, Row, Table};
use crate::{call, register};
use bytes::Bytes;
use ringfort_base::entropy::Seeded;
use ringfort_base::event::Mode;
use ringfort_base::{Hop, Time, Transport, Wall};
use ringfort_call::config::Snapshot;
use ringfort_call::route::{self, NoTrace, Question, Source};
use ringfort_call::trial;
use ringfort_media::sdp::Sdp;
use ringfort_sip::Message;
use ringfort_sip::message::Builder;
use ringfort_sip::transaction::{Step, Timers, Transactions};
use std::hint::black_box;
use std::io;
use std::path::Path;
use std::process::Command;

/// Which part to repeat under callgrind, and how often: for the program's own use.
#[derive(Default, clap::Args)]
pub struct Options {
    /// Repeat only this part, and measure nothing
    #[arg(long, hide = true)]
    part: Option<Part>,
    /// How often
    #[arg(long, hide = true, default_value_t = 0)]
    times: u64,
}

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    Parse,
    Sdp,
    Route,
    Transaction,
    Register,
    Call,
}

impl Part {
    const ALL: [Part; 6] = [Part::Parse, Part::Sdp, Part::Route, Part::Transaction, Part::Register, Part::Call];

    fn name(self) -> &'static str {
        match self {
            Part::Parse => "parse an INVITE of 584 octets",
            Part::Sdp => "its session description",
            Part::Route => "route: the last of 50 routes",
            Part::Transaction => "a non-INVITE server transaction, its response, its end",
            Part::Register => "REGISTER with digest: challenge, answer, binding",
            Part::Call => "a call, INVITE to BYE, with its transactions' ends",
        }
    }

    fn flag(self) -> String {
        format!("{self:?}").to_lowercase()
    }
}

/// Everything that runs within is collected. A function by itself, and never part of another, so that callgrind finds it by its name.
#[inline(never)]
pub fn counted<T>(work: impl FnOnce() -> T) -> T {
    black_box(work())
}

/// Counts and reports; with `part` it only repeats.
pub fn run(options: &Options) -> io::Result<Report> {
    let mut report = Report::new("instructions", "How many instructions the parts of a call take.");
    if let Some(part) = options.part {
        repeat(part, options.times);
        return Err(io::Error::other("repeated for callgrind, nothing is measured"));
    }
    let rows = Part::ALL.into_iter().map(|part| Ok(Row { case: part.name().into(), values: vec![instructions(part)?] }));
    report.tables.push(Table {
        title: "Instructions of the core".into(),
        method: "Counted by callgrind over 200 repetitions after 100 others, user space only; messages of the peers are made outside the \
                 count. A transaction's end is the timer that forgets it."
            .into(),
        columns: vec!["instructions".into()],
        rows: rows.collect::<io::Result<_>>()?,
    });
    report.not_measured = [
        "sockets and the kernel",
        "caches and branches, which make one instruction dearer than another",
        "TLS, WebSocket, ICE, DTLS",
    ]
    .map(String::from)
    .to_vec();
    Ok(report)
}

/// Of one repetition.
fn instructions(part: Part) -> io::Result<f64> {
    const REPETITIONS: [u64; 2] = [100, 300];
    let [few, many] = REPETITIONS;
    let difference = callgrind(part, many)?.saturating_sub(callgrind(part, few)?);
    if difference == 0 {
        return Err(io::Error::other("callgrind counted nothing: was this program stripped of its symbols?"));
    }
    Ok(difference as f64 / (many - few) as f64)
}

/// Runs this program under callgrind; what it counted.
fn callgrind(part: Part, times: u64) -> io::Result<u64> {
    let out = std::env::temp_dir().join(format!("ringfort-callgrind-{}-{}-{times}", std::process::id(), part.flag()));
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--toggle-collect=*instructions*counted*"])
        .arg(format!("--callgrind-out-file={}", out.display()))
        .arg(std::env::current_exe()?)
        .args(["instructions", "--part", &part.flag(), "--times", &times.to_string()])
        .output()
        .map_err(|error| io::Error::other(format!("valgrind (package valgrind): {error}")))?;
    let total = total(&out);
    let _ = std::fs::remove_file(&out);
    total.ok_or_else(|| io::Error::other(format!("callgrind left no total: {}", String::from_utf8_lossy(&output.stderr))))
}

fn total(file: &Path) -> Option<u64> {
    let text = std::fs::read_to_string(file).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("totals:").or_else(|| line.strip_prefix("summary:")))?;
    line.split_whitespace().next()?.parse().ok()
}

fn repeat(part: Part, times: u64) {
    match part {
        Part::Parse => {
            let invite = Bytes::from(trial::invite(1));
            (0..times).for_each(|_| drop(counted(|| Message::parse(invite.clone()))));
        }
        Part::Sdp => (0..times).for_each(|_| drop(counted(|| Sdp::parse(trial::SDP.as_bytes())))),
        Part::Route => route(times),
        Part::Transaction => transaction(times),
        Part::Register => register::repeat(times),
        Part::Call => {
            let Ok(mut trial) = call::begin(200) else { return };
            (0..times).for_each(|_| drop(black_box(call::call(&mut trial))));
        }
    }
}

fn route(times: u64) {
    let trunk = "[[trunk]]\nname = \"out\"\naddress = \"192.0.2.2:5060\"\n";
    let routes = (0..50).map(|n| format!("[[route]]\nname = \"r{n}\"\nnumber = \"00{n:02}*\"\nto = [\"trunk:out\"]\n"));
    let text = trunk.to_string() + &routes.collect::<String>();
    let Ok(snapshot) = Snapshot::load("bench", &text, &mut |_| None) else { return };
    let source = Source::Account("101".into());
    let question = Question {
        source: &source,
        caller: "101",
        number: "004930123456",
        mode: Mode::Standalone,
        wall: Wall(1_800_000_000_000),
        draw: 0,
        is_registered: &|_| false,
    };
    (0..times).for_each(|_| drop(counted(|| route::evaluate(&snapshot, &question, &mut NoTrace))));
}

fn transaction(times: u64) {
    let mut layer = Transactions::new(Timers::default(), &mut Seeded::new(1));
    let hop = Hop { transport: Transport::Udp, remote: trial::CALLER, local: None, flow: None };
    for n in 0..times {
        let now = Time::from_millis(n * 40_000);
        let request = Message::parse(Bytes::from(call::outside("OPTIONS", n)));
        let Ok(request) = request else { return };
        counted(|| {
            layer.receive(now, hop, request);
            while let Some(step) = layer.poll_step() {
                if let Step::Request { id, message, .. } = step {
                    let _ = layer.respond(now, id, Builder::reply(&message, 200, None, Some("t")).build());
                }
            }
            layer.handle_timeout(Time::from_millis(n * 40_000 + 39_000));
            while layer.poll_step().is_some() {}
        });
    }
}
