//! Requests inside a dialog: BYE, re-INVITE, OPTIONS; and CANCEL and ACK of the INVITEs that the call answers.

use crate::b2bua::call::{Call, Phase, Side};
use crate::b2bua::ending::Cause;
use crate::b2bua::exchange::Exchange;
use crate::b2bua::{Env, Tables, progress, relayed, write};
use ringfort_base::Hop;
use ringfort_sip::dialog::Dialog;
use ringfort_sip::message::{Builder, HeaderName, Message, Method};
use ringfort_sip::transaction::TransactionId;

/// Whether the request bears the tag of the dialog's peer.
pub(crate) fn is_of(request: &Message, dialog: &Dialog) -> bool {
    request.from().is_ok_and(|from| from.tag().unwrap_or_default() == dialog.id.remote_tag)
}

/// A request inside a dialog.
pub(in crate::b2bua) struct Asked {
    pub id: TransactionId,
    pub hop: Hop,
    pub request: Message,
}

impl Asked {
    /// Answers it without body.
    pub fn reply(&self, env: &mut Env<'_>, status: u16, headers: &[(HeaderName, String)]) {
        self.reply_within(env, status, None, headers);
    }

    /// The same; `dialog` is one that the request founds.
    pub fn reply_within(&self, env: &mut Env<'_>, status: u16, dialog: Option<&Dialog>, headers: &[(HeaderName, String)]) {
        let tag = dialog.map(|dialog| dialog.id.local_tag.as_str());
        let reply = Builder::reply(&self.request, status, None, tag);
        let reply = if tag.is_some() { reply.copy(&self.request, HeaderName::RecordRoute) } else { reply };
        let octets = headers.iter().fold(reply, |b, (name, value)| b.header(*name, value)).build();
        env.cx.respond(self.id, octets);
    }
}

impl Call {
    /// A request inside this side's dialog.
    pub(in crate::b2bua) fn requested(&mut self, env: &mut Env<'_>, tables: &mut Tables, side: Side, asked: Asked) {
        let method = asked.request.method();
        if self.phase == Phase::Ending {
            // Both sides hung up at once: the other's BYE is answered all the same.
            let status = if method == Method::Bye { 200 } else { 481 };
            return asked.reply(env, status, &[]);
        }
        let Some(leg) = self.leg(side) else { return asked.reply(env, 481, &[]) };
        if leg.dialog.as_ref().is_some_and(|dialog| !is_of(&asked.request, dialog)) {
            // RFC 3261 12: both tags name a dialog. Of another branch of a fork, or of somebody who knows only ours.
            return asked.reply(env, 481, &[]);
        }
        if !self.admit(env, side, &asked) {
            return;
        }
        let Some(leg) = self.leg(side) else { return };
        if let Some(dialog) = &mut leg.dialog
            && dialog.accept_request(&asked.request).is_err()
        {
            // RFC 3261 12.2.2: a lower CSeq than one seen before.
            return asked.reply(env, 500, &[(HeaderName::RetryAfter, "1".into())]);
        }
        match method {
            Method::Bye => self.released(env, tables, side, &asked),
            Method::Invite | Method::Update => self.exchanged(env, tables, side, asked),
            Method::Options => asked.reply(
                env,
                200,
                &[
                    (HeaderName::Allow, crate::ALLOW.into()),
                    (HeaderName::Supported, crate::SUPPORTED.into()),
                    (HeaderName::Accept, crate::ACCEPT.into()),
                ],
            ),
            Method::Refer => self.referred(env, tables, side, &asked),
            Method::Notify if self.passed_news(env, side, &asked) => {}
            // RFC 6665: the node has subscribed to nothing else within this dialog, and nobody else can.
            Method::Notify => asked.reply(env, 481, &[]),
            Method::Subscribe if self.refer_watched(env, side, &asked) => {}
            Method::Subscribe => asked.reply(env, 489, &[(HeaderName::AllowEvents, crate::events::ALLOW_EVENTS.into())]),
            // RFC 3262 3: what it acknowledges is long settled.
            Method::Prack => asked.reply(env, 481, &[]),
            _ if self.digit_told(env, side, &asked) || self.picture_told(env, side, &asked) => {}
            _ if relayed::is_passed(&method) => self.relay(env, side, asked),
            _ => asked.reply(env, 405, &[(HeaderName::Allow, crate::ALLOW.into())]),
        }
    }

    /// BYE. In an early dialog the caller's BYE means what its CANCEL would (RFC 3261 15).
    fn released(&mut self, env: &mut Env<'_>, tables: &mut Tables, side: Side, asked: &Asked) {
        asked.reply(env, 200, &[]);
        if self.referrer_leaves(env, tables, side) {
            return;
        }
        let transferred = self.transfer.as_ref().is_some_and(|transfer| transfer.done);
        let cause = if transferred {
            Cause { released_by: Some(side), ..Cause::named(200, "transferred") }
        } else if self.answered.is_some() {
            Cause::normal(side)
        } else {
            Cause::named(487, "cancelled")
        };
        let reason = asked.request.header(HeaderName::Reason).and_then(write::own_value);
        self.lend_proof(env.cx, side.other(), &asked.request);
        self.end(env, tables, Cause { reason, ..cause });
    }

    /// CANCEL of the first INVITE or of a re-INVITE. The transaction layer has answered the CANCEL itself.
    pub(in crate::b2bua) fn cancelled(
        &mut self,
        env: &mut Env<'_>,
        tables: &mut Tables,
        invite: TransactionId,
        cancel: &Message,
    ) {
        if self.invite.as_ref().is_some_and(|i| i.id == invite) {
            self.reject_invite(env, 487, None, &[]);
            // RFC 3326: those who ring are told why, as far as the caller said so.
            let reason = cancel.header(HeaderName::Reason).and_then(write::own_value);
            return self.end(env, tables, Cause { reason, ..Cause::named(487, "cancelled") });
        }
        let of_invite = |e: &Exchange| !e.answered && e.asked.as_ref().is_some_and(|(id, _)| *id == invite);
        if self.exchange.as_ref().is_some_and(of_invite) {
            self.cancel_exchange(env, tables);
        }
    }

    /// ACK of a 2xx: the layer stops repeating it.
    pub(in crate::b2bua) fn acknowledged(&mut self, env: &mut Env<'_>, tables: &mut Tables, side: Side, ack: &Message) {
        let now = env.cx.now.mono;
        let number = ack.cseq().map_or(0, |(number, _)| number);
        let first = self.invites.iter().any(|awaited| awaited.side == side && awaited.cseq == number);
        for awaited in self.invites.extract_if(.., |awaited| awaited.side == side && awaited.cseq == number) {
            env.cx.transactions.ack_received(now, awaited.id);
            tables.invites.remove(&awaited.id);
        }
        if self.phase != Phase::Connected {
            // Its ports are closed: an answer means nothing any more.
            return;
        }
        if first && side == Side::Caller && std::mem::take(&mut self.offered) {
            return self.answered_in_ack(env, tables, ack);
        }
        self.exchange_acknowledged(env, tables, side, ack);
        if first {
            self.share_keys(env);
        }
    }

    /// Who begins another change has the answer to the last one, or has given it up, as when its connection was lost (RFC 3261 14.1: one INVITE at
    /// a time). Its ACK is waited for no longer, unless it is to bear an answer.
    pub(in crate::b2bua) fn no_longer_awaited(&mut self, env: &mut Env<'_>, tables: &mut Tables, side: Side) {
        if self.offered && side == Side::Caller {
            return;
        }
        let now = env.cx.now.mono;
        for awaited in self.invites.extract_if(.., |awaited| awaited.side == side && !awaited.id.is_internal()) {
            env.cx.transactions.ack_received(now, awaited.id);
            tables.invites.remove(&awaited.id);
        }
    }

    /// The ACK of a 2xx that bore the node's own offer (RFC 3261 13.2.2.4). Without a usable answer there is no session.
    fn answered_in_ack(&mut self, env: &mut Env<'_>, tables: &mut Tables, ack: &Message) {
        match self.take_answer(env, tables, progress::sdp_of(ack)) {
            Ok(()) => {
                self.write_down(env);
                self.share_keys(env);
            }
            Err(()) => self.end(env, tables, Cause::named(488, "bad-sdp-in-ack")),
        }
    }

    /// No ACK came (RFC 3261 13.3.1.4): a 2xx that nobody acknowledges ends the call.
    pub(in crate::b2bua) fn unacknowledged(&mut self, env: &mut Env<'_>, tables: &mut Tables, invite: TransactionId) {
        if self.recorder_unacknowledged(env, tables, invite) {
            return;
        }
        let was_accepted = self.invites.extract_if(.., |awaited| awaited.id == invite).next().is_some();
        if self.answered.is_some() && was_accepted {
            self.end(env, tables, Cause::named(408, "no-ack"));
        }
    }
}
