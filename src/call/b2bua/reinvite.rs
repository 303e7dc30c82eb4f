//! A re-INVITE travels through the call: the other leg is asked, its answer comes back. One at a time; a second one meets 491.

use super::call::{Awaited, Call, Phase, Reinvite, Side};
use super::within::Asked;
use super::{Env, Tables, ending, progress, write};
use crate::context::Owner;
use crate::wake::Wake;
use ringfort_media::description::Description;
use ringfort_sip::message::{Builder, HeaderName, Message, Method};
use std::time::Duration;

/// The other leg gets this long for its final answer. Once it has said anything no timer of the transaction ends the wait
/// (RFC 3261 17.1.1.2), and meanwhile neither side can change the call.
const PATIENCE: Duration = Duration::from_secs(32);

impl Call {
    /// A re-INVITE came from `side`.
    pub(super) fn reinvited(&mut self, env: &mut Env<'_>, tables: &mut Tables, side: Side, asked: Asked) {
        if self.phase != Phase::Connected || self.reinvite.is_some() {
            // RFC 3261 14.2: one offer at a time.
            return asked.reply(env, 491, &[]);
        }
        let cseq = asked.request.cseq().map_or(0, |(number, _)| number);
        self.invites.push(Awaited { id: asked.id, side, cseq });
        tables.invites.insert(asked.id, self.id);
        let offer = progress::sdp_of(&asked.request).map(<[u8]>::to_vec);
        let Asked { id, request, .. } = asked;
        self.reinvite =
            Some(Reinvite { from: side, id, message: request, sent: None, answered: false, without_offer: offer.is_none() });
        match offer {
            Some(offer) => self.carry_offer(env, tables, side, &offer),
            None => self.offer_again(env, side),
        }
    }

    /// The offer goes on to the other leg, or is answered here when there is none (echo).
    fn carry_offer(&mut self, env: &mut Env<'_>, tables: &mut Tables, side: Side, offer: &[u8]) {
        let now = env.cx.now.mono;
        let Some(media) = self.media(side) else { return self.reject_reinvite(env, 488) };
        let described = match media.session.receive_offer(now, offer) {
            Ok(described) => media.described.insert(described).clone(),
            Err(error) => {
                let warning = write::warning(env.cx, &error);
                return self.reject_reinvite_with(env, error.status(), &[(HeaderName::Warning, warning)]);
            }
        };
        match self.media(side.other()).map(|m| m.session.make_offer(now, &described)) {
            None => self.answer_reinvite(env, tables, side, &described),
            Some(Ok(sdp)) => self.send_reinvite(env, side.other(), sdp),
            Some(Err(error)) => self.reject_reinvite(env, error.status()),
        }
    }

    fn send_reinvite(&mut self, env: &mut Env<'_>, to: Side, sdp: Vec<u8>) {
        let call = self.id;
        let Some(leg) = self.leg(to) else { return self.reject_reinvite(env, 500) };
        let hop = leg.next_hop();
        let contact = write::contact(env.cx, &hop);
        let Some(request) = leg.inside(env.cx, &Method::Invite) else { return self.reject_reinvite(env, 500) };
        let octets = request
            .header(HeaderName::Contact, contact)
            .header(HeaderName::Allow, crate::ALLOW)
            .body("application/sdp", sdp)
            .build();
        let sent = env.cx.request(hop, octets, Some(Owner::Call(call)));
        match (&mut self.reinvite, sent) {
            (Some(reinvite), Some(id)) => {
                reinvite.sent = Some(id);
                env.cx.timers.set(Wake::ReinviteOverdue(call), env.cx.now.mono + PATIENCE);
            }
            _ => self.reject_reinvite(env, 503),
        }
        // Whatever becomes of it, the next process must not use its CSeq again.
        self.write_down(env);
    }

    /// A re-INVITE without offer is answered with one: what the other leg last described (RFC 3261 14.2).
    fn offer_again(&mut self, env: &mut Env<'_>, side: Side) {
        let now = env.cx.now.mono;
        let mut described_by = |side: Side| self.media(side).and_then(|m| m.described.clone());
        let Some(described) = described_by(side.other()).or_else(|| described_by(side)) else {
            return self.reject_reinvite(env, 488);
        };
        match self.media(side).map(|m| m.session.make_offer(now, &described)) {
            Some(Ok(sdp)) => self.accept_reinvite(env, sdp),
            _ => self.reject_reinvite(env, 488),
        }
    }

    /// The other leg answered.
    pub(super) fn reinvite_answered(&mut self, env: &mut Env<'_>, tables: &mut Tables, status: u16, response: &Message) {
        let Some((from, Some(sent))) = self.reinvite.as_ref().map(|r| (r.from, r.sent)) else { return };
        match status {
            ..200 => {}
            200..300 => {
                if let Some(leg) = self.leg(from.other()) {
                    if let Some(dialog) = &mut leg.dialog {
                        // A malformed Contact leaves the target as it was.
                        let _ = dialog.accept_success(response);
                    }
                    leg.acknowledge_transaction(env.cx, sent);
                }
                self.carry_reinvite_answer(env, tables, from, response);
            }
            // RFC 3261 12.2.1.2: the other side knows nothing of this call any more.
            408 | 481 => self.end(env, tables, ending::Cause::named(status, "peer-gone")),
            _ => self.reject_reinvite(env, status),
        }
    }

    fn carry_reinvite_answer(&mut self, env: &mut Env<'_>, tables: &mut Tables, from: Side, response: &Message) {
        let now = env.cx.now.mono;
        let sdp = progress::sdp_of(response);
        let described = match (self.media(from.other()), sdp) {
            (Some(media), Some(sdp)) => {
                let described = media.session.receive_answer(now, sdp).ok();
                media.described = described.clone().or(media.described.take());
                described
            }
            _ => None,
        };
        match described {
            Some(described) => self.answer_reinvite(env, tables, from, &described),
            None => self.reject_reinvite(env, 488),
        }
    }

    fn answer_reinvite(&mut self, env: &mut Env<'_>, tables: &mut Tables, side: Side, described: &Description) {
        let now = env.cx.now.mono;
        match self.media(side).map(|m| m.session.make_answer(now, described)) {
            Some(Ok(sdp)) => self.accept_reinvite(env, sdp),
            _ => return self.reject_reinvite(env, 488),
        }
        self.replan(env);
        self.pump(env, tables);
        self.write_down(env);
    }

    fn accept_reinvite(&mut self, env: &mut Env<'_>, sdp: Vec<u8>) {
        env.cx.timers.stop(Wake::ReinviteOverdue(self.id));
        let Some(reinvite) = &mut self.reinvite else { return };
        reinvite.answered = true;
        reinvite.sent = None;
        let (from, id) = (reinvite.from, reinvite.id);
        let (reply, request) = (Builder::reply(&reinvite.message, 200, None, None), reinvite.message.clone());
        if let Some(dialog) = self.leg(from).and_then(|l| l.dialog.as_mut()) {
            // A malformed Contact leaves the target as it was.
            let _ = dialog.refresh_target(&request);
        }
        let hop = self.leg(from).map(|l| l.hop);
        let reply = reply.header_if(HeaderName::Contact, hop.map(|hop| write::contact(env.cx, &hop)));
        env.cx.respond(id, reply.header(HeaderName::Allow, crate::ALLOW).body("application/sdp", sdp).build());
    }

    /// The ACK ends the exchange; after a re-INVITE without offer it holds the answer.
    pub(super) fn reinvite_acknowledged(&mut self, env: &mut Env<'_>, tables: &mut Tables, side: Side, ack: &Message) {
        let now = env.cx.now.mono;
        let number = |message: &Message| message.cseq().ok().map(|(number, _)| number);
        // The ACK of an earlier INVITE may come late or twice.
        let is_its = |r: &mut Reinvite| r.from == side && r.answered && number(&r.message) == number(ack);
        let Some(reinvite) = self.reinvite.take_if(is_its) else { return };
        if !reinvite.without_offer {
            return;
        }
        let Some(media) = self.media(side) else { return };
        match progress::sdp_of(ack).map(|sdp| media.session.receive_answer(now, sdp)) {
            Some(Ok(described)) => media.described = Some(described),
            // RFC 3261 14.2 knows no way to refuse an answer: what was agreed before stays.
            Some(Err(_)) | None => media.session.reject_offer(),
        }
        self.replan(env);
        self.pump(env, tables);
        self.write_down(env);
    }

    /// The re-INVITE is refused; both legs go back to what was agreed.
    pub(super) fn reject_reinvite(&mut self, env: &mut Env<'_>, status: u16) {
        self.reject_reinvite_with(env, status, &[]);
    }

    fn reject_reinvite_with(&mut self, env: &mut Env<'_>, status: u16, headers: &[(HeaderName, String)]) {
        let Some(reinvite) = self.reinvite.take() else { return };
        env.cx.timers.stop(Wake::ReinviteOverdue(self.id));
        // A refusal that nobody acknowledges is no reason to end the call.
        self.invites.retain(|awaited| reinvite.answered || awaited.id != reinvite.id);
        for side in [Side::Caller, Side::Callee] {
            if let Some(media) = self.media(side) {
                media.session.reject_offer();
            }
        }
        if !reinvite.answered {
            let reply = Builder::reply(&reinvite.message, status, None, None);
            let octets = headers.iter().fold(reply, |b, (name, value)| b.header(*name, value)).build();
            env.cx.respond(reinvite.id, octets);
        }
    }

    /// The peer takes its re-INVITE back: so is the one sent on.
    pub(super) fn cancel_reinvite(&mut self, env: &mut Env<'_>, tables: &mut Tables) {
        self.withdraw_reinvite(env, tables);
        self.reject_reinvite(env, 487);
    }

    /// The other leg said something and then nothing any more.
    pub(super) fn reinvite_overdue(&mut self, env: &mut Env<'_>, tables: &mut Tables) {
        self.withdraw_reinvite(env, tables);
        self.reject_reinvite(env, 504);
    }

    /// Cancels the re-INVITE that was sent on; its late answer is acknowledged by the abandoned ones' rule.
    pub(super) fn withdraw_reinvite(&mut self, env: &mut Env<'_>, tables: &mut Tables) {
        let Some((to, Some(sent))) = self.reinvite.as_mut().map(|r| (r.from.other(), r.sent.take())) else { return };
        let Some(leg) = self.leg(to) else { return };
        let hop = leg.next_hop();
        if let Some(ack) = leg.dialog.as_ref().and_then(|dialog| write::ack(env.cx, dialog)) {
            tables.abandoned.give_up_within(env.cx, sent, hop, ack);
        }
    }
}
