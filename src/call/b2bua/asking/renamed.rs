//! A party that says anew who it is before the call is answered, by UPDATE in an early dialog (RFC 4916, RFC 3311): the caller reads it in
//! a further provisional response, who rings in an UPDATE of his own where he takes it, and in any case as soon as the call stands.

use crate::b2bua::Env;
use crate::b2bua::call::{Call, Side};
use crate::b2bua::connected::{self, party_of};
use crate::b2bua::early::Provisional;
use crate::b2bua::within::Asked;
use crate::b2bua::write;
use crate::context::Owner;
use ringfort_sip::message::{HeaderName, Method};

impl Call {
    /// An UPDATE of this side before the answer: it may name somebody else.
    pub(in crate::b2bua) fn named_early(&mut self, env: &mut Env<'_>, side: Side, asked: &Asked) {
        match side {
            Side::Callee => self.target_named_early(env, asked),
            Side::Caller => self.caller_named_early(env, asked),
        }
    }

    fn target_named_early(&mut self, env: &mut Env<'_>, asked: &Asked) {
        let snapshot = self.terms(env.cx);
        let call_id = asked.request.call_id().unwrap_or_default();
        let tag = asked.request.from().ok().and_then(|from| from.tag().map(str::to_string)).unwrap_or_default();
        let Some(branch) = self.asking.branches.iter_mut().find(|branch| branch.leg.call_id == call_id) else { return };
        let (no, before) = (branch.no, branch.leg.connected.clone());
        let Some(dialog) = branch.fork_tagged(&tag).map(|fork| fork.dialog.clone()) else { return };
        branch.leg.learn(&asked.request);
        branch.leg.dialog = Some(dialog);
        branch.leg.hears_who(&snapshot, party_of(&branch.target), &asked.request);
        let news = branch.leg.connected != before;
        if let (Some(dialog), Some(fork)) = (branch.leg.dialog.take(), branch.fork_tagged(&tag)) {
            fork.dialog = dialog;
        }
        if news {
            let who = self.fields_of_branch(env.cx, no);
            let place = self.early_of(&(no, tag)).unwrap_or(0);
            let hears = self.asking.earlies.get(place).is_some_and(|early| early.sdp.is_some());
            // 180 would have some phones play their own ringing instead of the audio that comes.
            self.provide(env, place, Provisional { status: if hears { 183 } else { 180 }, phrase: None, who });
        }
    }

    fn caller_named_early(&mut self, env: &mut Env<'_>, asked: &Asked) {
        if let Some(invite) = &self.invite {
            self.caller.learn(&invite.message);
        }
        self.caller.learn(&asked.request);
        if !self.hears_who(env.cx, Side::Caller, &asked.request) {
            return;
        }
        self.asking.renamed = true;
        if let Some(remote) = self.caller.dialog.as_ref().map(|dialog| dialog.remote.clone()) {
            self.asking.earlies.iter_mut().for_each(|early| early.dialog.remote.clone_from(&remote));
        }
        let forks = |branch: &crate::b2bua::branch::Branch| -> Vec<_> {
            branch.forks.iter().map(|fork| (branch.no, fork.dialog.id.remote_tag.clone())).collect()
        };
        let ringing: Vec<_> = self.asking.branches.iter().filter(|branch| branch.leg.abilities.update).flat_map(forks).collect();
        for (no, tag) in ringing {
            self.tell_ringing(env, no, &tag);
        }
    }

    /// Tells a target that rings who calls now.
    fn tell_ringing(&mut self, env: &mut Env<'_>, no: u32, tag: &str) {
        let owner = Owner::Call(self.id);
        let (who, of, snapshot) = (self.connected(env.cx, Side::Caller), self.party(Side::Caller), self.terms(env.cx));
        let (Some(who), Some(branch)) = (who, self.asking.branch(no)) else { return };
        let (Some(party), hop) = (party_of(&branch.target), branch.leg.hop) else { return };
        let from_change = branch.leg.abilities.from_change;
        let Some(fork) = branch.fork_tagged(tag) else { return };
        let listener = connected::Listener { party: &party, hop: &hop, local: &fork.dialog.local };
        let telling = connected::telling(env.cx, &snapshot, &who, of.as_ref(), Side::Caller, &listener);
        if from_change {
            fork.dialog.local = format!("{};tag={}", telling.from, fork.dialog.id.local_tag);
        } else if telling.fields.is_empty() {
            return;
        }
        let Some((hop, update)) = branch.inside(env.cx, tag, &Method::Update) else { return };
        let update =
            update.header(HeaderName::Contact, write::contact(env.cx, &hop)).header(HeaderName::Supported, crate::SUPPORTED);
        let octets = connected::with(update, &telling.fields).build();
        branch.leg.send_inside(env.cx, hop, octets, owner);
    }
}
