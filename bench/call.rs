//! `ringfort-bench call`: what one call costs in the core, from the INVITE to the record, between two trunks over UDP. Messages of
//! the peers are made and parsed outside the measured time; sockets, the relay and the journal's file are not in it.

use crate::allocations;
use crate::instructions::counted;
use crate::report::{Report, Row, Table};
use bytes::Bytes;
use ringfort_base::entropy::Seeded;
use ringfort_base::{Hop, Now, Time, Transport, Wall};
use ringfort_call::config::Snapshot;
use ringfort_call::{Input, Node, NodeSetup, Output, OwnAddresses};
use ringfort_media::plan::{PortCounters, RelayCommand, RelayEvent};
use ringfort_sip::Message;
use ringfort_sip::message::HeaderName;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
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
    let mut world = World::new(options.rate);
    let warm_up = (options.calls / 10).max(100);
    (0..warm_up).for_each(|_| {
        world.call();
    });
    let mut times = Vec::with_capacity(options.calls);
    let (mut allocated, mut sent) = (0, 0);
    for _ in 0..options.calls {
        let cost = world.call();
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
    let invite = Bytes::from(invite(1));
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

/// The trunk that calls.
pub const CALLER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 5060);
const CALLEE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2)), 5060);
const NODE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 9));
/// Its description.
pub const SDP: &str = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 6000 RTP/AVP 8 0 101\r\n\
    a=rtpmap:8 PCMA/8000\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\na=ptime:20\r\n";
const CONFIGURATION: &str = r#"
[[trunk]]
name = "in"
address = "192.0.2.1:5060"
options_interval_ms = 0
[[trunk]]
name = "out"
address = "192.0.2.2:5060"
options_interval_ms = 0
[[route]]
name = "all"
number = "*"
to = ["trunk:out"]
"#;

/// What one call cost.
pub struct Cost {
    spent: Duration,
    allocations: u64,
    messages_out: u64,
}

/// A node between two trunks.
pub struct World {
    node: Node,
    now: Now,
    gap: Duration,
    calls: u64,
}

/// What the node wanted after one input.
#[derive(Default)]
struct Wanted {
    messages: Vec<Bytes>,
    closed: Vec<RelayEvent>,
}

impl World {
    /// With `rate` calls a second of virtual time.
    pub fn new(rate: u64) -> World {
        let snapshot = match Snapshot::load("bench", CONFIGURATION, &mut |_| None) {
            Ok(snapshot) => snapshot,
            Err(error) => panic!("the benchmark's own configuration: {error}"),
        };
        let now = Now { mono: Time::from_millis(1), wall: Wall(1_800_000_000_000) };
        let own = OwnAddresses::plain(vec![(Transport::Udp, SocketAddr::new(NODE, 5060))], NODE);
        let entropy = Box::new(Seeded::new(1));
        let setup = NodeSetup { snapshot, own, entropy, saved: Vec::new(), version: "bench".into() };
        World { node: Node::new(now, setup), now, gap: Duration::from_micros(1_000_000 / rate.max(1)), calls: 0 }
    }

    /// One whole call.
    pub fn call(&mut self) -> Cost {
        self.calls += 1;
        self.now.mono = self.now.mono + self.gap;
        self.now.wall = self.now.wall.plus(self.gap);
        let mut cost = Cost { spent: Duration::ZERO, allocations: 0, messages_out: 0 };
        self.timeout(&mut cost);
        let offered = self.send(&mut cost, CALLER, invite(self.calls));
        let asked = find(&offered, "INVITE ");
        self.send(&mut cost, CALLEE, reply(&asked, "180 Ringing", ""));
        let answered = self.send(&mut cost, CALLEE, reply(&asked, "200 OK", SDP));
        let accepted = find(&answered, "SIP/2.0 200");
        self.send(&mut cost, CALLER, inside("ACK", 1, self.calls, &accepted));
        let ended = self.send(&mut cost, CALLER, inside("BYE", 2, self.calls, &accepted));
        self.send(&mut cost, CALLEE, reply(&find(&ended, "BYE "), "200 OK", ""));
        for event in ended.closed {
            self.input(&mut cost, Input::Relay(event));
        }
        cost
    }

    fn send(&mut self, cost: &mut Cost, from: SocketAddr, text: String) -> Wanted {
        let hop = Hop { transport: Transport::Udp, remote: from, local: None, flow: None };
        let octets = Bytes::from(text);
        let (start, before) = (Instant::now(), allocations::count());
        let message = counted(|| Message::parse(octets));
        cost.spent += start.elapsed();
        cost.allocations += allocations::count() - before;
        match message {
            Ok(message) => self.input(cost, Input::Message { hop, message }),
            Err(error) => panic!("the benchmark's own message: {error}"),
        }
    }

    fn input(&mut self, cost: &mut Cost, input: Input) -> Wanted {
        let (start, before) = (Instant::now(), allocations::count());
        counted(|| self.node.handle(self.now, input));
        cost.spent += start.elapsed();
        cost.allocations += allocations::count() - before;
        self.drain(cost)
    }

    fn timeout(&mut self, cost: &mut Cost) {
        let (start, before) = (Instant::now(), allocations::count());
        if self.node.next_timeout() <= self.now.mono {
            counted(|| self.node.handle_timeout(self.now));
        }
        cost.spent += start.elapsed();
        cost.allocations += allocations::count() - before;
        self.drain(cost);
    }

    fn drain(&mut self, cost: &mut Cost) -> Wanted {
        let mut wanted = Wanted::default();
        while let Some(output) = self.node.poll_output() {
            match output {
                Output::Send { octets, .. } => {
                    cost.messages_out += 1;
                    wanted.messages.push(octets);
                }
                Output::Relay(RelayCommand::Close { port }) => {
                    let counters = Box::new(PortCounters::default());
                    wanted.closed.push(RelayEvent::Counters { port, counters, last: true });
                }
                _ => {}
            }
        }
        wanted
    }
}

fn find(wanted: &Wanted, start: &str) -> Message {
    let found = wanted.messages.iter().find(|m| m.starts_with(start.as_bytes()));
    match found.map(|octets| Message::parse(octets.clone())) {
        Some(Ok(message)) => message,
        _ => panic!("the node did not send {start}: {:?}", wanted.messages),
    }
}

/// The INVITE of a call.
pub fn invite(call: u64) -> String {
    format!(
        "INVITE sip:030123456@192.0.2.9:5060 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKi{call}\r\nMax-Forwards: 70\r\n\
         From: \"Bench Caller\" <sip:4711@192.0.2.1>;tag=f{call}\r\nTo: <sip:030123456@192.0.2.9>\r\nCall-ID: {call}@192.0.2.1\r\n\
         CSeq: 1 INVITE\r\nContact: <sip:4711@192.0.2.1:5060>\r\nAllow: INVITE, ACK, CANCEL, BYE, OPTIONS\r\nUser-Agent: bench\r\n\
         Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{SDP}",
        SDP.len()
    )
}

fn reply(request: &Message, status: &str, body: &str) -> String {
    let field = |name| request.header(name).unwrap_or_default();
    let kind = if body.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
    let tag = if field(HeaderName::To).contains(";tag=") { "" } else { ";tag=callee" };
    format!(
        "SIP/2.0 {status}\r\nVia: {}\r\nFrom: {}\r\nTo: {}{tag}\r\nCall-ID: {}\r\nCSeq: {}\r\nContact: <sip:callee@192.0.2.2:5060>\r\n\
         {kind}Content-Length: {}\r\n\r\n{body}",
        field(HeaderName::Via),
        field(HeaderName::From),
        field(HeaderName::To),
        field(HeaderName::CallId),
        field(HeaderName::CSeq),
        body.len()
    )
}

fn inside(method: &str, cseq: u32, call: u64, accepted: &Message) -> String {
    format!(
        "{method} sip:ringfort@192.0.2.9:5060 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK{method}{call}\r\n\
         Max-Forwards: 70\r\nFrom: \"Bench Caller\" <sip:4711@192.0.2.1>;tag=f{call}\r\nTo: {}\r\nCall-ID: {call}@192.0.2.1\r\n\
         CSeq: {cseq} {method}\r\nContent-Length: 0\r\n\r\n",
        accepted.header(HeaderName::To).unwrap_or_default()
    )
}

/// A request outside any call.
pub fn outside(method: &str, number: u64) -> String {
    format!(
        "{method} sip:192.0.2.9:5060 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKo{number}\r\nMax-Forwards: 70\r\n\
         From: <sip:4711@192.0.2.1>;tag=o{number}\r\nTo: <sip:192.0.2.9>\r\nCall-ID: o{number}@192.0.2.1\r\n\
         CSeq: 1 {method}\r\nContent-Length: 0\r\n\r\n"
    )
}
