//! Recorders that are processes of their own, and die.

use ringfort_tests::ensure;
use ringfort_tests::harness::http::Api;
use ringfort_tests::harness::node::Node;
use ringfort_tests::harness::sip_client::SipClient;
use ringfort_tests::harness::sip_message::{SipMessage, ending};
use ringfort_tests::harness::sipp::{Running, Sipp};
use ringfort_tests::harness::site::{DOMAIN, Site};
use ringfort_tests::harness::stream::Wire;
use ringfort_tests::harness::tone_peer::TonePeer;
use ringfort_tests::harness::wait::{await_true, seconds};
use ringfort_tests::harness::{Failure, Outcome, Scene, play};
use std::time::Duration;

/// The longest break in the call's audio that has nothing to do with its recorder, on a busy machine.
const GAP_MAX: Duration = Duration::from_millis(500);

/// A recorder, and what it hears of caller and callee.
struct Recorder {
    port: u16,
    ears: [TonePeer; 2],
}

impl Recorder {
    fn new(scene: &Scene) -> Outcome<Recorder> {
        let ears = [TonePeer::start(scene.port()?, 200.0)?, TonePeer::start(scene.port()?, 200.0)?];
        ears.iter().for_each(|ear| ear.set_silent(true));
        Ok(Recorder { port: scene.port()?, ears })
    }

    fn section(&self, name: &str) -> String {
        self.section_by(name, "tcp", 1_000)
    }

    fn section_by(&self, name: &str, transport: &str, patience_ms: u32) -> String {
        let address = format!("127.0.0.1:{}", self.port);
        format!(
            "[[recorder]]\nname = \"{name}\"\naddress = \"{address}\"\ntransport = \"{transport}\"\noptions_interval_ms = 0\n\
             patience_ms = {patience_ms}\n"
        )
    }

    fn start(&self, scene: &Scene, name: &str) -> Outcome<Running> {
        self.play(scene, name, "record")
    }

    fn play(&self, scene: &Scene, name: &str, scenario: &str) -> Outcome<Running> {
        let [first, second] = &self.ears;
        let sipp = Sipp::new(name, scenario, self.port).key("first_port", first.port()).key("second_port", second.port());
        sipp.options(&["-t", "t1"]).start(scene)
    }

    fn hears(&self) -> Outcome<()> {
        self.ears[0].await_tone(440.0, seconds(10))?;
        self.ears[1].await_tone(1_000.0, seconds(10))
    }

    /// What it takes: both lines, in this direction.
    fn sdp(&self, version: u32, direction: &str) -> String {
        let line = |ear: &TonePeer, label| {
            format!("m=audio {} RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\na=label:{label}\r\na={direction}\r\n", ear.port())
        };
        let [first, second] = &self.ears;
        let head = format!("v=0\r\no=rec 1 {version} IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n");
        head + &line(first, 1) + &line(second, 2)
    }
}

/// The recorder's side of a session, told by the test what to do when.
struct Session {
    client: SipClient,
    invite: SipMessage,
    cseq: u32,
}

impl Session {
    /// Takes the session that the node asks for.
    fn take(node: &Node, recorder: &Recorder) -> Outcome<Session> {
        let wire = Wire::udp(Node::at(node.site().udp), recorder.port)?;
        let mut client = SipClient::new(wire, "recorder", "", DOMAIN);
        let invite = client.await_request("INVITE", seconds(20))?;
        ensure!(invite.body.contains("<recording xmlns="), "no metadata in {}", invite.body);
        let contact = format!("Contact: <sip:recorder@127.0.0.1:{}>;+sip.srs\r\n", recorder.port);
        client.wire().send(invite.reply("200 OK", "rec", &contact, &recorder.sdp(1, "recvonly")).as_bytes())?;
        client.await_request("ACK", seconds(20))?;
        Ok(Session { client, invite, cseq: 0 })
    }

    /// Its own re-INVITE, which the node takes.
    fn change(&mut self, recorder: &Recorder, direction: &str) -> Outcome<()> {
        self.cseq += 1;
        let sdp = recorder.sdp(self.cseq + 1, direction);
        let answer = self.client.ask(&self.within(recorder, "INVITE", &ending(&sdp)))?;
        ensure!(answer.status() == Some(200), "the node says {}", answer.start);
        let expected = if direction == "recvonly" { "a=sendonly" } else { "a=inactive" };
        ensure!(answer.body.matches(expected).count() == 2, "the node answers {}", answer.body);
        let ack = self.within(recorder, "ACK", &ending(""));
        self.client.wire().send(ack.as_bytes())
    }

    fn within(&self, recorder: &Recorder, method: &str, rest: &str) -> String {
        let (invite, cseq, port) = (&self.invite, self.cseq, recorder.port);
        format!(
            "{method} {} SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:{port};branch=z9hG4bK{method}{cseq}\r\nMax-Forwards: 70\r\n\
             From: {};tag=rec\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: {cseq} {method}\r\n\
             Contact: <sip:recorder@127.0.0.1:{port}>;+sip.srs\r\n{rest}",
            invite.contact_uri(),
            invite.header("To"),
            invite.header("From"),
            invite.header("Call-ID"),
        )
    }
}

/// Ends the only call of the node.
fn hang_up(admin: &Api) -> Outcome<()> {
    let status = admin.json("/api/v1/status")?;
    let call = status["calls"][0]["call"].as_str().unwrap_or_default().to_string();
    admin.request("POST", &format!("/api/v1/calls/{call}/hangup"), None).map(drop)
}

/// The recorder asks who the node is, and checks the answer by its own arithmetic.
#[test]
fn a_recorder_that_asks_who_the_node_is_records() -> Outcome<()> {
    play("recording-digest", |scene| {
        let (caller_port, callee_port) = (scene.port()?, scene.port()?);
        let recorder = Recorder::new(scene)?;
        let site =
            Site::new(scene)?.trunk("inside", caller_port).trunk("outside", callee_port).route("out", "0*", "trunk:outside");
        let auth = "auth = { user = \"node\", password = \"secret of the recorder\" }\n";
        let site = site.section(&(recorder.section_by("main", "tcp", 20_000) + auth));
        let node = Node::start(scene, site.section("[[recording]]\nname = \"all\"\nto = [\"main\"]"))?;
        let mut asking = recorder.play(scene, "main", "record-digest")?;
        let (near, far) = (TonePeer::start(scene.port()?, 440.0)?, TonePeer::start(scene.port()?, 1_000.0)?);
        let mut callee = Sipp::new("callee", "answer", callee_port).key("tone_port", far.port()).start(scene)?;
        let caller = Sipp::new("caller", "call-until-bye", caller_port).to(node.site().udp).number("0301234").key("user", "4711");
        let mut caller = caller.key("tone_port", near.port()).start(scene)?;
        near.send_to(caller.await_number("ANSWERED", "media", seconds(20))?);
        asking.await_event("PROVED", seconds(20))?;
        asking.await_event("ANSWERED", seconds(20))?;
        recorder.hears()?;
        hang_up(&node.admin()?)?;
        caller.finish(seconds(20))?;
        callee.finish(seconds(20))?;
        asking.finish(seconds(20))
    })
}

/// The recorder pauses by a re-INVITE of its own and goes on; a telephone that understands it is told each time; the call never notices.
#[test]
fn a_recorder_pauses_and_a_telephone_that_understands_it_is_told() -> Outcome<()> {
    play("recording-paused", |scene| {
        let (caller_port, callee_port) = (scene.port()?, scene.port()?);
        let recorder = Recorder::new(scene)?;
        let site =
            Site::new(scene)?.trunk("inside", caller_port).trunk("outside", callee_port).route("out", "0*", "trunk:outside");
        let site = site.section(&recorder.section_by("main", "udp", 20_000));
        let node = Node::start(scene, site.section("[[recording]]\nname = \"all\"\nto = [\"main\"]"))?;
        let (near, far) = (TonePeer::start(scene.port()?, 440.0)?, TonePeer::start(scene.port()?, 1_000.0)?);
        let mut callee = Sipp::new("callee", "answer", callee_port).key("tone_port", far.port()).start(scene)?;
        let caller = Sipp::new("caller", "call-aware", caller_port).to(node.site().udp).number("0301234").key("user", "4711");
        let mut caller = caller.key("tone_port", near.port()).start(scene)?;
        let mut session = Session::take(&node, &recorder)?;
        near.send_to(caller.await_number("ANSWERED", "media", seconds(20))?);
        caller.await_event("TOLD on", seconds(20))?;
        recorder.hears()?;

        let admin = node.admin()?;
        let state =
            || Ok::<_, Failure>(admin.json("/api/v1/status")?["calls"][0]["recording"].as_str().unwrap_or_default().to_string());
        session.change(&recorder, "inactive")?;
        caller.await_event("TOLD paused", seconds(20))?;
        ensure!(state()? == "by main, which pauses", "the page says {}", state()?);
        recorder.ears.iter().for_each(TonePeer::forget);
        let quiet = || recorder.ears.iter().all(|ear| ear.gap_max() >= seconds(1));
        await_true("silence at the recorder", seconds(20), quiet)?;
        ensure!(recorder.ears.iter().all(|ear| ear.packets() > 0), "nothing was recorded before");
        far.await_tone(440.0, seconds(10))?;

        session.change(&recorder, "recvonly")?;
        caller.await_event("TOLD again", seconds(20))?;
        recorder.hears()?;
        ensure!(state()? == "by main", "the page says {}", state()?);
        hang_up(&admin)?;
        caller.finish(seconds(20))?;
        callee.finish(seconds(20))?;
        let bye = session.client.await_request("BYE", seconds(20))?;
        session.client.wire().send(bye.reply("200 OK", "rec", "", "").as_bytes())?;
        node.await_metric("ringfort_calls", 0.0, seconds(10))?;
        let record = admin.json("/api/v1/status")?["recent"][0]["recordings"].clone();
        ensure!(record[0]["cause"] == "call-ended" && record[1].is_null(), "the record says {record}");
        Ok(())
    })
}

/// `kill -9` of the recorder in the middle of a call: the call's audio has no gap, and another recorder hears the rest.
#[test]
fn a_recorder_is_killed_and_the_call_goes_on() -> Outcome<()> {
    play("recording-killed", |scene| {
        let (caller_port, callee_port) = (scene.port()?, scene.port()?);
        let (main, second) = (Recorder::new(scene)?, Recorder::new(scene)?);
        let site =
            Site::new(scene)?.trunk("inside", caller_port).trunk("outside", callee_port).route("out", "0*", "trunk:outside");
        let site = site.section(&main.section("main")).section(&second.section("second"));
        let site = site.section("[[recording]]\nname = \"all\"\nto = [\"main\", \"second\"]");
        let node = Node::start(scene, site)?;
        let mut recorder = main.start(scene, "main")?;
        let mut other = second.start(scene, "second")?;
        let (near, far) = (TonePeer::start(scene.port()?, 440.0)?, TonePeer::start(scene.port()?, 1_000.0)?);
        let mut callee = Sipp::new("callee", "answer", callee_port).key("tone_port", far.port()).start(scene)?;
        let caller = Sipp::new("caller", "call-until-bye", caller_port).to(node.site().udp).number("0301234").key("user", "4711");
        let mut caller = caller.key("tone_port", near.port()).start(scene)?;
        near.send_to(caller.await_number("ANSWERED", "media", seconds(5))?);
        far.await_tone(440.0, seconds(3))?;
        near.await_tone(1_000.0, seconds(3))?;
        recorder.await_event("ANSWERED", seconds(5))?;
        main.hears()?;

        near.forget();
        far.forget();
        recorder.kill();
        // It is missed when it is asked within its dialog, every 15 s.
        other.await_event("ANSWERED", seconds(30))?;
        second.hears()?;
        let gap = near.gap_max().max(far.gap_max());
        println!("longest break in audio {} ms", gap.as_millis());
        ensure!(gap <= GAP_MAX, "audio stopped for {} ms", gap.as_millis());

        let admin = node.admin()?;
        let status = admin.json("/api/v1/status")?;
        ensure!(status["calls"][0]["recording"] == "by second", "the page says {}", status["calls"][0]["recording"]);
        hang_up(&admin)?;
        caller.finish(seconds(15))?;
        callee.finish(seconds(5))?;
        other.finish(seconds(5))?;
        node.await_metric("ringfort_calls", 0.0, seconds(5))?;
        let status = admin.json("/api/v1/status")?;
        let causes: Vec<&str> = (0..2).filter_map(|n| status["recent"][0]["recordings"][n]["cause"].as_str()).collect();
        ensure!(causes == ["no-answer", "call-ended"], "the record says {causes:?}");
        Ok(())
    })
}
