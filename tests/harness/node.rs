//! The node under test: the real binary, its configuration, its API.

use super::http::Api;
use super::log_file::LogFile;
use super::process::Process;
use super::programs::ringfort;
use super::site::Site;
use super::wait::{await_until, seconds};
use super::{Context, Failure, Outcome, Scene};
use serde_json::Value;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

/// A node must listen within this time after its start.
const START: Duration = Duration::from_secs(10);

/// The administrator's password once [`Node::admin`] has changed the one-time one.
pub const ADMIN_PASSWORD: &str = "a long word for tests only";

/// A running node.
#[derive(Debug)]
pub struct Node {
    process: Process,
    site: Site,
    launch: Launch,
    run: PathBuf,
}

/// How the process is started, each time.
#[derive(Debug)]
struct Launch {
    /// Without one the embedded configuration runs, with the two folders beside it.
    config: Option<PathBuf>,
    state: PathBuf,
    run: PathBuf,
    log: PathBuf,
}

impl Node {
    /// Starts the node of this configuration and waits until it listens.
    pub fn start(scene: &Scene, site: Site) -> Outcome<Node> {
        let config = scene.write("node.toml", &site.text())?;
        Node::start_with(scene, site, Some(config))
    }

    /// Starts the node as `make run` does: without a file, on the well-known ports, which are this test's alone.
    pub fn start_shipped(scene: &Scene) -> Outcome<Node> {
        Node::start_with(scene, Site::shipped(), None)
    }

    fn start_with(scene: &Scene, site: Site, config: Option<PathBuf>) -> Outcome<Node> {
        let (run, log) = (scene.file("run"), scene.file("node.log"));
        let launch = Launch { config, state: scene.file("state"), run: run.clone(), log };
        let process = launch.spawn()?;
        let mut node = Node { process, site, launch, run };
        node.await_listening()?;
        Ok(node)
    }

    /// The password that was made for an account of the shipped configuration.
    pub fn made_password(&self, user: &str) -> Outcome<String> {
        let file = self.launch.state.join("passwords.json");
        let made: Value = serde_json::from_slice(&std::fs::read(&file).during(file.display())?).during(file.display())?;
        Ok(made[user].as_str().during(format_args!("no password was made for {user}"))?.to_string())
    }

    /// `kill -9`, and nothing is started.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts the same node again, with the same file; how long it took until it listened.
    pub fn start_again(&mut self) -> Outcome<Duration> {
        let begun = Instant::now();
        self.process = self.launch.spawn()?;
        self.await_listening()?;
        Ok(begun.elapsed())
    }

    /// SIGHUP after the file was written anew.
    pub fn reload(&self, text: &str) -> Outcome<()> {
        let config = self.launch.config.as_ref().during("the embedded configuration cannot be changed")?;
        std::fs::write(config, text).during(config.display())?;
        self.process.signal("HUP")
    }

    /// SIGTERM, and waits for a clean end.
    pub fn stop(&mut self) -> Outcome<()> {
        self.process.signal("TERM")?;
        let status = self.process.await_exit(seconds(5))?;
        if status.success() { Ok(()) } else { Err(Failure::new(format!("the node ended with {status}"))) }
    }

    /// Fails when the process has ended.
    pub fn must_run(&mut self) -> Outcome<()> {
        self.process.must_run()
    }

    /// Process id.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Its configuration.
    pub fn site(&self) -> &Site {
        &self.site
    }

    /// What it writes: banner and events, of all its processes.
    pub fn log(&self) -> &LogFile {
        self.process.log()
    }

    /// An address of this machine.
    pub fn at(port: u16) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, port).into()
    }

    /// The page.
    pub fn page(&self) -> String {
        self.page_at("127.0.0.1")
    }

    /// The page at another address of the node's host.
    pub fn page_at(&self, address: &str) -> String {
        format!("https://{address}:{}/", self.site.web)
    }

    /// The API, not signed in.
    pub fn api(&self) -> Api {
        Api::new(Node::at(self.site.web))
    }

    /// The API, signed in as the administrator, with a password of the test's own.
    pub fn admin(&self) -> Outcome<Api> {
        let line = self.log().await_line("one-time password: ", seconds(5))?;
        let one_time = line.split_once("one-time password: ").map(|(_, p)| p.trim().to_string()).unwrap_or_default();
        let mut api = self.api();
        api.sign_in("admin", &one_time)?;
        let body = serde_json::json!({ "current": one_time, "new": ADMIN_PASSWORD }).to_string();
        let changed = api.request("PUT", "/api/v1/password", Some(&body))?;
        if changed.status >= 300 {
            return Err(Failure::new(format!("changing the one-time password: {} {}", changed.status, changed.body)));
        }
        let signed_in = api.sign_in("admin", ADMIN_PASSWORD)?;
        if signed_in.status >= 300 {
            return Err(Failure::new(format!("signing in as admin: {} {}", signed_in.status, signed_in.body)));
        }
        Ok(api)
    }

    /// `mode` of the health report, which needs no sign-in.
    pub fn mode(&self) -> Outcome<String> {
        let health = self.api().json("/api/v1/health")?;
        Ok(health.get("mode").and_then(Value::as_str).unwrap_or_default().to_string())
    }

    /// Waits for a mode; how long it took.
    pub fn await_mode(&self, mode: &str, limit: Duration) -> Outcome<Duration> {
        let begun = Instant::now();
        let mut last = String::new();
        let found = await_until(&format!("mode {mode}"), limit, || {
            last = self.mode()?;
            Ok((last == mode).then(|| begun.elapsed()))
        });
        found.map_err(|failure| Failure::new(format!("{failure}; it is {last}")))
    }

    /// One value of the metrics, by its name and labels as they are written; `None` when there is none.
    pub fn metric(&self, name: &str) -> Outcome<Option<f64>> {
        let metrics = self.api().get("/api/v1/metrics")?;
        let line = metrics.body.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok());
        Ok(line)
    }

    /// Waits until a metric has this value.
    pub fn await_metric(&self, name: &str, value: f64, limit: Duration) -> Outcome<()> {
        let mut last = None;
        let found = await_until(&format!("{name} to be {value}"), limit, || {
            last = self.metric(name)?;
            Ok((last == Some(value)).then_some(()))
        });
        found.map_err(|failure| Failure::new(format!("{failure}; it is {last:?}")))
    }

    /// Resident memory, kilobytes.
    pub fn memory_kb(&self) -> Outcome<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).during("reading /proc")?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).during("no VmRSS")?;
        line.trim().trim_end_matches(" kB").parse().during("VmRSS")
    }

    /// The node writes its addresses down when all of them listen; an earlier process's file names another process.
    fn await_listening(&mut self) -> Outcome<()> {
        let (file, pid) = (self.run.join("addresses.json"), u64::from(self.process.pid()));
        let process = &mut self.process;
        await_until("the node to listen", START, || {
            process.must_run()?;
            let addresses = std::fs::read(&file).ok().and_then(|text| serde_json::from_slice::<Value>(&text).ok());
            let of_this = addresses.as_ref().and_then(|a| a.get("pid")).and_then(Value::as_u64) == Some(pid);
            Ok(of_this.then_some(()))
        })
    }
}

impl Launch {
    fn spawn(&self) -> Outcome<Process> {
        let mut command = Command::new(ringfort()?);
        command.arg("run").env("RINGFORT_LOG", "info,ringfort=debug");
        match &self.config {
            Some(config) => command.arg("--config").arg(config),
            None => command.env("RINGFORT_STATE_DIR", &self.state).env("RINGFORT_RUN_DIR", &self.run),
        };
        Process::start("the node", command, &self.log)
    }
}

impl Node {
    /// What `ringfort calls` prints beside this node.
    pub fn calls(&self) -> Outcome<String> {
        self.calls_with(&[])
    }

    /// The same with further arguments.
    pub fn calls_with(&self, more: &[&str]) -> Outcome<String> {
        let mut command = Command::new(ringfort()?);
        let output = command.arg("calls").arg("--run-dir").arg(&self.run).args(more).output().during("running ringfort calls")?;
        match output.status.success() {
            true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
            false => Err(Failure::new(String::from_utf8_lossy(&output.stderr))),
        }
    }
}

/// `ringfort check` of a file with this text.
pub fn check(scene: &Scene, text: &str) -> Outcome<Output> {
    let file = scene.write("checked.toml", text)?;
    Command::new(ringfort()?).arg("check").arg(file).output().during("running ringfort check")
}
