//! The `ringfort` binary: sockets, TLS, clock, threads, configuration files, command line. Everything that thinks is in `ringfort-call`.
//!
//! Read [`start`] first: it puts the parts together in the order in which they depend on each other.

mod alarms;
mod arrivals;
mod backend;
mod banner;
mod calls;
mod capacity;
mod clock;
mod configuration;
mod core;
mod dns;
mod entropy;
mod identity;
mod io;
mod journal;
mod poller;
mod records;
mod route;
mod rule;
mod serve;
mod start;
mod timeline;
mod tls;

use clap::{Parser, Subcommand};
use configuration::Source;
use entropy::SystemEntropy;
use ringfort_web::{Admins, Hasher};
use std::path::PathBuf;
use std::process::ExitCode;

/// Session border controller and survivability node.
#[derive(Parser)]
#[command(name = "ringfort", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the node.
    Run(Where),
    /// Check a configuration file; nothing is changed.
    Check {
        /// The file.
        file: PathBuf,
    },
    /// Try the header rules of peer profiles.
    #[command(subcommand)]
    Rule(rule::RuleCommand),
    /// Ask where calls go.
    #[command(subcommand)]
    Route(route::RouteCommand),
    /// Show the calls of the node that runs here.
    Calls(calls::Options),
    /// Find out what this machine can carry; admission control takes its default limit from it.
    Capacity(capacity::Options),
    /// Give the administrator `admin` a new one-time password.
    ResetAdmin(Where),
}

/// Where things are.
#[derive(clap::Args)]
struct Where {
    /// Configuration file; without one the embedded default runs.
    #[arg(long, short)]
    config: Option<PathBuf>,
    /// Folder for certificates, administrators and records, instead of the file's.
    #[arg(long, env = "RINGFORT_STATE_DIR")]
    state_dir: Option<PathBuf>,
    /// Folder in RAM for the state that a restart reads, instead of the file's.
    #[arg(long, env = "RINGFORT_RUN_DIR")]
    run_dir: Option<PathBuf>,
}

impl Where {
    fn source(self) -> Source {
        Source::new(self.config, self.state_dir, self.run_dir)
    }
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Run(place) => start::run(place.source()).map_err(|e| e.to_string()),
        Command::Check { file } => check(file),
        Command::Rule(command) => command.run().map(|text| print!("{text}")),
        Command::Route(command) => match command.run(&mut std::io::stdout().lock()) {
            Ok(route::Verdict::Changed) => return ExitCode::FAILURE,
            done => done.map(|_| ()),
        },
        Command::Calls(options) => calls::run(options),
        Command::Capacity(options) => capacity::run(options, &mut SystemEntropy::new()),
        Command::ResetAdmin(place) => reset_admin(&place.source()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ringfort: {error}");
            ExitCode::FAILURE
        }
    }
}

fn check(file: PathBuf) -> Result<(), String> {
    let snapshot = Source::new(Some(file), None, None).check().map_err(|e| e.to_string())?;
    println!(
        "good: {}, {}, {}, cloud {}",
        counted(snapshot.accounts.len(), "account"),
        counted(snapshot.trunks.len(), "trunk"),
        counted(snapshot.routes.len(), "route"),
        snapshot.cloud.as_ref().map_or("none".to_string(), |c| c.address.to_string()),
    );
    Ok(())
}

fn counted(number: usize, thing: &str) -> String {
    if number == 1 { format!("1 {thing}") } else { format!("{number} {thing}s") }
}

fn reset_admin(source: &Source) -> Result<(), String> {
    let mut entropy = SystemEntropy::new();
    let loaded = source.load(&mut entropy).map_err(|e| e.to_string())?;
    let state = ringfort_store::StateDir::open(&loaded.snapshot.node.state_dir).map_err(|e| e.to_string())?;
    let hasher = Hasher::new().map_err(|e| e.to_string())?;
    let reset = Admins::reset(&state.admins(), &hasher, &mut entropy).map_err(|e| e.to_string())?;
    println!("administrator {}, one-time password {}", reset.name, *reset.password);
    Ok(())
}
