//! `ringfort-bench`: what the node's parts cost, measured and written to `results/`.
//!
//! Absolute times depend on the machine and on what else runs there. Each result file says on which machine, at which commit
//! and by which command it came about, and what was not measured.

mod allocations;
mod beside;
mod call;
mod connections;
mod core;
mod instructions;
mod load;
mod machine;
mod media;
mod namespaces;
mod peers;
mod picture;
mod process;
mod product;
mod register;
mod relay;
mod report;
mod rtpengine;
mod sockets;
mod transcode;

use clap::{Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Parser)]
#[command(name = "ringfort-bench", version, about = "Measures the node's parts and writes the results down")]
struct Arguments {
    /// What to measure; everything when left out
    #[command(subcommand)]
    what: Option<What>,
    /// Where results are written
    #[arg(long, global = true, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/results"))]
    out: PathBuf,
    /// Print JSON instead of tables
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Subcommand)]
enum What {
    /// One relayed packet: without sockets, and on sockets of the loopback interface
    Relay(relay::Options),
    /// One call through the B2BUA, without sockets
    Call(call::Options),
    /// Memory of idle connections
    Connections(connections::Options),
    /// Instructions of the core's parts, by callgrind
    Instructions(instructions::Options),
    /// Beside Kamailio, in turns, under the same load
    Peers(peers::Options),
    /// Media beside rtpengine, in turns, at equal packet rates
    Rtpengine(beside::Options),
    /// The relay alone, for the measurement beside rtpengine
    #[command(hide = true)]
    Serve(beside::ServeOptions),
    /// The whole process under load from SIPp
    Process(process::Options),
    /// Transcoding: a packet from one codec to another, and calls a core
    Transcode(transcode::Options),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Some(What::Serve(options)) = &arguments.what {
        return match beside::serve(options) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("ringfort-bench: {error}");
                ExitCode::FAILURE
            }
        };
    }
    let reports = match &arguments.what {
        Some(What::Relay(options)) => vec![relay::run(options)],
        Some(What::Call(options)) => vec![call::run(options)],
        Some(What::Connections(options)) => vec![connections::run(options)],
        Some(What::Instructions(options)) => vec![instructions::run(options)],
        Some(What::Peers(options)) => vec![peers::run(options)],
        Some(What::Process(options)) => vec![process::run(options)],
        Some(What::Rtpengine(options)) => vec![beside::run(options, &arguments.out)],
        Some(What::Serve(_)) => vec![],
        Some(What::Transcode(options)) => vec![transcode::run(options)],
        None => vec![
            relay::run(&relay::Options::default()),
            call::run(&call::Options::default()),
            instructions::run(&instructions::Options::default()),
            process::run(&process::Options::default()),
            connections::run(&connections::Options::default()),
            peers::run(&peers::Options::default()),
            beside::run(&beside::Options::default(), &arguments.out),
            transcode::run(&transcode::Options::default()),
        ],
    };
    for report in reports {
        match report.and_then(|report| report.write(&arguments.out).map(|()| report)) {
            Ok(report) if arguments.json => println!("{}", report.json()),
            Ok(report) => println!("{}", report.markdown()),
            Err(error) => {
                eprintln!("ringfort-bench: {error}");
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}
