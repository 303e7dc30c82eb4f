//! `ringfort-bench peers`: Ringfort and Kamailio side by side, in turns, under the same load from SIPp on loopback. Absolute times
//! depend on the machine and on what else runs there; the ratio within one run is what counts.

use crate::load::{self, Outcome};
use crate::product::{Product, Running};
use crate::report::{Report, Row, Table};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// How much to measure.
#[derive(clap::Args)]
pub struct Options {
    /// Calls a second; one row each
    #[arg(long, value_delimiter = ',', default_values_t = Options::default().rates)]
    rates: Vec<u32>,
    /// Seconds of load for each measurement
    #[arg(long, default_value_t = Options::default().seconds)]
    seconds: u32,
    /// Turns of both products at each rate; the median counts
    #[arg(long, default_value_t = Options::default().rounds)]
    rounds: usize,
    /// Only these tables: calls, highest, registers, memory
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Highest rate that is tried, calls a second
    #[arg(long, default_value_t = Options::default().highest)]
    highest: u32,
    /// The binary; without it the one beside this program
    #[arg(long)]
    binary: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Options {
        Options { rates: vec![200, 400, 800, 1_600], seconds: 8, rounds: 3, only: Vec::new(), highest: 3_200, binary: None }
    }
}

/// Step of the search for the highest clean rate, calls a second.
const STEP: u32 = 200;
/// Calls that are held at once, and how long; they begin within half of that.
const HELD: u32 = 1_000;
const HOLD_MS: u32 = 10_000;
/// Devices that register.
const DEVICES: u32 = 10_000;

/// Measures and reports.
pub fn run(options: &Options) -> io::Result<Report> {
    let mut report = Report::new("peers", "Ringfort beside Kamailio, in turns, under the same load.");
    let binary = match &options.binary {
        Some(binary) => binary.clone(),
        None => std::env::current_exe()?.with_file_name("ringfort"),
    };
    let products: Vec<Product> = Product::BOTH.into_iter().filter(|product| product.is_there()).collect();
    if products.len() < Product::BOTH.len() {
        report.not_measured.push("Kamailio: it is not installed here (`make setup-test`)".into());
    }
    let bench = Bench { options, binary: &binary, products };
    let wanted = |name: &str| options.only.is_empty() || options.only.iter().any(|only| only == name);
    if wanted("calls") {
        report.tables.push(bench.calls()?);
    }
    if wanted("highest") {
        report.tables.push(bench.highest()?);
    }
    if wanted("registers") {
        report.tables.push(bench.registers()?);
    }
    if wanted("memory") {
        report.tables.push(bench.memory()?);
    }
    report.not_measured.extend(["TLS, WebSocket and WebRTC legs", "audio: see relay", "other machines"].map(String::from));
    Ok(report)
}

struct Bench<'a> {
    options: &'a Options,
    binary: &'a Path,
    products: Vec<Product>,
}

/// CPU of one run, µs for each scenario, and how it went.
struct Measured {
    each_us: f64,
    outcome: Outcome,
}

impl Bench<'_> {
    /// CPU for a call, both products in turns at each rate.
    fn calls(&self) -> io::Result<Table> {
        let mut rows = Vec::new();
        for rate in &self.options.rates {
            let rounds = (0..self.options.rounds).map(|_| self.each(|product| self.call_run(product, *rate)));
            let rounds = rounds.collect::<io::Result<Vec<Vec<Measured>>>>()?;
            rows.push(Row { case: format!("{rate} calls a second"), values: compare(&rounds) });
        }
        Ok(Table {
            title: "CPU for a call, INVITE to BYE".into(),
            method: format!(
                "SIPp calls SIPp through the product, UDP, 180 and 200 after 50 ms, no talk, {} s at each rate, {} rounds in turns, a \
                 fresh process each time; median. Kamailio proxies with Record-Route and two workers; Ringfort is a B2BUA and opens and \
                 closes two media ports for each call. CPU of all threads of all processes of the product by schedstat. Where the time \
                 goes, and why the goal of 0.35 is missed: docs/decisions/0017.",
                self.options.seconds, self.options.rounds
            ),
            columns: columns("µs a call"),
            rows,
        })
    }

    /// The highest rate at which every call goes through without a repetition.
    fn highest(&self) -> io::Result<Table> {
        let mut rows = Vec::new();
        for product in &self.products {
            let (mut best, mut worse) = (0, 0);
            for rate in (STEP * 4..=self.options.highest).step_by(STEP as usize) {
                let measured = self.call_run(*product, rate)?;
                match measured.outcome.is_clean(rate * self.options.seconds, rate) {
                    true => (best, worse) = (rate, 0),
                    false => worse += 1,
                }
                if worse == 3 {
                    break;
                }
            }
            rows.push(Row { case: product.name().into(), values: vec![f64::from(best)] });
        }
        Ok(Table {
            title: "Highest clean rate".into(),
            method: format!(
                "Rates in steps of {STEP} up to {}, {} s each; clean: every call succeeds, SIPp repeats nothing and keeps the rate \
                 within 5 %. Both SIPp run on the same cores. The search ends after three rates that are not clean.",
                self.options.highest, self.options.seconds
            ),
            columns: vec!["calls a second".into()],
            rows,
        })
    }

    /// CPU for a registration with digest.
    fn registers(&self) -> io::Result<Table> {
        let mut rows = Vec::new();
        for rate in [1_000, 4_000] {
            let rounds = (0..self.options.rounds).map(|_| self.each(|product| self.register_run(product, rate)));
            let rounds = rounds.collect::<io::Result<Vec<Vec<Measured>>>>()?;
            rows.push(Row { case: format!("{rate} a second"), values: compare(&rounds) });
        }
        Ok(Table {
            title: "CPU for a REGISTER with digest (401 and 200)".into(),
            method: format!("{DEVICES} devices, each registers once with MD5; {} rounds in turns, median.", self.options.rounds),
            columns: columns("µs a registration"),
            rows,
        })
    }

    /// Memory and start.
    fn memory(&self) -> io::Result<Table> {
        let mut rows = Vec::new();
        for product in &self.products {
            let idle = Running::start(*product, self.binary, 0)?;
            let values = [idle.started_in.as_secs_f64() * 1000.0, load::memory_mb(&idle.processes())];
            drop(idle);
            let held = self.call_load(*product, HELD * 2_000 / HOLD_MS, HELD, HOLD_MS)?.outcome;
            let registered = self.register_run(*product, 1_000)?.outcome;
            let failed = held.failed + registered.failed;
            rows.push(Row {
                case: product.name().into(),
                values: [&values[..], &[held.memory_mb, registered.memory_mb, failed as f64]].concat(),
            });
        }
        Ok(Table {
            title: "Start and memory".into(),
            method: format!(
                "Start: from the process's start to its first answer to OPTIONS. Memory is the proportional set size of all processes: \
                 idle, the highest while {HELD} calls are held, the highest during {DEVICES} registrations. Ringfort anchors the media \
                 of the calls; {DEVICES} accounts are configured in it. Kernel memory of sockets is in neither figure."
            ),
            columns: ["start, ms", "idle, MB", "1,000 calls, MB", "10,000 registrations, MB", "failed"]
                .map(String::from)
                .to_vec(),
            rows,
        })
    }

    fn each(&self, mut measure: impl FnMut(Product) -> io::Result<Measured>) -> io::Result<Vec<Measured>> {
        self.products.iter().map(|product| measure(*product)).collect()
    }

    fn call_run(&self, product: Product, rate: u32) -> io::Result<Measured> {
        self.call_load(product, rate, rate * self.options.seconds, 0)
    }

    fn call_load(&self, product: Product, rate: u32, calls: u32, hold_ms: u32) -> io::Result<Measured> {
        let running = Running::start(product, self.binary, 0)?;
        fs::write(running.folder.join("caller.xml"), include_str!("scenarios/caller.xml"))?;
        fs::write(running.folder.join("callee.xml"), include_str!("scenarios/callee.xml"))?;
        let _callee = load::sipp(&running.folder, &["-sf", "callee.xml", "-p", &running.ports.callee.to_string()])?;
        let hold = hold_ms.to_string();
        measure(&running, running.ports.caller, rate, calls, &["-sf", "caller.xml", "-s", "callee", "-d", &hold])
    }

    fn register_run(&self, product: Product, rate: u32) -> io::Result<Measured> {
        let running = Running::start(product, self.binary, DEVICES)?;
        let row = |n: u32| format!("reg{n};[authentication username=reg{n} password=secret]\n");
        let devices: String = std::iter::once("SEQUENTIAL\n".to_string()).chain((0..DEVICES).map(row)).collect();
        fs::write(running.folder.join("devices.csv"), devices)?;
        fs::write(running.folder.join("register.xml"), include_str!("scenarios/register.xml"))?;
        measure(&running, running.ports.caller, rate, DEVICES, &["-sf", "register.xml", "-inf", "devices.csv"])
    }
}

/// One run of SIPp against a product that runs.
fn measure(running: &Running, from: u16, rate: u32, count: u32, arguments: &[&str]) -> io::Result<Measured> {
    let processes = running.processes();
    let [from, rate, total] = [u32::from(from), rate, count].map(|number| number.to_string());
    let target = format!("127.0.0.1:{}", running.ports.sip);
    let common = [&target, "-p", &from, "-r", &rate, "-m", &total, "-recv_timeout", "20000"];
    let before = load::of_threads(&load::cpu(&processes), "");
    let mut outcome = load::run(&running.folder, &[&common[..], arguments].concat(), || load::memory_mb(&processes))?;
    // A SIPp that gives up early counts nothing as failed.
    outcome.failed = outcome.failed.max(u64::from(count).saturating_sub(outcome.succeeded));
    let spent = load::of_threads(&load::cpu(&processes), "").saturating_sub(before);
    Ok(Measured { each_us: spent as f64 / 1000.0 / f64::from(count), outcome })
}

fn columns(unit: &str) -> Vec<String> {
    vec![format!("Kamailio, {unit}"), format!("Ringfort, {unit}"), "ratio".into(), "failed".into(), "repeated".into()]
}

/// Median of each product over the rounds, the ratio of the last to the first, and what went wrong in all rounds together.
fn compare(rounds: &[Vec<Measured>]) -> Vec<f64> {
    let of = |place: usize| median(rounds.iter().filter_map(|round| round.get(place)).map(|m| m.each_us).collect());
    let outcomes = || rounds.iter().flatten().map(|measured| measured.outcome);
    let failed: u64 = outcomes().map(|outcome| outcome.failed).sum();
    let repeated: u64 = outcomes().map(|outcome| outcome.repeated).sum();
    // Without Kamailio the only figures are Ringfort's.
    let (kamailio, ringfort) = if rounds.iter().all(|round| round.len() == 2) { (of(0), of(1)) } else { (f64::NAN, of(0)) };
    vec![kamailio, ringfort, ringfort / kamailio, failed as f64, repeated as f64]
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
