//! A browser on a host of its own: its network goes and another one comes, or goes for good; its network loses packets.

use ringfort_relay::namespace::Host;
use ringfort_tests::ensure;
use ringfort_tests::harness::baresip::{Baresip, Place, Setup};
use ringfort_tests::harness::browser::Browser;
use ringfort_tests::harness::http::Api;
use ringfort_tests::harness::network::{CARRIER, ELSEWHERE, INSIDE, Network, PHONE, Weather, at};
use ringfort_tests::harness::node::Node;
use ringfort_tests::harness::sip_client::{Placed, SipClient};
use ringfort_tests::harness::sip_message::plain_sdp;
use ringfort_tests::harness::site::{DOMAIN, Site, password_of};
use ringfort_tests::harness::stream::Wire;
use ringfort_tests::harness::tone_peer::TonePeer;
use ringfort_tests::harness::wait::{await_until, seconds};
use ringfort_tests::harness::{Context, Failure, Outcome, Scene, play};
use serde_json::Value;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

/// A desk phone on the carrier's host.
struct Desk {
    phone: SipClient,
    audio: TonePeer,
}

impl Desk {
    fn start(network: &Network, scene: &Scene, node: &Node) -> Outcome<Desk> {
        let inside: IpAddr = INSIDE.parse().during("an address")?;
        let here: IpAddr = CARRIER.parse().during("an address")?;
        at(&network.carrier, || {
            let wire = Wire::tcp(SocketAddr::new(inside, node.site().tcp))?;
            let mut phone = SipClient::new(wire, "102", &password_of("102"), DOMAIN);
            ensure!(phone.register(300)?.status() == Some(200), "102 registers");
            Ok(Desk { phone, audio: TonePeer::start_at(here, scene.port()?, 1_000.0)? })
        })
    }

    /// Calls the browser, which answers.
    fn call(&mut self, browser: &mut Browser) -> Outcome<Placed> {
        let offer = desk_sdp(&self.audio);
        let phone = &mut self.phone;
        let placed = std::thread::scope(|scope| {
            let call = scope.spawn(move || phone.invite("101", &offer));
            browser.await_call("ada", "incoming", seconds(10))?;
            browser.click("ada", "answer")?;
            call.join().map_err(|_| Failure::new("the calling thread panicked"))?
        })?;
        ensure!(placed.answer.status() == Some(200), "the call was answered {}", placed.answer.start);
        self.audio.send_to_host(SocketAddr::new(INSIDE.parse().during("an address")?, placed.media_port()?));
        Ok(placed)
    }
}

fn desk_sdp(audio: &TonePeer) -> String {
    plain_sdp(audio.port(), "sendrecv").replace("127.0.0.1", CARRIER)
}

/// The browser's address in the pair that carries its audio.
const FROM: &str = "(async () => {
    const stats = [...(await window.ringfortPhone.peerConnection().getStats()).values()];
    const transport = stats.find(({ type }) => type === 'transport');
    // Firefox has no such transport, and marks the pair itself.
    const pair = stats.find(({ id, selected }) => selected === true || (id !== undefined && id === transport?.selectedCandidatePairId));
    return stats.find(({ id }) => id === pair?.localCandidateId)?.address ?? null;
})()";

/// Everything that the browser had goes at once, its connection and its audio, and its address. By another network it registers again, says so
/// in the call, begins ICE anew, and is reached there.
#[test]
fn a_browser_takes_its_call_into_another_network() -> Outcome<()> {
    play("moving-network", |scene| {
        let Some(network) = Network::new("a_browser_takes_its_call_into_another_network", None, None) else { return Ok(()) };
        takes_its_call_along(&network, scene, Browser::start_on)
    })
}

/// The same with Firefox.
#[test]
fn firefox_takes_its_call_into_another_network() -> Outcome<()> {
    play("moving-network-firefox", |scene| {
        let Some(network) = Network::new("firefox_takes_its_call_into_another_network", None, None) else { return Ok(()) };
        takes_its_call_along(&network, scene, Browser::start_firefox_on)
    })
}

fn takes_its_call_along(network: &Network, scene: &Scene, start: fn(&Host, &Scene) -> Outcome<Browser>) -> Outcome<()> {
    network.route()?;
    let site = Site::new(scene)?.at(INSIDE).page_everywhere().account("101").account("102");
    let node = at(&network.node, || Node::start(scene, site))?;
    let mut desk = Desk::start(network, scene, &node)?;
    let mut browser = start(&network.phone, scene)?;
    browser.open_phone("ada", &node.page_at(INSIDE), "101", &password_of("101"), 440.0)?;
    let call = desk.call(&mut browser)?;
    desk.audio.await_tone(440.0, seconds(10))?;
    browser.await_tone("ada", 1_000.0, seconds(10))?;
    let admin = at(&network.node, || node.admin())?;
    let calls = || {
        let calls = at(&network.node, || admin.json("/api/v1/status"))?["calls"].clone();
        ensure!(calls.as_array().is_some_and(|calls| calls.len() == 1), "one call: {calls}");
        Ok(calls[0]["call"].clone())
    };
    let (before, from) = (calls()?, browser.evaluate("ada", FROM)?);
    ensure!(from == PHONE, "the browser's audio comes from {from}");
    desk.audio.forget();
    network.move_phone()?;
    // The browser's new offer reaches the desk phone, as each offer does.
    desk.phone.accept(seconds(40), |_| Ok(desk_sdp(&desk.audio)))?;
    desk.audio.await_tone(440.0, seconds(40))?;
    println!("no audio for {} ms", desk.audio.gap_max().as_millis());
    browser.await_tone("ada", 1_000.0, seconds(10))?;
    browser.await_state("ada", "phone-state", "registered", seconds(20))?;
    let from = browser.evaluate("ada", FROM)?;
    ensure!(from == ELSEWHERE, "the browser's audio comes from {from}");
    ensure!(calls()? == before, "it is another call");
    ensure!(desk.phone.bye(&call)?.status() == Some(200), "BYE must be answered 200");
    browser.await_call("ada", "ended", seconds(10))?;
    at(&network.node, || node.await_metric("ringfort_calls", 0.0, seconds(5)))
}

/// A call of the desk phone to a browser whose network fails for good.
struct Failing<'a> {
    network: &'a Network,
    node: Node,
    desk: Desk,
    browser: Browser,
    admin: Api,
}

impl<'a> Failing<'a> {
    fn start(network: &'a Network, scene: &Scene) -> Outcome<Failing<'a>> {
        network.route()?;
        let site = Site::new(scene)?.at(INSIDE).page_everywhere().account("101").account("102");
        let node = at(&network.node, || Node::start(scene, site))?;
        let desk = Desk::start(network, scene, &node)?;
        let mut browser = Browser::start_on(&network.phone, scene)?;
        browser.open_phone("ada", &node.page_at(INSIDE), "101", &password_of("101"), 440.0)?;
        let admin = at(&network.node, || node.admin())?;
        Ok(Failing { network, node, desk, browser, admin })
    }

    fn status(&self) -> Outcome<Value> {
        at(&self.network.node, || self.admin.json("/api/v1/status"))
    }

    /// Waits until the live call says this of the browser's audio.
    fn await_missing(&self, cause: &str, limit: Duration) -> Outcome<()> {
        let mut last = Value::Null;
        let named = await_until(cause, limit, || {
            last = self.status()?["calls"][0]["missing"][1].clone();
            Ok((last["cause"] == cause).then_some(()))
        });
        named.map_err(|failure| Failure::new(format!("{failure}: {last}")))
    }

    /// Waits until the node ends the call for this: the desk phone gets a BYE, and the record says why.
    fn await_end(&mut self, cause: &str, limit: Duration) -> Outcome<()> {
        let bye = self.desk.phone.await_request("BYE", limit)?;
        self.desk.phone.wire().send(bye.reply("200 OK", "", "", "").as_bytes())?;
        at(&self.network.node, || self.node.await_metric("ringfort_calls", 0.0, seconds(5)))?;
        let record = self.status()?["recent"][0].clone();
        ensure!(record["cause"] == cause && record["missing"][1]["cause"] == cause, "the record says {record}");
        Ok(())
    }
}

/// What the node answers to the browser's checks is lost: they arrive, and none is ever chosen.
#[test]
fn checks_whose_answers_are_lost_have_a_name() -> Outcome<()> {
    play("moving-deaf", |scene| {
        let Some(network) = Network::new("checks_whose_answers_are_lost_have_a_name", None, None) else { return Ok(()) };
        let mut failing = Failing::start(&network, scene)?;
        network.deafen_phone()?;
        failing.desk.call(&mut failing.browser)?;
        failing.await_missing("ice-incomplete", seconds(10))?;
        ensure!(network.lost_at_phone()? > 0, "the node answers nothing");
        failing.await_end("ice-incomplete", seconds(20))
    })
}

/// Consent lasts for so long after the last check (RFC 7675 5.1), which was made shortly before the network went.
const CONSENT: RangeInclusive<f64> = 20.0..=30.5;

/// The browser is gone, and nobody says so: the node stops sending when its consent has run out, and gives the call up when it cannot be asked
/// for anew.
#[test]
fn nothing_is_sent_to_a_browser_whose_consent_ran_out() -> Outcome<()> {
    play("moving-consent", |scene| {
        let Some(network) = Network::new("nothing_is_sent_to_a_browser_whose_consent_ran_out", None, None) else { return Ok(()) };
        let mut failing = Failing::start(&network, scene)?;
        failing.desk.call(&mut failing.browser)?;
        failing.desk.audio.await_tone(440.0, seconds(10))?;
        failing.browser.await_tone("ada", 1_000.0, seconds(10))?;
        network.cut_phone()?;
        let cut = Instant::now();
        let (mut sent, mut last) = (0, cut);
        let mut look = || {
            let now = network.lost_at_phone()?;
            if now != sent {
                (sent, last) = (now, Instant::now());
            }
            Ok((last.elapsed() > seconds(3)).then_some(()))
        };
        await_until("the node stops sending", seconds(40), &mut look)?;
        failing.await_missing("consent-expired", seconds(5))?;
        // It asks by a re-INVITE meanwhile, which is lost as well.
        failing.await_end("consent-expired", seconds(30))?;
        look()?;
        let sent_for = (last - cut).as_secs_f64();
        println!("{sent} packets within {sent_for:.1} s after the cut");
        ensure!(CONSENT.contains(&sent_for), "sent for {sent_for} s after the last check");
        ensure!(sent > 1_000, "{sent} packets are no audio");
        Ok(())
    })
}

/// baresip is asked for SRTP, by its name. It gives up at a challenge with another algorithm than MD5.
const SECURED: &str = "[[profile]]\nname = \"secured-phone\"\ndigest = [\"MD5\"]\nsrtp = \"required\"\n\
    [[device]]\nuser_agent = \"baresip*\"\nprofile = \"secured-phone\"\n";
/// Packets that are missing on each way before the figures are looked at.
const ENOUGH: f64 = 16.0;

/// Both hear each other all the same, and the call's record says what was lost on each of the four ways.
#[test]
fn a_browser_and_a_phone_talk_over_a_network_that_loses() -> Outcome<()> {
    play("moving-loss", |scene| {
        let bad = Some(Weather { delay_ms: 40, jitter_ms: 0, loss_percent: 4 });
        let Some(network) = Network::new("a_browser_and_a_phone_talk_over_a_network_that_loses", bad, bad) else { return Ok(()) };
        network.route()?;
        let site = Site::new(scene)?.at(INSIDE).page_everywhere().account("101").account("102").section(SECURED);
        let node = at(&network.node, || Node::start(scene, site))?;
        let setup = Setup {
            user: "102",
            hz: 1_000.0,
            node_tls: node.site().tls,
            media: "srtp-mand",
            elliptic: false,
            rtcp_mux: false,
            codec: ("pcmu", 8_000, 1),
            dials: "",
        };
        let place = Place { interface: "eth0", address: CARRIER, node: INSIDE };
        let phone = Baresip::start_on(&network.carrier, scene, &setup, place)?;
        phone.await_line("200 OK", seconds(20))?;
        let mut browser = Browser::start_on(&network.phone, scene)?;
        browser.open_phone("ada", &node.page_at(INSIDE), "101", &password_of("101"), 440.0)?;
        browser.dial("ada", "102")?;
        browser.await_tone("ada", 1_000.0, seconds(20))?;
        phone.await_tone(440.0, seconds(20))?;
        let admin = at(&network.node, || node.admin())?;
        let status = || at(&network.node, || admin.json("/api/v1/status"));
        await_until("packets that are lost on each way", seconds(60), || {
            let quality = status()?["calls"][0]["quality"].clone();
            let all = [0, 1].iter().all(|leg| ["lost", "missed"].iter().all(|name| number(&quality[leg], name) >= ENOUGH));
            Ok(all.then_some(()))
        })?;
        browser.await_tone("ada", 1_000.0, seconds(10))?;
        phone.await_tone(440.0, seconds(10))?;
        let sent = browser.evaluate("ada", SENT)?.as_f64().unwrap_or_default();
        browser.click("ada", "hangup")?;
        at(&network.node, || node.await_metric("ringfort_calls", 0.0, seconds(10)))?;
        judge(&status()?["recent"][0]["quality"], sent)
    })
}

fn number(quality: &Value, name: &str) -> f64 {
    quality[name].as_f64().unwrap_or(-1.0)
}

/// Packets that the browser sent, about as many as the phone.
const SENT: &str = "(async () => {
    const stats = [...(await window.ringfortPhone.peerConnection().getStats()).values()];
    return stats.find(({ type }) => type === 'outbound-rtp').packetsSent;
})()";

/// Four in a hundred are lost on each cable, so of what a side misses of the other one, behind both of them, nearly eight; give or take four times what chance
/// makes of some 400 packets. There and back in twice 40 ms, and what a busy machine adds.
fn judge(quality: &Value, sent: f64) -> Outcome<()> {
    println!("{sent} packets: browser {}, phone {}", quality[0], quality[1]);
    for leg in [0, 1].map(|leg| &quality[leg]) {
        for (name, within) in [("lost", 0.5..=8.0), ("missed", 1.0..=13.5)] {
            let percent = 100.0 * number(leg, name) / sent;
            ensure!(within.contains(&percent), "{percent} % {name}: {quality}");
        }
        let way_ms = number(leg, "round_trip_us") / 1_000.0;
        ensure!((75.0..=200.0).contains(&way_ms), "there and back in {way_ms} ms: {quality}");
        let mos = number(leg, "mos");
        ensure!((1.0..=4.2).contains(&mos), "MOS of {mos}: {quality}");
    }
    Ok(())
}
