//! What `ringfort capacity` found on this machine is a limit: the call after the last that fits is refused, and the others go on.

use ringfort_tests::ensure;
use ringfort_tests::harness::http::Api;
use ringfort_tests::harness::node::Node;
use ringfort_tests::harness::sip_client::{Placed, SipClient};
use ringfort_tests::harness::site::{DOMAIN, Site, password_of};
use ringfort_tests::harness::stream::Wire;
use ringfort_tests::harness::tone_peer::TonePeer;
use ringfort_tests::harness::wait::{await_until, seconds};
use ringfort_tests::harness::{Context, Failure, Outcome, Scene, play, programs};
use std::process::Command;

/// Calls that this machine is said to carry.
const CARRIED: usize = 3;

/// The file as the command writes it, with a figure that a test can reach.
fn measured(scene: &Scene) -> Outcome<()> {
    let info = std::fs::read_to_string("/proc/cpuinfo").during("reading /proc/cpuinfo")?;
    let model = info.lines().find(|line| line.starts_with("model name")).and_then(|line| line.split_once(':'));
    let processor = model.map_or("unknown processor", |(_, model)| model.trim());
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
    let file = serde_json::json!({ "processor": processor, "cores": cores, "calls_max": CARRIED });
    let folder = scene.file("state");
    std::fs::create_dir_all(&folder).during("making the state folder")?;
    std::fs::write(folder.join("capacity.json"), file.to_string()).during("writing what was measured")
}

/// A telephone that talks with the echo service.
struct Phone {
    sip: SipClient,
    tone: TonePeer,
    call: Placed,
}

impl Phone {
    fn calls(scene: &Scene, node: &Node, user: &str, hz: f64) -> Outcome<Phone> {
        let mut sip = SipClient::new(Wire::udp(Node::at(node.site().udp), 0)?, user, &password_of(user), DOMAIN);
        let tone = TonePeer::start(scene.port()?, hz)?;
        let call = sip.invite("*43", &ringfort_tests::harness::sip_message::plain_sdp(tone.port(), "sendrecv"))?;
        Ok(Phone { sip, tone, call })
    }

    fn talks(&self) -> Outcome<()> {
        self.tone.send_to(self.call.media_port()?);
        self.tone.await_tone(self.tone.hz(), seconds(3))
    }
}

fn last_cause(admin: &Api) -> Outcome<Option<()>> {
    Ok((admin.json("/api/v1/status")?["recent"][0]["cause"] == "limit").then_some(()))
}

#[test]
fn one_call_more_than_was_measured_is_refused() -> Outcome<()> {
    play("capacity-refusal", |scene| {
        measured(scene)?;
        let users: Vec<String> = (0..=CARRIED).map(|n| format!("10{n}")).collect();
        let site = users.iter().fold(Site::new(scene)?, |site, user| site.account(user));
        let node = Node::start(scene, site)?;
        let admin = node.admin()?;
        let limits = admin.json("/api/v1/status")?["limits"].clone();
        let row =
            limits.as_array().and_then(|rows| rows.iter().find(|row| row["holder"] == "node")).during("the node's limits")?;
        ensure!(row["calls_max"] == CARRIED && row["measured"] == serde_json::json!(["calls_max"]), "{limits}");
        node.log().await_line("the limit is what `ringfort capacity` measured", seconds(1))?;
        let mut phones = Vec::new();
        for (user, hz) in users.iter().zip([440.0, 700.0, 1_000.0]) {
            let phone = Phone::calls(scene, &node, user, hz)?;
            ensure!(phone.call.answer.status() == Some(200), "{user}: {}", phone.call.answer.start);
            phone.talks()?;
            phones.push(phone);
        }
        let last = &users[CARRIED];
        let refused = Phone::calls(scene, &node, last, 1_500.0)?;
        let answer = &refused.call.answer;
        ensure!(answer.status() == Some(503), "call {} was answered {}", CARRIED + 1, answer.start);
        ensure!(answer.header("Retry-After").parse::<u32>().is_ok(), "no Retry-After in {answer:?}");
        await_until("the record of the refused call", seconds(3), || last_cause(&admin))?;
        node.await_metric("ringfort_calls", CARRIED as f64, seconds(2))?;
        for phone in &phones {
            phone.tone.forget();
            phone.tone.await_tone(phone.tone.hz(), seconds(3))?;
        }
        // A place that comes free is the next caller's.
        let first = phones.first_mut().during("a phone")?;
        ensure!(first.sip.bye(&first.call)?.status() == Some(200), "BYE must be answered 200");
        node.await_metric("ringfort_calls", (CARRIED - 1) as f64, seconds(5))?;
        let next = Phone::calls(scene, &node, last, 1_500.0)?;
        ensure!(next.call.answer.status() == Some(200), "{}", next.call.answer.start);
        next.talks()
    })
}

/// Calls for which a scene has media ports.
const PORTS_FOR: u64 = 450;

/// Runs the command beside the folder that a node of this site will have; how many calls it found.
fn found(scene: &Scene, site: &Site) -> Outcome<u64> {
    let config = scene.write("node.toml", &site.text())?;
    let mut command = Command::new(programs::ringfort()?);
    let output =
        command.arg("capacity").arg("--config").arg(config).args(["--step-ms", "100", "--delay-ms", "20", "--json"]).output();
    let output = output.during("running ringfort capacity")?;
    if !output.status.success() {
        return Err(Failure::new(String::from_utf8_lossy(&output.stderr)));
    }
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).during("reading what it told")?;
    let kept = std::fs::read(scene.file("state/capacity.json")).during("reading what it kept")?;
    ensure!(serde_json::from_slice::<serde_json::Value>(&kept).is_ok_and(|kept| kept == told), "it keeps what it tells: {told}");
    ensure!(scene.file("state/capacity.svg").is_file(), "it draws the curve");
    for figure in ["plain_calls", "handshakes_a_second", "opus_g711_calls_a_core", "sip_calls_a_second", "calls_max"] {
        ensure!(told[figure].as_u64().is_some_and(|count| count > 0), "{figure} was not measured: {told}");
    }
    told["calls_max"].as_u64().during("the limit")
}

/// From the command to the refusal, with nothing written by hand. The calls are set up and say nothing: it is their number that counts.
#[test]
fn what_the_command_finds_is_the_node_s_limit() -> Outcome<()> {
    play("capacity-command", |scene| {
        // Its own limit of new calls a second goes before the one that is found.
        let site = Site::new(scene)?.account("101").section("[limits]\ncalls_per_second = 100000\n");
        let most = found(scene, &site)?;
        if most > PORTS_FOR {
            println!("LEFT OUT: this machine carries {most} calls, for more than {PORTS_FOR} of which there are no ports");
            return Ok(());
        }
        let node = Node::start(scene, site)?;
        let mut sip = SipClient::new(Wire::udp(Node::at(node.site().udp), 0)?, "101", &password_of("101"), DOMAIN);
        let body = ringfort_tests::harness::sip_message::plain_sdp(scene.port()?, "sendrecv");
        let mut calls = Vec::new();
        for n in 0..most {
            let call = sip.invite("*43", &body)?;
            ensure!(call.answer.status() == Some(200), "call {n} of {most}: {}", call.answer.start);
            calls.push(call);
        }
        let refused = sip.invite("*43", &body)?.answer;
        ensure!(refused.status() == Some(503), "call {} of {most} was answered {}", most + 1, refused.start);
        node.await_metric("ringfort_calls", most as f64, seconds(2))?;
        ensure!(sip.bye(&calls[0])?.status() == Some(200), "BYE must be answered 200");
        node.await_metric("ringfort_calls", (most - 1) as f64, seconds(5))?;
        ensure!(sip.invite("*43", &body)?.answer.status() == Some(200), "a place that comes free is the next caller's");
        Ok(())
    })
}
