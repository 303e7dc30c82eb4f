//! Keys that one side's peer is told of the other's, so that SRTP passes untouched (docs/decisions/0030). They are lent with each offer
//! and answer; here is seen to it that they stay those of who is at the other side, whatever became of the call.

use crate::b2bua::call::{Call, Media, Phase, Side};
use crate::b2bua::ending::Cause;
use crate::b2bua::exchange::Offer;
use crate::b2bua::{Env, Tables};
use crate::wake::Wake;
use ringfort_base::limits::{KEY_EXCHANGES_MAX, KEY_REFUSALS_MAX};
use std::time::Duration;

/// Who refused other keys is asked again after this time.
const AGAIN: Duration = Duration::from_secs(5);

impl Call {
    /// The next description to this side's peer may tell it the other side's keys.
    pub(in crate::b2bua) fn lend(&mut self, to: Side) {
        let lent = self.media(to.other()).map(|media| media.session.lends()).unwrap_or_default();
        if let Some(media) = self.media(to) {
            media.session.borrow(lent);
        }
    }

    /// Where a peer has keys of somebody who is not at the other side any more, or could have those of who is, the node makes it an offer.
    /// Peers that take new keys with every answer would keep it busy: after a few offers each side has keys of the node's own.
    pub(in crate::b2bua) fn share_keys(&mut self, env: &mut Env<'_>) {
        let Some(side) = self.side_to_lend_to() else {
            (self.key_exchanges, self.key_refusals) = (0, 0);
            return;
        };
        if self.exchange.is_some() {
            return;
        }
        self.key_exchanges += 1;
        if self.key_exchanges > KEY_EXCHANGES_MAX {
            for side in [Side::Caller, Side::Callee] {
                if let Some(media) = self.media(side) {
                    media.session.lend_no_more();
                }
            }
        }
        self.begin_own(env, side, Offer::Resync);
    }

    /// Each side remembers whom its keys were told. Targets that rang and did not get the call are not meant: that they know them is said
    /// where keys are lent at all.
    pub(in crate::b2bua) fn note_keys(&mut self) {
        for side in [Side::Caller, Side::Callee] {
            let told = self.media(side).and_then(|near| near.session.tells()).filter(|_| self.callee.is_some());
            if let (Some(told), Some(far)) = (told, self.media(side.other())) {
                far.session.note_told(told);
            }
        }
    }

    /// An exchange came to nothing. `asked`: it was the node that wanted it. Where a peer should have other keys it is asked again.
    pub(in crate::b2bua) fn keys_not_shared(&mut self, env: &mut Env<'_>, asked: bool) {
        if self.phase == Phase::Connected && self.is_any_overheard() {
            self.key_refusals = self.key_refusals.saturating_add(u8::from(asked));
            env.cx.timers.set(Wake::KeysAgain(self.id), env.cx.now.mono + AGAIN);
        }
    }

    /// It is time for that. A peer that keeps refusing would hear nothing for ever: the call ends.
    pub(in crate::b2bua) fn share_keys_again(&mut self, env: &mut Env<'_>, tables: &mut Tables) {
        match self.is_any_overheard() && self.exchange.is_none() {
            false => {}
            true if self.key_refusals >= KEY_REFUSALS_MAX => self.end(env, tables, Cause::named(488, "keys-refused")),
            true => self.share_keys(env),
        }
    }

    fn is_any_overheard(&self) -> bool {
        let caller = self.caller.media.as_ref();
        let callee = self.callee.as_ref().and_then(|leg| leg.media.as_ref());
        [(callee, caller), (caller, callee)].into_iter().any(|(near, far)| near.is_some_and(|near| is_overheard(near, far)))
    }

    fn side_to_lend_to(&self) -> Option<Side> {
        let caller = self.caller.media.as_ref();
        let callee = self.callee.as_ref().and_then(|leg| leg.media.as_ref());
        [(Side::Callee, callee, caller), (Side::Caller, caller, callee)].into_iter().find_map(|(side, near, far)| {
            let could = |near: &Media| far.is_some_and(|far| near.session.would_borrow(&far.session));
            near.is_some_and(|near| is_overheard(near, far) || could(near)).then_some(side)
        })
    }
}

/// Whether what this leg's peer is told could be read by somebody who is not in the call any more. While nobody is at the other side, it
/// hears tones and music at most.
pub(in crate::b2bua) fn is_overheard(near: &Media, far: Option<&Media>) -> bool {
    let speaks = far.is_some() || near.attendance.is_some();
    speaks && near.session.holds_keys_of_another(far.map(|far| &far.session))
}
