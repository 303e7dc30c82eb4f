//! Media port numbers: even for RTP, the next odd one for RTCP (RFC 3550 11). A number that was given back rests a while, so that
//! late packets of an old call do not meet a new one; when no other is left, the one that rested longest is taken: a call that is
//! refused is worse than a stray packet, which the latch refuses anyway. Which free number is next cannot be foretold: whoever has a call of
//! his own does not know by it where to send into others' (RTP bleed).

use ringfort_base::{Time, limits};
use std::collections::{HashSet, VecDeque};

/// Numbers free, in use and resting.
#[derive(Debug)]
pub struct PortAllocator {
    first: u16,
    last: u16,
    /// Never given out: browsers share it.
    aside: Option<u16>,
    used: HashSet<u16>,
    resting: VecDeque<(Time, u16)>,
}

impl PortAllocator {
    /// Pairs from `first` to `last`, both within, without the one of `aside`.
    pub fn new(first: u16, last: u16, aside: Option<u16>) -> PortAllocator {
        let first = first.next_multiple_of(2);
        let aside = aside.map(even);
        PortAllocator { first, last, aside, used: HashSet::new(), resting: VecDeque::new() }
    }

    /// Another range for what is given out from now on.
    pub fn set_range(&mut self, first: u16, last: u16, aside: Option<u16>) {
        self.first = first.next_multiple_of(2);
        self.last = last;
        self.aside = aside.map(even);
    }

    /// An even number whose successor is free too, the first one from where `random` points. `None`: all in use.
    pub fn take(&mut self, now: Time, random: u64) -> Option<u16> {
        while self.resting.front().is_some_and(|(until, _)| *until <= now) {
            if let Some((_, number)) = self.resting.pop_front() {
                self.used.remove(&number);
            }
        }
        let pairs = self.pairs();
        let from = (random % u64::from(pairs.max(1))) as u16;
        for place in (from..pairs).chain(0..from) {
            let number = self.first + 2 * place;
            if self.aside != Some(number) && self.used.insert(number) {
                return Some(number);
            }
        }
        self.longest_rested()
    }

    /// Ends the rest of a number within the range.
    fn longest_rested(&mut self) -> Option<u16> {
        let place = self
            .resting
            .iter()
            .position(|(_, number)| (self.first..=self.last).contains(number) && self.aside != Some(*number))?;
        self.resting.remove(place).map(|(_, number)| number)
    }

    /// This very number, for a call read back after a restart. False: in use.
    pub fn reserve(&mut self, number: u16) -> bool {
        self.used.insert(number)
    }

    /// Gives a number back.
    pub fn give_back(&mut self, now: Time, number: u16) {
        if self.used.contains(&number) {
            self.resting.push_back((now + limits::PORT_QUARANTINE, number));
        }
    }

    /// Whether a quarter of all is free at least: what calls can do without may take some.
    pub fn has_plenty(&self) -> bool {
        self.in_use() * 4 < usize::from(self.pairs()) * 3
    }

    fn pairs(&self) -> u16 {
        self.last.saturating_sub(self.first).div_ceil(2)
    }

    /// Numbers that belong to a call now.
    pub fn in_use(&self) -> usize {
        self.used.len().saturating_sub(self.resting.len())
    }
}

/// The RTP port of a pair.
fn even(number: u16) -> u16 {
    number - number % 2
}

#[cfg(test)]
mod tests {
    use super::*;
    use ringfort_base::Entropy;
    use ringfort_base::entropy::Seeded;

    #[test]
    fn even_pairs_within_the_range_and_no_more() {
        let mut ports = PortAllocator::new(20_001, 20_007, None);
        let taken: Vec<_> = std::iter::from_fn(|| ports.take(Time::ZERO, 0)).collect();
        assert_eq!(taken, [20_002, 20_004, 20_006]);
        assert_eq!(ports.in_use(), 3);
    }

    #[test]
    fn a_number_rests_before_it_is_given_out_again() {
        let mut ports = PortAllocator::new(20_000, 20_005, None);
        let number = ports.take(Time::ZERO, 0).expect("free");
        ports.give_back(Time::ZERO, number);
        assert_eq!(ports.in_use(), 0);
        let early = Time::ZERO + limits::PORT_QUARANTINE / 2;
        assert_eq!([ports.take(early, 0), ports.take(early, 0)], [Some(20_002), Some(20_004)]);
        ports.give_back(early, 20_004);
        assert_eq!(ports.take(Time::ZERO + limits::PORT_QUARANTINE, 0), Some(number));
    }

    #[test]
    fn when_no_other_is_left_the_longest_rested_is_taken() {
        let mut ports = PortAllocator::new(20_000, 20_005, None);
        let taken: Vec<_> = std::iter::from_fn(|| ports.take(Time::ZERO, 0)).collect();
        [20_002, 20_000].into_iter().for_each(|number| ports.give_back(Time::ZERO, number));
        assert_eq!(taken.len(), 3);
        assert_eq!(
            [ports.take(Time::ZERO, 0), ports.take(Time::ZERO, 0), ports.take(Time::ZERO, 0)],
            [Some(20_002), Some(20_000), None]
        );
        assert_eq!(ports.in_use(), 3);
    }

    #[test]
    fn the_pair_that_browsers_share_is_never_given_out() {
        let mut ports = PortAllocator::new(20_000, 20_005, Some(20_003));
        assert_eq!([ports.take(Time::ZERO, 0), ports.take(Time::ZERO, 0)], [Some(20_000), Some(20_004)]);
        assert_eq!(ports.take(Time::ZERO, 0), None);
        ports.set_range(20_000, 20_005, Some(20_000));
        assert_eq!(ports.take(Time::ZERO, 0), Some(20_002));
        ports.give_back(Time::ZERO, 20_000);
        assert_eq!(ports.take(Time::ZERO, 0), None, "it rests, and is aside");
    }

    #[test]
    fn the_next_number_cannot_be_foretold_and_every_one_is_given_out_once() {
        let order = |seed| {
            let (mut ports, mut random) = (PortAllocator::new(20_000, 20_201, Some(20_100)), Seeded::new(seed));
            std::iter::from_fn(|| ports.take(Time::ZERO, random.u64())).collect::<Vec<_>>()
        };
        let (one, other) = (order(1), order(2));
        assert_ne!(one, other);
        let sorted = one.iter().collect::<std::collections::BTreeSet<_>>();
        assert_eq!([one.len(), sorted.len(), other.len()], [100, 100, 100]);
        let following = one.windows(2).filter(|two| two[1] == two[0] + 2).count();
        assert!(following < 50, "{following} of 99 follow the one before");
    }
}
