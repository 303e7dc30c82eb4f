//! A leg written down and read back: a restarted process takes up where it was.

use crate::handshake::Net;
use crate::peers::{BARESIP, PHONE_ANSWER, SIPP, T0, answered, rtp, text};
use ringfort_base::PortId;
use ringfort_media::plan::{Component, Destination, Latch};
use ringfort_media::{Description, LegOutput, LegSession};
use std::time::Duration;

const TO: Destination = Destination::Port(PortId(9));

fn restarted(leg: &LegSession) -> LegSession {
    serde_json::from_str(&serde_json::to_string(leg).unwrap()).unwrap()
}

#[test]
fn plain_rtp_before_it_latched() {
    let mut leg = rtp(4000);
    answered(&mut leg, BARESIP);
    assert_eq!(restarted(&leg).plan(TO), leg.plan(TO));
}

#[test]
fn plain_rtp_keeps_its_latch() {
    let mut leg = rtp(4000);
    answered(&mut leg, SIPP);
    let nat = "192.0.2.200:31000".parse().unwrap();
    leg.latched(Component::Rtp, nat);
    leg.latched(Component::Rtcp, "192.0.2.200:31001".parse().unwrap());
    let mut expected = leg.plan(TO);
    expected.receive.latch = Latch::Exact(nat);
    expected.transmit.rtcp = Some("192.0.2.200:31001".parse().unwrap());
    let mut after = restarted(&leg);
    assert_eq!(after.plan(TO), expected);
    assert_eq!(after.poll_output(), None);
    // The next offer goes on counting.
    let description = Description::g711();
    assert_eq!(after.make_offer(T0, &description), leg.make_offer(T0, &description));
}

#[test]
fn a_pending_offer_survives() {
    let mut leg = rtp(4000);
    leg.make_offer(T0, &Description::g711()).unwrap();
    let mut after = restarted(&leg);
    after.receive_answer(T0, PHONE_ANSWER.as_bytes()).unwrap();
    leg.receive_answer(T0, PHONE_ANSWER.as_bytes()).unwrap();
    assert_eq!(after.plan(TO), leg.plan(TO));
}

#[test]
fn a_browser_keeps_keys_and_pair_and_its_checks_are_answered() {
    let mut net = Net::answering(1, 0);
    net.run_until_ready();
    let before = net.node.plan(TO);
    net.node = restarted(&net.node);
    assert_eq!(net.node.plan(TO), before);
    net.seen.clear();
    net.run_for(Duration::from_secs(120));
    assert_eq!(net.node.plan(TO), before, "consent lives on");
    assert!(net.seen.iter().all(|output| !matches!(output, LegOutput::Failed { .. })), "{:?}", net.seen);
    assert!(net.browser.is_connected());
    // The browser's hold is answered with the identity that it knows.
    let offer = net.browser.description("actpass").replace("a=sendrecv", "a=sendonly");
    let description = net.node.receive_offer(net.now, offer.as_bytes()).unwrap();
    let answer = text(net.node.make_answer(net.now, &description).unwrap());
    assert!(answer.contains(&net.told_fingerprint), "{answer}");
    assert_eq!(net.node.plan(TO).receive.srtp, before.receive.srtp);
}

#[test]
fn nothing_secret_is_shown_in_debug() {
    let mut net = Net::answering(2, 0);
    net.run_until_ready();
    let shown = format!("{:?}", net.node);
    assert_eq!(shown, format!("LegSession(p{:x}, {}, agreed: true)", 40_000, net.node.describe()));
}
