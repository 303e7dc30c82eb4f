//! How much of something may be done in one second: for one port, and for one source of datagrams for the core.

use ringfort_base::Time;
use ringfort_base::limits::CONTROL_PER_SOURCE_MAX;
use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// Counts in the current second.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Allowance {
    began: Option<Time>,
    used: u32,
}

impl Allowance {
    /// Whether one more would be within `max` a second.
    pub(crate) fn has(&self, now: Time, max: u32) -> bool {
        self.used < max || self.began.is_none_or(|began| now.since(began) >= Duration::from_secs(1))
    }

    /// Whether one more is within `max` a second.
    pub(crate) fn take(&mut self, now: Time, max: u32) -> bool {
        if self.began.is_none_or(|began| now.since(began) >= Duration::from_secs(1)) {
            *self = Allowance { began: Some(now), used: 0 };
        }
        self.used = self.used.saturating_add(1);
        self.used <= max
    }
}

/// Places for sources. Those that meet in one place share what it has.
const PLACES: usize = 1_024;

/// What each source of datagrams for the core has sent to this worker's ports. Of a fixed size: a source finds its place by a secret
/// hash, so that nobody takes another one's on purpose.
pub(crate) struct Sources {
    places: Box<[Allowance]>,
    hash: RandomState,
}

impl Default for Sources {
    fn default() -> Sources {
        Sources { places: vec![Allowance::default(); PLACES].into(), hash: RandomState::new() }
    }
}

impl Sources {
    /// Whether one more datagram of this source may go up to the core.
    pub(crate) fn take(&mut self, now: Time, source: SocketAddr) -> bool {
        let network = match source.ip().to_canonical() {
            IpAddr::V4(address) => u64::from(address.to_bits()),
            // One host has a whole network of 64 bits (RFC 4291 2.5.4).
            IpAddr::V6(address) => (address.to_bits() >> 64) as u64,
        };
        let place = self.hash.hash_one(network) as usize % PLACES;
        self.places.get_mut(place).is_some_and(|place| place.take(now, CONTROL_PER_SOURCE_MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_second_has_its_own() {
        let mut allowance = Allowance::default();
        let mut taken = |ms| (0..1000).filter(|_| allowance.take(Time::from_millis(ms), 200)).count();
        assert_eq!([taken(10), taken(1009), taken(1010)], [200, 0, 200]);
    }

    #[test]
    fn a_source_is_a_host_or_an_ipv6_network() {
        let mut sources = Sources::default();
        let mut taken = |source: &str| {
            let source = source.parse().unwrap();
            (0..2 * CONTROL_PER_SOURCE_MAX).filter(|_| sources.take(Time::ZERO, source)).count() as u32
        };
        assert_eq!(taken("192.0.2.1:4000"), CONTROL_PER_SOURCE_MAX);
        assert_eq!(taken("192.0.2.1:5000"), 0);
        assert_eq!(taken("[::ffff:192.0.2.1]:5000"), 0);
        let others = (2..12).map(|n| taken(&format!("192.0.2.{n}:4000"))).filter(|taken| *taken > 0).count();
        assert!(others > 5, "{others} of ten have places of their own");
        taken("[2001:db8::1]:4000");
        assert_eq!(taken("[2001:db8::2]:4000"), 0);
    }
}
