//! SRTP that passes untouched, between hosts of their own.

use ringfort_media::sdp::Direction;
use ringfort_relay::namespace::left_out;
use ringfort_tests::ensure;
use ringfort_tests::harness::network::{CARRIER, INSIDE, Network, OUTSIDE, PHONE, at};
use ringfort_tests::harness::node::Node;
use ringfort_tests::harness::secured_peer::SecuredPeer;
use ringfort_tests::harness::sip_client::{Placed, SipClient};
use ringfort_tests::harness::site::{DOMAIN, Site};
use ringfort_tests::harness::stream::Wire;
use ringfort_tests::harness::wait::{await_until, beside, seconds};
use ringfort_tests::harness::{Context, Outcome, Scene, play};
use std::net::{IpAddr, SocketAddr};

const SIP: u16 = 5060;
const AUDIO: u16 = 40_000;
/// Packets until the sequence numbers roll over: that happens while the kernel carries them.
const BEFORE: u16 = 300;

/// A call between a telephone and a carrier, who both have keys in their descriptions.
struct Between {
    node: Node,
    clients: [SipClient; 2],
    audio: [SecuredPeer; 2],
    call: Placed,
    cseq: u32,
}

fn ip(address: &str) -> Outcome<IpAddr> {
    address.parse().during("an address")
}

impl Between {
    fn call(network: &Network, scene: &Scene) -> Outcome<Between> {
        let sections = format!(
            "[[realm]]\nname = \"outside\"\nlisten = [\"udp:{OUTSIDE}:{SIP}\"]\nusers = false\n\n\
             [[trunk]]\nname = \"phone\"\naddress = \"{PHONE}:{SIP}\"\noptions_interval_ms = 0\nprofile = \"secured\"\n\n\
             [[trunk]]\nname = \"carrier\"\naddress = \"{CARRIER}:{SIP}\"\nrealm = \"outside\"\noptions_interval_ms = 0\n\
             profile = \"secured\"\n\n[[profile]]\nname = \"secured\"\nsrtp = \"required\"\nsrtp_pass = true\n"
        );
        let site = Site::new(scene)?.at(INSIDE).tier("auto").section(&sections).route("out", "0*", "trunk:carrier");
        let node = at(&network.node, || Node::start(scene, site))?;
        let inside = SocketAddr::new(ip(INSIDE)?, node.site().udp);
        let (mut phone, mut near) = at(&network.phone, || {
            let audio = SecuredPeer::start_at((ip(PHONE)?, AUDIO).into(), BEFORE)?;
            Ok((SipClient::new(Wire::udp(inside, SIP)?, "4711", "", DOMAIN), audio))
        })?;
        let (mut carrier, mut far) = at(&network.carrier, || {
            let audio = SecuredPeer::start_at((ip(CARRIER)?, AUDIO + 2).into(), BEFORE / 2)?;
            Ok((SipClient::new(Wire::udp((ip(OUTSIDE)?, SIP).into(), SIP)?, "carrier", "", DOMAIN), audio))
        })?;
        let offer = near.offer()?;
        let call = beside(|| carrier.accept(seconds(8), |offer| far.answer(offer)), || phone.invite("0301234", &offer))?;
        ensure!(call.answer.status() == Some(200), "the call was answered {}", call.answer.start);
        near.answered(&call.answer.body)?;
        let cseq = call.cseq;
        Ok(Between { node, clients: [phone, carrier], audio: [near, far], call, cseq })
    }

    /// The telephone describes itself anew, and the carrier goes along.
    fn change(&mut self, direction: Direction) -> Outcome<()> {
        let [phone, carrier] = &mut self.clients;
        let [near, far] = &mut self.audio;
        let offer = near.offer_to(direction)?;
        self.cseq += 1;
        let (call, cseq) = (&self.call, self.cseq);
        let answer = beside(|| carrier.accept(seconds(8), |offer| far.answer(offer)), || phone.change(call, cseq, &offer))?;
        ensure!(answer.status() == Some(200), "the change was answered {}", answer.start);
        near.answered(&answer.body)
    }

    /// So many packets each way. Each arrives as it was sent, octet for octet; how many did not arrive.
    fn talk(&mut self, packets: usize) -> Outcome<usize> {
        let mut lost = 0;
        for _ in 0..packets {
            for from in [0, 1] {
                let said = self.audio[from].say()?;
                match self.audio[1 - from].hear()? {
                    Some(heard) => ensure!(heard == said, "what arrived is not what was sent"),
                    None => lost += 1,
                }
            }
        }
        Ok(lost)
    }

    /// The node's metrics of what carries flows, each with its number.
    fn flows(&self, network: &Network) -> Outcome<String> {
        let metrics = at(&network.node, || Ok(self.node.api().get("/api/v1/metrics")?.body))?;
        Ok(metrics.lines().filter(|line| line.starts_with("ringfort_media_flows{")).collect::<Vec<_>>().join("\n"))
    }

    fn by_kernel(&self, network: &Network) -> Outcome<bool> {
        Ok(self.flows(network)?.lines().any(|line| line.contains("tier=\"kernel\"") && line.ends_with(" 2")))
    }

    /// Talks until the kernel carries both directions. Nothing is lost meanwhile.
    fn await_kernel(&mut self, network: &Network) -> Outcome<()> {
        await_until("the kernel carries both", seconds(12), || {
            ensure!(self.talk(10)? == 0, "packets were lost");
            Ok(self.by_kernel(network)?.then_some(()))
        })
    }
}

/// The packets are the same on both sides, the kernel carries them, over a roll-over of their numbers; hold brings them up, and the process may
/// die.
#[test]
fn two_peers_with_keys_by_the_kernel() -> Outcome<()> {
    play("untouched", |scene| {
        let name = "two_peers_with_keys_by_the_kernel";
        let Some(network) = Network::new(name, None, None) else { return Ok(()) };
        let mut call = Between::call(&network, scene)?;
        ensure!(call.talk(5)? == 0, "packets were lost");
        let admin = at(&network.node, || call.node.admin())?;
        let first = await_until("a tier", seconds(10), || {
            ensure!(call.talk(5)? == 0, "packets were lost");
            let status = at(&network.node, || admin.json("/api/v1/status"))?;
            let told = !status["calls"][0]["tier_reason"].to_string().contains("yet");
            Ok(told.then(|| status["calls"][0].clone()))
        })?;
        ensure!(first["media"].to_string().matches("sdes-srtp").count() == 2, "both sides have keys: {first}");
        let why = first["tier_reason"].to_string();
        if ["lacks CAP", "older than", "without clang"].iter().any(|part| why.contains(part)) {
            left_out(format_args!("{name}: {why}"));
            return Ok(());
        }
        call.await_kernel(&network)?;
        ensure!(call.talk(2 * usize::from(BEFORE))? == 0, "packets were lost over the roll-over");
        call.change(Direction::SendOnly)?;
        await_until("hold brings the flows up", seconds(10), || Ok((!call.by_kernel(&network)?).then_some(())))?;
        call.change(Direction::SendRecv)?;
        call.await_kernel(&network)?;
        call.node.kill();
        at(&network.node, || call.node.start_again())?;
        let lost = call.talk(20)?;
        println!("{lost} packets lost over a restart");
        ensure!(lost < 20, "{lost} packets lost over a restart");
        call.await_kernel(&network)?;
        ensure!(call.clients[0].bye(&Placed { cseq: call.cseq, ..call.call.clone() })?.status() == Some(200), "BYE is answered");
        at(&network.node, || call.node.await_metric("ringfort_calls", 0.0, seconds(5)))
    })
}
