//! On which worker a call lives. All its ports live on one, so that no packet crosses threads.

use ringfort_base::{CallId, PortId};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

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
    /// Some interface's frames are steered, and read.
    steered: Option<Arc<AtomicBool>>,
    calls: HashMap<CallId, Home>,
    /// Ports on the worker that reads frames.
    near: usize,
}

impl Homes {
    pub(crate) fn new(workers: usize, steered: Option<Arc<AtomicBool>>) -> Homes {
        Homes { workers, steered, calls: HashMap::new(), near: 0 }
    }

    /// The worker of a call.
    pub(crate) fn of(&self, call: CallId) -> usize {
        match self.calls.get(&call) {
            Some(home) => home.worker,
            // What only passes is near the frames: where it is no other worker has to be woken.
            None if !self.is_steered() => spread(call, self.workers),
            None if self.near < FRAMES_PORTS_MAX || self.workers == 1 => FRAMES,
            None => FRAMES + 1 + spread(call, self.workers - 1),
        }
    }

    fn is_steered(&self) -> bool {
        self.steered.as_ref().is_some_and(|steered| steered.load(Ordering::Relaxed))
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
        let (others, is_steered) = (self.workers - 1, self.is_steered());
        let home = self.calls.get_mut(&call).filter(|home| is_steered && others > 0 && home.worker == FRAMES)?;
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

    fn steered() -> Option<Arc<AtomicBool>> {
        Some(Arc::new(AtomicBool::new(true)))
    }

    #[test]
    fn calls_spread_over_the_workers() {
        for workers in [1, 2, 3, 8] {
            let mut calls = vec![0; workers];
            (0..800).for_each(|call| calls[Homes::new(workers, None).of(CallId(call))] += 1);
            assert!(calls.iter().all(|n| n * workers > 700), "{calls:?}");
        }
    }

    #[test]
    fn a_call_stays_where_it_is_until_it_is_work() {
        let mut homes = Homes::new(3, steered());
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
        let mut homes = Homes::new(1, steered());
        homes.enter(CallId(1), PortId(1));
        assert_eq!(homes.part(CallId(1)), None);
        let mut homes = Homes::new(2, steered());
        (0..FRAMES_PORTS_MAX as u64).for_each(|n| homes.enter(CallId(n), PortId(n)));
        assert!((1 << 20..).take(20).all(|n| homes.of(CallId(n)) == 1));
        let mut homes = Homes::new(2, Some(Arc::new(AtomicBool::new(false))));
        homes.enter(CallId(1), PortId(1));
        let both: Vec<usize> = (2..20).map(|n| homes.of(CallId(n))).collect();
        assert!(both.contains(&0) && both.contains(&1), "when nobody reads frames, calls are spread as before: {both:?}");
    }
}
