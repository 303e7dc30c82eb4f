//! What an INVITE tells its target of people: who calls, whether the caller wants that known, and who was called before
//! (RFC 3323, 3325, 5876, 5806, 7044). Peers are trusted or not (RFC 3325 2.3); devices never are.

use super::call::Call;
use super::write;
use crate::config::{ForwardingField, IdentityField, PeerProfile, PeerRef, Privacy, Snapshot};
use crate::context::Context;
use crate::route::{self, After, Diversion, Source, Target};
use ringfort_base::{Hop, limits};
use ringfort_sip::message::{HeaderName, Message, NameAddr};
use ringfort_sip::uri::Uri;

/// Who is told.
pub(super) struct Listener<'a> {
    pub target: Option<&'a Target>,
    pub hop: &'a Hop,
    /// Domain of From and To.
    pub domain: &'a str,
    /// The node's own forwards that led here, the first one first.
    pub diversions: &'a [Diversion],
}

/// What it is told.
pub(super) struct Told {
    /// From without its tag.
    pub from: String,
    /// Further fields.
    pub fields: Vec<(HeaderName, String)>,
}

/// Someone by user part and name; an empty name is none.
struct Person {
    user: String,
    name: String,
}

impl Person {
    fn at(&self, domain: &str) -> String {
        let name = crate::rules::quoted(&self.name);
        let name = if name.is_empty() { name } else { format!("\"{name}\" ") };
        format!("{name}<sip:{}@{domain}>", write::user(&self.user))
    }
}

/// From, the identity fields and those of forwards, for one target.
pub(super) fn tell(cx: &Context, call: &Call, invite: Option<&Message>, to: &Listener<'_>) -> Told {
    let snapshot = call.snapshot.as_ref().unwrap_or(&cx.snapshot);
    let profile = cx.profile_at(to.hop, None);
    let trusted = is_trusted(snapshot, to.target);
    let wish = invite.map(Wish::of).unwrap_or_default();
    // Whoever answers an emergency call has to know who calls.
    let hidden = wish.hides_caller() && !trusted && profile.privacy == Privacy::Apply && !call.asked.emergency;
    let caller = caller(snapshot, call, to.target);
    let mut told = Told { from: "\"Anonymous\" <sip:anonymous@anonymous.invalid>".into(), fields: Vec::new() };
    if !hidden {
        told.from = caller.at(to.domain);
        let wished = invite.into_iter().flat_map(|invite| invite.headers(HeaderName::Privacy));
        told.fields.extend(wished.filter(|value| Wish::is_sound(value)).map(|value| (HeaderName::Privacy, value.to_string())));
        let asserted = invite.and_then(|invite| asserted(snapshot, call, invite, caller));
        told.fields.extend(asserted.and_then(|person| identity(profile, &person, trusted, &wish, to.domain)));
    }
    if !hidden && (trusted || !wish.history) {
        let hops = forwards(snapshot, call, invite, to.diversions);
        told.fields.extend(forwarding(profile.forwarding, &hops, &call.asked.number, to.domain));
    }
    told
}

/// Whether what the caller wants is more than the node can do, and the call must not go on without it (RFC 3323 5.1).
pub(super) fn wants_too_much(invite: &Message) -> bool {
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
struct Wish {
    id: bool,
    history: bool,
}

impl Wish {
    fn of(invite: &Message) -> Wish {
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

    fn hides_caller(&self) -> bool {
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
pub(super) fn trusts_source(snapshot: &Snapshot, source: &Source) -> bool {
    match source {
        Source::Cloud => snapshot.trusts(PeerRef::Cloud),
        Source::Trunk(name) => snapshot.trusts(PeerRef::Trunk(name)),
        Source::Account(_) => false,
    }
}

/// Whether both sides of the call are within the trust domain.
pub(super) fn is_among_trusted(snapshot: &Snapshot, source: &Source, target: Option<&Target>) -> bool {
    trusts_source(snapshot, source) && is_trusted(snapshot, target)
}

/// The caller as this target is told.
fn caller(snapshot: &Snapshot, call: &Call, target: Option<&Target>) -> Person {
    let asked = &call.asked;
    let user = match target {
        Some(Target::Trunk { name, .. }) => route::presented(snapshot, name, &asked.source, &asked.from),
        _ => asked.from.clone(),
    };
    Person { user, name: asked.from_name.clone() }
}

/// Who calls, as the node knows or believes it: an account, or what a trusted peer asserts. An account's own wish for another
/// identity is not honoured: it has one.
fn asserted(snapshot: &Snapshot, call: &Call, invite: &Message, caller: Person) -> Option<Person> {
    if matches!(call.asked.source, Source::Account(_)) {
        return Some(caller);
    }
    if !trusts_source(snapshot, &call.asked.source) {
        return None;
    }
    let rpid = || invite.values(HeaderName::RemotePartyId).filter(|v| !v.to_ascii_lowercase().contains("party=called"));
    invite.values(HeaderName::PAssertedIdentity).chain(rpid()).find_map(person)
}

fn person(value: &str) -> Option<Person> {
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

/// One forward: who was called, and why the call went on (RFC 5806 4).
struct Forwarded {
    user: String,
    reason: &'static str,
}

/// Reasons of Diversion and what RFC 4458 calls them (RFC 7544 7).
const REASONS: [(&str, u16); 7] = [
    ("unconditional", 302),
    ("user-busy", 486),
    ("no-answer", 408),
    ("deflection", 480),
    ("deflection", 487),
    ("unavailable", 503),
    ("unknown", 404),
];

fn reason_named(text: &str) -> &'static str {
    REASONS.iter().find(|(name, _)| name.eq_ignore_ascii_case(text)).map_or("unknown", |(name, _)| name)
}

/// Every forward of the call, the first one first: those that a peer tells, then the node's own. A device is not asked.
fn forwards(snapshot: &Snapshot, call: &Call, invite: Option<&Message>, own: &[Diversion]) -> Vec<Forwarded> {
    let told = invite.filter(|_| !matches!(call.asked.source, Source::Account(_)));
    let mut hops =
        told.map(|invite| if invite.header(HeaderName::HistoryInfo).is_some() { history(invite) } else { diverted(invite) });
    let own = own.iter().map(|diversion| Forwarded {
        user: number_of(snapshot, &diversion.user),
        reason: match diversion.reason {
            After::Busy => "user-busy",
            After::NoAnswer => "no-answer",
            After::Failure => "unavailable",
            After::Any => "unconditional",
        },
    });
    let mut hops = hops.take().unwrap_or_default();
    hops.extend(own);
    hops.truncate(limits::FORWARDS_TOLD_MAX);
    hops
}

/// An extension as the world outside dials it.
fn number_of(snapshot: &Snapshot, user: &str) -> String {
    snapshot.dids.iter().find_map(|did| did.number_of(user)).unwrap_or_else(|| user.to_string())
}

/// Diversion names the last forward first.
fn diverted(invite: &Message) -> Vec<Forwarded> {
    let values: Vec<&str> = invite.values(HeaderName::Diversion).take(limits::FORWARDS_TOLD_MAX).collect();
    let read = |value: &&str| {
        let reason = NameAddr::parse(value).ok()?.param("reason").map_or("unknown", reason_named);
        Some(Forwarded { user: person(value)?.user, reason })
    };
    values.iter().rev().filter_map(read).collect()
}

/// Of History-Info an entry is a forward when the one behind it says a cause (RFC 7544 7.2).
fn history(invite: &Message) -> Vec<Forwarded> {
    let entries: Vec<(String, Option<&'static str>)> = invite
        .values(HeaderName::HistoryInfo)
        .take(limits::FORWARDS_TOLD_MAX + 1)
        .filter_map(|value| {
            let uri = Uri::parse(NameAddr::parse(value).ok()?.uri).ok()?;
            let cause = uri.param("cause").and_then(|cause| cause.parse::<u16>().ok());
            let reason = cause.map(|cause| REASONS.iter().find(|(_, c)| *c == cause).map_or("unknown", |(name, _)| name));
            Some((uri.dialled()?.into_owned(), reason))
        })
        .collect();
    let pairs = entries.iter().zip(entries.iter().skip(1));
    pairs.filter_map(|((user, _), (_, reason))| Some(Forwarded { user: user.clone(), reason: (*reason)? })).collect()
}

/// Forwards as the peer reads them, with the host that it is told.
fn forwarding(field: ForwardingField, hops: &[Forwarded], called: &str, domain: &str) -> Vec<(HeaderName, String)> {
    let mut fields = Vec::new();
    if hops.is_empty() {
        return fields;
    }
    if matches!(field, ForwardingField::Diversion | ForwardingField::Both) {
        let value = |hop: &Forwarded| format!("<sip:{}@{domain}>;reason={};counter=1", write::user(&hop.user), hop.reason);
        fields.extend(hops.iter().rev().map(|hop| (HeaderName::Diversion, value(hop))));
    }
    if matches!(field, ForwardingField::HistoryInfo | ForwardingField::Both) {
        let users = hops.iter().map(|hop| hop.user.as_str()).chain([called]);
        let causes = [None].into_iter().chain(hops.iter().map(|hop| Some(hop.reason)));
        let mut index = String::new();
        for (user, reason) in users.zip(causes) {
            let cause = reason
                .and_then(|reason| REASONS.iter().find(|(name, _)| *name == reason))
                .map(|(_, cause)| format!(";cause={cause}"));
            let before = index.clone();
            index = if index.is_empty() { "1".into() } else { format!("{index}.1") };
            let mp = if before.is_empty() { String::new() } else { format!(";mp={before}") };
            let value = format!("<sip:{}@{domain}{}>;index={index}{mp}", write::user(user), cause.unwrap_or_default());
            fields.push((HeaderName::HistoryInfo, value));
        }
    }
    fields
}
