//! A call ends: every transaction and dialog is released, the ports are closed, and when the relay has said its last word about
//! them the one record is written.

use crate::b2bua::call::{Call, Leg, Phase, Side};
use crate::b2bua::proof::Bye;
use crate::b2bua::{Env, Tables, media};
use crate::route::NoRoute;
use crate::wake::Wake;
use ringfort_base::event::CallRecord;
use ringfort_base::{CallId, Event, limits};
use ringfort_media::quality::diagnosis::Watch;
use ringfort_sip::message::{Builder, HeaderName, Method};
use ringfort_sip::transaction::TransactionId;
use std::time::Duration;

/// The relay closes ports in microseconds; a record does not wait longer than this for its counters.
const COUNTERS_PATIENCE: Duration = Duration::from_secs(1);

/// Why a call ends.
#[derive(Clone, Debug)]
pub(crate) struct Cause {
    /// What an unanswered caller is told.
    pub status: u16,
    /// Stable name for the record.
    pub name: String,
    /// The peer of this side has released its dialog itself.
    pub released_by: Option<Side>,
    /// Reason (RFC 3326) of the BYE to the other side, and of the CANCEL to those who ring.
    pub reason: Option<String>,
}

impl Cause {
    /// A normal end by one side.
    pub fn normal(side: Side) -> Cause {
        Cause { status: 487, name: "normal".into(), released_by: Some(side), reason: None }
    }

    /// Named by the node.
    pub fn named(status: u16, name: &str) -> Cause {
        Cause { status, name: name.into(), released_by: None, reason: None }
    }

    /// A leg's media failed.
    pub fn media(name: &str) -> Cause {
        Cause::named(500, name)
    }
}

/// Stable name of what a target's final status means.
pub(in crate::b2bua) fn cause_of_status(status: u16) -> &'static str {
    match status {
        200..=299 => "normal",
        401 | 407 => "challenged",
        403 => "forbidden",
        404 | 410 | 484 | 604 => "unknown-number",
        408 => "no-answer",
        480 => "unavailable",
        486 | 600 => "busy",
        487 => "cancelled",
        488 | 606 => "incompatible",
        500..=599 => "target-failed",
        603 => "declined",
        _ => "refused",
    }
}

impl Call {
    /// Ends an unanswered call with this final response to the caller.
    pub(in crate::b2bua) fn refuse(
        &mut self,
        env: &mut Env<'_>,
        tables: &mut Tables,
        status: u16,
        cause: &str,
        headers: Vec<(HeaderName, String)>,
    ) {
        self.reject_invite(env, status, None, &headers);
        self.end(env, tables, Cause::named(status, cause));
    }

    /// Ends a call that the evaluator refuses.
    pub(in crate::b2bua) fn refuse_by_route(&mut self, env: &mut Env<'_>, tables: &mut Tables, refusal: &NoRoute) {
        let reason = match refusal {
            NoRoute::Denied { reason, .. } => Some(reason.as_str()).filter(|reason| !reason.is_empty()),
            _ => None,
        };
        self.reject_invite(env, refusal.status(), reason, &[]);
        self.end(env, tables, Cause::named(refusal.status(), refusal.cause()));
    }

    /// Final response to the caller's INVITE, if it still waits for one.
    pub(in crate::b2bua) fn reject_invite(
        &mut self,
        env: &mut Env<'_>,
        status: u16,
        reason: Option<&str>,
        headers: &[(HeaderName, String)],
    ) {
        if let Some(invite) = self.invite.take() {
            let reply = Builder::reply(&invite.message, status, reason, Some(&self.caller.tag));
            let octets = headers.iter().fold(reply, |b, (name, value)| b.header(*name, value)).build();
            env.cx.respond(invite.id, octets);
        }
    }

    /// Ends the call whatever its phase: answers what waits, cancels what was asked, BYEs what stands.
    pub(in crate::b2bua) fn end(&mut self, env: &mut Env<'_>, tables: &mut Tables, cause: Cause) {
        if matches!(self.phase, Phase::Ending | Phase::Over) {
            return;
        }
        let answered = self.answered.is_some();
        self.reject_invite(env, cause.status, None, &[]);
        self.withdraw_exchange(env, tables);
        self.reject_exchange(env, 487);
        self.answer_waiting(env);
        self.phase = Phase::Ending;
        self.end_recording(env, tables);
        if let Some(target) = self.transfer.as_mut().and_then(|transfer| transfer.target.take()) {
            tables.deferred.push(crate::b2bua::transfer::Deferred::GiveUp(target));
        }
        self.leave(tables);
        self.count_transcoding(env, false);
        self.asking.give_up_all(env, tables, cause.reason.as_deref());
        for side in [Side::Caller, Side::Callee] {
            let by_peer = cause.released_by == Some(side);
            let unacknowledged = self.invites.iter().find(|awaited| awaited.side == side).map(|awaited| awaited.id);
            if let Some(leg) = self.leg(side) {
                leg.release(env, tables, by_peer, unacknowledged, cause.reason.as_deref());
            }
        }
        let status = if answered { 200 } else { cause.status };
        self.outcome = Some((status, cause.name, env.cx.now.wall));
        for wake in [
            Wake::TargetSilent(self.id),
            Wake::RingEnd(self.id),
            Wake::Reliable(self.id),
            Wake::KeysAgain(self.id),
            Wake::AskAlive(self.id),
            Wake::Session(self.id, Side::Caller),
            Wake::Session(self.id, Side::Callee),
            Wake::IceRestart(self.id, Side::Caller),
            Wake::IceRestart(self.id, Side::Callee),
            Wake::Media(self.id, Side::Caller),
            Wake::Media(self.id, Side::Callee),
        ] {
            env.cx.timers.stop(wake);
        }
        if answered {
            env.cx.persist(key(self.id), None);
        }
        env.cx.timers.set(Wake::RecordOverdue(self.id), env.cx.now.mono + COUNTERS_PATIENCE);
        self.record_when_closed(env, tables);
    }

    /// Writes the record once every port is closed.
    pub(in crate::b2bua) fn record_when_closed(&mut self, env: &mut Env<'_>, tables: &mut Tables) {
        let open = [Some(&self.caller), self.callee.as_ref()].into_iter().flatten();
        let open = open.filter_map(|leg| leg.media.as_ref()).any(|m| !m.closed);
        if self.phase == Phase::Ending && !open {
            self.record_overdue(env, tables);
        }
    }

    /// Writes the record now.
    pub(in crate::b2bua) fn record_overdue(&mut self, env: &mut Env<'_>, tables: &mut Tables) {
        let Some((status, cause, ended)) = self.outcome.take() else { return };
        env.cx.timers.stop(Wake::RecordOverdue(self.id));
        let packets = |leg: Option<&Leg>| leg.and_then(|l| l.media.as_ref()).map_or(0, |m| m.heard());
        let left = self.left;
        let record = CallRecord {
            call: self.id,
            from: self.asked.from.clone().into(),
            to: self.asked.number.clone().into(),
            route: self.asked.rule.clone(),
            mode: self.asked.mode,
            source: self.asked.source.to_string(),
            started: self.started,
            answered: self.answered,
            ended,
            status,
            cause,
            reroutes: self.reroutes,
            packets: [packets(Some(&self.caller)) + left[0], packets(self.callee.as_ref()) + left[1]],
            quality: Box::new(self.quality()),
            missing: Box::new(self.missing(Watch::worst)),
            recordings: self.recordings(),
        };
        if self.answered.is_none() {
            env.cx.totals.calls_failed += 1;
        }
        if tables.recent.len() >= limits::RECENT_CALLS_MAX {
            tables.recent.pop_front();
        }
        tables.recent.push_back(record.clone());
        env.cx.event(Event::CallEnded(record));
        self.phase = Phase::Over;
    }
}

/// Journal key of a call.
pub(in crate::b2bua) fn key(id: CallId) -> String {
    format!("call/{:x}", id.0)
}

impl Leg {
    /// BYE to a dialog that stands, as soon as our 2xx is acknowledged; CANCEL to an INVITE that is unanswered; and the port closed.
    pub(in crate::b2bua) fn release(
        &mut self,
        env: &mut Env<'_>,
        tables: &mut Tables,
        by_peer: bool,
        unacknowledged: Option<TransactionId>,
        reason: Option<&str>,
    ) {
        let unwanted = self.unwanted();
        if let Some((id, invite)) = unwanted.clone().filter(|_| self.ack.is_none()) {
            self.invite = None;
            tables.abandoned.give_up(env.cx, id, invite, None);
        } else if !by_peer && self.is_confirmed() {
            let hop = self.next_hop();
            if let Some(octets) = self.inside(env.cx, &Method::Bye) {
                let octets = octets.header_if(HeaderName::Reason, reason).build();
                let bye = Bye { hop, octets, proving: std::mem::take(&mut self.proving) };
                match unacknowledged {
                    Some(invite) => tables.farewells.wait(env.cx, invite, (self.call_id.clone(), self.tag.clone()), bye),
                    None => tables.abandoned.byes.say(env.cx, bye),
                }
            }
        }
        if let (Some((id, invite)), Some((of, hop, ack)), Some(dialog)) = (unwanted, &self.ack, &self.dialog) {
            let ack = Some((*hop, ack.clone())).filter(|_| *of == id);
            tables.abandoned.outlive(env.cx, id, invite, &dialog.id.remote_tag, ack);
        }
        if let Some(media) = &self.media {
            media::close(env, tables, media);
        }
    }
}
