//! What a worker does with what is ready: each socket in its turn, after the memory that its packet needs was asked for.

use super::frames::frames_of;
use super::shared::shared_of;
use super::{Worker, socket_of};
use crate::bell::{ROUTES, WAKE};

/// So many ports' memory is asked for at once: little beside the processor's second cache, so that it stays there until its turn comes.
const AHEAD: usize = 16;

impl Worker {
    /// Serves the first `count` of what is ready, each once.
    pub(super) fn serve_ready(&mut self, count: usize) {
        for first in (0..count).step_by(AHEAD) {
            let last = count.min(first + AHEAD);
            self.fetch(first, last);
            for n in first..last {
                self.serve_token(self.ready[n].token());
            }
        }
    }

    /// Asks for what the packets of these will need. Tokens that are no socket's mean no port either.
    fn fetch(&self, first: usize, last: usize) {
        let tokens = self.ready[first..last].iter().map(|ready| ready.token());
        self.flows.fetch(tokens.map(|token| socket_of(token).0));
    }

    fn serve_token(&mut self, token: u64) {
        match token {
            // Who rang was heard before.
            WAKE => {}
            ROUTES => self.reroute(),
            _ => match (shared_of(token), frames_of(token)) {
                (Some(number), _) => self.serve_shared(number),
                (_, Some(number)) => self.serve_frames(number),
                _ => self.serve(token),
            },
        }
    }
}
