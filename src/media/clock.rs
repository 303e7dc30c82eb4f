//! [`Time`] to `Instant` and back, for the ICE agent and the DTLS engine, which take time as `Instant`.

use ringfort_base::Time;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// The one clock reading of this member. `Instant` has no constructor but `now`, so some origin is needed; only differences to it
/// ever reach ICE and DTLS, which makes the reading itself unobservable.
fn origin() -> Instant {
    static ORIGIN: OnceLock<Instant> = OnceLock::new();
    *ORIGIN.get_or_init(Instant::now)
}

/// Beyond any call, and small enough for every platform's `Instant`.
const HORIZON: Duration = Duration::from_secs(30 * 365 * 86_400);

pub(crate) fn instant(time: Time) -> Instant {
    origin() + Duration::from_micros(time.as_micros()).min(HORIZON)
}

/// Instants before the origin become [`Time::ZERO`], those beyond the horizon [`Time::NEVER`].
pub(crate) fn time(instant: Instant) -> Time {
    let since = instant.saturating_duration_since(origin());
    if since < HORIZON { Time::ZERO + since } else { Time::NEVER }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        for time_us in [0, 1, 999_999, 86_400_000_000] {
            let t = Time::from_micros(time_us);
            assert_eq!(time(instant(t)), t);
        }
        assert_eq!(time(instant(Time::NEVER)), Time::NEVER);
    }
}
