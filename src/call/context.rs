//! What every part of the brain is handed to act with: the time, the configuration, randomness, the transaction layer, timers,
//! and the list of outputs that the driver performs in order.

use crate::config::Snapshot;
use crate::status::Totals;
use crate::timers::Timers;
use crate::wake::Wake;
use bytes::Bytes;
use ringfort_base::{Entropy, Event, Hop, Now, Transport};
use ringfort_media::plan::RelayCommand;
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
    /// Look a host name up; the answer comes back as an input.
    Resolve {
        /// Name.
        host: String,
    },
}

/// The node's own addresses as peers are told.
#[derive(Clone, Debug)]
pub struct OwnAddresses {
    /// Listening sockets: their real ports, and the advertised address.
    pub listeners: Vec<(Transport, SocketAddr)>,
    /// Address in Via and Contact.
    pub advertised: IpAddr,
    /// Address that media sockets are bound to.
    pub media_bind: IpAddr,
    /// Address in SDP.
    pub media_advertised: IpAddr,
}

impl OwnAddresses {
    /// The advertised address as a URI host.
    pub fn advertised_host(&self) -> String {
        match self.advertised {
            IpAddr::V4(ip) => ip.to_string(),
            IpAddr::V6(ip) => format!("[{ip}]"),
        }
    }

    /// Address for Via and Contact towards a peer on this transport. WebSocket peers reach the node only by the connection they
    /// opened, so any address does for them (RFC 7118 5).
    pub fn address(&self, transport: Transport) -> SocketAddr {
        let port = self.listeners.iter().find(|(t, _)| *t == transport).map(|(_, a)| a.port());
        let default = if transport.is_secure() { 5061 } else { 5060 };
        SocketAddr::new(self.advertised, port.unwrap_or(default))
    }

    /// The same as text, `host:port`.
    pub fn sent_by(&self, transport: Transport) -> String {
        self.address(transport).to_string()
    }
}

/// Who is told the outcome of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owner {
    /// A call.
    Call(ringfort_base::CallId),
    /// Supervision of a peer, by its place in the list.
    Probe(usize),
    /// A REGISTER relayed to the cloud.
    Registration(u64),
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
    /// Timers above the transaction layer.
    pub timers: Timers<Wake>,
    /// What the driver has to do.
    pub outputs: VecDeque<Output>,
    /// Counters.
    pub totals: Totals,
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

    /// Writes state down, or removes it.
    pub fn persist(&mut self, key: String, value: Option<Vec<u8>>) {
        self.outputs.push_back(Output::Persist { key, value });
    }

    /// Sends outside any transaction: ACK to a 2xx.
    pub fn send(&mut self, hop: Hop, octets: Bytes) {
        self.totals.messages_out += 1;
        self.outputs.push_back(Output::Send { hop, octets });
    }

    /// Answers a request; the transaction layer repeats it as long as needed. A transaction that is gone needs no answer.
    pub fn respond(&mut self, id: TransactionId, octets: Bytes) {
        let _ = self.transactions.respond(self.now.mono, id, octets);
    }

    /// Sends a request in a client transaction and remembers who is told. `None`: the table is full, which is an event.
    pub fn request(&mut self, hop: Hop, octets: Bytes, owner: Option<Owner>) -> Option<TransactionId> {
        match self.transactions.request(self.now.mono, hop, octets) {
            Ok(id) => {
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

    /// A branch parameter: magic cookie and randomness (RFC 3261 8.1.1.7).
    pub fn branch(&mut self) -> String {
        format!("z9hG4bK{}", self.entropy.token(16))
    }

    /// A From or To tag (RFC 3261 19.3: at least 32 bits).
    pub fn tag(&mut self) -> String {
        self.entropy.token(12)
    }
}
