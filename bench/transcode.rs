//! `ringfort-bench transcode`: what a packet costs that is decoded and encoded anew, and how many calls a core carries.

use crate::allocations;
use crate::report::{Report, Row, Table};
use ringfort_media::audio::Codec;
use ringfort_media::audio::trial::{Crossing, PACKET_MS, PACKETS_A_SECOND, WARM_S, packets};
use std::io;
use std::time::Instant;

/// How much to measure.
#[derive(clap::Args)]
pub struct Options {
    /// Calls in turn, so that none has the caches for itself
    #[arg(long, default_value_t = Options::default().calls)]
    calls: usize,
    /// Seconds of each call
    #[arg(long, default_value_t = Options::default().seconds)]
    seconds: usize,
}

impl Default for Options {
    fn default() -> Options {
        Options { calls: 50, seconds: 6 }
    }
}

/// Both sides of a call.
const PAIRS: [(Codec, Codec); 4] =
    [(Codec::Opus, Codec::Pcma), (Codec::Opus, Codec::G722), (Codec::G722, Codec::Pcma), (Codec::Pcmu, Codec::Pcma)];

/// Measures and reports.
pub fn run(options: &Options) -> io::Result<Report> {
    let mut report = Report::new("transcode", "What transcoding costs, and how many calls a core carries.");
    let rows = PAIRS.into_iter().map(|(a, b)| row(a, b, options)).collect::<Option<Vec<_>>>();
    report.tables.push(Table {
        title: "Transcoding".into(),
        method: format!(
            "A packet of {PACKET_MS} ms of something like speech through jitter buffer, decoder and encoder to a packet, in memory, on one \
             thread; {} calls in turn, median over batches of {PACKETS_A_SECOND} packets of a call. Opus comes as browsers send it (48 kHz, 32 kbit/s) \
             and is sent at the other side's rate with in-band redundancy. A call is both directions.",
            options.calls.max(1)
        ),
        columns: ["there, µs", "back, µs", "calls a core", "allocations a packet"].map(String::from).to_vec(),
        rows: rows.ok_or_else(|| io::Error::other("a codec could not be set up"))?,
    });
    report.not_measured = ["sockets, SRTP and the relay's ticks", "loss, which costs concealment"].map(String::from).to_vec();
    Ok(report)
}

fn row(a: Codec, b: Codec, options: &Options) -> Option<Row> {
    let (there, first) = direction(a, b, options)?;
    let (back, second) = direction(b, a, options)?;
    let calls = f64::from(PACKET_MS) * 1_000.0 / (there + back);
    let case = format!("{} and {}", a.name(), b.name());
    Some(Row { case, values: vec![there, back, calls.floor(), first + second] })
}

/// Microseconds and allocations a packet.
fn direction(from: Codec, to: Codec, options: &Options) -> Option<(f64, f64)> {
    let packets = packets(from, options.seconds.max(WARM_S + 1))?;
    let mut calls = (0..options.calls.max(1)).map(|_| Crossing::new(from, to)).collect::<Option<Vec<_>>>()?;
    let (mut times, mut allocated) = (Vec::new(), 0);
    for (second, batch) in packets.chunks(PACKETS_A_SECOND).enumerate() {
        for call in &mut calls {
            let (before, start) = (allocations::count(), Instant::now());
            call.pass(second * PACKETS_A_SECOND, batch);
            if second >= WARM_S {
                times.push(start.elapsed().as_secs_f64() * 1e6 / batch.len() as f64);
                allocated += allocations::count() - before;
            }
        }
    }
    times.sort_by(f64::total_cmp);
    Some((*times.get(times.len() / 2)?, allocated as f64 / (times.len() * PACKETS_A_SECOND) as f64))
}
