//! `ringfort-bench process`: what one call costs the whole process, sockets and all, under load from SIPp on loopback. CPU is the
//! scheduler's own account (schedstat) of each thread, so that threads that sleep between calls are counted to the nanosecond.

use crate::report::{Report, Row, Table};
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Error};
use std::net::{TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How much to measure.
#[derive(clap::Args)]
pub struct Options {
    /// Calls a second; one row each
    #[arg(long, value_delimiter = ',', default_values_t = Options::default().rates)]
    rates: Vec<u32>,
    /// Calls for each row
    #[arg(long, default_value_t = Options::default().calls)]
    calls: u32,
    /// The binary; without it the one beside this program
    #[arg(long)]
    binary: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Options {
        Options { rates: vec![100, 400, 800], calls: 4_000, binary: None }
    }
}

/// The node must listen within this time, and an ended SIPp must show within it.
const PATIENCE: Duration = Duration::from_secs(60);

/// Measures and reports.
pub fn run(options: &Options) -> io::Result<Report> {
    let mut report = Report::new("process", "What one call costs the whole process.");
    let binary = match &options.binary {
        Some(binary) => binary.clone(),
        None => std::env::current_exe()?.with_file_name("ringfort"),
    };
    let mut rows = Vec::new();
    for rate in &options.rates {
        rows.push(row(&binary, *rate, options.calls)?);
    }
    report.tables.push(Table {
        title: "SIPp to SIPp through the node, UDP, plain RTP negotiated, no audio".into(),
        method: format!(
            "{} calls for each row, INVITE to BYE without talk, SIPp's own scenarios; two media ports are opened and closed for \
             each call. CPU time of the node's threads only. A port rests 5 s after its call, so the range of ports bounds \
             the rate; the range here allows 1,100 calls a second.",
            options.calls
        ),
        columns: ["µs a call", "core", "signalling", "relay", "journal", "observers", "SIPp failed (1: yes)", "memory, MB"]
            .map(String::from)
            .to_vec(),
        rows,
    });
    report.not_measured =
        ["TLS, WebSocket, WebRTC legs and digest", "other products side by side", "the highest rate"].map(String::from).to_vec();
    Ok(report)
}

fn row(binary: &Path, rate: u32, calls: u32) -> io::Result<Row> {
    let folder = std::env::temp_dir().join(format!("ringfort-bench-{}-{rate}", std::process::id()));
    fs::create_dir_all(&folder)?;
    let [sip, caller, callee] = [free_udp()?, free_udp()?, free_udp()?];
    fs::write(folder.join("node.toml"), configuration(&folder, sip, free_tcp()?, caller, callee))?;
    let node = Guard(
        Command::new(binary)
            .args(["run", "--config"])
            .arg(folder.join("node.toml"))
            .env("RINGFORT_LOG", "warn")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?,
    );
    until(|| folder.join("addresses.json").exists())?;
    let _callee = sipp(&folder, &["-sn", "uas", "-p", &callee.to_string()])?;
    let before = cpu(node.0.id());
    let (calls_text, rate_text) = (calls.to_string(), rate.to_string());
    let target = format!("127.0.0.1:{sip}");
    let mut load =
        sipp(&folder, &["-sn", "uac", "-p", &caller.to_string(), "-m", &calls_text, "-r", &rate_text, "-d", "0", &target])?;
    let mut succeeded = false;
    until(|| load.0.try_wait().ok().flatten().inspect(|status| succeeded = status.success()).is_some())?;
    let after = cpu(node.0.id());
    let memory = memory_mb(node.0.id());
    let failed = if succeeded { 0.0 } else { 1.0 };
    fs::remove_dir_all(&folder)?;
    let of = |name: &str| {
        let sum =
            |threads: &BTreeMap<String, u64>| threads.iter().filter(|(n, _)| n.starts_with(name)).map(|(_, ns)| *ns).sum::<u64>();
        sum(&after).saturating_sub(sum(&before)) as f64 / 1000.0 / f64::from(calls)
    };
    let values = vec![of(""), of("core"), of("signalling"), of("relay"), of("journal"), of("observe"), failed, memory];
    Ok(Row { case: format!("{rate} calls a second"), values })
}

fn configuration(folder: &Path, sip: u16, web: u16, caller: u16, callee: u16) -> String {
    let folder = folder.display();
    format!(
        "[node]\nstate_dir = \"{folder}/state\"\nrun_dir = \"{folder}\"\n[sip]\nlisten = [\"udp:127.0.0.1:{sip}\"]\n\
         advertise = \"127.0.0.1\"\n[web]\nlisten = \"127.0.0.1:{web}\"\n\
         [media]\nport_first = 10000\nport_last = 32767\n\
         [[trunk]]\nname = \"in\"\naddress = \"127.0.0.1:{caller}\"\noptions_interval_ms = 0\n\
         [[trunk]]\nname = \"out\"\naddress = \"127.0.0.1:{callee}\"\noptions_interval_ms = 0\n\
         [[route]]\nname = \"all\"\nnumber = \"*\"\nto = [\"trunk:out\"]\n"
    )
}

fn sipp(folder: &Path, arguments: &[&str]) -> io::Result<Guard> {
    let child = Command::new("sipp")
        .args(["-i", "127.0.0.1", "-nostdin", "-timeout", "120s"])
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    child.map(Guard).map_err(|error| Error::new(error.kind(), format!("sipp: {error}")))
}

/// Nanoseconds on a processor by thread name. The main thread serves signalling too.
fn cpu(pid: u32) -> BTreeMap<String, u64> {
    let mut threads = BTreeMap::new();
    let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else { return threads };
    for task in tasks.flatten() {
        let read = |file: &str| fs::read_to_string(task.path().join(file)).unwrap_or_default();
        let ns = read("schedstat").split(' ').next().and_then(|ns| ns.parse::<u64>().ok()).unwrap_or(0);
        *threads.entry(read("comm").trim().to_string()).or_default() += ns;
    }
    threads
}

fn memory_mb(pid: u32) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|rest| rest.trim().split(' ').next()?.parse::<f64>().ok()).map_or(0.0, |kb| kb / 1024.0)
}

fn free_udp() -> io::Result<u16> {
    Ok(UdpSocket::bind("127.0.0.1:0")?.local_addr()?.port())
}

fn free_tcp() -> io::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

fn until(mut done: impl FnMut() -> bool) -> io::Result<()> {
    let start = Instant::now();
    while !done() {
        if start.elapsed() > PATIENCE {
            return Err(Error::new(io::ErrorKind::TimedOut, "the node or SIPp took too long"));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// A child that does not outlive the measurement.
struct Guard(Child);

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
