//! Who sends this INVITE: the cloud, a trunk, a registered device, or an account that proves itself by digest. Nobody else calls.

use crate::auth::Refusal;
use crate::b2bua::{Env, people};
use crate::number::Number;
use crate::peers::PeerName;
use crate::route::Source;
use ringfort_base::Hop;
use ringfort_sip::message::{HeaderName, Message};
use ringfort_sip::uri::Uri;

/// A request that may not go on.
pub(crate) enum Stranger {
    /// Challenge with 407; the header values.
    Challenge(Vec<String>),
    /// The account is known, but From claims another one.
    Forbidden,
}

/// The cloud or the trunk that speaks over this hop.
pub(crate) fn peer_at(env: &Env<'_>, hop: &Hop) -> Option<Source> {
    let proved = hop.flow.and_then(|flow| env.cx.proved.get(&flow));
    let peer = proved.and_then(|names| env.peers.by_certificate(names)).or_else(|| env.peers.by_source(&env.cx.own, hop))?;
    match peer {
        PeerName::Cloud => Some(Source::Cloud),
        PeerName::Trunk(name) => Some(Source::Trunk(name.clone())),
        PeerName::Recorder(_) => None,
    }
}

/// Finds the source of an INVITE, or of another request outside any dialog.
pub(crate) fn source_of(env: &mut Env<'_>, hop: &Hop, invite: &Message) -> Result<Source, Stranger> {
    if let Some(peer) = peer_at(env, hop) {
        return Ok(peer);
    }
    let claimed = invite.from().ok().and_then(|from| Uri::parse(from.uri).ok());
    let claimed = claimed.as_ref().and_then(Uri::user_unescaped).unwrap_or_default();
    let claimed = claimed.as_ref();
    if env.bindings.is_registered_from(claimed, hop) {
        return Ok(Source::Account(claimed.to_string()));
    }
    match env.auth.check(env.cx, invite, HeaderName::ProxyAuthorization, hop) {
        Ok(account) if account.user == claimed => Ok(Source::Account(account.user)),
        Ok(_) => Err(Stranger::Forbidden),
        Err(refusal) => {
            let stale = matches!(refusal, Refusal::Stale(_));
            Err(Stranger::Challenge(env.auth.challenges(env.cx, stale, hop, invite)))
        }
    }
}

/// Who calls.
pub(crate) struct Caller {
    pub user: String,
    /// Empty: none.
    pub name: String,
    /// An account that calls from its other number.
    pub alternative: bool,
}

/// The caller as the node knows him: an account has its own name, others the one that they tell.
pub(crate) fn caller(env: &Env<'_>, invite: &Message, source: &Source) -> Caller {
    let from = invite.from().ok();
    let told = || from.as_ref().and_then(|f| f.display_name()).map(|name| name.into_owned()).unwrap_or_default();
    let known = |user: &str| env.cx.snapshot.accounts.get(user).map(|a| a.display_name.clone()).filter(|n| !n.is_empty());
    if let Source::Account(user) = source {
        return Caller { user: user.clone(), name: known(user).unwrap_or_else(told), alternative: false };
    }
    let uri = from.as_ref().and_then(|f| Uri::parse(f.uri).ok());
    let user = uri.as_ref().and_then(Uri::dialled).unwrap_or("anonymous".into());
    match at_other_number(env, invite, source, &user) {
        Some(account) => Caller { name: known(&account).unwrap_or_default(), user: account, alternative: true },
        None => Caller { user: user.into_owned(), name: told(), alternative: false },
    }
}

/// The account whose other number calls. Only a trusted trunk is believed: anybody can write any number into From.
fn at_other_number(env: &Env<'_>, invite: &Message, source: &Source, from: &str) -> Option<String> {
    let snapshot = &env.cx.snapshot;
    if !matches!(source, Source::Trunk(_)) || !people::trusts_source(snapshot, source) {
        return None;
    }
    let asserted = people::asserted_by(snapshot, source, invite).map(|person| person.user);
    let number = Number::read(snapshot, asserted.as_deref().unwrap_or(from), source.writer(snapshot)).global?;
    snapshot.accounts.values().find(|account| account.alternative.as_ref() == Some(&number)).map(|account| account.user.clone())
}
