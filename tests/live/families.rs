//! Networks: a PBX and a phone on `::1` and a carrier on `127.0.0.1`, with audio between them; a carrier in a realm of its own.

use ringfort_tests::ensure;
use ringfort_tests::harness::node::Node;
use ringfort_tests::harness::sip_client::SipClient;
use ringfort_tests::harness::sipp::Sipp;
use ringfort_tests::harness::site::{DOMAIN, Site, password_of};
use ringfort_tests::harness::stream::Wire;
use ringfort_tests::harness::tone_peer::TonePeer;
use ringfort_tests::harness::wait::seconds;
use ringfort_tests::harness::{Outcome, play};
use std::net::Ipv6Addr;

#[test]
fn calls_between_ipv6_and_ipv4_have_audio_both_ways() -> Outcome<()> {
    play("families", |scene| {
        let (six, pbx, carrier) = (scene.port()?, scene.port()?, scene.port()?);
        let trunk = format!("[[trunk]]\nname = \"pbx\"\naddress = \"[::1]:{pbx}\"\noptions_interval_ms = 0");
        let site = Site::new(scene)?.by_ipv6(six).section(&trunk).trunk("carrier", carrier).route("out", "0*", "trunk:carrier");
        let node = Node::start(scene, site.account("101"))?;
        let near = TonePeer::start_at(Ipv6Addr::LOCALHOST.into(), scene.port()?, 440.0)?;
        let far = TonePeer::start(scene.port()?, 1_000.0)?;

        let mut callee = Sipp::new("carrier", "answer", carrier).key("tone_port", far.port()).start(scene)?;
        let caller = Sipp::new("pbx", "call", pbx).by_ipv6().to(six).number("0301234").key("user", "4711");
        let mut caller = caller.key("tone_port", near.port()).options(&["-d", "1500"]).start(scene)?;
        near.send_to(caller.await_number("ANSWERED", "media", seconds(5))?);
        near.await_tone(1_000.0, seconds(3))?;
        far.await_tone(440.0, seconds(3))?;
        caller.finish(seconds(5))?;
        callee.finish(seconds(5))?;

        let phone = scene.port()?;
        // SIPp writes an IPv6 address without brackets into its credentials; whoever registers leaves the port to it.
        let wire = Wire::udp((Ipv6Addr::LOCALHOST, six).into(), phone)?;
        let registered = SipClient::new(wire, "101", &password_of("101"), DOMAIN).register(300)?;
        ensure!(registered.status() == Some(200), "{}", registered.start);
        let near = TonePeer::start_at(Ipv6Addr::LOCALHOST.into(), scene.port()?, 440.0)?;
        let far = TonePeer::start(scene.port()?, 1_000.0)?;
        let mut callee = Sipp::new("phone", "answer", phone).by_ipv6().key("tone_port", near.port()).start(scene)?;
        let caller = Sipp::new("carrier-in", "call", carrier).to(node.site().udp).number("101").key("user", "0170");
        let mut caller = caller.key("tone_port", far.port()).options(&["-d", "1500"]).start(scene)?;
        far.send_to(caller.await_number("ANSWERED", "media", seconds(5))?);
        near.await_tone(1_000.0, seconds(3))?;
        far.await_tone(440.0, seconds(3))?;
        caller.finish(seconds(5))?;
        callee.finish(seconds(5))?;
        let told = std::fs::read_to_string(scene.file("sipp-phone-messages.log")).unwrap_or_default();
        ensure!(told.contains("IN IP6 ::1") && !told.contains("127.0.0.1"), "the phone reads an address of IPv4");
        node.await_metric("ringfort_calls", 0.0, seconds(5))
    })
}

/// The carrier sees the realm's addresses and no other's.
#[test]
fn a_carrier_in_a_realm_sees_its_addresses_only() -> Outcome<()> {
    play("families-realm", |scene| {
        let (outside, caller, carrier) = (scene.port()?, scene.port()?, scene.port()?);
        let realm = format!("[[realm]]\nname = \"outside\"\nlisten = [\"udp:127.0.0.2:{outside}\"]\nusers = false");
        // SIPp answers no OPTIONS outside calls.
        let trunk = format!(
            "[[trunk]]\nname = \"carrier\"\naddress = \"127.0.0.3:{carrier}\"\nrealm = \"outside\"\noptions_interval_ms = 0"
        );
        let site = Site::new(scene)?.section(&realm).section(&trunk).trunk("pbx", caller).route("out", "0*", "trunk:carrier");
        let node = Node::start(scene, site)?;
        let (near, far) =
            (TonePeer::start(scene.port()?, 440.0)?, TonePeer::start_at([127, 0, 0, 3].into(), scene.port()?, 1_000.0)?);
        let mut callee = Sipp::new("carrier", "answer", carrier).at("127.0.0.3").key("tone_port", far.port()).start(scene)?;
        let caller = Sipp::new("pbx", "call", caller).to(node.site().udp).number("0301234").key("user", "4711");
        let mut caller = caller.key("tone_port", near.port()).options(&["-d", "1500"]).start(scene)?;
        near.send_to(caller.await_number("ANSWERED", "media", seconds(5))?);
        near.await_tone(1_000.0, seconds(3))?;
        far.await_tone(440.0, seconds(3))?;
        caller.finish(seconds(5))?;
        callee.finish(seconds(5))?;
        let messages = |name: &str| std::fs::read_to_string(scene.file(&format!("sipp-{name}-messages.log"))).unwrap_or_default();
        let told = messages("carrier");
        ensure!(told.contains("c=IN IP4 127.0.0.2") && told.contains(&format!("@127.0.0.2:{outside};")), "{told}");
        ensure!(!told.contains("127.0.0.1"), "the carrier reads an address of another network");
        ensure!(!messages("pbx").contains("127.0.0.2"), "the PBX reads an address of the realm");
        node.await_metric("ringfort_peer_up{peer=\"trunk:carrier\"}", 1.0, seconds(3))?;
        node.await_metric("ringfort_calls", 0.0, seconds(5))
    })
}
