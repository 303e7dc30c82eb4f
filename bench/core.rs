//! The relay's path without sockets: nanoseconds for a packet from a buffer to the same buffer.

use crate::media::{BUFFER, CASES, Case, PACKET, Stream, plan};
use crate::report::{Row, Table};
use crate::{allocations, media};
use ringfort_base::{PortId, Time};
use ringfort_media::plan::Component;
use ringfort_relay::Flows;
use ringfort_relay::frame::{self, Addressing};
use ringfort_relay::path::{Arrival, Slot, Step};
use std::hint::black_box;
use std::net::SocketAddr;
use std::time::Instant;

/// Packets between two looks at the clock. Their buffers stay in the second-level cache.
const BATCH: usize = 256;

/// Measures all cases with `streams` calls in the table and `packets` packets each.
pub fn run(streams: usize, packets: usize) -> Table {
    let mut rows: Vec<Row> = CASES.iter().map(|case| row(case, streams, packets)).collect();
    rows.push(frames(packets));
    Table {
        title: "Relay core without sockets".into(),
        method: format!(
            "Classify, judge source, unprotect, find the exit, protect: {PACKET}-octet RTP packets of {streams} calls in turn, \
             in memory, on one thread. Median over batches of {BATCH} packets; the packets are made outside the measured time."
        ),
        columns: vec!["ns a packet".into(), "best batch, ns".into(), "allocations a packet".into()],
        rows,
    }
}

fn row(case: &Case, streams: usize, packets: usize) -> Row {
    let mut world = World::new(case, streams);
    world.batch(case);
    let mut times = Vec::with_capacity(packets / BATCH + 1);
    let mut allocated = 0;
    for _ in 0..(packets / BATCH).max(1) {
        world.fill();
        let before = allocations::count();
        times.push(world.batch(case));
        allocated += allocations::count() - before;
    }
    let measured = (times.len() * BATCH) as f64;
    let (median, best) = median_and_best(&mut times);
    Row { case: case.name.into(), values: vec![median, best, allocated as f64 / measured] }
}

/// Sorts.
fn median_and_best(times: &mut [f64]) -> (f64, f64) {
    times.sort_by(f64::total_cmp);
    (times[times.len() / 2], times[0])
}

struct World {
    flows: Flows,
    streams: Vec<(Slot, Stream)>,
    buffers: Vec<[u8; BUFFER]>,
    arrivals: Vec<Arrival>,
    next: usize,
}

impl World {
    fn new(case: &Case, streams: usize) -> World {
        let mut flows = Flows::new();
        let (caller, callee) = (peer(1), peer(2));
        let streams = (0..streams)
            .filter_map(|n| {
                let (a, b) = (PortId(2 * n as u64), PortId(2 * n as u64 + 1));
                let slot = flows.open(a, false)?;
                flows.open(b, false)?;
                flows.plan(Time::ZERO, a, plan(caller, case.from, b));
                flows.plan(Time::ZERO, b, plan(callee, case.to, a));
                Some((slot, Stream::new(n, case.from)))
            })
            .collect();
        let mut world = World { flows, streams, buffers: vec![[0; BUFFER]; BATCH], arrivals: Vec::with_capacity(BATCH), next: 0 };
        world.fill();
        world
    }

    /// Makes the packets of the next batch.
    fn fill(&mut self) {
        self.arrivals.clear();
        for buffer in &mut self.buffers {
            let place = self.next % self.streams.len();
            let (slot, stream) = &mut self.streams[place];
            let len = stream.next(buffer);
            self.arrivals.push(Arrival { slot: *slot, component: Component::Rtp, from: peer(1), len });
            self.next += 1;
        }
    }

    /// Relays the batch; nanoseconds a packet.
    fn batch(&mut self, case: &Case) -> f64 {
        let begin = Instant::now();
        let mut sent = 0;
        for (arrival, buffer) in self.arrivals.iter().zip(&mut self.buffers) {
            if let Step::Send(departure) = self.flows.relay(Time::ZERO, *arrival, buffer).step {
                self.flows.sent(black_box(&departure), true);
                sent += 1;
            }
        }
        let elapsed = begin.elapsed();
        assert_eq!(sent, BATCH, "{}: every packet leaves", case.name);
        elapsed.as_nanos() as f64 / BATCH as f64
    }
}

fn peer(n: u8) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, n], 5004))
}

/// What a tier below sockets adds for headers: read and check a frame, write its headers anew.
fn frames(packets: usize) -> Row {
    let (source, destination) = (peer(1), peer(2));
    let addressing =
        Addressing { source_mac: [2, 0, 0, 0, 0, 1], destination_mac: [2, 0, 0, 0, 0, 2], source, destination, dscp: 46, ecn: 0 };
    let mut buffer = [0u8; media::BUFFER];
    let len = frame::write(&mut buffer, &addressing, PACKET).unwrap_or(0);
    let before = allocations::count();
    let mut times = Vec::with_capacity(packets / BATCH + 1);
    let own = allocations::count() - before;
    for _ in 0..(packets / BATCH).max(1) {
        let begin = Instant::now();
        for _ in 0..BATCH {
            let parsed = frame::parse(black_box(&buffer[..len]));
            assert!(parsed.is_ok_and(|parsed| parsed.payload.len() == PACKET));
            let _ = black_box(frame::write(&mut buffer, &addressing, PACKET));
        }
        times.push(begin.elapsed().as_nanos() as f64 / BATCH as f64);
    }
    let allocated = (allocations::count() - before - own) as f64 / (times.len() * BATCH) as f64;
    let (median, best) = median_and_best(&mut times);
    Row { case: "Ethernet, IPv4, UDP headers (smoltcp): check, write anew".into(), values: vec![median, best, allocated] }
}
