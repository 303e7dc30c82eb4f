//! The web phone in Chromium: page, sign-in, SIP over secure WebSocket, ICE, DTLS-SRTP.

use ringfort_tests::ensure;
use ringfort_tests::harness::browser::Browser;
use ringfort_tests::harness::node::{ADMIN_PASSWORD, Node};
use ringfort_tests::harness::sip_client::SipClient;
use ringfort_tests::harness::site::{DOMAIN, Site, password_of};
use ringfort_tests::harness::stream::Wire;
use ringfort_tests::harness::wait::{await_until, seconds};
use ringfort_tests::harness::{Context, Outcome, Scene, play};

fn node(scene: &Scene) -> Outcome<Node> {
    Node::start(scene, Site::new(scene)?.account("101").account("102"))
}

#[test]
fn the_echo_service_echoes() -> Outcome<()> {
    play("browser-echo", |scene| {
        let node = node(scene)?;
        let mut browser = Browser::start(scene)?;
        browser.open_phone("101", &node.page(), "101", &password_of("101"), 620.0)?;
        browser.dial("101", "*43")?;
        browser.await_call("101", "connected", seconds(5))?;
        browser.await_tone("101", 620.0, seconds(5))?;
        browser.screenshot("101", "echo")?;
        browser.click("101", "hangup")?;
        browser.await_call("101", "ended", seconds(3))?;
        node.await_metric("ringfort_calls", 0.0, seconds(5))
    })
}

/// What `make run` and the README promise: no file, two demo users, the echo service.
#[test]
fn the_shipped_configuration_carries_the_first_call() -> Outcome<()> {
    play("browser-shipped", |scene| {
        let node = Node::start_shipped(scene)?;
        let mut browser = Browser::start(scene)?;
        for (user, hz) in [("101", 440.0), ("102", 1_000.0)] {
            browser.open_phone(user, &node.page(), user, &node.made_password(user)?, hz)?;
        }
        browser.dial("101", "*43")?;
        browser.await_tone("101", 440.0, seconds(8))?;
        browser.click("101", "hangup")?;
        browser.await_call("101", "ended", seconds(3))?;
        browser.dial("102", "101")?;
        browser.click("101", "answer")?;
        browser.await_tone("101", 1_000.0, seconds(8))?;
        browser.await_tone("102", 440.0, seconds(5))?;
        browser.screenshot("102", "first-call")?;
        browser.click("102", "hangup")?;
        node.await_metric("ringfort_calls", 0.0, seconds(5))
    })
}

#[test]
fn an_administrator_sees_the_node() -> Outcome<()> {
    play("browser-status", |scene| {
        // A fast path that is wanted and cannot be.
        let node = Node::start(scene, Site::new(scene)?.af_xdp(&["nowhere0"]).account("101").account("102"))?;
        node.admin()?;
        let mut browser = Browser::start(scene)?;
        browser.open_page("admin", &node.page(), "admin", ADMIN_PASSWORD)?;
        browser.await_visible("admin", "mode", seconds(5))?;
        let mode = browser.attribute("admin", "mode", "data-mode")?;
        ensure!(mode == "standalone", "the page shows mode {mode}");
        browser.await_visible("admin", "alarm", seconds(10))?;
        browser.await_text("admin", "Alarm af_xdp nowhere0:", seconds(10))?;
        node.await_metric("ringfort_alarm{alarm=\"af_xdp nowhere0\"}", 1.0, seconds(10))?;
        browser.open_phone("ada", &node.page(), "101", &password_of("101"), 440.0)?;
        browser.dial("ada", "*43")?;
        browser.await_call("ada", "connected", seconds(5))?;
        browser.await_text("admin", "*43", seconds(5))?;
        // As text, for whoever has no pointer, and counted.
        browser.await_text("admin", "by sockets: SRTP begins or ends here", seconds(10))?;
        node.await_metric("ringfort_media_flows{tier=\"sockets\",program=\"none\",reason=\"secure\"}", 1.0, seconds(10))?;
        browser.await_text("admin", "no limit", seconds(3))?;
        browser.screenshot("admin", "status")?;
        browser.click("ada", "hangup")
    })
}

/// The port of the node that the browser's audio goes to.
const NODE_AT: &str = "(async () => {
    const stats = [...(await window.ringfortPhone.peerConnection().getStats()).values()];
    const pair = stats.find(({ type, nominated }) => type === 'candidate-pair' && nominated);
    return stats.find(({ id }) => id === pair.remoteCandidateId).port;
})()";

#[test]
fn two_tabs_talk_and_hang_up() -> Outcome<()> {
    play("browser-two-tabs", |scene| {
        let node = node(scene)?;
        let mut browser = Browser::start(scene)?;
        browser.open_phone("ada", &node.page(), "101", &password_of("101"), 440.0)?;
        browser.open_phone("grace", &node.page(), "102", &password_of("102"), 1_000.0)?;
        browser.dial("ada", "102")?;
        browser.await_call("grace", "incoming", seconds(5))?;
        browser.await_call("ada", "ringing", seconds(3))?;
        browser.click("grace", "answer")?;
        browser.await_call("ada", "connected", seconds(5))?;
        browser.await_tone("ada", 1_000.0, seconds(5))?;
        browser.await_tone("grace", 440.0, seconds(5))?;
        let [ada, grace] = [browser.evaluate("ada", NODE_AT)?, browser.evaluate("grace", NODE_AT)?];
        ensure!(ada.is_u64() && ada == grace, "browsers share one port of the node: {ada}, {grace}");
        await_until("`ringfort calls` shows what carries both parties' audio", seconds(5), || {
            let calls = node.calls()?;
            let shown = calls.contains("101 to 102") && calls.matches("by sockets (SRTP begins or ends here)").count() == 2;
            Ok(shown.then_some(()))
        })?;
        browser.click("grace", "hangup")?;
        browser.await_call("ada", "ended", seconds(3))?;
        let cause = browser.attribute("ada", "call-state", "data-cause")?;
        ensure!(cause == "normal", "the call ended with cause {cause}");
        node.await_metric("ringfort_calls", 0.0, seconds(5))
    })
}

/// The page's WebSockets meet nobody while `ringfortAway` is set.
const AWAY: &str = "(() => {
    const Real = window.WebSocket;
    window.ringfortSockets = [];
    window.WebSocket = class extends Real {
        constructor(url, protocols) {
            super(window.ringfortAway ? 'wss://127.0.0.1:1/' : url, protocols);
            window.ringfortSockets.push(this);
        }
    };
})()";
const GO_AWAY: &str = "window.ringfortAway = true; window.ringfortSockets.forEach((socket) => socket.close())";

#[test]
fn a_hang_up_without_connection_is_said_when_it_is_back() -> Outcome<()> {
    play("browser-hang-up-away", |scene| {
        let node = node(scene)?;
        let mut browser = Browser::start(scene)?;
        browser.before_pages(AWAY)?;
        browser.open_phone("ada", &node.page(), "101", &password_of("101"), 440.0)?;
        browser.open_phone("grace", &node.page(), "102", &password_of("102"), 1_000.0)?;
        browser.dial("ada", "102")?;
        browser.click("grace", "answer")?;
        browser.await_tone("ada", 1_000.0, seconds(10))?;
        browser.evaluate("ada", GO_AWAY)?;
        browser.await_state("ada", "phone-state", "offline", seconds(10))?;
        browser.click("ada", "hangup")?;
        browser.await_call("ada", "ended", seconds(5))?;
        browser.evaluate("ada", "window.ringfortAway = false")?;
        browser.evaluate("ada", "window.dispatchEvent(new Event('online'))")?;
        browser.await_call("grace", "ended", seconds(25))?;
        node.await_metric("ringfort_calls", 0.0, seconds(10))?;
        let status = node.admin()?.json("/api/v1/status")?;
        let cause = status["recent"][0]["cause"].as_str().unwrap_or_default().to_string();
        ensure!(cause == "normal", "the record names the cause `{cause}`");
        Ok(())
    })
}

#[test]
fn a_call_may_be_held_and_taken_back() -> Outcome<()> {
    play("browser-hold", |scene| {
        let node = node(scene)?;
        let mut browser = Browser::start(scene)?;
        browser.open_phone("ada", &node.page(), "101", &password_of("101"), 440.0)?;
        browser.open_phone("grace", &node.page(), "102", &password_of("102"), 1_000.0)?;
        browser.dial("ada", "102")?;
        browser.click("grace", "answer")?;
        browser.await_tone("grace", 440.0, seconds(8))?;
        browser.click("ada", "hold")?;
        browser.await_call("ada", "held", seconds(5))?;
        // At once: the other side has not agreed to the hold yet, and the second re-INVITE has to wait for the first.
        browser.click("ada", "hold")?;
        browser.await_call("ada", "connected", seconds(5))?;
        browser.await_tone("grace", 440.0, seconds(5))?;
        browser.await_tone("ada", 1_000.0, seconds(5))?;
        browser.click("ada", "hangup")?;
        browser.await_call("grace", "ended", seconds(3))
    })
}

/// 103 calls both browsers, and joins them: each call may have its ports on another worker of the relay.
#[test]
fn an_attended_transfer_joins_two_browsers() -> Outcome<()> {
    play("browser-transfer", |scene| {
        let site = Site::new(scene)?.account("101").account("102").account("103").workers(8);
        let node = Node::start(scene, site)?;
        let mut browser = Browser::start(scene)?;
        browser.open_phone("ada", &node.page(), "101", &password_of("101"), 440.0)?;
        browser.open_phone("grace", &node.page(), "102", &password_of("102"), 1_000.0)?;
        let mut phone = SipClient::new(Wire::udp(Node::at(node.site().udp), 0)?, "103", &password_of("103"), DOMAIN);
        ensure!(phone.register(300)?.status() == Some(200), "103 registers");
        let mut calls = Vec::new();
        for (tab, number, port) in [("ada", "101", 41_000), ("grace", "102", 41_002)] {
            let placed = std::thread::scope(|scope| {
                let call = scope.spawn(|| phone.call(number, port));
                browser.await_call(tab, "incoming", seconds(5))?;
                browser.click(tab, "answer")?;
                call.join().unwrap_or_else(|_| Err(ringfort_tests::harness::Failure::new("the caller panicked")))
            })?;
            browser.await_call(tab, "connected", seconds(5))?;
            calls.push(placed);
        }
        let answer = phone.refer(&calls[0], "102", &calls[1])?;
        ensure!(answer.status() == Some(202), "REFER was answered {}", answer.start);
        browser.await_tone("ada", 1_000.0, seconds(8))?;
        browser.await_tone("grace", 440.0, seconds(5))?;
        browser.click("grace", "hangup")?;
        browser.await_call("ada", "ended", seconds(3))
    })
}

#[test]
fn a_callee_may_refuse() -> Outcome<()> {
    play("browser-refuse", |scene| {
        let node = node(scene)?;
        let mut browser = Browser::start(scene)?;
        browser.open_phone("ada", &node.page(), "101", &password_of("101"), 440.0)?;
        browser.open_phone("grace", &node.page(), "102", &password_of("102"), 1_000.0)?;
        browser.dial("ada", "102")?;
        browser.click("grace", "reject")?;
        browser.await_call("ada", "ended", seconds(5))?;
        let cause = browser.attribute("ada", "call-state", "data-cause")?;
        ensure!(cause == "declined", "the call ended with cause {cause}");
        node.await_metric("ringfort_calls", 0.0, seconds(5))
    })
}

/// Live by what happens, and when it is over from those that ended; without names for whoever it is passed on to.
#[test]
fn a_call_opens_to_its_timeline() -> Outcome<()> {
    play("browser-timeline", |scene| {
        let node = node(scene)?;
        let admin = node.admin()?;
        let mut browser = Browser::start(scene)?;
        browser.open_page("admin", &node.page(), "admin", ADMIN_PASSWORD)?;
        browser.open_phone("ada", &node.page(), "101", &password_of("101"), 440.0)?;
        browser.dial("ada", "*43")?;
        browser.await_tone("ada", 440.0, seconds(20))?;
        // The status is told now and then, and audio may be quicker.
        let call = await_until("a live call in the status", seconds(10), || {
            Ok(admin.json("/api/v1/status")?["calls"][0]["call"].as_str().map(str::to_string))
        })?;
        let button = format!("timeline-{call}");
        browser.await_visible("admin", &button, seconds(20))?;
        browser.click("admin", &button)?;
        let happened = ["call-started", "call-routed", "call-answered", "codec", "ice-checked", "ice-selected", "dtls-begun"];
        for step in happened.into_iter().chain(["dtls-done", "media-ready", "first-audio", "tier", "quality"]) {
            browser.await_visible("admin", &format!("step-{step}"), seconds(30))?;
        }
        let focused = "document.activeElement.contains(document.querySelector('[data-testid=timeline]'))";
        ensure!(browser.evaluate("admin", focused)? == true, "the timeline has the focus when it opens");
        browser.screenshot("admin", "timeline")?;
        browser.click("ada", "hangup")?;
        browser.await_visible("admin", "step-call-ended", seconds(30))?;
        browser.click("admin", "timeline-close")?;
        browser.await_visible("admin", &button, seconds(20))?;
        browser.click("admin", &button)?;
        browser.await_visible("admin", "step-call-ended", seconds(20))?;
        let told = node.calls_with(&["--timeline", &call])?;
        let done = told.lines().find(|line| line.contains("dtls-done")).unwrap_or_default();
        ensure!(done.contains("suite aes-") && (done.contains("version 1.2") || done.contains("version 1.3")), "{told}");
        println!("{}", done.trim());
        let end = told.lines().last().unwrap_or_default();
        ensure!(end.contains("call-ended") && end.contains("cause normal"), "{told}");
        // Which of its addresses a browser takes is its own choice.
        let peer = told.lines().find_map(|line| line.split_once("ice-selected  peer ")).map(|(_, peer)| peer.trim());
        let host = peer.and_then(|peer| peer.parse::<std::net::SocketAddr>().ok()).map(|peer| peer.ip().to_string());
        let host = host.during(format!("whoever may see it sees addresses: {told}"))?;
        for masked in [
            node.calls_with(&["--timeline", &call, "--anonymous", "--json"])?,
            admin.json(&format!("/api/v1/calls/{call}/timeline?anonymous=true"))?.to_string(),
        ] {
            ensure!(masked.contains("dtls-done") && !masked.contains(&host), "{masked}");
        }
        Ok(())
    })
}

#[test]
fn a_wrong_password_opens_nothing() -> Outcome<()> {
    play("browser-wrong-password", |scene| {
        let node = node(scene)?;
        let mut browser = Browser::start(scene)?;
        let opened = browser.open_phone("ada", &node.page(), "101", "wrong", 440.0);
        ensure!(opened.is_err(), "signed in with a wrong password");
        let shown = browser.evaluate("ada", "document.querySelector('[data-testid=signin-error]')?.textContent")?;
        ensure!(shown.as_str().is_some_and(|text| !text.is_empty()), "nothing is said about the wrong password");
        Ok(())
    })
}

/// The offer of a browser, from a real one, whose media will never arrive.
const OFFER: &str = "(async () => {
    const connection = new RTCPeerConnection({ bundlePolicy: 'max-bundle', rtcpMuxPolicy: 'require' });
    connection.addTransceiver('audio');
    const offer = await connection.createOffer();
    return offer.sdp;
})()";

#[test]
fn a_browser_that_never_completes_ice_is_cleared() -> Outcome<()> {
    play("browser-no-ice", |scene| {
        let node = node(scene)?;
        let mut browser = Browser::start(scene)?;
        browser.open_phone("ada", &node.page(), "101", &password_of("101"), 440.0)?;
        let offer = browser.evaluate("ada", OFFER)?.as_str().during("the browser made no offer")?.to_string();
        drop(browser);
        let wire = Wire::wss(Node::at(node.site().web), "/sip")?;
        let mut client = SipClient::new(wire, "102", &password_of("102"), DOMAIN);
        let call = client.invite("*43", &offer)?;
        ensure!(call.answer.status() == Some(200), "the call was answered {}", call.answer.start);
        node.await_metric("ringfort_calls", 1.0, seconds(2))?;
        // The node gives a browser 15 seconds, then says BYE.
        client.await_request("BYE", seconds(20))?;
        node.await_metric("ringfort_calls", 0.0, seconds(5))?;
        let admin = node.admin()?;
        let status = admin.json("/api/v1/status")?;
        let cause = status["recent"][0]["cause"].as_str().unwrap_or_default().to_string();
        ensure!(cause == "ice-timeout", "the record names the cause `{cause}`");
        Ok(())
    })
}

#[test]
fn a_closed_tab_ends_its_call() -> Outcome<()> {
    play("browser-closed-tab", |scene| {
        let node = node(scene)?;
        let mut browser = Browser::start(scene)?;
        browser.open_phone("ada", &node.page(), "101", &password_of("101"), 440.0)?;
        browser.open_phone("grace", &node.page(), "102", &password_of("102"), 1_000.0)?;
        browser.dial("ada", "102")?;
        browser.click("grace", "answer")?;
        browser.await_call("ada", "connected", seconds(8))?;
        browser.close("grace")?;
        browser.await_call("ada", "ended", seconds(10))?;
        node.await_metric("ringfort_calls", 0.0, seconds(5))
    })
}

/// When a step of this party happened, ms; 0: not yet.
fn at(timeline: &serde_json::Value, party: &str, what: &str) -> u64 {
    let steps = timeline["steps"].as_array().into_iter().flatten();
    let mut found = steps.filter(|step| step["what"] == what && step["party"] == party);
    found.find_map(|step| step["at"].as_u64()).unwrap_or_default()
}

/// From the answer to the first audio, ms: the goal, which most calls must meet.
const FIRST_AUDIO_MS: u64 = 200;

/// The first packet of the browser's audio comes soon after the answer: nothing waits for a timer. The node's own timeline is the clock.
#[test]
fn first_audio_follows_the_answer() -> Outcome<()> {
    play("browser-first-audio", |scene| {
        let node = node(scene)?;
        let admin = node.admin()?;
        let mut browser = Browser::start(scene)?;
        browser.open_phone("101", &node.page(), "101", &password_of("101"), 620.0)?;
        let mut times = Vec::new();
        for _ in 0..7 {
            browser.dial("101", "*43")?;
            browser.await_tone("101", 620.0, seconds(10))?;
            let call = await_until("a live call in the status", seconds(10), || {
                Ok(admin.json("/api/v1/status")?["calls"][0]["call"].as_str().map(str::to_string))
            })?;
            let timeline = await_until("the first audio", seconds(5), || {
                let timeline = admin.json(&format!("/api/v1/calls/{call}/timeline"))?;
                Ok((at(&timeline, "caller", "first-audio") > 0).then_some(timeline))
            })?;
            let steps = [("", "call-answered"), ("caller", "dtls-done"), ("caller", "first-audio")];
            let times_of = steps.map(|(party, what)| at(&timeline, party, what));
            ensure!(times_of[0] > 0 && times_of.is_sorted(), "{steps:?} at {times_of:?}: {timeline}");
            times.push(times_of[2] - times_of[0]);
            browser.click("101", "hangup")?;
            browser.await_call("101", "ended", seconds(5))?;
            node.await_metric("ringfort_calls", 0.0, seconds(5))?;
        }
        times.sort_unstable();
        println!("first audio after the answer: {times:?} ms, median {}, at most {}", times[3], times[6]);
        ensure!(times[3] <= FIRST_AUDIO_MS, "the first audio came {times:?} ms after the answers");
        Ok(())
    })
}
