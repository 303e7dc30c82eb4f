//! Programs of events against the transaction layer: whatever peers, owner and clock do in whatever order, nothing panics, each
//! transaction ends exactly once, and when everybody falls silent none is left.

use super::program::Program;
use bytes::Bytes;
use ringfort_base::entropy::Seeded;
use ringfort_base::{FlowId, Hop, Time, Transport};
use ringfort_sip::Message;
use ringfort_sip::transaction::{Step, Timers, TransactionId, Transactions};
use std::collections::HashSet;
use std::time::Duration;

const METHODS: [&str; 6] = ["INVITE", "ACK", "CANCEL", "BYE", "OPTIONS", "REGISTER"];
const STATUSES: [u16; 8] = [100, 180, 183, 200, 302, 404, 487, 603];
/// Longer than any machine lives once nothing more happens to it.
const LONG: Duration = Duration::from_secs(3_600);

/// Runs a program.
pub fn transaction(octets: &[u8]) {
    let mut bench = Bench::new();
    let mut program = Program::new(octets);
    while !program.is_over() {
        bench.step(&mut program);
        bench.poll();
    }
    bench.rest();
}

struct Bench {
    layer: Transactions,
    now: Time,
    serial: u32,
    /// Requests of ours as they were sent, with their transactions.
    ours: Vec<(TransactionId, Bytes)>,
    /// Requests that wait for our answer.
    theirs: Vec<(TransactionId, Message)>,
    ended: HashSet<TransactionId>,
}

impl Bench {
    fn new() -> Bench {
        let layer = Transactions::new(Timers::default(), &mut Seeded::new(1)).with_limit(64);
        Bench { layer, now: Time::from_millis(1), serial: 0, ours: Vec::new(), theirs: Vec::new(), ended: HashSet::new() }
    }

    fn step(&mut self, program: &mut Program<'_>) {
        match program.octet() % 10 {
            0 | 1 => self.their_request(program),
            2 => self.our_request(program),
            3 | 4 => self.their_response(program),
            5 => self.our_response(program),
            6 => {
                if let Some(place) = program.place(self.ours.len()) {
                    let _ = self.layer.cancel(self.now, self.ours[place].0, &[]);
                }
            }
            7 => {
                if let Some(place) = program.place(self.theirs.len()) {
                    self.layer.ack_received(self.now, self.theirs[place].0);
                }
            }
            8 => match program.octet() % 2 {
                0 => self.layer.flow_closed(self.now, FlowId(u64::from(program.octet() % 2))),
                _ => self.layer.transport_failed(self.now, hop(program)),
            },
            _ => self.pass(Duration::from_millis(u64::from(program.octet()) * 50)),
        }
    }

    fn their_request(&mut self, program: &mut Program<'_>) {
        let (method, branch, hop) = (program.one(&METHODS), program.octet() % 8, hop(program));
        let text = request(method, &format!("z9hG4bKp{branch}"), u32::from(branch) + 1, hop.transport);
        if let Ok(message) = Message::parse(text) {
            self.layer.receive(self.now, hop, message);
        }
    }

    fn our_request(&mut self, program: &mut Program<'_>) {
        self.serial += 1;
        let (method, hop) = (program.one(&METHODS), hop(program));
        let octets = request(method, &format!("z9hG4bKn{}", self.serial), self.serial, hop.transport);
        if let Ok(id) = self.layer.request(self.now, hop, octets.clone()) {
            self.ours.push((id, octets));
        }
    }

    fn their_response(&mut self, program: &mut Program<'_>) {
        let (Some(place), status, hop) = (program.place(self.ours.len()), program.one(&STATUSES), hop(program)) else { return };
        if let Ok(request) = Message::parse(self.ours[place].1.clone()) {
            let octets = ringfort_sip::Builder::reply(&request, status, None, program.one(&[None, Some("a"), Some("b")])).build();
            let response = Message::parse(octets).expect("our own reply parses");
            self.layer.receive(self.now, hop, response);
        }
    }

    fn our_response(&mut self, program: &mut Program<'_>) {
        let Some(place) = program.place(self.theirs.len()) else { return };
        let (id, request) = &self.theirs[place];
        let octets = ringfort_sip::Builder::reply(request, program.one(&STATUSES), None, Some("n")).build();
        let _ = self.layer.respond(self.now, *id, octets);
    }

    fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        while self.layer.next_timeout() <= until {
            self.now = self.now.max(self.layer.next_timeout());
            self.layer.handle_timeout(self.now);
            self.poll();
        }
        self.now = until;
    }

    fn poll(&mut self) {
        while let Some(step) = self.layer.poll_step() {
            match step {
                Step::Send { octets, .. } => drop(Message::parse(octets).expect("what is sent is a message")),
                Step::Request { id, message, .. } => self.theirs.push((id, message)),
                Step::Ended { id } => {
                    assert!(self.ended.insert(id), "{id} ended twice");
                    self.ours.retain(|(ours, _)| *ours != id);
                    self.theirs.retain(|(theirs, _)| *theirs != id);
                }
                _ => {}
            }
        }
    }

    /// The owner answers what waits; then nobody does anything any more.
    fn rest(&mut self) {
        for (id, request) in std::mem::take(&mut self.theirs) {
            let octets = ringfort_sip::Builder::reply(&request, 500, None, Some("n")).build();
            let _ = self.layer.respond(self.now, id, octets);
        }
        self.poll();
        // An INVITE of ours that rings for ever is the owner's to end.
        for (id, _) in self.ours.clone() {
            let _ = self.layer.cancel(self.now, id, &[]);
        }
        self.pass(LONG);
        assert!(self.layer.is_empty(), "{} transactions are left", self.layer.len());
        assert_eq!(self.layer.next_timeout(), Time::NEVER, "a timer runs for nobody");
    }
}

fn hop(program: &mut Program<'_>) -> Hop {
    let kind = program.octet();
    let transport = if kind & 1 == 0 { Transport::Udp } else { Transport::Tcp };
    let flow = (kind & 1 == 1 && kind & 4 == 0).then_some(FlowId(u64::from(kind >> 1 & 1)));
    Hop { transport, remote: ([192, 0, 2, 1 + (kind >> 1 & 1)], 5060).into(), local: None, flow }
}

fn request(method: &str, branch: &str, cseq: u32, transport: Transport) -> Bytes {
    format!(
        "{method} sip:b@192.0.2.10 SIP/2.0\r\nVia: SIP/2.0/{transport} 192.0.2.1:5060;branch={branch};rport\r\nMax-Forwards: 70\r\n\
         From: <sip:a@192.0.2.1>;tag=1\r\nTo: <sip:b@192.0.2.10>\r\nCall-ID: c{cseq}\r\nCSeq: {cseq} {method}\r\nContent-Length: 0\r\n\r\n"
    )
    .into()
}
