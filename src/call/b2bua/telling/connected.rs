//! Connected identity (RFC 4916, RFC 5876): each party is told who sits at the other end, in the answers to its INVITE and whenever that
//! changes: by the peer's own word, by a transfer, by a device that takes over. What is told follows the profile and the trust as with
//! callers; a device of the house is told as well, since it only shows it. Who wants to stay unknown is told to trusted peers alone.

use crate::b2bua::Env;
use crate::b2bua::call::{Call, Leg, Phase, Request, Side};
use crate::b2bua::exchange::Offer;
use crate::b2bua::people::{self, Person, Wish};
use crate::config::{IdentityField, Privacy, Snapshot};
use crate::context::Context;
use crate::route::{self, Source, Target};
use ringfort_base::Hop;
use ringfort_sip::dialog::Dialog;
use ringfort_sip::message::{Builder, HeaderName, Message, NameAddr};
use ringfort_sip::uri::Uri;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Header fields about a party.
pub(in crate::b2bua) type Fields = Vec<(HeaderName, String)>;

/// Host of who is hidden (RFC 3323 4.1.1.3).
const NOWHERE: &str = "anonymous.invalid";

/// Who sits at a leg.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Connected {
    user: String,
    /// Empty: none.
    name: String,
    /// The node knows, or a trusted peer says so.
    asserted: bool,
    /// It wants to stay unknown.
    private: bool,
}

/// Who is told.
pub(in crate::b2bua) struct Listener<'a> {
    pub party: &'a Source,
    pub hop: &'a Hop,
    /// The node's own address within the dialog.
    pub local: &'a str,
}

impl Connected {
    /// An account is who it is.
    fn account(snapshot: &Snapshot, user: &str, private: bool) -> Connected {
        let name = snapshot.accounts.get(user).map(|account| account.display_name.clone()).unwrap_or_default();
        Connected { user: user.to_string(), name, asserted: true, private }
    }

    /// Whoever sends this INVITE.
    pub fn of_caller(snapshot: &Snapshot, asked: &Request, invite: &Message) -> Connected {
        let claimed = Connected {
            user: asked.from.clone(),
            name: asked.from_name.clone(),
            asserted: false,
            private: Wish::of(invite).hides(),
        };
        match asked.source {
            Source::Account(_) => Connected { asserted: true, ..claimed },
            _ => claimed.heard(snapshot, &asked.source, invite),
        }
    }

    /// Whoever a target stands for, before it says anything.
    pub fn of_target(snapshot: &Snapshot, target: &Target) -> Option<Connected> {
        match target {
            Target::Device { user, .. } | Target::Extension(user) => Some(Connected::account(snapshot, user, false)),
            Target::Trunk { number, .. } | Target::Cloud { number } => {
                Some(Connected { user: number.clone(), name: String::new(), asserted: false, private: false })
            }
            Target::Service(_) => None,
        }
    }

    /// The same after a message of its side: a trusted peer may name somebody else.
    pub fn heard(mut self, snapshot: &Snapshot, party: &Source, message: &Message) -> Connected {
        if message.header(HeaderName::Privacy).is_some() {
            self.private = Wish::of(message).hides();
        }
        match people::asserted_by(snapshot, party, message) {
            Some(Person { user, name }) => Connected { user, name, asserted: true, ..self },
            None => self,
        }
    }

    /// User part and name, as far as known.
    pub fn person_told(&self) -> (&str, &str) {
        (&self.user, &self.name)
    }

    /// The same for somebody who may not see who wants to stay unknown.
    pub fn person_shown(&self) -> (&str, &str) {
        if self.private { ("", "") } else { self.person_told() }
    }

    fn person(&self, snapshot: &Snapshot, of: Option<&Source>, listener: &Source) -> Person {
        let user = match (listener, of) {
            (Source::Trunk(name), Some(source @ Source::Account(_))) => route::presented(snapshot, name, source, &self.user),
            _ => self.user.clone(),
        };
        Person { user, name: self.name.clone() }
    }
}

/// Whom a target stands for.
pub(in crate::b2bua) fn party_of(target: &Target) -> Option<Source> {
    match target {
        Target::Device { user, .. } | Target::Extension(user) => Some(Source::Account(user.clone())),
        Target::Trunk { name, .. } => Some(Source::Trunk(name.clone())),
        Target::Cloud { .. } => Some(Source::Cloud),
        Target::Service(_) => None,
    }
}

/// What a listener is told of a party, in fields and in From.
pub(in crate::b2bua) struct Telling {
    pub fields: Fields,
    pub from: String,
}

pub(in crate::b2bua) fn telling(
    cx: &Context,
    snapshot: &Snapshot,
    who: &Connected,
    of: Option<&Source>,
    side: Side,
    to: &Listener<'_>,
) -> Telling {
    let profile = cx.profile_at(to.hop, None);
    let (trusted, device) = (people::trusts_source(snapshot, to.party), matches!(to.party, Source::Account(_)));
    if who.private && !trusted && profile.privacy == Privacy::Apply {
        return Telling { fields: Vec::new(), from: format!("\"Anonymous\" <sip:anonymous@{NOWHERE}>") };
    }
    let address = NameAddr::parse(to.local).ok().and_then(|address| Uri::parse(address.uri).ok());
    let host = address.map(|uri| uri.host.to_string()).filter(|host| host != NOWHERE);
    let from = who.person(snapshot, of, to.party).at(&host.unwrap_or_else(|| cx.own.at(to.hop).host()));
    let believed = (trusted && who.asserted) || device;
    let field = match profile.identity {
        IdentityField::Pai if believed => Some((HeaderName::PAssertedIdentity, from.clone())),
        IdentityField::Ppi if who.asserted => Some((HeaderName::PPreferredIdentity, from.clone())),
        IdentityField::Rpid if believed => {
            let party = if side == Side::Caller { "calling" } else { "called" };
            let (screen, privacy) = (if who.asserted { "yes" } else { "no" }, if who.private { "full" } else { "off" });
            Some((HeaderName::RemotePartyId, format!("{from};party={party};screen={screen};privacy={privacy}")))
        }
        _ => None,
    };
    let wish = (who.private && field.is_some()).then(|| (HeaderName::Privacy, "id".to_string()));
    Telling { fields: field.into_iter().chain(wish).collect(), from }
}

/// Adds the fields.
pub(in crate::b2bua) fn with(builder: Builder, fields: &Fields) -> Builder {
    fields.iter().fold(builder, |builder, (name, value)| builder.header(*name, value))
}

impl Call {
    pub(in crate::b2bua) fn terms(&self, cx: &Context) -> Arc<Snapshot> {
        self.snapshot.clone().unwrap_or_else(|| cx.snapshot.clone())
    }

    /// Who sits at this side's leg.
    pub(in crate::b2bua) fn connected(&mut self, cx: &Context, side: Side) -> Option<Connected> {
        if let Some(known) = self.leg(side).and_then(|leg| leg.connected.clone()) {
            return Some(known);
        }
        let user = self.name_of(side);
        match self.party(side)? {
            Source::Account(user) => Some(Connected::account(&self.terms(cx), &user, false)),
            _ => Some(Connected { user, name: String::new(), asserted: false, private: false }),
        }
    }

    fn telling(&mut self, cx: &Context, who: &Connected, of: Option<&Source>, to: Side) -> Option<Telling> {
        let (party, snapshot) = (self.party(to)?, self.terms(cx));
        let leg = self.leg(to)?;
        let local = leg.dialog.as_ref().map(|dialog| dialog.local.as_str()).unwrap_or_default();
        let listener = Listener { party: &party, hop: &leg.hop, local };
        Some(telling(cx, &snapshot, who, of, to.other(), &listener))
    }

    /// What the peer of this side is told of the other one.
    pub(in crate::b2bua) fn told_of_other(&mut self, cx: &Context, to: Side) -> Fields {
        let (who, of) = (self.connected(cx, to.other()), self.party(to.other()));
        who.and_then(|who| self.telling(cx, &who, of.as_ref(), to)).map(|telling| telling.fields).unwrap_or_default()
    }

    /// What the caller is told of this branch, which says something.
    pub(in crate::b2bua) fn told_of_branch(&mut self, cx: &Context, no: u32, response: &Message) -> Fields {
        let snapshot = self.terms(cx);
        let Some(branch) = self.asking.branch(no) else { return Fields::new() };
        branch.leg.hears_who(&snapshot, party_of(&branch.target), response);
        self.fields_of_branch(cx, no)
    }

    /// The same by what is known of it.
    pub(in crate::b2bua) fn fields_of_branch(&mut self, cx: &Context, no: u32) -> Fields {
        let Some(branch) = self.asking.branch(no) else { return Fields::new() };
        let (who, of) = (branch.leg.connected.clone(), party_of(&branch.target));
        who.and_then(|who| self.telling(cx, &who, of.as_ref(), Side::Caller)).map(|telling| telling.fields).unwrap_or_default()
    }

    /// A message of this side's peer may say who sits there now. True: somebody else than before.
    pub(in crate::b2bua) fn hears_who(&mut self, cx: &Context, side: Side, message: &Message) -> bool {
        let (before, party, snapshot) = (self.connected(cx, side), self.party(side), self.terms(cx));
        let Some(leg) = self.leg(side) else { return false };
        leg.connected.clone_from(&before);
        leg.hears_who(&snapshot, party, message);
        leg.connected != before
    }

    /// A request to this side names who sits at the other one: in From too where the peer takes that (RFC 4916 4.3).
    pub(in crate::b2bua) fn present(&mut self, cx: &Context, to: Side) -> Fields {
        let (who, of) = (self.connected(cx, to.other()), self.party(to.other()));
        let Some(telling) = who.and_then(|who| self.telling(cx, &who, of.as_ref(), to)) else { return Fields::new() };
        if let Some(leg) = self.leg(to).filter(|leg| leg.abilities.from_change)
            && let Some(dialog) = &mut leg.dialog
        {
            dialog.local = format!("{};tag={}", telling.from, dialog.id.local_tag);
        }
        telling.fields
    }

    /// Tells this side's peer who sits at the other one now.
    pub(in crate::b2bua) fn tell_who(&mut self, env: &mut Env<'_>, to: Side) {
        let takes_from = self.leg(to).is_some_and(|leg| leg.abilities.from_change);
        if self.phase != Phase::Connected || (!takes_from && self.told_of_other(env.cx, to).is_empty()) {
            return;
        }
        if self.leg(to).is_some_and(|leg| leg.abilities.update) {
            self.update(env, to);
        } else if let Some(exchange) = &mut self.exchange {
            exchange.then = Some(to);
        } else {
            self.begin_own(env, to, Offer::Refresh);
        }
    }
}

impl Leg {
    /// What its peer says of who sits there. An account is who it is.
    pub(in crate::b2bua) fn hears_who(&mut self, snapshot: &Snapshot, party: Option<Source>, message: &Message) {
        let (Some(before), Some(party)) = (self.connected.clone(), party) else { return };
        let before = match self.dialog.as_mut().filter(|_| self.abilities.from_change && message.is_request()) {
            Some(dialog) => renamed(dialog, &party, message, before),
            None => before,
        };
        self.connected = Some(before.heard(snapshot, &party, message));
    }
}

/// The peer calls itself something else in From, as RFC 4916 4.4.2 lets it.
fn renamed(dialog: &mut Dialog, party: &Source, message: &Message, before: Connected) -> Connected {
    let address =
        |value: &str| NameAddr::parse(value).ok().map(|a| (a.uri.to_string(), a.display_name().map(|n| n.into_owned())));
    let Some(from) = message.header(HeaderName::From).filter(|from| address(from) != address(&dialog.remote)) else {
        return before;
    };
    dialog.remote = from.to_string();
    match people::person(from).filter(|_| !matches!(party, Source::Account(_))) {
        Some(Person { user, name }) => Connected { user, name, asserted: false, ..before },
        None => before,
    }
}

/// Whoever takes a leg over.
pub(in crate::b2bua) fn of_newcomer(snapshot: &Snapshot, source: &Source, invite: &Message) -> Option<Connected> {
    let private = Wish::of(invite).hides();
    let claimed = match source {
        Source::Account(user) => return Some(Connected::account(snapshot, user, private)),
        _ => people::person(invite.header(HeaderName::From)?)?,
    };
    let claimed = Connected { user: claimed.user, name: claimed.name, asserted: false, private };
    Some(claimed.heard(snapshot, source, invite))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::Service;

    #[test]
    fn a_target_is_known_by_what_it_was_called() {
        let snapshot = Snapshot::load("t", "", &mut |_| None).expect("sound");
        let trunk = Target::Trunk { name: "a".into(), number: "0123".into() };
        let who = Connected::of_target(&snapshot, &trunk).expect("somebody");
        assert!(who.user == "0123" && !who.asserted);
        assert!(Connected::of_target(&snapshot, &Target::Service(Service::Echo)).is_none());
        assert_eq!(party_of(&trunk), Some(Source::Trunk("a".into())));
    }
}
