//! The cloud and the trunks are watched: what happens when they are silent, refuse, or are only slow to be missed.

use ringfort_tests::ensure;
use ringfort_tests::harness::kamailio::Kamailio;
use ringfort_tests::harness::node::Node;
use ringfort_tests::harness::sip_client::SipClient;
use ringfort_tests::harness::sipp::Sipp;
use ringfort_tests::harness::site::{DOMAIN, Site, password_of};
use ringfort_tests::harness::stream::Wire;
use ringfort_tests::harness::stub::Stub;
use ringfort_tests::harness::tone_peer::TonePeer;
use ringfort_tests::harness::wait::seconds;
use ringfort_tests::harness::{Outcome, play};
use ringfort_tests::main_job::{REROUTED_WITHIN, SURVIVABLE_WITHIN};
use std::time::Instant;

#[test]
fn a_silent_cloud_is_missed_in_time() -> Outcome<()> {
    play("supervision-silent-cloud", |scene| {
        let cloud = Stub::start(scene.port()?)?;
        let node = Node::start(scene, Site::new(scene)?.account("101").cloud(cloud.port(), 1_000))?;
        node.await_mode("normal", seconds(3))?;
        cloud.await_requests("OPTIONS", 2, seconds(6))?;
        // The socket stays open and says nothing: no port-unreachable message hurries the node.
        cloud.fall_silent();
        let begun = Instant::now();
        node.await_mode("survivable", SURVIVABLE_WITHIN + seconds(2))?;
        ensure!(begun.elapsed() <= SURVIVABLE_WITHIN, "survivable only after {} ms", begun.elapsed().as_millis());
        cloud.speak();
        node.await_mode("normal", seconds(8)).map(drop)
    })
}

#[test]
fn a_call_that_meets_a_silent_cloud_is_rerouted() -> Outcome<()> {
    play("supervision-reroute", |scene| {
        let cloud_port = scene.port()?;
        let cloud = Kamailio::start(scene, cloud_port, DOMAIN)?;
        let site = Site::new(scene)?.account("101").account("102").cloud(cloud_port, 1_000);
        let node = Node::start(scene, site)?;
        let desk_port = scene.port()?;
        let desk = Sipp::new("desk-register", "register", desk_port).to(node.site().udp).account("102", &password_of("102"));
        desk.start(scene)?.finish(seconds(10))?;
        cloud.await_registered("102", 1)?;
        let tone = TonePeer::start(scene.port()?, 1_000.0)?;
        let mut desk = Sipp::new("desk", "answer", desk_port).key("tone_port", tone.port()).start(scene)?;
        cloud.kill()?;
        let silence = Stub::start(cloud_port)?;
        silence.fall_silent();
        let begun = Instant::now();
        let mut caller = SipClient::new(Wire::udp(Node::at(node.site().udp), 0)?, "101", &password_of("101"), DOMAIN);
        let call = caller.call("102", scene.port()?)?;
        let took = begun.elapsed();
        ensure!(took <= REROUTED_WITHIN, "answered only after {} ms", took.as_millis());
        ensure!(caller.bye(&call)?.status() == Some(200), "BYE must be answered 200");
        desk.finish(seconds(5))
    })
}

#[test]
fn in_normal_mode_calls_to_extensions_pass_through_the_cloud() -> Outcome<()> {
    play("supervision-normal-call", |scene| {
        let cloud_port = scene.port()?;
        let cloud = Kamailio::start(scene, cloud_port, DOMAIN)?;
        let site = Site::new(scene)?.account("101").account("102").cloud(cloud_port, 1_000);
        let node = Node::start(scene, site)?;
        let (desk_port, caller_port) = (scene.port()?, scene.port()?);
        for (user, port) in [("102", desk_port), ("101", caller_port)] {
            let phone = Sipp::new(&format!("register-{user}"), "register", port).to(node.site().udp);
            phone.account(user, &password_of(user)).start(scene)?.finish(seconds(10))?;
        }
        let (near, far) = (TonePeer::start(scene.port()?, 440.0)?, TonePeer::start(scene.port()?, 1_000.0)?);
        let mut desk = Sipp::new("desk", "answer", desk_port).key("tone_port", far.port()).start(scene)?;
        let caller = Sipp::new("caller", "call", caller_port).to(node.site().udp).number("102").key("user", "101");
        let mut caller = caller.key("tone_port", near.port()).options(&["-d", "1500"]).start(scene)?;
        near.send_to(caller.await_number("ANSWERED", "media", seconds(5))?);
        near.await_tone(1_000.0, seconds(3))?;
        far.await_tone(440.0, seconds(3))?;
        ensure!(cloud.calls_passed() == 1, "the cloud saw {} calls", cloud.calls_passed());
        caller.finish(seconds(5))?;
        desk.finish(seconds(5))?;
        node.await_metric("ringfort_calls", 0.0, seconds(5))
    })
}

#[test]
fn a_trunk_is_watched_by_options() -> Outcome<()> {
    play("supervision-trunk", |scene| {
        let trunk = Stub::start(scene.port()?)?;
        let node = Node::start(scene, Site::new(scene)?.watched_trunk("carrier", trunk.port(), 500))?;
        let up = "ringfort_peer_up{peer=\"trunk:carrier\"}";
        trunk.await_requests("OPTIONS", 2, seconds(5))?;
        node.await_metric(up, 1.0, seconds(2))?;
        trunk.fall_silent();
        node.await_metric(up, 0.0, seconds(4))?;
        trunk.speak();
        node.await_metric(up, 1.0, seconds(4))
    })
}

#[test]
fn a_wrong_password_is_the_clouds_to_refuse() -> Outcome<()> {
    play("supervision-wrong-password", |scene| {
        let cloud_port = scene.port()?;
        let _cloud = Kamailio::start(scene, cloud_port, DOMAIN)?;
        let node = Node::start(scene, Site::new(scene)?.account("101").cloud(cloud_port, 1_000))?;
        let mut phone = SipClient::new(Wire::udp(Node::at(node.site().udp), 0)?, "101", "wrong", DOMAIN);
        let answer = phone.register(300)?;
        ensure!(matches!(answer.status(), Some(401 | 403)), "{}", answer.start);
        node.await_metric("ringfort_registrations", 0.0, seconds(2))
    })
}
