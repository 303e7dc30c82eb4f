//! Load on a SIP product: SIPp, and what the product's processes use meanwhile. CPU is the scheduler's own account (schedstat) of
//! every thread, so that threads that sleep between calls are counted to the nanosecond.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Error};
use std::net::{TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A product must answer within this time, and a SIPp that is done must show within it.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often a condition is looked at.
const LOOK: Duration = Duration::from_millis(5);
/// How often memory is looked at while load runs: walking the pages of a process is work too.
const MEMORY_LOOK: Duration = Duration::from_millis(500);

/// A child that does not outlive the measurement.
pub struct Guard(pub Child);

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// How a run of SIPp went.
#[derive(Clone, Copy, Debug, Default)]
pub struct Outcome {
    /// Scenarios that went through.
    pub succeeded: u64,
    /// Scenarios that did not.
    pub failed: u64,
    /// Messages that SIPp repeated.
    pub repeated: u64,
    /// Scenarios a second that were begun, over the whole run.
    pub achieved: f64,
    /// Highest memory of the product while it ran, MB.
    pub memory_mb: f64,
}

impl Outcome {
    /// Every one of `count` went through at once, at the rate that was asked for (within 5 %).
    pub fn is_clean(&self, count: u32, rate: u32) -> bool {
        self.succeeded == u64::from(count) && self.failed == 0 && self.repeated == 0 && self.achieved > f64::from(rate) * 0.95
    }
}

/// SIPp in `folder`, silent.
pub fn sipp(folder: &Path, arguments: &[&str]) -> io::Result<Guard> {
    let child = Command::new("sipp")
        .args(["-i", "127.0.0.1", "-nostdin", "-timeout", "180s", "-buff_size", "8000000", "-l", "100000"])
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    child.map(Guard).map_err(|error| Error::new(error.kind(), format!("sipp: {error}")))
}

/// Runs SIPp with `arguments` to its end; `memory` is asked now and then.
pub fn run(folder: &Path, arguments: &[&str], mut memory: impl FnMut() -> f64) -> io::Result<Outcome> {
    let statistics = folder.join("statistics.csv");
    let _ = fs::remove_file(&statistics);
    let mut load = sipp(folder, &[arguments, &["-trace_stat", "-stf", "statistics.csv", "-fd", "1"]].concat())?;
    let (start, mut highest, mut looked) = (Instant::now(), 0.0_f64, Instant::now());
    let mut done = || -> bool {
        if looked.elapsed() > MEMORY_LOOK {
            highest = highest.max(memory());
            looked = Instant::now();
        }
        load.0.try_wait().ok().flatten().is_some()
    };
    while !done() {
        if start.elapsed() > 3 * PATIENCE {
            return Err(Error::new(io::ErrorKind::TimedOut, "SIPp took too long"));
        }
        std::thread::sleep(LOOK);
    }
    let text = fs::read_to_string(&statistics)?;
    let mut lines = text.lines();
    let names: Vec<&str> = lines.next().unwrap_or_default().split(';').collect();
    let last: Vec<&str> = lines.next_back().unwrap_or_default().split(';').collect();
    let of = |name: &str| -> u64 {
        let place = names.iter().position(|n| *n == name);
        place.and_then(|place| last.get(place)?.parse().ok()).unwrap_or(0)
    };
    Ok(Outcome {
        succeeded: of("SuccessfulCall(C)"),
        failed: of("FailedCall(C)"),
        repeated: of("Retransmissions(C)"),
        achieved: begun_a_second(&text),
        memory_mb: highest.max(memory()),
    })
}

/// Scenarios begun a second, by SIPp's own clock: from the first to the last line in which their number grew.
fn begun_a_second(statistics: &str) -> f64 {
    let mut lines = statistics.lines().map(|line| line.split(';').collect::<Vec<&str>>());
    let names = lines.next().unwrap_or_default();
    let place = |name: &str| names.iter().position(|n| *n == name).unwrap_or(usize::MAX);
    let (total, time) = (place("TotalCallCreated"), place("CurrentTime"));
    let (mut first, mut last) = (None, None);
    for line in lines {
        // `CurrentTime` ends with seconds since 1970, behind a tab.
        let at = line.get(time).and_then(|text| text.rsplit('\t').next()?.parse::<f64>().ok());
        let (Some(at), Some(begun)) = (at, line.get(total).and_then(|n| n.parse::<f64>().ok())) else { continue };
        if first.is_none() {
            first = Some((at, begun));
        }
        if last.is_none_or(|(_, before)| begun > before) {
            last = Some((at, begun));
        }
    }
    match (first, last) {
        (Some((t0, n0)), Some((t1, n1))) if t1 > t0 => (n1 - n0) / (t1 - t0),
        _ => 0.0,
    }
}

/// A process and all that descend from it.
pub fn family(root: u32) -> Vec<u32> {
    let mut all = vec![root];
    let mut next = 0;
    while let Some(pid) = all.get(next).copied() {
        let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
        let texts = tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
        all.extend(texts.flat_map(|text| text.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<u32>>()));
        next += 1;
    }
    all
}

/// Nanoseconds on a processor so far by thread name, of all these processes.
pub fn cpu(pids: &[u32]) -> BTreeMap<String, u64> {
    let mut threads = BTreeMap::new();
    for task in pids.iter().filter_map(|pid| fs::read_dir(format!("/proc/{pid}/task")).ok()).flatten().flatten() {
        let read = |file: &str| fs::read_to_string(task.path().join(file)).unwrap_or_default();
        let ns = read("schedstat").split(' ').next().and_then(|ns| ns.parse::<u64>().ok()).unwrap_or(0);
        *threads.entry(read("comm").trim().to_string()).or_default() += ns;
    }
    threads
}

/// Nanoseconds of all threads whose name begins with `name`.
pub fn of_threads(threads: &BTreeMap<String, u64>, name: &str) -> u64 {
    threads.iter().filter(|(n, _)| n.starts_with(name)).map(|(_, ns)| *ns).sum()
}

/// Memory of all these processes, each shared page in equal parts (PSS), MB.
pub fn memory_mb(pids: &[u32]) -> f64 {
    let kb = |pid: &u32| -> f64 {
        let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("Pss:")).unwrap_or_default();
        line.trim().split(' ').next().and_then(|kb| kb.parse().ok()).unwrap_or(0.0)
    };
    pids.iter().map(kb).sum::<f64>() / 1024.0
}

/// A folder in RAM of the same name as `folder`, as `/run` is where the node is installed; made here where there is none.
pub fn in_ram(folder: &Path) -> PathBuf {
    let memory = Path::new("/dev/shm");
    match (memory.is_dir(), folder.file_name()) {
        (true, Some(name)) => memory.join(name),
        _ => folder.join("run"),
    }
}

/// A UDP port that is free now.
pub fn free_udp() -> io::Result<u16> {
    Ok(UdpSocket::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// A TCP port that is free now.
pub fn free_tcp() -> io::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// Waits for a condition.
pub fn until(mut done: impl FnMut() -> bool) -> io::Result<()> {
    let start = Instant::now();
    while !done() {
        if start.elapsed() > PATIENCE {
            return Err(Error::new(io::ErrorKind::TimedOut, "the product or SIPp took too long"));
        }
        std::thread::sleep(LOOK);
    }
    Ok(())
}
