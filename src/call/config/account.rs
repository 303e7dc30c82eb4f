//! `[[account]]`: a person or device that registers here.

use ringfort_sip::digest::Ha1;
use serde::Deserialize;
use std::fmt;
use zeroize::Zeroizing;

/// `[[account]]` as written.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccountSection {
    /// Extension: user part of the address of record, and digest user name.
    pub user: String,
    /// Name that callees see.
    #[serde(default)]
    pub display_name: String,
    /// Password; absent: one is made at first start and kept in the state directory.
    pub password: Option<Zeroizing<String>>,
    /// Where its calls go instead.
    #[serde(default)]
    pub forward: ForwardSection,
    /// Numbers that ring together with its devices: a mobile phone.
    #[serde(default)]
    pub also_ring: Vec<String>,
    /// Its other number, E.164 with `+`: who calls from there by a trusted trunk is shown as this account.
    pub alternative: Option<String>,
    /// Accounts of the same group may take each other's ringing calls.
    pub pickup_group: Option<String>,
    /// Calls are parked here: accounts of its `pickup_group` may take calls that stand at it.
    #[serde(default)]
    pub parks: bool,
}

/// `account.forward`: numbers as this account would dial them. In normal mode the cloud's own forwards come first.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ForwardSection {
    /// Every call; the devices do not ring.
    pub always: Option<String>,
    /// When it is busy (486, 600).
    pub busy: Option<String>,
    /// When nobody answers for `no_answer_s`.
    pub no_answer: Option<String>,
    /// How long the devices ring first, seconds.
    pub no_answer_s: u32,
    /// When no device can be reached; absent: as `no_answer`.
    pub unreachable: Option<String>,
}

impl Default for ForwardSection {
    fn default() -> Self {
        ForwardSection { always: None, busy: None, no_answer: None, no_answer_s: 20, unreachable: None }
    }
}

impl ForwardSection {
    /// Every number that it names.
    pub fn numbers(&self) -> impl Iterator<Item = &String> {
        [&self.always, &self.busy, &self.no_answer, &self.unreachable].into_iter().flatten()
    }
}

impl fmt::Debug for AccountSection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccountSection").field("user", &self.user).finish_non_exhaustive()
    }
}

/// A checked account: the password is gone, what digest needs is left.
#[derive(Clone, Debug)]
pub struct Account {
    /// Extension.
    pub user: String,
    /// Name that callees see; empty: none.
    pub display_name: String,
    /// Digest verifiers for the node's realm.
    pub ha1: Ha1,
    /// Where its calls go instead.
    pub forward: ForwardSection,
    /// Numbers that ring together with its devices.
    pub also_ring: Vec<String>,
    /// Its other number, E.164 with `+`.
    pub alternative: Option<String>,
    /// Accounts of the same group may take each other's ringing calls.
    pub pickup_group: Option<String>,
    /// Calls are parked here: accounts of its `pickup_group` may take calls that stand at it.
    pub parks: bool,
}
