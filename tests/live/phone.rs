//! What a person does with more than one call: a second one, swaps, transfers, conferences. In Chromium, judged by who hears whom.

use ringfort_tests::ensure;
use ringfort_tests::harness::baresip::wav;
use ringfort_tests::harness::browser::Browser;
use ringfort_tests::harness::node::Node;
use ringfort_tests::harness::sip_client::SipClient;
use ringfort_tests::harness::sip_message::plain_sdp;
use ringfort_tests::harness::site::{DOMAIN, Site, password_of};
use ringfort_tests::harness::stream::Wire;
use ringfort_tests::harness::tone_peer::TonePeer;
use ringfort_tests::harness::wait::{await_until, seconds};
use ringfort_tests::harness::{Context, Failure, Outcome, Scene, play};

const ADA: (&str, &str, f64) = ("ada", "101", 440.0);
const GRACE: (&str, &str, f64) = ("grace", "102", 1_000.0);
const CAROL: (&str, &str, f64) = ("carol", "103", 1_400.0);
const DAVE: (&str, &str, f64) = ("dave", "104", 620.0);
const MUSIC_HZ: f64 = 700.0;

/// Four accounts, conferences, and music for whoever is held.
fn site(scene: &Scene) -> Outcome<Site> {
    let file = scene.file("music.wav");
    std::fs::write(&file, wav(MUSIC_HZ, 8_000, 1)).during(file.display())?;
    let services = format!(
        "[services]\nconference = \"*6\"\nmusic_on_hold = \"music\"\n[[sound]]\nname = \"music\"\nfile = \"{}\"\n",
        file.display()
    );
    Ok(Site::new(scene)?.account("101").account("102").account("103").account("104").section(&services))
}

fn phones(scene: &Scene, node: &Node, people: &[(&str, &str, f64)]) -> Outcome<Browser> {
    let mut browser = Browser::start(scene)?;
    for (tab, user, hz) in people {
        browser.open_phone(tab, &node.page(), user, &password_of(user), *hz)?;
    }
    Ok(browser)
}

/// Ada calls, and both hear each other.
fn calls(browser: &mut Browser, from: (&str, &str, f64), to: (&str, &str, f64)) -> Outcome<()> {
    browser.dial(from.0, to.1)?;
    browser.click(to.0, "answer")?;
    browser.await_tone(to.0, from.2, seconds(15))?;
    browser.await_tone(from.0, to.2, seconds(10))
}

#[test]
fn a_second_call_waits_is_taken_and_swapped() -> Outcome<()> {
    play("phone-second-call", |scene| {
        let node = Node::start(scene, site(scene)?)?;
        let mut browser = phones(scene, &node, &[ADA, GRACE, CAROL])?;
        calls(&mut browser, ADA, GRACE)?;
        browser.click("ada", "mute")?;
        browser.dial("carol", "101")?;
        browser.await_state("ada", "waiting-call", "incoming", seconds(10))?;
        browser.await_call("ada", "connected", seconds(1))?;
        browser.screenshot("ada", "waiting")?;
        browser.click("ada", "waiting-answer")?;
        browser.await_tone("ada", CAROL.2, seconds(15))?;
        browser.await_tone("carol", ADA.2, seconds(10))?;
        browser.await_state("ada", "other-call", "held", seconds(5))?;
        browser.await_tone("grace", MUSIC_HZ, seconds(10))?;
        browser.screenshot("ada", "two-calls")?;
        browser.click("ada", "swap")?;
        browser.await_tone("ada", GRACE.2, seconds(10))?;
        browser.await_tone("carol", MUSIC_HZ, seconds(10))?;
        // Each call keeps its own mute.
        let pressed = browser.attribute("ada", "mute", "aria-pressed")?;
        ensure!(pressed == "true", "the first call is muted still: {pressed}");
        browser.click("ada", "mute")?;
        browser.await_tone("grace", ADA.2, seconds(10))?;
        browser.click("ada", "hangup")?;
        browser.await_call("grace", "ended", seconds(5))?;
        browser.await_call("ada", "held", seconds(5))?;
        browser.click("ada", "hold")?;
        browser.await_tone("carol", ADA.2, seconds(10))?;
        browser.click("carol", "hangup")?;
        browser.await_call("ada", "ended", seconds(5))?;
        node.await_metric("ringfort_calls", 0.0, seconds(5))
    })
}

#[test]
fn a_second_call_may_be_refused() -> Outcome<()> {
    play("phone-second-refused", |scene| {
        let node = Node::start(scene, site(scene)?)?;
        let mut browser = phones(scene, &node, &[ADA, GRACE, CAROL])?;
        calls(&mut browser, ADA, GRACE)?;
        browser.dial("carol", "101")?;
        browser.click("ada", "waiting-reject")?;
        browser.await_call("carol", "ended", seconds(5))?;
        let cause = browser.attribute("carol", "call-state", "data-cause")?;
        ensure!(cause == "declined", "the call ended with cause {cause}");
        browser.await_call("ada", "connected", seconds(1))?;
        browser.await_tone("ada", GRACE.2, seconds(5))
    })
}

/// To who takes it; and to who is busy, which gives the call back.
#[test]
fn a_blind_transfer_goes_there_or_comes_back() -> Outcome<()> {
    play("phone-blind", |scene| {
        let node = Node::start(scene, site(scene)?)?;
        let mut browser = phones(scene, &node, &[ADA, GRACE, CAROL])?;
        calls(&mut browser, GRACE, ADA)?;
        browser.direct("ada", "transfer", "103")?;
        browser.await_state("ada", "transfer-state", "ringing", seconds(10))?;
        browser.screenshot("ada", "transfer")?;
        browser.click("carol", "reject")?;
        browser.await_state("ada", "transfer-state", "failed", seconds(10))?;
        let cause = browser.attribute("ada", "transfer-state", "data-cause")?;
        ensure!(cause == "declined", "the transfer failed with cause {cause}");
        browser.await_tone("ada", GRACE.2, seconds(10))?;
        browser.await_tone("grace", ADA.2, seconds(10))?;
        browser.screenshot("ada", "transfer-failed")?;
        browser.direct("ada", "transfer", "103")?;
        browser.click("carol", "answer")?;
        browser.await_call("ada", "ended", seconds(10))?;
        let cause = browser.attribute("ada", "call-state", "data-cause")?;
        ensure!(cause == "transferred", "the call ended with cause {cause}");
        browser.await_tone("grace", CAROL.2, seconds(10))?;
        browser.await_tone("carol", GRACE.2, seconds(10))?;
        browser.click("grace", "hangup")?;
        browser.await_call("carol", "ended", seconds(5))?;
        node.await_metric("ringfort_calls", 0.0, seconds(5))
    })
}

/// Whichever of the two calls came in, and whichever went out.
#[test]
fn an_attended_transfer_connects_two_calls() -> Outcome<()> {
    for incoming in [false, true] {
        play(&format!("phone-attended-{incoming}"), |scene| {
            let node = Node::start(scene, site(scene)?)?;
            let mut browser = phones(scene, &node, &[ADA, GRACE, CAROL])?;
            calls(&mut browser, GRACE, ADA)?;
            if incoming {
                browser.dial("carol", "101")?;
                browser.click("ada", "waiting-answer")?;
            } else {
                browser.direct("ada", "second-call", "103")?;
                browser.click("carol", "answer")?;
            }
            browser.await_tone("ada", CAROL.2, seconds(15))?;
            browser.await_tone("grace", MUSIC_HZ, seconds(10))?;
            browser.click("ada", "connect")?;
            browser.await_tone("grace", CAROL.2, seconds(10))?;
            browser.await_tone("carol", GRACE.2, seconds(10))?;
            browser.await_call("ada", "ended", seconds(5))?;
            let cause = browser.attribute("ada", "call-state", "data-cause")?;
            ensure!(cause == "transferred", "the call ended with cause {cause}");
            browser.click("grace", "hangup")?;
            browser.await_call("carol", "ended", seconds(5))?;
            node.await_metric("ringfort_calls", 0.0, seconds(5))
        })?;
    }
    Ok(())
}

/// Two re-INVITEs meet: one of them is refused (491), and follows when its time has come.
#[test]
fn two_who_hold_each_other_at_once_stay_connected() -> Outcome<()> {
    play("phone-glare", |scene| {
        let node = Node::start(scene, site(scene)?)?;
        let mut browser = phones(scene, &node, &[ADA, GRACE])?;
        calls(&mut browser, ADA, GRACE)?;
        for state in ["held", "connected"] {
            for tab in ["ada", "grace"] {
                browser.evaluate(tab, "document.querySelector('[data-testid=hold]').click()")?;
            }
            // By what they agreed on with the node, not only by what their pages wish.
            let directions = if state == "held" { "sendonly recvonly inactive" } else { "sendrecv" };
            let agreed = format!(
                "window.ringfortPhone.peerConnection().signalingState === 'stable' && \
                 '{directions}'.split(' ').includes(window.ringfortPhone.peerConnection().getTransceivers()[0].currentDirection)"
            );
            for tab in ["ada", "grace"] {
                await_until(&format!("{tab} {directions}"), seconds(30), || {
                    Ok((browser.evaluate(tab, &agreed)? == true).then_some(()))
                })?;
                browser.await_call(tab, state, seconds(5))?;
            }
        }
        browser.await_tone("ada", GRACE.2, seconds(10))?;
        browser.await_tone("grace", ADA.2, seconds(10))
    })
}

/// Three people in the node's mixer, each of whom hears the two others. The one who merged them may leave.
fn merge(scene: &Scene, node: &Node) -> Outcome<()> {
    let mut browser = phones(scene, node, &[ADA, GRACE, CAROL, DAVE])?;
    calls(&mut browser, GRACE, ADA)?;
    browser.direct("ada", "second-call", "103")?;
    browser.await_tone("grace", MUSIC_HZ, seconds(15))?;
    browser.click("carol", "answer")?;
    browser.await_tone("ada", CAROL.2, seconds(15))?;
    browser.click("ada", "merge")?;
    all_hear_all(&mut browser)?;
    browser.await_call("ada", "connected", seconds(5))?;
    browser.screenshot("ada", "conference")?;
    node.await_metric("ringfort_calls", 3.0, seconds(5))?;
    // One more by the same button.
    browser.direct("ada", "second-call", "104")?;
    browser.click("dave", "answer")?;
    browser.await_tone("ada", DAVE.2, seconds(15))?;
    browser.click("ada", "merge")?;
    for tab in ["ada", "grace", "carol"] {
        browser.await_in_mix(tab, DAVE.2, seconds(15))?;
    }
    browser.await_in_mix("dave", CAROL.2, seconds(10))?;
    browser.click("dave", "hangup")?;
    browser.await_call("ada", "connected", seconds(5))?;
    browser.click("ada", "hangup")?;
    browser.await_tone("grace", CAROL.2, seconds(5))?;
    browser.click("grace", "hangup")?;
    browser.click("carol", "hangup")?;
    node.await_metric("ringfort_calls", 0.0, seconds(5))
}

#[test]
fn two_calls_are_merged_into_a_conference() -> Outcome<()> {
    play("phone-merge", |scene| merge(scene, &Node::start(scene, site(scene)?)?))
}

/// The cloud never answers: music on hold and the conference are the node's own.
#[test]
fn music_and_conferences_work_without_the_cloud() -> Outcome<()> {
    play("phone-survivable", |scene| {
        let nobody = scene.port()?;
        let node = Node::start(scene, site(scene)?.cloud(nobody, 60_000))?;
        node.await_mode("survivable", seconds(30))?;
        merge(scene, &node)
    })
}

/// A desk phone holds, in either way: the browser hears the node's music, whatever the phone still sends.
#[test]
fn a_browser_hears_music_when_a_desk_phone_holds() -> Outcome<()> {
    play("phone-music", |scene| {
        let node = Node::start(scene, site(scene)?)?;
        let mut browser = phones(scene, &node, &[ADA])?;
        let desk = TonePeer::start(scene.port()?, 1_000.0)?;
        let mut phone = SipClient::new(Wire::udp(Node::at(node.site().udp), 0)?, "103", &password_of("103"), DOMAIN);
        ensure!(phone.register(300)?.status() == Some(200), "103 registers");
        let placed = std::thread::scope(|scope| {
            let call = scope.spawn(|| phone.call("101", desk.port()));
            browser.click("ada", "answer")?;
            call.join().unwrap_or_else(|_| Err(Failure::new("the caller panicked")))
        })?;
        desk.send_to(placed.media_port()?);
        browser.await_tone("ada", 1_000.0, seconds(15))?;
        for (n, direction) in ["sendonly", "inactive"].into_iter().enumerate() {
            let cseq = placed.cseq + 1 + 2 * n as u32;
            ensure!(phone.change(&placed, cseq, &plain_sdp(desk.port(), direction))?.status() == Some(200), "held");
            browser.await_tone("ada", MUSIC_HZ, seconds(10))?;
            let back = phone.change(&placed, cseq + 1, &plain_sdp(desk.port(), "sendrecv"))?;
            ensure!(back.status() == Some(200), "taken back: {}", back.start);
            browser.await_tone("ada", 1_000.0, seconds(10))?;
        }
        Ok(())
    })
}

/// Of three people each hears the tones of the two others.
fn all_hear_all(browser: &mut Browser) -> Outcome<()> {
    for (hearer, heard) in [(ADA, [GRACE, CAROL]), (GRACE, [ADA, CAROL]), (CAROL, [ADA, GRACE])] {
        for other in heard {
            browser.await_in_mix(hearer.0, other.2, seconds(15))?;
        }
    }
    Ok(())
}
