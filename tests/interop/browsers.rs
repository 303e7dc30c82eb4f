//! Chromium and Firefox: each with its own ICE, DTLS and offers.

use ringfort_tests::ensure;
use ringfort_tests::harness::browser::Browser;
use ringfort_tests::harness::interface::{self, DefaultRoute};
use ringfort_tests::harness::node::Node;
use ringfort_tests::harness::site::{Site, password_of};
use ringfort_tests::harness::wait::seconds;
use ringfort_tests::harness::{Outcome, play};

#[test]
fn chromium_and_firefox_call_each_other() -> Outcome<()> {
    play("interop-browsers", |scene| {
        // Firefox does not look from an address of the network into loopback.
        let _route = DefaultRoute::raise()?;
        let node = Node::start(scene, Site::new(scene)?.media_at(interface::ADDRESS).account("101").account("102"))?;
        let admin = node.admin()?;
        let mut chromium = Browser::start(scene)?;
        let mut firefox = chromium.firefox(scene)?;
        chromium.open_phone("101", &node.page(), "101", &password_of("101"), 440.0)?;
        firefox.open_phone("102", &node.page(), "102", &password_of("102"), 1_000.0)?;
        let mut sides = [(&mut chromium, "101", 1_000.0), (&mut firefox, "102", 440.0)];
        for _ in 0..2 {
            let [(caller, from, hears), (callee, to, other)] = &mut sides;
            caller.dial(from, to)?;
            callee.click(to, "answer")?;
            caller.await_call(from, "connected", seconds(10))?;
            caller.await_tone(from, *hears, seconds(10))?;
            callee.await_tone(to, *other, seconds(10))?;
            let call = admin.json("/api/v1/status")?["calls"][0].to_string();
            ensure!(call.matches("dtls-srtp").count() == 2, "not both legs are secured: {call}");
            // He hangs up who was called.
            callee.click(to, "hangup")?;
            caller.await_call(from, "ended", seconds(5))?;
            node.await_metric("ringfort_calls", 0.0, seconds(5))?;
            sides.reverse();
        }
        Ok(())
    })
}

/// Chromium checks from each of its addresses and settles on one after a while, which need not be the one it began with.
#[test]
fn a_browser_with_two_addresses_is_heard_wherever_it_sends_from() -> Outcome<()> {
    play("interop-two-addresses", |scene| {
        interface::raise()?;
        let node = Node::start(scene, Site::new(scene)?.account("101").account("102"))?;
        let mut chromium = Browser::start(scene)?;
        chromium.open_phone("ada", &node.page(), "101", &password_of("101"), 440.0)?;
        chromium.open_phone("grace", &node.page(), "102", &password_of("102"), 1_000.0)?;
        for _ in 0..3 {
            chromium.dial("ada", "102")?;
            chromium.click("grace", "answer")?;
            chromium.await_tone("grace", 440.0, seconds(8))?;
            chromium.click("ada", "hold")?;
            chromium.await_call("ada", "held", seconds(5))?;
            chromium.click("ada", "hold")?;
            chromium.await_call("ada", "connected", seconds(5))?;
            chromium.await_tone("grace", 440.0, seconds(5))?;
            chromium.await_tone("ada", 1_000.0, seconds(5))?;
            chromium.click("ada", "hangup")?;
            chromium.await_call("grace", "ended", seconds(3))?;
        }
        Ok(())
    })
}
