//! The node under attack: programs that search for open nodes, and floods, while calls of known peers go on and a phone behind the
//! attacked address keeps working.

use ringfort_tests::ensure;
use ringfort_tests::harness::node::Node;
use ringfort_tests::harness::process::Process;
use ringfort_tests::harness::programs::require;
use ringfort_tests::harness::sip_client::SipClient;
use ringfort_tests::harness::sipp::{Running, Sipp};
use ringfort_tests::harness::site::{DOMAIN, Site, password_of};
use ringfort_tests::harness::stream::Wire;
use ringfort_tests::harness::wait::seconds;
use ringfort_tests::harness::{Context, Outcome, Scene, play};
use std::net::UdpSocket;
use std::process::Command;
use std::time::{Duration, Instant};

/// Calls a second of the known peers, and for how many seconds.
const RATE: u32 = 50;
const TIME_S: u32 = 12;
/// Datagrams of strangers in a millisecond of a flood that lasts.
const FLOOD_PER_MS: u32 = 60;
/// A node may grow by so much under a flood that it refuses.
const GROWTH_MAX_KB: u64 = 30_000;

/// A node between two trunks that carry calls, and a registered phone.
struct Attacked {
    node: Node,
    caller: Running,
    callee: Running,
    phone: SipClient,
    memory_kb: u64,
}

impl Attacked {
    fn start(scene: &Scene) -> Outcome<Attacked> {
        let (from, to) = (scene.port()?, scene.port()?);
        // The program that guesses passwords falls over a challenge that is not MD5, and would prove nothing.
        let old = "[[profile]]\nname = \"old\"\ndigest = [\"MD5\"]\n[[device]]\nuser_agent = \"friendly*\"\nprofile = \"old\"\n";
        let site = Site::new(scene)?
            .section(old)
            .trunk("inside", from)
            .trunk("outside", to)
            .route("out", "0*", "trunk:outside")
            .account("101");
        let node = Node::start(scene, site)?;
        let wire = Wire::udp(Node::at(node.site().udp), 0)?;
        let mut phone = SipClient::new(wire, "101", &password_of("101"), DOMAIN);
        ensure!(phone.register(300)?.status() == Some(200), "the phone cannot register");
        let calls = RATE * TIME_S;
        // A repeated INVITE, whose answer was lost in the flood, is no reason to give the call up.
        let callee = Sipp::new("callee", "load-answer", to).load(calls, RATE);
        let callee = callee.options(&["-default_behaviors", "all,-abortunexp"]).start(scene)?;
        let caller = Sipp::new("caller", "load-caller", from).to(node.site().udp).number("0301234").key("user", "4711");
        let caller = caller.load(calls, RATE).options(&["-d", "200"]).start(scene)?;
        let memory_kb = node.memory_kb()?;
        Ok(Attacked { node, caller, callee, phone, memory_kb })
    }

    fn port(&self) -> String {
        self.node.site().udp.to_string()
    }

    /// Every call went as its scenario says, the phone is served, and memory did not follow the attack.
    fn expect_unharmed(mut self) -> Outcome<()> {
        ensure!(self.phone.register(300)?.status() == Some(200), "the phone is not served");
        self.caller.finish(seconds(60))?;
        self.callee.finish(seconds(10))?;
        self.node.await_metric("ringfort_calls", 0.0, seconds(5))?;
        let normal = "ringfort_calls_ended_total{cause=\"normal\",mode=\"standalone\"}";
        self.node.await_metric(normal, f64::from(RATE * TIME_S), seconds(5))?;
        let growth = self.node.memory_kb()?.saturating_sub(self.memory_kb);
        ensure!(growth <= GROWTH_MAX_KB, "the node grew by {growth} kB");
        ensure!(self.phone.options()?.status() == Some(200), "the phone is not served");
        Ok(())
    }
}

/// A socket at an address of the loopback network, which has sixteen million.
fn source(n: u32) -> Outcome<UdpSocket> {
    let address = format!("127.{}.{}.{}:0", 10 + (n >> 16 & 63), n >> 8 & 255, 1 + n % 250);
    UdpSocket::bind(&address).during(address)
}

fn request(method: &str, n: u32, from: &str) -> String {
    format!(
        "{method} sip:0{n}@{DOMAIN} SIP/2.0\r\nVia: SIP/2.0/UDP {from};branch=z9hG4bK{n};rport\r\nFrom: <sip:101@{DOMAIN}>;tag={n}\r\n\
         To: <sip:0{n}@{DOMAIN}>\r\nCall-ID: attack{n}\r\nCSeq: 1 {method}\r\nMax-Forwards: 70\r\nContact: <sip:101@{from}>\r\n\
         Content-Length: 0\r\n\r\n"
    )
}

#[test]
fn sipvicious_gets_nothing_and_costs_no_call() -> Outcome<()> {
    play("attack-sipvicious", |scene| {
        let attacked = Attacked::start(scene)?;
        let port = attacked.port();
        // One searches from an address of its own, until it is banned. The others come from where the phone is: they know no other way.
        for (program, arguments) in [
            ("svmap", "-b 127.0.0.9"),
            ("svmap", "-b 127.0.0.9"),
            ("svmap", "-b 127.0.0.9"),
            ("svwar", "-e 100-400 --force"),
            ("svcrack", "-u 101 -r 1000-1400"),
        ] {
            let mut command = Command::new(require(program)?);
            // Not at 5060, where they would take for theirs what nodes of other tests answer to made-up addresses.
            let own = scene.port()?.to_string();
            command.current_dir(scene.folder()).args(["-p", &port, "-P", &own]).args(arguments.split(' ')).arg("127.0.0.1");
            command.env("HOME", scene.folder());
            let mut process = Process::start(program, command, &scene.file(program))?;
            // It ends by itself, or is ended: what counts is what it found.
            let _ = process.await_exit(seconds(5));
            process.kill();
            let found = std::fs::read_to_string(scene.file(program)).unwrap_or_default();
            ensure!(!found.contains("| 101") && !found.contains("password is"), "{program} found something:\n{found}");
            ensure!(!found.contains("Traceback"), "{program} fell over:\n{found}");
        }
        attacked.node.await_metric("ringfort_banned_sources", 1.0, seconds(5))?;
        attacked.expect_unharmed()
    })
}

#[test]
fn a_malformed_flood_costs_no_call() -> Outcome<()> {
    play("attack-malformed", |scene| {
        let attacked = Attacked::start(scene)?;
        let target = Node::at(attacked.node.site().udp);
        let attacker = source(1)?;
        for n in 0..100_000_u32 {
            let whole = request("INVITE", n, "127.10.0.2:5060");
            let part = whole.as_bytes().get(..(n as usize * 7) % whole.len()).unwrap_or_default();
            let _ = attacker.send_to(part, target);
        }
        attacked.node.await_metric("ringfort_banned_sources", 1.0, seconds(5))?;
        attacked.expect_unharmed()
    })
}

/// For as long as the calls last: known sources have a lane of their own.
#[test]
fn a_flood_that_does_not_end_costs_no_call_and_no_datagram_of_known_sources() -> Outcome<()> {
    play("attack-lasting", |scene| {
        let mut attacked = Attacked::start(scene)?;
        let target = Node::at(attacked.node.site().udp);
        let sources = (0..64).map(source).collect::<Outcome<Vec<UdpSocket>>>()?;
        let begun = Instant::now();
        let mut sent = 0_u32;
        while attacked.caller.is_running()? {
            for _ in 0..FLOOD_PER_MS {
                let socket = &sources[sent as usize % sources.len()];
                let _ = socket.send_to(request("INVITE", sent, "127.10.0.2:5060").as_bytes(), target);
                sent += 1;
            }
            // The kernel's buffers are no part of what is tested: it drops what no process had the time to read.
            let due = begun + Duration::from_millis(u64::from(sent / FLOOD_PER_MS));
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
        }
        println!("{sent} datagrams of strangers in {} ms", begun.elapsed().as_millis());
        let lost = attacked.node.metric("ringfort_limits_reached_total{limit=\"CORE_QUEUE_MAX\"}")?;
        ensure!(lost.is_none(), "datagrams of known sources were dropped");
        attacked.expect_unharmed()
    })
}

/// Each source sends little, all together very much: no table may fill.
#[test]
fn invites_from_everywhere_cost_no_call() -> Outcome<()> {
    play("attack-spoofed", |scene| {
        let attacked = Attacked::start(scene)?;
        let target = Node::at(attacked.node.site().udp);
        for n in 0..20_000_u32 {
            let socket = source(n)?;
            let from = socket.local_addr().during("an address")?.to_string();
            for again in 0..2 {
                let _ = socket.send_to(request("INVITE", n * 2 + again, &from).as_bytes(), target);
            }
        }
        attacked.expect_unharmed()
    })
}
