//! `ringfort-bench relay`: what one relayed packet costs.

use crate::report::Report;
use crate::sockets::Load;
use crate::{core, sockets};
use std::io;

/// How much to measure.
#[derive(clap::Args)]
pub struct Options {
    /// Calls at once
    #[arg(long, default_value_t = Options::default().streams)]
    streams: usize,
    /// Packets a second through sockets, all calls together
    #[arg(long, default_value_t = Options::default().rate)]
    rate: usize,
    /// Seconds for each case and round on sockets; 0 leaves sockets out
    #[arg(long, default_value_t = Options::default().seconds)]
    seconds: u64,
    /// Rounds over all cases on sockets
    #[arg(long, default_value_t = Options::default().rounds)]
    rounds: usize,
    /// Packets for each case without sockets
    #[arg(long, default_value_t = Options::default().packets)]
    packets: usize,
}

impl Default for Options {
    fn default() -> Options {
        Options { streams: 500, rate: 25_000, seconds: 3, rounds: 5, packets: 500_000 }
    }
}

/// Measures and reports.
pub fn run(options: &Options) -> io::Result<Report> {
    let streams = options.streams.max(1);
    let mut report = Report::new("relay", "What one relayed packet of telephone audio costs.");
    report.tables.push(core::run(streams, options.packets));
    if options.seconds > 0 {
        let load = Load { streams, rate: options.rate, seconds: options.seconds };
        report.tables.push(sockets::run(load, options.rounds.max(1))?);
    }
    report.not_measured = [
        "network interfaces, their interrupts and drivers: loopback has none",
        "more than one worker, and more packets than one core carries",
        "latency and jitter",
        "RTCP, STUN and DTLS",
        "other machines and other relays side by side",
    ]
    .map(String::from)
    .to_vec();
    Ok(report)
}
