//! Calls a second: the node's own core between two trunks, each call set up and released, in memory, on one core. What sockets take is not
//! in it; what the two peers' messages take is.

use bytes::Bytes;
use ringfort_base::entropy::Seeded;
use ringfort_base::{Hop, Now, Time, Transport, Wall};
use ringfort_call::config::Snapshot;
use ringfort_call::{Input, Node, NodeSetup, Output, OwnAddresses};
use ringfort_media::plan::{PortCounters, RelayCommand, RelayEvent};
use ringfort_sip::Message;
use ringfort_sip::message::HeaderName;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

const NODE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 9));
const CALLER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 5060);
const CALLEE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2)), 5060);
/// Virtual time between two calls: so many transactions linger.
const GAP: Duration = Duration::from_millis(5);
/// Calls before those that count.
const WARM: u32 = 200;
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
const SDP: &str = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 6000 RTP/AVP 8 0 101\r\n\
    a=rtpmap:8 PCMA/8000\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\na=ptime:20\r\n";

/// How many a core sets up and releases in a second, found in about `time`. `None`: a call did not come about.
pub fn a_second_and_core(time: Duration) -> Option<u32> {
    let mut world = World::new()?;
    for n in 0..WARM {
        world.call(n)?;
    }
    let (begun, mut done) = (Instant::now(), 0u32);
    while begun.elapsed() < time || done == 0 {
        world.call(WARM + done)?;
        done += 1;
    }
    Some((f64::from(done) / begun.elapsed().as_secs_f64()) as u32)
}

struct World {
    node: Node,
    now: Now,
}

impl World {
    fn new() -> Option<World> {
        let snapshot = Snapshot::load("capacity", CONFIGURATION, &mut |_| None).ok()?;
        let now = Now { mono: Time::from_millis(1), wall: Wall(1_800_000_000_000) };
        let own = OwnAddresses::plain(vec![(Transport::Udp, SocketAddr::new(NODE, 5060))], NODE);
        let entropy = Box::new(Seeded::new(1));
        let setup = NodeSetup { snapshot, own, entropy, saved: Vec::new(), version: "capacity".into() };
        Some(World { node: Node::new(now, setup), now })
    }

    /// One call from INVITE to the last 200.
    fn call(&mut self, n: u32) -> Option<()> {
        self.now = Now { mono: self.now.mono + GAP, wall: self.now.wall.plus(GAP) };
        if self.node.next_timeout() <= self.now.mono {
            self.node.handle_timeout(self.now);
            self.sent();
        }
        let offered = self.take(CALLER, invite(n))?;
        let asked = find(&offered, "INVITE ")?;
        self.take(CALLEE, reply(&asked, "180 Ringing", ""))?;
        let answered = self.take(CALLEE, reply(&asked, "200 OK", SDP))?;
        let accepted = find(&answered, "SIP/2.0 200")?;
        self.take(CALLER, inside("ACK", 1, n, &accepted))?;
        let ended = self.take(CALLER, inside("BYE", 2, n, &accepted))?;
        self.take(CALLEE, reply(&find(&ended, "BYE ")?, "200 OK", "")).map(drop)
    }

    /// Gives the node a message and returns what it sends.
    fn take(&mut self, from: SocketAddr, text: String) -> Option<Vec<Bytes>> {
        let hop = Hop { transport: Transport::Udp, remote: from, local: None, flow: None };
        let message = Message::parse(Bytes::from(text)).ok()?;
        self.node.handle(self.now, Input::Message { hop, message });
        Some(self.sent())
    }

    fn sent(&mut self) -> Vec<Bytes> {
        let (mut messages, mut closed) = (Vec::new(), Vec::new());
        while let Some(output) = self.node.poll_output() {
            match output {
                Output::Send { octets, .. } => messages.push(octets),
                Output::Relay(RelayCommand::Close { port }) => closed.push(port),
                _ => {}
            }
        }
        for port in closed {
            let counters = Box::new(PortCounters::default());
            self.node.handle(self.now, Input::Relay(RelayEvent::Counters { port, counters, last: true }));
            messages.extend(self.sent());
        }
        messages
    }
}

fn find(messages: &[Bytes], start: &str) -> Option<Message> {
    let found = messages.iter().find(|octets| octets.starts_with(start.as_bytes()))?;
    Message::parse(found.clone()).ok()
}

fn invite(n: u32) -> String {
    format!(
        "INVITE sip:030123456@192.0.2.9:5060 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKi{n}\r\nMax-Forwards: 70\r\n\
         From: <sip:4711@192.0.2.1>;tag=f{n}\r\nTo: <sip:030123456@192.0.2.9>\r\nCall-ID: {n}@192.0.2.1\r\nCSeq: 1 INVITE\r\n\
         Contact: <sip:4711@192.0.2.1:5060>\r\nContent-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{SDP}",
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

fn inside(method: &str, cseq: u32, n: u32, accepted: &Message) -> String {
    format!(
        "{method} sip:ringfort@192.0.2.9:5060 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK{method}{n}\r\nMax-Forwards: 70\r\n\
         From: <sip:4711@192.0.2.1>;tag=f{n}\r\nTo: {}\r\nCall-ID: {n}@192.0.2.1\r\nCSeq: {cseq} {method}\r\nContent-Length: 0\r\n\r\n",
        accepted.header(HeaderName::To).unwrap_or_default()
    )
}

#[cfg(test)]
mod tests {
    #[test]
    fn calls_come_about() {
        assert!(super::a_second_and_core(std::time::Duration::ZERO).is_some_and(|count| count > 0));
    }
}
