//! Whatever arrives on a socket: the node goes on serving, and does not grow.

use ringfort_tests::ensure;
use ringfort_tests::harness::node::Node;
use ringfort_tests::harness::programs::corpus;
use ringfort_tests::harness::sip_client::SipClient;
use ringfort_tests::harness::sip_message::plain_sdp;
use ringfort_tests::harness::site::{DOMAIN, Site, password_of};
use ringfort_tests::harness::stream::Wire;
use ringfort_tests::harness::wait::seconds;
use ringfort_tests::harness::{Context, Outcome, Scene, play};
use std::net::UdpSocket;

/// A node may grow by so much under a flood that it refuses.
const GROWTH_MAX_KB: u64 = 30_000;

fn node(scene: &Scene) -> Outcome<Node> {
    Node::start(scene, Site::new(scene)?.account("101").account("102"))
}

fn phone(node: &Node) -> Outcome<SipClient> {
    Ok(SipClient::new(Wire::udp(Node::at(node.site().udp), 0)?, "101", &password_of("101"), DOMAIN))
}

fn expect_serving(node: &mut Node) -> Outcome<()> {
    node.must_run()?;
    let mut phone = phone(node)?;
    ensure!(phone.register(300)?.status() == Some(200), "REGISTER is not granted any more");
    ensure!(node.mode()? == "standalone", "the page does not answer any more");
    Ok(())
}

/// Numbers that look random and are the same each time (Knuth's generator).
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }

    fn octets(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.next() as u8).collect()
    }
}

#[test]
fn noise_on_every_socket() -> Outcome<()> {
    play("hostile-noise", |scene| {
        let mut node = node(scene)?;
        expect_serving(&mut node)?;
        let before = node.memory_kb()?;
        let mut noise = Noise(2);
        let socket = UdpSocket::bind("127.0.0.1:0").during("a socket")?;
        for _ in 0..5_000 {
            let length = noise.next() as usize % 1_400;
            let _ = socket.send_to(&noise.octets(length), Node::at(node.site().udp));
        }
        for port in [node.site().tcp, node.site().tls, node.site().ws, node.site().web] {
            for _ in 0..20 {
                let mut wire = Wire::tcp(Node::at(port))?;
                // The node may close the connection while the noise is on its way.
                let _ = wire.send(&noise.octets(5_000));
            }
        }
        expect_serving(&mut node)?;
        let growth = node.memory_kb()?.saturating_sub(before);
        ensure!(growth <= GROWTH_MAX_KB, "the node grew by {growth} kB");
        Ok(())
    })
}

#[test]
fn broken_copies_of_a_good_message() -> Outcome<()> {
    play("hostile-mutations", |scene| {
        // The shield would drop most of them unread.
        let mut node = Node::start(scene, Site::new(scene)?.account("101").section("[shield]\nenabled = false\n"))?;
        let sdp = plain_sdp(30_000, "sendrecv");
        let good = format!(
            "INVITE sip:*43@{DOMAIN} SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:5060;branch=z9hG4bKx;rport\r\nMax-Forwards: 70\r\n\
             From: \"A\" <sip:101@{DOMAIN}>;tag=1\r\nTo: <sip:*43@{DOMAIN}>\r\nCall-ID: x\r\nCSeq: 1 INVITE\r\n\
             Contact: <sip:101@127.0.0.1>\r\nContent-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{sdp}",
            sdp.len()
        );
        let mut noise = Noise(3);
        let socket = UdpSocket::bind("127.0.0.1:0").during("a socket")?;
        for _ in 0..5_000 {
            let mut octets = good.clone().into_bytes();
            for _ in 0..=noise.next() % 8 {
                let place = noise.next() as usize % octets.len();
                match noise.next() % 4 {
                    0 => octets[place] = noise.next() as u8,
                    1 => octets.truncate(place.max(1)),
                    2 => drop(octets.drain(place..octets.len().min(place + 7))),
                    _ => octets.splice(place..place, noise.octets(3)).for_each(drop),
                }
                if octets.is_empty() {
                    break;
                }
            }
            let _ = socket.send_to(&octets, Node::at(node.site().udp));
        }
        expect_serving(&mut node)
    })
}

#[test]
fn the_torture_messages_of_rfc_4475() -> Outcome<()> {
    play("hostile-torture", |scene| {
        let Some(folder) = corpus("rfc4475-torture") else {
            println!("SKIPPED: this machine has no corpus of RFC 4475");
            return Ok(());
        };
        let mut node = node(scene)?;
        let socket = UdpSocket::bind("127.0.0.1:0").during("a socket")?;
        let files = std::fs::read_dir(&folder).during(folder.display())?.flatten().map(|e| e.path());
        let messages: Vec<_> = files.filter(|path| path.extension().is_some_and(|e| e == "dat")).collect();
        ensure!(messages.len() >= 49, "only {} messages in {}", messages.len(), folder.display());
        for path in &messages {
            let octets = std::fs::read(path).during(path.display())?;
            let _ = socket.send_to(&octets, Node::at(node.site().udp));
            let mut wire = Wire::tcp(Node::at(node.site().tcp))?;
            let _ = wire.send(&octets);
            expect_serving(&mut node).during(path.display())?;
        }
        Ok(())
    })
}

#[test]
fn a_wrong_sdp_is_refused_with_a_warning() -> Outcome<()> {
    play("hostile-sdp", |scene| {
        let node = node(scene)?;
        let port = scene.port()?;
        let no_codec = plain_sdp(port, "sendrecv").replace("RTP/AVP 0 8 101", "RTP/AVP 18").replace("a=rtpmap", "a=x");
        for (sdp, statuses) in [("this is no SDP\r\n", [400, 488]), (no_codec.as_str(), [488, 200]), ("v=0\r\n", [400, 488])] {
            let placed = phone(&node)?.invite("*43", sdp)?;
            let status = placed.answer.status().unwrap_or_default();
            ensure!(statuses.contains(&status), "{sdp:?} was answered {}", placed.answer.start);
            let warned = status == 200 || !placed.answer.header("Warning").is_empty();
            ensure!(warned, "{sdp:?} was refused without a Warning");
        }
        node.await_metric("ringfort_calls", 0.0, seconds(5))
    })
}

#[test]
fn an_unknown_method_is_answered_405() -> Outcome<()> {
    play("hostile-method", |scene| {
        let node = node(scene)?;
        let answer = phone(&node)?.request("FROBNICATE", &format!("sip:102@{DOMAIN}"), "")?;
        ensure!(answer.status() == Some(405), "{}", answer.start);
        ensure!(answer.header("Allow").contains("INVITE"), "Allow is `{}`", answer.header("Allow"));
        Ok(())
    })
}

#[test]
fn unknown_extensions_are_answered_420() -> Outcome<()> {
    play("hostile-require", |scene| {
        let node = node(scene)?;
        let more = "Require: no-such-extension\r\n";
        let answer = phone(&node)?.request("OPTIONS", &format!("sip:{DOMAIN}"), more)?;
        ensure!(answer.status() == Some(420), "{}", answer.start);
        ensure!(answer.header("Unsupported") == "no-such-extension", "Unsupported is `{}`", answer.header("Unsupported"));
        Ok(())
    })
}

#[test]
fn an_endless_header_ends_its_connection() -> Outcome<()> {
    play("hostile-endless", |scene| {
        let mut node = node(scene)?;
        let mut wire = Wire::tcp(Node::at(node.site().tcp))?;
        let before = node.memory_kb()?;
        let _ = wire.send(b"OPTIONS sip:x SIP/2.0\r\nX: ");
        let chunk = [b'a'; 65_536];
        let cut_off = (0..400).any(|_| wire.send(&chunk).is_err());
        ensure!(cut_off, "25 MB of one header were taken");
        expect_serving(&mut node)?;
        let growth = node.memory_kb()?.saturating_sub(before);
        ensure!(growth <= GROWTH_MAX_KB, "the node grew by {growth} kB");
        Ok(())
    })
}

#[test]
fn many_idle_connections_leave_room_for_the_next() -> Outcome<()> {
    play("hostile-connections", |scene| {
        let mut node = node(scene)?;
        let idle: Vec<Wire> = (0..500).map(|_| Wire::tcp(Node::at(node.site().tcp))).collect::<Outcome<_>>()?;
        expect_serving(&mut node)?;
        let mut phone = SipClient::new(Wire::tcp(Node::at(node.site().tcp))?, "101", &password_of("101"), DOMAIN);
        ensure!(phone.options()?.status() == Some(200), "a further connection is not served");
        drop(idle);
        Ok(())
    })
}
