//! Requests inside early dialogs: PRACK, UPDATE, BYE, OPTIONS before the call is answered.

use crate::b2bua::call::{Call, Failure, Side};
use crate::b2bua::ending::Cause;
use crate::b2bua::within::{Asked, is_of};
use crate::b2bua::{Env, Tables, progress, relayed, write};
use ringfort_sip::dialog::Dialog;
use ringfort_sip::message::{Builder, HeaderName, Method};

impl Call {
    /// A request inside an early dialog of this side.
    pub(in crate::b2bua) fn requested_early(&mut self, env: &mut Env<'_>, tables: &mut Tables, side: Side, asked: &Asked) {
        let Some(dialog) = self.early_dialog(side, asked) else { return asked.reply(env, 481, &[]) };
        if dialog.accept_request(&asked.request).is_err() {
            // RFC 3261 12.2.2: a lower CSeq than one seen before.
            return asked.reply(env, 500, &[(HeaderName::RetryAfter, "1".into())]);
        }
        if !self.admit(env, side, asked) {
            return;
        }
        match (asked.request.method(), side) {
            (Method::Prack, Side::Caller) => {
                let place = self.early_place(asked);
                self.pracked(env, tables, place.unwrap_or(usize::MAX), asked)
            }
            (Method::Prack, Side::Callee) => asked.reply(env, 481, &[]),
            (Method::Update, _) => self.updated_early(env, tables, side, asked),
            // The caller's BYE means what its CANCEL would (RFC 3261 15).
            (Method::Bye, Side::Caller) => {
                asked.reply(env, 200, &[]);
                self.end(env, tables, Cause::named(487, "cancelled"));
            }
            // A target has no business to send it (RFC 3261 15), but means that it has gone.
            (Method::Bye, Side::Callee) => {
                asked.reply(env, 200, &[]);
                self.branch_gone(env, tables, asked);
            }
            (Method::Options, _) => asked.reply(env, 200, &[(HeaderName::Allow, crate::ALLOW.into())]),
            (Method::Invite, _) => asked.reply(env, 491, &[]),
            (method, _) if relayed::is_passed(&method) => self.relay_early(env, side, asked),
            _ => asked.reply(env, 405, &[(HeaderName::Allow, crate::ALLOW.into())]),
        }
    }

    pub(in crate::b2bua) fn early_place(&self, asked: &Asked) -> Option<usize> {
        let to = asked.request.to().ok()?;
        let tag = to.tag()?;
        self.asking.earlies.iter().position(|early| early.dialog.id.local_tag == tag)
    }

    /// Both tags name a dialog (RFC 3261 12).
    fn early_dialog(&mut self, side: Side, asked: &Asked) -> Option<&mut Dialog> {
        let dialog = match side {
            Side::Caller => {
                let place = self.early_place(asked)?;
                &mut self.asking.earlies.get_mut(place)?.dialog
            }
            Side::Callee => {
                let call_id = asked.request.call_id().ok()?;
                let branch = self.asking.branches.iter_mut().find(|branch| branch.leg.call_id == call_id)?;
                let from = asked.request.from().ok()?;
                &mut branch.fork_tagged(from.tag().unwrap_or_default())?.dialog
            }
        };
        Some(dialog).filter(|dialog| is_of(&asked.request, dialog))
    }

    fn branch_gone(&mut self, env: &mut Env<'_>, tables: &mut Tables, asked: &Asked) {
        let call_id = asked.request.call_id().unwrap_or_default();
        let no = self.asking.branches.iter().find(|branch| branch.leg.call_id == call_id).map(|branch| branch.no);
        if let Some(branch) = no.and_then(|no| self.asking.take(no)) {
            branch.give_up(env, tables, None);
            self.target_failed(env, tables, Failure::new(480, "Target Left"));
        }
    }

    /// UPDATE (RFC 3311 5.2). Without offer it says where the peer is; with one it may come only when the INVITE's is answered for sure.
    fn updated_early(&mut self, env: &mut Env<'_>, tables: &mut Tables, side: Side, asked: &Asked) {
        let offer = progress::sdp_of(&asked.request).map(<[u8]>::to_vec);
        if offer.is_some() && !self.is_settled(side, asked) {
            let retry = (env.cx.entropy.u64() % 10 + 1).to_string();
            return match self.asking.delayed && side == Side::Caller || side == Side::Callee {
                // The node's own offer is unanswered.
                true => asked.reply(env, 491, &[]),
                false => asked.reply(env, 500, &[(HeaderName::RetryAfter, retry)]),
            };
        }
        if let Some(dialog) = self.early_dialog(side, asked) {
            // A malformed Contact leaves the target as it was.
            let _ = dialog.refresh_target(&asked.request);
        }
        match offer {
            Some(offer) => self.answer_offer(env, tables, side, asked, &offer),
            None => {
                let reply = Builder::reply(&asked.request, 200, None, None);
                let reply = reply.header(HeaderName::Contact, write::contact(env.cx, &asked.hop));
                env.cx.respond(asked.id, reply.header(HeaderName::Allow, crate::ALLOW).build());
            }
        }
        self.named_early(env, side, asked);
    }

    /// Whether offer and answer of the INVITE are both known to have arrived: by a reliable response and its PRACK.
    fn is_settled(&mut self, side: Side, asked: &Asked) -> bool {
        match side {
            Side::Caller => {
                let early = self.early_place(asked).and_then(|place| self.asking.earlies.get(place));
                early.is_some_and(|early| early.exchanged && !early.awaits_prack())
            }
            Side::Callee => {
                let call_id = asked.request.call_id().unwrap_or_default();
                let tag = asked.request.from().ok().and_then(|from| from.tag().map(str::to_string)).unwrap_or_default();
                let branch = self.asking.branches.iter_mut().find(|branch| branch.leg.call_id == call_id);
                branch.and_then(|branch| branch.fork_tagged(&tag)).is_some_and(|fork| fork.rseq.is_some() && fork.sdp.is_some())
            }
        }
    }
}
