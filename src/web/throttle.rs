//! Guessing passwords is made slow without locking anybody out.
//!
//! Three tables of failures, each bounded:
//! - **user and source**: after [`PAIR_FREE`] failures each further attempt has to wait twice as long as the one before.
//! - **source**: the same after [`SOURCE_FREE`], for one machine that tries many users. It is generous, because a whole
//!   office may share an address, and a success does not clear it, because an attacker may have an account.
//! - **user**: failures from anywhere only slow the answer down, by [`USER_DELAY_MAX`] at most. A person with the right
//!   password at a machine that has not failed is therefore never refused because of what others do.
//!
//! An attempt is counted as failed when it begins and forgiven when it succeeds, so that attempts side by side gain
//! nothing. Failures are forgotten [`FORGET`] after the last one.

use crate::state::lock;
use ringfort_base::Time;
use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Mutex;
use std::time::Duration;

/// Failures of one user from one source without a wait.
pub const PAIR_FREE: u32 = 4;
/// Failures from one source without a wait.
pub const SOURCE_FREE: u32 = 20;
/// Failures of one user from anywhere without a delay.
pub const USER_FREE: u32 = 8;
/// The first wait.
pub const WAIT_MIN: Duration = Duration::from_secs(1);
/// The longest wait.
pub const WAIT_MAX: Duration = Duration::from_secs(15 * 60);
/// The longest delay of an answer.
pub const USER_DELAY_MAX: Duration = Duration::from_secs(2);
/// The shortest delay of an answer.
const USER_DELAY_MIN: Duration = Duration::from_millis(125);
/// Failures are forgotten this long after the last one.
pub const FORGET: Duration = Duration::from_secs(3600);
pub use ringfort_base::limits::THROTTLE_ENTRIES_MAX as ENTRIES_MAX;

/// Where an attempt comes from: an IPv4 address, or the /64 of an IPv6 address, which one machine may own whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Source(IpAddr);

impl Source {
    /// The source of an address.
    pub fn of(address: IpAddr) -> Source {
        match address.to_canonical() {
            IpAddr::V6(v6) => Source(Ipv6Addr::from(u128::from(v6) & !u128::from(u64::MAX)).into()),
            v4 => Source(v4),
        }
    }
}

/// The tables.
#[derive(Debug, Default)]
pub struct Throttle {
    tables: Mutex<Tables>,
}

#[derive(Debug, Default)]
struct Tables {
    pairs: HashMap<(String, Source), Failures>,
    sources: HashMap<Source, Failures>,
    users: HashMap<String, Failures>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Failures {
    count: u32,
    last: Time,
}

impl Throttle {
    /// Asks for an attempt. `Ok` with the delay to keep before checking the password; `Err` with the time to wait.
    pub fn admit(&self, now: Time, user: &str, source: Source) -> Result<Duration, Duration> {
        let mut tables = lock(&self.tables);
        let Tables { pairs, sources, users } = &mut *tables;
        let pair = entry(pairs, now, (user.to_owned(), source));
        let wait = pair.wait(now, PAIR_FREE);
        let machine = entry(sources, now, source);
        let wait = wait.max(machine.wait(now, SOURCE_FREE));
        if !wait.is_zero() {
            return Err(wait);
        }
        pair.fail(now);
        machine.fail(now);
        let anywhere = entry(users, now, user.to_owned());
        // The own failures at this machine are dealt with above; what is slowed down is guessing by many.
        let delay = anywhere.delay(pair.count);
        anywhere.fail(now);
        Ok(delay)
    }

    /// The attempt was a success: it was no failure after all, and the earlier ones were slips of the pen.
    pub fn succeeded(&self, user: &str, source: Source) {
        let mut tables = lock(&self.tables);
        let slips = tables.pairs.remove(&(user.to_owned(), source)).map_or(1, |pair| pair.count);
        if let Some(anywhere) = tables.users.get_mut(user) {
            anywhere.count = anywhere.count.saturating_sub(slips);
        }
        if let Some(machine) = tables.sources.get_mut(&source) {
            machine.count = machine.count.saturating_sub(1);
        }
    }
}

impl Failures {
    fn fail(&mut self, now: Time) {
        self.count = self.count.saturating_add(1);
        self.last = now;
    }

    /// What is left of the wait after the last failure.
    fn wait(&self, now: Time, free: u32) -> Duration {
        if self.count < free {
            return Duration::ZERO;
        }
        doubled(WAIT_MIN, self.count - free, WAIT_MAX).saturating_sub(now.since(self.last))
    }

    /// How much an answer is delayed when `own` of these failures were made at the same machine.
    fn delay(&self, own: u32) -> Duration {
        match self.count.saturating_sub(own).checked_sub(USER_FREE) {
            Some(beyond) => doubled(USER_DELAY_MIN, beyond, USER_DELAY_MAX),
            None => Duration::ZERO,
        }
    }
}

fn doubled(first: Duration, times: u32, max: Duration) -> Duration {
    // 2^16 times any of the first values is beyond any of the largest.
    first.saturating_mul(1 << times.min(16)).min(max)
}

/// The entry of `key`, new when it has none or it is forgotten.
fn entry<K: Hash + Eq + Clone>(table: &mut HashMap<K, Failures>, now: Time, key: K) -> &mut Failures {
    if table.len() >= ENTRIES_MAX && !table.contains_key(&key) {
        table.retain(|_, failures| now.since(failures.last) < FORGET);
    }
    if table.len() >= ENTRIES_MAX && !table.contains_key(&key) {
        let oldest = table.iter().min_by_key(|(_, failures)| failures.last).map(|(key, _)| key.clone());
        oldest.map(|key| table.remove(&key));
    }
    let failures = table.entry(key).or_default();
    if now.since(failures.last) >= FORGET {
        *failures = Failures::default();
    }
    failures
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(n: u32) -> Source {
        Source::of(IpAddr::from(n.to_be_bytes()))
    }

    fn at(seconds: u64) -> Time {
        Time::ZERO + Duration::from_secs(seconds)
    }

    #[test]
    fn waits_double_up_to_the_longest() {
        let throttle = Throttle::default();
        let mut now = at(0);
        for _ in 0..PAIR_FREE {
            assert_eq!(throttle.admit(now, "a", source(1)), Ok(Duration::ZERO));
        }
        let mut waits = Vec::new();
        for _ in 0..12 {
            let wait = throttle.admit(now, "a", source(1)).unwrap_err();
            waits.push(wait.as_secs());
            now = now + wait;
            throttle.admit(now, "a", source(1)).unwrap();
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900]);
        assert!(throttle.admit(now + FORGET, "a", source(1)).is_ok(), "forgotten");
        assert!(throttle.admit(now + FORGET, "a", source(1)).is_ok());
    }

    #[test]
    fn the_right_person_elsewhere_is_delayed_a_little_and_never_refused() {
        let throttle = Throttle::default();
        for n in 0..10_000 {
            let _ = throttle.admit(at(u64::from(n) / 100), "a", source(n + 2));
        }
        let delay = throttle.admit(at(100), "a", source(1)).unwrap();
        assert!(!delay.is_zero() && delay <= USER_DELAY_MAX, "{delay:?}");
        assert_eq!(throttle.admit(at(100), "b", source(1)), Ok(Duration::ZERO));
    }

    #[test]
    fn a_success_forgives_slips_but_not_the_machine() {
        let throttle = Throttle::default();
        // An account of the attacker's own does not buy guesses at others.
        let mut refused = false;
        for n in 0..2 * SOURCE_FREE {
            refused |= throttle.admit(at(0), &format!("victim{n}"), source(1)).is_err();
            if throttle.admit(at(0), "own", source(1)).is_ok() {
                throttle.succeeded("own", source(1));
            }
        }
        assert!(refused);
        for _ in 0..10 {
            for _ in 0..PAIR_FREE - 1 {
                throttle.admit(at(0), "a", source(2 + 1)).unwrap();
            }
            throttle.succeeded("a", source(2 + 1));
            throttle.succeeded("a", source(2 + 1));
            throttle.succeeded("a", source(2 + 1));
        }
    }

    #[test]
    fn tables_are_bounded_and_networks_count_as_one() {
        let throttle = Throttle::default();
        for n in 0..10_000 {
            let _ = throttle.admit(at(1), &format!("user{n}"), source(n));
        }
        let tables = lock(&throttle.tables);
        assert!(tables.pairs.len() <= ENTRIES_MAX && tables.sources.len() <= ENTRIES_MAX);
        assert!(tables.users.len() <= ENTRIES_MAX);
        let of = |text: &str| Source::of(text.parse().unwrap());
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:1"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
    }
}
