//! `ringfort-bench call`: what one call costs in the core, from the INVITE to the record, between two trunks over UDP. Messages of
//! the peers are made and parsed outside the measured time; sockets, the relay and the journal's file are not in it.

use crate::allocations;
use crate::instructions::counted;
use crate::report::{Report, Row, Table};
use bytes::Bytes;
use ringfort_call::trial::{self, Gauge, Trial};
use ringfort_sip::Message;
use std::io;
use std::time::{Duration, Instant};

/// How much to measure.
#[derive(clap::Args)]
pub struct Options {
    /// Calls for each row
    #[arg(long, default_value_t = Options::default().calls)]
    calls: usize,
    /// Calls a second of virtual time: so many transactions linger
    #[arg(long, default_value_t = Options::default().rate)]
    rate: u64,
}

impl Default for Options {
    fn default() -> Options {
        Options { calls: 20_000, rate: 200 }
    }
}

/// Measures and reports.
pub fn run(options: &Options) -> io::Result<Report> {
    let mut report = Report::new("call", "What one call through the B2BUA costs, and its parts.");
    let mut trial = begin(options.rate)?;
    let warm_up = (options.calls / 10).max(100);
    for _ in 0..warm_up {
        call(&mut trial)?;
    }
    let mut times = Vec::with_capacity(options.calls);
    let (mut allocated, mut sent) = (0, 0);
    for _ in 0..options.calls {
        let cost = call(&mut trial)?;
        times.push(cost.spent.as_nanos() as f64 / 1000.0);
        (allocated, sent) = (allocated + cost.allocations, sent + cost.messages_out);
    }
    times.sort_by(f64::total_cmp);
    let calls = options.calls as f64;
    let mean = times.iter().sum::<f64>() / calls;
    let values = vec![times[times.len() / 2], mean, times[0], allocated as f64 / calls, sent as f64 / calls];
    report.tables.push(Table {
        title: "Core, trunk to trunk over UDP, plain RTP".into(),
        method: format!(
            "INVITE, 180, 200, ACK, BYE and 200 on both legs, two media ports, one journal entry, one record; {} calls one after \
             another, {} a second of virtual time, so that the transactions of the last 32 s linger.",
            options.calls, options.rate
        ),
        columns: ["µs a call, median", "mean", "best", "allocations a call", "messages sent"].map(String::from).to_vec(),
        rows: vec![Row { case: "INVITE to BYE".into(), values }],
    });
    report.tables.push(parts());
    report.not_measured = [
        "sockets, TLS and WebSocket, the relay's work and the journal's file",
        "WebRTC legs: ICE and the DTLS handshake",
        "other products side by side",
    ]
    .map(String::from)
    .to_vec();
    Ok(report)
}

/// Cost of one message's parsing and screening.
fn parts() -> Table {
    let invite = Bytes::from(trial::invite(1));
    let message = Message::parse(invite.clone());
    let mut rows = vec![time("parse an INVITE", || drop(Message::parse(invite.clone())))];
    if let Ok(message) = message {
        rows.push(time("screen it", || drop(ringfort_sip::screen::screen(&message))));
        rows.push(time("its SDP", || drop(ringfort_media::sdp::Sdp::parse(message.body()))));
    }
    Table {
        title: "Parts".into(),
        method: format!("One {}-octet INVITE; median over batches of 1,000.", invite.len()),
        columns: ["ns, median", "best batch", "allocations"].map(String::from).to_vec(),
        rows,
    }
}

fn time(case: &str, mut work: impl FnMut()) -> Row {
    const BATCH: u32 = 1_000;
    let before = allocations::count();
    work();
    let allocated = (allocations::count() - before) as f64;
    let mut times: Vec<f64> = (0..100)
        .map(|_| {
            let start = Instant::now();
            (0..BATCH).for_each(|_| work());
            start.elapsed().as_nanos() as f64 / f64::from(BATCH)
        })
        .collect();
    times.sort_by(f64::total_cmp);
    Row { case: case.into(), values: vec![times[times.len() / 2], times[0], allocated] }
}

/// What one call cost.
#[derive(Default)]
pub struct Cost {
    spent: Duration,
    allocations: u64,
    messages_out: usize,
}

impl Gauge for Cost {
    fn spend<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let (start, before) = (Instant::now(), allocations::count());
        let done = counted(work);
        self.spent += start.elapsed();
        self.allocations += allocations::count() - before;
        done
    }

    fn sent(&mut self, messages: usize) {
        self.messages_out += messages;
    }
}

/// A node between two trunks, with `rate` calls a second of virtual time.
pub fn begin(rate: u64) -> io::Result<Trial> {
    Trial::new(rate).ok_or_else(|| io::Error::other("the trial's configuration is not taken"))
}

/// One whole call.
pub fn call(trial: &mut Trial) -> io::Result<Cost> {
    let mut cost = Cost::default();
    trial.call(&mut cost).ok_or_else(|| io::Error::other("a call did not come about"))?;
    Ok(cost)
}

/// A request outside any call.
pub fn outside(method: &str, number: u64) -> String {
    format!(
        "{method} sip:192.0.2.9:5060 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKo{number}\r\nMax-Forwards: 70\r\n\
         From: <sip:4711@192.0.2.1>;tag=o{number}\r\nTo: <sip:192.0.2.9>\r\nCall-ID: o{number}@192.0.2.1\r\n\
         CSeq: 1 {method}\r\nContent-Length: 0\r\n\r\n"
    )
}
