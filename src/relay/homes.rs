//! On which worker a call lives. All its ports live on one, so that no packet crosses threads.

use ringfort_base::{CallId, PortId};
use std::collections::HashMap;

/// The worker that has the queues of interfaces whose frames are steered: a queue can be read by one only.
pub(crate) const FRAMES: usize = 0;
/// So many ports that worker takes: at 50 packets a second it has about half a core's work then, and the others are as good.
const FRAMES_PORTS_MAX: usize = 4_000;

/// Where a call lives.
struct Home {
    worker: usize,
    ports: Vec<PortId>,
}

/// Where all calls live.
pub(crate) struct Homes {
    workers: usize,
    /// Some interface's frames are steered.
    steered: bool,
    calls: HashMap<CallId, Home>,
    /// Ports on the worker that reads frames.
    near: usize,
}

impl Homes {
    pub(crate) fn new(workers: usize, steered: bool) -> Homes {
        Homes { workers, steered, calls: HashMap::new(), near: 0 }
    }

    /// The worker of a call.
    pub(crate) fn of(&self, call: CallId) -> usize {
        match self.calls.get(&call) {
            Some(home) => home.worker,
            // What only passes is near the frames: where it is no other worker has to be woken.
            None if self.steered && self.near < FRAMES_PORTS_MAX => FRAMES,
            None => spread(call, self.workers),
        }
    }

    /// A port of the call is there.
    pub(crate) fn enter(&mut self, call: CallId, port: PortId) {
        let worker = self.of(call);
        self.calls.entry(call).or_insert_with(|| Home { worker, ports: Vec::with_capacity(2) }).ports.push(port);
        self.near += usize::from(worker == FRAMES);
    }

    /// A port of the call is gone, or another call's.
    pub(crate) fn leave(&mut self, call: CallId, port: PortId) {
        let Some(home) = self.calls.get_mut(&call) else { return };
        let before = home.ports.len();
        home.ports.retain(|other| *other != port);
        if home.worker == FRAMES {
            self.near -= before - home.ports.len();
        }
        if home.ports.is_empty() {
            self.calls.remove(&call);
        }
    }

    /// A call turns out to be work for the processor, which would keep frames waiting. The worker to which its ports go, if they do.
    pub(crate) fn part(&mut self, call: CallId) -> Option<(usize, Vec<PortId>)> {
        let others = self.workers - 1;
        let home = self.calls.get_mut(&call).filter(|home| self.steered && others > 0 && home.worker == FRAMES)?;
        home.worker = FRAMES + 1 + spread(call, others);
        self.near -= home.ports.len();
        Some((home.worker, home.ports.clone()))
    }
}

/// Calls are numbered, so a multiplicative hash (golden ratio) spreads them.
fn spread(call: CallId, workers: usize) -> usize {
    let hash = call.0.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    ((u128::from(hash) * workers as u128) >> 64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_spread_over_the_workers() {
        for workers in [1, 2, 3, 8] {
            let mut calls = vec![0; workers];
            (0..800).for_each(|call| calls[Homes::new(workers, false).of(CallId(call))] += 1);
            assert!(calls.iter().all(|n| n * workers > 700), "{calls:?}");
        }
    }

    #[test]
    fn a_call_stays_where_it_is_until_it_is_work() {
        let mut homes = Homes::new(3, true);
        let ports = [PortId(1), PortId(2)];
        ports.iter().for_each(|port| homes.enter(CallId(7), *port));
        assert_eq!((homes.of(CallId(7)), homes.near), (FRAMES, 2));
        let (to, moved) = homes.part(CallId(7)).unwrap();
        assert!(to != FRAMES && moved == ports);
        assert_eq!((homes.of(CallId(7)), homes.near, homes.part(CallId(7))), (to, 0, None));
        ports.iter().for_each(|port| homes.leave(CallId(7), *port));
        assert_eq!((homes.of(CallId(7)), homes.calls.len()), (FRAMES, 0));
    }

    #[test]
    fn a_worker_alone_keeps_all_and_a_full_one_takes_no_more() {
        let mut homes = Homes::new(1, true);
        homes.enter(CallId(1), PortId(1));
        assert_eq!(homes.part(CallId(1)), None);
        let mut homes = Homes::new(2, true);
        (0..FRAMES_PORTS_MAX as u64).for_each(|n| homes.enter(CallId(n), PortId(n)));
        let next = (1 << 20..).map(|n| homes.of(CallId(n))).take(20).max();
        assert_eq!(next, Some(1));
    }
}
