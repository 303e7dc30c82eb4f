//! REFER that goes on to the other leg, where the referrer's profile says `pass` and that peer takes REFER: it calls the target itself, and
//! what it tells of that comes back. A REFER with Replaces names dialogs of the node and is never passed.

use crate::b2bua::call::{Call, Side};
use crate::b2bua::within::Asked;
use crate::b2bua::{Env, Tables, transfer, write};
use crate::context::Owner;
use ringfort_sip::message::{HeaderName, Message, Method, NameAddr};
use ringfort_sip::transaction::TransactionId;
use ringfort_sip::uri::Uri;

/// A REFER that the other leg's peer is asked to follow. Does not outlive the process: the call goes on as it is.
pub(crate) struct Passed {
    /// Whence it came.
    from: Side,
    /// The REFER while it is unanswered.
    pub(in crate::b2bua) asked: Option<Asked>,
    sent: TransactionId,
    /// Event of the referrer's NOTIFYs; `None`: it wants none.
    event: Option<String>,
}

impl Passed {
    /// The event of the NOTIFYs that this side gets.
    pub fn told_to(&self, side: Side) -> Option<String> {
        self.event.clone().filter(|_| self.from == side && self.asked.is_none())
    }

    /// The transaction of the REFER sent on.
    pub fn sent_by(&mut self) -> &mut TransactionId {
        &mut self.sent
    }
}

impl Call {
    /// Sends the REFER on. False: the other leg does not take it.
    pub(in crate::b2bua) fn pass_refer(&mut self, env: &mut Env<'_>, side: Side, asked: &Asked, number: &str) -> bool {
        let (owner, referrer) = (Owner::Call(self.id), self.name_of(side));
        let Some(leg) = self.leg(side.other()).filter(|leg| leg.is_confirmed() && leg.abilities.refer) else { return false };
        let host = leg.dialog.as_ref().and_then(|dialog| host_of(&dialog.local));
        let host = host.unwrap_or_else(|| env.cx.own.at(&leg.hop).host());
        let hop = leg.next_hop();
        let contact = write::contact(env.cx, &hop);
        let Some(refer) = leg.inside(env.cx, &Method::Refer) else { return false };
        let named = asked.request.header(HeaderName::ReferredBy).is_some();
        let referred_by = named.then(|| format!("<sip:{}@{host}>", write::user(&referrer)));
        let event = transfer::event_of(&asked.request);
        let refer = self.with_proof(env.cx, side.other(), refer, &asked.request);
        let octets = refer
            .header(HeaderName::Contact, contact)
            .header(HeaderName::ReferTo, format_args!("<sip:{}@{host}>", write::user(number)))
            .header_if(HeaderName::ReferredBy, referred_by)
            .header_if(HeaderName::ReferSub, event.is_none().then_some("false"))
            .header(HeaderName::Supported, crate::SUPPORTED)
            .build();
        let Some(leg) = self.leg(side.other()) else { return false };
        let Some(sent) = leg.send_inside(env.cx, hop, octets, owner) else { return false };
        let asked = Asked { id: asked.id, hop: asked.hop, request: asked.request.clone() };
        self.passed = Some(Passed { from: side, asked: Some(asked), sent, event });
        self.write_down(env);
        true
    }

    /// The other leg's answer. False: that was none.
    pub(in crate::b2bua) fn passed_answered(
        &mut self,
        env: &mut Env<'_>,
        tables: &mut Tables,
        id: TransactionId,
        (status, response): (u16, Option<&Message>),
    ) -> bool {
        let Some(passed) = self.passed.as_mut().filter(|passed| passed.sent == id) else { return false };
        if status < 200 {
            return true;
        }
        let (from, silent, asked) = (passed.from, passed.event.is_none(), passed.asked.take());
        let Some(asked) = asked else { return true };
        if (200..300).contains(&status) {
            let mut headers = vec![(HeaderName::Contact, write::contact(env.cx, &asked.hop))];
            headers.extend(silent.then(|| (HeaderName::ReferSub, "false".to_string())));
            asked.reply(env, 202, &headers);
            self.passed = self.passed.take().filter(|_| !silent);
            return true;
        }
        self.passed = None;
        match status {
            // It does not take REFER after all: the node follows it.
            405 | 420 | 501 => {
                if let Some(leg) = self.leg(from.other()) {
                    leg.abilities.refer = false;
                }
                self.refer(env, tables, from, &asked, None);
            }
            401 | 407 => match response.and_then(|response| self.challenge_for(from, response)) {
                Some(challenge) => asked.reply(env, status, &challenge),
                None => asked.reply(env, 502, &[]),
            },
            _ => asked.reply(env, status, &[]),
        }
        true
    }

    /// NOTIFY of the other leg about the REFER: its status line goes on to the referrer. False: nobody asked for it.
    pub(in crate::b2bua) fn passed_news(&mut self, env: &mut Env<'_>, side: Side, asked: &Asked) -> bool {
        let event = asked.request.header(HeaderName::Event).unwrap_or_default();
        let is_refer = event.split(';').next().is_some_and(|package| package.trim().eq_ignore_ascii_case("refer"));
        let Some(passed) = self.passed.as_ref().filter(|passed| is_refer && passed.from == side.other()) else { return false };
        let (from, event) = (passed.from, passed.event.clone().unwrap_or_default());
        asked.reply(env, 200, &[]);
        // News of a REFER say that it was accepted, should the answer be lost (RFC 6665 4.1.2.1).
        if let Some(refer) = self.passed.as_mut().and_then(|passed| passed.asked.take()) {
            refer.reply(env, 202, &[(HeaderName::Contact, write::contact(env.cx, &refer.hop))]);
        }
        let state = asked.request.header(HeaderName::SubscriptionState).unwrap_or_default();
        let over = state.trim_start().get(..10).is_some_and(|start| start.eq_ignore_ascii_case("terminated"));
        let status = status_in(asked.request.body());
        if let Some(status) = status {
            self.notify(env, from, &event, over, (status, ringfort_sip::status::reason(status)));
        }
        if over {
            self.passed = None;
        }
        true
    }
}

/// The host of an address.
fn host_of(address: &str) -> Option<String> {
    let uri = NameAddr::parse(address).ok()?.uri;
    Uri::parse(uri).ok().map(|uri| uri.host.to_string()).filter(|host| !host.ends_with(".invalid"))
}

/// The status of a sipfrag's first line (RFC 3420).
fn status_in(body: &[u8]) -> Option<u16> {
    let line = body.split(|octet| *octet == b'\r' || *octet == b'\n').next()?;
    let status = std::str::from_utf8(line.strip_prefix(b"SIP/2.0 ")?.get(..3)?).ok()?.parse().ok()?;
    (100..700).contains(&status).then_some(status)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_status_is_read() {
        assert_eq!(status_in(b"SIP/2.0 180 At gw1.inside\r\nTo: <sip:a@b>\r\n"), Some(180));
        for body in [&b""[..], b"SIP/2.0 99", b"SIP/2.0 999 x", b"SIP/2.0 7\xff0", b"HTTP/1.1 200 OK"] {
            assert_eq!(status_in(body), None, "{body:?}");
        }
    }
}
