//! Which header fields of a caller's INVITE reach the target. What is not listed does not: a field that nobody thought of must not
//! carry one side's inside to the other. Fields about people are written anew by `people.rs`.

use crate::b2bua::call::Request;
use crate::b2bua::{location, people, write};
use crate::config::Snapshot;
use crate::context::Context;
use crate::route::Target;
use ringfort_base::Hop;
use ringfort_sip::message::{Builder, HeaderName, Message, NameAddr};
use ringfort_sip::uri::Uri;

/// What becomes of a header field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::b2bua) enum Policy {
    /// It is passed, unless it names a host of the caller's side.
    Pass,
    /// It is passed, unless it names any host.
    PassWithoutHost,
    /// It is passed when both sides are trusted, unless it names a host of the caller's side.
    PassAmongTrusted,
    /// It is passed with an emergency call.
    PassInEmergency,
    /// Its causes are kept, its words only if they name no host.
    Cause,
    /// It is the node's own on each leg, or written anew.
    Own,
    /// It goes.
    Drop,
}

/// The table.
pub(in crate::b2bua) fn policy(name: HeaderName) -> Policy {
    use HeaderName as H;
    match name {
        H::Subject | H::AcceptLanguage | H::Date | H::Priority | H::UserToUser => Policy::Pass,
        H::AlertInfo | H::AcceptContact | H::RejectContact | H::RequestDisposition => Policy::PassWithoutHost,
        H::CallInfo | H::Organization | H::PEarlyMedia | H::Identity | H::PAccessNetworkInfo => Policy::PassAmongTrusted,
        H::Geolocation | H::GeolocationRouting => Policy::PassInEmergency,
        H::Reason => Policy::Cause,
        H::Via | H::From | H::To | H::CallId | H::CSeq | H::Contact | H::MaxForwards | H::Route | H::RecordRoute => Policy::Own,
        H::Allow | H::Supported | H::Require | H::UserAgent | H::SessionExpires | H::MinSe => Policy::Own,
        H::ContentType | H::ContentLength => Policy::Own,
        H::Privacy | H::PAssertedIdentity | H::PPreferredIdentity | H::RemotePartyId | H::Diversion | H::HistoryInfo => {
            Policy::Own
        }
        _ => Policy::Drop,
    }
}

/// A request as it came from its sender.
pub(crate) struct Came<'a> {
    /// The configuration that it is judged by.
    pub snapshot: &'a Snapshot,
    /// Who asks for what.
    pub asked: &'a Request,
    /// Whence.
    pub hop: &'a Hop,
    /// The request.
    pub message: &'a Message,
}

/// Adds what is passed of the sender's request: an INVITE, or one that is no call.
pub(crate) fn pass(cx: &Context, builder: Builder, came: &Came<'_>, target: Option<&Target>) -> Builder {
    let message = came.message;
    let trusted = people::is_among_trusted(came.snapshot, &came.asked.source, target);
    let inside = Inside::of(cx, message, came.hop);
    let extra = &cx.profile_at(came.hop, Some(message)).pass;
    message.lines().zip(message.all_headers()).fold(builder, |builder, ((name, _), (text, value))| {
        let passes = match policy(name) {
            Policy::Pass => !inside.is_named_in(value),
            Policy::PassWithoutHost => !inside.is_named_in(value) && !write::names_a_host(value),
            Policy::PassAmongTrusted => trusted && !inside.is_named_in(value),
            Policy::PassInEmergency if came.asked.emergency => {
                return builder.raw(name.as_str(), &location::reference(cx, value, &inside.0));
            }
            Policy::PassInEmergency => false,
            Policy::Cause => {
                let cause = write::own_value(value).filter(|cause| !inside.is_named_in(cause));
                return builder.header_if(name, cause);
            }
            Policy::Own => false,
            Policy::Drop => extra.iter().any(|field| field.is(name, text)) && !inside.is_named_in(value),
        };
        if passes { builder.raw(if name == HeaderName::Other { text } else { name.as_str() }, value) } else { builder }
    })
}

/// Hosts of the caller's side, as its INVITE and its hop tell them.
struct Inside(Vec<String>);

impl Inside {
    fn of(cx: &Context, invite: &Message, hop: &Hop) -> Inside {
        let mut hosts = vec![hop.remote.ip().to_string()];
        let listed = [HeaderName::Contact, HeaderName::RecordRoute, HeaderName::From, HeaderName::PAssertedIdentity];
        let addresses = listed.into_iter().flat_map(|name| invite.values(name));
        hosts.extend(addresses.filter_map(|value| Some(Uri::parse(NameAddr::parse(value).ok()?.uri).ok()?.host.to_string())));
        hosts.extend(invite.values(HeaderName::Via).filter_map(sent_by));
        hosts.extend(invite.call_id().ok().and_then(|id| id.split_once('@')).map(|(_, host)| host.to_string()));
        let own = cx.own.all().map(|own| own.advertised.to_string());
        let own: Vec<String> = own.chain([cx.snapshot.node.domain.to_ascii_lowercase()]).collect();
        hosts.iter_mut().for_each(|host| *host = host.trim_matches(['[', ']']).to_ascii_lowercase());
        hosts.retain(|host| host.len() > 2 && !own.contains(host));
        Inside(hosts)
    }

    fn is_named_in(&self, value: &str) -> bool {
        let value = value.to_ascii_lowercase();
        self.0.iter().any(|host| value.contains(host.as_str()))
    }
}

/// Hosts of the side that a message came from, in lower case.
pub(crate) fn hosts_of(cx: &Context, message: &Message, hop: &Hop) -> Vec<String> {
    Inside::of(cx, message, hop).0
}

/// The host in a value of Via.
fn sent_by(via: &str) -> Option<String> {
    let after = via.split([' ', '\t']).filter(|piece| !piece.is_empty()).nth(1)?;
    let host = after.split(';').next()?;
    Some(match host.strip_prefix('[') {
        Some(v6) => v6.split(']').next()?.to_string(),
        None => host.split(':').next()?.to_string(),
    })
}
