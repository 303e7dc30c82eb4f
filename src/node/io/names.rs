//! Which configured name an address was looked up for: a TLS peer's certificate bears the name, not the address.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Addresses remembered; more than a configuration's peers ever have.
const NAMES_MAX: usize = 1_024;

/// Names by address. They come from the configuration alone, so nobody but the resolver can make one address mean another name,
/// and the certificate is checked against the name all the same.
#[derive(Default)]
pub struct Names(Mutex<HashMap<IpAddr, String>>);

impl Names {
    /// These addresses were found for `host`.
    pub fn learn(&self, host: &str, addresses: &[SocketAddr]) {
        let mut names = self.names();
        if names.len() + addresses.len() > NAMES_MAX {
            names.clear();
        }
        names.extend(addresses.iter().take(NAMES_MAX).map(|address| (address.ip(), host.to_string())));
    }

    /// The name that led to this address.
    pub fn of(&self, address: IpAddr) -> Option<String> {
        self.names().get(&address).cloned()
    }

    /// The table is plain data: it is whole even if a thread ended while it held the lock.
    fn names(&self) -> MutexGuard<'_, HashMap<IpAddr, String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
