//! Time is an argument. No member but `node` reads a clock; everything else is told what time it is.

use serde::{Deserialize, Serialize};
use std::ops::{Add, Sub};
use std::time::Duration;

/// Monotonic time in microseconds since an origin that the driver chose. Never written to disk: it ends with the process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(u64);

impl Time {
    /// The driver's origin.
    pub const ZERO: Time = Time(0);
    /// Later than anything that happens; "no timer".
    pub const NEVER: Time = Time(u64::MAX);

    /// Time `us` microseconds after the origin.
    pub const fn from_micros(us: u64) -> Time {
        Time(us)
    }
    /// Time `ms` milliseconds after the origin.
    pub const fn from_millis(ms: u64) -> Time {
        Time(ms * 1000)
    }
    /// Microseconds since the origin.
    pub const fn as_micros(self) -> u64 {
        self.0
    }
    /// How long ago `earlier` was; zero when it lies ahead.
    pub fn since(self, earlier: Time) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Time {
    type Output = Time;
    fn add(self, d: Duration) -> Time {
        Time(self.0.saturating_add(d.as_micros() as u64))
    }
}

impl Sub<Duration> for Time {
    type Output = Time;
    fn sub(self, d: Duration) -> Time {
        Time(self.0.saturating_sub(d.as_micros() as u64))
    }
}

/// Civil time in milliseconds since 1970-01-01T00:00:00Z. May jump; used for expiries that outlive the process,
/// for records and for `Date`, never for protocol timers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Wall(pub u64);

impl Wall {
    /// `self` plus a duration.
    pub fn plus(self, d: Duration) -> Wall {
        Wall(self.0.saturating_add(d.as_millis() as u64))
    }
    /// What is left until `self` when it is `now`; zero when it has passed.
    pub fn left(self, now: Wall) -> Duration {
        Duration::from_millis(self.0.saturating_sub(now.0))
    }

    /// RFC 3339 with milliseconds, in UTC: `2026-01-31T23:59:59.123Z`.
    pub fn rfc3339(self) -> String {
        let (ms, secs) = (self.0 % 1000, self.0 / 1000);
        let (day, sod) = (secs / 86_400, secs % 86_400);
        let (y, m, d) = civil_from_days(day as i64);
        format!("{y:04}-{m:02}-{d:02}T{:02}:{:02}:{:02}.{ms:03}Z", sod / 3600, sod / 60 % 60, sod % 60)
    }
}

/// Days since 1970-01-01 to (year, month, day) of the proleptic Gregorian calendar: eras of 400 years that begin
/// on 1 March, so that the leap day is the last of its year.
fn civil_from_days(days: i64) -> (i64, u32, u32) {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z.rem_euclid(146_097);
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let d = (doy - (153 * mp + 2) / 5 + 1) as u32;
    let m = if mp < 10 { mp + 3 } else { mp - 9 } as u32;
    (yoe + era * 400 + i64::from(m <= 2), m, d)
}

/// What the driver passes with each input: both clocks, read once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// Monotonic: timers.
    pub mono: Time,
    /// Civil: expiries that outlive the process, records.
    pub wall: Wall,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc3339_of_known_dates() {
        assert_eq!(Wall(0).rfc3339(), "1970-01-01T00:00:00.000Z");
        assert_eq!(Wall(951_782_400_000).rfc3339(), "2000-02-29T00:00:00.000Z");
        assert_eq!(Wall(1_767_225_599_999).rfc3339(), "2025-12-31T23:59:59.999Z");
    }

    #[test]
    fn time_saturates() {
        assert_eq!(Time::NEVER + Duration::from_secs(1), Time::NEVER);
        assert_eq!(Time::ZERO - Duration::from_secs(1), Time::ZERO);
        assert_eq!(Time::from_millis(1).since(Time::from_millis(2)), Duration::ZERO);
    }
}
