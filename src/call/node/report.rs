//! What a node tells of itself.

use super::Node;
use crate::status::Status;

impl Node {
    /// The node as the page shows it.
    pub fn status(&self) -> Status {
        let (cloud, mut trunks) = self.peers.status(|peer| self.calls.through(peer));
        for trunk in &mut trunks {
            let name = trunk.name.strip_prefix("trunk:").unwrap_or_default();
            if let Some(state) = self.clients.state(name) {
                trunk.reason = format!("{}; {state}", trunk.reason);
            }
        }
        let mut limits = self.calls.limits(&self.cx.snapshot);
        limits.push(self.cx.transcoding.status(&self.cx.snapshot.limits));
        Status {
            node: self.cx.snapshot.node.name.clone(),
            mode: self.survival.mode,
            mode_since: self.survival.since,
            mode_reason: self.survival.reason.clone(),
            cloud,
            trunks,
            registrations: self.registrar.status(&self.cx.snapshot.node.domain),
            subscriptions: self.events.residue()[0],
            calls: self.calls.status(),
            seats: self.calls.seats(),
            recent: self.calls.recent(),
            alarms: self.alarms.status(),
            bans: self.shield.status(),
            totals: self.cx.totals,
            limits,
        }
    }

    /// What must be empty when nothing is going on: calls, media ports, transactions. For tests that look for leaks.
    pub fn residue(&self) -> [usize; 3] {
        [self.calls.len(), self.calls.ports_in_use(), self.cx.transactions.len()]
    }

    /// The same of what is no call: subscriptions, and requests that wait for an answer.
    pub fn watchers(&self) -> [usize; 2] {
        self.events.residue()
    }
}
