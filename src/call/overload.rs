//! Overload: the driver tells how far the core is behind, and the node sheds what costs least to lose. Nothing inside a dialog, no
//! response, no ACK and no CANCEL is ever shed: they end work. Emergency calls are not shed either.

use ringfort_base::limits;
use std::time::Duration;

/// How far the node is behind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Everything is taken.
    #[default]
    Calm,
    /// Sources that nobody knows are dropped.
    Busy,
    /// New calls but emergency calls are answered 503, and so are OPTIONS of devices.
    Overloaded,
    /// REGISTER requests of known devices too.
    Severe,
}

/// What the driver saw when it took the last inputs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Inputs that wait.
    pub queued: usize,
    /// How long the last of them will wait at the pace of the moment.
    pub lag: Duration,
}

/// From which lag on each stage begins: T1 is half a second, so what waits longer comes twice.
const LAGS: [(Stage, Duration); 3] = [
    (Stage::Busy, Duration::from_millis(100)),
    (Stage::Overloaded, Duration::from_millis(300)),
    (Stage::Severe, Duration::from_millis(1_000)),
];

impl Stage {
    /// The word used in events and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Stage::Calm => "calm",
            Stage::Busy => "busy",
            Stage::Overloaded => "overloaded",
            Stage::Severe => "severe",
        }
    }

    /// The stage after `load` was seen. A stage is left at half of where it begins, so that it does not flap.
    #[must_use]
    pub fn after(self, load: Load) -> Stage {
        let reached = Stage::of(load);
        if reached >= self {
            return reached;
        }
        self.min(Stage::of(Load { queued: load.queued * 2, lag: load.lag * 2 }))
    }

    fn of(load: Load) -> Stage {
        let by_lag = LAGS.iter().rev().find(|(_, lag)| load.lag >= *lag).map_or(Stage::Calm, |(stage, _)| *stage);
        let by_depth = match load.queued * 8 / limits::CORE_QUEUE_MAX {
            0..3 => Stage::Calm,
            3..5 => Stage::Busy,
            5..7 => Stage::Overloaded,
            _ => Stage::Severe,
        };
        by_lag.max(by_depth)
    }
}

/// Seconds of Retry-After: 5 to 20, another number for each, so that they do not all come back at once.
pub fn retry_after_s(random: u64) -> u64 {
    5 + random % 16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stage_is_left_later_than_it_begins() {
        let at = |queued, ms| Load { queued, lag: Duration::from_millis(ms) };
        let walk = [
            (at(0, 0), Stage::Calm),
            (at(10, 120), Stage::Busy),
            (at(10, 60), Stage::Busy),
            (at(10, 40), Stage::Calm),
            (at(limits::CORE_QUEUE_MAX, 0), Stage::Severe),
            (at(limits::CORE_QUEUE_MAX / 2, 0), Stage::Severe),
            (at(limits::CORE_QUEUE_MAX / 3, 0), Stage::Overloaded),
            (at(0, 0), Stage::Calm),
        ];
        let mut stage = Stage::default();
        for (load, expected) in walk {
            stage = stage.after(load);
            assert_eq!(stage, expected, "{load:?}");
        }
    }
}
