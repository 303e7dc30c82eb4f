//! Randomness of the system.

use ring::rand::{SecureRandom, SystemRandom};
use ringfort_base::Entropy;

/// The system's generator.
pub struct SystemEntropy(SystemRandom);

impl SystemEntropy {
    /// Ready at once.
    pub fn new() -> SystemEntropy {
        SystemEntropy(SystemRandom::new())
    }
}

impl Entropy for SystemEntropy {
    fn fill(&mut self, bytes: &mut [u8]) {
        // Linux's getrandom fails only before the pool is seeded at boot or where it is forbidden. Nothing secure can be done
        // then: ending the process, which its supervisor starts again, is the closed default.
        if self.0.fill(bytes).is_err() {
            eprintln!("ringfort: the system gives no random numbers");
            std::process::abort();
        }
    }
}
