//! What a port's next packet needs, fetched ahead of its use.

use super::{Active, Flow};
use crate::path::Slot;
use crate::protection::Protection;
use crate::sys::{fetch, fetch_span};
use ringfort_media::srtp::Needed;

impl Flow {
    /// Where the destination port was last found.
    pub(crate) fn across(&self) -> Option<Slot> {
        self.active.as_ref()?.across
    }

    /// What is one step away: the plan, and the contexts.
    pub(crate) fn fetch_near(&self) {
        if let Some(active) = &self.active {
            fetch(&*active.plan);
            each_context(active, |context| context.near().into_iter().for_each(fetch_span));
        }
        if let Some(reporter) = &self.reporter {
            fetch(&**reporter);
        }
    }

    /// What the plan and the contexts point at. Reads both.
    pub(crate) fn fetch_far(&self) {
        if let Some(active) = &self.active {
            let receive = &active.plan.receive;
            fetch(&receive.speech[..]);
            fetch(&receive.signals[..]);
            each_context(active, |context| context.far().into_iter().for_each(fetch_span));
        }
    }
}

/// The contexts by which packets come in and go out.
fn each_context(active: &Active, with: impl Fn(&dyn Needed)) {
    if let Some(receiver) = active.receiver.current() {
        with(receiver);
    }
    if let Protection::Srtp(sender) = &active.sender {
        with(&**sender);
    }
}
