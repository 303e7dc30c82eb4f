//! Carriers: one that asks for credentials in every request, and one whose first server is dead.

use ringfort_tests::ensure;
use ringfort_tests::harness::dns::Names;
use ringfort_tests::harness::kamailio::Kamailio;
use ringfort_tests::harness::node::Node;
use ringfort_tests::harness::sipp::Sipp;
use ringfort_tests::harness::site::{Site, password_of};
use ringfort_tests::harness::stub::Stub;
use ringfort_tests::harness::tone_peer::TonePeer;
use ringfort_tests::harness::wait::{await_true, seconds};
use ringfort_tests::harness::{Outcome, play};
use std::net::Ipv4Addr;

/// Kamailio as a registrar trunk: digest for REGISTER, INVITE and BYE, each with a nonce of its own; calls in both directions.
#[test]
fn a_carrier_asks_for_credentials_in_every_request() -> Outcome<()> {
    play("trunks-credentials", |scene| {
        let (carrier_port, beyond) = (scene.port()?, scene.port()?);
        let carrier = Kamailio::carrier(scene, carrier_port, "carrier.test", beyond)?;
        let password = password_of("acme");
        let register = format!("register = {{ user = \"acme\", password = \"{password}\" }}\noptions_interval_ms = 0");
        let phone = scene.port()?;
        let site = Site::new(scene)?
            .trunk("inside", phone)
            .section(&format!("[[trunk]]\nname = \"carrier\"\naddress = \"127.0.0.1:{carrier_port}\"\n{register}"))
            .route("out", "0*", "trunk:carrier")
            .section("[[route]]\nname = \"in\"\nsource = \"trunk:carrier\"\nnumber = \"*\"\nto = [\"trunk:inside\"]");
        let node = Node::start(scene, site)?;
        carrier.await_registered("acme", 1)?;
        let (near, far) = (TonePeer::start(scene.port()?, 440.0)?, TonePeer::start(scene.port()?, 1_000.0)?);
        let mut gateway = Sipp::new("gateway", "answer", beyond).key("tone_port", far.port()).start(scene)?;
        let caller = Sipp::new("caller", "call", phone).to(node.site().udp).number("0301234").key("user", "101");
        let mut caller = caller.key("tone_port", near.port()).options(&["-d", "1500"]).start(scene)?;
        near.send_to(caller.await_number("ANSWERED", "media", seconds(5))?);
        near.await_tone(1_000.0, seconds(3))?;
        far.await_tone(440.0, seconds(3))?;
        caller.finish(seconds(5))?;
        gateway.finish(seconds(5))?;
        ensure!(carrier.proved("INVITE") == (1, 1), "INVITE proved and challenged {:?} times", carrier.proved("INVITE"));
        ensure!(carrier.proved("BYE") == (1, 1), "BYE proved and challenged {:?} times", carrier.proved("BYE"));

        // A call from the carrier, released by the phone: its BYE is challenged too.
        let mut desk =
            Sipp::new("desk", "answer-bye", phone).key("tone_port", near.port()).options(&["-d", "1000"]).start(scene)?;
        let gateway = Sipp::new("gateway-in", "call-until-bye", beyond).to(carrier_port).number("4930555").key("user", "0170");
        let mut gateway = gateway.key("tone_port", far.port()).start(scene)?;
        gateway.finish(seconds(8))?;
        desk.finish(seconds(5))?;
        ensure!(carrier.proved("BYE") == (2, 2), "BYE proved and challenged {:?} times", carrier.proved("BYE"));
        node.await_metric("ringfort_calls", 0.0, seconds(5))
    })
}

/// The very INVITE that meets the dead server of the best priority goes to the other one.
#[test]
fn the_second_server_of_srv_takes_the_call_that_the_first_does_not() -> Outcome<()> {
    play("trunks-srv", |scene| {
        let (dead, alive, names) = (Stub::start(scene.port()?)?, scene.port()?, scene.port()?);
        dead.fall_silent();
        let service = "_sip._udp.carrier.test";
        let zone =
            Names::default().server(service, 10, dead.port(), "one.carrier.test").server(service, 20, alive, "two.carrier.test");
        let zone = zone.host("one.carrier.test", Ipv4Addr::LOCALHOST).host("two.carrier.test", Ipv4Addr::LOCALHOST);
        let _dns = zone.serve(names)?;
        let caller = scene.port()?;
        let carrier = "[[trunk]]\nname = \"carrier\"\naddress = \"carrier.test\"\ntransport = \"udp\"\noptions_interval_ms = 0";
        let site = Site::new(scene)?.section(&format!("[dns]\nservers = [\"127.0.0.1:{names}\"]")).section(carrier);
        let site = site.trunk("inside", caller).route("out", "0*", "trunk:carrier");
        let node = Node::start(scene, site)?;
        let mut gateway = Sipp::new("gateway", "load-answer", alive).load(2, 1).start(scene)?;
        // The name is looked up when the node starts; a call before that is refused, and made again.
        let call = |n: u32| {
            Sipp::new(&format!("caller-{n}"), "load-caller", caller).to(node.site().udp).number("0301234").key("user", "4711")
        };
        let options = ["-d", "200"];
        let mut n = 0;
        await_true("a call by the second server", seconds(20), || {
            n += 1;
            let made = call(n).options(&options).start(scene).and_then(|mut caller| caller.finish(seconds(8)));
            made.is_ok()
        })?;
        ensure!(dead.unanswered() > 0, "the first server was not asked");
        let asked = dead.unanswered();
        call(n + 1).options(&options).start(scene)?.finish(seconds(8))?;
        ensure!(dead.unanswered() == asked, "the dead server was asked again");
        gateway.finish(seconds(5))
    })
}
