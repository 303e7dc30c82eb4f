//! Audio that is missing has a name: while it lasts in the API, afterwards in the record.

use ringfort_tests::ensure;
use ringfort_tests::harness::http::Api;
use ringfort_tests::harness::node::Node;
use ringfort_tests::harness::rtp::Sender;
use ringfort_tests::harness::sipp::Sipp;
use ringfort_tests::harness::site::Site;
use ringfort_tests::harness::tone_peer::TonePeer;
use ringfort_tests::harness::wait::{await_until, seconds};
use ringfort_tests::harness::{Context, Outcome, Scene, play};
use std::net::UdpSocket;
use std::time::{Duration, Instant};

/// What the caller's phone does wrong, and what the node calls that.
#[derive(Clone, Copy, Debug)]
enum Fault {
    /// It sends nothing, and the callee is heard.
    Silent,
    /// Nor is the callee heard.
    BothSilent,
    /// It speaks a codec that was not agreed on.
    OtherCodec,
    /// It sends what is no RTP.
    Noise,
    /// Nothing but keys.
    OnlyKeys,
}

impl Fault {
    fn cause(self) -> &'static str {
        match self {
            Fault::Silent => "one-way",
            Fault::BothSilent => "no-rtp",
            Fault::OtherCodec => "wrong-payload",
            Fault::Noise => "not-rtp",
            Fault::OnlyKeys => "only-signals",
        }
    }

    fn packet(self, sender: &mut Sender) -> Option<Vec<u8>> {
        match self {
            Fault::Silent | Fault::BothSilent => None,
            Fault::OtherCodec => Some(sender.packet(18, 160, &[0; 20])),
            Fault::Noise => Some(vec![0xff; 172]),
            Fault::OnlyKeys => Some(sender.packet(101, 160, &[5, 0x0a, 0, 160])),
        }
    }
}

#[test]
fn missing_audio_has_a_name() -> Outcome<()> {
    play("missing", |scene| {
        let (caller, callee) = (scene.port()?, scene.port()?);
        let site = Site::new(scene)?.trunk("inside", caller).trunk("outside", callee).route("out", "0*", "trunk:outside");
        let node = Node::start(scene, site)?;
        let admin = node.admin()?;
        for fault in [Fault::Silent, Fault::BothSilent, Fault::OtherCodec, Fault::Noise, Fault::OnlyKeys] {
            faulty_call(scene, &node, &admin, (caller, callee), fault)?;
        }
        Ok(())
    })
}

fn faulty_call(scene: &Scene, node: &Node, admin: &Api, (caller, callee): (u16, u16), fault: Fault) -> Outcome<()> {
    let name = |party: &str| format!("{party}-{}", fault.cause());
    let near = UdpSocket::bind(("127.0.0.1", scene.port()?)).during("a media port")?;
    let port = near.local_addr().during("its address")?.port();
    let far = TonePeer::start(scene.port()?, 1_000.0)?;
    let mut answering = Sipp::new(&name("callee"), "answer", callee).key("tone_port", far.port()).start(scene)?;
    let calling = Sipp::new(&name("caller"), "call-until-bye", caller).to(node.site().udp).number("0301234").key("user", "4711");
    let mut calling = calling.key("tone_port", port).start(scene)?;
    let to = Node::at(calling.await_number("ANSWERED", "media", seconds(5))?);
    let heard = answering.await_number("RINGING", "media", seconds(5))?;
    if !matches!(fault, Fault::BothSilent) {
        far.send_to(heard);
    }
    let (mut sender, mut looked) = (Sender::new(port.into()), Instant::now());
    let mut last = String::new();
    let found = await_until(&format!("{fault:?} to be called {}", fault.cause()), seconds(10), || {
        if let Some(packet) = fault.packet(&mut sender) {
            near.send_to(&packet, to).during("sending")?;
        }
        if looked.elapsed() < Duration::from_millis(300) {
            return Ok(None);
        }
        looked = Instant::now();
        last = admin.json("/api/v1/status")?["calls"][0]["missing"][0].to_string();
        Ok(last.contains(&format!("\"{}\"", fault.cause())).then_some(()))
    });
    ensure!(found.is_ok(), "{found:?}; the node says {last}");
    let id = admin.json("/api/v1/status")?["calls"][0]["call"].as_str().unwrap_or_default().to_string();
    let ended = admin.request("POST", &format!("/api/v1/calls/{id}/hangup"), None)?;
    ensure!(ended.status < 300, "hanging up answered {}", ended.status);
    calling.finish(seconds(5))?;
    answering.finish(seconds(5))?;
    node.await_metric("ringfort_calls", 0.0, seconds(5))?;
    let record = admin.json("/api/v1/status")?["recent"][0].to_string();
    ensure!(record.contains(&format!("\"{}\"", fault.cause())), "the record does not say {}: {record}", fault.cause());
    Ok(())
}
