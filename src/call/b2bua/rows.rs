//! Calls as their people have them, for those who watch (RFC 4235).

use super::call::{Call, Phase, Side};
use super::{Calls, pickup};
use crate::config::Snapshot;
use crate::events::Row;
use crate::route::{Source, Target};

impl Calls {
    /// A row for each user of each call that is not over.
    pub fn rows(&self, snapshot: &Snapshot) -> Vec<Row> {
        let mut rows: Vec<Row> = self.live.values().flat_map(|call| call.rows(snapshot)).collect();
        rows.sort_by(|a, b| (a.call, &a.user, a.initiator).cmp(&(b.call, &b.user, b.initiator)));
        rows.dedup_by(|a, b| (a.call, &a.user, a.initiator) == (b.call, &b.user, b.initiator));
        rows
    }

    /// Whether calls changed since this was asked last.
    pub fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }
}

impl Call {
    fn rows(&self, snapshot: &Snapshot) -> Vec<Row> {
        let (calling, called) = match self.phase {
            Phase::Routing => (Some("trying"), None),
            Phase::Ringing => (Some("early"), Some("early")),
            Phase::Connected => (Some("confirmed"), Some("confirmed")),
            Phase::Ending | Phase::Over => (None, None),
        };
        let parks = |user: &String| snapshot.accounts.get(user).is_some_and(|account| account.parks);
        let parked = |user: &String, initiator, state| {
            let side = if initiator { Side::Caller } else { Side::Callee };
            (state == "confirmed" && parks(user)).then(|| pickup::parked(self.id, side))
        };
        let row = |user: &String, initiator, state| {
            let dialog = parked(user, initiator, state);
            Row { user: user.clone(), call: self.id, initiator, state, dialog }
        };
        let caller = self.caller.party.as_ref().unwrap_or(&self.asked.source);
        let mut rows = Vec::new();
        if let (Source::Account(user), Some(state)) = (caller, calling) {
            rows.push(row(user, true, state));
        }
        let party = self.callee.as_ref().and_then(|leg| leg.party.as_ref());
        if let (Some(Source::Account(user)), Some(state)) = (party, called) {
            rows.push(row(user, false, state));
        }
        for target in self.targets().filter(|_| party.is_none()) {
            if let (Target::Device { user, .. }, Some(state)) = (target, called) {
                let known = row(user, false, state);
                rows.push(Row { dialog: self.ringing_at(target).or(known.dialog.clone()), ..known });
            }
        }
        rows
    }

    /// What names a device that rings for whoever picks the call up.
    fn ringing_at(&self, target: &Target) -> Option<[String; 3]> {
        let branch = self.asking.branches.iter().find(|branch| branch.target == *target)?;
        branch.forks.first().map(|_| pickup::name(self.id, branch.no))
    }
}
