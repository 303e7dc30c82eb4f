//! The web phone's connection goes down in the middle of a change of the call: nobody knows then whether the change came about.

use ringfort_tests::ensure;
use ringfort_tests::harness::baresip::wav;
use ringfort_tests::harness::browser::Browser;
use ringfort_tests::harness::http::Api;
use ringfort_tests::harness::node::Node;
use ringfort_tests::harness::site::{Site, password_of};
use ringfort_tests::harness::wait::{await_true, await_until, seconds};
use ringfort_tests::harness::{Context, Outcome, Scene, play};
use std::time::{Duration, Instant};

const MUSIC_HZ: f64 = 700.0;
/// An answer whose ACK does not come is given up after this time (RFC 3261 13.3.1.4), and a little later it shows.
const UNACKNOWLEDGED: Duration = Duration::from_secs(36);
/// Longer than the page would try in vain without a pause.
const OUTAGE: Duration = Duration::from_secs(15);

/// The connection goes down with the next request to hold or to take back: before it has left, or before its answer has come. While it is
/// `away`, no other comes about.
const CONNECTION: &str = "{
    window.loses = null;
    window.away = false;
    window.lost = 0;
    const Native = window.WebSocket;
    window.WebSocket = class extends Native {
        constructor(url, protocols) {
            super(window.away ? 'wss://127.0.0.1:1/' : url, protocols);
        }
        send(data) {
            const { loses } = window;
            if (loses === null || !String(data).startsWith('INVITE')) return super.send(data);
            window.loses = null;
            window.lost += 1;
            if (loses === 'answer') super.send(data);
            this.onmessage = null;
            this.close();
        }
    };
}";

struct Talk {
    node: Node,
    admin: Api,
    browser: Browser,
}

impl Talk {
    /// Ada talks with Grace.
    fn begin(scene: &Scene) -> Outcome<Talk> {
        let file = scene.file("music.wav");
        std::fs::write(&file, wav(MUSIC_HZ, 8_000, 1)).during(file.display())?;
        let music =
            format!("[services]\nmusic_on_hold = \"music\"\n[[sound]]\nname = \"music\"\nfile = \"{}\"\n", file.display());
        let node = Node::start(scene, Site::new(scene)?.account("101").account("102").section(&music))?;
        let admin = node.admin()?;
        let mut browser = Browser::start(scene)?;
        browser.open_phone("grace", &node.page(), "102", &password_of("102"), 1_000.0)?;
        browser.before_pages(CONNECTION)?;
        browser.open_phone("ada", &node.page(), "101", &password_of("101"), 440.0)?;
        browser.dial("ada", "102")?;
        browser.click("grace", "answer")?;
        let mut talk = Talk { node, admin, browser };
        talk.await_talk()?;
        Ok(talk)
    }

    fn await_talk(&mut self) -> Outcome<()> {
        self.browser.await_call("ada", "connected", seconds(15))?;
        self.browser.await_tone("grace", 440.0, seconds(15))?;
        self.browser.await_tone("ada", 1_000.0, seconds(10))
    }

    /// The page says that the call is held, and it is.
    fn await_held(&mut self) -> Outcome<()> {
        self.browser.await_call("ada", "held", seconds(30))?;
        self.browser.await_tone("grace", MUSIC_HZ, seconds(10))
    }

    /// The next request is lost so, by this click.
    fn lose(&mut self, what: &str) -> Outcome<()> {
        let lost = self.browser.evaluate("ada", &format!("(window.loses = '{what}', window.lost)"))?;
        self.browser.click("ada", "hold")?;
        await_until("the connection goes down", seconds(5), || {
            Ok((self.browser.evaluate("ada", "window.lost")? != lost).then_some(()))
        })
    }

    fn await_registered(&mut self) -> Outcome<()> {
        self.browser.await_state("ada", "phone-state", "registered", seconds(40))
    }

    fn call(&self) -> Outcome<String> {
        let calls = self.admin.json("/api/v1/status")?["calls"].clone();
        ensure!(calls.as_array().is_some_and(|calls| calls.len() == 1), "one call: {calls}");
        Ok(calls[0]["call"].to_string())
    }
}

/// The call lives on, and as soon as there is a connection again it is held, or taken back, as the person wished. What the page says until
/// then is how the call was before.
#[test]
fn a_hold_that_is_lost_with_its_connection_is_asked_for_again() -> Outcome<()> {
    play("reconnecting-hold", |scene| {
        let mut talk = Talk::begin(scene)?;
        let call = talk.call()?;
        let begun = Instant::now();
        // Held, or taken back, at the node: the page cannot know.
        talk.lose("answer")?;
        talk.await_held()?;
        talk.lose("answer")?;
        talk.await_talk()?;
        // Nothing of it came to the node.
        talk.lose("request")?;
        talk.await_held()?;
        talk.lose("request")?;
        talk.await_talk()?;
        talk.await_registered()?;
        await_true("nobody waits for an ACK any more", UNACKNOWLEDGED, || begun.elapsed() > UNACKNOWLEDGED)?;
        ensure!(talk.call()? == call, "it is another call");
        // And plainly, when nothing goes wrong.
        talk.browser.click("ada", "hold")?;
        talk.await_held()?;
        talk.browser.click("ada", "hold")?;
        talk.await_talk()?;
        talk.browser.click("grace", "hangup")?;
        talk.browser.await_call("ada", "ended", seconds(10))?;
        talk.node.await_metric("ringfort_calls", 0.0, seconds(5))
    })
}

/// The connection stays away for longer: both talk on meanwhile, and the page does not say that the call is held.
#[test]
fn a_hold_waits_until_the_connection_is_back() -> Outcome<()> {
    play("reconnecting-away", |scene| {
        let mut talk = Talk::begin(scene)?;
        let call = talk.call()?;
        talk.browser.evaluate("ada", "(window.away = true)")?;
        talk.lose("request")?;
        let begun = Instant::now();
        await_until("the outage is over", OUTAGE + seconds(5), || {
            talk.browser.await_call("ada", "connected", seconds(1))?;
            Ok((begun.elapsed() > OUTAGE).then_some(()))
        })?;
        talk.browser.await_tone("grace", 440.0, seconds(5))?;
        talk.browser.evaluate("ada", "(window.away = false)")?;
        talk.await_registered()?;
        talk.await_held()?;
        ensure!(talk.call()? == call, "it is another call");
        talk.browser.click("ada", "hold")?;
        talk.await_talk()?;
        talk.browser.click("ada", "hangup")?;
        talk.node.await_metric("ringfort_calls", 0.0, seconds(10))
    })
}
