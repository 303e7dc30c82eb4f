//! The last events, in memory: for the live page and for the timeline of one call.

use crate::bus::Subscriber;
use ringfort_base::{CallId, Event, Wall};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use ringfort_base::limits::RECENT_EVENTS_MAX;

/// An event with its place in the order.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    /// 1 for the first event since the start.
    pub seq: u64,
    /// When it was published.
    pub wall: Wall,
    /// What happened.
    pub event: Event,
}

/// The ring. Clones share it: one is given to the bus, the others are read.
#[derive(Clone, Debug, Default)]
pub struct Recent {
    ring: Arc<Mutex<Ring>>,
}

#[derive(Debug, Default)]
struct Ring {
    last_seq: u64,
    seen: VecDeque<Seen>,
}

impl Recent {
    /// An empty ring.
    pub fn new() -> Recent {
        Recent::default()
    }

    /// Events after `seq`, oldest first, at most `count`. A reader that was away for longer than the ring sees that
    /// by the gap.
    pub fn after(&self, seq: u64, count: usize) -> Vec<Seen> {
        self.lock().seen.iter().filter(|seen| seen.seq > seq).take(count).cloned().collect()
    }

    /// The timeline of one call, oldest first.
    pub fn of_call(&self, call: CallId) -> Vec<Seen> {
        self.lock().seen.iter().filter(|seen| call_of(&seen.event) == Some(call)).cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Subscriber for Recent {
    fn name(&self) -> &'static str {
        "recent"
    }

    /// Rejected messages and rules that do not fit come in floods and would push everything else out; they are in the metrics.
    fn wants(&self) -> fn(&Event) -> bool {
        |event| !matches!(event, Event::MessageRejected { .. } | Event::RuleSkipped { .. })
    }

    fn on(&mut self, wall: Wall, event: &Event) {
        let mut ring = self.lock();
        ring.last_seq += 1;
        let seen = Seen { seq: ring.last_seq, wall, event: event.clone() };
        if ring.seen.len() >= RECENT_EVENTS_MAX {
            ring.seen.pop_front();
        }
        ring.seen.push_back(seen);
    }
}

/// The call that an event belongs to.
pub fn call_of(event: &Event) -> Option<CallId> {
    match event {
        Event::CallStarted { call, .. }
        | Event::CallRouted { call, .. }
        | Event::CallRerouted { call, .. }
        | Event::CallAnswered { call, .. }
        | Event::MediaReady { call, .. }
        | Event::MediaFailed { call, .. } => Some(*call),
        Event::CallEnded(record) => Some(record.call),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::every_event;

    #[test]
    fn keeps_the_newest_and_knows_a_call() {
        let recent = Recent::new();
        let mut writer = recent.clone();
        for event in every_event() {
            writer.on(Wall(7), &event);
        }
        let timeline: Vec<_> = recent.of_call(CallId(31)).iter().map(|seen| seen.event.name()).collect();
        assert_eq!(timeline.first(), Some(&"call-started"));
        assert_eq!(timeline.last(), Some(&"call-ended"));
        assert_eq!(timeline.len(), 7);
        for _ in 0..RECENT_EVENTS_MAX {
            writer.on(Wall(8), &Event::Reloaded { refused: None });
        }
        assert!(recent.of_call(CallId(31)).is_empty());
        let last = every_event().len() as u64 + RECENT_EVENTS_MAX as u64;
        assert_eq!(recent.after(last - 2, 10).iter().map(|s| s.seq).collect::<Vec<_>>(), [last - 1, last]);
        assert_eq!(recent.after(0, 3).len(), 3);
    }
}
