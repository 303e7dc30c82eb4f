//! One target after another, until one takes the call. A target that says nothing is given up in time for the next one: the very INVITE
//! that meets a dead cloud is rerouted, not lost.

use super::call::{Call, Failure, Leg, Phase, Side};
use super::destination::{Destination, destination, peer_of};
use super::{Env, Tables, ending, media, write};
use crate::context::Owner;
use crate::route::Target;
use crate::wake::Wake;
use bytes::Bytes;
use ringfort_base::{Event, limits};
use ringfort_sip::transaction::TransactionId;

impl Call {
    /// Tries targets until one has been asked or none is left.
    pub(super) fn try_next(&mut self, env: &mut Env<'_>, tables: &mut Tables) {
        while let Some(target) = self.waiting.pop_front() {
            if let Target::Extension(user) = &target {
                self.expand(env, user.clone());
                continue;
            }
            if self.should_skip(env, &target) {
                continue;
            }
            self.announce_reroute(env, &target);
            self.target = Some(target.clone());
            let tried = match &target {
                Target::Echo => self.answer_by_echo(env, tables),
                _ => self.ask(env, tables, &target),
            };
            match tried {
                Ok(()) => return,
                Err(failure) => self.last_failure = Some(failure),
            }
        }
        self.exhausted(env, tables);
    }

    /// An extension's devices take its place, the latest registered first.
    fn expand(&mut self, env: &Env<'_>, user: String) {
        for binding in env.bindings.devices_of(&user) {
            self.waiting.push_front(Target::Device { user: user.clone(), token: binding.token.clone() });
        }
        if env.bindings.of(&user).is_empty() {
            self.last_failure.get_or_insert(Failure::new(480, "Not Registered"));
        }
    }

    /// A peer known to be dead is passed over while others are left; as the last hope it is asked all the same.
    fn should_skip(&mut self, env: &mut Env<'_>, target: &Target) -> bool {
        let Some(peer) = peer_of(target) else { return false };
        let skip = !env.peers.is_up(&peer) && !self.waiting.is_empty();
        if skip {
            self.last_failure = Some(Failure::new(503, "Peer Unreachable"));
        }
        skip
    }

    fn announce_reroute(&mut self, env: &mut Env<'_>, next: &Target) {
        let Some(previous) = &self.target else { return };
        self.reroutes += 1;
        let reason = self.last_failure.as_ref().map(|f| format!("{} {}", f.status, f.reason)).unwrap_or_default();
        env.cx.event(Event::CallRerouted { call: self.id, from: previous.to_string(), to: next.to_string(), reason });
    }

    /// Sends the INVITE.
    fn ask(&mut self, env: &mut Env<'_>, tables: &mut Tables, target: &Target) -> Result<(), Failure> {
        let snapshot = self.snapshot.clone().unwrap_or_else(|| env.cx.snapshot.clone());
        let destination = destination(env, &snapshot, target)?;
        self.enter_target(env, tables, target)?;
        let (call_id, tag) = (env.cx.entropy.token(20), env.cx.tag());
        let mut leg = Leg::new(destination.hop, destination.by_target, call_id, tag);
        (leg.device, leg.route, leg.placed) = (destination.device.clone(), destination.route.clone(), env.cx.now.mono);
        let media = media::open(env, tables, self.id, Side::Callee, destination.kind);
        let mut media = media.ok_or(Failure::new(503, "No Media Port"))?;
        media.session.set_sdes(destination.sdes);
        leg.media = Some(media);
        tables.dialogs.insert((leg.call_id.clone(), leg.tag.clone()), (self.id, Side::Callee));
        let sent = self.send_invite(env, &mut leg, &destination);
        let callee = self.callee.insert(leg);
        let (id, octets) = match sent {
            Ok(sent) => sent,
            Err(failure) => {
                self.give_up_callee(env, tables);
                return Err(failure);
            }
        };
        callee.invite = Some((id, octets));
        let now = env.cx.now.mono;
        env.cx.timers.set(Wake::TargetSilent(self.id), now + destination.patience);
        env.cx.timers.set(Wake::RingEnd(self.id), now + limits::RING_MAX);
        self.pump(env, tables);
        Ok(())
    }

    /// The INVITE with the caller's offer, as this leg's session words it.
    fn send_invite(&self, env: &mut Env<'_>, leg: &mut Leg, to: &Destination) -> Result<(TransactionId, Bytes), Failure> {
        let offered = self.caller.media.as_ref().and_then(|m| m.described.clone()).unwrap_or_default();
        let session = &mut leg.media.as_mut().ok_or(Failure::new(500, "No Media"))?.session;
        let offer = session.make_offer(env.cx.now.mono, &offered);
        let offer = offer.map_err(|error| Failure::new(error.status(), "Offer Not Possible For Target"))?;
        let octets = write::invite(env.cx, self, leg, &to.uri, &to.domain, offer);
        let id = env.cx.request(to.hop, octets.clone(), Some(Owner::Call(self.id)));
        Ok((id.ok_or(Failure::new(503, "Too Many Transactions"))?, octets))
    }

    /// The target has not even answered 100. It is a failure of the peer; the call moves on if it can, else it goes on
    /// waiting for as long as the transaction does.
    pub(super) fn target_silent(&mut self, env: &mut Env<'_>, tables: &mut Tables) {
        if self.phase != Phase::Routing || self.callee.is_none() {
            return;
        }
        self.peer_failed(env, "INVITE unanswered");
        if !self.waiting.is_empty() {
            self.last_failure = Some(Failure::new(408, "No Answer From Target"));
            self.give_up_callee(env, tables);
            self.try_next(env, tables);
        }
    }

    /// Supervision counts what a call found out about its target.
    pub(super) fn peer_failed(&self, env: &mut Env<'_>, what: &str) {
        if let Some(peer) = self.target.as_ref().and_then(peer_of) {
            env.peers.passive_failure(env.cx, &peer, what);
        }
    }

    /// It has rung long enough (RFC 3261 13.3.1.1 leaves the time to the UAS; nobody waits for ever).
    pub(super) fn ring_end(&mut self, env: &mut Env<'_>, tables: &mut Tables) {
        if matches!(self.phase, Phase::Routing | Phase::Ringing) {
            self.refuse(env, tables, 480, "no-answer", Vec::new());
        }
    }

    /// A target failed: the next one, or the caller is told.
    pub(super) fn target_failed(&mut self, env: &mut Env<'_>, tables: &mut Tables, failure: Failure) {
        let moves_on = self.may_move_on(failure.status);
        self.give_up_callee(env, tables);
        env.cx.timers.stop(Wake::TargetSilent(self.id));
        self.last_failure = Some(failure);
        match moves_on {
            true => self.try_next(env, tables),
            false => self.exhausted(env, tables),
        }
    }

    /// What a living target says of the callee is final; what says that the target itself cannot do it is not. Early media that the
    /// caller hears already cannot be replaced within the same dialog.
    fn may_move_on(&self, status: u16) -> bool {
        let early = self.invite.as_ref().is_some_and(|i| i.early_answer.is_some());
        let device = matches!(self.target, Some(Target::Device { .. }));
        let failed = matches!(status, 408 | 500 | 502 | 503 | 504);
        !early && (failed || (device && matches!(status, 404 | 410 | 480)))
    }

    /// No target is left: the caller gets the last one's answer.
    fn exhausted(&mut self, env: &mut Env<'_>, tables: &mut Tables) {
        let failure = self.last_failure.take().unwrap_or(Failure::new(480, "No Target"));
        self.reject_invite(env, failure.status, Some(&failure.reason), &failure.headers);
        self.end(env, tables, ending::Cause::named(failure.status, ending::cause_of_status(failure.status)));
    }
}

impl Failure {
    pub(super) fn new(status: u16, reason: &str) -> Failure {
        Failure { status, reason: reason.into(), headers: Vec::new() }
    }
}
