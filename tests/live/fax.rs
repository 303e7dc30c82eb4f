//! A fax in a call that stands (ITU-T T.38 annex D): by UDPTL where both sides take it, by G.711 where one refuses.

use ringfort_tests::ensure;
use ringfort_tests::harness::node::Node;
use ringfort_tests::harness::rtp::Sender;
use ringfort_tests::harness::sip_client::{Placed, SipClient};
use ringfort_tests::harness::sip_message::{SipMessage, audio_port, plain_sdp};
use ringfort_tests::harness::site::{DOMAIN, Site, password_of};
use ringfort_tests::harness::stream::Wire;
use ringfort_tests::harness::wait::{await_until, seconds};
use ringfort_tests::harness::{Context, Failure, Outcome, Scene, play};
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

/// One of two machines: its signalling, and the port of its audio, which is that of its fax.
struct Machine {
    sip: SipClient,
    media: UdpSocket,
}

impl Machine {
    fn start(scene: &Scene, node: &Node, user: &str) -> Outcome<Machine> {
        let mut sip = SipClient::new(Wire::udp(Node::at(node.site().udp), 0)?, user, &password_of(user), DOMAIN);
        ensure!(sip.register(300)?.status() == Some(200), "{user} registers");
        let media = UdpSocket::bind(("127.0.0.1", scene.port()?)).during("a media port")?;
        media.set_read_timeout(Some(Duration::from_millis(100))).during("a time limit")?;
        Ok(Machine { sip, media })
    }

    fn port(&self) -> Outcome<u16> {
        Ok(self.media.local_addr().during("the media port")?.port())
    }

    /// Sends a datagram until it arrives at `other`, which hears nothing else.
    fn reaches(
        &self,
        to: u16,
        other: &Machine,
        datagram: &mut dyn FnMut() -> Vec<u8>,
        same: fn(&[u8], &[u8]) -> bool,
    ) -> Outcome<()> {
        let mut buffer = [0; 1_500];
        await_until("a datagram to arrive", seconds(5), || {
            let sent = datagram();
            self.media.send_to(&sent, SocketAddr::from(([127, 0, 0, 1], to))).during("sending")?;
            let Ok((len, _)) = other.media.recv_from(&mut buffer) else { return Ok(None) };
            Ok(same(&sent, &buffer[..len]).then_some(()))
        })
    }
}

/// The same session as [`plain_sdp`], changed to a fax.
fn image(port: u16) -> String {
    let plain = plain_sdp(port, "sendrecv").replace("1 1 IN", "1 2 IN");
    let head = plain.split("m=audio").next().unwrap_or_default();
    format!("{head}m=image {port} udptl t38\r\na=T38FaxVersion:0\r\na=T38MaxBitRate:14400\r\na=T38FaxUdpEC:t38UDPRedundancy\r\n")
}

fn image_port(sdp: &str) -> Option<u16> {
    sdp.lines().find_map(|line| line.strip_prefix("m=image ")?.split(' ').next()?.parse().ok())
}

/// A UDPTL datagram (ITU-T T.38 9.1): number, one indicator, no redundancy.
fn udptl(number: u16) -> Vec<u8> {
    let [high, low] = number.to_be_bytes();
    vec![high, low, 1, 6, 0, 0]
}

/// Number of the session's two parties: who calls, who is called.
struct Call {
    caller: Machine,
    callee: Machine,
    placed: Placed,
    /// Where the callee sends.
    back: u16,
}

/// One calls the other; what the callee does with each INVITE that comes is done meanwhile.
fn call(scene: &Scene, node: &Node) -> Outcome<Call> {
    let (mut caller, mut callee) = (Machine::start(scene, node, "101")?, Machine::start(scene, node, "102")?);
    let offer = plain_sdp(caller.port()?, "sendrecv");
    let answer = plain_sdp(callee.port()?, "sendrecv");
    let sip = &mut callee.sip;
    let (placed, invite) = std::thread::scope(|threads| {
        let other = threads.spawn(move || answered(sip, "200 OK", &answer));
        let placed = caller.sip.invite("102", &offer);
        (placed, other.join())
    });
    let invite = invite.map_err(|_| Failure::new("the callee's thread panicked"))??;
    let placed = placed?;
    ensure!(placed.answer.status() == Some(200), "the call was answered {}", placed.answer.start);
    let back = audio_port(&invite.body).during("an audio line in the INVITE")?;
    Ok(Call { caller, callee, placed, back })
}

/// The next INVITE, answered so; its ACK has come.
fn answered(sip: &mut SipClient, status: &str, sdp: &str) -> Outcome<SipMessage> {
    let invite = sip.await_request("INVITE", seconds(10))?;
    let reply = invite.reply(status, "callee", "Contact: <sip:102@127.0.0.1>\r\n", sdp);
    sip.wire().send(reply.as_bytes())?;
    sip.await_request("ACK", seconds(5))?;
    Ok(invite)
}

impl Call {
    /// The caller asks for a fax, and the callee says this. Both final words: the node's to the caller, its offer to the callee.
    fn turns(&mut self, status: &str) -> Outcome<(SipMessage, SipMessage)> {
        let (offer, answer) = (image(self.caller.port()?), image(self.callee.port()?));
        let answer = if status.starts_with('2') { answer } else { String::new() };
        let (sip, caller, placed) = (&mut self.callee.sip, &mut self.caller.sip, &self.placed);
        let (said, invite) = std::thread::scope(|threads| {
            let other = threads.spawn(move || answered(sip, status, &answer));
            (caller.change(placed, placed.cseq + 1, &offer), other.join())
        });
        Ok((said?, invite.map_err(|_| Failure::new("the callee's thread panicked"))??))
    }

    /// Speech, both ways. Another source of the sequence each time: the node passes it as it is.
    fn talks(&self) -> Outcome<()> {
        let there = self.placed.media_port()?;
        for (from, to, port, ssrc) in [(&self.caller, &self.callee, there, 7), (&self.callee, &self.caller, self.back, 8)] {
            let mut sender = Sender::new(ssrc);
            from.reaches(port, to, &mut || sender.packet(0, 160, &[0xd5; 160]), |sent, heard| sent[12..] == heard[12..])?;
        }
        Ok(())
    }
}

#[test]
fn a_fax_passes_by_udptl() -> Outcome<()> {
    play("fax", |scene| {
        let node = Node::start(scene, Site::new(scene)?.account("101").account("102"))?;
        let mut call = call(scene, &node)?;
        call.talks()?;
        let (said, offered) = call.turns("200 OK")?;
        ensure!(said.status() == Some(200), "the fax was answered {}", said.start);
        let there = image_port(&said.body).during("an image line in the answer")?;
        let back = image_port(&offered.body).during("an image line in the offer")?;
        for (from, to, port) in [(&call.caller, &call.callee, there), (&call.callee, &call.caller, back)] {
            let mut number = 0;
            let mut next = || {
                number += 1;
                udptl(number)
            };
            // Octet for octet, but for the number of the one that came.
            from.reaches(port, to, &mut next, |sent, heard| heard.len() == sent.len() && heard[2..] == sent[2..])?;
        }
        let placed = Placed { cseq: call.placed.cseq + 1, ..call.placed.clone() };
        ensure!(call.caller.sip.bye(&placed)?.status() == Some(200), "BYE must be answered 200");
        node.await_metric("ringfort_calls", 0.0, seconds(5))
    })
}

#[test]
fn a_fax_that_is_refused_leaves_the_audio() -> Outcome<()> {
    play("fax-refused", |scene| {
        let node = Node::start(scene, Site::new(scene)?.account("101").account("102"))?;
        let mut call = call(scene, &node)?;
        call.talks()?;
        let (said, offered) = call.turns("488 Not Acceptable Here")?;
        ensure!(image_port(&offered.body).is_some() && said.status() == Some(488), "the fax was answered {}", said.start);
        call.talks()?;
        let placed = Placed { cseq: call.placed.cseq + 1, ..call.placed.clone() };
        ensure!(call.caller.sip.bye(&placed)?.status() == Some(200), "BYE must be answered 200");
        node.await_metric("ringfort_calls", 0.0, seconds(5))
    })
}
