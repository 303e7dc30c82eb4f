//! All bindings, found by user, by token, by connection and by the time when they run out.

use super::binding::{Binding, Device};
use super::gruu::Seal;
use ringfort_base::{FlowId, Hop, Time};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// All bindings.
#[derive(Debug, Default)]
pub struct BindingTable {
    by_user: BTreeMap<String, Vec<Binding>>,
    user_of_token: HashMap<String, String>,
    by_flow: HashMap<FlowId, Vec<String>>,
    by_time: BTreeSet<(Time, String)>,
    /// What makes and opens temporary GRUUs.
    pub(super) seal: Seal,
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

    /// One binding for each device of a user, the device that registered last at the end: a device with several connections is
    /// asked by one of them, the one used last (RFC 5626 5.3).
    pub fn devices_of(&self, user: &str) -> Vec<&Binding> {
        let all = self.of(user);
        let later = |at: usize, b: &Binding| {
            all[at + 1..].iter().any(|other| b.instance.is_some() && b.instance == other.instance && other.is_reachable())
        };
        all.iter().enumerate().filter(|(at, b)| !later(*at, b)).map(|(_, b)| b).collect()
    }

    /// Another connection of the device that this binding belongs to, but for those that were tried.
    pub fn other_flow(&self, token: &str, tried: &[String]) -> Option<&Binding> {
        let failed = self.by_token(token)?;
        let same = |b: &&Binding| b.instance.is_some() && b.instance == failed.instance && b.token != failed.token;
        self.of(&failed.user).iter().rev().find(|b| same(b) && b.is_reachable() && !tried.contains(&b.token))
    }

    /// How a device is reached now.
    pub fn find(&self, device: &Device) -> Option<&Binding> {
        self.of(&device.user).iter().rev().find(|binding| device.has(binding) && binding.is_reachable())
    }

    /// The device of `user` that speaks over this hop.
    pub fn device_at(&self, user: &str, hop: &Hop) -> Option<&Binding> {
        self.of(user).iter().rev().find(|b| b.hop.same_peer(hop) && b.hop.flow == hop.flow)
    }

    /// Whether a device of `user` speaks over this hop.
    pub fn is_registered_from(&self, user: &str, hop: &Hop) -> bool {
        self.device_at(user, hop).is_some()
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
    pub(crate) fn next_expiry(&self) -> Option<Time> {
        self.by_time.first().map(|(time, _)| *time)
    }

    /// Makes or replaces the binding of this token; it becomes the user's latest.
    pub(crate) fn put(&mut self, binding: Binding) {
        self.remove(&binding.token);
        self.user_of_token.insert(binding.token.clone(), binding.user.clone());
        self.by_time.insert((binding.until, binding.token.clone()));
        if let Some(flow) = binding.hop.flow {
            self.by_flow.entry(flow).or_default().push(binding.token.clone());
        }
        self.by_user.entry(binding.user.clone()).or_default().push(binding);
    }

    /// Removes the binding of this token.
    pub(crate) fn remove(&mut self, token: &str) -> Option<Binding> {
        let user = self.user_of_token.remove(token)?;
        let list = self.by_user.get_mut(&user)?;
        let place = list.iter().position(|b| b.token == token)?;
        let binding = list.remove(place);
        if list.is_empty() {
            self.by_user.remove(&user);
        }
        self.by_time.remove(&(binding.until, binding.token.clone()));
        if let Some(flow) = binding.hop.flow
            && let Some(tokens) = self.by_flow.get_mut(&flow)
        {
            tokens.retain(|of_flow| of_flow != token);
            if tokens.is_empty() {
                self.by_flow.remove(&flow);
            }
        }
        Some(binding)
    }

    /// Removes every binding of a user that fits.
    pub(crate) fn remove_of(&mut self, user: &str, fits: impl Fn(&Binding) -> bool) -> Vec<Binding> {
        let tokens: Vec<String> = self.of(user).iter().filter(|b| fits(b)).map(|b| b.token.clone()).collect();
        tokens.iter().filter_map(|token| self.remove(token)).collect()
    }

    /// Removes every binding that is reached by this connection.
    pub(crate) fn remove_flow(&mut self, flow: FlowId) -> Vec<Binding> {
        let tokens = self.by_flow.get(&flow).cloned().unwrap_or_default();
        tokens.iter().filter_map(|token| self.remove(token)).collect()
    }

    /// Removes every binding that ran out.
    pub(crate) fn remove_due(&mut self, now: Time) -> Vec<Binding> {
        let due: Vec<String> =
            self.by_time.iter().take_while(|(until, _)| *until <= now).map(|(_, token)| token.clone()).collect();
        due.iter().filter_map(|token| self.remove(token)).collect()
    }

    /// Removes every binding that fits, whosesoever it is. It looks at all of them: for a reload.
    pub(crate) fn remove_where(&mut self, fits: impl Fn(&Binding) -> bool) -> Vec<Binding> {
        let tokens: Vec<String> = self.iter().filter(|b| fits(b)).map(|b| b.token.clone()).collect();
        tokens.iter().filter_map(|token| self.remove(token)).collect()
    }

    /// Whether anything is reached by this connection.
    pub(crate) fn uses(&self, flow: FlowId) -> bool {
        self.by_flow.contains_key(&flow)
    }
}
