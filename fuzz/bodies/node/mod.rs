//! Programs of events against the whole node: datagrams of known peers and of strangers, sound, damaged and repeated, and what relay,
//! DNS, network, clock and operator may do in between, restarts included. Nothing panics; each message that goes out can be read;
//! the relay is told nothing about ports that are not open; and when everybody falls silent nothing is left.

mod bench;
mod peers;

use super::program::Program;
use bench::Bench;
use ringfort_base::{Hop, PortId, SourceNet};
use ringfort_call::Input;
use ringfort_call::overload::Load;
use ringfort_media::plan::{Component, PortCounters, RelayEvent};
use ringfort_sip::locate::{Answer, Data, Kind};
use std::time::Duration;

/// What may pass between two events, milliseconds.
const PAUSES: [u64; 9] = [1, 20, 200, 500, 2_000, 5_000, 33_000, 95_000, 1_300_000];

/// Runs a program.
pub fn node(octets: &[u8]) {
    let mut program = Program::new(octets);
    let mut bench = Bench::new(program.octet());
    while !program.is_over() {
        step(&mut bench, &mut program);
    }
    bench.rest();
}

fn step(bench: &mut Bench, program: &mut Program<'_>) {
    match program.octet() % 18 {
        0..=2 => {
            let said = bench.peers.request(program);
            bench.say(said);
        }
        3..=6 => {
            if let Some(said) = bench.peers.response(program) {
                bench.say(said);
            }
        }
        7..=9 => {
            if let Some(said) = bench.peers.within(program) {
                bench.say(said);
            }
        }
        10 | 11 => bench.pass(Duration::from_millis(program.one(&PAUSES))),
        12 => relayed(bench, program),
        13 => trouble(bench, program),
        14 => operator(bench, program),
        15 => {
            let said = bench.peers.damaged(program);
            bench.say(said);
        }
        16 => {
            let said = bench.peers.noise(program);
            bench.say(said);
        }
        _ => answer(bench, program),
    }
}

/// The relay tells something about a port that is open.
fn relayed(bench: &mut Bench, program: &mut Program<'_>) {
    let ports: Vec<PortId> = bench.open().collect();
    let Some(place) = program.place(ports.len()) else { return };
    let (port, source) = (ports[place], program.one(&peers::MEDIA).parse().expect("a constant address"));
    let component = program.one(&[Component::Rtp, Component::Rtcp]);
    let event = match program.octet() % 4 {
        0 => RelayEvent::Latched { port, component, source },
        1 => {
            let rtp_in = u64::from(program.octet());
            RelayEvent::Counters { port, counters: Box::new(PortCounters { rtp_in, ..Default::default() }), last: false }
        }
        2 => {
            let len = usize::from(program.octet());
            RelayEvent::Control { port, from: source, datagram: (0..len).map(|_| program.octet()).collect() }
        }
        _ => RelayEvent::OpenFailed { port, error: "address in use".into() },
    };
    if matches!(event, RelayEvent::OpenFailed { .. }) {
        bench.failed(port);
    }
    bench.input(Input::Relay(event));
}

/// The network fails, or the driver is far behind.
fn trouble(bench: &mut Bench, program: &mut Program<'_>) {
    let hop: Hop = program.one(&bench.peers.hops());
    match (program.octet() % 4, hop.flow) {
        (0, _) => bench.input(Input::SendFailed(hop)),
        (1, Some(flow)) => bench.input(Input::FlowClosed(flow)),
        (2, Some(flow)) => bench.input(Input::Proved { flow, names: vec!["carrier.test".into()] }),
        _ => {
            let lag = Duration::from_millis(u64::from(program.octet()) * 8);
            bench.input(Input::Load(Load { queued: usize::from(program.octet()), lag }));
        }
    }
}

/// The operator: another configuration, an end to a call, a ban lifted, the power switch.
fn operator(bench: &mut Bench, program: &mut Program<'_>) {
    match program.octet() % 4 {
        0 => bench.reload(program.octet()),
        1 => {
            let calls = bench.calls();
            if let Some(place) = program.place(calls.len()) {
                bench.input(Input::HangUp(calls[place]));
            }
        }
        2 => bench.input(Input::Unban(SourceNet::of(program.one(&bench.peers.hops()).remote.ip()))),
        _ => bench.restart(),
    }
}

/// The DNS answers a question.
fn answer(bench: &mut Bench, program: &mut Program<'_>) {
    let Some(question) = bench.question() else { return };
    let priority = u16::from(program.octet());
    let data = match question.kind {
        Kind::Srv => Data::Srv { priority, weight: 1, port: 5060, target: "one.carrier.test".into() },
        _ => Data::Address(bench.peers.carrier()),
    };
    let answer = match program.octet() % 3 {
        0 => Answer::Failed,
        1 => Answer::Absent { ttl_s: 60 },
        _ => Answer::Found { records: vec![data], ttl_s: 60 },
    };
    bench.input(Input::Resolved { question, answer });
}
