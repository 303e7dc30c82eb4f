//! Audio that stood and ceases, or that is heard and cannot go on to the other party, has a name, too: while it lasts in the API, afterwards
//! in the record.

use ringfort_tests::ensure;
use ringfort_tests::harness::firewall::Firewall;
use ringfort_tests::harness::http::Api;
use ringfort_tests::harness::node::Node;
use ringfort_tests::harness::rtp::Sender;
use ringfort_tests::harness::secured_peer::SecuredPeer;
use ringfort_tests::harness::sip_client::{Placed, SipClient};
use ringfort_tests::harness::sip_message::plain_sdp;
use ringfort_tests::harness::site::{DOMAIN, Site, password_of};
use ringfort_tests::harness::stream::Wire;
use ringfort_tests::harness::tone_peer::TonePeer;
use ringfort_tests::harness::wait::{await_until, beside, seconds};
use ringfort_tests::harness::{Context, Outcome, Scene, play};
use serde_json::Value;
use std::net::{Ipv4Addr, UdpSocket};

const ECHO: &str = "*43";
/// Sources in each look: one key may have 264 of them, and no more.
const SOURCES: u32 = 8;

/// A call whose caller's audio is missing.
struct Faulty {
    cause: &'static str,
    user: String,
    sip: SipClient,
    call: Placed,
    /// What goes on in it, again and again.
    goes_on: Box<dyn FnMut() -> Outcome<()>>,
}

impl Faulty {
    fn new(
        cause: &'static str,
        user: &str,
        sip: SipClient,
        call: Placed,
        goes_on: impl FnMut() -> Outcome<()> + 'static,
    ) -> Faulty {
        Faulty { cause, user: user.into(), sip, call, goes_on: Box::new(goes_on) }
    }

    /// What the status says of the caller's audio; "null" when it misses nothing. A transfer is a call of its own.
    fn missing(&self, status: &Value, list: &str) -> String {
        let of_user = |call: &&Value| call["from"].as_str().is_some_and(|from| from.contains(&self.user));
        let calls = status[list].as_array().into_iter().flatten().filter(of_user);
        calls.map(|call| call["missing"][0].to_string()).collect()
    }

    fn is_named(&self, status: &Value, list: &str) -> bool {
        self.missing(status, list).contains(&format!("\"{}\"", self.cause))
    }
}

fn client(node: &Node, user: &str) -> Outcome<SipClient> {
    let mut sip = SipClient::new(Wire::udp(Node::at(node.site().udp), 0)?, user, &password_of(user), DOMAIN);
    ensure!(sip.register(300)?.status() == Some(200), "{user} registers");
    Ok(sip)
}

/// A plain phone that hears itself by the echo service.
fn echoed(scene: &Scene, node: &Node, user: &str) -> Outcome<(SipClient, Placed, TonePeer)> {
    let mut sip = client(node, user)?;
    let audio = TonePeer::start(scene.port()?, 440.0)?;
    let call = sip.call(ECHO, audio.port())?;
    audio.send_to(call.media_port()?);
    audio.await_tone(440.0, seconds(10))?;
    Ok((sip, call, audio))
}

/// It was heard, and sends nothing any more.
fn stopped(scene: &Scene, node: &Node) -> Outcome<Faulty> {
    let (sip, call, audio) = echoed(scene, node, "101")?;
    audio.set_silent(true);
    Ok(Faulty::new("stopped", "101", sip, call, move || {
        ensure!(audio.port() > 0, "it is there and silent");
        Ok(())
    }))
}

/// It says that it only receives, and goes on sending.
fn sends_while_held(scene: &Scene, node: &Node) -> Outcome<Faulty> {
    let (mut sip, call, audio) = echoed(scene, node, "102")?;
    let changed = sip.change(&call, call.cseq + 1, &plain_sdp(audio.port(), "recvonly"))?;
    ensure!(changed.status() == Some(200), "the change was answered {}", changed.start);
    let call = Placed { cseq: call.cseq + 1, ..call };
    Ok(Faulty::new("sent-while-held", "102", sip, call, move || {
        ensure!(audio.sent() > 0, "it sends");
        Ok(())
    }))
}

/// Somebody sends what it sent once again and again.
fn replayed(scene: &Scene, node: &Node) -> Outcome<Faulty> {
    let mut sip = client(node, "103")?;
    let mut audio = SecuredPeer::start(scene.port()?, 1_000)?;
    let call = sip.invite(ECHO, &audio.offer()?)?;
    ensure!(call.answer.status() == Some(200), "the call was answered {}", call.answer.start);
    audio.answered(&call.answer.body)?;
    await_until("an echo", seconds(5), || Ok(audio.echo()?.then_some(())))?;
    let said = audio.say()?;
    Ok(Faulty::new("srtp-replayed", "103", sip, call, move || audio.repeat(&said)))
}

/// The system that the node runs on refuses to send to it.
fn refused(scene: &Scene, node: &Node) -> Outcome<Faulty> {
    let (mut near, mut far) = (client(node, "104")?, client(node, "105")?);
    let (audio, other) = (TonePeer::start(scene.port()?, 440.0)?, TonePeer::start(scene.port()?, 1_000.0)?);
    let answer = |_: &str| Ok(plain_sdp(other.port(), "sendrecv"));
    let call = beside(|| far.accept(seconds(8), answer), || near.call("105", audio.port()))?;
    audio.send_to(call.media_port()?);
    other.await_tone(440.0, seconds(10))?;
    audio.await_tone(1_000.0, seconds(10))?;
    let firewall = Firewall::refuse(audio.port())?;
    Ok(Faulty::new("send-failed", "104", near, call, move || {
        // Both go on, and the rule with them.
        let _both = (&audio, &other, &far, &firewall);
        Ok(())
    }))
}

/// The other party has a new source for each packet: more than one key may have.
fn unsent(scene: &Scene, node: &Node) -> Outcome<Faulty> {
    let (mut near, mut far) = (client(node, "106")?, client(node, "107")?);
    let mut audio = SecuredPeer::start(scene.port()?, 1_000)?;
    let offer = audio.offer()?;
    let other = UdpSocket::bind((Ipv4Addr::LOCALHOST, scene.port()?)).during("a media port")?;
    let port = other.local_addr().during("its address")?.port();
    let (mut to, mut ssrc) = (None, 0);
    let answer = |offered: &str| {
        to = ringfort_tests::harness::sip_message::audio_port(offered);
        Ok(plain_sdp(port, "sendrecv"))
    };
    let call = beside(|| far.accept(seconds(8), answer), || near.invite("107", &offer))?;
    ensure!(call.answer.status() == Some(200), "the call was answered {}", call.answer.start);
    audio.answered(&call.answer.body)?;
    let to = Node::at(to.during("no audio line in the offer")?);
    Ok(Faulty::new("srtp-unsent", "106", near, call, move || {
        audio.say()?;
        for _ in 0..SOURCES {
            ssrc += 1;
            other.send_to(&Sender::new(ssrc).packet(0, 160, &[0xd5; 160]), to).during("sending")?;
        }
        let _there = &far;
        Ok(())
    }))
}

/// It was transferred to somebody who rings, and sends from elsewhere meanwhile: nobody is there whom it could be told apart for.
fn transferred(scene: &Scene, node: &Node) -> Outcome<Faulty> {
    let (mut near, mut far, mut target) = (client(node, "108")?, client(node, "109")?, client(node, "110")?);
    let (audio, other) = (TonePeer::start(scene.port()?, 440.0)?, TonePeer::start(scene.port()?, 1_000.0)?);
    let elsewhere = UdpSocket::bind((Ipv4Addr::LOCALHOST, scene.port()?)).during("a media port")?;
    let mut asked = None;
    let ring = || {
        asked = Some(takes_call(&mut far, other.port())?);
        Ok(())
    };
    let call = beside(ring, || near.call("109", audio.port()))?;
    let to = call.media_port()?;
    audio.send_to(to);
    other.await_tone(440.0, seconds(10))?;
    let mut asked = asked.during("it was not called")?;
    ensure!(far.transfer(&asked, "110")?.status() == Some(202), "REFER is accepted");
    asked.cseq += 1;
    let invite = target.await_request("INVITE", seconds(5))?;
    target.wire().send(invite.reply("180 Ringing", "target", "", "").as_bytes())?;
    ensure!(far.bye(&asked)?.status() == Some(200), "BYE must be answered 200");
    audio.set_silent(true);
    let mut sender = Sender::new(4_711);
    Ok(Faulty::new("not-ready", "108", near, call, move || {
        let _there = (&audio, &other, &target);
        elsewhere.send_to(&sender.packet(0, 160, &[0xd5; 160]), Node::at(to)).map(drop).during("sending")
    }))
}

/// Answers the call that comes; the dialog as this side has it.
fn takes_call(phone: &mut SipClient, port: u16) -> Outcome<Placed> {
    let invite = phone.await_request("INVITE", seconds(8))?;
    let contact = format!("Contact: <sip:{}>\r\n", phone.wire().local()?);
    phone.wire().send(invite.reply("200 OK", "far", &contact, &plain_sdp(port, "sendrecv")).as_bytes())?;
    phone.await_request("ACK", seconds(8))?;
    let of = |name: &str| invite.header(name).to_string();
    Ok(Placed {
        call_id: of("Call-ID"),
        from: format!("{};tag=far", of("To")),
        to: of("From"),
        target: invite.contact_uri().to_string(),
        cseq: 0,
        branch: String::new(),
        answer: invite.clone(),
    })
}

#[test]
fn audio_that_ceases_has_a_name() -> Outcome<()> {
    play("ceasing", |scene| {
        let users = ["101", "102", "103", "104", "105", "106", "107", "108", "109", "110"];
        let site = users.into_iter().fold(Site::new(scene)?.tier("sockets"), |site, user| site.account(user));
        let node = Node::start(scene, site)?;
        let admin = node.admin()?;
        // All at once: some are missed after ten seconds only.
        let mut calls = [
            stopped(scene, &node)?,
            sends_while_held(scene, &node)?,
            replayed(scene, &node)?,
            refused(scene, &node)?,
            unsent(scene, &node)?,
            transferred(scene, &node)?,
        ];
        let mut last = Value::Null;
        let named = await_until("each of them to be named", seconds(30), || {
            calls.iter_mut().try_for_each(|call| (call.goes_on)())?;
            last = admin.json("/api/v1/status")?;
            Ok(calls.iter().all(|call| call.is_named(&last, "calls")).then_some(()))
        });
        let said = calls.each_ref().map(|call| (call.cause, call.missing(&last, "calls")));
        ensure!(named.is_ok(), "{named:?}: {said:?}");
        calls.iter_mut().try_for_each(|call| end(&admin, call))
    })
}

/// The caller hangs up, and the record says it, too.
fn end(admin: &Api, call: &mut Faulty) -> Outcome<()> {
    ensure!(call.sip.bye(&call.call)?.status() == Some(200), "BYE must be answered 200");
    let mut last = Value::Null;
    let recorded = await_until("its record", seconds(5), || {
        last = admin.json("/api/v1/status")?;
        Ok(call.is_named(&last, "recent").then_some(()))
    });
    ensure!(recorded.is_ok(), "the record of {} says {}", call.cause, call.missing(&last, "recent"));
    Ok(())
}
