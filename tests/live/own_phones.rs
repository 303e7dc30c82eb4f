//! Calls that move between the phones of one user: taken over here, sent there, or sent elsewhere while they ring.

use ringfort_tests::ensure;
use ringfort_tests::harness::browser::Browser;
use ringfort_tests::harness::kamailio::Kamailio;
use ringfort_tests::harness::node::Node;
use ringfort_tests::harness::sip_client::{Placed, SipClient};
use ringfort_tests::harness::sipp::{Running, Sipp};
use ringfort_tests::harness::site::{DOMAIN, Site, password_of};
use ringfort_tests::harness::stream::Wire;
use ringfort_tests::harness::tone_peer::TonePeer;
use ringfort_tests::harness::wait::{await_until, seconds};
use ringfort_tests::harness::{Failure, Outcome, Scene, play};
use std::time::Duration;

const DESK_HZ: f64 = 1_000.0;
const FAR_HZ: f64 = 1_400.0;
const BROWSER_HZ: f64 = 440.0;
const OTHER_HZ: f64 = 620.0;
/// The promise: nobody hears longer silence when a call is taken over.
const GAP_MAX: Duration = Duration::from_millis(500);

/// SIPp gives up at a challenge with another algorithm than MD5.
const DESK: &str = "[[profile]]\nname = \"desk\"\ndigest = [\"MD5\"]\n[[device]]\nuser_agent = \"SIPp*\"\nprofile = \"desk\"\n";

fn node(scene: &Scene) -> Outcome<Node> {
    Node::start(scene, Site::new(scene)?.account("101").account("102").account("103").section(DESK))
}

/// A desk phone of this user: registered, answers one call, and is hung up on.
struct Desk {
    phone: Running,
    audio: TonePeer,
}

impl Desk {
    fn start(scene: &Scene, node: &Node, user: &str) -> Outcome<Desk> {
        let (port, audio) = (scene.port()?, TonePeer::start(scene.port()?, DESK_HZ)?);
        let register = Sipp::new("desk-register", "register", port).to(node.site().udp);
        register.account(user, &password_of(user)).start(scene)?.finish(seconds(10))?;
        let phone = Sipp::new("desk", "answer", port).key("tone_port", audio.port()).start(scene)?;
        Ok(Desk { phone, audio })
    }
}

/// The other party: 102, plain RTP.
struct Far {
    phone: SipClient,
    audio: TonePeer,
}

impl Far {
    fn start(scene: &Scene, node: &Node) -> Outcome<Far> {
        let mut phone = SipClient::new(Wire::udp(Node::at(node.site().udp), 0)?, "102", &password_of("102"), DOMAIN);
        ensure!(phone.register(300)?.status() == Some(200), "102 registers");
        Ok(Far { phone, audio: TonePeer::start(scene.port()?, FAR_HZ)? })
    }

    /// Calls, while somebody answers.
    fn call(&mut self, number: &str, answer: impl FnOnce() -> Outcome<()>) -> Outcome<Placed> {
        let port = self.audio.port();
        let placed = std::thread::scope(|scope| {
            let call = scope.spawn(|| self.phone.call(number, port));
            answer()?;
            call.join().unwrap_or_else(|_| Err(Failure::new("the caller panicked")))
        })?;
        self.audio.send_to(placed.media_port()?);
        Ok(placed)
    }

    /// Whoever has the call is changed: what the node asks is accepted. The longest silence until `hz` is heard.
    fn changes_to(&mut self, hz: f64, change: impl FnOnce() -> Outcome<()>) -> Outcome<Duration> {
        self.audio.forget();
        change()?;
        self.phone.accept_change(self.audio.port(), seconds(10))?;
        self.audio.await_tone(hz, seconds(10))?;
        Ok(self.audio.gap_max())
    }
}

#[test]
fn a_browser_takes_the_call_of_the_desk_phone() -> Outcome<()> {
    play("pull-desk", |scene| pull_from_desk(scene, &node(scene)?))
}

/// The call goes through the cloud, which knows nothing of the change but a re-INVITE.
#[test]
fn a_browser_takes_a_call_that_the_cloud_routed() -> Outcome<()> {
    play("pull-cloud", |scene| {
        let port = scene.port()?;
        let _cloud = Kamailio::start(scene, port, DOMAIN)?;
        let site = Site::new(scene)?.account("101").account("102").cloud(port, 4_000).section(DESK);
        let node = Node::start(scene, site)?;
        node.await_mode("normal", seconds(10))?;
        pull_from_desk(scene, &node)
    })
}

fn pull_from_desk(scene: &Scene, node: &Node) -> Outcome<()> {
    let (mut desk, mut far) = (Desk::start(scene, node, "101")?, Far::start(scene, node)?);
    far.call("101", || Ok(()))?;
    far.audio.await_tone(DESK_HZ, seconds(10))?;
    let mut browser = Browser::start(scene)?;
    browser.open_phone("ada", &node.page(), "101", &password_of("101"), BROWSER_HZ)?;
    browser.await_visible("ada", "elsewhere-call", seconds(10))?;
    browser.await_text("ada", "102", seconds(1))?;
    browser.screenshot("ada", "elsewhere")?;
    let gap = far.changes_to(BROWSER_HZ, || browser.click("ada", "pull"))?;
    println!("from the desk phone to the browser: {} ms without audio at the other party", gap.as_millis());
    ensure!(gap < GAP_MAX, "{gap:?} without audio");
    browser.await_tone("ada", FAR_HZ, seconds(10))?;
    desk.phone.finish(seconds(10))?;
    ensure!(desk.audio.packets() > 0, "the desk phone heard nothing before");
    // It is here now, and not elsewhere.
    let gone = "document.querySelector('[data-testid=elsewhere-call]') === null";
    await_until("no call elsewhere", seconds(5), || Ok((browser.evaluate("ada", gone)? == true).then_some(())))?;
    browser.click("ada", "hangup")?;
    node.await_metric("ringfort_calls", 0.0, seconds(5))
}

/// From one tab to another; and nobody else sees the call, nor may take it.
#[test]
fn a_browser_takes_the_call_of_another_browser() -> Outcome<()> {
    play("pull-browser", |scene| {
        let node = node(scene)?;
        let mut far = Far::start(scene, &node)?;
        let mut browser = Browser::start(scene)?;
        browser.open_phone("one", &node.page(), "101", &password_of("101"), BROWSER_HZ)?;
        far.call("101", || browser.click("one", "answer"))?;
        far.audio.await_tone(BROWSER_HZ, seconds(15))?;
        browser.open_phone("other", &node.page(), "101", &password_of("101"), OTHER_HZ)?;
        browser.open_phone("stranger", &node.page(), "103", &password_of("103"), 800.0)?;
        browser.await_visible("other", "elsewhere-call", seconds(10))?;
        let seen =
            |tab: &str, browser: &mut Browser| browser.evaluate(tab, "document.querySelectorAll('[data-testid=pull]').length");
        ensure!(
            seen("stranger", &mut browser)? == 0 && seen("one", &mut browser)? == 0,
            "the call is shown where it must not be"
        );
        let gap = far.changes_to(OTHER_HZ, || browser.click("other", "pull"))?;
        println!("from browser to browser: {} ms without audio at the other party", gap.as_millis());
        ensure!(gap < GAP_MAX, "{gap:?} without audio");
        browser.await_call("one", "ended", seconds(5))?;
        browser.await_tone("other", FAR_HZ, seconds(10))?;
        browser.click("other", "hangup")?;
        node.await_metric("ringfort_calls", 0.0, seconds(5))
    })
}

#[test]
fn a_call_is_sent_to_the_users_other_phone() -> Outcome<()> {
    play("push-desk", |scene| {
        let node = node(scene)?;
        let mut far = Far::start(scene, &node)?;
        let mut browser = Browser::start(scene)?;
        browser.open_phone("ada", &node.page(), "101", &password_of("101"), BROWSER_HZ)?;
        far.call("101", || browser.click("ada", "answer"))?;
        far.audio.await_tone(BROWSER_HZ, seconds(15))?;
        // It answers at once, so it comes when the call stands.
        let desk = Desk::start(scene, &node, "101")?;
        browser.click("ada", "transfer")?;
        browser.await_visible("ada", "push", seconds(10))?;
        browser.screenshot("ada", "push")?;
        browser.click("ada", "push")?;
        // First the hold, then the desk phone.
        far.phone.accept_change(far.audio.port(), seconds(10))?;
        let gap = far.changes_to(DESK_HZ, || Ok(()))?;
        println!("from the browser to the desk phone: {} ms without audio at the other party", gap.as_millis());
        desk.audio.await_tone(FAR_HZ, seconds(10))?;
        browser.await_call("ada", "ended", seconds(10))?;
        let cause = browser.attribute("ada", "call-state", "data-cause")?;
        ensure!(cause == "transferred", "the call ended with cause {cause}");
        Ok(())
    })
}

/// 302: who calls is sent to another number while it rings.
#[test]
fn a_call_that_rings_is_sent_elsewhere() -> Outcome<()> {
    play("push-ringing", |scene| {
        let node = node(scene)?;
        let mut browser = Browser::start(scene)?;
        for (tab, user, hz) in [("ada", "101", BROWSER_HZ), ("grace", "102", FAR_HZ), ("carol", "103", OTHER_HZ)] {
            browser.open_phone(tab, &node.page(), user, &password_of(user), hz)?;
        }
        browser.dial("grace", "101")?;
        browser.await_call("ada", "incoming", seconds(10))?;
        browser.screenshot("ada", "incoming")?;
        browser.direct("ada", "deflect", "103")?;
        browser.await_call("ada", "ended", seconds(5))?;
        let cause = browser.attribute("ada", "call-state", "data-cause")?;
        ensure!(cause == "deflected", "the call ended with cause {cause}");
        browser.click("carol", "answer")?;
        browser.await_tone("grace", OTHER_HZ, seconds(15))?;
        browser.await_tone("carol", FAR_HZ, seconds(10))
    })
}
