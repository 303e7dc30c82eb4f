//! Who is let in at the sockets, before anything is read: banned sources are not, and one source has so many connections and no
//! more. The core decides; this is the table that the sockets ask.

use ringfort_base::{FlowId, SourceNet, limits};
use ringfort_call::shield::ShieldCommand;
use std::collections::hash_map::RandomState;
use std::collections::{HashMap, HashSet};
use std::hash::BuildHasher;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Parts of the table, each with its own lock: sockets that ask at once rarely meet.
const SHARDS: usize = 16;
/// One message of a banned source in this time goes to the core: it may prove itself by it.
const TRICKLE: Duration = Duration::from_secs(1);

/// Somebody whom the node asked something is expected for this time, which each request begins anew: a dialog's requests are never
/// further apart, for its session is refreshed.
const EXPECTED: Duration = Duration::from_secs(3_600);
const EXPECTED_PER_SHARD_MAX: usize = limits::SHIELD_EXPECTED_MAX / SHARDS;

/// What a connection is for. Each is counted by itself: idle connections of phones do not shut the page to who would look into it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Room {
    /// SIP, over WebSocket too.
    Signalling,
    /// The page.
    Page,
}

/// The table.
#[derive(Default)]
pub struct Door {
    hasher: RandomState,
    banned: AtomicUsize,
    shards: [Mutex<Shard>; SHARDS],
}

#[derive(Default)]
struct Shard {
    /// Banned sources, and when one of their messages was let through.
    banned: HashMap<SourceNet, Instant>,
    /// Sources where somebody proved himself, or a peer is.
    known: HashSet<SourceNet>,
    /// Sources that the node speaks with beside these, and since when it last did.
    expected: HashMap<SourceNet, Instant>,
    /// Connections of each source that have not proved themselves.
    open: HashMap<(SourceNet, Room), usize>,
    /// Connections that have a place among them.
    guests: HashMap<FlowId, SourceNet>,
}

impl Door {
    /// Does what the core says.
    pub fn perform(&self, command: ShieldCommand) {
        match command {
            ShieldCommand::Ban(source) => {
                if self.shard(source).banned.insert(source, Instant::now()).is_none() {
                    self.banned.fetch_add(1, Ordering::Relaxed);
                }
            }
            ShieldCommand::Unban(source) => {
                if self.shard(source).banned.remove(&source).is_some() {
                    self.banned.fetch_sub(1, Ordering::Relaxed);
                }
            }
            ShieldCommand::Trust { source, flow } => {
                let mut shard = self.shard(source);
                shard.known.insert(source);
                if let Some(flow) = flow {
                    shard.leave(flow);
                }
            }
            ShieldCommand::Distrust { source } => drop(self.shard(source).known.remove(&source)),
            ShieldCommand::Expect { source } => self.expect(source),
        }
    }

    /// Whether a datagram from there is dropped unread. One of many passes.
    pub fn refuses(&self, address: IpAddr) -> bool {
        // The usual case, which costs one load.
        if self.banned.load(Ordering::Relaxed) == 0 {
            return false;
        }
        let source = SourceNet::of(address);
        let mut shard = self.shard(source);
        let Some(passed) = shard.banned.get_mut(&source) else { return false };
        let now = Instant::now();
        let passes = now.duration_since(*passed) >= TRICKLE;
        if passes {
            *passed = now;
        }
        !passes
    }

    /// Whether somebody there is known: a peer, a device that proved itself, or somebody with whom the node speaks.
    pub fn trusts(&self, address: IpAddr) -> bool {
        let source = SourceNet::of(address);
        let shard = self.shard(source);
        shard.known.contains(&source) || shard.expected.get(&source).is_some_and(|since| since.elapsed() < EXPECTED)
    }

    /// The node speaks with somebody there.
    pub fn expect(&self, source: SourceNet) {
        let mut shard = self.shard(source);
        if shard.known.contains(&source) {
            return;
        }
        let now = Instant::now();
        if shard.expected.insert(source, now).is_none() && shard.expected.len() > EXPECTED_PER_SHARD_MAX {
            shard.expected.retain(|_, since| now.duration_since(*since) < EXPECTED);
            shard.make_room();
        }
    }

    /// A connection comes from there. `None`: it is banned, or has too many; the connection is closed at once.
    pub fn enter(self: &Arc<Door>, address: IpAddr, room: Room) -> Option<Place> {
        if self.refuses(address) {
            return None;
        }
        let source = SourceNet::of(address);
        let mut shard = self.shard(source);
        let max = match shard.known.contains(&source) {
            true => limits::CONNECTIONS_PER_KNOWN_SOURCE_MAX,
            false => limits::CONNECTIONS_PER_SOURCE_MAX,
        };
        let open = shard.open.entry((source, room)).or_default();
        if *open >= max {
            return None;
        }
        *open += 1;
        Some(Place { door: self.clone(), source, room, flow: None })
    }

    fn shard(&self, source: SourceNet) -> MutexGuard<'_, Shard> {
        let place = self.hasher.hash_one(source) as usize % SHARDS;
        // The table is plain data: it is whole even if a thread ended while it held the lock.
        self.shards[place].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shard {
    fn make_room(&mut self) {
        let oldest = || self.expected.iter().min_by_key(|(_, since)| **since).map(|(source, _)| *source);
        if self.expected.len() > EXPECTED_PER_SHARD_MAX
            && let Some(oldest) = oldest()
        {
            self.expected.remove(&oldest);
        }
    }

    fn leave(&mut self, flow: FlowId) {
        if let Some(source) = self.guests.remove(&flow) {
            self.close(source, Room::Signalling);
        }
    }

    fn close(&mut self, source: SourceNet, room: Room) {
        if let Some(open) = self.open.get_mut(&(source, room)) {
            *open -= 1;
            if *open == 0 {
                self.open.remove(&(source, room));
            }
        }
    }
}

/// A place among the connections of a source: given back when the connection ends, or when it proves itself.
pub struct Place {
    door: Arc<Door>,
    source: SourceNet,
    room: Room,
    flow: Option<FlowId>,
}

impl Place {
    /// The connection has a number by now, by which the core names it.
    pub fn named(&mut self, flow: FlowId) {
        self.flow = Some(flow);
        self.door.shard(self.source).guests.insert(flow, self.source);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut shard = self.door.shard(self.source);
        match self.flow {
            Some(flow) => shard.leave(flow),
            None => shard.close(self.source, self.room),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn one_message_in_a_second_passes_a_ban() {
        let door = Door::default();
        assert!(!door.refuses(address("192.0.2.1")));
        door.perform(ShieldCommand::Ban(SourceNet::of(address("192.0.2.1"))));
        assert!((0..100).all(|_| door.refuses(address("192.0.2.1"))));
        assert!(!door.refuses(address("192.0.2.2")));
        door.perform(ShieldCommand::Unban(SourceNet::of(address("192.0.2.1"))));
        assert!(!door.refuses(address("192.0.2.1")));
    }

    #[test]
    fn whom_the_node_speaks_with_is_known_and_made_up_addresses_do_not_make_it_grow() {
        let door = Door::default();
        let net = |n: u32| SourceNet::of(IpAddr::from(n.to_be_bytes()));
        assert!(!door.trusts(address("0.0.0.7")));
        (0..20_000).for_each(|n| door.perform(ShieldCommand::Expect { source: net(n) }));
        assert!(door.trusts(address("0.0.78.31")), "the last one");
        let kept: usize = door.shards.iter().map(|shard| shard.lock().unwrap().expected.len()).sum();
        assert!(kept <= limits::SHIELD_EXPECTED_MAX, "{kept} places are used");
    }

    #[test]
    fn one_source_has_so_many_connections_until_they_prove_themselves() {
        let door = Arc::new(Door::default());
        let from = address("2001:db8::1");
        let mut places: Vec<Place> =
            (0..limits::CONNECTIONS_PER_SOURCE_MAX).filter_map(|_| door.enter(from, Room::Signalling)).collect();
        assert_eq!(places.len(), limits::CONNECTIONS_PER_SOURCE_MAX);
        assert!(door.enter(address("2001:db8::2"), Room::Signalling).is_none(), "the same /64");
        assert!(door.enter(from, Room::Page).is_some(), "the page is another room");
        assert!(door.enter(address("192.0.2.1"), Room::Signalling).is_some());
        places.pop();
        let mut place = door.enter(from, Room::Signalling).expect("one ended");
        place.named(FlowId(7));
        door.perform(ShieldCommand::Trust { source: SourceNet::of(from), flow: Some(FlowId(7)) });
        let more: Vec<Place> =
            (0..limits::CONNECTIONS_PER_KNOWN_SOURCE_MAX).filter_map(|_| door.enter(from, Room::Signalling)).collect();
        assert_eq!(more.len() + places.len(), limits::CONNECTIONS_PER_KNOWN_SOURCE_MAX);
        drop((places, more, place));
        assert!(door.shard(SourceNet::of(from)).open.is_empty());
    }
}
