//! Recorders that are processes of their own, and die.

use ringfort_tests::ensure;
use ringfort_tests::harness::node::Node;
use ringfort_tests::harness::sipp::{Running, Sipp};
use ringfort_tests::harness::site::Site;
use ringfort_tests::harness::tone_peer::TonePeer;
use ringfort_tests::harness::wait::seconds;
use ringfort_tests::harness::{Outcome, Scene, play};
use std::time::Duration;

/// The longest break in the call's audio that has nothing to do with its recorder, on a busy machine.
const GAP_MAX: Duration = Duration::from_millis(500);

/// A recorder, and what it hears of caller and callee.
struct Recorder {
    port: u16,
    ears: [TonePeer; 2],
}

impl Recorder {
    fn new(scene: &Scene) -> Outcome<Recorder> {
        let ears = [TonePeer::start(scene.port()?, 200.0)?, TonePeer::start(scene.port()?, 200.0)?];
        ears.iter().for_each(|ear| ear.set_silent(true));
        Ok(Recorder { port: scene.port()?, ears })
    }

    fn section(&self, name: &str) -> String {
        let address = format!("127.0.0.1:{}", self.port);
        format!(
            "[[recorder]]\nname = \"{name}\"\naddress = \"{address}\"\ntransport = \"tcp\"\noptions_interval_ms = 0\npatience_ms = 1000\n"
        )
    }

    fn start(&self, scene: &Scene, name: &str) -> Outcome<Running> {
        let [first, second] = &self.ears;
        let sipp = Sipp::new(name, "record", self.port).key("first_port", first.port()).key("second_port", second.port());
        sipp.options(&["-t", "t1"]).start(scene)
    }

    fn hears(&self) -> Outcome<()> {
        self.ears[0].await_tone(440.0, seconds(3))?;
        self.ears[1].await_tone(1_000.0, seconds(3))
    }
}

/// `kill -9` of the recorder in the middle of a call: the call's audio has no gap, and another recorder hears the rest.
#[test]
fn a_recorder_is_killed_and_the_call_goes_on() -> Outcome<()> {
    play("recording-killed", |scene| {
        let (caller_port, callee_port) = (scene.port()?, scene.port()?);
        let (main, second) = (Recorder::new(scene)?, Recorder::new(scene)?);
        let site =
            Site::new(scene)?.trunk("inside", caller_port).trunk("outside", callee_port).route("out", "0*", "trunk:outside");
        let site = site.section(&main.section("main")).section(&second.section("second"));
        let site = site.section("[[recording]]\nname = \"all\"\nto = [\"main\", \"second\"]");
        let node = Node::start(scene, site)?;
        let mut recorder = main.start(scene, "main")?;
        let mut other = second.start(scene, "second")?;
        let (near, far) = (TonePeer::start(scene.port()?, 440.0)?, TonePeer::start(scene.port()?, 1_000.0)?);
        let mut callee = Sipp::new("callee", "answer", callee_port).key("tone_port", far.port()).start(scene)?;
        let caller = Sipp::new("caller", "call-until-bye", caller_port).to(node.site().udp).number("0301234").key("user", "4711");
        let mut caller = caller.key("tone_port", near.port()).start(scene)?;
        near.send_to(caller.await_number("ANSWERED", "media", seconds(5))?);
        far.await_tone(440.0, seconds(3))?;
        near.await_tone(1_000.0, seconds(3))?;
        recorder.await_event("ANSWERED", seconds(5))?;
        main.hears()?;

        near.forget();
        far.forget();
        recorder.kill();
        // It is missed when it is asked within its dialog, every 15 s.
        other.await_event("ANSWERED", seconds(30))?;
        second.hears()?;
        let gap = near.gap_max().max(far.gap_max());
        println!("longest break in audio {} ms", gap.as_millis());
        ensure!(gap <= GAP_MAX, "audio stopped for {} ms", gap.as_millis());

        let admin = node.admin()?;
        let status = admin.json("/api/v1/status")?;
        ensure!(status["calls"][0]["recording"] == "by second", "the page says {}", status["calls"][0]["recording"]);
        let call = status["calls"][0]["call"].as_str().unwrap_or_default().to_string();
        admin.request("POST", &format!("/api/v1/calls/{call}/hangup"), None)?;
        caller.finish(seconds(15))?;
        callee.finish(seconds(5))?;
        other.finish(seconds(5))?;
        node.await_metric("ringfort_calls", 0.0, seconds(5))?;
        let status = admin.json("/api/v1/status")?;
        let causes: Vec<&str> = (0..2).filter_map(|n| status["recent"][0]["recordings"][n]["cause"].as_str()).collect();
        ensure!(causes == ["no-answer", "call-ended"], "the record says {causes:?}");
        Ok(())
    })
}
