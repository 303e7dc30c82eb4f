//! Responses: of a target to the INVITE, of either leg to what the call sent inside its dialog.

use crate::b2bua::abandoned::Unwanted;
use crate::b2bua::again::ServerFailure;
use crate::b2bua::call::{Call, Failure, Leg, Phase, Side};
use crate::b2bua::early::Provisional;
use crate::b2bua::ending::Cause;
use crate::b2bua::{Env, Tables, connected, write};
use crate::context::Owner;
use crate::registration_client::retry_after;
use crate::route::{Outcome, Target};
use crate::wake::Wake;
use ringfort_base::{Event, Hop, Step, Time};
use ringfort_media::description::Description;
use ringfort_media::lending::Lent;
use ringfort_sip::message::{Builder, HeaderName, Message, Method};
use ringfort_sip::transaction::TransactionId;
use std::time::Duration;

/// Header fields of a refusal that the caller needs to see as they are. Warning is passed on too, with the node's name for the agent's.
const PASSED_ON: [HeaderName; 5] = [
    HeaderName::WwwAuthenticate,
    HeaderName::ProxyAuthenticate,
    HeaderName::RetryAfter,
    HeaderName::Reason,
    HeaderName::Unsupported,
];

impl Call {
    /// A response to a request of this call.
    pub(in crate::b2bua) fn response(
        &mut self,
        env: &mut Env<'_>,
        tables: &mut Tables,
        id: TransactionId,
        hop: Hop,
        response: &Message,
    ) {
        if self.recorder_answered(env, tables, id, hop, response) {
            return;
        }
        let status = response.status().unwrap_or(500);
        if self.exchange.as_ref().is_some_and(|e| e.is_sent_by(id)) {
            return self.exchange_answered(env, tables, status, response);
        }
        if let Some(no) = self.asking.branch_of(id) {
            return match status {
                100 => self.trying(env, no),
                101..=199 => self.progressed(env, tables, no, hop, response),
                200..=299 => self.accepted(env, tables, no, hop, response),
                _ => self.declined(env, tables, no, status, response),
            };
        }
        let took = self.callee.as_ref().and_then(|c| c.invite.as_ref()).is_some_and(|(invite, _)| *invite == id);
        match took {
            true if status >= 200 => self.repeated(env, tables, hop, response),
            true => {}
            false if matches!(status, 401 | 407) && self.prove_inside(env.cx, id, response) => self.write_down(env),
            false => {
                if status >= 200 {
                    self.inside_over(id, status < 300);
                }
                let known = self.notify_over(env, tables, id, status)
                    || self.passed_answered(env, tables, id, (status, Some(response)))
                    || self.picture_answered(id, status)
                    || self.digit_answered(env, id, status)
                    || self.relay_answered(env, tables, id, response)
                    || self.refresh_answered(env, tables, id, response)
                    || self.alive_answered(env, tables, id, status);
                if !known {
                    self.repeat_ack(env, id, status);
                }
            }
        }
    }

    /// The target has the INVITE; now it has to get on with it.
    fn trying(&mut self, env: &mut Env<'_>, no: u32) {
        let patience = Duration::from_millis(env.cx.snapshot.sip.progress_timeout_ms.into());
        if let Some(branch) = self.asking.branch(no).filter(|branch| !branch.spoke) {
            branch.spoke = true;
            branch.deadline = env.cx.now.mono + patience;
        }
        self.watch_silence(env);
    }

    /// A provisional response: the caller hears of it, and of audio that it brings.
    fn progressed(&mut self, env: &mut Env<'_>, tables: &mut Tables, no: u32, hop: Hop, response: &Message) {
        let Some(branch) = self.asking.branch(no) else { return };
        (branch.spoke, branch.deadline) = (true, Time::NEVER);
        branch.leg.learn(response);
        let tag = branch.fork(hop, response).map(|fork| fork.dialog.id.remote_tag.clone());
        self.watch_silence(env);
        if !self.acknowledge_provisional(env, no, tag.as_deref(), response) {
            return;
        }
        let status = response.status().unwrap_or(180);
        let key = tag.map(|tag| (no, tag));
        if status == 199 {
            return key.map_or((), |key| self.early_over(env, &key));
        }
        self.phase = Phase::Ringing;
        self.tell_step(env, Side::Callee, Step::Ringing { status });
        let place = key.and_then(|key| {
            let mute = self.asking.branch(no).is_some_and(|branch| branch.mute);
            let sdp = sdp_of(response).map(<[u8]>::to_vec);
            if mute {
                // The caller does not hear it; but it may be the answer, which a 2xx need not repeat (RFC 6337 3.1.1).
                let fork = self.asking.branch(no).and_then(|branch| branch.fork_tagged(&key.1));
                fork.into_iter().for_each(|fork| fork.sdp = sdp.clone().or(fork.sdp.take()));
                return self.early_of(&key);
            }
            self.early_media(env, tables, &key, sdp).or_else(|| self.early_of(&key))
        });
        let who = self.told_of_branch(env.cx, no, response);
        let phrase = write::own_phrase(response.reason()).map(str::to_string);
        self.provide(env, place.unwrap_or(0), Provisional { status, phrase, who });
    }

    /// PRACK of a reliable response (RFC 3262 4). False: it is a repeat or out of its order, and must not be looked at.
    fn acknowledge_provisional(&mut self, env: &mut Env<'_>, no: u32, tag: Option<&str>, response: &Message) -> bool {
        let rseq = response.number(HeaderName::RSeq).ok().flatten().filter(|_| response.has_token(HeaderName::Require, "100rel"));
        let (Some(rseq), call) = (rseq, self.id) else { return true };
        let Some(branch) = self.asking.branch(no) else { return false };
        let Some((tag, fork)) = tag.and_then(|tag| Some((tag, branch.fork_tagged(tag)?))) else { return false };
        if fork.rseq.is_some_and(|last| Some(rseq) != last.checked_add(1)) {
            return false;
        }
        fork.rseq = Some(rseq);
        let cseq = fork.dialog.invite_cseq.unwrap_or(1);
        let Some((hop, prack)) = branch.inside(env.cx, tag, &Method::Prack) else { return false };
        let prack = prack.header(HeaderName::RAck, format_args!("{rseq} {cseq} INVITE"));
        branch.leg.send_inside(env.cx, hop, prack.build(), Owner::Call(call));
        true
    }

    /// Audio before the answer: the caller hears the dialog that brought it last. The place of its early dialog; `None` when there is nothing
    /// new in it. A body that cannot be used is left aside: the final response decides (RFC 3261 13.2.1).
    fn early_media(
        &mut self,
        env: &mut Env<'_>,
        tables: &mut Tables,
        key: &(u32, String),
        sdp: Option<Vec<u8>>,
    ) -> Option<usize> {
        let sdp = sdp?;
        let told = self.early_of(key).and_then(|place| self.asking.earlies.get(place)).is_some_and(|early| early.exchanged);
        let fork = self.asking.branch(key.0)?.fork_tagged(&key.1)?;
        if fork.sdp.as_ref() == Some(&sdp) {
            return None;
        }
        let described = self.take_branch_answer(env, key.0, &sdp).ok()?;
        self.asking.branch(key.0)?.fork_tagged(&key.1)?.sdp = Some(sdp);
        let place = if !told && self.takes_early_sdp() {
            let lent = self.lent_by_branch(key.0);
            let body = self.sdp_for_caller(env.cx.now.mono, &described, lent).ok()?;
            let place = self.claim(env, tables, key.clone());
            self.asking.earlies.get_mut(place)?.sdp = Some(body);
            Some(place)
        } else {
            self.early_of(key)
        };
        self.asking.heard = Some(key.0);
        self.replan(env);
        self.pump(env, tables);
        place
    }

    fn lent_by_branch(&mut self, no: u32) -> Lent {
        let media = self.asking.branch(no).and_then(|branch| branch.leg.media.as_ref());
        media.map(|media| media.session.lends()).unwrap_or_default()
    }

    fn take_branch_answer(&mut self, env: &Env<'_>, no: u32, sdp: &[u8]) -> Result<Description, &'static str> {
        let media = self.asking.branch(no).and_then(|branch| branch.leg.media.as_mut()).ok_or("no-media")?;
        let described = media.session.receive_answer(env.cx.now.mono, sdp).map_err(|_| "bad-sdp-in-answer")?;
        Ok(media.described.insert(described).clone())
    }

    /// A target took the call; nobody else gets it.
    fn accepted(&mut self, env: &mut Env<'_>, tables: &mut Tables, no: u32, hop: Hop, response: &Message) {
        let tag = response.to().ok().and_then(|to| to.tag().map(str::to_string)).unwrap_or_default();
        self.asking.branch(no).into_iter().for_each(|branch| branch.leg.learn(response));
        let described = self.final_description(env, no, &tag, sdp_of(response));
        let Some(mut branch) = self.asking.take(no) else { return };
        env.cx.timers.stop(Wake::TargetSilent(self.id));
        env.cx.timers.stop(Wake::RingEnd(self.id));
        self.asking.completed_elsewhere(env, tables);
        branch.leg.dialog = branch.confirmed(hop, response);
        self.target = Some(branch.target);
        let callee = self.callee.insert(branch.leg);
        if !callee.is_confirmed() {
            // What it answered founds no dialog (RFC 3261 12.1.2), so it can neither be acknowledged nor released.
            return self.end(env, tables, Cause::named(502, "bad-dialog"));
        }
        callee.proving.granted();
        self.hears_who(env.cx, Side::Callee, response);
        let Some(callee) = &mut self.callee else { return };
        callee.acknowledge(env.cx);
        self.session_granted(env, Side::Callee, response);
        match described {
            Ok(described) => self.tell_answer(env, tables, (no, tag), &described),
            Err(cause) => self.end(env, tables, Cause::named(502, cause)),
        }
    }

    /// What the target that took the call says of its audio: in the answer itself, or before it in the same dialog. Early media may have come
    /// from elsewhere: another branch of a fork, a tone server (RFC 3261 13.2.1).
    fn final_description(&mut self, env: &Env<'_>, no: u32, tag: &str, sdp: Option<&[u8]>) -> Result<Description, &'static str> {
        let branch = self.asking.branch(no).ok_or("no-media")?;
        let known = branch.fork_tagged(tag).and_then(|fork| fork.sdp.clone());
        let early = known.or_else(|| branch.forks.iter().rev().find_map(|fork| fork.sdp.clone()));
        let last = match sdp {
            Some(sdp) => self.take_branch_answer(env, no, sdp),
            None => Err("no-sdp-in-answer"),
        };
        last.or_else(|cause| early.ok_or(cause).and_then(|early| self.take_branch_answer(env, no, &early)))
    }

    /// The caller's answer, unless a reliable response bore it already; after the PRACK that it has to wait for (RFC 3262 3).
    pub(in crate::b2bua) fn tell_answer(
        &mut self,
        env: &mut Env<'_>,
        tables: &mut Tables,
        key: (u32, String),
        described: &Description,
    ) {
        let place = self.claim(env, tables, key);
        let exchanged = self.asking.earlies.get(place).is_some_and(|early| early.exchanged);
        let callee = self.callee.as_ref().and_then(|callee| callee.media.as_ref());
        // What the caller has acknowledged already stays.
        let lent = callee.filter(|_| !exchanged).map(|media| media.session.lends()).unwrap_or_default();
        let body = match exchanged && self.asking.delayed {
            true => None,
            false => match self.sdp_for_caller(env.cx.now.mono, described, lent) {
                Ok(body) => Some(body).filter(|_| !exchanged),
                Err(cause) => return self.end(env, tables, Cause::named(502, cause)),
            },
        };
        match self.awaits_prack() {
            true => self.asking.held = Some((place, body)),
            false => self.connect(env, tables, place, body),
        }
    }

    /// The caller gets its answer, in this of its early dialogs; both legs stand.
    pub(in crate::b2bua) fn connect(&mut self, env: &mut Env<'_>, tables: &mut Tables, place: usize, answer: Option<Vec<u8>>) {
        let Some(invite) = self.invite.take() else { return };
        let asking = std::mem::take(&mut self.asking);
        let renamed = asking.renamed;
        for (other, early) in asking.earlies.into_iter().enumerate() {
            let mut dialog = early.dialog;
            if other == place {
                dialog.confirm();
                self.caller.tag = dialog.id.local_tag.clone();
                self.caller.dialog = Some(dialog);
            } else {
                tables.dialogs.remove(&(dialog.id.call_id, dialog.id.local_tag));
            }
        }
        self.offered = asking.delayed && answer.is_some();
        env.cx.timers.stop(Wake::Reliable(self.id));
        tables.loops.over(self.id);
        let contact = write::contact(env.cx, &self.caller.hop);
        self.caller.learn(&invite.message);
        if let (Some(media), Some(offer)) = (&mut self.caller.media, sdp_of(&invite.message)) {
            media.remember(offer);
        }
        let reply = Builder::reply(&invite.message, 200, None, Some(&self.caller.tag))
            .copy(&invite.message, HeaderName::RecordRoute)
            .header(HeaderName::Contact, contact)
            .header(HeaderName::Allow, crate::ALLOW)
            .header(HeaderName::Supported, crate::SUPPORTED);
        let reply = write::with_trickle(reply, &self.caller);
        let reply = connected::with(reply, &self.told_of_other(env.cx, Side::Caller));
        let reply = self.grant_session(env, Side::Caller, &invite.message, reply);
        let octets = match answer {
            Some(answer) => reply.body("application/sdp", answer).build(),
            None => reply.build(),
        };
        env.cx.respond(invite.id, octets);
        self.phase = Phase::Connected;
        self.leave_others(env, tables);
        self.answered = Some(env.cx.now.wall);
        env.cx.totals.calls_answered += 1;
        env.cx.event(Event::CallAnswered { call: self.id, target: self.target_name() });
        self.close_idle_asides(env, tables);
        self.replan(env);
        self.pump(env, tables);
        self.ask_later(env);
        self.write_down(env);
        if renamed {
            self.tell_who(env, Side::Callee);
        }
    }

    /// The target refused. Its transaction is over, so nothing is left to cancel.
    fn declined(&mut self, env: &mut Env<'_>, tables: &mut Tables, no: u32, status: u16, response: &Message) {
        if status == 422 && self.ask_for_longer(env, tables, no, response) {
            return;
        }
        if matches!(status, 401 | 407) && self.prove(env, tables, no, response) {
            return;
        }
        // RFC 3261 21.5.4; other refusals show that it lives.
        let unable = ServerFailure { what: "INVITE answered 503", again: retry_after(response), silent: false };
        if status == 503 && self.server_failed(env, tables, no, unable) {
            return;
        }
        let Some(mut branch) = self.asking.take(no) else { return };
        branch.leg.invite = None;
        let keys: Vec<_> = branch.forks.iter().map(|fork| (no, fork.dialog.id.remote_tag.clone())).collect();
        let wanted = branch.wanted();
        let target = wanted.target.clone();
        branch.give_up(env, tables, None);
        if !self.asking.branches.is_empty() {
            keys.iter().for_each(|key| self.early_over(env, key));
        }
        if (300..400).contains(&status) {
            return self.redirected(env, tables, &wanted, response);
        }
        let failure = refusal(env, &target, status, response);
        self.target_failed(env, tables, failure);
    }

    /// A request of this call has no final response and will have none.
    pub(in crate::b2bua) fn request_failed(&mut self, env: &mut Env<'_>, tables: &mut Tables, id: TransactionId, what: &str) {
        if self.recorder_failed(env, tables, id) {
            return;
        }
        if self.exchange.as_ref().is_some_and(|e| e.is_sent_by(id)) {
            // RFC 3261 14.1: a re-INVITE that meets no answer ends the dialog.
            return self.end(env, tables, Cause::named(408, "peer-gone"));
        }
        self.inside_over(id, false);
        if self.notify_over(env, tables, id, 408)
            || self.passed_answered(env, tables, id, (408, None))
            || self.picture_answered(id, 408)
            || self.digit_answered(env, id, 408)
            || self.relay_failed(env, id)
            || self.refresh_failed(env, tables, id)
            || self.alive_failed(env, tables, id)
        {
            return;
        }
        let Some(no) = self.asking.branch_of(id) else { return };
        if self.server_failed(env, tables, no, ServerFailure { what, again: None, silent: false }) {
            return;
        }
        let Some(mut branch) = self.asking.take(no) else { return };
        branch.leg.invite = None;
        let target = branch.target.clone();
        branch.give_up(env, tables, None);
        self.target_failed(env, tables, Failure { of_device: is_device(&target), ..Failure::new(408, what) });
    }

    /// A 2xx seen before is acknowledged again; one of another fork is acknowledged and released.
    fn repeated(&mut self, env: &mut Env<'_>, tables: &mut Tables, hop: Hop, response: &Message) {
        let Some(callee) = &self.callee else { return };
        let Some((_, ack_hop, ack)) = &callee.ack else { return };
        let tag = response.to().ok().and_then(|to| to.tag().map(str::to_string)).unwrap_or_default();
        if callee.dialog.as_ref().is_some_and(|d| d.id.remote_tag == tag) {
            env.cx.send(*ack_hop, ack.clone());
        } else if let Some((_, invite)) = callee.invite.clone() {
            let other = Unwanted { hop, invite, proving: callee.proving.clone() };
            tables.abandoned.acknowledge_and_release(env.cx, other, response);
        }
    }

    /// A 2xx to a re-INVITE is repeated when its ACK was lost.
    fn repeat_ack(&mut self, env: &mut Env<'_>, id: TransactionId, status: u16) {
        for side in [Side::Caller, Side::Callee] {
            if let Some((acked, hop, ack)) = self.leg(side).and_then(|l| l.ack.clone())
                && acked == id
                && (200..300).contains(&status)
            {
                env.cx.send(hop, ack);
            }
        }
    }
}

impl Leg {
    /// Sends and remembers the ACK of this leg's 2xx to the first INVITE.
    fn acknowledge(&mut self, cx: &mut crate::context::Context) {
        let Some((id, _)) = &self.invite else { return };
        self.acknowledge_transaction(cx, *id, None);
    }

    /// Sends and remembers the ACK of the 2xx to the INVITE of this transaction, with the answer that it owes, if any.
    pub(in crate::b2bua) fn acknowledge_transaction(
        &mut self,
        cx: &mut crate::context::Context,
        id: TransactionId,
        answer: Option<Vec<u8>>,
    ) {
        let hop = self.next_hop();
        let Some(dialog) = &mut self.dialog else { return };
        let Some(ack) = write::ack(cx, dialog) else { return };
        let ack = self.proving.acknowledging(ack);
        let ack = answer.into_iter().fold(ack, |ack, sdp| ack.body("application/sdp", sdp)).build();
        self.ack = Some((id, hop, ack.clone()));
        cx.send(hop, ack);
    }
}

pub(in crate::b2bua) fn is_device(target: &Target) -> bool {
    matches!(target, Target::Device { .. })
}

/// What the caller may be told of a target's refusal.
pub(crate) fn refusal(env: &Env<'_>, target: &Target, status: u16, response: &Message) -> Failure {
    // A challenge is passed on only from the cloud: its realm knows the caller, a carrier's does not.
    let pass = |name: &HeaderName| {
        let challenge = matches!(name, HeaderName::WwwAuthenticate | HeaderName::ProxyAuthenticate);
        !challenge || matches!(target, Target::Cloud { .. })
    };
    let headers = PASSED_ON.iter().filter(|n| pass(n));
    let own = |name: HeaderName, value: &str| match name {
        HeaderName::Reason | HeaderName::RetryAfter => write::own_value(value),
        _ => Some(value.to_string()),
    };
    let headers = headers.flat_map(|n| response.headers(*n).filter_map(move |v| Some((*n, own(*n, v)?))));
    let warnings = response.values(HeaderName::Warning).filter_map(|value| write::own_warning(env.cx, value));
    let headers = headers.chain(warnings.map(|value| (HeaderName::Warning, value))).collect();
    let (told, phrase) = match status {
        // A challenge that the caller cannot answer is the target's failure, and the next one may do better.
        401 | 407 if !pass(&HeaderName::WwwAuthenticate) => (502, None),
        // The session is the node's own; what it asked for is none of the caller's business.
        422 => (500, None),
        _ => (status, write::own_phrase(response.reason())),
    };
    let reason = phrase.unwrap_or_else(|| ringfort_sip::status::reason(told)).to_string();
    Failure { headers, of_device: is_device(target), outcome: Outcome::Status(told), ..Failure::new(told, &reason) }
}

/// The body, if it is SDP.
pub(in crate::b2bua) fn sdp_of(message: &Message) -> Option<&[u8]> {
    message.session_description()
}
