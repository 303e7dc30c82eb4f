//! A token bucket that is one moment: the generic cell rate algorithm.

use ringfort_base::Time;
use std::time::Duration;

/// A bucket. The default one is full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Bucket {
    /// When it would be full again if nothing more were taken.
    full_at: Time,
}

/// How fast a bucket fills, and how much it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rate {
    interval: Duration,
    depth: Duration,
}

impl Rate {
    /// `per_s` a second, with `burst_s` seconds' worth at once. Both count as at least 1.
    pub fn per_second(per_s: u32, burst_s: u32) -> Rate {
        Rate { interval: Duration::from_secs(1) / per_s.max(1), depth: Duration::from_secs(burst_s.max(1).into()) }
    }

    /// One each `interval`, `burst` at once.
    pub fn one_each(interval: Duration, burst: u32) -> Rate {
        Rate { interval, depth: interval * burst.max(1) }
    }
}

impl Bucket {
    /// Takes one token. False: there is none.
    pub fn take(&mut self, now: Time, rate: Rate) -> bool {
        let next = self.full_at.max(now) + rate.interval;
        let taken = next <= now + rate.depth;
        if taken {
            self.full_at = next;
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_its_burst_and_fills_at_its_rate() {
        let (rate, mut bucket) = (Rate::per_second(5, 2), Bucket::default());
        let mut taken = |ms: u64| (0..100).filter(|_| bucket.take(Time::from_millis(ms), rate)).count();
        assert_eq!([taken(1_000), taken(1_199), taken(1_200), taken(2_200), taken(60_000)], [10, 0, 1, 5, 10]);
    }
}
