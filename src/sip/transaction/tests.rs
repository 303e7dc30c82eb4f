//! The tables themselves: they are the page in `docs/`, they make sense, and the engine does what each row says.

use super::engine::Input;
use super::store::{Side, Transaction};
use super::table::{Action, Event, Machine, Row, State};
use super::timers::{FORMULAS, Length, Timer, Timers};
use super::{Step, TransactionId, Transactions, document};
use crate::message::Message;
use bytes::Bytes;
use ringfort_base::entropy::Seeded;
use ringfort_base::{Hop, Time, Transport};
use std::collections::HashSet;

#[test]
fn the_document_is_printed_from_the_tables() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/transactions.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, document()).expect("docs/ can be written");
    }
    let written = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        written == document(),
        "docs/transactions.md differs from the tables: UPDATE_DOCS=1 cargo test -p ringfort-sip writes it anew"
    );
}

fn all_rows() -> impl Iterator<Item = (Machine, &'static Row)> {
    Machine::ALL.into_iter().flat_map(|machine| machine.rows().iter().map(move |row| (machine, row)))
}

fn all_events() -> Vec<Event> {
    let events: HashSet<Event> = all_rows().map(|(_, row)| row.event).collect();
    events.into_iter().chain(FORMULAS.iter().map(|formula| Event::Fired(formula.timer))).collect()
}

fn states(machine: Machine) -> HashSet<State> {
    machine.rows().iter().flat_map(|row| [row.state, row.next]).collect()
}

#[test]
fn no_pair_has_two_rows() {
    let mut seen = HashSet::new();
    for (machine, row) in all_rows() {
        assert!(seen.insert((machine, row.state, row.event)), "{machine}: {} on {}", row.state, row.event);
    }
}

#[test]
fn what_is_sent_stands_before_the_timers_that_guard_it() {
    let sends = |action: &Action| {
        matches!(action, Action::SendRequest | Action::SendAck | Action::SendCancel | Action::SendResponse | Action::Resend)
    };
    let starts = |action: &Action| matches!(action, Action::Start(_) | Action::StartSlow(_));
    for (machine, row) in all_rows() {
        let first_start = row.actions.iter().position(starts).unwrap_or(usize::MAX);
        assert!(row.actions.iter().rposition(sends).is_none_or(|last| last < first_start), "{machine}: {row:?}");
    }
}

#[test]
fn every_state_is_reached_and_can_end() {
    for machine in Machine::ALL {
        let reach = |from: State| {
            let mut reached = HashSet::from([from]);
            while let Some(row) = machine.rows().iter().find(|row| reached.contains(&row.state) && !reached.contains(&row.next)) {
                reached.insert(row.next);
            }
            reached
        };
        assert_eq!(reach(State::New), states(machine), "{machine}");
        for state in states(machine) {
            assert!(reach(state).contains(&State::Terminated), "{machine} is caught in {state}");
        }
        assert!(machine.rows().iter().all(|row| row.state != State::Terminated), "{machine} lives on after its end");
    }
}

/// Timers that may run in a state: started by a row that leads there, or brought along without being stopped.
fn running(machine: Machine) -> HashSet<(State, Timer)> {
    let mut running = HashSet::new();
    loop {
        let before = running.len();
        for row in machine.rows() {
            let stopped = |timer: &Timer| row.actions.contains(&Action::Stop(*timer)) || row.event == Event::Fired(*timer);
            let brought: Vec<Timer> =
                running.iter().filter(|(state, timer)| *state == row.state && !stopped(timer)).map(|(_, timer)| *timer).collect();
            let started = row.actions.iter().filter_map(|action| match action {
                Action::Start(timer) | Action::StartSlow(timer) => Some(*timer),
                _ => None,
            });
            running.extend(brought.into_iter().chain(started).map(|timer| (row.next, timer)));
        }
        running.retain(|(state, _)| *state != State::Terminated);
        if running.len() == before {
            return running;
        }
    }
}

#[test]
fn every_timer_that_runs_has_a_row_and_every_row_a_timer_that_runs() {
    for machine in Machine::ALL {
        let running = running(machine);
        for (state, timer) in &running {
            assert!(machine.row(*state, Event::Fired(*timer)).is_some(), "{machine}: {timer} fires in vain in {state}");
        }
        for row in machine.rows() {
            if let Event::Fired(timer) = row.event {
                assert!(running.contains(&(row.state, timer)), "{machine}: {timer} never runs in {}", row.state);
            }
        }
        for state in states(machine) {
            let count = running.iter().filter(|(s, _)| *s == state).count();
            assert!(count <= 3, "{machine}: {count} timers at once in {state}, Armed holds three");
        }
    }
}

/// States that may last as long as the TU likes; every other one ends by itself, on any transport.
#[test]
fn only_the_tu_may_keep_a_transaction_waiting() {
    let patient = [
        (Machine::InviteClient, State::Proceeding),
        (Machine::InviteServer, State::Proceeding),
        (Machine::Server, State::Trying),
        (Machine::Server, State::Proceeding),
    ];
    for machine in Machine::ALL {
        for state in states(machine) {
            let waits = matches!(state, State::New | State::Terminated) || patient.contains(&(machine, state));
            let ends = running(machine).iter().any(|(s, timer)| *s == state && timer.formula().reliable != Length::Off);
            assert!(waits || ends, "{machine} waits forever in {state}");
        }
    }
}

const INVITE: &str = "INVITE sip:b@h SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKx\r\nMax-Forwards: 70\r\n\
    From: <sip:a@h>;tag=1\r\nTo: <sip:b@h>\r\nCall-ID: c\r\nCSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n";

fn message(text: &str) -> Message {
    Message::parse(Bytes::from(text.to_owned())).expect("a message")
}

fn response(status: u16) -> Message {
    let to = if status == 100 { "<sip:b@h>" } else { "<sip:b@h>;tag=2" };
    message(
        &INVITE.replace("INVITE sip:b@h SIP/2.0", &format!("SIP/2.0 {status} X")).replace("To: <sip:b@h>", &format!("To: {to}")),
    )
}

fn hop() -> Hop {
    Hop::to(Transport::Udp, "192.0.2.1:5060".parse().expect("an address"))
}

/// A layer with one transaction put into a state by force, its timers running as they would.
fn placed(machine: Machine, state: State) -> (Transactions, TransactionId) {
    let mut layer = Transactions::new(Timers::default(), &mut Seeded::new(1));
    let request = Bytes::from_static(INVITE.as_bytes());
    let side = if machine.is_client() {
        Side::Client(super::client::Client { request, ..Default::default() })
    } else {
        Side::Server(super::server::Server { response: response(180).octets().clone(), ..Default::default() })
    };
    let mut transaction = Transaction::new(machine, hop(), false, side);
    transaction.state = state;
    let id = layer.store.insert(b"key", transaction);
    for (_, timer) in running(machine).into_iter().filter(|(s, _)| *s == state) {
        let sequence = layer.queue.push(Time::from_millis(1), id, timer);
        layer.store.find_mut(id).expect("placed").armed.start(timer, sequence);
    }
    (layer, id)
}

fn happens(layer: &mut Transactions, id: TransactionId, event: Event) -> bool {
    let received = |message: Message| Input::Received(hop(), message);
    let ours = |status| Input::Ours(response(status).octets().clone());
    let input = match event {
        Event::Begin | Event::Ack => received(message(INVITE)),
        Event::Provisional => received(response(180)),
        Event::Success => received(response(200)),
        Event::Failure => received(response(404)),
        Event::RespondProvisional => ours(180),
        Event::RespondSuccess => ours(200),
        Event::RespondFailure => ours(404),
        Event::Cancel => Input::Ours(Bytes::from(INVITE.replace("INVITE", "CANCEL"))),
        Event::Repeat | Event::AckSeen | Event::FlowLost | Event::Fired(_) => Input::Nothing,
    };
    if let (Event::Fired(timer), Some(transaction)) = (event, layer.store.find_mut(id)) {
        transaction.armed.stop(timer);
    }
    layer.apply(Time::from_millis(1), id, event, input)
}

/// What a step is called in a table; `None` for the end, which the next state tells.
fn name(step: &Step) -> Option<String> {
    Some(match step {
        Step::Send { octets, .. } => {
            let line = std::str::from_utf8(octets).expect("text").split("\r\n").next().unwrap_or_default();
            line.split(' ').take(if line.starts_with("SIP") { 2 } else { 1 }).collect::<Vec<_>>().join(" ")
        }
        Step::Request { .. } => "request to TU".into(),
        Step::Ack { .. } => "ACK to TU".into(),
        Step::Response { .. } => "response to TU".into(),
        Step::Failed { cause, .. } => format!("{cause:?}"),
        Step::NoAck { .. } => "no ACK, to TU".into(),
        Step::Ended { .. } => return None,
        Step::Cancel { .. } | Step::StrayResponse { .. } => "unexpected".into(),
    })
}

/// What a row's actions promise to the outside.
fn promised(row: &Row, machine: Machine) -> Vec<String> {
    let answered = match row.event {
        Event::RespondSuccess => "SIP/2.0 200",
        Event::RespondFailure => "SIP/2.0 404",
        _ => "SIP/2.0 180",
    };
    let promise = |action: &Action| match action {
        Action::SendRequest => Some("INVITE"),
        Action::SendAck => Some("ACK"),
        Action::SendCancel => Some("CANCEL"),
        Action::SendResponse | Action::Resend => Some(answered),
        // `placed` gave the server a response already, so the 100 is not sent any more; see the dialogue tests.
        Action::SendTrying | Action::HoldCancel | Action::ReleaseCancel => None,
        Action::Start(_) | Action::StartSlow(_) | Action::Stop(_) => None,
        Action::TellRequest => Some("request to TU"),
        Action::TellAck => Some("ACK to TU"),
        Action::TellResponse => Some("response to TU"),
        Action::FailTimeout => Some("Timeout"),
        Action::FailCancelled => Some("CancelTimeout"),
        Action::FailTransport => Some("Transport"),
        Action::TellNoAck => Some("no ACK, to TU"),
    };
    debug_assert!(machine.rows().iter().any(|r| std::ptr::eq(r, row)));
    row.actions.iter().filter_map(promise).map(str::to_owned).collect()
}

#[test]
fn the_engine_does_what_each_row_says() {
    for (machine, row) in all_rows() {
        let (mut layer, id) = placed(machine, row.state);
        assert!(happens(&mut layer, id, row.event), "{machine}: {row:?}");
        let after = layer.state(id).map_or(State::Terminated, |(_, state)| state);
        assert_eq!(after, row.next, "{machine}: {row:?}");
        for action in row.actions {
            let armed = |timer: &Timer| layer.store.find(id).is_some_and(|t| t.armed.runs(*timer));
            match action {
                Action::Start(timer) | Action::StartSlow(timer) => assert!(armed(timer), "{machine}: {row:?}"),
                Action::Stop(timer) => assert!(!armed(timer), "{machine}: {row:?}"),
                _ => {}
            }
        }
        let done: Vec<String> = std::iter::from_fn(|| layer.poll_step()).filter_map(|step| name(&step)).collect();
        assert_eq!(done, promised(row, machine), "{machine}: {row:?}");
        assert!(layer.store.is_consistent());
    }
}

#[test]
fn the_engine_ignores_what_no_row_names() {
    let mut ignored = 0;
    for machine in Machine::ALL {
        for state in states(machine).into_iter().filter(|state| *state != State::Terminated) {
            for event in all_events().into_iter().filter(|event| machine.row(state, *event).is_none()) {
                let (mut layer, id) = placed(machine, state);
                assert!(!happens(&mut layer, id, event));
                assert_eq!(layer.state(id), Some((machine, state)));
                assert!(layer.poll_step().is_none());
                ignored += 1;
            }
        }
    }
    assert!(ignored > 100);
}

#[test]
fn what_transactions_remember_is_weighed_and_bounded() {
    let mut layer = Transactions::new(Timers::default(), &mut Seeded::new(1));
    layer.octets_max = 1 << 20;
    let branch = "x".repeat(30_000);
    let mut count = 0;
    loop {
        let text = INVITE.replace("z9hG4bKx", &format!("z9hG4bK{count}{branch}"));
        layer.receive(Time::ZERO, hop(), message(&text));
        let Some(Step::Request { id, message, .. }) = layer.poll_step() else { break };
        let reply = crate::message::Builder::reply(&message, 486, None, Some("t")).build();
        layer.respond(Time::ZERO, id, reply).expect("possible");
        while layer.poll_step().is_some() {}
        count += 1;
    }
    assert_eq!((layer.counters().refused_full, layer.len()), (1, count));
    assert!((1 << 20..(1 << 20) + 70_000).contains(&layer.store.octets()));
    assert!(layer.store.is_consistent());
    while layer.next_timeout() != Time::NEVER {
        layer.handle_timeout(layer.next_timeout());
        while layer.poll_step().is_some() {}
    }
    assert_eq!((layer.len(), layer.store.octets()), (0, 0));
}

#[test]
fn a_transaction_is_small() {
    assert!(size_of::<Transaction>() <= 392, "{}", size_of::<Transaction>());
}
