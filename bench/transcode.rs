//! `ringfort-bench transcode`: what a packet costs that is decoded and encoded anew, and how many calls a core carries.

use crate::allocations;
use crate::report::{Report, Row, Table};
use ringfort_base::Time;
use ringfort_base::entropy::Seeded;
use ringfort_media::audio::{Codec, Ear, Heard, Hearing, Mouth, Speaking};
use std::hint::black_box;
use std::io;
use std::time::Instant;

/// Audio of one packet.
const PACKET_MS: u32 = 20;
/// Packets of one stream that are measured at a time: a second.
const BATCH: usize = 50;

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
             thread; {} calls in turn, median over batches of {BATCH} packets of a call. Opus comes as browsers send it (48 kHz, 32 kbit/s) \
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
    let packets = packets(from, options.seconds.max(3))?;
    let mut calls = (0..options.calls.max(1)).map(|_| Call::new(from, to)).collect::<Option<Vec<_>>>()?;
    let (mut times, mut allocated) = (Vec::new(), 0);
    for (second, batch) in packets.chunks(BATCH).enumerate() {
        for call in &mut calls {
            let (before, start) = (allocations::count(), Instant::now());
            call.pass(second * BATCH, batch);
            // The jitter buffer has room for 64 packets: two seconds warm up.
            if second > 1 {
                times.push(start.elapsed().as_secs_f64() * 1e6 / batch.len() as f64);
                allocated += allocations::count() - before;
            }
        }
    }
    times.sort_by(f64::total_cmp);
    Some((*times.get(times.len() / 2)?, allocated as f64 / (times.len() * BATCH) as f64))
}

struct Call {
    ear: Ear,
    mouth: Mouth,
    pcm: Vec<i16>,
}

fn payload(codec: Codec) -> u8 {
    codec.static_payload().unwrap_or(111)
}

fn mouth(codec: Codec, source_hz: u32) -> Option<Mouth> {
    let ptime_ms = PACKET_MS;
    let speaking = Speaking { payload: payload(codec), codec, source_hz, ptime_ms, events: None, comfort_noise: None, ssrc: 1 };
    Mouth::new(&speaking, &mut Seeded::new(1))
}

impl Call {
    fn new(from: Codec, to: Codec) -> Option<Call> {
        let ear = Ear::new(&Hearing { payloads: vec![(payload(from), Heard::Speech(from))], in_band: false });
        let mouth = mouth(to, from.rate_hz())?;
        let pcm = vec![0; (mouth.rate_hz() / 1_000 * PACKET_MS) as usize];
        Some(Call { ear, mouth, pcm })
    }

    fn pass(&mut self, first: usize, packets: &[Vec<u8>]) {
        let mut out = [0; 1_500];
        for (n, packet) in packets.iter().enumerate() {
            let now = Time::from_millis((first + n) as u64 * u64::from(PACKET_MS));
            self.ear.receive(now, packet);
            self.ear.play(now, self.mouth.rate_hz(), &mut self.pcm);
            black_box(self.mouth.speak(now, &self.pcm, &mut out));
        }
    }
}

/// What a peer sends: a gliding voice with overtones that swells and ebbs, and a little breath.
pub fn packets(codec: Codec, seconds: usize) -> Option<Vec<Vec<u8>>> {
    let mut mouth = mouth(codec, codec.rate_hz())?;
    let rate = mouth.rate_hz() as usize;
    let (mut random, mut phase) = (Seeded::new(3), 0.0f64);
    let sample = |n: usize| {
        let t = n as f64 / rate as f64;
        phase += std::f64::consts::TAU * (130.0 + 30.0 * (5.7 * t).sin()) / rate as f64;
        let part = |(overtone, level): (f64, f64)| (phase * overtone).sin() * level;
        let voice: f64 = [(1.0, 1.0), (2.0, 0.8), (4.0, 0.5), (7.0, 0.35), (11.0, 0.2), (20.0, 0.1)].map(part).iter().sum();
        (voice * (7.2 * t).sin().powi(2) * 4_000.0 + random.below(200) as f64 - 100.0) as i16
    };
    let pcm: Vec<i16> = (0..rate * seconds).map(sample).collect();
    let packet = |(n, pcm): (usize, &[i16])| {
        let mut out = vec![0; 1_500];
        let len = mouth.speak(Time::from_millis(n as u64 * u64::from(PACKET_MS)), pcm, &mut out)?;
        out.truncate(len);
        Some(out)
    };
    pcm.chunks(rate / 1_000 * PACKET_MS as usize).enumerate().map(packet).collect()
}
