//! When a worker rests between two looks. Where many packets come, each of them waking the worker costs as much as carrying it; so they
//! gather for a moment, as an interface's driver has them gather before it interrupts. Where few come, each goes at once.

use ringfort_base::Time;
use std::time::Duration;

/// How often it is decided anew.
const WINDOW: Duration = Duration::from_millis(10);
/// So many packets must be likely to gather for a rest to begin to pay: a clock's wake costs as much as a packet's, and more than one by
/// sockets saves.
pub(crate) const BEGIN_SOCKETS: u64 = 8;
/// The same where packets come as frames, which a look takes all at once.
pub(crate) const BEGIN_FRAMES: u64 = 4;

/// What one worker knows of its packets.
#[derive(Debug)]
pub(crate) struct Pace {
    gather: Duration,
    begin: u64,
    since: Time,
    /// That came since then.
    packets: u64,
    rests: bool,
    /// There was more than was taken.
    left: bool,
}

impl Pace {
    /// Packets gather for `gather` at most, where `begin` are likely to; zero: never.
    pub(crate) fn new(gather: Duration, begin: u64) -> Pace {
        Pace { gather, begin, since: Time::ZERO, packets: 0, rests: false, left: false }
    }

    /// So many came. `more`: there may be others, and they have waited long enough.
    pub(crate) fn came(&mut self, packets: usize, more: bool) {
        self.packets += packets as u64;
        self.left |= more;
    }

    /// When the next look is due after the one at `now`. `None`: at once.
    pub(crate) fn rest(&mut self, now: Time) -> Option<Time> {
        let time = now.since(self.since);
        if time >= WINDOW {
            // One that rests goes on with half as many, or it would change its mind all the time.
            let enough = if self.rests { self.begin / 2 } else { self.begin };
            let likely = u128::from(self.packets) * self.gather.as_nanos();
            self.rests = likely > 0 && likely >= u128::from(enough) * time.as_nanos();
            (self.since, self.packets) = (now, 0);
        }
        let left = std::mem::take(&mut self.left);
        (self.rests && !left).then(|| now + self.gather)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GATHER: Duration = Duration::from_micros(500);

    /// Packets at a rate, one look every 100 µs for `ms`; whether the worker rests then.
    fn rests(pace: &mut Pace, from_us: u64, ms: u64, per_second: u64) -> bool {
        let looks = (0..ms * 10).map(|look| {
            let due = |look| per_second * look / 10_000;
            pace.came((due(look + 1) - due(look)) as usize, false);
            pace.rest(Time::from_micros(from_us + look * 100)).is_some()
        });
        looks.last().unwrap()
    }

    #[test]
    fn rests_where_packets_gather_meanwhile_and_not_where_they_do_not() {
        let mut pace = Pace::new(GATHER, BEGIN_SOCKETS);
        assert!(!rests(&mut pace, 0, 50, 15_000), "7.5 in 500 µs");
        assert!(rests(&mut pace, 50_000, 50, 17_000));
        assert!(rests(&mut pace, 100_000, 50, 9_000), "one that rests goes on");
        assert!(!rests(&mut pace, 150_000, 50, 7_000));
        assert!(rests(&mut Pace::new(GATHER, BEGIN_FRAMES), 0, 50, 9_000));
        assert!(!rests(&mut Pace::new(Duration::ZERO, BEGIN_SOCKETS), 0, 50, 100_000), "never");
    }

    #[test]
    fn the_next_look_is_due_a_moment_after_the_last_one() {
        let mut pace = Pace::new(GATHER, BEGIN_SOCKETS);
        assert!(rests(&mut pace, 0, 50, 20_000));
        let now = Time::from_micros(50_000);
        assert_eq!(pace.rest(now), Some(now + GATHER));
        pace.came(64, true);
        assert_eq!(pace.rest(now), None, "what was left has waited");
        assert_eq!(pace.rest(now), Some(now + GATHER));
    }

    /// A silence ends it, however long the last window was.
    #[test]
    fn the_first_packet_after_a_silence_goes_at_once() {
        let mut pace = Pace::new(GATHER, BEGIN_SOCKETS);
        assert!(rests(&mut pace, 0, 50, 20_000));
        pace.came(1, false);
        assert_eq!(pace.rest(Time::from_micros(1_000_000)), None);
    }
}
