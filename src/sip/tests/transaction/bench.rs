//! One side under test, its clock, and words to test it with:
//!
//! ```text
//! hears!(a, text)                       a message arrives
//! sends!(a, "ACK")                      the next step sends a message that begins so; yields hop and message
//! tells!(a, Step::Response { .. })      the next step is this
//! fires!(a, A after 500)                the next timer is A, 500 ms from now; the clock moves there
//! silent!(a)                            no step is left
//! ```

use bytes::Bytes;
use ringfort_base::entropy::Seeded;
use ringfort_base::{FlowId, Hop, Time, Transport};
use ringfort_sip::Message;
use ringfort_sip::transaction::{Step, Timers, Transactions};

/// One side.
pub struct Side {
    pub layer: Transactions,
    pub now: Time,
}

impl Side {
    pub fn new() -> Side {
        Side { layer: Transactions::new(Timers::default(), &mut Seeded::new(7)), now: Time::from_millis(1000) }
    }

    pub fn limited(limit: usize) -> Side {
        Side { layer: Transactions::new(Timers::default(), &mut Seeded::new(7)).with_limit(limit), ..Side::new() }
    }

    pub fn hears(&mut self, hop: Hop, text: &str) {
        self.layer.receive(self.now, hop, message(text));
    }

    pub fn step(&mut self) -> Option<Step> {
        self.layer.poll_step()
    }

    /// All steps that are left, in words.
    pub fn rest(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.step()).map(|step| format!("{step:?}")).collect()
    }

    /// Ends whatever still runs, however long it takes.
    pub fn run_out(&mut self) {
        while self.layer.next_timeout() != Time::NEVER {
            self.now = self.layer.next_timeout();
            self.layer.handle_timeout(self.now);
        }
        while self.step().is_some() {}
    }
}

macro_rules! hears {
    ($side:ident, $text:expr) => {
        hears!($side, crate::bench::udp(), $text)
    };
    ($side:ident, $hop:expr, $text:expr) => {
        $side.hears($hop, &$text)
    };
}

macro_rules! sends {
    ($side:ident, $begin:expr) => {{
        let step = $side.step();
        let Some(ringfort_sip::transaction::Step::Send { hop, octets }) = step else { panic!("sends nothing: {step:?}") };
        let text = String::from_utf8_lossy(&octets).into_owned();
        assert!(text.starts_with($begin), "sends {text}");
        (hop, crate::bench::message(&text))
    }};
}

macro_rules! tells {
    ($side:ident, $pattern:pat) => {
        tells!($side, $pattern => ())
    };
    ($side:ident, $pattern:pat => $value:expr) => {
        match $side.step() {
            Some($pattern) => $value,
            other => panic!("{}: {other:?}", stringify!($pattern)),
        }
    };
}

macro_rules! fires {
    ($side:ident, $timer:ident after $ms:expr) => {{
        let wake = $side.layer.next_wake().expect("a timer runs");
        assert_eq!(wake.timer, ringfort_sip::transaction::Timer::$timer, "{wake}");
        assert_eq!(wake.at, $side.layer.next_timeout());
        assert_eq!(wake.at.since($side.now).as_millis(), $ms, "{wake}");
        $side.now = wake.at;
        $side.layer.handle_timeout($side.now);
    }};
}

macro_rules! silent {
    ($side:ident) => {
        assert_eq!($side.rest(), Vec::<String>::new())
    };
}

/// Nothing is alive, nothing runs, nothing is to be said.
macro_rules! over {
    ($side:ident) => {{
        silent!($side);
        assert_eq!($side.layer.len(), 0);
        assert!($side.layer.next_wake().is_none());
        assert_eq!($side.layer.next_timeout(), ringfort_base::Time::NEVER);
    }};
}

pub fn message(text: &str) -> Message {
    Message::parse(Bytes::from(text.to_owned())).unwrap_or_else(|error| panic!("{error}: {text}"))
}

pub fn udp() -> Hop {
    Hop::to(Transport::Udp, "192.0.2.2:5060".parse().expect("an address"))
}

pub fn tcp(flow: u64) -> Hop {
    Hop { transport: Transport::Tcp, flow: Some(FlowId(flow)), ..udp() }
}

/// A request of `method` with a branch of this name, CSeq 1.
pub fn request(method: &str, branch: &str) -> String {
    let via = format!("SIP/2.0/UDP 192.0.2.2:5060;branch=z9hG4bK{branch}");
    request_via(method, &via)
}

pub fn request_via(method: &str, via: &str) -> String {
    format!(
        "{method} sip:bob@example.com SIP/2.0\r\nVia: {via}\r\nMax-Forwards: 70\r\nFrom: <sip:alice@example.com>;tag=a\r\n\
         To: <sip:bob@example.com>\r\nCall-ID: call\r\nCSeq: 1 {method}\r\nRoute: <sip:p1;lr>, <sip:p2;lr>\r\nRoute: <sip:p3;lr>\r\n\
         Require: 100rel\r\nContent-Length: 0\r\n\r\n"
    )
}

/// A response to a request, as its server would build it; no tag for 100.
pub fn response(request: &str, status: u16) -> String {
    response_tagged(request, status, "b")
}

pub fn response_tagged(request: &str, status: u16, tag: &str) -> String {
    let tag = (status != 100).then_some(tag);
    let built = ringfort_sip::Builder::reply(&message(request), status, None, tag).build();
    String::from_utf8(built.to_vec()).expect("text")
}

/// Octets to give to the layer.
pub fn octets(text: &str) -> Bytes {
    Bytes::from(text.to_owned())
}
