//! Where transactions live, and the three ways to find one: by id, by key, by the way its messages go.

use super::TransactionId;
use super::client::Client;
use super::key::SeededState;
use super::server::Server;
use super::table::{Machine, State};
use super::timers::{Armed, Entry};
use ringfort_base::{Entropy, FlowId, Hop, Transport};
use std::collections::HashMap;
use std::hash::BuildHasher;
use std::net::SocketAddr;
use std::sync::Arc;

/// One transaction. Which side is set always agrees with `machine`.
#[derive(Debug)]
pub(super) struct Transaction {
    pub machine: Machine,
    pub state: State,
    /// Where its messages go.
    pub hop: Hop,
    pub key: Arc<[u8]>,
    /// Of the layer itself, a CANCEL: the TU neither began it nor hears of it.
    pub internal: bool,
    /// Timers that run.
    pub armed: Armed,
    /// How often its repeating timer fired.
    pub fired: u8,
    pub side: Side,
    /// Place in the list of its way.
    listed_at: u32,
    /// Octets that it was last found to remember.
    weight: usize,
}

/// What only one side has.
#[derive(Debug)]
pub(super) enum Side {
    Client(Client),
    Server(Server),
}

impl Transaction {
    pub fn new(machine: Machine, hop: Hop, internal: bool, side: Side) -> Self {
        let key = Arc::from([].as_slice());
        Transaction {
            machine,
            state: State::New,
            hop,
            key,
            internal,
            armed: Armed::default(),
            fired: 0,
            side,
            listed_at: 0,
            weight: 0,
        }
    }

    pub fn client(&mut self) -> Option<&mut Client> {
        match &mut self.side {
            Side::Client(client) => Some(client),
            Side::Server(_) => None,
        }
    }

    /// Octets that it remembers now.
    fn octets(&self) -> usize {
        self.key.len()
            + match &self.side {
                Side::Client(client) => {
                    client.request.len() + client.ack.len() + client.fallback.as_ref().map_or(0, |(_, octets)| octets.len())
                }
                Side::Server(server) => server.response.len(),
            }
    }

    pub fn server(&mut self) -> Option<&mut Server> {
        match &mut self.side {
            Side::Server(server) => Some(server),
            Side::Client(_) => None,
        }
    }
}

/// The way that a transaction's messages go: when it breaks, they are found by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Way {
    /// A connection.
    Flow(FlowId),
    /// An address: datagrams, or a connection that the driver has yet to open.
    Peer(Transport, SocketAddr),
}

impl Way {
    fn of(hop: &Hop) -> Way {
        match hop.flow {
            Some(flow) if hop.transport.is_reliable() => Way::Flow(flow),
            _ => Way::Peer(hop.transport, hop.remote),
        }
    }
}

#[derive(Debug, Default)]
struct Slot {
    /// How often the slot was used: the upper half of the id, so that an id is never seen twice.
    generation: u32,
    transaction: Option<Transaction>,
}

/// The transactions of a node.
#[derive(Debug)]
pub(super) struct Store {
    slots: Vec<Slot>,
    free: Vec<u32>,
    by_key: HashMap<Arc<[u8]>, TransactionId, SeededState>,
    by_way: HashMap<Way, Vec<TransactionId>, SeededState>,
    octets: usize,
}

impl Store {
    pub fn new(entropy: &mut dyn Entropy) -> Self {
        let state = SeededState::new(entropy);
        Store {
            slots: Vec::new(),
            free: Vec::new(),
            by_key: HashMap::with_hasher(state.clone()),
            by_way: HashMap::with_hasher(state),
            octets: 0,
        }
    }

    pub fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Octets that all transactions together remember.
    pub fn octets(&self) -> usize {
        self.octets
    }

    /// Takes into account what a transaction remembers now.
    pub fn weigh(&mut self, id: TransactionId) {
        let Some(transaction) = self.find_mut(id) else { return };
        let octets = transaction.octets();
        let before = std::mem::replace(&mut transaction.weight, octets);
        self.octets = self.octets - before + octets;
    }

    /// Takes a transaction in under `key`, which no other may have.
    pub fn insert(&mut self, key: &[u8], mut transaction: Transaction) -> TransactionId {
        debug_assert!(!self.by_key.contains_key(key));
        transaction.key = Arc::from(key);
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            // limits::TRANSACTIONS_MAX bounds the slots.
            (self.slots.len() - 1) as u32
        });
        let slot = &mut self.slots[index as usize];
        slot.generation = slot.generation.wrapping_add(1);
        let id = TransactionId(u64::from(slot.generation) << 32 | u64::from(index));
        self.by_key.insert(transaction.key.clone(), id);
        slot.transaction = Some(transaction);
        self.list(id);
        id
    }

    /// A transaction is found by another key from now on. False: that is another one's.
    pub fn rekey(&mut self, id: TransactionId, key: &[u8]) -> bool {
        match self.by_key.get(key) {
            Some(other) => *other == id,
            None => {
                let Some(transaction) = self.find_mut(id) else { return false };
                let key: Arc<[u8]> = Arc::from(key);
                let before = std::mem::replace(&mut transaction.key, key.clone());
                self.by_key.remove(&before);
                self.by_key.insert(key, id);
                true
            }
        }
    }

    pub fn remove(&mut self, id: TransactionId) -> Option<Transaction> {
        self.find(id)?;
        self.unlist(id);
        let transaction = self.slots[index(id)].transaction.take()?;
        self.by_key.remove(&transaction.key);
        self.octets -= transaction.weight;
        self.free.push(index(id) as u32);
        Some(transaction)
    }

    pub fn find(&self, id: TransactionId) -> Option<&Transaction> {
        let slot = self.slots.get(index(id)).filter(|slot| slot.generation == generation(id))?;
        slot.transaction.as_ref()
    }

    pub fn find_mut(&mut self, id: TransactionId) -> Option<&mut Transaction> {
        let slot = self.slots.get_mut(index(id)).filter(|slot| slot.generation == generation(id))?;
        slot.transaction.as_mut()
    }

    pub fn by_key(&self, key: &[u8]) -> Option<TransactionId> {
        self.by_key.get(key).copied()
    }

    /// A hash of `octets` under the node's secret.
    pub fn digest(&self, octets: &[u8]) -> u64 {
        self.by_key.hasher().hash_one(octets)
    }

    /// Transactions whose messages go by this connection.
    pub fn by_flow(&self, flow: FlowId) -> Vec<TransactionId> {
        self.by_way.get(&Way::Flow(flow)).cloned().unwrap_or_default()
    }

    /// Transactions whose messages go the way of `hop`.
    pub fn by_hop(&self, hop: &Hop) -> Vec<TransactionId> {
        self.by_way.get(&Way::of(hop)).cloned().unwrap_or_default()
    }

    /// Sends a transaction's further messages another way.
    pub fn reroute(&mut self, id: TransactionId, hop: Hop) {
        self.unlist(id);
        if let Some(transaction) = self.find_mut(id) {
            transaction.hop = hop;
        }
        self.list(id);
    }

    /// Whether a timer's entry still counts.
    pub fn runs(&self, entry: &Entry) -> bool {
        self.find(entry.id).is_some_and(|transaction| transaction.armed.holds(entry.sequence))
    }

    /// Puts a transaction in the list of its way.
    fn list(&mut self, id: TransactionId) {
        let Some(transaction) = self.slots.get_mut(index(id)).and_then(|slot| slot.transaction.as_mut()) else { return };
        let list = self.by_way.entry(Way::of(&transaction.hop)).or_default();
        transaction.listed_at = list.len() as u32;
        list.push(id);
    }

    /// Takes it out; the last of the list moves into its place.
    fn unlist(&mut self, id: TransactionId) {
        let Some(transaction) = self.find(id) else { return };
        let (way, at) = (Way::of(&transaction.hop), transaction.listed_at as usize);
        let Some(list) = self.by_way.get_mut(&way) else { return };
        list.swap_remove(at);
        let moved = list.get(at).copied();
        if list.is_empty() {
            self.by_way.remove(&way);
        }
        if let Some(moved) = moved.and_then(|id| self.find_mut(id)) {
            moved.listed_at = at as u32;
        }
    }

    /// Whether every index holds exactly the transactions that are alive.
    #[cfg(test)]
    pub fn is_consistent(&self) -> bool {
        let listed: usize = self.by_way.values().map(Vec::len).sum();
        let placed = |(way, list): (&Way, &Vec<TransactionId>)| {
            list.iter()
                .enumerate()
                .all(|(at, id)| self.find(*id).is_some_and(|t| t.listed_at as usize == at && Way::of(&t.hop) == *way))
        };
        let octets: usize = self.slots.iter().flat_map(|slot| &slot.transaction).map(Transaction::octets).sum();
        let counted = self.by_key.len() == self.len() && listed == self.len() && octets == self.octets;
        counted && self.by_way.iter().all(placed)
    }
}

fn index(id: TransactionId) -> usize {
    (id.0 & u64::from(u32::MAX)) as usize
}

fn generation(id: TransactionId) -> u32 {
    (id.0 >> 32) as u32
}
