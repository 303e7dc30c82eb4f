//! Writing a call down and taking it over after a restart. What is written is the call itself: there is no second representation.

use super::call::{Call, Leg, Media, Phase, Side};
use super::ending::{self, Cause};
use super::{Calls, Env, Tables};
use ringfort_base::{CallId, PortId, Step};
use ringfort_media::plan::RelayCommand;
use ringfort_media::session::MediaAddress;

/// More requests than a process sends within one dialog between two entries of the journal.
const CSEQ_GAP: u32 = 1_000;

impl Call {
    /// Writes an answered call down.
    pub(super) fn write_down(&self, env: &mut Env<'_>) {
        if self.phase == Phase::Connected {
            env.cx.persist(ending::key(self.id), crate::kept::write(self));
        }
    }

    /// Opens the ports again and gives the relay its plans.
    fn take_over(&mut self, env: &mut Env<'_>, tables: &mut Tables) {
        self.snapshot = Some(env.cx.snapshot.clone());
        self.await_devices(env);
        self.release_old_recorder(env, tables, CSEQ_GAP);
        let mut lost = false;
        for side in [Side::Caller, Side::Callee] {
            let id = self.id;
            let Some(leg) = self.leg(side) else { continue };
            leg.hop.flow = leg.hop.flow.filter(|_| !leg.hop.transport.is_reliable() || leg.device.is_some());
            tables.dialogs.insert((leg.call_id.clone(), leg.tag.clone()), (id, side));
            if let Some(dialog) = &mut leg.dialog {
                // What the dead process sent after this was written down is unknown; the peer takes only higher numbers.
                dialog.local_cseq += CSEQ_GAP;
            }
            // Its party was transferred away; who did it was about to be released.
            lost |= leg.dialog.is_none() || !survives(leg);
            if let Some(media) = &mut leg.media {
                // A re-INVITE that was under way died with the process: what was agreed before holds.
                media.session.reject_offer();
                // How far the node's own stream had come is not known: another one begins, or SRTP would use an index twice.
                media.voice = None;
                tables.ports.insert(media.port, id);
                lost |= media.number.is_some_and(|number| !tables.allocator.reserve(number));
                let (address, shared) = (media.session.address(), media.number.is_none());
                env.cx.relay(RelayCommand::Open { port: media.port, call: id, rtp: address.rtp, rtcp: address.rtcp, shared });
                if let Some((port, MediaAddress { rtp, rtcp, .. })) = media.session.aside() {
                    tables.ports.insert(port, id);
                    lost |= !tables.allocator.reserve(rtp.port());
                    env.cx.relay(RelayCommand::Open { port, call: id, rtp, rtcp, shared: false });
                }
            }
        }
        match lost {
            true => self.end(env, tables, Cause::named(500, "restart")),
            false => {
                self.tell_step(env, Side::Caller, Step::Restored);
                self.enter_again(env, tables);
                self.attend_again(env, tables);
                self.replan(env);
                self.resume_srtp(env);
                // Consent is watched from now on: a browser may have gone while no process was there.
                self.pump(env, tables);
                self.watch_session(env, Side::Caller);
                self.watch_session(env, Side::Callee);
                // Somebody may have left just before.
                self.share_keys(env);
                self.ask_soon(env);
            }
        }
    }
}

impl Call {
    /// Roll-over counters and replay windows go on.
    fn resume_srtp(&self, env: &mut Env<'_>) {
        for media in [Some(&self.caller), self.callee.as_ref()].into_iter().flatten().filter_map(|leg| leg.media.as_ref()) {
            if media.session.is_protected() {
                env.cx.relay(RelayCommand::Restore { port: media.port, positions: media.positions.clone().unwrap_or_default() });
            }
            if let Some((port, positions)) = media.session.protected_aside() {
                env.cx.relay(RelayCommand::Restore { port, positions });
            }
        }
    }
}

/// Whether a leg lives through a restart: its signalling needs no connection, or one that the node or the device makes anew, and its
/// media no handshake that died with the process.
fn survives(leg: &Leg) -> bool {
    let reached = !leg.hop.transport.is_reliable() || leg.by_target || leg.device.is_some();
    reached && leg.media.as_ref().is_none_or(|m| m.session.lacks().is_none())
}

impl Calls {
    /// Takes over calls that an earlier process wrote down; those that cannot go on are released properly. Returns how many go on.
    pub fn restore(&mut self, env: &mut Env<'_>, calls: Vec<Call>) -> usize {
        for call in calls {
            let id = call.id;
            self.tables.next_id = self.tables.next_id.max(highest_id(&call));
            self.live.insert(id, Box::new(call));
            self.with(env, id, |call, env, tables| call.take_over(env, tables));
        }
        self.live.values().filter(|c| c.phase == Phase::Connected).count()
    }
}

fn highest_id(call: &Call) -> u64 {
    let port = |media: Option<&Media>| {
        media.map_or(0, |m| {
            let PortId(id) = m.port;
            id.max(m.session.aside().map_or(0, |(PortId(id), _)| id))
        })
    };
    let CallId(id) = call.id;
    let callee = call.callee.as_ref().and_then(|c| c.media.as_ref());
    id.max(port(call.caller.media.as_ref())).max(port(callee))
}
