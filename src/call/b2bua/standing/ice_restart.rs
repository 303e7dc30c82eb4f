//! ICE begun anew by the node: a browser whose consent ran out (RFC 7675) while its signalling is there gets a re-INVITE with other
//! credentials (RFC 8839 4.4.1.1.1), and the call goes on if it is heard again. Browsers on the node's own page begin by themselves;
//! this is for those that do not, or could not.

use crate::b2bua::call::{Call, Phase, Side};
use crate::b2bua::ending::Cause;
use crate::b2bua::exchange::Offer;
use crate::b2bua::{Env, Tables};
use crate::wake::Wake;
use ringfort_base::limits;
use ringfort_media::MediaCause;

impl Call {
    /// Asks this side's peer to begin ICE anew. False: it cannot be reached, or was asked often enough.
    pub(in crate::b2bua) fn restart_ice(&mut self, env: &mut Env<'_>, side: Side) -> bool {
        let connected = self.phase == Phase::Connected;
        let Some(leg) = self.leg(side).filter(|_| connected) else { return false };
        let reached = leg.hop.flow.is_none_or(|flow| env.bindings.uses(flow));
        let Some(media) = leg.media.as_mut().filter(|media| reached && media.restarts < limits::ICE_RESTARTS_MAX) else {
            return false;
        };
        media.restarts += 1;
        env.cx.timers.set(Wake::IceRestart(self.id, side), env.cx.now.mono + limits::ICE_RESTART_ANSWER);
        // A change that is under way brings what is wanted by itself, or is over when the peer is asked again.
        if self.exchange.is_none() {
            if let Some(media) = self.media(side) {
                media.session.restart_ice();
            }
            self.begin_own(env, side, Offer::Refresh);
        }
        true
    }

    /// The peer has had its time. Whoever answered is waited for by its consent.
    pub(in crate::b2bua) fn ice_restart_due(&mut self, env: &mut Env<'_>, tables: &mut Tables, side: Side) {
        let failed = self.media(side).is_some_and(|media| media.session.has_failed());
        if failed && !self.restart_ice(env, side) {
            self.end(env, tables, Cause::media(MediaCause::ConsentExpired.as_str()));
        }
    }
}
