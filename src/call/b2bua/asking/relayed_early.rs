//! INFO and MESSAGE before the call is answered (RFC 6086 4.2.1): a digit for an announcement that already plays. It goes on in the early
//! dialog on the other side that stands for the one it came by.

use crate::b2bua::Env;
use crate::b2bua::call::{Call, Side};
use crate::b2bua::relayed::with_body;
use crate::b2bua::within::Asked;
use crate::b2bua::write;
use crate::context::Owner;
use ringfort_base::Hop;
use ringfort_sip::message::Builder;

impl Call {
    /// Such a request from `side`.
    pub(in crate::b2bua) fn relay_early(&mut self, env: &mut Env<'_>, side: Side, asked: &Asked) {
        if let Some((status, headers)) = self.not_relayable(asked) {
            return asked.reply(env, status, &headers);
        }
        let sent = match side {
            Side::Caller => self.early_to_target(env, asked),
            Side::Callee => self.early_to_caller(env, asked),
        };
        match sent {
            Some(sent) => self.remember_relayed(side, asked, sent),
            // Nobody is there yet to hear it.
            None => asked.reply(env, 480, &[]),
        }
    }

    fn early_to_target(&mut self, env: &mut Env<'_>, asked: &Asked) -> Option<ringfort_sip::transaction::TransactionId> {
        let owner = Owner::Call(self.id);
        let of = self.early_place(asked).and_then(|place| self.asking.earlies.get(place)?.of.clone());
        let mut forks = self
            .asking
            .branches
            .iter()
            .flat_map(|branch| branch.forks.iter().map(|fork| (branch.no, fork.dialog.id.remote_tag.clone())));
        // Where several ring without audio, none of them is meant.
        let only = forks.next().filter(|_| forks.next().is_none());
        drop(forks);
        let (no, tag) = of.or(only)?;
        let branch = self.asking.branch(no)?;
        let (hop, request) = branch.inside(env.cx, &tag, &asked.request.method())?;
        branch.leg.send_inside(env.cx, hop, with_body(request, &asked.request).build(), owner)
    }

    fn early_to_caller(&mut self, env: &mut Env<'_>, asked: &Asked) -> Option<ringfort_sip::transaction::TransactionId> {
        let owner = Owner::Call(self.id);
        let call_id = asked.request.call_id().ok()?;
        let tag = asked.request.from().ok()?.tag()?.to_string();
        let no = self.asking.branches.iter().find(|branch| branch.leg.call_id == call_id)?.no;
        let place = self.early_of(&(no, tag)).unwrap_or(0);
        let (hop, request) = self.inside_early(env, place, asked)?;
        self.caller.send_inside(env.cx, hop, with_body(request, &asked.request).build(), owner)
    }

    /// A request in this early dialog towards the caller, and where it goes.
    fn inside_early(&mut self, env: &mut Env<'_>, place: usize, asked: &Asked) -> Option<(Hop, Builder)> {
        let early = self.asking.earlies.get_mut(place)?;
        let request = write::inside(env.cx, &mut early.dialog, &asked.request.method());
        let before = self.caller.dialog.replace(early.dialog.clone());
        let hop = self.caller.next_hop();
        self.caller.dialog = before;
        Some((hop, request))
    }
}
