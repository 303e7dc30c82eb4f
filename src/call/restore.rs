//! What an earlier process wrote down, sorted by what it is. An entry that cannot be read is dropped by name: one broken
//! entry costs one call, not the start.

use crate::b2bua::{Call, Farewell};
use crate::events::Subscription;
use crate::kept;
use crate::registrar::{Binding, SEAL_KEY};
use crate::registration_client::{KEPT, Kept};
use crate::shield::KnownSource;
use crate::survive::MODE_KEY;
use ringfort_base::event::Mode;

/// One entry of the journal.
#[derive(Clone, Debug)]
pub struct Saved {
    /// Key as given to [`crate::context::Output::Persist`].
    pub key: String,
    /// Value.
    pub value: Vec<u8>,
}

/// The entries by kind.
#[derive(Default)]
pub(crate) struct Restored {
    pub calls: Vec<Call>,
    pub bindings: Vec<Binding>,
    /// BYEs that waited for an ACK, by key.
    pub farewells: Vec<(String, Farewell)>,
    pub mode: Option<Mode>,
    pub seal: Option<[u8; 32]>,
    pub known: Vec<KnownSource>,
    pub registrations: Vec<Kept>,
    pub subscriptions: Vec<Subscription>,
    /// Keys whose value could not be read.
    pub broken: Vec<String>,
}

impl Restored {
    /// Reads every entry.
    pub fn sort(saved: Vec<Saved>) -> Restored {
        let mut restored = Restored::default();
        for entry in saved {
            if !restored.take(&entry) {
                restored.broken.push(entry.key);
            }
        }
        restored
    }

    fn take(&mut self, entry: &Saved) -> bool {
        let kind = entry.key.split('/').next().unwrap_or_default();
        match kind {
            "call" => kept::read(&entry.value).map(|call| self.calls.push(call)).is_some(),
            "bye" => {
                let read = kept::read(&entry.value);
                read.map(|farewell| self.farewells.push((entry.key.clone(), farewell))).is_some()
            }
            "binding" => kept::read(&entry.value).map(|binding| self.bindings.push(binding)).is_some(),
            SEAL_KEY => kept::read(&entry.value).map(|key| self.seal = Some(key)).is_some(),
            "known" => kept::read(&entry.value).map(|known| self.known.push(known)).is_some(),
            "subscription" => kept::read(&entry.value).map(|entry| self.subscriptions.push(entry)).is_some(),
            KEPT => kept::read(&entry.value).map(|kept| self.registrations.push(kept)).is_some(),
            MODE_KEY => kept::read(&entry.value).map(|mode| self.mode = Some(mode)).is_some(),
            _ => false,
        }
    }
}
