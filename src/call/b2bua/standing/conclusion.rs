//! How an exchange of offer and answer ends: answered and acknowledged, refused, or withdrawn.

use crate::b2bua::call::{Call, Side};
use crate::b2bua::exchange::{Exchange, Offer};
use crate::b2bua::within::Asked;
use crate::b2bua::{Env, Tables, connected, ending, progress, write};
use crate::wake::Wake;
use ringfort_media::description::Description;
use ringfort_sip::message::{Builder, HeaderName, Message, Method};

impl Call {
    pub(in crate::b2bua) fn answer_exchange(
        &mut self,
        env: &mut Env<'_>,
        tables: &mut Tables,
        side: Side,
        described: &Description,
    ) {
        let now = env.cx.now.mono;
        self.lend(side);
        match self.media(side).map(|m| m.session.make_answer(now, described)) {
            Some(Ok(sdp)) => self.accept_exchange(env, sdp),
            _ => return self.reject_exchange(env, 488),
        }
        self.agreed(env, tables);
        self.share_keys(env);
    }

    /// Something was agreed: the relay follows, and it is written down.
    pub(in crate::b2bua) fn agreed(&mut self, env: &mut Env<'_>, tables: &mut Tables) {
        self.close_idle_asides(env, tables);
        self.replan(env);
        self.pump(env, tables);
        self.write_down(env);
    }

    pub(in crate::b2bua) fn accept_exchange(&mut self, env: &mut Env<'_>, sdp: Vec<u8>) {
        env.cx.timers.stop(Wake::ExchangeOverdue(self.id));
        let Some(exchange) = &mut self.exchange else { return };
        let Some((id, request)) = exchange.asked.clone() else { return };
        exchange.answered = true;
        let from = exchange.from;
        if exchange.offer != Offer::FromOtherLeg {
            exchange.sent = None;
        }
        if let (Some(media), Some(offer)) = (self.media(from), progress::sdp_of(&request)) {
            media.remember(offer);
        }
        if let Some(dialog) = self.leg(from).and_then(|l| l.dialog.as_mut()) {
            // A malformed Contact leaves the target as it was.
            let _ = dialog.refresh_target(&request);
            dialog.confirm();
        }
        if let Some(replaced) = &mut self.replaced {
            replaced.stands = true;
        }
        let reply = self.accepting(env, from, &request).body("application/sdp", sdp);
        env.cx.respond(id, reply.build());
        if request.method() == Method::Update {
            // An UPDATE has no ACK: its 2xx ends the exchange.
            self.exchange = None;
        } else if progress::sdp_of(&request).is_none() {
            // Nothing is agreed before the ACK; but the next process must not tell the version of this offer again.
            self.write_down(env);
        }
    }

    /// 200 to a request that refreshes the target, without body.
    pub(in crate::b2bua) fn accepting(&mut self, env: &mut Env<'_>, side: Side, request: &Message) -> Builder {
        let (hop, tag) = self.leg(side).map(|leg| (leg.hop, leg.tag.clone())).unzip();
        // RFC 3261 12.1.1: an INVITE that founds a dialog, in the place of another one, gets its Record-Routes back.
        let reply = Builder::reply(request, 200, None, tag.as_deref())
            .copy(request, HeaderName::RecordRoute)
            .header_if(HeaderName::Contact, hop.map(|hop| write::contact(env.cx, &hop)))
            .header(HeaderName::Allow, crate::ALLOW)
            .header(HeaderName::Supported, crate::SUPPORTED);
        let reply = connected::with(reply, &self.told_of_other(env.cx, side));
        self.grant_session(env, side, request, reply)
    }

    /// UPDATE without offer: it refreshes what is known of the peer, and is answered here.
    pub(in crate::b2bua) fn refreshed(&mut self, env: &mut Env<'_>, side: Side, asked: &Asked) {
        if let Some(leg) = self.leg(side) {
            leg.learn(&asked.request);
            if let Some(dialog) = &mut leg.dialog {
                // A malformed Contact leaves the target as it was.
                let _ = dialog.refresh_target(&asked.request);
            }
        }
        let octets = self.accepting(env, side, &asked.request).build();
        env.cx.respond(asked.id, octets);
        self.write_down(env);
    }

    /// The ACK ends the exchange; after a re-INVITE without offer it holds the answer.
    pub(in crate::b2bua) fn exchange_acknowledged(&mut self, env: &mut Env<'_>, tables: &mut Tables, side: Side, ack: &Message) {
        let now = env.cx.now.mono;
        let number = |message: &Message| message.cseq().ok().map(|(number, _)| number);
        // The ACK of an earlier INVITE may come late or twice.
        let is_its = |e: &mut Exchange| {
            let same = e.asked.as_ref().is_some_and(|(_, request)| number(request) == number(ack));
            e.from == side && e.answered && same
        };
        let Some(exchange) = self.exchange.take_if(is_its) else { return };
        if exchange.offer == Offer::Request {
            return self.next_own(env, exchange.then);
        }
        let Some(media) = self.media(side) else { return };
        match progress::sdp_of(ack).map(|sdp| media.session.receive_answer(now, sdp)) {
            Some(Ok(described)) => media.described = Some(described),
            // RFC 3261 14.2 knows no way to refuse an answer: what was agreed before stays.
            Some(Err(_)) | None => media.session.reject_offer(),
        }
        let nothing = media.session.description().is_none();
        if let Some((sent, _)) = exchange.sent {
            self.answer_late_offer(env, side, sent);
        }
        if nothing {
            // A leg that came without an offer, in the place of another one, has agreed to nothing.
            return self.end(env, tables, ending::Cause::named(488, "bad-sdp-in-ack"));
        }
        self.agreed(env, tables);
        self.next_own(env, exchange.then);
    }

    /// The exchange is refused; both legs go back to what was agreed.
    pub(in crate::b2bua) fn reject_exchange(&mut self, env: &mut Env<'_>, status: u16) {
        self.reject_exchange_with(env, status, &[]);
    }

    pub(in crate::b2bua) fn reject_exchange_with(&mut self, env: &mut Env<'_>, status: u16, headers: &[(HeaderName, String)]) {
        let Some(exchange) = self.exchange.take() else { return };
        env.cx.timers.stop(Wake::ExchangeOverdue(self.id));
        env.cx.timers.stop(Wake::ExchangeAgain(self.id));
        for side in [Side::Caller, Side::Callee] {
            if let Some(media) = self.media(side) {
                media.session.reject_offer();
                // What the peer said in an offer that came to nothing does not hold.
                media.described = media.session.description().cloned().or(media.described.take());
            }
        }
        let own = exchange.asked.is_none();
        self.keys_not_shared(env, own);
        let Some((id, request)) = exchange.asked else { return };
        let tag = self.leg(exchange.from).map(|leg| leg.tag.clone());
        // A refusal that nobody acknowledges is no reason to end the call.
        self.invites.retain(|awaited| exchange.answered || awaited.id != id);
        if !exchange.answered {
            let reply = Builder::reply(&request, status, None, tag.as_deref());
            let octets = headers.iter().fold(reply, |b, (name, value)| b.header(*name, value)).build();
            env.cx.respond(id, octets);
        }
    }

    /// The peer takes its re-INVITE back: so is the one sent on.
    pub(in crate::b2bua) fn cancel_exchange(&mut self, env: &mut Env<'_>, tables: &mut Tables) {
        self.withdraw_exchange(env, tables);
        self.reject_exchange(env, 487);
    }

    /// The other leg said something and then nothing any more.
    pub(in crate::b2bua) fn exchange_overdue(&mut self, env: &mut Env<'_>, tables: &mut Tables) {
        self.withdraw_exchange(env, tables);
        self.reject_exchange(env, 504);
    }

    /// Cancels the re-INVITE that was sent on; its late answer is acknowledged by the abandoned ones' rule. A late offer that was
    /// taken already is answered.
    pub(in crate::b2bua) fn withdraw_exchange(&mut self, env: &mut Env<'_>, tables: &mut Tables) {
        let Some(exchange) = &mut self.exchange else { return };
        let (from, answered, Some((sent, method))) = (exchange.from, exchange.answered, exchange.sent.take()) else { return };
        if answered {
            return self.answer_late_offer(env, from, sent);
        }
        let call = self.id;
        let Some(leg) = self.leg(from.other()).filter(|_| method == Method::Invite) else { return };
        let hop = leg.next_hop();
        if let Some(ack) = leg.dialog.as_ref().and_then(|dialog| write::ack(env.cx, dialog)) {
            tables.abandoned.give_up_within(env.cx, sent, hop, ack.build(), (call, from.other()));
        }
    }
}
