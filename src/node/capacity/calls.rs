//! Calls a second: the node's own core between two trunks, each call set up and released, in memory, on one core. What sockets take is not
//! in it; what the two peers' messages take is.

use ringfort_call::trial::{Trial, Unmeasured};
use std::time::{Duration, Instant};

/// Calls a second of virtual time: so many transactions linger.
const RATE: u64 = 200;
/// Calls before those that count.
const WARM: u32 = 200;

/// How many a core sets up and releases in a second, found in about `time`. `None`: a call did not come about.
pub fn a_second_and_core(time: Duration) -> Option<u32> {
    let mut trial = Trial::new(RATE)?;
    for _ in 0..WARM {
        trial.call(&mut Unmeasured)?;
    }
    let (begun, mut done) = (Instant::now(), 0u32);
    while begun.elapsed() < time || done == 0 {
        trial.call(&mut Unmeasured)?;
        done += 1;
    }
    Some((f64::from(done) / begun.elapsed().as_secs_f64()) as u32)
}

#[cfg(test)]
mod tests {
    #[test]
    fn calls_come_about() {
        assert!(super::a_second_and_core(std::time::Duration::ZERO).is_some_and(|count| count > 0));
    }
}
