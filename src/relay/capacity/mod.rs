//! What this very machine relays in time: more and more calls' audio through a relay of its own, until packets come late or not at all.
//! Whoever sends and receives shares the machine with the relay, so it can carry a little more than is found.

mod course;
mod ground;

use course::Course;
use ground::Ground;
use ringfort_media::plan::{SrtpKeys, SrtpProfile};
use std::io;
use std::time::Duration;

/// First step, flows; the next ones are twice as large.
const FIRST: usize = 200;
/// So many times the gap between the last step that was carried and the first that was not is halved.
const HALVINGS: usize = 2;
/// Packets that may be missing: one in a thousand.
const LOST_MAX: f64 = 0.001;

/// What the flows are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// RTP to RTP, by sockets.
    Plain,
    /// SRTP (AES-CM 128, HMAC-SHA1-80) to RTP, by sockets.
    Secure,
    /// What browsers have: SRTP (AES-GCM 128) to RTP, by sockets.
    Browser,
    /// RTP to RTP, forwarded by the kernel.
    Kernel,
    /// What browsers have, as frames past the kernel's sockets (AF_XDP).
    Frames,
}

impl Kind {
    /// Nothing here is secret.
    fn keys(self) -> Option<SrtpKeys> {
        let (profile, salt) = match self {
            Kind::Secure => (SrtpProfile::Aes128CmSha1_80, 14),
            Kind::Browser | Kind::Frames => (SrtpProfile::AeadAes128Gcm, 12),
            Kind::Plain | Kind::Kernel => return None,
        };
        Some(SrtpKeys { profile, key: (0..16).collect(), salt: (0..salt).collect() })
    }
}

/// One step: what so many flows at once cost.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// Directions of audio, 50 packets a second each.
    pub flows: usize,
    /// Processors that the relay used; with the tiers below sockets all that was used, sender and receiver included, as nobody can tell
    /// them apart.
    pub cores: f64,
    /// 99 of 100 packets were faster than that, µs, from the sender's call to the receiver's.
    pub delay_p99_us: u64,
    /// Share of packets that did not arrive.
    pub lost: f64,
    /// Everything was sent in time: the machine had room for the sender.
    pub was_sent: bool,
}

impl Step {
    /// Whether all came in time.
    pub fn is_carried(&self, delay_max: Duration) -> bool {
        self.was_sent && self.lost <= LOST_MAX && Duration::from_micros(self.delay_p99_us) <= delay_max
    }
}

/// Measures steps of `time` each: twice as many flows each time until a step is not carried with `delay_max`, or `flows_max` is reached,
/// then between the last two. `told` hears of each step; they are returned in order of flows.
///
/// # Errors
/// Why it cannot be measured here: for the tiers below sockets a right or a program that is missing.
pub fn curve(
    kind: Kind,
    delay_max: Duration,
    time: Duration,
    flows_max: usize,
    mut told: impl FnMut(&Step),
) -> io::Result<Vec<Step>> {
    let ground = if matches!(kind, Kind::Kernel | Kind::Frames) { Ground::link()? } else { Ground::Loopback };
    let mut steps = Vec::new();
    let mut measure = |flows: usize, tries: usize| -> io::Result<bool> {
        let mut step = Course::new(&ground, kind, flows)?.run(time)?;
        for _ in 1..tries {
            if !step.is_carried(delay_max) {
                // Something else may have needed the machine just then.
                step = Course::new(&ground, kind, flows)?.run(time)?;
            }
        }
        told(&step);
        steps.push(step);
        Ok(step.is_carried(delay_max))
    };
    let (mut carried, mut flows) = (0, FIRST.min(flows_max));
    let mut refused = loop {
        match measure(flows, 2)? {
            false => break flows,
            true if flows >= flows_max => break usize::MAX,
            true => (carried, flows) = (flows, (2 * flows).min(flows_max)),
        }
    };
    for _ in 0..HALVINGS {
        if refused == usize::MAX || carried + 1 >= refused {
            break;
        }
        let between = carried.midpoint(refused);
        *if measure(between, 1)? { &mut carried } else { &mut refused } = between;
    }
    steps.sort_by_key(|step| step.flows);
    Ok(steps)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::namespace::left_out;
    use ringfort_media::tier::Obstacle;

    #[test]
    fn a_few_flows_are_carried() {
        for kind in [Kind::Plain, Kind::Secure, Kind::Browser] {
            let mut told = 0;
            let steps = curve(kind, Duration::from_secs(5), Duration::from_millis(200), 20, |_| told += 1).unwrap();
            // A busy machine refuses some, and fewer are tried then.
            let Some(step) = steps.last() else { panic!("no step") };
            assert_eq!((step.flows, told), (20, steps.len()));
            assert!(step.lost < 0.5, "{step:?}");
        }
    }

    /// Where it may; else the reason is an error.
    #[test]
    fn the_tiers_below_sockets_carry_flows_or_the_reason_is_told() {
        for kind in [Kind::Kernel, Kind::Frames] {
            match curve(kind, Duration::from_secs(5), Duration::from_millis(200), 20, |_| ()) {
                Ok(steps) => assert!(steps.last().is_some_and(|step| step.flows == 20 && step.lost < 0.5), "{steps:?}"),
                Err(error) => {
                    assert!(!error.to_string().contains(Obstacle::Refused.words()), "{error}");
                    left_out(error);
                }
            }
        }
    }

    /// A delay that nothing keeps: the first step is refused, and so are the two below it.
    #[test]
    fn the_knee_is_looked_for_between_two_steps() {
        let steps = curve(Kind::Plain, Duration::ZERO, Duration::from_millis(40), 40, |_| ()).unwrap();
        assert_eq!(steps.iter().map(|step| step.flows).collect::<Vec<_>>(), [10, 20, 40]);
    }

    #[test]
    fn a_step_is_carried_when_all_of_it_came_in_time() {
        let good = Step { flows: 1, cores: 0.1, delay_p99_us: 5_000, lost: 0.001, was_sent: true };
        let carried = |step: Step| step.is_carried(Duration::from_millis(5));
        assert!(carried(good));
        assert!(!carried(Step { delay_p99_us: 5_001, ..good }));
        assert!(!carried(Step { lost: 0.002, ..good }));
        assert!(!carried(Step { was_sent: false, ..good }));
    }
}
