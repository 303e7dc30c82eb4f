//! The one place that waits for something by looking again and again.

use super::{Failure, Outcome};
use std::time::{Duration, Instant};

/// Between two looks. Short enough not to blur what is measured, long enough not to take a core.
const PACE: Duration = Duration::from_millis(10);

/// Looks until `probe` yields something; fails, saying what was waited for, when `limit` is over.
pub fn await_until<T>(what: &str, limit: Duration, mut probe: impl FnMut() -> Outcome<Option<T>>) -> Outcome<T> {
    let begun = Instant::now();
    loop {
        if let Some(found) = probe()? {
            return Ok(found);
        }
        if begun.elapsed() >= limit {
            return Err(Failure::new(format!("waited {} ms in vain for {what}", limit.as_millis())));
        }
        std::thread::sleep(PACE);
    }
}

/// As [`await_until`], for a condition.
pub fn await_true(what: &str, limit: Duration, mut holds: impl FnMut() -> bool) -> Outcome<()> {
    await_until(what, limit, || Ok(holds().then_some(())))
}

/// Does both at once: whoever is asked, and whoever asks.
pub fn beside<T: Send>(one: impl FnOnce() -> Outcome<()> + Send, other: impl FnOnce() -> Outcome<T> + Send) -> Outcome<T> {
    std::thread::scope(|scope| {
        let one = scope.spawn(one);
        let result = other();
        one.join().map_err(|_| Failure::new("a panic"))??;
        result
    })
}

/// Seconds, shorter to write where deadlines are given.
pub const fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}
