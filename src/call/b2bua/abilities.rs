//! What a peer said that it can do, in Allow and Supported of any message of its leg.

use ringfort_sip::message::{HeaderName, Message};
use serde::{Deserialize, Serialize};

/// Methods and extensions that a peer takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Abilities {
    /// UPDATE (RFC 3311).
    pub update: bool,
    /// Session timers (RFC 4028).
    pub timer: bool,
    /// REFER (RFC 3515).
    #[serde(default)]
    pub refer: bool,
    /// A changed From within a dialog (RFC 4916).
    pub from_change: bool,
    /// Being told whether the call is recorded (RFC 7866 6.2).
    #[serde(default)]
    pub record_aware: bool,
}

impl Abilities {
    /// Reads a message of the peer. One that does not say leaves what is known.
    pub fn learn(&mut self, message: &Message) {
        let says = |name: HeaderName| message.header(name).is_some();
        if says(HeaderName::Allow) {
            self.update = message.has_token(HeaderName::Allow, "UPDATE");
            self.refer = message.has_token(HeaderName::Allow, "REFER");
        }
        if says(HeaderName::Supported) {
            self.timer = message.has_token(HeaderName::Supported, "timer");
            self.record_aware = message.has_token(HeaderName::Supported, "record-aware");
            self.from_change = message.has_token(HeaderName::Supported, "from-change");
        }
    }
}
