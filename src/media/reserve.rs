//! Random values that a leg needs after it was made, from a seed that it was given then.

use ring::hmac;
use ringfort_base::Entropy;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A generator (HMAC-SHA256 over a counter, as in NIST SP 800-108) whose state is plain data. An offer that restarts ICE needs new
/// credentials at a moment when no [`Entropy`] is at hand, and a restarted process must not repeat the old ones.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Reserve {
    seed: [u8; 32],
    drawn: u64,
}

impl Reserve {
    pub fn new(entropy: &mut dyn Entropy) -> Reserve {
        let mut seed = [0; 32];
        entropy.fill(&mut seed);
        Reserve { seed, drawn: 0 }
    }
}

impl Entropy for Reserve {
    fn fill(&mut self, bytes: &mut [u8]) {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &self.seed);
        for chunk in bytes.chunks_mut(32) {
            let block = hmac::sign(&key, &self.drawn.to_be_bytes());
            self.drawn = self.drawn.wrapping_add(1);
            chunk.iter_mut().zip(block.as_ref()).for_each(|(to, from)| *to = *from);
        }
    }
}

impl fmt::Debug for Reserve {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Reserve(drawn {})", self.drawn)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ringfort_base::entropy::Seeded;

    #[test]
    fn never_repeats_and_survives_a_restart() {
        let mut reserve = Reserve::new(&mut Seeded::new(1));
        let (first, second) = (reserve.token(32), reserve.token(32));
        let journal = serde_json::to_string(&reserve).unwrap();
        let mut restored: Reserve = serde_json::from_str(&journal).unwrap();
        let (third, again) = (restored.token(32), reserve.token(32));
        assert_eq!(third, again);
        assert!(first != second && second != third && first != third);
    }
}
