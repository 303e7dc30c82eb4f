//! What is kept of a subscription. A restart needs it as it stands, but for what the next NOTIFY tells anyway.

use crate::registrar::Device;
use crate::route::{Source, Target};
use ringfort_base::{Time, Wall};
use ringfort_sip::dialog::Dialog;
use serde::{Deserialize, Serialize};

/// One subscription.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Subscription {
    /// Its number.
    pub(super) id: u64,
    /// Who subscribed.
    pub(super) source: Source,
    /// To whose state: the user part as it was asked for.
    pub(super) watched: String,
    /// Event, with its `id`, as the subscriber wrote it.
    pub(super) event: String,
    /// When it runs out.
    pub(super) expires: Wall,
    /// How far it is. What is read back stands.
    #[serde(skip, default)]
    pub(super) phase: Phase,
    /// When it has to be looked at.
    #[serde(skip)]
    pub(super) due: Time,
    /// Towards the subscriber.
    pub(super) subscriber: Party,
    /// Who knows the state.
    pub(super) notifier: Notifier,
}

/// How far a subscription is. The table of what happens in each phase is printed in `docs/event-states.md`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// SUBSCRIBE was sent on and is not answered.
    Asked,
    /// It was granted; the first NOTIFY is awaited (RFC 6665 4.1.2.4).
    Granted,
    /// A NOTIFY came.
    #[default]
    Stands,
    /// It ran out, or was ended by its subscriber; the last NOTIFY may still come.
    Ends,
    /// The node will end it, so that the device subscribes anew: somebody else knows its state from now on.
    Moves,
}

/// Which end of a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Subscriber,
    Notifier,
}

/// One end: its dialog, and the device behind it where there is one.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Party {
    pub dialog: Dialog,
    /// `None`: a peer, which names where it wants requests.
    pub device: Option<Device>,
    /// When it was heard last, or found elsewhere.
    #[serde(skip)]
    pub placed: Time,
}

/// Who knows the state that is subscribed to.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Notifier {
    /// Another party.
    Remote {
        /// Which.
        target: Target,
        /// Call-ID of the node's dialog with it.
        call_id: String,
        /// The node's tag there.
        tag: String,
        /// The device that it is, where it is one.
        device: Option<Device>,
        /// The dialog, since the first answer or NOTIFY.
        end: Option<Box<Party>>,
    },
    /// The node itself.
    Own {
        /// Version of the next document.
        version: u32,
        /// What the last one said.
        told: Option<String>,
    },
}

impl Subscription {
    /// Whether the node itself notifies.
    pub(super) fn is_own(&self) -> bool {
        matches!(self.notifier, Notifier::Own { .. })
    }

    /// The event package.
    pub(super) fn package(&self) -> &str {
        package(&self.event)
    }

    /// Journal key.
    pub(super) fn key(&self) -> String {
        key(self.id)
    }

    /// Whether the cloud notifies.
    pub(super) fn is_of_cloud(&self) -> bool {
        matches!(self.notifier, Notifier::Remote { target: Target::Cloud { .. }, .. })
    }
}

/// Journal key of a subscription.
pub(super) fn key(id: u64) -> String {
    format!("subscription/{id}")
}

/// The package of an Event value, without its parameters.
pub(super) fn package(event: &str) -> &str {
    event.split(';').next().unwrap_or_default().trim()
}

/// An Event value with nothing but its package and `id`. `None`: it is malformed.
pub(super) fn own_event(value: &str) -> Option<String> {
    let is_token = |text: &str| !text.is_empty() && text.len() <= 64 && text.bytes().all(is_token_octet);
    let package = package(value);
    let id = value.split(';').skip(1).find_map(|param| param.trim().strip_prefix("id="));
    match id {
        _ if !is_token(package) => None,
        None => Some(package.to_string()),
        Some(id) if is_token(id) => Some(format!("{package};id={id}")),
        Some(_) => None,
    }
}

fn is_token_octet(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(&octet)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_its_package_and_its_id() {
        assert_eq!(own_event("dialog"), Some("dialog".into()));
        assert_eq!(own_event(" dialog ;x=pbx.inside; id=7"), Some("dialog;id=7".into()));
        for bad in ["", ";id=1", "dia log", "dialog;id=", "dialog;id=a@b"] {
            assert_eq!(own_event(bad), None, "{bad}");
        }
    }
}
