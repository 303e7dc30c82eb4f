//! `[shield]`: what sources may send that nobody knows.

use serde::Deserialize;

/// `[shield]`. Rates are for one source that nobody knows: an IPv4 address or an IPv6 /64. Known devices and peers have none.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ShieldSection {
    /// Whether anything is slowed or banned at all.
    pub enabled: bool,
    /// REGISTER requests a second.
    pub register_per_s: u32,
    /// INVITE requests a second.
    pub invite_per_s: u32,
    /// OPTIONS requests a second.
    pub options_per_s: u32,
    /// Messages that break a rule, a second.
    pub malformed_per_s: u32,
    /// Other requests a second.
    pub other_per_s: u32,
    /// So many seconds' worth may come at once.
    pub burst_s: u32,
    /// So many times the rate of one source is what all unknown sources of one listener may send together.
    pub listener_factor: u32,
    /// Addresses of record that one source may name in ten minutes without proving itself for one.
    pub accounts_max: u32,
    /// Wrong answers to challenges that one source may give in ten minutes.
    pub guesses_max: u32,
    /// The first ban, seconds; each further one is twice as long.
    pub ban_min_s: u32,
    /// The longest ban, seconds.
    pub ban_max_s: u32,
    /// How long a device that proved itself is known, days.
    pub known_days: u32,
}

impl Default for ShieldSection {
    fn default() -> Self {
        ShieldSection {
            enabled: true,
            register_per_s: 5,
            invite_per_s: 5,
            options_per_s: 2,
            malformed_per_s: 2,
            other_per_s: 5,
            burst_s: 10,
            listener_factor: 40,
            accounts_max: 50,
            guesses_max: 10,
            ban_min_s: 60,
            ban_max_s: 3_600,
            known_days: 7,
        }
    }
}

impl ShieldSection {
    /// What is wrong with the numbers, if anything.
    pub(super) fn fault(&self) -> Option<&'static str> {
        let rates = [self.register_per_s, self.invite_per_s, self.options_per_s, self.malformed_per_s, self.other_per_s];
        if rates.iter().any(|rate| !(1..=10_000).contains(rate)) {
            return Some("the rates must lie between 1 and 10000 a second");
        }
        if !(1..=60).contains(&self.burst_s) || !(1..=1_000).contains(&self.listener_factor) {
            return Some("`burst_s` must lie between 1 and 60, `listener_factor` between 1 and 1000");
        }
        if !(1..=150).contains(&self.accounts_max) || self.guesses_max == 0 {
            return Some("`accounts_max` must lie between 1 and 150, `guesses_max` must be at least 1");
        }
        if self.ban_min_s == 0 || self.ban_min_s > self.ban_max_s || self.ban_max_s > 86_400 {
            return Some("`ban_min_s` must be at least 1 and at most `ban_max_s`, which may be 86400");
        }
        if !(1..=90).contains(&self.known_days) {
            return Some("`known_days` must lie between 1 and 90");
        }
        None
    }
}
