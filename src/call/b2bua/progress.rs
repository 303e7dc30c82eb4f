//! Responses: of a target to the INVITE, of either leg to what the call sent inside its dialog.

use super::call::{Call, Failure, Leg, Phase, Side};
use super::ending::Cause;
use super::{Env, Tables, abandoned, write};
use crate::wake::Wake;
use ringfort_base::{Event, Hop};
use ringfort_media::description::Description;
use ringfort_sip::dialog::Dialog;
use ringfort_sip::message::{Builder, HeaderName, Message};
use ringfort_sip::transaction::TransactionId;

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
    pub(super) fn response(&mut self, env: &mut Env<'_>, tables: &mut Tables, id: TransactionId, hop: Hop, response: &Message) {
        let status = response.status().unwrap_or(500);
        if self.exchange.as_ref().is_some_and(|e| e.is_sent_by(id)) {
            return self.exchange_answered(env, tables, status, response);
        }
        let ours = self.callee.as_ref().and_then(|c| c.invite.as_ref()).is_some_and(|(invite, _)| *invite == id);
        if !ours {
            let known = self.notify_over(env, tables, id, status)
                || self.relay_answered(env, tables, id, response)
                || self.refresh_answered(env, tables, id, response)
                || self.alive_answered(env, tables, id, status);
            if !known {
                self.repeat_ack(env, id, status);
            }
            return;
        }
        match status {
            100 => env.cx.timers.stop(Wake::TargetSilent(self.id)),
            101..=199 => self.progressed(env, tables, hop, status, response),
            200..=299 => self.accepted(env, tables, hop, response),
            _ => self.declined(env, tables, status, response),
        }
    }

    /// A provisional response: the caller hears of it, and of early media once.
    fn progressed(&mut self, env: &mut Env<'_>, tables: &mut Tables, hop: Hop, status: u16, response: &Message) {
        env.cx.timers.stop(Wake::TargetSilent(self.id));
        if self.invite.is_none() {
            return;
        }
        self.learn_dialog(hop, response);
        self.phase = Phase::Ringing;
        // A body that cannot be used is left aside: the final response decides (RFC 3261 13.2.1).
        if let Some(sdp) = sdp_of(response)
            && self.invite.as_ref().is_some_and(|i| i.early_answer.is_none())
            && let Ok(answer) = self.carry_answer(env, sdp)
            && let Some(invite) = &mut self.invite
        {
            invite.early_answer = Some(answer);
            self.replan(env);
            self.pump(env, tables);
        }
        let Some(invite) = &self.invite else { return };
        let reply = Builder::reply(&invite.message, status, write::own_phrase(response.reason()), Some(&self.caller.tag));
        let contact = write::contact(env.cx, &self.caller.hop);
        // RFC 3261 12.1.1: a response that founds a dialog, be it early, bears the Record-Routes.
        let mut reply = reply.copy(&invite.message, HeaderName::RecordRoute).header(HeaderName::Contact, contact);
        if let Some(sdp) = &invite.early_answer {
            reply = reply.body("application/sdp", sdp.clone());
        }
        env.cx.respond(invite.id, reply.build());
    }

    /// The target took the call.
    fn accepted(&mut self, env: &mut Env<'_>, tables: &mut Tables, hop: Hop, response: &Message) {
        if self.is_repeat_or_fork(env, hop, response) {
            return;
        }
        env.cx.timers.stop(Wake::TargetSilent(self.id));
        env.cx.timers.stop(Wake::RingEnd(self.id));
        self.learn_dialog(hop, response);
        let Some(callee) = self.callee.as_mut().filter(|callee| callee.is_confirmed()) else {
            // What it answered founds no dialog (RFC 3261 12.1.2), so it can neither be acknowledged nor released.
            return self.end(env, tables, Cause::named(502, "bad-dialog"));
        };
        callee.abilities.learn(response);
        callee.acknowledge(env.cx);
        self.session_granted(env, Side::Callee, response);
        let early = self.invite.as_mut().and_then(|i| i.early_answer.take());
        let answer = match (early, sdp_of(response)) {
            // Early media may have come from elsewhere: another branch of a fork, a tone server (RFC 3261 13.2.1).
            (early, Some(sdp)) => self.carry_answer(env, sdp).or_else(|cause| early.ok_or(cause)),
            (Some(early), None) => Ok(early),
            (None, None) => Err("no-sdp-in-answer"),
        };
        match answer {
            Ok(answer) => self.connect(env, tables, answer),
            Err(cause) => self.end(env, tables, Cause::named(502, cause)),
        }
    }

    /// The caller gets its answer; both legs stand.
    pub(super) fn connect(&mut self, env: &mut Env<'_>, tables: &mut Tables, answer: Vec<u8>) {
        let Some(invite) = self.invite.take() else { return };
        let contact = write::contact(env.cx, &self.caller.hop);
        self.caller.abilities.learn(&invite.message);
        if let Some(dialog) = &mut self.caller.dialog {
            dialog.confirm();
        }
        if let (Some(media), Some(offer)) = (&mut self.caller.media, sdp_of(&invite.message)) {
            media.remember(offer);
        }
        let reply = Builder::reply(&invite.message, 200, None, Some(&self.caller.tag))
            .copy(&invite.message, HeaderName::RecordRoute)
            .header(HeaderName::Contact, contact)
            .header(HeaderName::Allow, crate::ALLOW)
            .header(HeaderName::Supported, crate::SUPPORTED);
        let reply = self.grant_session(env, Side::Caller, &invite.message, reply).body("application/sdp", answer);
        env.cx.respond(invite.id, reply.build());
        self.phase = Phase::Connected;
        self.leave_others(tables);
        self.answered = Some(env.cx.now.wall);
        env.cx.totals.calls_answered += 1;
        env.cx.event(Event::CallAnswered { call: self.id, target: self.target_name() });
        self.replan(env);
        self.pump(env, tables);
        self.ask_later(env);
        self.write_down(env);
    }

    /// The target refused. Its transaction is over, so nothing is left to cancel.
    fn declined(&mut self, env: &mut Env<'_>, tables: &mut Tables, status: u16, response: &Message) {
        if let Some(callee) = &mut self.callee {
            callee.invite = None;
        }
        // A challenge is passed on only from the cloud: its realm knows the caller, a carrier's does not.
        let pass = |name: &HeaderName| {
            let challenge = matches!(name, HeaderName::WwwAuthenticate | HeaderName::ProxyAuthenticate);
            !challenge || matches!(self.target, Some(crate::route::Target::Cloud { .. }))
        };
        let headers = PASSED_ON.iter().filter(|n| pass(n));
        let own = |name: HeaderName, value: &str| match name {
            HeaderName::Reason | HeaderName::RetryAfter => write::own_value(value),
            _ => value.to_string(),
        };
        let headers = headers.flat_map(|n| response.headers(*n).map(move |v| (*n, own(*n, v))));
        let warnings = response.values(HeaderName::Warning).filter_map(|value| write::own_warning(env.cx, value));
        let headers = headers.chain(warnings.map(|value| (HeaderName::Warning, value))).collect();
        if status == 503 {
            // RFC 3261 21.5.4; other refusals show that it lives.
            self.peer_failed(env, "INVITE answered 503");
        }
        let (told, phrase) = match status {
            // A redirection is not followed: the caller gets no inside address, but the failure.
            300..=399 => (480, None),
            // A challenge that the caller cannot answer is the target's failure, and the next one may do better.
            401 | 407 if !pass(&HeaderName::WwwAuthenticate) => (502, None),
            _ => (status, write::own_phrase(response.reason())),
        };
        let reason = phrase.unwrap_or_else(|| ringfort_sip::status::reason(told)).to_string();
        self.target_failed(env, tables, Failure { status: told, reason, headers });
    }

    /// A request of this call has no final response and will have none.
    pub(super) fn request_failed(&mut self, env: &mut Env<'_>, tables: &mut Tables, id: TransactionId, what: &str) {
        if self.exchange.as_ref().is_some_and(|e| e.is_sent_by(id)) {
            // RFC 3261 14.1: a re-INVITE that meets no answer ends the dialog.
            return self.end(env, tables, Cause::named(408, "peer-gone"));
        }
        if self.notify_over(env, tables, id, 408)
            || self.relay_failed(env, id)
            || self.refresh_failed(env, tables, id)
            || self.alive_failed(env, tables, id)
        {
            return;
        }
        let callee = self.callee.as_mut().filter(|c| c.ack.is_none());
        let Some(callee) = callee.filter(|c| c.invite.as_ref().is_some_and(|(invite, _)| *invite == id)) else { return };
        callee.invite = None;
        self.peer_failed(env, what);
        self.target_failed(env, tables, Failure::new(408, what));
    }

    /// The callee's answer becomes the caller's.
    fn carry_answer(&mut self, env: &mut Env<'_>, sdp: &[u8]) -> Result<Vec<u8>, &'static str> {
        let now = env.cx.now.mono;
        let answered: Description = match self.media(Side::Callee) {
            Some(media) => {
                let answered = media.session.receive_answer(now, sdp).map_err(|_| "bad-sdp-in-answer")?;
                media.described.insert(answered).clone()
            }
            None => return Err("no-media"),
        };
        let media = self.media(Side::Caller).ok_or("no-media")?;
        media.session.make_answer(now, &answered).map_err(|_| "no-common-codec")
    }

    /// The callee's dialog from its response; a later response may be of another branch, then it replaces an early one.
    fn learn_dialog(&mut self, hop: Hop, response: &Message) {
        let Some(callee) = &mut self.callee else { return };
        let Some((_, octets)) = &callee.invite else { return };
        let Ok(invite) = Message::parse(octets.clone()) else { return };
        if let Ok(dialog) = Dialog::uac(&invite, response, hop) {
            callee.dialog = Some(dialog);
        }
    }

    /// A 2xx seen before is acknowledged again; one of another branch is acknowledged and released.
    fn is_repeat_or_fork(&mut self, env: &mut Env<'_>, hop: Hop, response: &Message) -> bool {
        let Some(callee) = &self.callee else { return true };
        let Some((_, ack_hop, ack)) = &callee.ack else { return false };
        let tag = response.to().ok().and_then(|to| to.tag().map(str::to_string)).unwrap_or_default();
        if callee.dialog.as_ref().is_some_and(|d| d.id.remote_tag == tag) {
            env.cx.send(*ack_hop, ack.clone());
        } else if let Some((_, invite)) = callee.invite.clone() {
            abandoned::acknowledge_and_release(env.cx, hop, invite, response);
        }
        true
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
    pub(super) fn acknowledge_transaction(
        &mut self,
        cx: &mut crate::context::Context,
        id: TransactionId,
        answer: Option<Vec<u8>>,
    ) {
        let hop = self.next_hop();
        let Some(dialog) = &mut self.dialog else { return };
        let Some(ack) = write::ack(cx, dialog) else { return };
        let ack = answer.into_iter().fold(ack, |ack, sdp| ack.body("application/sdp", sdp)).build();
        self.ack = Some((id, hop, ack.clone()));
        cx.send(hop, ack);
    }
}

/// The body, if it is SDP.
pub(super) fn sdp_of(message: &Message) -> Option<&[u8]> {
    let is_sdp = message.content_type().ok().flatten().is_some_and(|t| t.is("application/sdp"));
    (is_sdp && !message.body().is_empty()).then(|| message.body())
}
