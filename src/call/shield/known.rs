//! Who proved himself: devices by the address that they registered or called from, and the sources that they sit behind, for some
//! days and over restarts. None of them is ever banned.

use super::bucket::Bucket;
use ringfort_base::{FlowId, Hop, SourceNet, Transport, Wall, limits};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::time::Duration;

/// A source is written down again after this time at the earliest: registrations are refreshed every few minutes.
const WRITE_AGAIN: Duration = Duration::from_secs(3_600);

/// Somebody proved himself.
#[derive(Clone, Debug)]
pub struct Proof {
    /// Whence.
    pub hop: Hop,
    /// Whose address of record.
    pub user: String,
}

/// A source where somebody proved himself, as it is written down.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownSource {
    /// The source.
    pub source: SourceNet,
    /// When last.
    pub seen: Wall,
    /// Who, the latest last.
    pub users: Vec<(String, Wall)>,
}

impl KnownSource {
    /// Journal key.
    pub fn key(source: SourceNet) -> String {
        format!("known/{source}")
    }
}

/// What a proof changed.
#[derive(Debug, Default)]
pub(crate) struct Learnt {
    /// The device was not known at this address, or not by this connection.
    pub device: bool,
    /// What has to be written down.
    pub write: Option<KnownSource>,
    /// Who had to make room.
    pub gone: Option<SourceNet>,
}

#[derive(Debug)]
struct Place {
    written: Wall,
    known: KnownSource,
    /// What each of its users may send from a new port.
    buckets: HashMap<String, Bucket>,
}

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Known {
    places: BTreeMap<SourceNet, Place>,
    devices: HashMap<(Transport, SocketAddr), (Option<FlowId>, Wall)>,
}

impl Known {
    /// Whether this very device proved itself: the same address and port and, where there is one, the same connection.
    pub fn is_device(&self, hop: &Hop) -> bool {
        self.devices.get(&(hop.transport, hop.remote)).is_some_and(|(flow, _)| *flow == hop.flow)
    }

    /// Whether somebody proved himself behind this source.
    pub fn harbours(&self, source: SourceNet) -> bool {
        self.places.contains_key(&source)
    }

    /// The bucket of a user who proved himself behind this source.
    pub fn familiar(&mut self, source: SourceNet, user: &str) -> Option<&mut Bucket> {
        let place = self.places.get_mut(&source)?;
        let known = place.known.users.iter().any(|(name, _)| name == user);
        known.then(|| place.buckets.entry(user.to_string()).or_default())
    }

    /// Takes a proof over.
    pub fn learn(&mut self, proof: &Proof, now: Wall) -> Learnt {
        let (source, device) = (SourceNet::of(proof.hop.remote.ip()), (proof.hop.transport, proof.hop.remote));
        match self.devices.get(&device) {
            // The usual case, and the one that has to be cheap.
            Some((flow, seen)) if *flow == proof.hop.flow && now.left(*seen) < WRITE_AGAIN => return Learnt::default(),
            _ => {}
        }
        if self.devices.len() >= limits::SHIELD_KNOWN_DEVICES_MAX
            && let Some(oldest) = self.devices.iter().min_by_key(|(_, (_, seen))| *seen).map(|(key, _)| *key)
        {
            self.devices.remove(&oldest);
        }
        self.devices.insert(device, (proof.hop.flow, now));
        let gone = self.make_room(source);
        let place = self.places.entry(source).or_insert_with(|| Place {
            written: Wall(0),
            known: KnownSource { source, seen: now, users: Vec::new() },
            buckets: HashMap::new(),
        });
        let write = place.learn(&proof.user, now);
        Learnt { device: true, write: write.then(|| place.known.clone()), gone }
    }

    fn make_room(&mut self, source: SourceNet) -> Option<SourceNet> {
        if self.places.len() < limits::SHIELD_KNOWN_SOURCES_MAX || self.places.contains_key(&source) {
            return None;
        }
        let oldest = self.places.values().min_by_key(|place| place.known.seen).map(|place| place.known.source)?;
        self.places.remove(&oldest);
        Some(oldest)
    }

    /// Takes over what an earlier process wrote down.
    pub fn restore(&mut self, known: KnownSource) {
        if self.places.len() < limits::SHIELD_KNOWN_SOURCES_MAX {
            self.places.insert(known.source, Place { written: known.seen, known, buckets: HashMap::new() });
        }
    }

    /// A connection ended; its address means nothing any more.
    pub fn flow_closed(&mut self, flow: FlowId) {
        self.devices.retain(|_, (own, _)| *own != Some(flow));
    }

    /// Forgets who has not proved himself for `days`; yields the sources that are gone.
    pub fn expire(&mut self, now: Wall, days: u32) -> Vec<SourceNet> {
        let limit = Duration::from_secs(u64::from(days) * 86_400);
        self.devices.retain(|_, (_, seen)| now.left(*seen) <= limit);
        let old = |place: &Place| now.left(place.known.seen) > limit;
        let gone: Vec<SourceNet> = self.places.iter().filter(|(_, place)| old(place)).map(|(source, _)| *source).collect();
        gone.iter().for_each(|source| drop(self.places.remove(source)));
        gone
    }

    /// Every source.
    pub fn sources(&self) -> impl Iterator<Item = SourceNet> {
        self.places.keys().copied()
    }
}

impl Place {
    /// True: it has to be written down.
    fn learn(&mut self, user: &str, now: Wall) -> bool {
        let users = &mut self.known.users;
        let before = users.len();
        users.retain(|(name, _)| name != user);
        let new = users.len() == before;
        let full = users.len() >= limits::SHIELD_USERS_PER_SOURCE_MAX;
        if full {
            let (gone, _) = users.remove(0);
            self.buckets.remove(&gone);
        }
        users.push((user.to_string(), now));
        self.known.seen = now;
        // Where more people sit than are remembered, each new one would have the list written again.
        let write = (new && !full) || now.left(self.written) >= WRITE_AGAIN;
        if write {
            self.written = now;
        }
        write
    }
}
