//! A node, its time, and everything that it put out.

use bytes::Bytes;
use ringfort_base::entropy::Seeded;
use ringfort_base::{Event, FlowId, Hop, Now, Time, Transport, Wall};
use ringfort_call::config::{ListenAddress, Snapshot};
use ringfort_call::shield::ShieldCommand;
use ringfort_call::status::Status;
use ringfort_call::{Input, Node, NodeSetup, Output, OwnAddresses, Saved};
use ringfort_media::plan::RelayCommand;
use ringfort_sip::digest::{Challenge, Ha1};
use ringfort_sip::locate::{Answer, Data, Kind, Question};
use ringfort_sip::message::{HeaderName, Message, Method};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use zeroize::Zeroizing;

pub const SDP: &str = "v=0\r\no=- 1 1 IN IP4 10.0.0.9\r\ns=-\r\nc=IN IP4 10.0.0.9\r\nt=0 0\r\nm=audio 4000 RTP/AVP 8\r\n";
const START: Wall = Wall(1_700_000_000_000);

/// The type of a body, where the further header lines do not tell it: a description's.
fn kind_of(body: &str, more: &str) -> &'static str {
    if body.is_empty() || more.contains("Content-Type:") { "" } else { "Content-Type: application/sdp\r\n" }
}

/// A node and what it did.
pub struct Desk {
    node: Node,
    now: Time,
    pub sent: Vec<(SocketAddr, Message)>,
    /// By which hop each of them went.
    pub ways: Vec<Hop>,
    /// Listeners that parties send to, where it is not the usual one of their family.
    pub listeners: BTreeMap<SocketAddr, SocketAddr>,
    pub events: Vec<Event>,
    pub looked_up: Vec<Question>,
    /// What the DNS says; `None`: it says nothing.
    pub zone: Option<BTreeMap<Question, Answer>>,
    pub kept: BTreeMap<String, Vec<u8>>,
    pub shielded: Vec<ShieldCommand>,
    pub relayed: Vec<RelayCommand>,
    serial: u32,
    /// Connections that stand, by the address of their other end.
    connections: BTreeMap<SocketAddr, (Transport, FlowId)>,
}

pub fn snapshot(text: &str) -> Arc<Snapshot> {
    Snapshot::load("test.toml", text, &mut |user| Some(Zeroizing::new(password(user)))).expect("a sound configuration")
}

fn password(user: &str) -> String {
    format!("secret of {user}")
}

/// The answer of `user` to a challenge.
pub fn proof(challenge: &str, user: &str, method: &str, uri: &str) -> String {
    let ha1 = Ha1::new(user, "ringfort.local", &password(user));
    Challenge::parse(challenge).expect("a challenge").answer(user, &ha1, method, uri, "c", 1).to_string()
}

fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

impl Desk {
    pub fn new(text: &str) -> Desk {
        Desk::restarted(text, Vec::new())
    }

    /// A node that begins with what another one wrote down.
    pub fn restarted(text: &str, saved: Vec<Saved>) -> Desk {
        let listeners = vec![(Transport::Udp, address("192.0.2.10:5060"))];
        Desk::started(snapshot(text), OwnAddresses::plain(listeners, address("192.0.2.10:0").ip()), saved)
    }

    /// A node that listens as its configuration says, in each realm.
    pub fn listening(text: &str) -> Desk {
        let snapshot = snapshot(text);
        let bound = |listen: &[ListenAddress]| listen.iter().map(|own| (own.transport, own.address)).collect();
        let realms = snapshot.realms.iter().map(|realm| bound(&realm.listen)).collect();
        let default = |v4| address(if v4 { "192.0.2.10:0" } else { "[2001:db8::10]:0" }).ip();
        let own = OwnAddresses::configured(&snapshot, bound(&snapshot.sip.listen), realms, default);
        Desk::started(snapshot, own, Vec::new())
    }

    fn started(snapshot: Arc<Snapshot>, own: OwnAddresses, saved: Vec<Saved>) -> Desk {
        let setup = NodeSetup { snapshot, own, entropy: Box::new(Seeded::new(7)), saved, version: "test".into() };
        let now = Time::from_millis(1_000);
        let node = Node::new(at(now), setup);
        let (sent, events, looked_up, kept, shielded) = (Vec::new(), Vec::new(), Vec::new(), BTreeMap::new(), Vec::new());
        let (relayed, connections) = (Vec::new(), BTreeMap::new());
        let (ways, listeners) = (Vec::new(), BTreeMap::new());
        let mut desk = Desk {
            node,
            now,
            sent,
            ways,
            listeners,
            events,
            looked_up,
            kept,
            shielded,
            relayed,
            zone: None,
            serial: 0,
            connections,
        };
        desk.drain();
        desk
    }

    /// What a process killed now would leave behind.
    pub fn left_behind(&self) -> Vec<Saved> {
        self.kept.iter().map(|(key, value)| Saved { key: key.clone(), value: value.clone() }).collect()
    }

    /// The one call that is written down, as JSON.
    pub fn kept_call(&self) -> String {
        let (_, call) = self.kept.iter().find(|(key, _)| key.starts_with("call/")).expect("the call was written down");
        rmp_serde::from_slice::<serde_json::Value>(call).expect("it can be read").to_string()
    }

    pub fn status(&self) -> Status {
        self.node.status()
    }

    /// The virtual moment; the matrix asks for it.
    #[allow(dead_code)]
    pub fn now(&self) -> Time {
        self.now
    }

    /// Calls, media ports and transactions that are left.
    pub fn residue(&self) -> [usize; 3] {
        self.node.residue()
    }

    /// Subscriptions, and requests outside calls that wait.
    pub fn watchers(&self) -> [usize; 2] {
        self.node.watchers()
    }

    pub fn input(&mut self, input: Input) {
        self.node.handle(at(self.now), input);
        self.drain();
    }

    /// Time passes, with every timer at its moment.
    pub fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        while self.node.next_timeout() <= until {
            self.now = self.now.max(self.node.next_timeout());
            self.node.handle_timeout(at(self.now));
            self.drain();
        }
        self.now = until;
    }

    fn drain(&mut self) {
        let asked = self.looked_up.len();
        self.perform();
        let questions = self.looked_up[asked..].to_vec();
        for question in questions {
            self.answer_question(question);
        }
    }

    fn perform(&mut self) {
        while let Some(output) = self.node.poll_output() {
            match output {
                Output::Send { hop, octets } => {
                    self.ways.push(hop);
                    self.sent.push((hop.remote, Message::parse(octets).expect("a message")));
                }
                Output::Event(event) => self.events.push(event),
                Output::Resolve { question } => self.looked_up.push(question),
                Output::CertificateName { .. } => {}
                Output::Persist { key, value: Some(value) } => drop(self.kept.insert(key, value)),
                Output::Persist { key, value: None } => drop(self.kept.remove(&key)),
                Output::Shield(command) => self.shielded.push(command),
                Output::Relay(command) => self.relayed.push(command),
            }
        }
    }

    /// A party connects by TLS: what it sends comes over this connection.
    pub fn connect(&mut self, from: &str, flow: u64) {
        self.connect_by(Transport::Tls, from, flow);
    }

    /// The same by another transport.
    pub fn connect_by(&mut self, transport: Transport, from: &str, flow: u64) {
        self.connections.insert(address(from), (transport, FlowId(flow)));
    }

    /// A connection breaks.
    pub fn disconnect(&mut self, from: &str) {
        if let Some((_, flow)) = self.connections.remove(&address(from)) {
            self.input(Input::FlowClosed(flow));
        }
    }

    /// How many messages went to a party.
    pub fn count(&self, to: &str) -> usize {
        self.sent.iter().filter(|(remote, _)| *remote == address(to)).count()
    }

    /// The DNS answers what was asked of it, and does so from now on: lines `name kind data` with a TTL of 60 seconds.
    pub fn zone(&mut self, text: &str) {
        let zone = self.zone.insert(BTreeMap::new());
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let words: Vec<&str> = line.split_whitespace().collect();
            let number = |at: usize| words[at].parse().expect("a number");
            let (kind, data) = match words[1] {
                "SRV" => {
                    let target = words[5].to_string();
                    (Kind::Srv, Data::Srv { priority: number(2), weight: number(3), port: number(4), target })
                }
                "AAAA" => (Kind::Aaaa, Data::Address(words[2].parse().expect("an address"))),
                _ => (Kind::A, Data::Address(words[2].parse().expect("an address"))),
            };
            let found = zone.entry(Question::new(words[0], kind)).or_insert(Answer::Found { records: Vec::new(), ttl_s: 60 });
            if let Answer::Found { records, .. } = found {
                records.push(data);
            }
        }
        for question in self.looked_up.clone() {
            self.answer_question(question);
        }
    }

    /// The DNS says no more.
    pub fn dns_dies(&mut self) {
        self.zone = None;
    }

    /// Every question that is open fails.
    pub fn questions_fail(&mut self) {
        for question in self.looked_up.clone() {
            self.input(Input::Resolved { question, answer: Answer::Failed });
        }
    }

    fn answer_question(&mut self, question: Question) {
        let Some(zone) = &self.zone else { return };
        let answer = zone.get(&question).cloned().unwrap_or(Answer::Absent { ttl_s: 60 });
        self.input(Input::Resolved { question, answer });
    }

    /// A party sends these octets.
    pub fn receive(&mut self, from: &str, text: &str) {
        let remote = address(from);
        let (transport, flow) = self.connections.get(&remote).copied().unzip();
        let transport = transport.unwrap_or(Transport::Udp);
        let usual = address(if remote.is_ipv4() { "192.0.2.10:5060" } else { "[2001:db8::10]:5060" });
        let local = Some(self.listeners.get(&remote).copied().unwrap_or(usual));
        let hop = Hop { transport, remote, local, flow };
        let message = Message::parse(Bytes::copy_from_slice(text.as_bytes())).expect("a message");
        self.input(Input::Message { hop, message });
    }

    /// A request of `user` outside any dialog; `more` are further header lines.
    pub fn request(&mut self, from: &str, method: &str, uri: &str, user: &str, more: &str, body: &str) {
        self.serial += 1;
        let (n, to) = (self.serial, if method == "REGISTER" { format!("sip:{user}@ringfort.local") } else { uri.to_string() });
        let kind = kind_of(body, more);
        let text = format!(
            "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {from};branch=z9hG4bK{n};rport\r\nFrom: <sip:{user}@ringfort.local>;tag=f{n}\r\n\
             To: <{to}>\r\nCall-ID: call{n}\r\nCSeq: {n} {method}\r\nMax-Forwards: 70\r\n{more}{kind}Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        self.receive(from, &text);
    }

    /// REGISTER of `user`, who answers the challenge.
    pub fn register(&mut self, from: &str, user: &str, contacts: &str) -> u16 {
        self.request(from, "REGISTER", "sip:ringfort.local", user, contacts, "");
        let Some(challenge) = self.last(from).header(HeaderName::WwwAuthenticate).map(str::to_string) else {
            return self.answer(from);
        };
        let ha1 = Ha1::new(user, "ringfort.local", &password(user));
        let challenge = Challenge::parse(&challenge).expect("a challenge");
        let answer = challenge.answer(user, &ha1, "REGISTER", "sip:ringfort.local", "c", 1);
        self.request(from, "REGISTER", "sip:ringfort.local", user, &format!("{contacts}Authorization: {answer}\r\n"), "");
        self.answer(from)
    }

    /// The last message that went to a party.
    pub fn last(&self, to: &str) -> Message {
        self.sent
            .iter()
            .rev()
            .find(|(remote, _)| *remote == address(to))
            .map(|(_, message)| message.clone())
            .expect("nothing was sent")
    }

    /// The last message to a party for which `fits` holds.
    pub fn last_of(&self, to: &str, fits: impl Fn(&Message) -> bool) -> Message {
        let mut sent = self.sent.iter().rev().filter(|(remote, _)| *remote == address(to));
        sent.find(|(_, message)| fits(message)).map(|(_, message)| message.clone()).expect("nothing like that was sent")
    }

    /// The status of it.
    pub fn answer(&self, to: &str) -> u16 {
        self.last(to).status().expect("a response")
    }

    /// A party answers the last request that it got; `more` are further header lines.
    pub fn reply(&mut self, from: &str, status: &str, tag: &str, more: &str, body: &str) {
        self.reply_to(from, &self.last(from), status, tag, more, body);
    }

    /// The same for a request of its choice.
    pub fn reply_to(&mut self, from: &str, request: &Message, status: &str, tag: &str, more: &str, body: &str) {
        let field = |name| request.header(name).unwrap_or_default().to_string();
        let kind = kind_of(body, more);
        let text = format!(
            "SIP/2.0 {status}\r\nVia: {}\r\nFrom: {}\r\nTo: {};tag={tag}\r\nCall-ID: {}\r\nCSeq: {}\r\n{more}{kind}Content-Length: {}\r\n\r\n{body}",
            field(HeaderName::Via),
            field(HeaderName::From),
            field(HeaderName::To),
            field(HeaderName::CallId),
            field(HeaderName::CSeq),
            body.len()
        );
        self.receive(from, &text);
    }

    /// Requests of this method that went to a party, repeats included.
    pub fn requests(&self, to: &str, method: Method) -> Vec<Message> {
        let is_its = |(remote, m): &&(SocketAddr, Message)| *remote == address(to) && m.is_request() && m.method() == method;
        self.sent.iter().filter(is_its).map(|(_, message)| message.clone()).collect()
    }

    /// Responses with this status that went to a party, repeats included.
    pub fn responses(&self, to: &str, status: u16) -> Vec<Message> {
        let is_its = |(remote, m): &&(SocketAddr, Message)| *remote == address(to) && m.status() == Some(status);
        self.sent.iter().filter(is_its).map(|(_, message)| message.clone()).collect()
    }

    /// The caller sends a request inside the dialog that this response of the node founds.
    pub fn inside(&mut self, from: &str, method: &str, founded: &Message, cseq: u32, more: &str, body: &str) {
        self.serial += 1;
        let field = |name| founded.header(name).unwrap_or_default().to_string();
        let kind = kind_of(body, more);
        let text = format!(
            "{method} sip:ringfort@192.0.2.10 SIP/2.0\r\nVia: SIP/2.0/UDP {from};branch=z9hG4bKi{};rport\r\nFrom: {}\r\nTo: {}\r\n\
             Call-ID: {}\r\nCSeq: {cseq} {method}\r\nMax-Forwards: 70\r\n{more}{kind}Content-Length: {}\r\n\r\n{body}",
            self.serial,
            field(HeaderName::From),
            field(HeaderName::To),
            field(HeaderName::CallId),
            body.len()
        );
        self.receive(from, &text);
    }
}

fn at(mono: Time) -> Now {
    Now { mono, wall: START.plus(mono.since(Time::ZERO)) }
}
