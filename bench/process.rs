//! `ringfort-bench process`: what one call costs the whole process, sockets and all, under load from SIPp on loopback. CPU is the
//! scheduler's own account (schedstat) of each thread, so that threads that sleep between calls are counted to the nanosecond.

use crate::load::{Guard, cpu, free_tcp, free_udp, in_ram, memory_mb, of_threads, sipp, until};
use crate::report::{Report, Row, Table};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

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
    until(|| in_ram(&folder).join("addresses.json").exists())?;
    let _callee = sipp(&folder, &["-sn", "uas", "-p", &callee.to_string()])?;
    let before = cpu(&[node.0.id()]);
    let (calls_text, rate_text) = (calls.to_string(), rate.to_string());
    let target = format!("127.0.0.1:{sip}");
    let mut load =
        sipp(&folder, &["-sn", "uac", "-p", &caller.to_string(), "-m", &calls_text, "-r", &rate_text, "-d", "0", &target])?;
    let mut succeeded = false;
    until(|| load.0.try_wait().ok().flatten().inspect(|status| succeeded = status.success()).is_some())?;
    let after = cpu(&[node.0.id()]);
    let memory = memory_mb(&[node.0.id()]);
    let failed = if succeeded { 0.0 } else { 1.0 };
    fs::remove_dir_all(in_ram(&folder))?;
    fs::remove_dir_all(&folder)?;
    let of = |name: &str| of_threads(&after, name).saturating_sub(of_threads(&before, name)) as f64 / 1000.0 / f64::from(calls);
    let values = vec![of(""), of("core"), of("signalling"), of("relay"), of("journal"), of("observe"), failed, memory];
    Ok(Row { case: format!("{rate} calls a second"), values })
}

fn configuration(folder: &Path, sip: u16, web: u16, caller: u16, callee: u16) -> String {
    let (folder, run) = (folder.display(), in_ram(folder).display().to_string());
    format!(
        "[node]\nstate_dir = \"{folder}/state\"\nrun_dir = \"{run}\"\n[sip]\nlisten = [\"udp:127.0.0.1:{sip}\"]\n\
         advertise = \"127.0.0.1\"\n[web]\nlisten = \"127.0.0.1:{web}\"\n\
         [media]\nport_first = 10000\nport_last = 32767\n\
         [[trunk]]\nname = \"in\"\naddress = \"127.0.0.1:{caller}\"\noptions_interval_ms = 0\n\
         [[trunk]]\nname = \"out\"\naddress = \"127.0.0.1:{callee}\"\noptions_interval_ms = 0\n\
         [[route]]\nname = \"all\"\nnumber = \"*\"\nto = [\"trunk:out\"]\n"
    )
}
