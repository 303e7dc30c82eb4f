//! REGISTER with digest, one device after another, for the count of instructions.

use crate::instructions::counted;
use bytes::Bytes;
use ringfort_base::entropy::Seeded;
use ringfort_base::{Hop, Now, Time, Transport, Wall};
use ringfort_call::config::Snapshot;
use ringfort_call::{Input, Node, NodeSetup, Output, OwnAddresses};
use ringfort_sip::Message;
use ringfort_sip::digest::{Challenge, Ha1};
use ringfort_sip::message::HeaderName;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

const CONFIGURATION: &str = "[node]\ndomain = \"bench.test\"\n[[account]]\nuser = \"101\"\npassword = \"secret\"\n";
const NODE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 9));
const PHONE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 5060);

/// One device that registers again and again, challenged each time.
pub fn repeat(times: u64) {
    let Ok(snapshot) = Snapshot::load("bench", CONFIGURATION, &mut |_| None) else { return };
    let own = OwnAddresses::plain(vec![(Transport::Udp, SocketAddr::new(NODE, 5060))], NODE);
    let mut now = Now { mono: Time::from_millis(1), wall: Wall(1_800_000_000_000) };
    let setup = NodeSetup { snapshot, own, entropy: Box::new(Seeded::new(1)), saved: Vec::new(), version: "bench".into() };
    let mut node = Node::new(now, setup);
    let ha1 = Ha1::new("101", "bench.test", "secret");
    for n in 0..times {
        now.mono = Time::from_millis(n * 60_000);
        now.wall = Wall(1_800_000_000_000 + n * 60_000);
        let challenged = exchange(&mut node, now, request(2 * n + 1, ""));
        let challenge = challenged.header(HeaderName::WwwAuthenticate).and_then(|value| Challenge::parse(value).ok());
        let Some(challenge) = challenge else { panic!("no challenge: {challenged:?}") };
        let credentials = challenge.answer("101", &ha1, "REGISTER", "sip:bench.test", "0a4f113b", 1);
        let granted = exchange(&mut node, now, request(2 * n + 2, &format!("Authorization: {credentials}\r\n")));
        assert_eq!(granted.status(), Some(200), "the benchmark's own REGISTER");
    }
}

fn exchange(node: &mut Node, now: Now, text: String) -> Message {
    let octets = Bytes::from(text);
    let hop = Hop { transport: Transport::Udp, remote: PHONE, local: None, flow: None };
    let answers = counted(|| {
        if node.next_timeout() <= now.mono {
            node.handle_timeout(now);
        }
        if let Ok(message) = Message::parse(octets) {
            node.handle(now, Input::Message { hop, message });
        }
        let mut answers = Vec::new();
        while let Some(output) = node.poll_output() {
            if let Output::Send { octets, .. } = output {
                answers.push(octets);
            }
        }
        answers
    });
    match answers.into_iter().next().map(Message::parse) {
        Some(Ok(answer)) => answer,
        other => panic!("no answer to the benchmark's own REGISTER: {other:?}"),
    }
}

fn request(cseq: u64, more: &str) -> String {
    format!(
        "REGISTER sip:bench.test SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKr{cseq}\r\nMax-Forwards: 70\r\n\
         From: <sip:101@bench.test>;tag=f{cseq}\r\nTo: <sip:101@bench.test>\r\nCall-ID: r@192.0.2.1\r\nCSeq: {cseq} REGISTER\r\n\
         Contact: <sip:101@192.0.2.1:5060>\r\nExpires: 300\r\n{more}Content-Length: 0\r\n\r\n"
    )
}
