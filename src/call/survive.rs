//! Survivability: which mode the node is in. The cloud's supervision decides; each change is an event and is written down, so
//! that a restart in the middle of an outage does not begin by trusting a dead cloud.

use crate::context::Context;
use crate::peers::{PeerName, Peers};
use ringfort_base::event::Mode;
use ringfort_base::{Event, Wall};

/// Journal key of the mode.
pub const MODE_KEY: &str = "mode";

/// The mode and its history's last line.
#[derive(Clone, Debug, Default)]
pub struct Survival {
    /// Now.
    pub mode: Mode,
    /// Since when.
    pub since: Wall,
    /// Why.
    pub reason: String,
}

impl Survival {
    /// Follows the cloud's state; called whenever it may have changed.
    pub fn follow(&mut self, cx: &mut Context, peers: &Peers) {
        let (mode, reason) = match peers.find(&PeerName::Cloud).map(|c| c.state()) {
            None => (Mode::Standalone, "no cloud is configured"),
            Some((true, reason)) => (Mode::Normal, reason),
            Some((false, reason)) => (Mode::Survivable, reason),
        };
        if mode == self.mode && !self.reason.is_empty() {
            return;
        }
        let from = std::mem::replace(&mut self.mode, mode);
        self.since = cx.now.wall;
        self.reason = reason.to_string();
        if from != mode {
            cx.event(Event::ModeChanged { from, to: mode, reason: self.reason.clone() });
            cx.persist(MODE_KEY.into(), crate::kept::write(&mode));
        }
    }
}
