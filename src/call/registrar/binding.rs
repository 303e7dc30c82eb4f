//! Bindings: which device stands for which address of record, and how it is reached.

use crate::status::RegistrationStatus;
use ringfort_base::{Hop, Wall};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};

/// One device of one address of record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Binding {
    /// User part of the address of record.
    pub user: String,
    /// Names this binding in the contact that the cloud is given.
    pub token: String,
    /// The device's own contact URI; the request URI of calls to it.
    pub contact: String,
    /// `+sip.instance`, where the device has one.
    pub instance: Option<String>,
    /// How the device was last heard: calls to it go the same way.
    pub hop: Hop,
    /// User-Agent as told.
    pub user_agent: String,
    /// Call-ID of the REGISTER.
    pub call_id: String,
    /// CSeq of the last REGISTER.
    pub cseq: u32,
    /// When it runs out.
    pub expires: Wall,
    /// Granted by the cloud.
    pub by_cloud: bool,
}

impl Binding {
    /// Journal key.
    pub fn key(&self) -> String {
        format!("binding/{}", self.token)
    }

    /// Whether a REGISTER's contact means this device: the same instance, or the same contact URI.
    pub(crate) fn is_of(&self, uri: &str, instance: Option<&str>) -> bool {
        match (self.instance.as_deref(), instance) {
            (Some(own), Some(other)) => own == other,
            _ => self.contact == uri,
        }
    }

    pub(crate) fn status(&self, domain: &str) -> RegistrationStatus {
        RegistrationStatus {
            aor: format!("{}@{domain}", self.user).into(),
            transport: self.hop.transport,
            source: self.hop.remote.to_string().into(),
            user_agent: self.user_agent.clone(),
            expires: self.expires,
            by_cloud: self.by_cloud,
        }
    }
}

/// All bindings.
#[derive(Debug, Default)]
pub struct BindingTable {
    by_user: BTreeMap<String, Vec<Binding>>,
    user_of_token: HashMap<String, String>,
}

impl BindingTable {
    /// Bindings of one address of record, the latest last.
    pub fn of(&self, user: &str) -> &[Binding] {
        self.by_user.get(user).map_or(&[], Vec::as_slice)
    }

    /// The binding of this token.
    pub fn by_token(&self, token: &str) -> Option<&Binding> {
        let user = self.user_of_token.get(token)?;
        self.of(user).iter().find(|b| b.token == token)
    }

    /// The user whose device speaks over this hop, if `user` has one there.
    pub fn is_registered_from(&self, user: &str, hop: &Hop) -> bool {
        self.of(user).iter().any(|b| b.hop.same_peer(hop) && b.hop.flow == hop.flow)
    }

    /// Every binding, by address of record.
    pub fn iter(&self) -> impl Iterator<Item = &Binding> {
        self.by_user.values().flatten()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.user_of_token.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.user_of_token.is_empty()
    }

    /// When the first one runs out.
    pub(crate) fn next_expiry(&self) -> Option<Wall> {
        self.iter().map(|b| b.expires).min()
    }

    /// Makes or replaces the binding of this token.
    pub(crate) fn put(&mut self, binding: Binding) {
        let list = self.by_user.entry(binding.user.clone()).or_default();
        list.retain(|b| b.token != binding.token);
        self.user_of_token.insert(binding.token.clone(), binding.user.clone());
        list.push(binding);
    }

    /// Removes and returns every binding that fits.
    pub(crate) fn remove_where(&mut self, fits: impl Fn(&Binding) -> bool) -> Vec<Binding> {
        let mut removed = Vec::new();
        self.by_user.retain(|_, list| {
            removed.extend(list.extract_if(.., |b| fits(b)));
            !list.is_empty()
        });
        for binding in &removed {
            self.user_of_token.remove(&binding.token);
        }
        removed
    }
}
