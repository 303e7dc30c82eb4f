//! One stage after another, until a target takes the call; the targets of a stage ring together. A target that says nothing is given up
//! in time for the next stage: the very INVITE that meets a dead cloud is rerouted, not lost.

use crate::b2bua::again::ServerFailure;
use crate::b2bua::branch::Branch;
use crate::b2bua::call::{Call, Failure, Leg, Phase, Side};
use crate::b2bua::connected::Connected;
use crate::b2bua::destination::{destination, peer_of};
use crate::b2bua::media::At;
use crate::b2bua::proof::Proving;
use crate::b2bua::write::Outgoing;
use crate::b2bua::{Env, Tables, ending, media, outcome, write};
use crate::context::Owner;
use crate::route::{Diversion, Outcome, Source, Target};
use crate::wake::Wake;
use bytes::Bytes;
use ringfort_base::{Event, Hop, Time, limits};
use ringfort_media::description::Description;
use ringfort_sip::transaction::TransactionId;
use std::time::Duration;

/// A target that is to be asked.
pub(crate) struct Wanted {
    pub target: Target,
    /// Forwards that led to it.
    pub diversions: Vec<Diversion>,
    /// Its share of the branches that may be alive at once.
    pub breadth: u32,
}

/// The server of a branch let its time pass.
const SILENT: ServerFailure<'static> = ServerFailure { what: "INVITE unanswered", again: None, silent: true };

impl Call {
    /// Tries stages until one has been asked or none is left.
    pub(in crate::b2bua) fn try_next(&mut self, env: &mut Env<'_>, tables: &mut Tables) {
        while let Some(targets) = self.next_targets() {
            if self.start(env, tables, targets) {
                return;
            }
        }
        self.exhausted(env, tables);
    }

    /// What of this stage has not rung yet, or the next stage.
    fn next_targets(&mut self) -> Option<Vec<Target>> {
        if !self.asking.rest.is_empty() {
            return Some(std::mem::take(&mut self.asking.rest));
        }
        self.asking.place = Some(self.asking.next_place()?);
        self.asking.stage().map(|stage| stage.targets.clone())
    }

    /// Asks all these targets at once. False: none could be asked.
    fn start(&mut self, env: &mut Env<'_>, tables: &mut Tables, targets: Vec<Target>) -> bool {
        let ring = self.asking.stage().and_then(|stage| stage.ring_s).map(|s| Duration::from_secs(s.into()));
        let mut targets = self.concrete(env, targets);
        let preference = |target: &Target| match target {
            Target::Device { token, .. } => env.bindings.by_token(token).and_then(|binding| binding.q_per_mille).unwrap_or(1_000),
            _ => 1_000,
        };
        // RFC 3261 16.6: those of one preference at once, those of a lower one afterwards.
        targets.sort_by_key(|target| std::cmp::Reverse(preference(target)));
        let Some(first) = targets.first().cloned() else { return false };
        let best = preference(&first);
        let preferred = targets.iter().take_while(|target| preference(target) == best).count();
        self.announce_reroute(env, &first);
        self.target = Some(first);
        let service = targets.iter().find_map(|target| match target {
            Target::Service(service) => Some(service.clone()),
            _ => None,
        });
        if let Some(service) = service {
            return self.answer_by_service(env, tables, &service).map_err(|failure| self.asking.last = Some(failure)).is_ok();
        }
        // RFC 5393 5.3.3: what may not ring at once rings afterwards.
        let at_once = limits::BRANCHES_MAX.min(self.asking.breadth as usize).min(preferred).max(1);
        if targets.len() > at_once {
            self.asking.rest = targets.split_off(at_once);
        }
        let breadth = self.asking.breadth / targets.len().max(1) as u32;
        for target in targets {
            let diversions = self.asking.diversions(&target);
            if let Err(failure) = self.ask(env, tables, Wanted { target, diversions, breadth }) {
                self.asking.failures.push(failure);
            }
        }
        if self.asking.branches.is_empty() {
            self.close_stage();
            return false;
        }
        let ring = ring.map_or(limits::RING_MAX, |ring| ring.min(limits::RING_MAX));
        let turn = Duration::from_secs(env.cx.snapshot.sip.serial_ring_s.into());
        let ring = if self.asking.rest.is_empty() { ring } else { ring.min(turn) };
        env.cx.timers.set(Wake::RingEnd(self.id), env.cx.now.mono + ring);
        self.watch_silence(env);
        self.pump(env, tables);
        true
    }

    /// Targets as they can be asked: an extension is its devices, and a peer known to be dead is passed over while others are left; as the
    /// last hope it is asked all the same.
    pub(in crate::b2bua) fn concrete(&mut self, env: &Env<'_>, targets: Vec<Target>) -> Vec<Target> {
        let mut concrete = Vec::new();
        for target in targets {
            match target {
                Target::Extension(user) => {
                    let devices = env.bindings.devices_of(&user);
                    if devices.is_empty() {
                        let last = self.asking.last.get_or_insert(Failure::new(480, "Not Registered"));
                        last.outcome = Outcome::Unreachable;
                    }
                    let device = |token: &String| Target::Device { user: user.clone(), token: token.clone() };
                    concrete.extend(devices.iter().rev().map(|binding| device(&binding.token)));
                }
                target => concrete.push(target),
            }
        }
        let is_dead = |target: &Target| peer_of(target).is_some_and(|peer| !env.peers.is_up(&peer));
        let others = self.asking.has_substitute() || concrete.iter().any(|target| !is_dead(target));
        if others && concrete.iter().any(is_dead) {
            concrete.retain(|target| !is_dead(target));
            if concrete.is_empty() {
                self.asking.last = Some(Failure::new(503, "Peer Unreachable"));
            }
        }
        concrete
    }

    fn announce_reroute(&mut self, env: &mut Env<'_>, next: &Target) {
        let Some(previous) = &self.target else { return };
        self.reroutes += 1;
        let reason = self.asking.last.as_ref().map(|f| format!("{} {}", f.status, f.reason)).unwrap_or_default();
        env.cx.event(Event::CallRerouted { call: self.id, from: previous.to_string(), to: next.to_string(), reason });
    }

    /// Sends the INVITE.
    pub(in crate::b2bua) fn ask(&mut self, env: &mut Env<'_>, tables: &mut Tables, wanted: Wanted) -> Result<(), Failure> {
        let Wanted { target, diversions, breadth } = wanted;
        let of_device = matches!(target, Target::Device { .. });
        let device = |failure: Failure| Failure { of_device, ..failure };
        let snapshot = self.snapshot.clone().unwrap_or_else(|| env.cx.snapshot.clone());
        let destination = destination(env, &snapshot, &target).map_err(device)?;
        self.enter_target(env, tables, &target, &destination.hop)?;
        let (call_id, tag) = (env.cx.entropy.token(20), env.cx.tag());
        let mut leg = Leg::new(destination.hop, destination.by_target, call_id, tag);
        (leg.device, leg.route, leg.placed) = (destination.device.clone(), destination.route.clone(), env.cx.now.mono);
        if let Target::Trunk { name, .. } = &target {
            leg.proving = Proving::of(&Source::Trunk(name.clone()));
        }
        let media = media::open(env, tables, self.id, destination.kind, At { hop: &destination.hop, audio: None });
        let mut media = media.ok_or(Failure::new(503, "No Media Port"))?;
        media.session.set_policy(self.policy_within(env, destination.policy.clone()));
        if let Some(described) = self.caller.media.as_ref().and_then(|caller| caller.described.as_ref()) {
            media::open_aside(env, tables, self.id, &mut media, described);
        }
        leg.media = Some(media);
        leg.connected = Connected::of_target(&snapshot, &target);
        tables.dialogs.insert((leg.call_id.clone(), leg.tag.clone()), (self.id, Side::Callee));
        let via = env.cx.branch();
        tables.loops.sent(self.id, &via);
        let out = Outgoing { target: &target, to: &destination, diversions: &diversions, branch: &via, breadth };
        let sent = self.send_invite(env, &mut leg, &out);
        let patience = self.asking.stage().and_then(|stage| stage.patience_ms).map(|ms| Duration::from_millis(ms.into()));
        let patience = patience.unwrap_or(destination.patience);
        let tried = vec![destination.hop];
        // Time for another server of the peer, before another target has its turn.
        let others = peer_of(&target).and_then(|peer| env.peers.find(&peer)?.next_server(&tried)).is_some();
        let (now, share) = (env.cx.now.mono, if others { patience / 2 } else { patience });
        let (deadline, until) = (now + share, now + patience);
        let no = self.asking.number();
        let (forks, spoke, longer, mute) = (Vec::new(), false, false, destination.habits.mute);
        let mut branch = Branch { no, target, leg, forks, spoke, mute, longer, diversions, breadth, deadline, tried, until };
        match sent {
            Ok(sent) => branch.leg.invite = Some(sent),
            Err(failure) => {
                branch.give_up(env, tables, None);
                return Err(device(failure));
            }
        }
        self.asking.branches.push(branch);
        Ok(())
    }

    /// The INVITE with the caller's offer, as this leg's session words it; with the node's own where the caller made none.
    fn send_invite(&self, env: &mut Env<'_>, leg: &mut Leg, out: &Outgoing<'_>) -> Result<(TransactionId, Bytes), Failure> {
        let offered = self.caller.media.as_ref().and_then(|m| m.described.clone()).unwrap_or_else(Description::g711);
        let session = &mut leg.media.as_mut().ok_or(Failure::new(500, "No Media"))?.session;
        session.borrow(self.caller.media.as_ref().map(|caller| caller.session.lends()).unwrap_or_default());
        let offer = session.make_offer(env.cx.now.mono, &offered);
        let offer = offer.map_err(|error| Failure::new(error.status(), "Offer Not Possible For Target"))?;
        let octets = write::invite(env.cx, self, leg, out, offer);
        let id = env.cx.request(out.to.hop, octets.clone(), Some(Owner::Call(self.id)));
        Ok((id.ok_or(Failure::new(503, "Too Many Transactions"))?, octets))
    }

    /// The next moment at which a branch's silence is too long.
    pub(in crate::b2bua) fn watch_silence(&self, env: &mut Env<'_>) {
        let next = self.asking.branches.iter().map(|branch| branch.deadline).min().unwrap_or(Time::NEVER);
        match next {
            Time::NEVER => env.cx.timers.stop(Wake::TargetSilent(self.id)),
            next => env.cx.timers.set(Wake::TargetSilent(self.id), next),
        }
    }

    /// Targets have not even answered 100, or nothing behind it. Those that say nothing at all are failures of their peers. The call moves on
    /// if it can, else it goes on waiting for as long as the transaction does.
    pub(in crate::b2bua) fn target_silent(&mut self, env: &mut Env<'_>, tables: &mut Tables) {
        let now = env.cx.now.mono;
        let due: Vec<u32> = self.asking.branches.iter().filter(|branch| branch.deadline <= now).map(|branch| branch.no).collect();
        for no in due {
            let Some(branch) = self.asking.branch(no) else { continue };
            branch.deadline = Time::NEVER;
            if !branch.spoke && self.server_failed(env, tables, no, SILENT) {
                continue;
            }
            if self.asking.has_substitute()
                && let Some(branch) = self.asking.take(no)
            {
                branch.give_up(env, tables, None);
                self.asking.failures.push(Failure::new(408, "No Answer From Target"));
            }
        }
        self.after_failure(env, tables);
    }

    /// It has rung long enough (RFC 3261 13.3.1.1 leaves the time to the UAS; nobody waits for ever).
    pub(in crate::b2bua) fn ring_end(&mut self, env: &mut Env<'_>, tables: &mut Tables) {
        if !matches!(self.phase, Phase::Routing | Phase::Ringing) || self.callee.is_some() {
            return;
        }
        self.asking.give_up_all(env, tables, None);
        self.asking.failures.clear();
        let failure = Failure::rang_out();
        let others = !self.asking.rest.is_empty();
        let goes_on = others || self.asking.place.is_some_and(|place| failure.leads_to(&self.asking.plan, place).is_some());
        self.asking.last = Some(failure);
        match goes_on {
            true => self.try_next(env, tables),
            false => self.refuse(env, tables, 480, "no-answer", Vec::new()),
        }
    }

    /// A target failed. 6xx speaks for the callee wherever it rings, and ends the stage (RFC 3261 16.7 step 5).
    pub(in crate::b2bua) fn target_failed(&mut self, env: &mut Env<'_>, tables: &mut Tables, failure: Failure) {
        if failure.status >= 600 {
            self.asking.rest.clear();
            self.asking.give_up_all(env, tables, None);
        }
        self.asking.failures.push(failure);
        self.after_failure(env, tables);
    }

    /// The next stage when nobody is left in this one.
    pub(in crate::b2bua) fn after_failure(&mut self, env: &mut Env<'_>, tables: &mut Tables) {
        if self.asking.branches.is_empty() && self.invite.is_some() && self.callee.is_none() {
            self.close_stage();
            self.try_next(env, tables);
        }
        self.watch_silence(env);
    }

    fn close_stage(&mut self) {
        let failures = std::mem::take(&mut self.asking.failures);
        self.asking.last = outcome::best(failures).or(self.asking.last.take());
    }

    /// No target is left: the caller gets the last stage's answer.
    fn exhausted(&mut self, env: &mut Env<'_>, tables: &mut Tables) {
        let failure = self.asking.last.take().unwrap_or(Failure::new(480, "No Target"));
        self.reject_invite(env, failure.status, Some(&failure.reason), &failure.headers);
        self.end(env, tables, ending::Cause::named(failure.status, ending::cause_of_status(failure.status)));
    }
}

/// Supervision counts what a call found out about its target.
pub(in crate::b2bua) fn peer_failed(env: &mut Env<'_>, target: &Target, hop: Hop, failure: &ServerFailure<'_>) {
    if let Some(peer) = peer_of(target) {
        env.peers.server_failed(env.cx, &peer, hop, failure.again, failure.what);
    }
}
