//! `ringfort-bench relay`: what one relayed packet costs.

use crate::report::Report;
use crate::sockets::Load;
use crate::{core, sockets};
use std::io;

/// How much to measure.
#[derive(clap::Args)]
pub struct Options {
    /// Calls at once
    #[arg(long, default_value_t = 500)]
    streams: usize,
    /// Packets a second through sockets, all calls together
    #[arg(long, default_value_t = 25_000)]
    rate: usize,
    /// Seconds for each case on sockets; 0 leaves sockets out
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Packets for each case without sockets
    #[arg(long, default_value_t = 500_000)]
    packets: usize,
}

/// Measures and reports.
pub fn run(options: &Options) -> io::Result<Report> {
    let streams = options.streams.max(1);
    let mut report = Report::new("relay", "What one relayed packet of telephone audio costs.");
    report.tables.push(core::run(streams, options.packets));
    if options.seconds > 0 {
        report.tables.push(sockets::run(Load { streams, rate: options.rate, seconds: options.seconds })?);
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
