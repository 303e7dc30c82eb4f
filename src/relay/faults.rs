//! Fast paths that are wanted and are not there, or were lost: named as long as that lasts.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Shared by whoever notices and whoever tells. Their number is bounded by the interfaces of the host.
#[derive(Clone, Debug, Default)]
pub(crate) struct Faults(Arc<Mutex<BTreeMap<String, String>>>);

impl Faults {
    /// It is not there. The first reason stays until it is mended.
    pub(crate) fn begin(&self, path: &str, reason: impl FnOnce() -> String) {
        let mut faults = self.lock();
        if !faults.contains_key(path) {
            faults.insert(path.to_owned(), reason());
        }
    }

    /// It is there, or nobody wants it any more.
    pub(crate) fn end(&self, path: &str) {
        self.lock().remove(path);
    }

    /// Path and reason of each.
    pub(crate) fn list(&self) -> Vec<(String, String)> {
        self.lock().iter().map(|(path, reason)| (path.clone(), reason.clone())).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The kernel's tier as a whole.
pub(crate) const KERNEL: &str = "kernel";

/// The kernel's tier at one interface.
pub(crate) fn kernel_at(interface: &str) -> String {
    format!("{KERNEL} {interface}")
}

/// AF_XDP at one interface.
pub(crate) fn af_xdp_at(interface: &str) -> String {
    format!("af_xdp {interface}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_stays_until_it_is_mended() {
        let faults = Faults::default();
        let seen = faults.clone();
        faults.begin(&kernel_at("eth0"), || "refused".into());
        faults.begin(&kernel_at("eth0"), || "refused again".into());
        faults.begin(KERNEL, || "too old".into());
        assert_eq!(seen.list(), [("kernel".into(), "too old".into()), ("kernel eth0".to_owned(), "refused".to_owned())]);
        faults.end(KERNEL);
        faults.end(&af_xdp_at("eth0"));
        assert_eq!(seen.list().len(), 1);
    }
}
