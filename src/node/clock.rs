//! The one clock: read here, passed on as an argument.

use ringfort_base::{Now, Time, Wall};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Both clocks of the machine.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    origin: Instant,
}

impl Clock {
    /// Monotonic time begins now.
    pub fn start() -> Clock {
        Clock { origin: Instant::now() }
    }

    /// Both clocks, read once.
    pub fn now(&self) -> Now {
        let mono = Time::from_micros(self.origin.elapsed().as_micros() as u64);
        Now { mono, wall: wall() }
    }

    /// The instant of a monotonic time, for waiting until then. `None`: never.
    pub fn instant(&self, at: Time) -> Option<Instant> {
        (at != Time::NEVER).then(|| self.origin + Duration::from_micros(at.as_micros()))
    }
}

/// Civil time. A clock before 1970 counts as 1970.
pub fn wall() -> Wall {
    Wall(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64)
}
