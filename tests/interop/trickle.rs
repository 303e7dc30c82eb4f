//! Candidates that come late (RFC 8838) from real browsers: `browser/trickle.js` offers or answers before it has looked for any, and tells
//! each by INFO (RFC 8840). The node waits for none of them: its ICE is lite.

use ringfort_tests::ensure;
use ringfort_tests::harness::browser::Browser;
use ringfort_tests::harness::interface::{self, DefaultRoute};
use ringfort_tests::harness::node::{ADMIN_PASSWORD, Node};
use ringfort_tests::harness::sip_client::SipClient;
use ringfort_tests::harness::sip_message::{SipMessage, audio_host, audio_port, plain_sdp};
use ringfort_tests::harness::site::{DOMAIN, Site, password_of};
use ringfort_tests::harness::stream::Wire;
use ringfort_tests::harness::tone_peer::TonePeer;
use ringfort_tests::harness::wait::{await_until, seconds};
use ringfort_tests::harness::{Context, Failure, Outcome, Scene, play};
use serde_json::Value;

const AGENT: &str = include_str!("../browser/trickle.js");
const TAB: &str = "ada";

/// What the browser's description has of its candidates.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Offers {
    /// None: all come late.
    None,
    /// All; only their end comes late (half trickle, RFC 8838 16).
    All,
}

/// A browser without the page's phone, and a desk phone.
struct Parties {
    node: Node,
    browser: Browser,
    desk: SipClient,
    audio: TonePeer,
}

impl Parties {
    fn meet(scene: &Scene, node: Node, mut browser: Browser) -> Outcome<Parties> {
        node.admin()?;
        browser.open_page(TAB, &node.page(), "admin", ADMIN_PASSWORD)?;
        browser.evaluate(TAB, AGENT)?;
        let mut desk = SipClient::new(Wire::tcp(Node::at(node.site().tcp))?, "102", &password_of("102"), DOMAIN);
        ensure!(desk.register(300)?.status() == Some(200), "102 registers");
        let audio = TonePeer::start(scene.port()?, 1_000.0)?;
        Ok(Parties { node, browser, desk, audio })
    }

    /// Begins what the agent does; it goes on by itself.
    fn begin(&mut self, what: &str) -> Outcome<()> {
        let url = format!("wss://127.0.0.1:{}/sip", self.node.site().web);
        let account = format!("{{ url: '{url}', user: '101', password: '{}', domain: '{DOMAIN}' }}", password_of("101"));
        let script = format!(
            "(() => {{
                window.agent = new window.trickle.Agent({account});
                window.failed = null;
                window.done = false;
                window.agent.{what}.then(() => (window.done = true), (error) => (window.failed = String(error)));
            }})()"
        );
        self.browser.evaluate(TAB, &script).map(drop)
    }

    fn state(&mut self) -> Outcome<Value> {
        let state = self.browser.evaluate(TAB, "({ ...window.agent.state(), done: window.done, failed: window.failed })")?;
        ensure!(state["failed"].is_null(), "the agent failed: {state}");
        Ok(state)
    }

    fn await_state(&mut self, what: &str, holds: impl Fn(&Value) -> bool) -> Outcome<Value> {
        let mut last = Value::Null;
        let found = await_until(what, seconds(15), || {
            last = self.state()?;
            Ok(holds(&last).then_some(()))
        });
        found.map(|()| last.clone()).map_err(|failure| Failure::new(format!("{failure}: {last}")))
    }

    /// The browser calls the desk phone, which rings until all candidates have been told.
    fn browser_calls(&mut self, offers: Offers) -> Outcome<()> {
        self.begin(&format!("call('102', {})", offers == Offers::All))?;
        let invite = self.desk.await_request("INVITE", seconds(10))?;
        self.answer(&invite, "180 Ringing", "")?;
        let told = self.await_state("the end of candidates, while it rings", was_told)?;
        ensure!(all(&told, |info| info["early"] == true), "in the early dialog: {told}");
        self.answer(&invite, "200 OK", &plain_sdp(self.audio.port(), "sendrecv"))?;
        self.desk.await_request("ACK", seconds(10))?;
        self.send_to(&invite.body)?;
        self.await_talk(offers)?;
        self.browser_hangs_up()
    }

    fn answer(&mut self, invite: &SipMessage, status: &str, sdp: &str) -> Outcome<()> {
        let contact = format!("Contact: <sip:102@{};transport=tcp>\r\n", self.desk.wire().local()?);
        self.desk.wire().send(invite.reply(status, "desk", &contact, sdp).as_bytes())
    }

    fn send_to(&self, sdp: &str) -> Outcome<()> {
        let port = audio_port(sdp).during(format_args!("no audio line in {sdp:?}"))?;
        self.audio.send_to_host((audio_host(sdp)?, port).into());
        Ok(())
    }

    /// The desk phone calls the browser, whose answer has no candidate yet.
    fn browser_is_called(&mut self) -> Outcome<()> {
        self.begin("answer()")?;
        self.await_state("registered", |state| state["done"] == true)?;
        let placed = self.desk.call("101", self.audio.port())?;
        self.send_to(&placed.answer.body)?;
        self.await_state("the end of candidates", was_told)?;
        self.await_talk(Offers::None)?;
        ensure!(self.desk.bye(&placed)?.status() == Some(200), "BYE must be answered 200");
        self.await_state("the call ends", |state| state["ended"] == true).map(drop)
    }

    fn await_talk(&mut self, offers: Offers) -> Outcome<()> {
        let state = self.await_state("ICE and DTLS", |state| state["dtls"] == "connected")?;
        println!("{offers:?}: {state}");
        ensure!((state["own"] == 0) == (offers == Offers::None), "{offers:?}: {state}");
        ensure!(
            state["theirs"] == 1 && state["whole"] == true && state["lite"] == true,
            "the node tells all it has at once: {state}"
        );
        let named = |name: &str| state[name].as_str().is_some_and(|value| value.contains("trickle-ice"));
        ensure!(named("supported") && named("packages"), "the node says that candidates may come late: {state}");
        ensure!(all(&state, |info| info["status"] == 200), "each INFO is answered 200: {state}");
        let late = state["informed"].as_array().map_or(0, Vec::len);
        ensure!((late > 1) == (offers == Offers::None), "{offers:?}: {late} INFO");
        self.browser.await_tone(TAB, 1_000.0, seconds(10))?;
        self.audio.await_tone(440.0, seconds(10))
    }

    fn browser_hangs_up(&mut self) -> Outcome<()> {
        self.browser.evaluate(TAB, "void window.agent.bye()")?;
        let bye = self.desk.await_request("BYE", seconds(5))?;
        self.desk.wire().send(bye.reply("200 OK", "desk", "", "").as_bytes())?;
        self.node.await_metric("ringfort_calls", 0.0, seconds(5))
    }
}

fn was_told(state: &Value) -> bool {
    state["informed"].as_array().into_iter().flatten().any(|info| info["last"] == true)
}

fn all(state: &Value, holds: impl Fn(&Value) -> bool) -> bool {
    state["informed"].as_array().is_some_and(|all| !all.is_empty() && all.iter().all(holds))
}

fn every_way(mut parties: Parties) -> Outcome<()> {
    parties.browser_calls(Offers::None)?;
    parties.browser_calls(Offers::All)?;
    parties.browser_is_called()
}

#[test]
fn chromium_tells_its_candidates_late() -> Outcome<()> {
    play("interop-trickle", |scene| {
        let node = Node::start(scene, Site::new(scene)?.account("101").account("102"))?;
        interface::raise()?;
        let browser = Browser::start(scene)?;
        every_way(Parties::meet(scene, node, browser)?)
    })
}

#[test]
fn firefox_tells_its_candidates_late() -> Outcome<()> {
    play("interop-trickle-firefox", |scene| {
        let node = Node::start(scene, Site::new(scene)?.media_at(interface::ADDRESS).account("101").account("102"))?;
        interface::raise()?;
        let turn = Browser::start(scene)?;
        // Firefox does not look from an address of the network into loopback. The route is there in this test's turn only.
        let _route = DefaultRoute::raise()?;
        let browser = turn.firefox(scene)?;
        every_way(Parties::meet(scene, node, browser)?)
    })
}
