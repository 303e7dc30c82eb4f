//! A cheap hash for tables whose keys the node chose itself: numbers of ports, its own addresses. Strangers can only look there for what is
//! not in them, so keys need no protection from being made to collide, and the standard library's hash, which has it, takes longer
//! than all else that a look-up does.

use std::hash::{BuildHasherDefault, Hasher};

/// For a table of the node's own keys.
pub(crate) type OwnKeys = BuildHasherDefault<Mixer>;

/// Odd, and without a pattern: 2^64 divided by the golden ratio.
const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;

/// Words are mixed in one after the other.
#[derive(Default)]
pub(crate) struct Mixer(u64);

impl Mixer {
    fn mix(&mut self, word: u64) {
        let product = u128::from(self.0 ^ word) * u128::from(FACTOR);
        // A table takes the low bits for the place and the high ones for a mark: each is to depend on the whole word.
        self.0 = (product as u64) ^ (product >> 64) as u64;
    }
}

impl Hasher for Mixer {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, octets: &[u8]) {
        for chunk in octets.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.mix(u64::from_le_bytes(word));
        }
    }

    fn write_u8(&mut self, value: u8) {
        self.mix(value.into());
    }

    fn write_u16(&mut self, value: u16) {
        self.mix(value.into());
    }

    fn write_u32(&mut self, value: u32) {
        self.mix(value.into());
    }

    fn write_u64(&mut self, value: u64) {
        self.mix(value);
    }

    fn write_usize(&mut self, value: usize) {
        self.mix(value as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ringfort_base::PortId;
    use std::collections::HashSet;
    use std::hash::{BuildHasher, Hash};
    use std::net::SocketAddr;

    /// Of keys as they come, few share the place or the mark.
    fn is_spread<K: Hash>(keys: impl Iterator<Item = K>) {
        let hashes = keys.map(|key| OwnKeys::default().hash_one(key)).collect::<Vec<_>>();
        let different = |bits: fn(&u64) -> u64| hashes.iter().map(bits).collect::<HashSet<_>>().len();
        assert_eq!(different(|hash| *hash), hashes.len());
        // By chance 63 % of the places would be taken.
        assert!(different(|hash| hash & 0x3ff) > 500, "{}", different(|hash| hash & 0x3ff));
        assert_eq!(different(|hash| hash >> 57), 128);
    }

    #[test]
    fn ports_and_addresses_are_spread() {
        is_spread((0..1_024).map(PortId));
        is_spread((0..1_024u16).map(|n| SocketAddr::from(([10, 77, 1, 2], 20_000 + 2 * n))));
        is_spread((0..1_024u16).map(|n| SocketAddr::from(([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1], 20_000 + 2 * n))));
    }
}
