//! What every part of the brain is handed to act with: the time, the configuration, randomness, the transaction layer, timers,
//! and the list of outputs that the driver performs in order.

use crate::admission::Transcoding;
use crate::config::{Direction, LargeByTcp, PeerProfile, Snapshot};
use crate::interface::OwnAddresses;
use crate::overload::Stage;
use crate::reuse::Reuse;
use crate::rules::border::{self, Shaped};
use crate::rules::{Border, Scene};
use crate::shield::{Proof, ShieldCommand};
use crate::status::Totals;
use crate::timers::Timers;
use crate::wake::Wake;
use bytes::Bytes;
use ringfort_base::{Entropy, Event, FlowId, Hop, Now, Time, Transport, limits};
use ringfort_media::plan::RelayCommand;
use ringfort_sip::locate::Question;
use ringfort_sip::message::Message;
use ringfort_sip::transaction::{TransactionId, Transactions};
use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// What the driver has to do, in this order.
#[derive(Debug)]
pub enum Output {
    /// Send a SIP message.
    Send {
        /// Where to.
        hop: Hop,
        /// The message.
        octets: Bytes,
    },
    /// Have the relay do something.
    Relay(RelayCommand),
    /// Write state down under a key, or remove it. What a restart needs and nothing else.
    Persist {
        /// Key: `call/…`, `binding/…`, `mode`.
        key: String,
        /// Value; `None` removes.
        value: Option<Vec<u8>>,
    },
    /// Tell the observers.
    Event(Event),
    /// Which sources the sockets listen to.
    Shield(ShieldCommand),
    /// Ask the DNS one question; the answer comes back as an input, be it that there was none.
    Resolve {
        /// What.
        question: Question,
    },
    /// Whoever is reached at this address by TLS has to show a certificate for this name (RFC 5922 7.1).
    CertificateName {
        /// A peer's server.
        address: SocketAddr,
        /// The domain that was looked for.
        name: String,
    },
}

/// Who is told the outcome of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owner {
    /// A call.
    Call(ringfort_base::CallId),
    /// Supervision of a peer, by its place in the list.
    Probe(usize),
    /// A REGISTER of the node's own to a trunk, by its place in the list.
    TrunkRegistration(usize),
    /// A REGISTER relayed to the cloud.
    Registration(u64),
    /// A subscription, or another request that is no call.
    Event(u64),
}

/// See the module's text.
pub struct Context {
    /// Time of the input being handled.
    pub now: Now,
    /// The configuration of new calls.
    pub snapshot: Arc<Snapshot>,
    /// The node's addresses.
    pub own: OwnAddresses,
    /// Randomness.
    pub entropy: Box<dyn Entropy>,
    /// The transaction layer.
    pub transactions: Transactions,
    /// Who is told.
    pub owners: HashMap<TransactionId, Owner>,
    /// What the node answered to its own requests: of a call that it makes on behalf of a referrer.
    pub internal: VecDeque<(TransactionId, Bytes)>,
    /// Timers above the transaction layer.
    pub timers: Timers<Wake>,
    /// What the driver has to do.
    pub outputs: VecDeque<Output>,
    /// Who the other ends of connections proved to be; an entry for a connection at most, so their number bounds it.
    pub proved: HashMap<FlowId, Vec<String>>,
    /// Connections that peers opened and offer for requests to them.
    pub reuse: Reuse,
    /// Requests that went by TCP for their size, and how their peers are reached otherwise: a dialog keeps to that.
    pub large: HashMap<TransactionId, Hop>,
    /// Peers that took no TCP, and when.
    pub without_tcp: HashMap<SocketAddr, Time>,
    /// Calls that are transcoded.
    pub transcoding: Transcoding,
    /// Counters.
    pub totals: Totals,
    /// Who speaks over which hop.
    pub border: Border,
    /// Who proved himself since the shield was told last.
    pub proofs: Vec<Proof>,
    /// How far the node is behind. Whoever takes on new work asks it.
    pub overload: Stage,
}

impl Context {
    /// Tells the observers.
    pub fn event(&mut self, event: Event) {
        self.outputs.push_back(Output::Event(event));
    }

    /// Has the relay do something.
    pub fn relay(&mut self, command: RelayCommand) {
        self.outputs.push_back(Output::Relay(command));
    }

    /// Somebody proved to be `user`: by digest, or because the cloud granted his registration.
    pub fn prove(&mut self, hop: &Hop, user: &str) {
        self.proofs.push(Proof { hop: *hop, user: user.to_string() });
    }

    /// Writes state down, or removes it.
    pub fn persist(&mut self, key: String, value: Option<Vec<u8>>) {
        self.outputs.push_back(Output::Persist { key, value });
    }

    /// Sends outside any transaction: ACK to a 2xx.
    pub fn send(&mut self, hop: Hop, octets: Bytes) {
        let hop = self.reuse.by(hop);
        let (octets, _) = self.outgoing(&hop, octets);
        self.put(hop, octets);
    }

    /// Sends what the transaction layer hands out, as it is.
    pub(crate) fn put(&mut self, hop: Hop, octets: Bytes) {
        self.totals.messages_out += 1;
        self.outputs.push_back(Output::Send { hop, octets });
    }

    /// Answers a request; the transaction layer repeats it as long as needed. A transaction that is gone needs no answer.
    pub fn respond(&mut self, id: TransactionId, octets: Bytes) {
        let octets = match self.transactions.hop(id) {
            Some(hop) => {
                let as_asked = self.border.put_back(id, &octets);
                self.outgoing(&hop, as_asked.unwrap_or(octets)).0
            }
            None => octets,
        };
        if id.is_internal() {
            return self.internal.push_back((id, octets));
        }
        let _ = self.transactions.respond(self.now.mono, id, octets);
    }

    /// Sends a request in a client transaction and remembers who is told. `None`: the table is full, which is an event.
    pub fn request(&mut self, hop: Hop, octets: Bytes, owner: Option<Owner>) -> Option<TransactionId> {
        let hop = self.reuse.by(hop);
        let (octets, people) = self.outgoing(&hop, octets);
        let by_tcp = self.by_tcp(&hop, &octets);
        let large = by_tcp.is_some();
        let begun = match by_tcp {
            Some((tcp, worded)) => self.transactions.request_or(self.now.mono, tcp, worded, (hop, octets)),
            None => self.transactions.request(self.now.mono, hop, octets),
        };
        match begun {
            Ok(id) => {
                if large {
                    self.large.insert(id, hop);
                }
                self.border.remember(id, people);
                if let Some(owner) = owner {
                    self.owners.insert(id, owner);
                }
                Some(id)
            }
            Err(error) => {
                self.event(Event::LimitReached { limit: "TRANSACTIONS_MAX".into(), effect: error.to_string() });
                None
            }
        }
    }

    /// The profile of whoever speaks over this hop; `message` is what it sent, if that is at hand.
    pub fn profile_at(&self, hop: &Hop, message: Option<&Message>) -> &Arc<PeerProfile> {
        self.border.profile(&self.snapshot, hop, message)
    }

    /// What a peer gets of what the node says to it: its rules are the last step. With From and To of a request that rules changed.
    fn outgoing(&mut self, hop: &Hop, octets: Bytes) -> (Bytes, Option<(String, String)>) {
        let profile = self.profile_at(hop, None).clone();
        if !profile.has_rules(Direction::Send) {
            return (octets, None);
        }
        // What the node made itself can be read.
        let Ok(message) = Message::parse(octets.clone()) else { return (octets, None) };
        let shaped = self.shape(&profile, Direction::Send, hop, &message);
        let after = shaped.applied.message.map_or(octets, |message| message.octets().clone());
        (after, shaped.people)
    }

    /// A message of a peer as its rules make it; its rules come before anything of the node reads it.
    pub(crate) fn incoming(&mut self, hop: &Hop, message: Message, id: Option<TransactionId>) -> Message {
        let as_asked = id.filter(|_| !message.is_request()).and_then(|id| self.border.put_back_read(id, &message));
        let message = as_asked.unwrap_or(message);
        let profile = self.profile_at(hop, Some(&message)).clone();
        if !profile.has_rules(Direction::Receive) {
            return message;
        }
        let shaped = self.shape(&profile, Direction::Receive, hop, &message);
        let (after, people) = (shaped.applied.message.unwrap_or(message), shaped.people);
        if let Some(id) = id {
            self.border.remember(id, people);
        }
        after
    }

    /// The message as rules make it, for judging it before the transaction layer has it. `None`: as it is.
    pub(crate) fn previewed(&self, hop: &Hop, message: &Message) -> Option<Message> {
        let profile = self.profile_at(hop, Some(message));
        let has_rules = profile.has_rules(Direction::Receive);
        has_rules.then(|| border::shape(profile, Direction::Receive, message, &self.scene(hop)).applied.message).flatten()
    }

    fn shape<'p>(&mut self, profile: &'p PeerProfile, direction: Direction, hop: &Hop, message: &Message) -> Shaped<'p> {
        let shaped = border::shape(profile, direction, message, &self.scene(hop));
        for rule in &shaped.applied.skipped {
            self.event(Event::RuleSkipped { profile: profile.name.clone(), rule: (*rule).into() });
        }
        shaped
    }

    fn scene(&self, hop: &Hop) -> Scene {
        let (host, domain) = (self.own.at(hop).host(), self.snapshot.node.domain.clone());
        let peer = match hop.remote.ip() {
            IpAddr::V4(ip) => ip.to_string(),
            IpAddr::V6(ip) => format!("[{ip}]"),
        };
        Scene { host, domain, peer }
    }

    /// A request that is too large for a datagram, worded for TCP (RFC 3261 18.1.1). `None`: it goes as it is.
    fn by_tcp(&self, hop: &Hop, octets: &Bytes) -> Option<(Hop, Bytes)> {
        if hop.transport != Transport::Udp || octets.len() <= limits::DATAGRAM_REQUEST_MAX {
            return None;
        }
        let wanted = match self.snapshot.sip.large_by_tcp {
            LargeByTcp::None => false,
            // What was received from somewhere names the socket that it came by; a device behind NAT takes no connection.
            LargeByTcp::Peers => hop.local.is_none() || self.border.is_server(hop),
            LargeByTcp::All => true,
        };
        let refused = self.without_tcp.get(&hop.remote).is_some_and(|at| self.now.mono.since(*at) < limits::WITHOUT_TCP);
        let via = format!("Via: SIP/2.0/UDP {};", self.own.sent_by(hop));
        let at = octets.windows(2).position(|w| w == b"\r\n")? + 2;
        let below = octets[at..].strip_prefix(via.as_bytes()).filter(|_| wanted && !refused)?;
        let tcp = self.own.other_transport(hop, Transport::Tcp);
        let worded = format!("Via: SIP/2.0/TCP {};", self.own.sent_by(&tcp));
        Some((tcp, [&octets[..at], worded.as_bytes(), below].concat().into()))
    }

    /// Something could not be sent. A peer that takes no TCP is reached by UDP for some time, whatever the size.
    pub fn send_failed(&mut self, hop: Hop) {
        if hop.transport == Transport::Tcp && hop.flow.is_none() {
            if self.without_tcp.len() >= limits::WITHOUT_TCP_MAX {
                self.without_tcp.clear();
            }
            self.without_tcp.insert(hop.remote, self.now.mono);
        }
        self.transactions.transport_failed(self.now.mono, hop);
    }

    /// A branch parameter: magic cookie and randomness (RFC 3261 8.1.1.7).
    pub fn branch(&mut self) -> String {
        format!("z9hG4bK{}", self.entropy.token(16))
    }

    /// A From or To tag (RFC 3261 19.3: at least 32 bits).
    pub fn tag(&mut self) -> String {
        self.entropy.token(12)
    }
}
