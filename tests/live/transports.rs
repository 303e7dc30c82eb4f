//! The same requests over each transport: UDP, TCP, TLS, WebSocket, WebSocket with TLS.

use ringfort_tests::ensure;
use ringfort_tests::harness::node::Node;
use ringfort_tests::harness::sip_client::SipClient;
use ringfort_tests::harness::site::{DOMAIN, Site, password_of};
use ringfort_tests::harness::stream::Wire;
use ringfort_tests::harness::tone_peer::TonePeer;
use ringfort_tests::harness::wait::seconds;
use ringfort_tests::harness::{Outcome, Scene, play};

fn node(scene: &Scene) -> Outcome<Node> {
    Node::start(scene, Site::new(scene)?.account("101"))
}

fn wires(node: &Node) -> Outcome<Vec<Wire>> {
    let site = node.site();
    Ok(vec![
        Wire::udp(Node::at(site.udp), 0)?,
        Wire::tcp(Node::at(site.tcp))?,
        Wire::tls(Node::at(site.tls))?,
        Wire::ws(Node::at(site.ws), "/")?,
        Wire::wss(Node::at(site.web), "/sip")?,
    ])
}

#[test]
fn options_and_register_over_each() -> Outcome<()> {
    play("transports-register", |scene| {
        let node = node(scene)?;
        for wire in wires(&node)? {
            let transport = wire.transport();
            let mut phone = SipClient::new(wire, "101", &password_of("101"), DOMAIN);
            let options = phone.options()?;
            ensure!(options.status() == Some(200), "{transport}: OPTIONS answered {}", options.start);
            ensure!(options.header("Allow").contains("INVITE"), "{transport}: Allow is {}", options.header("Allow"));
            let granted = phone.register(300)?;
            ensure!(granted.status() == Some(200), "{transport}: REGISTER answered {}", granted.start);
        }
        Ok(())
    })
}

#[test]
fn a_registration_ends_with_its_connection() -> Outcome<()> {
    play("transports-flow-closed", |scene| {
        let node = node(scene)?;
        let mut phone = SipClient::new(Wire::tcp(Node::at(node.site().tcp))?, "101", &password_of("101"), DOMAIN);
        ensure!(phone.register(300)?.status() == Some(200), "REGISTER must be granted");
        node.await_metric("ringfort_registrations", 1.0, seconds(2))?;
        drop(phone);
        node.await_metric("ringfort_registrations", 0.0, seconds(3))
    })
}

#[test]
fn an_echo_call_over_tls() -> Outcome<()> {
    play("transports-tls-echo", |scene| {
        let node = node(scene)?;
        let mut phone = SipClient::new(Wire::tls(Node::at(node.site().tls))?, "101", &password_of("101"), DOMAIN);
        let tone = TonePeer::start(scene.port()?, 700.0)?;
        let call = phone.call("*43", tone.port())?;
        tone.send_to(call.media_port()?);
        tone.await_tone(700.0, seconds(3))?;
        ensure!(phone.bye(&call)?.status() == Some(200), "BYE must be answered 200");
        Ok(())
    })
}

#[test]
fn pings_are_answered() -> Outcome<()> {
    play("transports-ping", |scene| {
        let node = node(scene)?;
        let mut wire = Wire::tcp(Node::at(node.site().tcp))?;
        // RFC 5626 3.5.1: a pair of CRLF is answered by one.
        wire.send(b"\r\n\r\n")?;
        let pong = wire.receive(seconds(3))?;
        ensure!(pong.as_deref() == Some(b"\r\n"), "the ping was answered {pong:?}");
        Ok(())
    })
}

#[test]
fn messages_may_come_in_pieces() -> Outcome<()> {
    play("transports-pieces", |scene| {
        let node = node(scene)?;
        let mut wire = Wire::tcp(Node::at(node.site().tcp))?;
        let local = wire.local()?;
        let request = |n: u32| {
            format!(
                "OPTIONS sip:{DOMAIN} SIP/2.0\r\nVia: SIP/2.0/TCP {local};branch=z9hG4bKpiece{n}\r\nMax-Forwards: 70\r\n\
                 From: <sip:a@{DOMAIN}>;tag=1\r\nTo: <sip:{DOMAIN}>\r\nCall-ID: piece{n}\r\nCSeq: {n} OPTIONS\r\nContent-Length: 0\r\n\r\n"
            )
        };
        let both = request(1) + &request(2);
        for octet in both.as_bytes() {
            wire.send(&[*octet])?;
        }
        for n in 1..=2 {
            let answer = wire.receive(seconds(3))?.unwrap_or_default();
            let text = String::from_utf8_lossy(&answer).into_owned();
            ensure!(text.starts_with("SIP/2.0 200") && text.contains(&format!("piece{n}")), "answer {n}: {text}");
        }
        Ok(())
    })
}
