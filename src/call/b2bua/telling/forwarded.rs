//! Who was called before, and why the call went on: Diversion (RFC 5806) and History-Info (RFC 7044, 7544), read of peers that tell it and
//! written as the listener's profile wants it. The node's own forwards stand behind those that a peer tells.

use crate::b2bua::call::Request;
use crate::b2bua::people::{self, Listener};
use crate::b2bua::write;
use crate::config::{ForwardingField, Snapshot};
use crate::route::{After, Source, Target};
use ringfort_base::limits;
use ringfort_sip::message::{HeaderName, Message, NameAddr};
use ringfort_sip::uri::Uri;

/// One forward: who was called, and why the call went on (RFC 5806 4).
pub(in crate::b2bua) struct Forwarded {
    user: String,
    reason: &'static str,
    /// How many forwards it stands for (RFC 5806 5.2).
    count: u16,
    /// Only trusted peers may be told.
    pub private: bool,
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

/// Why a target redirects, where it says so itself (RFC 5806 6.1).
pub(in crate::b2bua) fn reason_of_redirection(response: &Message) -> After {
    let first = response.values(HeaderName::Diversion).next().and_then(|value| NameAddr::parse(value).ok());
    match first.as_ref().and_then(|address| address.param("reason")).map(reason_named) {
        Some("user-busy") => After::Busy,
        Some("no-answer") => After::NoAnswer,
        Some("unavailable") => After::Failure,
        _ => After::Any,
    }
}

/// Every forward of the call, the first one first: those that a peer tells, then the node's own. A device is not asked.
pub(in crate::b2bua) fn forwards(
    snapshot: &Snapshot,
    asked: &Request,
    invite: Option<&Message>,
    to: &Listener<'_>,
) -> Vec<Forwarded> {
    let told = invite.filter(|_| !matches!(asked.source, Source::Account(_)));
    let mut hops =
        told.map(|invite| if invite.header(HeaderName::HistoryInfo).is_some() { history(invite) } else { diverted(invite) });
    let outside = matches!(to.target, Some(Target::Trunk { .. }));
    let own = to.diversions.iter().map(|diversion| Forwarded {
        user: if outside { number_of(snapshot, &diversion.user) } else { diversion.user.clone() },
        reason: diversion.reason.as_str(),
        count: 1,
        private: false,
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
        let address = NameAddr::parse(value).ok()?;
        let reason = address.param("reason").map_or("unknown", reason_named);
        let count = address.param("counter").and_then(|count| count.parse().ok()).filter(|count| *count > 0).unwrap_or(1);
        let private = address.param("privacy").is_some_and(|privacy| !privacy.eq_ignore_ascii_case("off"));
        Some(Forwarded { user: people::person(value)?.user, reason, count, private })
    };
    values.iter().rev().filter_map(read).collect()
}

/// Of History-Info an entry is a forward when the one behind it says a cause (RFC 7544 7.2).
fn history(invite: &Message) -> Vec<Forwarded> {
    let entries: Vec<(String, Option<&'static str>, bool)> = invite
        .values(HeaderName::HistoryInfo)
        .take(limits::FORWARDS_TOLD_MAX + 1)
        .filter_map(|value| {
            let uri = Uri::parse(NameAddr::parse(value).ok()?.uri).ok()?;
            let cause = uri.param("cause").and_then(|cause| cause.parse::<u16>().ok());
            let reason = cause.map(|cause| REASONS.iter().find(|(_, c)| *c == cause).map_or("unknown", |(name, _)| name));
            // RFC 7044 10.1.2: Privacy in the URI hides this entry.
            let private = uri.headers.iter().any(|(name, value)| name.eq_ignore_ascii_case("Privacy") && !value.contains("none"));
            Some((uri.dialled()?.into_owned(), reason, private))
        })
        .collect();
    let pairs = entries.iter().zip(entries.iter().skip(1));
    let forwarded = |((user, _, private), (_, reason, _)): (&(String, _, bool), &(_, Option<&'static str>, _))| {
        Some(Forwarded { user: user.clone(), reason: (*reason)?, count: 1, private: *private })
    };
    pairs.filter_map(forwarded).collect()
}

/// Forwards as the peer reads them, with the host that it is told. `called` is where the last one leads.
pub(in crate::b2bua) fn fields(
    field: ForwardingField,
    hops: &[Forwarded],
    called: &str,
    domain: &str,
) -> Vec<(HeaderName, String)> {
    let mut fields = Vec::new();
    if hops.is_empty() {
        return fields;
    }
    if matches!(field, ForwardingField::Diversion | ForwardingField::Both) {
        let value = |hop: &Forwarded| {
            let privacy = if hop.private { ";privacy=full" } else { "" };
            format!("<sip:{}@{domain}>;reason={};counter={}{privacy}", write::user(&hop.user), hop.reason, hop.count)
        };
        fields.extend(hops.iter().rev().map(|hop| (HeaderName::Diversion, value(hop))));
    }
    if matches!(field, ForwardingField::HistoryInfo | ForwardingField::Both) {
        fields.extend(entries(hops, called, domain).into_iter().map(|entry| (HeaderName::HistoryInfo, entry)));
    }
    fields
}

/// Each entry hangs below the one before it; from the second on it says why.
fn entries(hops: &[Forwarded], called: &str, domain: &str) -> Vec<String> {
    let users = hops.iter().map(|hop| (hop.user.as_str(), hop.private)).chain([(called, false)]);
    let reasons = [None].into_iter().chain(hops.iter().map(|hop| Some(hop.reason)));
    let (mut index, mut entries) = (String::new(), Vec::new());
    for ((user, private), reason) in users.zip(reasons) {
        let cause = reason.and_then(|reason| REASONS.iter().find(|(name, _)| *name == reason));
        let cause = cause.map(|(_, cause)| format!(";cause={cause}")).unwrap_or_default();
        let privacy = if private { "?Privacy=history" } else { "" };
        let before = index.clone();
        index = if index.is_empty() { "1".into() } else { format!("{index}.1") };
        let mp = if before.is_empty() { String::new() } else { format!(";mp={before}") };
        entries.push(format!("<sip:{}@{domain}{cause}{privacy}>;index={index}{mp}", write::user(user)));
    }
    entries
}
