//! What an INVITE tells its target of people: who calls, and whether the caller wants that known (RFC 3323, 3325, 5876). Peers are
//! trusted or not (RFC 3325 2.3); devices never are. [`crate::b2bua::forwarded`] tells who was called before.

use crate::b2bua::call::Request;
use crate::b2bua::{forwarded, write};
use crate::config::{IdentityField, PeerProfile, PeerRef, Privacy, Snapshot};
use crate::context::Context;
use crate::route::{self, Diversion, Source, Target};
use ringfort_base::Hop;
use ringfort_sip::message::{HeaderName, Message, NameAddr};
use ringfort_sip::uri::Uri;

/// Who is told.
pub(crate) struct Listener<'a> {
    pub target: Option<&'a Target>,
    pub hop: &'a Hop,
    /// Domain of From and To.
    pub domain: &'a str,
    /// The node's own forwards that led here, the first one first.
    pub diversions: &'a [Diversion],
}

/// What it is told.
pub(crate) struct Told {
    /// From without its tag.
    pub from: String,
    /// Further fields.
    pub fields: Vec<(HeaderName, String)>,
}

/// Someone by user part and name; an empty name is none.
pub(in crate::b2bua) struct Person {
    pub user: String,
    pub name: String,
}

impl Person {
    pub fn at(&self, domain: &str) -> String {
        let name = crate::rules::quoted(&self.name);
        let name = if name.is_empty() { name } else { format!("\"{name}\" ") };
        format!("{name}<sip:{}@{domain}>", write::user(&self.user))
    }
}

/// From, the identity fields and those of forwards, for one target.
pub(crate) fn tell(cx: &Context, snapshot: &Snapshot, asked: &Request, invite: Option<&Message>, to: &Listener<'_>) -> Told {
    let profile = cx.profile_at(to.hop, None);
    let trusted = is_trusted(snapshot, to.target);
    let wish = invite.map(Wish::of).unwrap_or_default();
    // Whoever answers an emergency call has to know who calls.
    let hidden = wish.hides() && !trusted && profile.privacy == Privacy::Apply && !asked.emergency;
    let caller = caller(snapshot, asked, to.target);
    let mut told = Told { from: "\"Anonymous\" <sip:anonymous@anonymous.invalid>".into(), fields: Vec::new() };
    if !hidden {
        told.from = caller.at(to.domain);
        let wished = invite.into_iter().flat_map(|invite| invite.headers(HeaderName::Privacy));
        told.fields.extend(wished.filter(|value| Wish::is_sound(value)).map(|value| (HeaderName::Privacy, value.to_string())));
        let asserted = invite.and_then(|invite| asserted(snapshot, asked, invite, caller));
        // RFC 3892: who referred the caller, by the name alone; what a body would prove of it stays here.
        let referrer = invite.and_then(|invite| invite.header(HeaderName::ReferredBy)).and_then(person);
        told.fields.extend(referrer.map(|referrer| (HeaderName::ReferredBy, referrer.at(to.domain))));
        told.fields.extend(asserted.and_then(|person| identity(profile, &person, trusted, &wish, to.domain)));
    }
    if !hidden && (trusted || !wish.history) {
        let mut hops = forwarded::forwards(snapshot, asked, invite, to);
        hops.retain(|hop| trusted || !hop.private);
        told.fields.extend(forwarded::fields(profile.forwarding, &hops, called(asked, to.target), to.domain));
    }
    told
}

/// Whether what the caller wants is more than the node can do, and the call must not go on without it (RFC 3323 5.1).
pub(crate) fn wants_too_much(invite: &Message) -> bool {
    let known = |token: &str| {
        ["id", "user", "header", "session", "history", "none", "critical"].iter().any(|k| token.eq_ignore_ascii_case(k))
    };
    let tokens: Vec<&str> = tokens(invite).collect();
    tokens.iter().any(|token| token.eq_ignore_ascii_case("critical")) && !tokens.iter().all(|token| known(token))
}

fn tokens(invite: &Message) -> impl Iterator<Item = &str> {
    invite.headers(HeaderName::Privacy).flat_map(|value| value.split([';', ','])).map(str::trim).filter(|token| !token.is_empty())
}

/// What the caller wants hidden.
#[derive(Default)]
pub(in crate::b2bua) struct Wish {
    id: bool,
    history: bool,
}

impl Wish {
    pub fn of(invite: &Message) -> Wish {
        let has = |wanted: &[&str]| tokens(invite).any(|token| wanted.iter().any(|w| token.eq_ignore_ascii_case(w)));
        if has(&["none"]) {
            return Wish::default();
        }
        let full = invite.values(HeaderName::RemotePartyId).any(|value| {
            let full = |v: &str| v.eq_ignore_ascii_case("full");
            NameAddr::parse(value).is_ok_and(|address| address.param("privacy").is_some_and(full))
        });
        let id = full || has(&["id", "user", "header"]);
        Wish { id, history: id || has(&["history"]) }
    }

    /// Whoever says it wants to stay unknown.
    pub fn hides(&self) -> bool {
        self.id
    }

    /// A Privacy value that names nothing but tokens.
    fn is_sound(value: &str) -> bool {
        value.bytes().all(|b| b.is_ascii_alphanumeric() || b"-;, ".contains(&b))
    }
}

fn is_trusted(snapshot: &Snapshot, target: Option<&Target>) -> bool {
    match target {
        Some(Target::Cloud { .. }) => snapshot.trusts(PeerRef::Cloud),
        Some(Target::Trunk { name, .. }) => snapshot.trusts(PeerRef::Trunk(name)),
        _ => false,
    }
}

/// Whether what the caller's side asserts is believed.
pub(in crate::b2bua) fn trusts_source(snapshot: &Snapshot, source: &Source) -> bool {
    match source {
        Source::Cloud => snapshot.trusts(PeerRef::Cloud),
        Source::Trunk(name) => snapshot.trusts(PeerRef::Trunk(name)),
        Source::Account(_) => false,
    }
}

/// Whether both sides of the call are within the trust domain.
pub(in crate::b2bua) fn is_among_trusted(snapshot: &Snapshot, source: &Source, target: Option<&Target>) -> bool {
    trusts_source(snapshot, source) && is_trusted(snapshot, target)
}

/// The caller as this target is told.
fn caller(snapshot: &Snapshot, asked: &Request, target: Option<&Target>) -> Person {
    let user = match target {
        Some(Target::Trunk { name, .. }) => route::presented(snapshot, name, &asked.source, &asked.from),
        _ => asked.from.clone(),
    };
    Person { user, name: asked.from_name.clone() }
}

/// Who calls, as the node knows or believes it: an account, or what a trusted peer asserts. An account's own wish for another
/// identity is not honoured: it has one.
fn asserted(snapshot: &Snapshot, asked: &Request, invite: &Message, caller: Person) -> Option<Person> {
    if matches!(asked.source, Source::Account(_)) || asked.alternative {
        return Some(caller);
    }
    asserted_by(snapshot, &asked.source, invite)
}

/// Whom a trusted peer asserts to sit at its end.
pub(in crate::b2bua) fn asserted_by(snapshot: &Snapshot, source: &Source, message: &Message) -> Option<Person> {
    let others = if message.is_request() { "party=called" } else { "party=calling" };
    let rpid = || message.values(HeaderName::RemotePartyId).filter(|v| !v.to_ascii_lowercase().contains(others));
    let said = || message.values(HeaderName::PAssertedIdentity).chain(rpid()).find_map(person);
    trusts_source(snapshot, source).then(said).flatten()
}

/// The number that this target is called by.
fn called<'a>(asked: &'a Request, target: Option<&'a Target>) -> &'a str {
    match target {
        Some(Target::Device { user, .. } | Target::Extension(user)) => user,
        Some(target) => target.number().unwrap_or(&asked.number),
        None => &asked.number,
    }
}

pub(in crate::b2bua) fn person(value: &str) -> Option<Person> {
    let address = NameAddr::parse(value).ok()?;
    let user = Uri::parse(address.uri).ok()?.dialled()?.into_owned();
    let name = address.display_name().map(|name| name.into_owned()).unwrap_or_default();
    Some(Person { user, name })
}

/// The field that tells who calls.
fn identity(profile: &PeerProfile, who: &Person, trusted: bool, wish: &Wish, domain: &str) -> Option<(HeaderName, String)> {
    match profile.identity {
        IdentityField::Pai if trusted => Some((HeaderName::PAssertedIdentity, who.at(domain))),
        IdentityField::Ppi => Some((HeaderName::PPreferredIdentity, who.at(domain))),
        IdentityField::Rpid if trusted => {
            let privacy = if wish.id { "full" } else { "off" };
            Some((HeaderName::RemotePartyId, format!("{};party=calling;screen=yes;privacy={privacy}", who.at(domain))))
        }
        _ => None,
    }
}
