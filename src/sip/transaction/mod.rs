//! The transaction layer of one node: RFC 3261 17 with the corrections of RFC 6026.
//!
//! Read first: [`table`], which says all that a transaction does; [`timers`], which says when; [`Step`], which says what comes
//! out. The tables are printed in `docs/transactions.md`.
//!
//! What arrives is given to [`Transactions::receive`], what the transaction user (TU) wants to [`Transactions::request`],
//! [`Transactions::respond`] and [`Transactions::cancel`]. After each of these, and after
//! [`Transactions::handle_timeout`], call [`Transactions::poll_step`] until it returns `None`, then arm one timer for
//! [`Transactions::next_timeout`]. Times passed in never go back.

mod away;
mod client;
mod engine;
mod key;
mod print;
mod receive;
mod server;
mod store;
pub mod table;
pub mod timers;

#[cfg(test)]
mod tests;

pub use key::MAGIC_COOKIE;
pub use print::document;
pub use timers::{Timer, Timers};

use crate::message::{HeaderError, HeaderName, Message, ParseError};
use bytes::Bytes;
use engine::Pending;
use key::Keyring;
use ringfort_base::{Entropy, FlowId, Hop, Time, limits};
use std::collections::{HashSet, VecDeque};
use std::fmt;
use store::Store;
use table::{Event, Machine, State};
use timers::Queue;

pub use ringfort_base::limits::TIMEOUTS_PER_TURN_MAX;
pub use ringfort_base::limits::TRANSACTION_OCTETS_MAX as OCTETS_MAX;
pub use ringfort_base::limits::TRANSACTION_STEPS_MAX as STEPS_MAX;
/// Seconds after which a request that met [`limits::TRANSACTIONS_MAX`] should be sent again (RFC 3261 20.33).
pub const RETRY_AFTER_S: u32 = 5;

/// One transaction, unique within a node's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TransactionId(u64);

/// Marks names that the layer does not give.
const INTERNAL: u64 = 1 << 63;

impl TransactionId {
    /// A name that no transaction of the layer has: for a request that its user makes to itself.
    pub fn internal(number: u64) -> TransactionId {
        TransactionId(number | INTERNAL)
    }

    /// Whether it is such a name.
    pub fn is_internal(self) -> bool {
        self.0 & INTERNAL != 0
    }
}

impl fmt::Display for TransactionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "t{:x}", self.0)
    }
}

/// What the layer wants done or known, in order: what is sent comes before the timer that guards it, a transaction's
/// [`Step::Ended`] after everything else of it.
#[derive(Clone, Debug)]
pub enum Step {
    /// Send these octets.
    Send {
        /// Where to. `flow` is `None` when the connection is not known or closed: the driver opens or reuses one.
        hop: Hop,
        /// One whole message.
        octets: Bytes,
    },
    /// A new request, other than ACK and CANCEL; the TU owes it a final response by [`Transactions::respond`].
    Request {
        /// The server transaction.
        id: TransactionId,
        /// Where it came from.
        hop: Hop,
        /// Its top Via already says `received` and `rport`, so that a reply that copies it is right.
        message: Message,
    },
    /// An ACK that belongs to no refusal: the ACK of a 2xx, for the dialog to match.
    Ack {
        /// Where it came from.
        hop: Hop,
        /// The ACK.
        message: Message,
    },
    /// The peer cancels an INVITE that has no final response yet. The CANCEL itself is answered already; the TU owes the INVITE its
    /// final response, 487 as a rule (RFC 3261 9.2).
    Cancel {
        /// The INVITE's server transaction.
        invite: TransactionId,
        /// The CANCEL, for its Reason.
        message: Message,
    },
    /// A response. 1xx and final ones; a 2xx to INVITE also when it is repeated or comes from another branch, and the
    /// TU sends an ACK each time (RFC 3261 13.2.2.4). Every other final response comes once and is ACKed by the layer.
    Response {
        /// The client transaction.
        id: TransactionId,
        /// Where it came from.
        hop: Hop,
        /// The response.
        message: Message,
    },
    /// A response that matches nothing: late, forged, or a 2xx to an INVITE that was given up.
    StrayResponse {
        /// Where it came from.
        hop: Hop,
        /// The response.
        message: Message,
    },
    /// A request of ours has no final response and will have none.
    Failed {
        /// The client transaction.
        id: TransactionId,
        /// Why.
        cause: ClientFailure,
    },
    /// The final response to an INVITE was never ACKed. After a 2xx the TU ends the dialog by BYE (RFC 3261 13.3.1.4).
    NoAck {
        /// The server transaction.
        id: TransactionId,
    },
    /// The transaction is forgotten; its id means nothing from here on.
    Ended {
        /// Client or server transaction.
        id: TransactionId,
    },
}

/// Why a request of ours failed without a final response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum ClientFailure {
    /// Nobody answered within 64·T1: timer B or F. To be treated as 408 (RFC 3261 8.1.3.1).
    #[error("no answer")]
    Timeout,
    /// The request could not be sent or its connection closed. To be treated as 503 (RFC 3261 8.1.3.1).
    #[error("transport failed")]
    Transport,
    /// The INVITE was cancelled and had no final response within 64·T1 (RFC 3261 9.1).
    #[error("cancelled, no final response")]
    CancelTimeout,
}

impl ClientFailure {
    /// The status that the TU treats it as (RFC 3261 8.1.3.1, 9.1).
    pub fn status(self) -> u16 {
        match self {
            ClientFailure::Timeout => 408,
            ClientFailure::Transport => 503,
            ClientFailure::CancelTimeout => 487,
        }
    }
}

/// How the layer was misused, or which limit was met.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// [`limits::TRANSACTIONS_MAX`] transactions are alive, or they hold [`OCTETS_MAX`] octets. CANCELs pass: there is at most
    /// one for each INVITE.
    #[error("too many transactions")]
    Full,
    /// No transaction has this id, or it is of the wrong kind.
    #[error("no such transaction")]
    Unknown,
    /// The response does not fit the transaction's state; a second final response, as a rule.
    #[error("response not possible in state {0}")]
    WrongState(State),
    /// The octets are not a message.
    #[error(transparent)]
    Parse(#[from] ParseError),
    /// A mandatory header field is missing or malformed, the branch lacks the cookie, or its branch is in use.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// A response was given where a request belongs, or the other way round; or an ACK, which needs no transaction.
    #[error("message of the wrong kind")]
    WrongKind,
    /// Another transaction uses this branch.
    #[error("branch in use")]
    BranchInUse,
}

/// What was counted since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Transactions begun: INVITE client, client, INVITE server, server.
    pub begun: [u64; 4],
    /// Requests and responses sent again because a timer fired.
    pub retransmitted: u64,
    /// Requests, responses and ACKs received again and absorbed or answered from memory.
    pub absorbed: u64,
    /// Responses that matched nothing.
    pub stray: u64,
    /// Requests without a final response: timers B and F, and cancelled INVITEs.
    pub timed_out: u64,
    /// Requests whose transport failed.
    pub transport_failed: u64,
    /// Final responses to INVITE that were never ACKed.
    pub unacknowledged: u64,
    /// Requests answered 503 because the layer is full.
    pub refused_full: u64,
    /// CANCELs answered 481.
    pub cancels_unmatched: u64,
    /// Messages dropped because they have no usable Via, CSeq, From, To or Call-ID; or no reply to them can be built.
    pub unusable: u64,
    /// Messages dropped because nobody polled the steps.
    pub overrun: u64,
}

/// Why the layer wants to wake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wake {
    /// When.
    pub at: Time,
    /// Whose timer.
    pub id: TransactionId,
    /// Which timer.
    pub timer: Timer,
    /// Which machine.
    pub machine: Machine,
    /// In which state it is now.
    pub state: State,
}

impl fmt::Display for Wake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "timer {} of {} {} in {}", self.timer, self.machine, self.id, self.state)
    }
}

/// All transactions of a node. The order of calls stands in the module's documentation.
#[derive(Debug)]
pub struct Transactions {
    timers: Timers,
    limit: usize,
    octets_max: usize,
    store: Store,
    queue: Queue,
    keyring: Keyring,
    steps: VecDeque<Pending>,
    counters: Counters,
    /// Connections that broke, whose peers are expected back.
    away: HashSet<FlowId>,
}

impl Transactions {
    /// An empty layer. `entropy` gives the secret under which keys are hashed.
    pub fn new(timers: Timers, entropy: &mut dyn Entropy) -> Self {
        Transactions {
            timers: timers.sane(),
            limit: limits::TRANSACTIONS_MAX,
            octets_max: OCTETS_MAX,
            store: Store::new(entropy),
            queue: Queue::default(),
            keyring: Keyring::default(),
            steps: VecDeque::new(),
            counters: Counters::default(),
            away: HashSet::new(),
        }
    }

    /// The same with fewer transactions than [`limits::TRANSACTIONS_MAX`].
    #[must_use]
    pub fn with_limit(mut self, limit: usize) -> Self {
        self.limit = limit.min(limits::TRANSACTIONS_MAX);
        self
    }

    /// Takes a message that `screen` accepted, from the hop it came by.
    pub fn receive(&mut self, now: Time, hop: Hop, message: Message) {
        if self.steps.len() >= STEPS_MAX {
            self.counters.overrun += 1;
            return;
        }
        if message.is_request() {
            self.receive_request(now, hop, message)
        } else {
            self.receive_response(now, hop, message)
        }
        self.settle();
    }

    /// Sends a request as a client transaction. The octets bear our Via on top, with a branch that begins with
    /// [`MAGIC_COOKIE`] and was never used before. An ACK of a 2xx is not sent by this way but straight to the transport.
    ///
    /// # Errors
    /// [`Error::Full`] when the limit is met; others when the octets are no such request.
    pub fn request(&mut self, now: Time, hop: Hop, octets: Bytes) -> Result<TransactionId, Error> {
        let id = self.begin_client(now, hop, octets, false);
        self.settle();
        id
    }

    /// Sends a response: on the flow that the request came by, to where RFC 3261 18.2.2 and RFC 3581 say. A 2xx to an INVITE is
    /// repeated until [`Transactions::ack_received`] (RFC 3261 13.3.1.4).
    ///
    /// # Errors
    /// [`Error::WrongState`] when a final response was given before.
    pub fn respond(&mut self, now: Time, id: TransactionId, octets: Bytes) -> Result<(), Error> {
        let result = self.answer(now, id, octets);
        self.settle();
        result
    }

    /// Cancels an INVITE of ours (RFC 3261 9.1): at once when a provisional response was seen, else as soon as one is. Nothing
    /// happens when a final response comes or came first, or when it is cancelled already. The outcome of the CANCEL itself is not
    /// told; the INVITE ends by a response or [`Step::Failed`]. `extra` is for Reason (RFC 3326).
    ///
    /// # Errors
    /// [`Error::Unknown`] when `invite` is not an INVITE client transaction.
    pub fn cancel(&mut self, now: Time, invite: TransactionId, extra: &[(HeaderName, &str)]) -> Result<(), Error> {
        let result = self.begin_cancel(now, invite, extra);
        self.settle();
        result
    }

    /// Whether a request is a repeat of one that has a transaction here, or its ACK.
    pub fn holds(&mut self, request: &Message) -> bool {
        let method = request.method();
        self.keyring.server(request, &method).is_ok_and(|key| self.store.by_key(key).is_some())
    }

    /// Answers a request without a transaction (RFC 3261 8.2.7), as it came by `hop`: nothing is remembered, and a repeat has the same
    /// answer when `headers` are the same.
    pub fn reply_statelessly(&mut self, hop: Hop, request: &Message, status: u16, headers: &[(HeaderName, String)]) {
        if self.steps.len() < STEPS_MAX {
            self.refuse(hop, &request.received_from(hop.remote), status, headers);
        }
    }

    /// The ACK of a 2xx arrived: stop repeating it.
    pub fn ack_received(&mut self, now: Time, id: TransactionId) {
        self.apply(now, id, Event::AckSeen, engine::Input::Nothing);
        self.settle();
    }

    /// A connection closed. Requests sent by it fail; requests received by it stay, and their responses go to where
    /// RFC 3261 18.2.2 says when the connection is gone. The listening socket of UDP is not a connection.
    pub fn flow_closed(&mut self, now: Time, flow: FlowId) {
        self.away.remove(&flow);
        self.lose_flow(now, flow);
        self.settle();
    }

    /// Something could not be sent to `hop`: no connection, or an ICMP error. Requests of ours on their way there
    /// fail (RFC 3261 18.4); responses keep their state.
    pub fn transport_failed(&mut self, now: Time, hop: Hop) {
        self.lose_peer(now, hop);
        self.settle();
    }

    /// Fires the timers that are due, at most [`TIMEOUTS_PER_TURN_MAX`].
    pub fn handle_timeout(&mut self, now: Time) {
        for _ in 0..TIMEOUTS_PER_TURN_MAX {
            let Some(entry) = self.queue.pop_due(now, |entry| self.store.runs(entry)) else { break };
            self.fire(now, entry.id, entry.timer());
        }
        self.settle();
    }

    /// When [`Transactions::handle_timeout`] wants to be called next; [`Time::NEVER`] when no timer runs.
    pub fn next_timeout(&self) -> Time {
        self.queue.first().map_or(Time::NEVER, |entry| entry.at)
    }

    /// Why it wants to be called then.
    pub fn next_wake(&self) -> Option<Wake> {
        let entry = self.queue.first()?;
        let transaction = self.store.find(entry.id)?;
        let (machine, state) = (transaction.machine, transaction.state);
        Some(Wake { at: entry.at, id: entry.id, timer: entry.timer(), machine, state })
    }

    /// The next thing to do or to know.
    pub fn poll_step(&mut self) -> Option<Step> {
        loop {
            match self.steps.pop_front()? {
                Pending::Step(step) => return Some(step),
                Pending::Trying(id, request) => {
                    if let Some(step) = self.trying(id, &request) {
                        return Some(step);
                    }
                }
            }
        }
    }

    /// Transactions alive.
    pub fn len(&self) -> usize {
        self.store.len()
    }

    /// Whether none is alive.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Which machine a transaction runs, and where it stands. `None` when it has ended.
    pub fn state(&self, id: TransactionId) -> Option<(Machine, State)> {
        self.store.find(id).map(|transaction| (transaction.machine, transaction.state))
    }

    /// Where its messages go. `None` when it has ended.
    pub fn hop(&self, id: TransactionId) -> Option<Hop> {
        self.store.find(id).map(|transaction| transaction.hop)
    }

    /// What was counted since the start.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }
}
