//! SIPp: carriers, desk phones and load, by scenarios of our own in `live/sipp/`.
//!
//! OPTIONS within a call are answered whatever the scenario says (`-aa`), as phones do.
//!
//! A scenario writes lines with `<log>` where something happens that a test waits for: `RINGING`, `ANSWERED media=1234`, `ENDED`.

use super::log_file::LogFile;
use super::process::Process;
use super::programs::{data_folder, require};
use super::{Context, Failure, Outcome, Scene};
use std::net::{IpAddr, SocketAddr};
use std::process::Command;
use std::time::Duration;

/// SIPp ends by itself after this time, so that nothing is left when a test is killed.
const LIFETIME_S: u32 = 120;

/// How to run a scenario.
#[derive(Debug)]
pub struct Sipp {
    name: String,
    scenario: String,
    local: u16,
    remote: Option<u16>,
    calls: u32,
    /// Its own address.
    ip: &'static str,
    /// The node's.
    node: &'static str,
    more: Vec<String>,
}

/// A scenario that runs.
#[derive(Debug)]
pub struct Running {
    name: String,
    process: Process,
    events: LogFile,
    errors: LogFile,
}

impl Sipp {
    /// Plays `live/sipp/SCENARIO.xml` once, from this port. `name` is what its logs are called.
    pub fn new(name: &str, scenario: &str, local: u16) -> Sipp {
        Sipp {
            name: name.into(),
            scenario: scenario.into(),
            local,
            remote: None,
            calls: 1,
            ip: "127.0.0.1",
            node: "127.0.0.1",
            more: Vec::new(),
        }
    }

    /// Sends to this port of this machine.
    pub fn to(mut self, port: u16) -> Sipp {
        self.remote = Some(port);
        self
    }

    /// Speaks by IPv6: its own address and the node's are `::1`.
    pub fn by_ipv6(self) -> Sipp {
        self.at("::1")
    }

    /// Has this address of the machine for its own, and that of the node.
    pub fn at(mut self, ip: &'static str) -> Sipp {
        (self.ip, self.node) = (ip, ip);
        self
    }

    /// On hosts of their own: its address, and the node's.
    pub fn between(mut self, ip: &'static str, node: &'static str) -> Sipp {
        (self.ip, self.node) = (ip, node);
        self
    }

    /// So many calls in all, so many a second.
    pub fn load(mut self, calls: u32, per_second: u32) -> Sipp {
        self.calls = calls;
        self.options(&["-r", &per_second.to_string(), "-l", "1000"])
    }

    /// `[NAME]` in the scenario.
    pub fn key(self, name: &str, value: impl ToString) -> Sipp {
        let value = value.to_string();
        self.options(&["-key", name, &value])
    }

    /// `[service]` in the scenario: the number.
    pub fn number(self, number: &str) -> Sipp {
        self.options(&["-s", number])
    }

    /// Credentials for digest.
    pub fn account(self, user: &str, password: &str) -> Sipp {
        self.key("user", user).options(&["-au", user, "-ap", password])
    }

    /// Further options of its command line.
    pub fn options(mut self, options: &[&str]) -> Sipp {
        self.more.extend(options.iter().map(ToString::to_string));
        self
    }

    /// Starts it.
    pub fn start(self, scene: &Scene) -> Outcome<Running> {
        let file = |what: &str| scene.file(&format!("sipp-{}-{what}.log", self.name));
        let address: IpAddr = self.node.parse().during("an IP address")?;
        let (events, errors) = (file("events"), file("errors"));
        let mut command = Command::new(require("sipp")?);
        command
            .current_dir(scene.folder())
            .arg(self.remote.map_or(self.ip.into(), |port| SocketAddr::new(address, port).to_string()))
            .args(["-sf".as_ref(), data_folder().join(format!("live/sipp/{}.xml", self.scenario)).as_os_str()])
            .args(["-i", self.ip, "-mi", self.ip, "-p", &self.local.to_string(), "-m", &self.calls.to_string()])
            .args(["-aa", "-nostdin", "-skip_rlimit", "-timeout", &LIFETIME_S.to_string(), "-timeout_error"])
            .args(["-trace_logs".as_ref(), "-log_file".as_ref(), events.as_os_str()])
            .args(["-trace_err".as_ref(), "-error_file".as_ref(), errors.as_os_str()])
            .args(["-trace_msg".as_ref(), "-message_file".as_ref(), file("messages").as_os_str()])
            .args(&self.more);
        let process =
            Process::start(&format!("SIPp {}", self.name), command, &scene.file(&format!("sipp-{}.screen", self.name)))?;
        Ok(Running { name: self.name, process, events: LogFile::new(&events), errors: LogFile::new(&errors) })
    }
}

impl Running {
    /// Waits for a `<log>` line with `part` in it.
    pub fn await_event(&mut self, part: &str, limit: Duration) -> Outcome<String> {
        let found = self.events.await_line(part, limit);
        found.map_err(|failure| Failure::new(format!("SIPp {}: {failure}\n{}", self.name, self.errors.tail(20))))
    }

    /// The number after `NAME=` in the `<log>` line with `part` in it.
    pub fn await_number(&mut self, part: &str, name: &str, limit: Duration) -> Outcome<u16> {
        let line = self.await_event(part, limit)?;
        let value = line.split_once(&format!("{name}=")).and_then(|(_, rest)| rest.split_whitespace().next()?.parse().ok());
        value.ok_or_else(|| Failure::new(format!("SIPp {}: no number {name} in `{line}`", self.name)))
    }

    /// What its `<log>` actions wrote.
    pub fn events(&self) -> &LogFile {
        &self.events
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> Outcome<bool> {
        Ok(self.process.exited()?.is_none())
    }

    /// Ends it as a crash would.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Waits until all its calls are done; every one of them must have gone as the scenario says.
    pub fn finish(&mut self, limit: Duration) -> Outcome<()> {
        let status = self.process.await_exit(limit).map_err(|failure| self.explain(&failure.to_string()))?;
        if status.success() { Ok(()) } else { Err(self.explain(&format!("ended with {status}"))) }
    }

    fn explain(&self, what: &str) -> Failure {
        Failure::new(format!("SIPp {}: {what}\n{}", self.name, self.errors.tail(30)))
    }
}
