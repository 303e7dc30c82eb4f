//! Two sides and a wire that loses, doubles, delays and reorders by a seed. Thousands of exchanges; whatever the wire does:
//!
//! - a request reaches the TU of the other side at most once, and exactly once if it was answered;
//! - a request of ours has exactly one outcome, final responses or a failure, and ends exactly once, after everything else;
//! - an ACK is answered by nothing;
//! - in the end both tables are empty and no timer runs.

use crate::bench::message;
use bytes::Bytes;
use ringfort_base::entropy::Seeded;
use ringfort_base::{FlowId, Hop, Time, Transport};
use ringfort_sip::transaction::{Step, Timers, TransactionId, Transactions};
use ringfort_sip::{Builder, HeaderName, Message, Method};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap};
use std::time::Duration;

#[derive(Clone, Copy, Debug)]
struct Wire {
    transport: Transport,
    loss_per_mille: u64,
    double_per_mille: u64,
    delay_ms_max: u64,
}

const SOUND: Wire = Wire { transport: Transport::Udp, loss_per_mille: 0, double_per_mille: 0, delay_ms_max: 20 };
const STREAM: Wire = Wire { transport: Transport::Tcp, ..SOUND };
const ROUGH: Wire = Wire { loss_per_mille: 100, double_per_mille: 200, delay_ms_max: 800, ..SOUND };
/// The last repeat of a request is sent 500 ms before timer J of a server that answered at once may end. A wire that delays more
/// than that can deliver a request twice by the RFC's own numbers.
const AWFUL: Wire = Wire { loss_per_mille: 600, double_per_mille: 300, delay_ms_max: 450, ..SOUND };
const DEAD: Wire = Wire { loss_per_mille: 1000, ..SOUND };

/// What happens at a time.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Deed {
    ArrivesAtCaller(Bytes),
    ArrivesAtCallee(Bytes),
    Calls(u64),
    Cancels(TransactionId),
    Answers(TransactionId, u16),
}

/// What became of a request of the caller's.
#[derive(Debug, Default)]
struct Outcome {
    invite: bool,
    finals: Vec<u16>,
    failures: u32,
    ends: u32,
}

impl Outcome {
    fn is_settled(&self) -> bool {
        !self.finals.is_empty() || self.failures > 0
    }
}

struct World {
    wire: Wire,
    dice: Seeded,
    now: Time,
    deeds: BinaryHeap<Reverse<(Time, u64, Deed)>>,
    order: u64,
    caller: Transactions,
    callee: Transactions,
    calls: HashMap<TransactionId, (u64, Outcome)>,
    /// By number of the call: how often its request came to the callee's TU.
    delivered: BTreeMap<u64, u32>,
    served: HashMap<TransactionId, Message>,
    ended: u32,
    unacknowledged: u32,
}

impl World {
    fn new(wire: Wire, seed: u64) -> World {
        let mut dice = Seeded::new(seed);
        World {
            wire,
            caller: Transactions::new(Timers::default(), &mut dice),
            callee: Transactions::new(Timers::default(), &mut dice),
            dice,
            now: Time::ZERO,
            deeds: BinaryHeap::new(),
            order: 0,
            calls: HashMap::new(),
            delivered: BTreeMap::new(),
            served: HashMap::new(),
            ended: 0,
            unacknowledged: 0,
        }
    }

    /// Runs `count` exchanges, some at the same time, until nothing is left to happen.
    fn run(wire: Wire, seed: u64, count: u64) -> World {
        let mut world = World::new(wire, seed);
        for n in 0..count {
            let at = world.dice.below(count * 20);
            world.plan(at, Deed::Calls(n));
        }
        while world.turn() {}
        world
    }

    fn plan(&mut self, after_ms: u64, deed: Deed) {
        self.order += 1;
        self.deeds.push(Reverse((self.now + Duration::from_millis(after_ms), self.order, deed)));
    }

    fn hop(&self, host: u8) -> Hop {
        let remote = format!("192.0.2.{host}:5060").parse().expect("an address");
        Hop { flow: Some(FlowId(1)), ..Hop::to(self.wire.transport, remote) }
    }

    /// What comes next: a deed, or a timer of either side.
    fn turn(&mut self) -> bool {
        let deed_at = self.deeds.peek().map_or(Time::NEVER, |Reverse((at, _, _))| *at);
        let timer_at = self.caller.next_timeout().min(self.callee.next_timeout());
        if deed_at.min(timer_at) == Time::NEVER {
            return false;
        }
        self.now = self.now.max(deed_at.min(timer_at));
        if timer_at < deed_at {
            self.caller.handle_timeout(self.now);
            self.callee.handle_timeout(self.now);
        } else if let Some(Reverse((_, _, deed))) = self.deeds.pop() {
            self.perform(deed);
        }
        self.listen_to_caller();
        self.listen_to_callee();
        true
    }

    fn perform(&mut self, deed: Deed) {
        match deed {
            Deed::Calls(n) => self.call(n),
            Deed::Cancels(id) => drop(self.caller.cancel(self.now, id, &[])),
            Deed::Answers(id, status) => self.answer(id, status),
            Deed::ArrivesAtCaller(octets) => self.caller.receive(self.now, self.hop(2), parsed(&octets)),
            Deed::ArrivesAtCallee(octets) => self.arrive_at_callee(parsed(&octets)),
        }
    }

    fn arrive_at_callee(&mut self, received: Message) {
        let is_ack = received.method() == Method::Ack;
        self.callee.receive(self.now, self.hop(1), received);
        if !is_ack {
            return;
        }
        while let Some(step) = self.callee.poll_step() {
            assert!(!matches!(step, Step::Send { .. }), "an ACK is answered by nothing: {step:?}");
            self.callee_step(step);
        }
    }

    fn call(&mut self, n: u64) {
        let method = [Method::Invite, Method::Invite, Method::Options, Method::Bye][(n % 4) as usize].clone();
        let request = self.request(&method, n, &format!("z9hG4bKcall{n}"));
        let id = self.caller.request(self.now, self.hop(2), request).expect("room for all");
        self.calls.insert(id, (n, Outcome { invite: method == Method::Invite, ..Outcome::default() }));
        if method == Method::Invite {
            // One in four is cancelled early, and all that still ring after a minute.
            let early = self.dice.chance(250).then(|| self.dice.below(4_000));
            self.plan(early.unwrap_or(60_000), Deed::Cancels(id));
        }
    }

    fn request(&self, method: &Method, n: u64, branch: &str) -> Bytes {
        Builder::request(method, "sip:b@192.0.2.2")
            .via(self.wire.transport, "192.0.2.1:5060", branch, n.is_multiple_of(2))
            .header(HeaderName::MaxForwards, 70)
            .header(HeaderName::From, "<sip:a@192.0.2.1>;tag=a")
            .header(HeaderName::To, "<sip:b@192.0.2.2>")
            .header(HeaderName::CallId, n)
            .header(HeaderName::CSeq, format_args!("1 {method}"))
            .build()
    }

    /// The callee's TU: at once or later, with or without ringing, yes or no.
    fn serve(&mut self, id: TransactionId, request: Message) {
        *self.delivered.entry(number(&request)).or_default() += 1;
        self.served.insert(id, request);
        if self.dice.chance(500) {
            let after = self.dice.below(500);
            self.plan(after, Deed::Answers(id, 180));
        }
        let status = [200, 200, 302, 486, 503, 603][self.dice.below(6) as usize];
        match self.dice.below(3) {
            0 => self.answer(id, status),
            _ => {
                let after = self.dice.below(8_000);
                self.plan(after, Deed::Answers(id, status));
            }
        }
    }

    /// Refused by the layer when a final answer was given before; that is part of the game.
    fn answer(&mut self, id: TransactionId, status: u16) {
        let Some(request) = self.served.get(&id) else { return };
        let reply = Builder::reply(request, status, None, Some("b")).build();
        let _ = self.callee.respond(self.now, id, reply);
    }

    fn listen_to_callee(&mut self) {
        while let Some(step) = self.callee.poll_step() {
            self.callee_step(step);
        }
    }

    fn callee_step(&mut self, step: Step) {
        match step {
            Step::Send { octets, .. } => self.send(octets, Deed::ArrivesAtCaller),
            Step::Request { id, message, .. } => self.serve(id, message),
            Step::Cancel { invite, .. } => self.answer(invite, 487),
            Step::Ack { message, .. } => {
                let acked = self.served.iter().find(|(_, request)| number(request) == number(&message)).map(|(id, _)| *id);
                acked.into_iter().for_each(|id| self.callee.ack_received(self.now, id));
            }
            Step::NoAck { .. } => self.unacknowledged += 1,
            Step::Ended { id } => {
                assert!(self.served.remove(&id).is_some(), "ended twice, or never begun");
                self.ended += 1;
            }
            other => panic!("the callee sends no requests: {other:?}"),
        }
    }

    fn listen_to_caller(&mut self) {
        while let Some(step) = self.caller.poll_step() {
            match step {
                Step::Send { octets, .. } => self.send(octets, Deed::ArrivesAtCallee),
                Step::Response { id, message, .. } => self.hear(id, &message),
                Step::Failed { id, .. } => self.outcome(id).failures += 1,
                Step::Ended { id } => self.outcome(id).ends += 1,
                Step::StrayResponse { .. } => {}
                other => panic!("the caller serves no requests: {other:?}"),
            }
        }
    }

    fn outcome(&mut self, id: TransactionId) -> &mut Outcome {
        let (_, outcome) = self.calls.get_mut(&id).expect("an id that was given out");
        assert_eq!(outcome.ends, 0, "something comes after the end");
        outcome
    }

    fn hear(&mut self, id: TransactionId, response: &Message) {
        let status = response.status().expect("a response");
        let outcome = self.outcome(id);
        if status < 200 {
            assert!(!outcome.is_settled(), "a provisional response after a final one");
            return;
        }
        outcome.finals.push(status);
        if outcome.invite && status < 300 {
            let n = number(response);
            let ack = self.request(&Method::Ack, n, &format!("z9hG4bKack{n}"));
            self.send(ack, Deed::ArrivesAtCallee);
        }
    }

    fn send(&mut self, octets: Bytes, deed: fn(Bytes) -> Deed) {
        let copies = if self.dice.chance(self.wire.double_per_mille) { 2 } else { 1 };
        for _ in 0..copies {
            if self.dice.chance(self.wire.loss_per_mille) {
                continue;
            }
            let after = if self.wire.transport.is_reliable() { 20 } else { 1 + self.dice.below(self.wire.delay_ms_max) };
            self.plan(after, deed(octets.clone()));
        }
    }

    /// What holds on any wire. Returns how many exchanges had a final response.
    fn check(&self) -> usize {
        for (n, outcome) in self.calls.values() {
            let delivered = self.delivered.get(n).copied().unwrap_or_default();
            assert!(delivered <= 1, "request {n} was delivered {delivered} times");
            assert!(delivered == 1 || outcome.finals.is_empty(), "request {n} was answered and never delivered");
            assert_eq!(outcome.ends, 1, "request {n}: {outcome:?}");
            assert!(outcome.failures + u32::from(!outcome.finals.is_empty()) == 1, "request {n}: {outcome:?}");
            let repeated = outcome.invite && outcome.finals.iter().all(|status| *status == 200);
            assert!(repeated || outcome.finals.len() <= 1, "request {n}: {outcome:?}");
        }
        assert_eq!(self.ended as usize, self.delivered.len());
        assert!(self.served.is_empty());
        for side in [&self.caller, &self.callee] {
            assert_eq!((side.len(), side.next_timeout()), (0, Time::NEVER));
        }
        self.calls.values().filter(|(_, outcome)| !outcome.finals.is_empty()).count()
    }
}

fn parsed(octets: &Bytes) -> Message {
    message(std::str::from_utf8(octets).expect("text"))
}

fn number(message: &Message) -> u64 {
    message.call_id().expect("a Call-ID").parse().expect("a number")
}

#[test]
fn on_a_sound_wire_every_exchange_succeeds() {
    for wire in [SOUND, STREAM] {
        let world = World::run(wire, 1, 4_000);
        assert_eq!(world.check(), 4_000);
        assert_eq!((world.unacknowledged, world.caller.counters().timed_out), (0, 0));
    }
}

#[test]
fn on_a_rough_wire_nearly_every_exchange_succeeds() {
    for seed in 0..4 {
        let world = World::run(ROUGH, seed, 2_000);
        let answered = world.check();
        assert!(answered > 1_990, "seed {seed}: {answered} of 2,000");
    }
}

#[test]
fn on_an_awful_wire_everything_ends_nevertheless() {
    for seed in 0..4 {
        let world = World::run(AWFUL, seed, 2_000);
        let answered = world.check();
        assert!(answered > 1_000 && answered < 2_000, "seed {seed}: {answered} of 2,000");
        assert!(world.unacknowledged > 0);
    }
}

#[test]
fn on_a_dead_wire_everything_fails_once() {
    let world = World::run(DEAD, 1, 500);
    assert_eq!(world.check(), 0);
    assert_eq!(world.caller.counters().timed_out, 500);
}

#[test]
fn a_seed_is_a_world() {
    let counters = |seed| {
        let world = World::run(AWFUL, seed, 300);
        (*world.caller.counters(), *world.callee.counters())
    };
    assert_eq!(counters(5), counters(5));
    assert_ne!(counters(5), counters(6));
}
