//! An attended transfer to a consultation call that still rings (RFC 5589 7.6): the referrer's part of that call ends at once, the target
//! rings on, and when it answers the remaining party gets it. From then on it is what a blind transfer would have made of it.

use crate::b2bua::call::{Call, Invite, Phase, Side};
use crate::b2bua::early::Early;
use crate::b2bua::join::{offer_of, write_invite};
use crate::b2bua::{Calls, Env, Tables};
use crate::route::Source;
use crate::wake::Wake;
use ringfort_base::CallId;
use ringfort_sip::transaction::TransactionId;

impl Call {
    /// Whether the referrer's part can end and the call go on without it: nothing was answered to it, or offered by the node.
    fn rings_for(&mut self, asker: Option<&Source>) -> Result<(), u16> {
        let rings = matches!(self.phase, Phase::Routing | Phase::Ringing) && self.invite.is_some() && self.callee.is_none();
        match () {
            () if !rings || self.asking.held.is_some() => Err(481),
            () if self.party(Side::Caller).as_ref() != asker => Err(603),
            () if self.asking.delayed => Err(488),
            () => Ok(()),
        }
    }

    /// The node takes the caller's place: it is told 487, and what comes next is told to the transaction `internal`.
    fn change_caller(&mut self, env: &mut Env<'_>, tables: &mut Tables, internal: TransactionId) -> bool {
        let described = self.caller.media.as_ref().and_then(|media| media.described.clone()).unwrap_or_default();
        let (number, from) = (self.asked.number.clone(), self.asked.from.clone());
        let hop = self.caller.hop;
        let invite = offer_of(env, &hop, described).and_then(|sdp| write_invite(env, &hop, &number, &from, None, sdp));
        let (Some(message), Some(dialog)) = (invite, self.caller.dialog.clone()) else { return false };
        if let Some(before) = self.invite.as_ref().map(|invite| invite.id) {
            tables.invites.remove(&before);
            self.invites.retain(|awaited| awaited.id != before);
        }
        self.reject_invite(env, 487, None, &[]);
        env.cx.timers.stop(Wake::Reliable(self.id));
        for early in std::mem::take(&mut self.asking.earlies) {
            tables.dialogs.remove(&(early.dialog.id.call_id, early.dialog.id.local_tag));
        }
        self.asking.earlies.push(Early::new(dialog, env.cx.entropy.u64() as u32));
        self.invite = Some(Invite { id: internal, message });
        self.caller.device = None;
        true
    }
}

impl Calls {
    /// The consultation call goes on for the transfer of call `id`.
    pub(in crate::b2bua) fn adopt(&mut self, env: &mut Env<'_>, id: CallId, consulted: CallId, asker: Option<&Source>) {
        let Some(call) = self.live.get_mut(&consulted) else { return self.refuse_transfer(env, id, 481) };
        if let Err(status) = call.rings_for(asker) {
            return self.refuse_transfer(env, id, status);
        }
        let rings = call.phase == Phase::Ringing;
        let internal = TransactionId::internal(self.tables.fresh_id().0);
        let mut changed = false;
        self.with(env, consulted, |call, env, tables| changed = call.change_caller(env, tables, internal));
        if !changed {
            return self.refuse_transfer(env, id, 488);
        }
        self.tables.referrals.insert(internal, (id, consulted));
        self.with(env, id, |call, env, _| {
            if let Some(transfer) = &mut call.transfer {
                (transfer.target, transfer.consulted) = (Some(consulted), true);
            }
            if rings {
                call.transfer_progress(env, 180, "Ringing");
            }
        });
    }
}
