//! A node, its clock, its journal, and what must hold of everything that it puts out.

use super::peers::{Peers, Said};
use bytes::Bytes;
use ringfort_base::entropy::Seeded;
use ringfort_base::{CallId, Now, PortId, Time, Transport, Wall, limits};
use ringfort_call::config::Snapshot;
use ringfort_call::{Input, Node, NodeSetup, Output, OwnAddresses, Saved};
use ringfort_media::plan::{Destination, FlowPlan, PortCounters, RelayCommand, RelayEvent};
use ringfort_sip::Message;
use ringfort_sip::locate::Question;
use ringfort_sip::message::HeaderName;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

/// The node.
pub const NODE: &str = "192.0.2.10:5060";
/// Wall clock at the beginning, milliseconds.
const EPOCH_MS: u64 = 1_800_000_000_000;
/// One input brings fewer outputs than that.
const OUTPUTS_MAX: usize = 5_000;
/// Timers that fire at one moment.
const TURNS_MAX: u32 = 10_000;
/// Longer than a silent call, subscription or registration lives; in pieces of this length, until nothing is left.
const LONG: Duration = Duration::from_secs(3 * 3_600);
const PIECE: Duration = Duration::from_secs(80);

/// The accounts and the carrier of every configuration; nobody is asked whether he lives.
const PLAIN: &str = r#"
[node]
domain = "ringfort.test"
[sip]
listen = ["udp:192.0.2.10:5060"]
[media]
port_first = 20000
port_last = 20099
[[account]]
user = "101"
[[account]]
user = "102"
[[account]]
user = "103"
[[trunk]]
name = "carrier"
address = "10.2.0.101:5060"
options_interval_ms = 0
[[route]]
name = "outside"
number = "0*"
to = ["trunk:carrier"]
"#;

/// Everything that can be switched on.
const RICH: &str = r#"
[node]
domain = "ringfort.test"
[sip]
listen = ["udp:192.0.2.10:5060"]
session_expires_s = 90
[media]
port_first = 20000
port_last = 20007
[cloud]
address = "10.3.0.100:5060"
domain = "cloud.test"
[[account]]
user = "101"
also_ring = ["102", "0777"]
[[account]]
user = "102"
forward = { busy = "103", no_answer = "0555", no_answer_s = 5 }
[[account]]
user = "103"
[[trunk]]
name = "carrier"
address = "carrier.test"
calls_max = 4
profile = "strict"
auth = { user = "branch", password = "secret" }
register = { user = "branch", password = "secret", expires_s = 120 }
[[trunk]]
name = "other"
address = "10.2.0.101:5060"
[[group]]
name = "both"
failover = ["4xx", "5xx"]
patience_ms = 2000
members = [{ trunk = "carrier", weight = 2 }, { trunk = "other" }]
[[route]]
name = "outside"
number = "0*"
to = ["group:both"]
[[profile]]
name = "strict"
reliable_provisional = "required"
session_timer = "required"
refer = "pass"
[[profile]]
name = "desk"
reliable_provisional = "supported"
session_timer = "supported"
refer = "node"
[[device]]
user_agent = "*"
profile = "desk"
"#;

/// The password of a user.
pub fn password(user: &str) -> String {
    format!("{user}{user}")
}

static CONFIGURATIONS: LazyLock<[Arc<Snapshot>; 2]> = LazyLock::new(|| {
    [PLAIN, RICH].map(|text| {
        let password = &mut |user: &str| Some(zeroize::Zeroizing::new(password(user)));
        Snapshot::load("fuzz.toml", text, password).expect("a sound configuration")
    })
});

fn configuration(choice: u8) -> Arc<Snapshot> {
    CONFIGURATIONS[usize::from(choice % 2)].clone()
}

fn civil(now: Time) -> Now {
    Now { mono: now, wall: Wall(EPOCH_MS + now.as_micros() / 1000) }
}

/// See the module's text.
pub struct Bench {
    node: Node,
    now: Time,
    snapshot: Arc<Snapshot>,
    generation: u64,
    journal: BTreeMap<String, Vec<u8>>,
    ports: BTreeSet<PortId>,
    /// What the relay has to say yet.
    last_words: VecDeque<RelayEvent>,
    questions: VecDeque<Question>,
    /// Everybody else.
    pub peers: Peers,
}

impl Bench {
    /// A node that begins with this configuration.
    pub fn new(choice: u8) -> Bench {
        let snapshot = configuration(choice);
        let (ports, last_words, questions) = (BTreeSet::new(), VecDeque::new(), VecDeque::new());
        let now = Time::from_millis(1);
        let node = start(now, 0, &snapshot, &BTreeMap::new());
        let (journal, peers) = (BTreeMap::new(), Peers::new());
        let mut bench = Bench { node, now, snapshot, generation: 0, journal, ports, last_words, questions, peers };
        bench.drain();
        bench
    }

    /// Ports of the relay that are open.
    pub fn open(&self) -> impl Iterator<Item = PortId> {
        self.ports.iter().copied()
    }

    /// Calls that are alive.
    pub fn calls(&self) -> Vec<CallId> {
        self.node.status().calls.iter().map(|row| row.call).collect()
    }

    /// The oldest open question to the DNS.
    pub fn question(&mut self) -> Option<Question> {
        self.questions.pop_front()
    }

    /// The relay could not open this port: it has no counters at its end.
    pub fn failed(&mut self, port: PortId) {
        self.ports.remove(&port);
    }

    /// A peer says something.
    pub fn say(&mut self, (hop, octets): Said) {
        let octets = Bytes::from(octets);
        self.input(match Message::parse(octets.clone()) {
            Ok(message) => Input::Message { hop, message },
            Err(error) => Input::Unparsed { hop, octets, error },
        });
    }

    /// Hands the node one input.
    pub fn input(&mut self, input: Input) {
        self.node.handle(civil(self.now), input);
        self.drain();
    }

    /// Another configuration.
    pub fn reload(&mut self, choice: u8) {
        self.snapshot = configuration(choice);
        self.input(Input::Reload(self.snapshot.clone()));
    }

    /// The process is killed and starts again from its journal.
    pub fn restart(&mut self) {
        self.generation += 1;
        self.ports.clear();
        self.last_words.clear();
        self.questions.clear();
        self.node = start(self.now, self.generation, &self.snapshot, &self.journal);
        self.drain();
    }

    /// Time passes, with every timer at its moment.
    pub fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        while self.node.next_timeout() <= until {
            self.now = self.now.max(self.node.next_timeout());
            let mut turns = 0;
            while self.node.next_timeout() <= self.now {
                self.node.handle_timeout(civil(self.now));
                self.drain();
                turns += 1;
                assert!(turns < TURNS_MAX, "a timer fires for ever at one moment");
            }
        }
        self.now = until;
    }

    /// Nobody says anything any more, and the operator ends what talks.
    pub fn rest(&mut self) {
        self.reload(0);
        self.calls().into_iter().for_each(|call| self.input(Input::HangUp(call)));
        let end = self.now + LONG;
        while self.now < end && self.left().is_some() {
            self.pass(PIECE);
        }
        assert_eq!(self.left(), None, "when everybody is silent");
    }

    /// What there is of somebody's.
    fn left(&self) -> Option<String> {
        let (residue, watchers) = (self.node.residue(), self.node.watchers());
        let lasting = |key: &&String| ["call/", "bye/", "subscription/", "binding/"].iter().any(|kind| key.starts_with(kind));
        let kept: Vec<&String> = self.journal.keys().filter(lasting).collect();
        let empty = residue == [0, 0, 0] && watchers == [0, 0] && self.ports.is_empty() && kept.is_empty();
        (!empty).then(|| {
            let (ports, calls) = (&self.ports, self.node.status().calls);
            format!(
                "[calls, ports, transactions] {residue:?}, [subscriptions, requests] {watchers:?}, {ports:?}, {kept:?}, {calls:?}"
            )
        })
    }

    fn drain(&mut self) {
        loop {
            self.perform();
            let Some(event) = self.last_words.pop_front() else { return };
            self.node.handle(civil(self.now), Input::Relay(event));
        }
    }

    fn perform(&mut self) {
        let mut count = 0;
        while let Some(output) = self.node.poll_output() {
            count += 1;
            match output {
                Output::Send { hop, octets } => {
                    assert!(octets.len() <= limits::SIP_MESSAGE_MAX, "a message of {} octets", octets.len());
                    let message = Message::parse(octets).expect("what is sent can be read");
                    sound(&message);
                    self.peers.hear(hop, message);
                }
                Output::Relay(command) => self.relay(command),
                Output::Persist { key, value } => self.write(key, value),
                Output::Resolve { question } => self.questions.push_back(question),
                Output::Event(_) | Output::Shield(_) | Output::CertificateName { .. } => {}
            }
        }
        assert!(count <= OUTPUTS_MAX, "{count} outputs for one input");
    }

    fn write(&mut self, key: String, value: Option<Vec<u8>>) {
        assert!(key.len() <= limits::JOURNAL_KEY_MAX, "a journal key of {} octets", key.len());
        match value {
            Some(value) => {
                assert!(value.len() <= limits::JOURNAL_VALUE_MAX, "a journal value of {} octets", value.len());
                self.journal.insert(key, value);
            }
            None => drop(self.journal.remove(&key)),
        }
    }

    fn relay(&mut self, command: RelayCommand) {
        match command {
            RelayCommand::Open { port, .. } => assert!(self.ports.insert(port), "port {port} is opened twice"),
            RelayCommand::Plan { port, plan } => self.planned(port, &plan),
            RelayCommand::Close { port } => {
                if self.ports.remove(&port) {
                    self.last_words.push_back(RelayEvent::Counters {
                        port,
                        counters: Box::<PortCounters>::default(),
                        last: true,
                    });
                }
            }
            RelayCommand::Move { .. }
            | RelayCommand::Restore { .. }
            | RelayCommand::Send { .. }
            | RelayCommand::Digit { .. }
            | RelayCommand::AskForPicture { .. }
            | RelayCommand::Report => {}
        }
    }

    fn planned(&self, port: PortId, plan: &FlowPlan) {
        if let Destination::Port(other) = plan.destination {
            assert_ne!(other, port, "a port that leads to itself");
        }
    }
}

/// RFC 3261 8.1.1 and 8.2.6: what every message has. Whoever is told that what he sent cannot be read gets it back as it was.
fn sound(message: &Message) {
    let first = String::from_utf8_lossy(message.octets().split(|octet| *octet == b'\r').next().unwrap_or_default()).to_string();
    assert!(message.header(HeaderName::Via).is_some(), "{first} without Via");
    if matches!(message.status(), Some(400 | 413 | 505 | 513)) {
        return;
    }
    let complete = message.from().is_ok() && message.to().is_ok() && message.call_id().is_ok() && message.cseq().is_ok();
    assert!(complete, "{first} lacks a mandatory header field");
    let tagged = message.status().is_none_or(|status| status == 100 || message.to().is_ok_and(|to| to.tag().is_some()));
    assert!(tagged, "{first} without To tag");
}

fn start(now: Time, generation: u64, snapshot: &Arc<Snapshot>, journal: &BTreeMap<String, Vec<u8>>) -> Node {
    let address: SocketAddr = NODE.parse().expect("a constant address");
    let listeners = [Transport::Udp, Transport::Tcp, Transport::Tls, Transport::Wss].map(|transport| (transport, address));
    let saved = journal.iter().map(|(key, value)| Saved { key: key.clone(), value: value.clone() }).collect();
    let setup = NodeSetup {
        snapshot: snapshot.clone(),
        own: OwnAddresses::plain(listeners.to_vec(), address.ip()),
        entropy: Box::new(Seeded::new(7 + generation)),
        saved,
        version: "fuzz".into(),
    };
    Node::new(civil(now), setup)
}
