//! The node as a client of carriers that want to be registered with: `[[trunk]] register`. Each trunk has one [`Client`] that begins
//! at start, answers challenges, refreshes before the time is over, and backs off when it is refused (RFC 3261 10.2, RFC 5626 4.5).
//! Nothing is unregistered at the end of the process: calls outlive a restart, and the next process registers the same contact.

mod client;

use crate::config::Snapshot;
use crate::context::Context;
use crate::peers::Peers;
use crate::wake::Wake;
use client::Client;
pub use client::{Answer, KEPT, Kept, retry_after};
use ringfort_base::FlowId;
use ringfort_sip::transaction::TransactionId;

/// All trunks that are registered with.
#[derive(Debug, Default)]
pub struct Clients {
    list: Vec<Client>,
    /// Of an earlier process.
    kept: Vec<Kept>,
}

impl Clients {
    /// Takes over what an earlier process wrote down, before the first configuration.
    pub fn restore(&mut self, kept: Vec<Kept>) {
        self.kept = kept;
    }

    /// Takes a configuration over. A registration whose keys stay goes on as it is.
    pub fn configure(&mut self, cx: &mut Context, snapshot: &Snapshot) {
        let mut old = std::mem::take(&mut self.list);
        for index in 0..old.len() {
            cx.timers.stop(Wake::RegisterTrunk(index));
        }
        for trunk in &snapshot.trunks {
            let Some(section) = &trunk.register else { continue };
            let known = old.iter().position(|client| client.is_for(trunk, section));
            let client = known.map(|place| old.swap_remove(place)).unwrap_or_else(|| {
                let kept = self.kept.iter().position(|kept| kept.trunk == trunk.name);
                Client::new(cx, trunk, section, kept.map(|place| self.kept.swap_remove(place)))
            });
            self.list.push(client);
        }
        let gone = old.iter().map(|client| &client.trunk).chain(self.kept.iter().map(|kept| &kept.trunk));
        for trunk in gone.filter(|trunk| !self.list.iter().any(|client| client.trunk == **trunk)) {
            cx.persist(format!("{KEPT}/{trunk}"), None);
        }
        self.kept.clear();
        for (index, client) in self.list.iter_mut().enumerate() {
            let due = client.abandon(cx);
            cx.timers.set(Wake::RegisterTrunk(index), due);
        }
    }

    /// Time to register, to refresh, or to give a REGISTER up that nobody answers.
    pub fn woken(&mut self, cx: &mut Context, peers: &mut Peers, index: usize) {
        if let Some(client) = self.list.get_mut(index) {
            client.woken(cx, peers, index);
        }
    }

    /// A REGISTER was answered.
    pub fn answered(&mut self, cx: &mut Context, peers: &mut Peers, index: usize, answer: Answer<'_>) {
        if let Some(client) = self.list.get_mut(index) {
            client.answered(cx, peers, index, answer);
        }
    }

    /// A connection ended.
    pub fn flow_closed(&mut self, cx: &mut Context, peers: &mut Peers, flow: FlowId) {
        for (index, client) in self.list.iter_mut().enumerate() {
            client.flow_closed(cx, peers, index, flow);
        }
    }

    /// A REGISTER will have no answer.
    pub fn failed(&mut self, cx: &mut Context, peers: &mut Peers, index: usize, id: TransactionId) {
        if let Some(client) = self.list.get_mut(index) {
            client.failed(cx, peers, index, id);
        }
    }

    /// How the registration with this trunk stands, in words. `None`: there is none.
    pub fn state(&self, trunk: &str) -> Option<&str> {
        self.list.iter().find(|client| client.trunk == trunk).map(|client| client.state.as_str())
    }
}
