//! What a peer said that it can do, in Allow and Supported of any message of its leg, and how it names the session.

use super::call::Leg;
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
    /// The UUID by which it knows the session (RFC 7989 4).
    #[serde(default)]
    pub session: Option<u128>,
    /// It lists what it takes, and INFO (RFC 6086) is not there.
    #[serde(default)]
    pub no_info: bool,
    /// It lists INFO, or told a digit by it.
    #[serde(default)]
    pub info: bool,
    /// It refused a digit by INFO, whatever it lists.
    #[serde(default)]
    pub no_digits: bool,
}

impl Abilities {
    /// Reads a message of the peer. One that does not say leaves what is known.
    pub fn learn(&mut self, message: &Message) {
        let says = |name: HeaderName| message.header(name).is_some();
        if says(HeaderName::Allow) {
            self.update = message.has_token(HeaderName::Allow, "UPDATE");
            self.info = message.has_token(HeaderName::Allow, "INFO");
            self.no_info = !self.info;
            self.refer = message.has_token(HeaderName::Allow, "REFER");
        }
        if says(HeaderName::Supported) {
            self.timer = message.has_token(HeaderName::Supported, "timer");
            self.record_aware = message.has_token(HeaderName::Supported, "record-aware");
            self.from_change = message.has_token(HeaderName::Supported, "from-change");
        }
        self.session = message.header(HeaderName::SessionId).and_then(session_of).or(self.session);
    }
}

impl Leg {
    /// Reads a message of the peer. Its media goes by what it takes, too.
    pub fn learn(&mut self, message: &Message) {
        self.abilities.learn(message);
        self.settle_digits();
    }

    /// Whether the peer takes digits by INFO is its media session's to know.
    pub fn settle_digits(&mut self) {
        let takes = self.abilities.info && !self.abilities.no_digits;
        if let Some(media) = &mut self.media {
            media.session.set_takes_info(takes);
        }
    }
}

/// The sender's own UUID in Session-ID (RFC 7989 5): 32 digits. `None`: it has none, or the value is malformed.
fn session_of(value: &str) -> Option<u128> {
    let own = value.split(';').next().unwrap_or_default().trim();
    let whole = own.len() == 32 && own.bytes().all(|b| b.is_ascii_hexdigit());
    u128::from_str_radix(own, 16).ok().filter(|uuid| whole && *uuid != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_named_by_a_whole_uuid() {
        let uuid = "ab30317f1a784dc48ff824d0d3715d86";
        assert_eq!(session_of(&format!("{uuid};remote=47755a9de7794ba387653f2099600ef2")), u128::from_str_radix(uuid, 16).ok());
        for bad in ["", "0", ";remote=x", "+b30317f1a784dc48ff824d0d3715d86", "00000000000000000000000000000000"] {
            assert_eq!(session_of(bad), None, "{bad}");
        }
        assert_eq!(session_of(&format!("{uuid}0")), None);
    }
}
