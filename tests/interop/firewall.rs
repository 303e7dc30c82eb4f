//! A site whose firewall lets nothing in: the cloud is outside, and everything it wants of the node comes over what the node opened.

use ringfort_tests::ensure;
use ringfort_tests::harness::firewall::Firewall;
use ringfort_tests::harness::kamailio::Kamailio;
use ringfort_tests::harness::node::Node;
use ringfort_tests::harness::sipp::Sipp;
use ringfort_tests::harness::site::{DOMAIN, Site, password_of};
use ringfort_tests::harness::tone_peer::TonePeer;
use ringfort_tests::harness::wait::seconds;
use ringfort_tests::harness::{Context, Outcome, play};
use socket2::{Domain, Socket, Type};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

const OUTSIDE: &str = "127.0.0.9";

/// The firewall does what it is there for: somebody outside does not reach the node's listener.
fn nobody_comes_in(node: &Node) -> Outcome<()> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).during("a socket")?;
    let from = SocketAddr::new(outside()?, 0);
    socket.bind(&from.into()).during("binding outside")?;
    let came = socket.connect_timeout(&Node::at(node.site().tcp).into(), Duration::from_millis(300));
    ensure!(came.is_err(), "a connection from outside came in: the firewall is none");
    Ok(())
}

fn outside() -> Outcome<IpAddr> {
    OUTSIDE.parse::<Ipv4Addr>().map(IpAddr::V4).during("an address")
}

#[test]
fn calls_come_in_over_the_connection_that_the_node_opened() -> Outcome<()> {
    play("interop-firewall", |scene| {
        let _firewall = Firewall::raise(outside()?)?;
        let cloud_at = SocketAddr::new(outside()?, scene.port()?);
        let cloud = Kamailio::start_by_tcp(scene, cloud_at, DOMAIN)?;
        let cloud_section = format!("[cloud]\naddress = \"{cloud_at}\"\ntransport = \"tcp\"\nhold_down_ms = 500\n");
        let node = Node::start(scene, Site::new(scene)?.account("101").section(&cloud_section))?;
        nobody_comes_in(&node)?;
        node.await_mode("normal", seconds(5))?;
        let desk_port = scene.port()?;
        let desk = Sipp::new("desk-register", "register", desk_port).to(node.site().udp).account("101", &password_of("101"));
        desk.start(scene)?.finish(seconds(10))?;
        cloud.await_registered("101", 1)?;

        let desk_tone = TonePeer::start(scene.port()?, 1_000.0)?;
        let mut desk = Sipp::new("desk", "answer", desk_port).key("tone_port", desk_tone.port()).start(scene)?;
        let far_tone = TonePeer::start_at(outside()?, scene.port()?, 440.0)?;
        let caller =
            Sipp::new("outside", "call", scene.port()?).at(OUTSIDE).to(cloud_at.port()).number("101").key("user", "0170");
        let mut caller = caller.key("tone_port", far_tone.port()).options(&["-d", "4000"]).start(scene)?;
        // What the desk says opens the way for what the other end says.
        desk_tone.send_to(desk.await_number("ANSWERED", "media", seconds(10))?);
        far_tone.await_tone(1_000.0, seconds(4))?;
        desk_tone.await_tone(440.0, seconds(4))?;
        caller.finish(seconds(10))?;
        desk.finish(seconds(5))
    })
}
