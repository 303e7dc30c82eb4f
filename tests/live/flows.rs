//! Calls between plain SIP peers, by SIPp: what a carrier and a PBX see of the node.

use ringfort_tests::ensure;
use ringfort_tests::harness::node::Node;
use ringfort_tests::harness::sipp::Sipp;
use ringfort_tests::harness::site::Site;
use ringfort_tests::harness::tone_peer::TonePeer;
use ringfort_tests::harness::wait::{await_true, seconds};
use ringfort_tests::harness::{Outcome, Scene, play};

/// A node between two trunks: what comes from `inside` goes to `outside`.
struct Between {
    node: Node,
    caller: u16,
    callee: u16,
}

impl Between {
    fn start(scene: &Scene) -> Outcome<Between> {
        let (caller, callee) = (scene.port()?, scene.port()?);
        let site = Site::new(scene)?.trunk("inside", caller).trunk("outside", callee).route("out", "0*", "trunk:outside");
        Ok(Between { node: Node::start(scene, site)?, caller, callee })
    }

    fn caller(&self, scenario: &str) -> Sipp {
        Sipp::new("caller", scenario, self.caller).to(self.node.site().udp).number("0301234").key("user", "4711")
    }

    fn callee(&self, scenario: &str) -> Sipp {
        Sipp::new("callee", scenario, self.callee)
    }

    /// Nothing may be left of calls that are over.
    fn expect_clean(&self) -> Outcome<()> {
        self.node.await_metric("ringfort_calls", 0.0, seconds(5))
    }
}

#[test]
fn two_hundred_calls_end_cleanly() -> Outcome<()> {
    play("flows-load", |scene| {
        let between = Between::start(scene)?;
        let mut callee = between.callee("load-answer").load(200, 20).start(scene)?;
        let mut caller = between.caller("load-caller").load(200, 20).options(&["-d", "200"]).start(scene)?;
        caller.finish(seconds(40))?;
        callee.finish(seconds(10))?;
        between.expect_clean()?;
        between.node.await_metric("ringfort_calls_ended_total{cause=\"normal\",mode=\"standalone\"}", 200.0, seconds(5))
    })
}

#[test]
fn audio_passes_both_ways() -> Outcome<()> {
    play("flows-audio", |scene| {
        let between = Between::start(scene)?;
        let (near, far) = (TonePeer::start(scene.port()?, 440.0)?, TonePeer::start(scene.port()?, 1_000.0)?);
        let mut callee = between.callee("answer").key("tone_port", far.port()).start(scene)?;
        let caller = between.caller("call").key("tone_port", near.port()).options(&["-d", "1500"]);
        let mut caller = caller.start(scene)?;
        near.send_to(caller.await_number("ANSWERED", "media", seconds(5))?);
        far.await_tone(440.0, seconds(3))?;
        near.await_tone(1_000.0, seconds(3))?;
        caller.finish(seconds(10))?;
        callee.finish(seconds(5))?;
        near.forget();
        await_true("silence after the end", seconds(3), || near.gap_max() > std::time::Duration::from_millis(300))?;
        let status = between.node.admin()?.json("/api/v1/status")?;
        for leg in 0..2 {
            let quality = &status["recent"][0]["quality"][leg];
            let (mos, lost) = (quality["mos"].as_f64().unwrap_or_default(), quality["lost"].as_u64());
            ensure!(mos > 3.5 && lost == Some(0), "quality of leg {leg}: {quality}");
        }
        between.expect_clean()
    })
}

#[test]
fn a_caller_who_gives_up_cancels_the_callee() -> Outcome<()> {
    play("flows-cancel", |scene| {
        let between = Between::start(scene)?;
        let mut callee = between.callee("cancel-answer").start(scene)?;
        let mut caller = between.caller("cancel-caller").start(scene)?;
        caller.finish(seconds(10))?;
        callee.finish(seconds(10))?;
        between.expect_clean()
    })
}

#[test]
fn hold_and_retrieve_pass_through() -> Outcome<()> {
    play("flows-hold", |scene| {
        let between = Between::start(scene)?;
        let (near, far) = (TonePeer::start(scene.port()?, 440.0)?, TonePeer::start(scene.port()?, 1_000.0)?);
        let mut callee = between.callee("hold-answer").key("tone_port", far.port()).start(scene)?;
        let caller = between.caller("hold-caller").key("tone_port", near.port()).options(&["-d", "1500"]);
        let mut caller = caller.start(scene)?;
        near.send_to(caller.await_number("ANSWERED", "media", seconds(5))?);
        near.await_tone(1_000.0, seconds(3))?;
        caller.await_event("HELD", seconds(5))?;
        near.forget();
        await_true("no audio towards who holds", seconds(1), || near.gap_max() > std::time::Duration::from_millis(300))?;
        caller.await_event("RESUMED", seconds(5))?;
        near.await_tone(1_000.0, seconds(2))?;
        far.await_tone(440.0, seconds(2))?;
        caller.finish(seconds(10))?;
        callee.finish(seconds(5))?;
        between.expect_clean()
    })
}

#[test]
fn a_busy_callee_is_busy_to_the_caller() -> Outcome<()> {
    play("flows-busy", |scene| {
        let between = Between::start(scene)?;
        let mut callee = between.callee("busy").start(scene)?;
        let mut caller = between.caller("call").key("tone_port", scene.port()?).start(scene)?;
        callee.finish(seconds(10))?;
        ensure!(caller.finish(seconds(10)).is_err(), "the caller must see a failure");
        let errors = std::fs::read_to_string(scene.file("sipp-caller-errors.log")).unwrap_or_default();
        ensure!(errors.contains("SIP/2.0 486"), "the caller must be told 486:\n{errors}");
        between.expect_clean()
    })
}
