//! Randomness of the system.

use ring::rand::{SecureRandom, SystemRandom};
use ringfort_base::Entropy;

/// Octets asked of the system at once: a call needs some hundred, in small pieces, and each question is a system call.
const POOL: usize = 4_096;

/// The system's generator, asked for many octets at once. Octets are wiped when they are handed out, so that none stays in memory
/// after its use.
pub struct SystemEntropy {
    system: SystemRandom,
    pool: Box<[u8; POOL]>,
    /// Octets of the pool that were handed out.
    used: usize,
}

impl SystemEntropy {
    /// Ready at once.
    pub fn new() -> SystemEntropy {
        SystemEntropy { system: SystemRandom::new(), pool: Box::new([0; POOL]), used: POOL }
    }
}

impl Entropy for SystemEntropy {
    fn fill(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(POOL) {
            if POOL - self.used < chunk.len() {
                ask(&self.system, self.pool.as_mut_slice());
                self.used = 0;
            }
            let taken = &mut self.pool[self.used..self.used + chunk.len()];
            chunk.copy_from_slice(taken);
            taken.fill(0);
            self.used += chunk.len();
        }
    }
}

fn ask(system: &SystemRandom, bytes: &mut [u8]) {
    // Linux's getrandom fails only before the pool is seeded at boot or where it is forbidden. Nothing secure can be done
    // then: ending the process, which its supervisor starts again, is the closed default.
    if system.fill(bytes).is_err() {
        eprintln!("ringfort: the system gives no random numbers");
        std::process::abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn no_octets_are_handed_out_twice() {
        let mut entropy = SystemEntropy::new();
        let values: HashSet<u64> = (0..2 * POOL).map(|_| entropy.u64()).collect();
        assert_eq!(values.len(), 2 * POOL);
        assert!(entropy.pool[..entropy.used].iter().all(|octet| *octet == 0), "what was handed out is wiped");
        let mut large = vec![0; 3 * POOL + 5];
        entropy.fill(&mut large);
        assert!(large.chunks(16).all(|chunk| chunk.iter().any(|octet| *octet != 0) || chunk.len() < 16));
    }
}
