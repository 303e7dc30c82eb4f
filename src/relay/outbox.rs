//! Events from a worker to the core, which may be slow but must not be waited for.

use ringfort_base::limits::{MEDIA_PORTS_MAX, RELAY_EVENTS_MAX};
use ringfort_media::plan::RelayEvent;
use std::collections::VecDeque;
use std::sync::Arc;

/// Takes an event to the core without waiting; false when there is no room. Called on worker threads and on the thread that
/// commands.
pub type Sink = Arc<dyn Fn(RelayEvent) -> bool + Send + Sync>;

/// Events that must not be lost and had no room yet: a latch for each component and a counter for each port, twice over.
const PENDING_MAX: usize = 2 * MEDIA_PORTS_MAX + RELAY_EVENTS_MAX;

/// What a worker has to tell.
pub(crate) struct Outbox {
    sink: Sink,
    pending: VecDeque<RelayEvent>,
}

impl Outbox {
    pub(crate) fn new(sink: Sink) -> Outbox {
        Outbox { sink, pending: VecDeque::new() }
    }

    /// Offers an event that may be lost, as the peer repeats it: a STUN or DTLS datagram. False when it was.
    pub(crate) fn offer(&mut self, event: RelayEvent) -> bool {
        self.pending.is_empty() && (self.sink)(event)
    }

    /// Tells what the core cannot learn otherwise; kept in order until there is room.
    pub(crate) fn tell(&mut self, event: RelayEvent) {
        if self.pending.len() >= PENDING_MAX {
            tracing::error!("the core takes no events; one of the relay is lost");
            return;
        }
        self.pending.push_back(event);
        self.flush();
    }

    /// Passes on what waits, as far as there is room.
    pub(crate) fn flush(&mut self) {
        while let Some(event) = self.pending.front() {
            if !(self.sink)(event.clone()) {
                return;
            }
            self.pending.pop_front();
        }
    }

    /// Whether something waits for room.
    pub(crate) fn is_waiting(&self) -> bool {
        !self.pending.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ringfort_base::PortId;
    use std::sync::Mutex;

    #[test]
    fn what_must_not_be_lost_waits_in_order() {
        let (taken, room) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(0)));
        let (t, r) = (taken.clone(), room.clone());
        let mut outbox = Outbox::new(Arc::new(move |event| {
            let mut room = r.lock().unwrap();
            let fits = *room > 0;
            if fits {
                *room -= 1;
                t.lock().unwrap().push(event);
            }
            fits
        }));
        let failed = |n| RelayEvent::OpenFailed { port: PortId(n), error: String::new() };
        outbox.tell(failed(1));
        outbox.tell(failed(2));
        assert!(outbox.is_waiting());
        *room.lock().unwrap() = 1;
        assert!(!outbox.offer(failed(3)), "nothing overtakes what waits");
        outbox.flush();
        assert_eq!(*taken.lock().unwrap(), [failed(1)]);
        *room.lock().unwrap() = 2;
        outbox.tell(failed(4));
        assert_eq!(*taken.lock().unwrap(), [failed(1), failed(2), failed(4)]);
        assert!(!outbox.is_waiting());
    }
}
