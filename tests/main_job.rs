//! The main job, as one story that the test and `make demo` both tell: a browser calls over a trunk, the cloud is lost and found
//! again, and people go on talking.

use crate::ensure;
use crate::harness::browser::Browser;
use crate::harness::kamailio::Kamailio;
use crate::harness::node::Node;
use crate::harness::sipp::{Running, Sipp};
use crate::harness::site::{DOMAIN, Site, password_of};
use crate::harness::tone_peer::TonePeer;
use crate::harness::wait::seconds;
use crate::harness::{Outcome, Scene};
use std::time::{Duration, Instant};

/// The promise: so long after the cloud's death at most, the node routes by itself.
pub const SURVIVABLE_WITHIN: Duration = Duration::from_secs(5);
/// The promise: the very call that meets the dead cloud rings elsewhere in this time.
pub const REROUTED_WITHIN: Duration = Duration::from_secs(2);
/// How long the cloud must answer again; shorter than by default, so that the story is.
const HOLD_DOWN: Duration = Duration::from_secs(4);
/// Longest break in audio that nobody should notice as one.
const GAP_MAX: Duration = Duration::from_millis(500);

const ADA_HZ: f64 = 440.0;
const GRACE_HZ: f64 = 620.0;
const DESK_HZ: f64 = 1_000.0;
const CARRIER_HZ: f64 = 1_400.0;

/// Who hears how the story goes: the step, and what was seen.
pub type Listener<'a> = dyn FnMut(&str, &str) + 'a;

/// Tells the whole story; ends at the first thing that is not as it must be.
pub fn tell(scene: &Scene, heard: &mut Listener<'_>) -> Outcome<()> {
    let mut stage = Stage::set(scene, heard)?;
    stage.register(heard)?;
    stage.call_the_carrier(heard)?;
    stage.lose_the_cloud(heard)?;
    stage.desk_phone_calls_browser(heard)?;
    stage.find_the_cloud(heard)?;
    stage.close(heard)
}

/// Everybody who takes part. Ada (101) talks to the carrier all the time; Grace (103) and the desk phone (102) call each other.
struct Stage<'a> {
    scene: &'a Scene,
    cloud_port: u16,
    cloud: Option<Kamailio>,
    node: Node,
    browser: Browser,
    carrier: Running,
    carrier_audio: TonePeer,
    desk_port: u16,
    desk_audio: TonePeer,
}

impl<'a> Stage<'a> {
    fn set(scene: &'a Scene, heard: &mut Listener<'_>) -> Outcome<Stage<'a>> {
        let (cloud_port, carrier_port) = (scene.port()?, scene.port()?);
        let cloud = Kamailio::start(scene, cloud_port, DOMAIN)?;
        let carrier_audio = TonePeer::start(scene.port()?, CARRIER_HZ)?;
        let carrier = Sipp::new("carrier", "answer", carrier_port).key("tone_port", carrier_audio.port()).start(scene)?;
        let site = Site::new(scene)?
            .account("101")
            .account("102")
            .account("103")
            .cloud(cloud_port, HOLD_DOWN.as_millis() as u32)
            .trunk("carrier", carrier_port)
            .route("outside", "0*", "trunk:carrier");
        let node = Node::start(scene, site)?;
        let took = node.await_mode("normal", seconds(5))?;
        heard("The node runs, the cloud answers", &format!("mode normal after {} ms", took.as_millis()));
        let desk_audio = TonePeer::start(scene.port()?, DESK_HZ)?;
        let browser = Browser::start(scene)?;
        Ok(Stage {
            scene,
            cloud_port,
            cloud: Some(cloud),
            node,
            browser,
            carrier,
            carrier_audio,
            desk_port: scene.port()?,
            desk_audio,
        })
    }

    /// Everybody registers with the cloud, by the node.
    fn register(&mut self, heard: &mut Listener<'_>) -> Outcome<()> {
        let desk = Sipp::new("desk-register", "register", self.desk_port).to(self.node.site().udp);
        desk.account("102", &password_of("102")).start(self.scene)?.finish(seconds(10))?;
        self.await_at_cloud("102")?;
        heard("A desk phone registers over UDP", "the cloud challenged and granted it");
        for (user, hz) in [("101", ADA_HZ), ("103", GRACE_HZ)] {
            self.browser.open_phone(user, &self.node.page(), user, &password_of(user), hz)?;
            self.await_at_cloud(user)?;
        }
        heard("Two web phones in Chromium register over secure WebSocket", "the cloud challenged and granted them");
        Ok(())
    }

    fn await_at_cloud(&self, user: &str) -> Outcome<()> {
        self.cloud.as_ref().map_or(Ok(()), |cloud| cloud.await_registered(user, 1))
    }

    fn call_the_carrier(&mut self, heard: &mut Listener<'_>) -> Outcome<()> {
        let begun = Instant::now();
        self.browser.dial("101", "0301234")?;
        self.carrier.await_event("RINGING", seconds(5))?;
        let rang = begun.elapsed();
        self.browser.await_call("101", "connected", seconds(5))?;
        self.expect_trunk_audio()?;
        heard(
            "Ada's browser calls a number; the trunk answers with plain RTP",
            &format!("rang after {} ms, {ADA_HZ} and {CARRIER_HZ} Hz heard both ways", rang.as_millis()),
        );
        self.browser.click("101", "keypad-4")?;
        self.browser.click("101", "keypad-2")?;
        self.carrier_audio.await_keys("42", seconds(5))?;
        heard("Ada presses 4 and 2", "the carrier got them as telephone events");
        self.carrier_audio.forget();
        Ok(())
    }

    /// Each side of the call over the trunk hears the other one now.
    fn expect_trunk_audio(&mut self) -> Outcome<()> {
        self.carrier_audio.await_tone(ADA_HZ, seconds(5))?;
        self.browser.await_tone("101", CARRIER_HZ, seconds(5))
    }

    fn lose_the_cloud(&mut self, heard: &mut Listener<'_>) -> Outcome<()> {
        let mut desk = self.desk_phone("desk-answers").start(self.scene)?;
        if let Some(cloud) = self.cloud.take() {
            cloud.kill()?;
        }
        let killed = Instant::now();
        self.browser.dial("103", "102")?;
        let dialled = Instant::now();
        heard("The cloud is killed; at once Grace's browser dials the desk phone", "the node does not know of it yet");
        desk.await_event("RINGING", REROUTED_WITHIN + seconds(3))?;
        let rang = dialled.elapsed();
        ensure!(rang <= REROUTED_WITHIN, "the desk phone rang {} ms after the call", rang.as_millis());
        heard("The call that met the dead cloud is rerouted: the desk phone rings", &format!("after {} ms", rang.as_millis()));
        self.node.await_mode("survivable", SURVIVABLE_WITHIN)?;
        let survivable = killed.elapsed();
        ensure!(survivable <= SURVIVABLE_WITHIN, "survivable only after {} ms", survivable.as_millis());
        heard("The node is survivable", &format!("{} ms after the kill at most", survivable.as_millis()));
        self.browser.await_call("103", "connected", seconds(5))?;
        self.expect_desk_audio()?;
        self.browser.click("103", "hangup")?;
        desk.finish(seconds(5))?;
        heard("Grace and the desk phone talk", &format!("{GRACE_HZ} and {DESK_HZ} Hz heard both ways"));
        self.expect_unbroken(heard)
    }

    fn desk_phone(&self, name: &str) -> Sipp {
        Sipp::new(name, "answer", self.desk_port).key("tone_port", self.desk_audio.port())
    }

    fn expect_desk_audio(&mut self) -> Outcome<()> {
        self.desk_audio.await_tone(GRACE_HZ, seconds(5))?;
        self.browser.await_tone("103", DESK_HZ, seconds(5))
    }

    fn desk_phone_calls_browser(&mut self, heard: &mut Listener<'_>) -> Outcome<()> {
        let desk = Sipp::new("desk-calls", "call-until-bye", self.desk_port).to(self.node.site().udp).number("103");
        let mut desk = desk.key("user", "102").key("tone_port", self.desk_audio.port()).start(self.scene)?;
        self.browser.await_call("103", "incoming", seconds(5))?;
        self.browser.click("103", "answer")?;
        self.desk_audio.send_to(desk.await_number("ANSWERED", "media", seconds(5))?);
        self.browser.await_call("103", "connected", seconds(5))?;
        self.expect_desk_audio()?;
        self.browser.click("103", "hangup")?;
        desk.finish(seconds(5))?;
        heard("The desk phone calls Grace's browser", &format!("{DESK_HZ} and {GRACE_HZ} Hz heard both ways"));
        Ok(())
    }

    fn find_the_cloud(&mut self, heard: &mut Listener<'_>) -> Outcome<()> {
        self.cloud = Some(Kamailio::start(self.scene, self.cloud_port, DOMAIN)?);
        let back = Instant::now();
        self.node.await_mode("normal", HOLD_DOWN + seconds(10))?;
        let took = back.elapsed();
        ensure!(took + seconds(1) >= HOLD_DOWN, "trusted after {} ms, before the hold-down is over", took.as_millis());
        let waited = format!("after {:.1} s, of which {} s are the hold-down", took.as_secs_f64(), HOLD_DOWN.as_secs());
        heard("The cloud is back, and the node returns to normal by itself", &waited);
        self.expect_unbroken(heard)
    }

    /// Ada's call lives, and has lived all the time since it was measured last.
    fn expect_unbroken(&mut self, heard: &mut Listener<'_>) -> Outcome<()> {
        let gap = self.carrier_audio.gap_max();
        ensure!(gap <= GAP_MAX, "the call over the trunk was silent for {} ms", gap.as_millis());
        self.expect_trunk_audio()?;
        heard("Ada still talks over the trunk", &format!("longest break so far {} ms", gap.as_millis()));
        Ok(())
    }

    fn close(&mut self, heard: &mut Listener<'_>) -> Outcome<()> {
        self.browser.screenshot("101", "ada-talks")?;
        self.browser.click("101", "hangup")?;
        self.carrier.finish(seconds(5))?;
        self.node.await_metric("ringfort_calls", 0.0, seconds(5))?;
        self.node.must_run()?;
        heard("Ada hangs up", "the carrier was told, and no call is left in the node");
        Ok(())
    }
}
