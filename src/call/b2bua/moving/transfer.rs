//! REFER inside a dialog (RFC 3515, RFC 5589), handled by the node: whoever refers need not trust the other end to do it. The number in
//! Refer-To is dialled on behalf of the referrer, by the one evaluator; NOTIFYs tell how it goes; when the target answers, the remaining
//! party is joined to it. [`crate::b2bua::join`] moves legs between calls.

use crate::b2bua::call::{Call, Leg, Phase, Side};
use crate::b2bua::ending::Cause;
use crate::b2bua::within::Asked;
use crate::b2bua::{Env, Tables, media, write};
use crate::config::Handling;
use crate::context::Owner;
use crate::route::Source;
use ringfort_base::CallId;
use ringfort_sip::dialog::Dialog;
use ringfort_sip::message::{HeaderName, Message, Method, NameAddr};
use ringfort_sip::transaction::TransactionId;
use ringfort_sip::uri::{self, Scheme, Uri};

/// Seconds that the subscription of a REFER lasts: longer than anything rings.
pub(in crate::b2bua) const SUBSCRIPTION_S: u32 = 300;

/// A transfer under way. Does not outlive the process: the call goes on then as it was.
pub(crate) struct Transfer {
    /// Who asked for it.
    pub referrer: Side,
    /// Event of its NOTIFYs; `None`: it wants none (RFC 4488), or is gone.
    event: Option<String>,
    /// The status that it was told last.
    told: u16,
    /// The call that asks the target.
    pub target: Option<CallId>,
    /// That call was the referrer's, who consulted the target by it.
    pub consulted: bool,
    /// The last NOTIFY.
    notified: Option<TransactionId>,
    /// The dialog of a REFER that came outside the call's (RFC 4538): its NOTIFYs go there.
    apart: Option<Dialog>,
    /// The target rings.
    rings: bool,
    /// The parties are joined; the referrer is released as soon as it knows.
    pub done: bool,
}

impl Transfer {
    /// The party of this side waits for a target that rings.
    pub fn rings_for(&self, side: Side) -> bool {
        self.rings && !self.done && self.referrer != side
    }

    /// The transaction of its last NOTIFY.
    pub fn notified_by(&mut self) -> Option<&mut TransactionId> {
        self.notified.as_mut()
    }
}

/// What the tables do after the call was put back: it concerns two calls.
pub(in crate::b2bua) enum Deferred {
    /// Dial for the remaining party of this call.
    Dial(CallId, Dialled),
    /// Join the remaining party of this call to the other side of that leg.
    Attend { call: CallId, dialog: Replaces, asker: Option<Source> },
    /// The call is wanted no more.
    GiveUp(CallId),
}

/// A target of a blind transfer.
pub(in crate::b2bua) struct Dialled {
    pub number: String,
    /// By whose rights.
    pub source: Source,
    /// The referrer's user part.
    pub from: String,
    /// Referred-By, where the referrer wants to be named (RFC 3892).
    pub referred_by: Option<String>,
}

/// Replaces (RFC 3891 6.1), in a header field or in a URI.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::b2bua) struct Replaces {
    pub call_id: String,
    /// Tag of whoever receives it: the node's.
    pub to_tag: String,
    /// Tag of the peer.
    pub from_tag: String,
    /// Only a dialog that is not confirmed.
    pub early_only: bool,
}

impl Replaces {
    /// Reads a value.
    pub fn parse(value: &str) -> Option<Replaces> {
        let mut parts = value.split(';').map(str::trim);
        let call_id = parts.next().filter(|id| !id.is_empty())?.to_string();
        let mut found = Replaces { call_id, to_tag: String::new(), from_tag: String::new(), early_only: false };
        for part in parts {
            match part.split_once('=').unwrap_or((part, "")) {
                ("to-tag", tag) => found.to_tag = tag.to_string(),
                ("from-tag", tag) => found.from_tag = tag.to_string(),
                ("early-only", _) => found.early_only = true,
                _ => {}
            }
        }
        (!found.to_tag.is_empty() && !found.from_tag.is_empty()).then_some(found)
    }
}

/// Number and Replaces of a Refer-To, or the status of the refusal.
fn refer_to(request: &Message) -> Result<(String, Option<Replaces>), u16> {
    let mut values = request.values(HeaderName::ReferTo);
    let (Some(value), None) = (values.next(), values.next()) else { return Err(400) };
    let uri = NameAddr::parse(value).ok().and_then(|address| Uri::parse(address.uri).ok()).ok_or(400u16)?;
    if !matches!(uri.scheme, Scheme::Sip | Scheme::Sips | Scheme::Tel) {
        return Err(416);
    }
    if uri.param("method").is_some_and(|method| !method.eq_ignore_ascii_case("INVITE")) {
        return Err(501);
    }
    let header = uri.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("Replaces"));
    let replaces = header.map(|(_, value)| Replaces::parse(&uri::unescape(value)).ok_or(400u16)).transpose()?;
    let number = uri.dialled().map(|number| number.into_owned()).unwrap_or_default();
    if number.is_empty() && replaces.is_none() { Err(400) } else { Ok((number, replaces)) }
}

/// Event of the NOTIFYs about this REFER (RFC 3515 2.4.6). `None`: it wants none (RFC 4488).
pub(in crate::b2bua) fn event_of(refer: &Message) -> Option<String> {
    let silent = refer.header(HeaderName::ReferSub).is_some_and(|v| v.trim().eq_ignore_ascii_case("false"));
    (!silent).then(|| format!("refer;id={}", refer.cseq().map_or(0, |(number, _)| number)))
}

impl Call {
    /// Whom this leg belongs to.
    pub(in crate::b2bua) fn party(&self, side: Side) -> Option<Source> {
        let leg = if side == Side::Caller { Some(&self.caller) } else { self.callee.as_ref() };
        self.party_at(side, leg?)
    }

    /// REFER from `side`.
    pub(in crate::b2bua) fn referred(&mut self, env: &mut Env<'_>, tables: &mut Tables, side: Side, asked: &Asked) {
        self.refer(env, tables, side, asked, None);
    }

    /// The same, where the REFER may have a dialog of its own.
    pub(in crate::b2bua) fn refer(
        &mut self,
        env: &mut Env<'_>,
        tables: &mut Tables,
        side: Side,
        asked: &Asked,
        apart: Option<Dialog>,
    ) {
        let (number, replaces) = match refer_to(&asked.request) {
            Ok(found) => found,
            Err(status) => return asked.reply_within(env, status, apart.as_ref(), &[]),
        };
        if self.phase != Phase::Connected || self.transfer.is_some() || self.passed.is_some() {
            return asked.reply_within(env, 491, apart.as_ref(), &[]);
        }
        let policy = env.cx.profile_at(&asked.hop, None).refer;
        match policy {
            Handling::Refuse => return asked.reply_within(env, 603, apart.as_ref(), &[]),
            Handling::Pass if replaces.is_none() && apart.is_none() && self.pass_refer(env, side, asked, &number) => return,
            Handling::Node | Handling::Pass => {}
        }
        let remains = self.leg(side.other()).is_some_and(|leg| leg.is_confirmed());
        let Some(source) = self.party(side).filter(|_| remains) else {
            return asked.reply_within(env, 403, apart.as_ref(), &[]);
        };
        let event = event_of(&asked.request);
        let silent = event.is_none();
        let hop = self.leg(side).map(|leg| leg.hop).unwrap_or(asked.hop);
        let mut headers = vec![(HeaderName::Contact, write::contact(env.cx, &hop))];
        headers.extend(silent.then(|| (HeaderName::ReferSub, "false".to_string())));
        asked.reply_within(env, 202, apart.as_ref(), &headers);
        self.transfer = Some(Transfer {
            referrer: side,
            event,
            told: 100,
            target: None,
            consulted: false,
            notified: None,
            apart,
            rings: false,
            done: false,
        });
        self.tell_referrer(env, 100, "Trying");
        let from = match &source {
            Source::Account(user) => user.clone(),
            _ => self.name_of(side),
        };
        tables.deferred.push(match replaces {
            Some(dialog) => Deferred::Attend { call: self.id, dialog, asker: Some(source) },
            None => {
                let wanted = asked.request.header(HeaderName::ReferredBy).is_some();
                let referred_by = wanted.then(|| format!("<sip:{}@{}>", write::user(&from), env.cx.snapshot.node.domain));
                Deferred::Dial(self.id, Dialled { number, source, from, referred_by })
            }
        });
    }

    /// The user part by which the party of a leg is known.
    pub(in crate::b2bua) fn name_of(&mut self, side: Side) -> String {
        match side {
            Side::Caller => self.asked.from.clone(),
            Side::Callee => self.asked.number.clone(),
        }
    }

    /// NOTIFY: what the target said, as a status line (RFC 3515 2.4.5). A final one ends the subscription.
    pub(in crate::b2bua) fn tell_referrer(&mut self, env: &mut Env<'_>, status: u16, reason: &str) {
        let Some((side, Some(event))) = self.transfer.as_ref().map(|t| (t.referrer, t.event.clone())) else { return };
        let sent = self.notify(env, side, &event, status >= 200, (status, reason));
        if let Some(transfer) = &mut self.transfer {
            (transfer.notified, transfer.told) = (sent, status);
        }
    }

    /// What this side is told of its REFER: the subscription's event, and the status last told. `None`: nothing.
    pub(in crate::b2bua) fn news_of_refer(&self, side: Side) -> Option<(String, u16)> {
        let own = self.transfer.as_ref().filter(|transfer| transfer.referrer == side && transfer.apart.is_none());
        match own {
            Some(transfer) => Some((transfer.event.clone()?, transfer.told)),
            None => Some((self.passed.as_ref()?.told_to(side)?, 100)),
        }
    }

    /// This side wants to hear no more of its REFER.
    pub(in crate::b2bua) fn tell_no_more(&mut self, side: Side) {
        if let Some(transfer) = self.transfer.as_mut().filter(|transfer| transfer.referrer == side) {
            transfer.event = None;
        }
        if self.passed.as_ref().is_some_and(|passed| passed.told_to(side).is_some()) {
            self.passed = None;
        }
    }

    /// One NOTIFY to this side's peer, in the dialog that its REFER came by.
    pub(in crate::b2bua) fn notify(
        &mut self,
        env: &mut Env<'_>,
        side: Side,
        event: &str,
        last: bool,
        (status, reason): (u16, &str),
    ) -> Option<TransactionId> {
        let owner = Owner::Call(self.id);
        let state = match last {
            false => format!("active;expires={SUBSCRIPTION_S}"),
            true => "terminated;reason=noresource".to_string(),
        };
        let mut apart = self.transfer.as_mut().and_then(|transfer| transfer.apart.take());
        let leg = self.leg(side)?;
        let hop = apart.as_ref().map_or_else(|| leg.next_hop(), |dialog| dialog.hop);
        let notify = match &mut apart {
            Some(dialog) => Some(write::inside(env.cx, dialog, &Method::Notify)),
            None => leg.inside(env.cx, &Method::Notify),
        };
        let octets = notify?
            .header(HeaderName::Contact, write::contact(env.cx, &hop))
            .header(HeaderName::Event, event)
            .header(HeaderName::SubscriptionState, state)
            .body("message/sipfrag;version=2.0", format!("SIP/2.0 {status} {reason}\r\n"))
            .build();
        let sent = leg.send_inside(env.cx, hop, octets, owner);
        if let Some(transfer) = &mut self.transfer {
            transfer.apart = apart;
        }
        sent
    }

    /// A NOTIFY was answered, or will not be. False: that was none.
    pub(in crate::b2bua) fn notify_over(
        &mut self,
        env: &mut Env<'_>,
        tables: &mut Tables,
        id: TransactionId,
        status: u16,
    ) -> bool {
        let Some(transfer) = self.transfer.as_mut().filter(|transfer| transfer.notified == Some(id)) else { return false };
        if status < 200 {
            return true;
        }
        transfer.notified = None;
        if status == 481 {
            // RFC 6665 4.4.1: the subscription is gone.
            transfer.event = None;
        }
        if transfer.done {
            self.end(env, tables, Cause::named(200, "transferred"));
        }
        true
    }

    /// The target rings, or whatever it says before its final answer.
    pub(in crate::b2bua) fn transfer_progress(&mut self, env: &mut Env<'_>, status: u16, reason: &str) {
        if status > 100 {
            self.tell_referrer(env, status, reason);
        }
        // Audio of the target's before its answer (183) goes to no party of this call; a tone says as much.
        let begins = |transfer: &&mut Transfer| !transfer.rings && (180..=183).contains(&status);
        if let Some(transfer) = self.transfer.as_mut().filter(begins) {
            transfer.rings = true;
            self.replan(env);
        }
    }

    /// The target did not take the call: it goes on as it was, or ends when the referrer has left.
    pub(in crate::b2bua) fn transfer_failed(&mut self, env: &mut Env<'_>, tables: &mut Tables, status: u16, reason: &str) {
        self.tell_referrer(env, status, reason);
        let Some(transfer) = self.transfer.take() else { return };
        if self.leg(transfer.referrer).is_none_or(|leg| leg.dialog.is_none()) {
            return self.end(env, tables, Cause::named(status, "transfer-failed"));
        }
        if transfer.rings {
            self.replan(env);
        }
    }

    /// The remaining party has left for another call: the referrer is told, and released.
    pub(in crate::b2bua) fn transferred(&mut self, env: &mut Env<'_>, tables: &mut Tables) {
        // What the referrer still says is heard by nobody.
        self.replan(env);
        self.tell_referrer(env, 200, "OK");
        let Some(transfer) = &mut self.transfer else { return };
        transfer.done = true;
        transfer.target = None;
        if transfer.notified.is_none() {
            self.end(env, tables, Cause::named(200, "transferred"));
        }
    }

    /// BYE of the referrer while the target is asked: its leg goes, the other one waits. False: nothing of that kind.
    pub(in crate::b2bua) fn referrer_leaves(&mut self, env: &mut Env<'_>, tables: &mut Tables, side: Side) -> bool {
        let waits = |t: &Transfer| t.referrer == side && !t.done;
        if !self.transfer.as_ref().is_some_and(waits) {
            return false;
        }
        self.withdraw_exchange(env, tables);
        self.reject_exchange(env, 487);
        let Some(leg) = self.leg(side) else { return false };
        let gone = leg.media.take();
        leg.dialog = None;
        leg.session.timer = None;
        let (call_id, tag) = (leg.call_id.clone(), leg.tag.clone());
        tables.dialogs.remove(&(call_id, tag));
        self.watch_session(env, side);
        if let Some(gone) = gone {
            self.left[side as usize] += gone.heard();
            media::close(env, tables, &gone);
            tables.ports.remove(&gone.port);
        }
        self.replan(env);
        true
    }
}

impl Leg {
    /// Whether this is the dialog that Replaces names.
    pub(in crate::b2bua) fn is_named_by(&self, replaces: &Replaces) -> bool {
        self.dialog.as_ref().is_some_and(|dialog| dialog.id.remote_tag == replaces.from_tag)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaces_is_read() {
        let read = Replaces::parse("a@b;from-tag=f;to-tag=t;early-only").expect("sound");
        assert_eq!(
            (read.call_id.as_str(), read.to_tag.as_str(), read.from_tag.as_str(), read.early_only),
            ("a@b", "t", "f", true)
        );
        assert_eq!(Replaces::parse("a@b;from-tag=f"), None);
        assert_eq!(Replaces::parse(";from-tag=f;to-tag=t"), None);
    }
}
