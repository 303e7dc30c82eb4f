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
}
