//! Requests that concern the people and not the call: INFO (RFC 6086) and MESSAGE (RFC 3428) inside a dialog. The other leg gets
//! their body as it is; its answer comes back.

use crate::b2bua::call::{Call, Side};
use crate::b2bua::ending::Cause;
use crate::b2bua::within::Asked;
use crate::b2bua::{Env, Tables, write};
use crate::context::Owner;
use ringfort_base::limits;
use ringfort_sip::message::{Builder, HeaderName, Message, Method};
use ringfort_sip::transaction::TransactionId;

/// Header fields that describe the body.
const OF_BODY: [HeaderName; 4] =
    [HeaderName::ContentType, HeaderName::ContentDisposition, HeaderName::ContentLanguage, HeaderName::ContentEncoding];
/// Header fields of a refusal that its sender needs.
const OF_REFUSAL: [HeaderName; 3] = [HeaderName::Accept, HeaderName::AcceptEncoding, HeaderName::RecvInfo];

/// A request on its way through the call.
pub(crate) struct Relayed {
    from: Side,
    id: TransactionId,
    request: Message,
    sent: TransactionId,
}

impl Relayed {
    /// The transaction that it went on in.
    pub fn sent_by(&mut self) -> &mut TransactionId {
        &mut self.sent
    }
}

impl Call {
    /// INFO or MESSAGE from `side`.
    pub(in crate::b2bua) fn relay(&mut self, env: &mut Env<'_>, side: Side, asked: Asked) {
        if let Some((status, headers)) = self.not_relayable(&asked) {
            return asked.reply(env, status, &headers);
        }
        let owner = Owner::Call(self.id);
        let Some(leg) = self.leg(side.other()).filter(|leg| leg.is_confirmed()) else {
            return asked.reply(env, 415, &[(HeaderName::Accept, "application/sdp".into())]);
        };
        let hop = leg.next_hop();
        let Some(request) = leg.inside(env.cx, &asked.request.method()) else { return asked.reply(env, 481, &[]) };
        let request = self.with_proof(env.cx, side.other(), request, &asked.request);
        let octets = with_body(request, &asked.request).build();
        let Some(leg) = self.leg(side.other()) else { return asked.reply(env, 481, &[]) };
        match leg.send_inside(env.cx, hop, octets, owner) {
            Some(sent) => self.remember_relayed(side, &asked, sent),
            None => asked.reply(env, 503, &[]),
        }
    }

    /// Why it is not passed on, whoever is at the other end; late candidates are taken here.
    pub(in crate::b2bua) fn not_relayable(&self, asked: &Asked) -> Option<(u16, Vec<(HeaderName, String)>)> {
        if asked.request.body().len() > limits::PASSED_BODY_MAX {
            return Some((413, Vec::new()));
        }
        if write::is_trickle(&asked.request) {
            return Some((200, Vec::new()));
        }
        if asked.request.header(HeaderName::InfoPackage).is_some() {
            // RFC 6086 4.2.2: the node has named no other package in Recv-Info, so none may be sent.
            return Some((469, vec![(HeaderName::RecvInfo, write::TRICKLE.into())]));
        }
        let full = self.relayed.len() >= limits::CALL_RELAYED_MAX;
        full.then(|| (500, vec![(HeaderName::RetryAfter, "1".into())]))
    }

    /// It went on in this transaction.
    pub(in crate::b2bua) fn remember_relayed(&mut self, from: Side, asked: &Asked, sent: TransactionId) {
        self.relayed.push(Relayed { from, id: asked.id, request: asked.request.clone(), sent });
    }

    fn take_relayed(&mut self, sent: TransactionId) -> Option<Relayed> {
        let index = self.relayed.iter().position(|relayed| relayed.sent == sent)?;
        Some(self.relayed.swap_remove(index))
    }

    /// The other leg's answer to one of these. False: that was none.
    pub(in crate::b2bua) fn relay_answered(
        &mut self,
        env: &mut Env<'_>,
        tables: &mut Tables,
        sent: TransactionId,
        response: &Message,
    ) -> bool {
        let status = response.status().unwrap_or(500);
        if status < 200 {
            return self.relayed.iter().any(|relayed| relayed.sent == sent);
        }
        let Some(relayed) = self.take_relayed(sent) else { return false };
        let challenge = self.challenge_for(relayed.from, response);
        let status = match status {
            // It is not the other side's to answer.
            401 | 407 if challenge.is_none() => 502,
            _ => status,
        };
        let reply = Builder::reply(&relayed.request, status, write::own_phrase(response.reason()), None);
        let reply = reply.header_if(HeaderName::Allow, (status == 405).then_some(crate::ALLOW));
        let reply = OF_REFUSAL.iter().filter(|_| status >= 300).fold(reply, |reply, name| reply.copy(response, *name));
        let reply = challenge.iter().flatten().fold(reply, |reply, (name, value)| reply.header(*name, value));
        env.cx.respond(relayed.id, reply.build());
        if status == 481 && self.answered.is_some() {
            // RFC 5057 5.1: the peer knows nothing of this dialog any more.
            self.end(env, tables, Cause { released_by: Some(relayed.from.other()), ..Cause::named(status, "peer-gone") });
        }
        true
    }

    /// The call ends: whoever waits for the other leg's answer has its own (RFC 3261 15.1.2), for none will come any more.
    pub(in crate::b2bua) fn answer_waiting(&mut self, env: &mut Env<'_>) {
        for relayed in std::mem::take(&mut self.relayed) {
            env.cx.respond(relayed.id, Builder::reply(&relayed.request, 487, None, None).build());
        }
        if let Some(asked) = self.passed.as_mut().and_then(|passed| passed.asked.take()) {
            asked.reply(env, 487, &[]);
        }
    }

    /// The other leg does not answer one of these. False: that was none.
    pub(in crate::b2bua) fn relay_failed(&mut self, env: &mut Env<'_>, sent: TransactionId) -> bool {
        let Some(relayed) = self.take_relayed(sent) else { return false };
        env.cx.respond(relayed.id, Builder::reply(&relayed.request, 408, None, None).build());
        true
    }
}

pub(crate) fn with_body(request: Builder, from: &Message) -> Builder {
    let request = OF_BODY.iter().skip(1).fold(request, |request, name| request.copy(from, *name));
    match from.header(HeaderName::ContentType) {
        Some(kind) => request.body(kind, from.body()),
        None => request,
    }
}

/// Whether the method goes through the call unread.
pub(in crate::b2bua) fn is_passed(method: &Method) -> bool {
    matches!(method, Method::Info | Method::Message)
}
