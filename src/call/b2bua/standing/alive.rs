//! Whether both ends still know of the call, and where they are. A phone that lost power says no BYE, and a process that was killed
//! while a 2xx was on its way never hears that it was lost: without asking, such a call would hold its ports for ever. OPTIONS within
//! the dialog asks (RFC 3261 11.2), whatever the peer supports: every answer shows that the dialog stands, but for 481 and 408
//! (12.2.1.2). A leg with a session timer is not asked: its refreshes show the same. Silence ends the call only where no audio comes either.

use crate::b2bua::call::{Call, Leg, Phase, Side};
use crate::b2bua::ending::Cause;
use crate::b2bua::{Env, Tables};
use crate::context::Owner;
use crate::wake::Wake;
use ringfort_sip::message::{Builder, Method};
use ringfort_sip::transaction::TransactionId;
use std::time::Duration;

/// Time between two questions. Two ends that vanish at once keep their ports for twice as long at most, and half a minute.
const INTERVAL: Duration = Duration::from_secs(300);
/// A call that was taken over is asked after this time and up to half of it more: soon, but not all at once.
const AFTER_RESTART: Duration = Duration::from_secs(30);

impl Call {
    /// The call stands; it is asked after the usual time.
    pub(in crate::b2bua) fn ask_later(&self, env: &mut Env<'_>) {
        env.cx.timers.set(Wake::AskAlive(self.id), env.cx.now.mono + INTERVAL);
    }

    /// The call was taken over from a process that died.
    pub(in crate::b2bua) fn ask_soon(&self, env: &mut Env<'_>) {
        let spread = env.cx.entropy.u64() % AFTER_RESTART.as_millis() as u64;
        env.cx.timers.set(Wake::AskAlive(self.id), env.cx.now.mono + AFTER_RESTART + Duration::from_millis(spread / 2));
    }

    /// Asks both ends.
    pub(in crate::b2bua) fn ask_whether_alive(&mut self, env: &mut Env<'_>, _tables: &mut Tables) {
        if self.phase != Phase::Connected {
            return;
        }
        let owner = Owner::Call(self.id);
        for side in [Side::Caller, Side::Callee] {
            let Some(leg) = self.leg(side).filter(|leg| leg.needs_asking()) else { continue };
            leg.heard = [leg.heard[1], leg.packets_in()];
            let hop = leg.next_hop();
            if let Some(octets) = leg.inside(env.cx, &Method::Options).map(Builder::build) {
                leg.asked = leg.send_inside(env.cx, hop, octets, owner.clone());
            }
        }
        self.ask_later(env);
    }

    /// The side whose end was asked by this transaction.
    fn asked_by(&mut self, id: TransactionId) -> Option<Side> {
        [Side::Caller, Side::Callee].into_iter().find(|side| self.leg(*side).is_some_and(|leg| leg.asked == Some(id)))
    }

    /// An end answered. False: that was no such question.
    pub(in crate::b2bua) fn alive_answered(
        &mut self,
        env: &mut Env<'_>,
        tables: &mut Tables,
        id: TransactionId,
        status: u16,
    ) -> bool {
        let Some(side) = self.asked_by(id) else { return false };
        if matches!(status, 408 | 481) {
            self.end(env, tables, Cause { released_by: Some(side), ..Cause::named(status, "peer-gone") });
        }
        true
    }

    /// An end did not answer, or its connection is gone, which shows at once: what counts is the audio since the question before.
    pub(in crate::b2bua) fn alive_failed(&mut self, env: &mut Env<'_>, tables: &mut Tables, id: TransactionId) -> bool {
        let Some(side) = self.asked_by(id) else { return false };
        if self.leg(side).is_some_and(|leg| leg.packets_in() == leg.heard[0]) {
            self.end(env, tables, Cause::named(408, "peer-gone"));
        }
        true
    }
}

impl Leg {
    /// A dialog that stands, and whose session does not end by itself (RFC 4028).
    fn needs_asking(&self) -> bool {
        self.is_confirmed() && self.session.timer.is_none()
    }

    /// RTP and RTCP packets that came from the peer, as last reported.
    fn packets_in(&self) -> u64 {
        self.media.as_ref().map_or(0, |media| media.counters.rtp_in + media.counters.rtcp_in)
    }
}
