//! `kill -9`, and a fresh start: calls and registrations are still there.

use ringfort_tests::ensure;
use ringfort_tests::harness::browser::Browser;
use ringfort_tests::harness::node::Node;
use ringfort_tests::harness::secured_peer::SecuredPeer;
use ringfort_tests::harness::sip_client::SipClient;
use ringfort_tests::harness::sipp::Sipp;
use ringfort_tests::harness::site::{DOMAIN, Site, password_of};
use ringfort_tests::harness::stream::Wire;
use ringfort_tests::harness::tone_peer::TonePeer;
use ringfort_tests::harness::wait::seconds;
use ringfort_tests::harness::{Outcome, Scene, play};
use std::time::Duration;

/// From the last packet before the kill to the first one after it; the process starts anew within. Typical are 40 ms; a debug
/// build on a busy machine is given more.
const GAP_MAX: Duration = Duration::from_millis(500);

fn call_over_a_restart(scene: &Scene, caller_scenario: &str, hang_up: impl FnOnce(&Node) -> Outcome<()>) -> Outcome<()> {
    let (caller_port, callee_port) = (scene.port()?, scene.port()?);
    let site = Site::new(scene)?.trunk("inside", caller_port).trunk("outside", callee_port).route("out", "0*", "trunk:outside");
    let mut node = Node::start(scene, site)?;
    let (near, far) = (TonePeer::start(scene.port()?, 440.0)?, TonePeer::start(scene.port()?, 1_000.0)?);
    let mut callee = Sipp::new("callee", "answer", callee_port).key("tone_port", far.port()).start(scene)?;
    let caller = Sipp::new("caller", caller_scenario, caller_port).to(node.site().udp).number("0301234").key("user", "4711");
    let mut caller = caller.key("tone_port", near.port()).options(&["-d", "8000"]).start(scene)?;
    near.send_to(caller.await_number("ANSWERED", "media", seconds(5))?);
    callee.await_event("ANSWERED", seconds(5))?;
    far.await_tone(440.0, seconds(3))?;
    near.await_tone(1_000.0, seconds(3))?;

    near.forget();
    far.forget();
    node.kill();
    let start = node.start_again()?;
    near.await_tone(1_000.0, seconds(3))?;
    far.await_tone(440.0, seconds(3))?;
    let gap = near.gap_max().max(far.gap_max());
    println!("listening {} ms after the start; longest break in audio {} ms", start.as_millis(), gap.as_millis());
    ensure!(gap <= GAP_MAX, "audio stopped for {} ms", gap.as_millis());
    node.await_metric("ringfort_calls", 1.0, seconds(2))?;

    hang_up(&node)?;
    caller.finish(seconds(15))?;
    callee.finish(seconds(5))?;
    node.await_metric("ringfort_calls", 0.0, seconds(5))
}

#[test]
fn a_call_outlives_the_process_and_its_caller_hangs_up() -> Outcome<()> {
    play("restart-call", |scene| call_over_a_restart(scene, "call", |_| Ok(())))
}

#[test]
fn a_call_outlives_the_process_and_the_operator_ends_it() -> Outcome<()> {
    play("restart-operator", |scene| {
        call_over_a_restart(scene, "call-until-bye", |node| {
            let admin = node.admin()?;
            let status = admin.json("/api/v1/status")?;
            let call = status["calls"][0]["call"].as_str().unwrap_or_default().to_string();
            let ended = admin.request("POST", &format!("/api/v1/calls/{call}/hangup"), None)?;
            ensure!(ended.status < 300, "hanging up answered {} {}", ended.status, ended.body);
            Ok(())
        })
    })
}

#[test]
fn a_call_outlives_two_restarts() -> Outcome<()> {
    play("restart-twice", |scene| {
        let mut node = Node::start(scene, Site::new(scene)?.account("101"))?;
        let mut phone = SipClient::new(Wire::udp(Node::at(node.site().udp), 0)?, "101", &password_of("101"), DOMAIN);
        let tone = TonePeer::start(scene.port()?, 700.0)?;
        let call = phone.call("*43", tone.port())?;
        tone.send_to(call.media_port()?);
        tone.await_tone(700.0, seconds(3))?;
        for _ in 0..2 {
            node.kill();
            node.start_again()?;
            tone.await_tone(700.0, seconds(3))?;
        }
        ensure!(phone.bye(&call)?.status() == Some(200), "BYE must be answered 200");
        node.await_metric("ringfort_calls", 0.0, seconds(5))
    })
}

/// Keys by description. The sequence number has rolled over before the process dies, so the next one has to know how often.
#[test]
fn a_call_with_srtp_outlives_the_process() -> Outcome<()> {
    play("restart-srtp", |scene| {
        let mut node = Node::start(scene, Site::new(scene)?.account("101"))?;
        let mut phone = SipClient::new(Wire::udp(Node::at(node.site().udp), 0)?, "101", &password_of("101"), DOMAIN);
        let mut audio = SecuredPeer::start(scene.port()?, 100)?;
        let call = phone.invite("*43", &audio.offer()?)?;
        audio.answered(&call.answer.body)?;
        let mut echoes = |wanted: usize| -> Outcome<usize> {
            let mut lost = 0;
            let mut heard = 0;
            while heard < wanted {
                if audio.echo()? {
                    heard += 1
                } else {
                    lost += 1
                }
                ensure!(lost < 50, "{lost} packets lost, {heard} heard");
                std::thread::sleep(Duration::from_millis(5));
            }
            Ok(lost)
        };
        // Over the wrap; positions are told at most once a second, and once more at the wrap.
        ensure!(echoes(400)? < 5, "packets were lost before anything happened");
        for _ in 0..2 {
            node.kill();
            node.start_again()?;
            println!("{} packets lost over a restart", echoes(100)?);
        }
        let status = node.admin()?.json("/api/v1/status")?;
        ensure!(status.to_string().contains("sdes-srtp aes-cm-128-80"), "{status}");
        ensure!(phone.bye(&call)?.status() == Some(200), "BYE must be answered 200");
        node.await_metric("ringfort_calls", 0.0, seconds(5))
    })
}

/// Keys by DTLS: the browsers' audio goes on at once, their WebSockets come again, and one of them ends the call.
#[test]
fn two_browsers_talk_on_after_a_restart() -> Outcome<()> {
    play("restart-browsers", |scene| {
        let mut node = Node::start(scene, Site::new(scene)?.account("101").account("102"))?;
        let mut browser = Browser::start(scene)?;
        browser.open_phone("ada", &node.page(), "101", &password_of("101"), 440.0)?;
        browser.open_phone("grace", &node.page(), "102", &password_of("102"), 1_000.0)?;
        browser.dial("ada", "102")?;
        browser.click("grace", "answer")?;
        browser.await_tone("ada", 1_000.0, seconds(8))?;
        browser.await_tone("grace", 440.0, seconds(5))?;
        node.kill();
        node.start_again()?;
        node.await_metric("ringfort_calls", 1.0, seconds(5))?;
        browser.await_tone("ada", 1_000.0, seconds(10))?;
        browser.await_tone("grace", 440.0, seconds(5))?;
        let status = node.admin()?.json("/api/v1/status")?;
        ensure!(status.to_string().matches("dtls-srtp").count() >= 2, "{status}");
        // Their WebSockets come again after a pause of some seconds; audio needs none.
        browser.await_state("ada", "phone-state", "registered", seconds(30))?;
        browser.await_state("grace", "phone-state", "registered", seconds(30))?;
        browser.click("grace", "hangup")?;
        browser.await_call("ada", "ended", seconds(20))?;
        node.await_metric("ringfort_calls", 0.0, seconds(10))
    })
}

#[test]
fn registrations_outlive_the_process() -> Outcome<()> {
    play("restart-registrations", |scene| {
        let mut node = Node::start(scene, Site::new(scene)?.account("101").account("102"))?;
        let port = scene.port()?;
        let mut desk = SipClient::new(Wire::udp(Node::at(node.site().udp), port)?, "102", &password_of("102"), DOMAIN);
        ensure!(desk.register(300)?.status() == Some(200), "REGISTER must be granted");
        drop(desk);
        // The journal is written beside the core, a moment after the answer.
        node.await_metric("ringfort_registrations", 1.0, seconds(2))?;
        node.kill();
        node.start_again()?;
        node.await_metric("ringfort_registrations", 1.0, seconds(2))?;
        let tone = TonePeer::start(scene.port()?, 1_000.0)?;
        let mut desk = Sipp::new("desk", "answer", port).key("tone_port", tone.port()).start(scene)?;
        let mut caller = SipClient::new(Wire::udp(Node::at(node.site().udp), 0)?, "101", &password_of("101"), DOMAIN);
        let call = caller.call("102", scene.port()?)?;
        ensure!(caller.bye(&call)?.status() == Some(200), "BYE must be answered 200");
        desk.finish(seconds(5))
    })
}

#[test]
fn a_proper_end_is_quick_and_clean() -> Outcome<()> {
    play("restart-stop", |scene| Node::start(scene, Site::new(scene)?.account("101"))?.stop())
}

#[test]
fn a_damaged_journal_does_not_stop_the_start() -> Outcome<()> {
    play("restart-damaged", |scene| {
        let mut node = Node::start(scene, Site::new(scene)?.account("101"))?;
        let mut phone = SipClient::new(Wire::udp(Node::at(node.site().udp), 0)?, "101", &password_of("101"), DOMAIN);
        ensure!(phone.register(300)?.status() == Some(200), "REGISTER must be granted");
        node.kill();
        for entry in std::fs::read_dir(scene.file("run")).into_iter().flatten().flatten() {
            // A whole file of what was never written by the node.
            let _ = std::fs::write(entry.path(), [0x5a; 4_096]);
        }
        node.start_again()?;
        ensure!(phone.register(300)?.status() == Some(200), "REGISTER must be granted after the damage");
        Ok(())
    })
}
