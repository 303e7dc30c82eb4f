//! A node between two trunks, in memory, that is given one call after the other: for whoever measures what calls cost. Pure as all of
//! this member; a [`Gauge`] sees what the node is given to do, and whoever measures brings the clock.

use crate::config::Snapshot;
use crate::{Input, Node, NodeSetup, Output, OwnAddresses};
use bytes::Bytes;
use ringfort_base::entropy::Seeded;
use ringfort_base::{Hop, Now, Time, Transport, Wall};
use ringfort_media::plan::{PortCounters, RelayCommand, RelayEvent};
use ringfort_sip::Message;
use ringfort_sip::message::HeaderName;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

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

/// What is measured of a call.
pub trait Gauge {
    /// Does what belongs to the node: it takes what came and does what is due. Making the peers' messages is not in it.
    fn spend<T>(&mut self, work: impl FnOnce() -> T) -> T;
    /// The node sent so many messages.
    fn sent(&mut self, messages: usize);
}

/// Measures nothing.
pub struct Unmeasured;

impl Gauge for Unmeasured {
    fn spend<T>(&mut self, work: impl FnOnce() -> T) -> T {
        work()
    }

    fn sent(&mut self, _messages: usize) {}
}

/// A node between two trunks.
pub struct Trial {
    node: Node,
    now: Now,
    gap: Duration,
    calls: u64,
}

impl Trial {
    /// With so many calls a second of virtual time: so many transactions linger. `None`: the configuration is not taken.
    pub fn new(rate: u64) -> Option<Trial> {
        let snapshot = Snapshot::load("trial", CONFIGURATION, &mut |_| None).ok()?;
        let now = Now { mono: Time::from_millis(1), wall: Wall(1_800_000_000_000) };
        let own = OwnAddresses::plain(vec![(Transport::Udp, SocketAddr::new(NODE, 5060))], NODE);
        let entropy = Box::new(Seeded::new(1));
        let setup = NodeSetup { snapshot, own, entropy, saved: Vec::new(), version: "trial".into() };
        Some(Trial { node: Node::new(now, setup), now, gap: Duration::from_micros(1_000_000 / rate.max(1)), calls: 0 })
    }

    /// One call from INVITE to the last 200. `None`: it did not come about.
    pub fn call(&mut self, gauge: &mut impl Gauge) -> Option<()> {
        self.calls += 1;
        let call = self.calls;
        self.now = Now { mono: self.now.mono + self.gap, wall: self.now.wall.plus(self.gap) };
        gauge.spend(|| {
            if self.node.next_timeout() <= self.now.mono {
                self.node.handle_timeout(self.now);
            }
        });
        self.drain(gauge);
        let offered = self.take(gauge, CALLER, invite(call))?;
        let asked = find(&offered, "INVITE ")?;
        self.take(gauge, CALLEE, reply(&asked, "180 Ringing", ""))?;
        let answered = self.take(gauge, CALLEE, reply(&asked, "200 OK", SDP))?;
        let accepted = find(&answered, "SIP/2.0 200")?;
        self.take(gauge, CALLER, inside("ACK", 1, call, &accepted))?;
        let ended = self.take(gauge, CALLER, inside("BYE", 2, call, &accepted))?;
        self.take(gauge, CALLEE, reply(&find(&ended, "BYE ")?, "200 OK", "")).map(drop)
    }

    /// Gives the node a message; what it sends.
    fn take(&mut self, gauge: &mut impl Gauge, from: SocketAddr, text: String) -> Option<Vec<Bytes>> {
        let hop = Hop { transport: Transport::Udp, remote: from, local: None, flow: None };
        let octets = Bytes::from(text);
        let message = gauge.spend(|| Message::parse(octets)).ok()?;
        gauge.spend(|| self.node.handle(self.now, Input::Message { hop, message }));
        Some(self.drain(gauge))
    }

    /// What the node sends; the relay that it talks to has nothing to count.
    fn drain(&mut self, gauge: &mut impl Gauge) -> Vec<Bytes> {
        let (mut messages, mut closed) = (Vec::new(), Vec::new());
        while let Some(output) = self.node.poll_output() {
            match output {
                Output::Send { octets, .. } => messages.push(octets),
                Output::Relay(RelayCommand::Close { port }) => closed.push(port),
                _ => {}
            }
        }
        gauge.sent(messages.len());
        for port in closed {
            let counters = Box::new(PortCounters::default());
            let event = RelayEvent::Counters { port, counters, last: true };
            gauge.spend(|| self.node.handle(self.now, Input::Relay(event)));
            messages.extend(self.drain(gauge));
        }
        messages
    }
}

fn find(messages: &[Bytes], start: &str) -> Option<Message> {
    let found = messages.iter().find(|octets| octets.starts_with(start.as_bytes()))?;
    Message::parse(found.clone()).ok()
}

/// The INVITE of a call.
pub fn invite(call: u64) -> String {
    format!(
        "INVITE sip:030123456@192.0.2.9:5060 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKi{call}\r\nMax-Forwards: 70\r\n\
         From: \"Trial Caller\" <sip:4711@192.0.2.1>;tag=f{call}\r\nTo: <sip:030123456@192.0.2.9>\r\nCall-ID: {call}@192.0.2.1\r\n\
         CSeq: 1 INVITE\r\nContact: <sip:4711@192.0.2.1:5060>\r\nAllow: INVITE, ACK, CANCEL, BYE, OPTIONS\r\nUser-Agent: trial\r\n\
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
         Max-Forwards: 70\r\nFrom: \"Trial Caller\" <sip:4711@192.0.2.1>;tag=f{call}\r\nTo: {}\r\nCall-ID: {call}@192.0.2.1\r\n\
         CSeq: {cseq} {method}\r\nContent-Length: 0\r\n\r\n",
        accepted.header(HeaderName::To).unwrap_or_default()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Counts(usize);

    impl Gauge for Counts {
        fn spend<T>(&mut self, work: impl FnOnce() -> T) -> T {
            work()
        }

        fn sent(&mut self, messages: usize) {
            self.0 += messages;
        }
    }

    #[test]
    fn calls_come_about_and_leave_nothing() {
        let (mut trial, mut counts) = (Trial::new(200).expect("a configuration"), Counts(0));
        (0..10).for_each(|_| trial.call(&mut counts).expect("a call"));
        let [calls, ports, _] = trial.node.residue();
        assert_eq!((counts.0, calls, ports), (70, 0, 0));
    }
}
