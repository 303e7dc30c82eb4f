//! What packets need lies in memory that nobody has touched since the packet before of the same call, 20 ms ago: in no cache. Where the
//! packets of a batch are known, the processor is told of all their ports first, and fetches them side by side; when the first packet is
//! judged, most of it is there.

use crate::flow::Flow;
use crate::path::{Flows, Slot};
use crate::sys::fetch;

impl Flows {
    /// What packets that came to these ports will need, theirs and their destinations'. Each round asks for what the one before found the
    /// way to.
    pub(crate) fn fetch(&self, slots: impl Iterator<Item = Slot> + Clone) {
        let flow = |slot: Slot| self.place(slot)?.as_ref();
        let across = |slot| flow(slot)?.across();
        for slot in slots.clone() {
            self.place(slot).into_iter().for_each(fetch);
        }
        for slot in slots.clone() {
            flow(slot).into_iter().for_each(Flow::fetch_near);
            across(slot).and_then(|exit| self.place(exit)).into_iter().for_each(fetch);
        }
        for slot in slots.clone() {
            flow(slot).into_iter().for_each(Flow::fetch_far);
            across(slot).and_then(flow).into_iter().for_each(Flow::fetch_near);
        }
        for slot in slots {
            across(slot).and_then(flow).into_iter().for_each(Flow::fetch_far);
        }
    }
}
