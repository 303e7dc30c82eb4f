//! Keys that one side's peer is told of the other's, so that SRTP passes untouched (docs/decisions/0030). They are lent with each offer
//! and answer; here is seen to it that they stay those of who is at the other side, whatever became of the call.

use crate::b2bua::Env;
use crate::b2bua::call::{Call, Media, Side};
use crate::b2bua::exchange::Offer;
use ringfort_base::limits::KEY_EXCHANGES_MAX;

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
            self.key_exchanges = 0;
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
