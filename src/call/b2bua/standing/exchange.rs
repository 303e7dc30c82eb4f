//! An offer and its answer on their way through the call: by re-INVITE (RFC 3261 14) or UPDATE (RFC 3311), with the offer in the
//! request or in its answer, in every place that RFC 6337 allows. One at a time; who comes second is told when to come again.
//! [`crate::b2bua::own`] holds the exchanges that the node begins itself, [`crate::b2bua::glare`] what happens when two meet.

use crate::b2bua::call::{Awaited, Call, Phase, Side};
use crate::b2bua::service::Attendance;
use crate::b2bua::within::Asked;
use crate::b2bua::{Env, Tables, connected, ending, media, progress, service, session_timer, write};
use crate::context::Owner;
use crate::wake::Wake;
use ringfort_media::description::Description;
use ringfort_sip::message::{HeaderName, Message, Method};
use ringfort_sip::transaction::TransactionId;
use std::time::Duration;

/// The other leg gets this long for its final answer. Once it has said anything no timer of the transaction ends the wait
/// (RFC 3261 17.1.1.2), and meanwhile neither side can change the call.
const PATIENCE: Duration = Duration::from_secs(32);

/// An exchange under way.
pub(crate) struct Exchange {
    /// Whence it came; the other leg is asked. An exchange of the node's own counts as coming from the other leg.
    pub from: Side,
    /// The request, to be answered; `None`: the node began it.
    pub asked: Option<(TransactionId, Message)>,
    /// The request sent on; `None` before, after, and while the node waits to send it again.
    pub sent: Option<(TransactionId, Method)>,
    /// A 2xx went out; its ACK is awaited.
    pub answered: bool,
    /// How the offer comes.
    pub offer: Offer,
    /// How often the other leg met it with 491.
    pub glares: u8,
    /// The node tells this side next, when it told the other one.
    pub then: Option<Side>,
}

/// Where the offer of an exchange stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Offer {
    /// In the request.
    Request,
    /// The request had none: the other leg is asked for one, our 2xx holds it, the ACK its answer.
    FromOtherLeg,
    /// The request had none, and the other leg has none to give: our 2xx holds what is known, the ACK the answer.
    FromNode,
    /// The node repeats to one leg what it told it last.
    Refresh,
    /// The node tells one leg what the other one described.
    Resync,
}

impl Exchange {
    pub(in crate::b2bua) fn of(from: Side, asked: &Asked, offer: Offer) -> Exchange {
        let request = (asked.id, asked.request.clone());
        Exchange { from, asked: Some(request), sent: None, answered: false, offer, glares: 0, then: None }
    }

    /// The peer's request is an UPDATE.
    fn by_update(&self) -> bool {
        self.asked.as_ref().is_some_and(|(_, request)| request.method() == Method::Update)
    }

    /// Sent by this transaction.
    pub fn is_sent_by(&self, id: TransactionId) -> bool {
        self.sent.as_ref().is_some_and(|(sent, _)| *sent == id)
    }
}

impl Call {
    /// A re-INVITE or UPDATE came from `side`.
    pub(in crate::b2bua) fn exchanged(&mut self, env: &mut Env<'_>, tables: &mut Tables, side: Side, asked: Asked) {
        if self.phase != Phase::Connected {
            return asked.reply(env, 491, &[]);
        }
        if let Some(min) = session_timer::too_short(env, &asked.request) {
            return asked.reply(env, 422, &[(HeaderName::MinSe, min.to_string())]);
        }
        let news = self.hears_who(env.cx, side, &asked.request);
        self.change(env, tables, side, asked);
        let goes_on = self.exchange.as_ref().is_some_and(|exchange| exchange.from == side && exchange.sent.is_some());
        if news && !goes_on {
            self.tell_who(env, side.other());
        }
    }

    /// The change that it asks for.
    fn change(&mut self, env: &mut Env<'_>, tables: &mut Tables, side: Side, asked: Asked) {
        let offer = progress::sdp_of(&asked.request).map(<[u8]>::to_vec);
        let update = asked.request.method() == Method::Update;
        if update && offer.is_none() {
            return self.refreshed(env, side, &asked);
        }
        if let Some(refusal) = self.in_the_way(env, side) {
            return refusal.tell(env, &asked);
        }
        if !update {
            self.no_longer_awaited(env, tables, side);
            let cseq = asked.request.cseq().map_or(0, |(number, _)| number);
            self.invites.push(Awaited { id: asked.id, side, cseq });
            tables.invites.insert(asked.id, self.id);
        }
        let kind = if offer.is_some() { Offer::Request } else { Offer::FromOtherLeg };
        self.exchange = Some(Exchange::of(side, &asked, kind));
        if let Some(leg) = self.leg(side) {
            leg.learn(&asked.request);
        }
        match offer {
            Some(offer) => self.carry_offer(env, tables, side, &offer),
            None => self.ask_for_offer(env, side),
        }
    }

    /// The offer goes on to the other leg, or is answered here when there is none (echo).
    pub(in crate::b2bua) fn carry_offer(&mut self, env: &mut Env<'_>, tables: &mut Tables, side: Side, offer: &[u8]) {
        let now = env.cx.now.mono;
        let before = self.media(side.other()).and_then(|m| m.described.clone());
        let Some(media) = self.media(side) else { return self.reject_exchange(env, 488) };
        let repeats = media.is_repeated(offer);
        let described = match media.session.receive_offer(now, offer) {
            Ok(described) => media.described.insert(described).clone(),
            Err(error) => {
                let warning = write::warning(env.cx, &error);
                return self.reject_exchange_with(env, error.status(), &[(HeaderName::Warning, warning)]);
            }
        };
        if let (true, Some(before)) = (repeats, before) {
            // RFC 4028 7.4: a refresh says nothing new, so the other leg need not hear of it.
            return self.answer_exchange(env, tables, side, &before);
        }
        let told = service::told_of_hold(env, &described);
        let id = self.id;
        for side in [side, side.other()] {
            if let Some(media) = self.media(side) {
                media::open_aside(env, tables, id, media, &described);
            }
        }
        self.lend(side.other());
        match self.media(side.other()).map(|m| m.session.make_offer(now, &told)) {
            // What the node says and hears itself is audio.
            None if described.is_fax() => self.reject_exchange(env, 488),
            None => {
                let speaks = self.media(side).and_then(|m| m.attendance.as_ref()).is_some_and(Attendance::speaks);
                let told = if speaks { described.spoken() } else { described.without_video() };
                self.answer_exchange(env, tables, side, &told)
            }
            Some(Ok(sdp)) => self.send_exchange(env, side.other(), Some(sdp)),
            Some(Err(error)) => self.reject_exchange(env, error.status()),
        }
    }

    /// A re-INVITE without offer: the other leg is asked for a fresh one, as it may want to change something too.
    pub(in crate::b2bua) fn ask_for_offer(&mut self, env: &mut Env<'_>, side: Side) {
        match self.media(side.other()).is_some() {
            true => self.send_exchange(env, side.other(), None),
            false => self.offer_what_is_known(env, side),
        }
    }

    /// Sends the request on: with this offer, or asking for one. An UPDATE goes on as UPDATE where the leg takes it; whatever else
    /// goes as re-INVITE, which every peer takes and which may take a person's time (RFC 3311 5.1).
    pub(in crate::b2bua) fn send_exchange(&mut self, env: &mut Env<'_>, to: Side, sdp: Option<Vec<u8>>) {
        let call = self.id;
        let by_update = self.exchange.as_ref().is_some_and(Exchange::by_update);
        let who = self.present(env.cx, to);
        let Some(leg) = self.leg(to) else { return self.reject_exchange(env, 500) };
        let method = if by_update && sdp.is_some() && leg.abilities.update { Method::Update } else { Method::Invite };
        let hop = leg.next_hop();
        let contact = write::contact(env.cx, &hop);
        let Some(request) = leg.inside(env.cx, &method) else { return self.reject_exchange(env, 500) };
        let request = request
            .header(HeaderName::Contact, contact)
            .header(HeaderName::Allow, crate::ALLOW)
            .header(HeaderName::Supported, crate::SUPPORTED_AGAIN);
        let request = write::with_trickle(request, leg);
        let request = connected::with(leg.refreshing(request), &who);
        let asked = self.exchange.as_ref().and_then(|exchange| exchange.asked.as_ref()).map(|(_, asked)| asked.clone());
        let request = match asked {
            Some(asked) => self.with_proof(env.cx, to, request, &asked),
            None => request,
        };
        let octets = match sdp {
            Some(sdp) => request.body("application/sdp", sdp).build(),
            None => request.build(),
        };
        let sent = env.cx.request(hop, octets, Some(Owner::Call(call)));
        match (&mut self.exchange, sent) {
            (Some(exchange), Some(id)) => {
                exchange.sent = Some((id, method));
                env.cx.timers.set(Wake::ExchangeOverdue(call), env.cx.now.mono + PATIENCE);
            }
            _ => self.reject_exchange(env, 503),
        }
        // Whatever becomes of it, the next process must not use its CSeq again.
        self.write_down(env);
    }

    /// A re-INVITE without offer is answered with what the other leg last described (RFC 3261 14.2).
    fn offer_what_is_known(&mut self, env: &mut Env<'_>, side: Side) {
        let now = env.cx.now.mono;
        let mut described_by = |side: Side| self.media(side).and_then(|m| m.described.clone());
        let Some(described) = described_by(side.other()).or_else(|| described_by(side)) else {
            return self.reject_exchange(env, 488);
        };
        if let Some(exchange) = &mut self.exchange {
            exchange.offer = Offer::FromNode;
        }
        self.lend(side);
        match self.media(side).map(|m| m.session.make_offer(now, &described)) {
            Some(Ok(sdp)) => self.accept_exchange(env, sdp),
            _ => self.reject_exchange(env, 488),
        }
    }

    /// The other leg answered.
    pub(in crate::b2bua) fn exchange_answered(
        &mut self,
        env: &mut Env<'_>,
        tables: &mut Tables,
        status: u16,
        response: &Message,
    ) {
        let Some(exchange) = &self.exchange else { return };
        let (from, offer, Some((sent, method))) = (exchange.from, exchange.offer, exchange.sent.clone()) else { return };
        if let Some(leg) = self.leg(from.other()).filter(|_| (200..300).contains(&status)) {
            leg.learn(response);
            leg.proving.granted();
            if let Some(dialog) = &mut leg.dialog {
                // A malformed Contact leaves the target as it was.
                let _ = dialog.accept_success(response);
            }
            self.session_granted(env, from.other(), response);
        }
        let news = (200..300).contains(&status) && self.hears_who(env.cx, from.other(), response);
        let own = self.exchange.as_ref().is_some_and(|exchange| exchange.asked.is_none());
        self.conclude(env, tables, status, response, (from, offer, sent, method));
        if news && own {
            self.tell_who(env, from);
        }
    }

    /// What becomes of the exchange.
    fn conclude(
        &mut self,
        env: &mut Env<'_>,
        tables: &mut Tables,
        status: u16,
        response: &Message,
        (from, offer, sent, method): (Side, Offer, TransactionId, Method),
    ) {
        match status {
            ..200 => {}
            200..300 if offer == Offer::FromOtherLeg => self.carry_late_offer(env, from, sent, response),
            200..300 => {
                if let Some(leg) = self.leg(from.other()).filter(|_| method == Method::Invite) {
                    leg.acknowledge_transaction(env.cx, sent, None);
                }
                self.carry_exchange_answer(env, tables, from, response);
            }
            // RFC 3261 12.2.1.2: the other side knows nothing of this call any more.
            408 | 481 => self.end(env, tables, ending::Cause::named(status, "peer-gone")),
            401 | 407 if self.leg(from.other()).is_some_and(|leg| leg.proving.take(env.cx, response)) => self.send_again(env),
            491 => self.met_glare(env),
            422 if self.leg(from.other()).is_some_and(|leg| leg.raise_interval(response)) => self.send_again(env),
            // It said that it would take UPDATE, and does not.
            405 | 501 if method == Method::Update => self.send_as_reinvite(env, from),
            _ => self.refused(env, status, response, (from, offer)),
        }
    }

    /// The other leg does not want it.
    fn refused(&mut self, env: &mut Env<'_>, status: u16, response: &Message, (from, offer): (Side, Offer)) {
        if let Some(challenge) = self.challenge_for(from, response) {
            return self.reject_exchange_with(env, status, &challenge);
        }
        match status {
            _ if offer == Offer::FromOtherLeg => self.offer_what_is_known(env, from),
            // What it asks for is not the other side's to give.
            401 | 407 => self.reject_exchange(env, 502),
            _ => self.reject_exchange(env, status),
        }
    }

    /// The same offer again, by re-INVITE.
    fn send_as_reinvite(&mut self, env: &mut Env<'_>, from: Side) {
        if let Some(leg) = self.leg(from.other()) {
            leg.abilities.update = false;
        }
        self.send_again(env);
    }

    /// Words the request anew and sends it: after 491, or by another method.
    pub(in crate::b2bua) fn send_again(&mut self, env: &mut Env<'_>) {
        let now = env.cx.now.mono;
        let Some((from, offer)) = self.exchange.as_mut().map(|e| (e.from, e.offer)) else { return };
        let described = self.told_from(from);
        if matches!(offer, Offer::Request | Offer::Resync) {
            self.lend(from.other());
        }
        let Some(media) = self.media(from.other()) else { return self.reject_exchange(env, 488) };
        media.session.reject_offer();
        let sdp = match offer {
            Offer::FromOtherLeg | Offer::FromNode => None,
            Offer::Refresh => media.session.repeat_offer().ok(),
            Offer::Request | Offer::Resync => media.session.make_offer(now, &described).ok(),
        };
        match (sdp, offer) {
            (None, Offer::Request | Offer::Resync | Offer::Refresh) => self.reject_exchange(env, 488),
            (sdp, _) => self.send_exchange(env, from.other(), sdp),
        }
    }

    /// What the other leg is told of this side: what it described, or what the node speaks where the node itself is this side.
    fn told_from(&mut self, side: Side) -> Description {
        if let Some(media) = self.media(side) {
            return media.described.clone().unwrap_or_default();
        }
        let known = self.media(side.other()).and_then(|media| media.described.clone()).unwrap_or_default().spoken();
        if known.has_speech() { known } else { Description::g711() }
    }

    /// The other leg's offer, in its 2xx, goes into ours; its ACK waits for the answer in our ACK.
    fn carry_late_offer(&mut self, env: &mut Env<'_>, from: Side, sent: TransactionId, response: &Message) {
        let now = env.cx.now.mono;
        let sdp = progress::sdp_of(response);
        let described = match (self.media(from.other()), sdp) {
            (Some(media), Some(sdp)) => media.session.receive_offer(now, sdp).ok().map(|d| media.described.insert(d).clone()),
            _ => None,
        };
        self.lend(from);
        let offer = described.and_then(|described| self.media(from)?.session.make_offer(now, &described).ok());
        match offer {
            Some(sdp) => self.accept_exchange(env, sdp),
            None => {
                self.answer_late_offer(env, from, sent);
                self.reject_exchange(env, 488);
            }
        }
    }

    /// The ACK to the leg that made a late offer, with the answer that its 2xx is owed (RFC 3261 13.2.2.4).
    pub(in crate::b2bua) fn answer_late_offer(&mut self, env: &mut Env<'_>, from: Side, sent: TransactionId) {
        let now = env.cx.now.mono;
        let described = self.media(from).and_then(|m| m.described.clone()).unwrap_or_default();
        self.lend(from.other());
        let answer = self.media(from.other()).and_then(|m| m.session.make_answer(now, &described).ok());
        if let Some(leg) = self.leg(from.other()) {
            leg.acknowledge_transaction(env.cx, sent, answer);
        }
    }

    fn carry_exchange_answer(&mut self, env: &mut Env<'_>, tables: &mut Tables, from: Side, response: &Message) {
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
            _ if self.exchange.as_ref().is_some_and(|e| e.asked.is_none()) => self.own_exchange_over(env, tables),
            Some(described) => self.answer_exchange(env, tables, from, &described),
            None => self.reject_exchange(env, 488),
        }
    }
}
