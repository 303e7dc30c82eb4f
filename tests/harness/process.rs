//! Child processes that end with the test.

use super::log_file::LogFile;
use super::wait::await_until;
use super::{Context, Failure, Outcome};
use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

/// A running program with what it writes. It leads a process group, and the group is killed when the value is dropped, so that what
/// the program has forked ends, too.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: LogFile,
}

impl Process {
    /// Starts it; both outputs go to `log`.
    pub fn start(name: &str, mut command: Command, log: &Path) -> Outcome<Process> {
        let output = File::options().create(true).append(true).open(log).during(log.display())?;
        let errors = output.try_clone().during(log.display())?;
        command.stdin(Stdio::null()).stdout(output).stderr(errors).process_group(0);
        let child = command.spawn().during(format_args!("starting {name}"))?;
        Ok(Process { name: name.into(), child, log: LogFile::new(log) })
    }

    /// Starts it with pipes to talk by; what it says as errors goes to `log`.
    pub fn start_piped(name: &str, mut command: Command, log: &Path) -> Outcome<Process> {
        let errors = File::options().create(true).append(true).open(log).during(log.display())?;
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(errors).process_group(0);
        let child = command.spawn().during(format_args!("starting {name}"))?;
        Ok(Process { name: name.into(), child, log: LogFile::new(log) })
    }

    /// Process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it wrote.
    pub fn log(&self) -> &LogFile {
        &self.log
    }

    /// The pipes of [`Process::start_piped`].
    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// How it ended, if it has.
    pub fn exited(&mut self) -> Outcome<Option<ExitStatus>> {
        self.child.try_wait().during(format_args!("waiting for {}", self.name))
    }

    /// Fails when it has ended though it should run.
    pub fn must_run(&mut self) -> Outcome<()> {
        match self.exited()? {
            None => Ok(()),
            Some(status) => Err(Failure::new(format!("{} ended with {status}:\n{}", self.name, self.log.tail(15)))),
        }
    }

    /// Waits for its end.
    pub fn await_exit(&mut self, limit: Duration) -> Outcome<ExitStatus> {
        await_until(&format!("the end of {}", self.name), limit, || self.child.try_wait().during("waiting for a child"))
    }

    /// Sends a signal by name to the process itself: `TERM`, `HUP`, `STOP`.
    pub fn signal(&self, signal: &str) -> Outcome<()> {
        kill_command(signal, &self.pid().to_string())
    }

    /// `kill -9` to all of its group, and waits until it is gone.
    pub fn kill(&mut self) {
        let _ = kill_command("KILL", &format!("-{}", self.pid()));
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// By the shell, whose `kill` takes small process groups for what they are; some `kill` programs read -3 as a signal.
fn kill_command(signal: &str, whom: &str) -> Outcome<()> {
    let mut kill = Command::new("sh");
    kill.args(["-c", "kill -s \"$1\" -- \"$2\"", "kill", signal, whom]).stderr(Stdio::null());
    let status = kill.status().during("running kill")?;
    if status.success() { Ok(()) } else { Err(Failure::new(format!("cannot send {signal} to {whom}"))) }
}
