//! What is remembered of sources that nobody knows: a table of fixed size, so that a flood from made-up addresses cannot make it
//! grow. Where a source's place is taken, the one that was silent for longest makes room.

use super::bucket::Bucket;
use super::kind::Kind;
use ringfort_base::{Entropy, SourceNet, Time, limits};
use std::time::Duration;

/// Places that one source may take.
const WAYS: usize = 8;
/// What a source did longer ago is forgiven.
const WINDOW: Duration = Duration::from_secs(600);
/// A source over its rate that then stays below it for this long begins anew.
const CALM: Duration = Duration::from_secs(5);

/// One source.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    net: SourceNet,
    seen: Time,
    window: Time,
    /// A bucket for each kind of message.
    pub buckets: [Bucket; Kind::COUNT],
    /// What it may ask while it is banned.
    pub penance: Bucket,
    /// A bit for each address of record that it named: about as many as it named, as long as they are few.
    named: [u64; 4],
    /// Wrong answers to challenges.
    pub guesses: u32,
    /// Messages that bore a scanner's name.
    pub scans: u32,
    /// Since when it is over its rate, when last, and how often.
    over: Option<(Time, Time, u32)>,
    /// Bans so far.
    pub strikes: u32,
}

impl Source {
    fn new(net: SourceNet, now: Time) -> Source {
        Source {
            net,
            seen: now,
            window: now,
            buckets: Default::default(),
            penance: Bucket::default(),
            named: [0; 4],
            guesses: 0,
            scans: 0,
            over: None,
            strikes: 0,
        }
    }

    /// It named an address of record; how many it has named by now.
    pub fn names(&mut self, hash: u64) -> u32 {
        if let Some(word) = self.named.get_mut((hash >> 6 & 3) as usize) {
            *word |= 1 << (hash & 63);
        }
        self.named.iter().map(|word| word.count_ones()).sum()
    }

    /// It is over its rate; for how long, and how often in that time.
    pub fn is_over(&mut self, now: Time) -> (Duration, u32) {
        let (since, count) = match self.over {
            Some((since, last, count)) if now.since(last) < CALM => (since, count.saturating_add(1)),
            _ => (now, 1),
        };
        self.over = Some((since, now, count));
        (now.since(since), count)
    }

    /// A new window: what it did is forgiven, what it was banned for is not.
    fn turn(&mut self, now: Time) {
        self.seen = now;
        if now.since(self.window) > WINDOW {
            (self.window, self.named, self.guesses, self.scans) = (now, [0; 4], 0, 0);
        }
    }
}

/// The table.
pub(crate) struct Sources {
    keys: [u64; 2],
    sets: Vec<Vec<Source>>,
}

impl Sources {
    /// An empty table; who does not know its keys cannot choose addresses that share a place.
    pub fn new(entropy: &mut dyn Entropy) -> Sources {
        Sources { keys: [entropy.u64(), entropy.u64()], sets: vec![Vec::new(); limits::SHIELD_SOURCES_MAX / WAYS] }
    }

    /// A hash that nobody outside can foresee.
    pub fn hash(&self, octets: &[u8]) -> u64 {
        let [first, second] = self.keys;
        let mut hash = first;
        for &octet in octets {
            hash = (hash ^ u64::from(octet)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            hash ^= hash >> 29;
        }
        (hash ^ second).wrapping_mul(0xbf58_476d_1ce4_e5b9).rotate_left(31).wrapping_mul(0x94d0_49bb_1331_11eb) >> 16
    }

    /// The place of a source, made if need be.
    pub fn at(&mut self, net: SourceNet, now: Time) -> Option<&mut Source> {
        let place = self.place(net);
        let set = self.sets.get_mut(place)?;
        let index = match set.iter().position(|source| source.net == net) {
            Some(index) => index,
            None if set.len() < WAYS => {
                set.push(Source::new(net, now));
                set.len() - 1
            }
            None => {
                let oldest = set.iter().enumerate().min_by_key(|(_, source)| source.seen).map(|(index, _)| index)?;
                *set.get_mut(oldest)? = Source::new(net, now);
                oldest
            }
        };
        let source = set.get_mut(index)?;
        source.turn(now);
        Some(source)
    }

    /// It proved itself, or the operator forgives it.
    pub fn forget(&mut self, net: SourceNet) {
        let place = self.place(net);
        if let Some(set) = self.sets.get_mut(place) {
            set.retain(|source| source.net != net);
        }
    }

    fn place(&self, net: SourceNet) -> usize {
        self.hash(&net.octets()) as usize % self.sets.len().max(1)
    }

    /// Sources remembered.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.sets.iter().map(Vec::len).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ringfort_base::entropy::Seeded;
    use std::net::Ipv4Addr;

    fn net(n: u32) -> SourceNet {
        SourceNet::of(Ipv4Addr::from(n).into())
    }

    #[test]
    fn made_up_addresses_do_not_make_it_grow() {
        let mut sources = Sources::new(&mut Seeded::new(1));
        for n in 0..200_000 {
            assert!(sources.at(net(n), Time::from_millis(n.into())).is_some());
        }
        assert!(sources.len() <= limits::SHIELD_SOURCES_MAX);
        assert!(sources.len() > limits::SHIELD_SOURCES_MAX * 9 / 10, "{} places are used", sources.len());
    }

    #[test]
    fn names_are_counted_once() {
        let mut sources = Sources::new(&mut Seeded::new(1));
        let hashes: Vec<u64> = (0..40).map(|n| sources.hash(format!("{}", 100 + n % 20).as_bytes())).collect();
        let source = sources.at(net(1), Time::ZERO).expect("a place");
        let named = hashes.into_iter().map(|hash| source.names(hash)).max();
        assert!(named.is_some_and(|named| (17..=20).contains(&named)), "{named:?}");
    }
}
