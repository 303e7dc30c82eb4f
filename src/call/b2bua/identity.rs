//! Who sends this INVITE: the cloud, a trunk, a registered device, or an account that proves itself by digest. Nobody else calls.

use super::Env;
use crate::auth::Refusal;
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
    Some(match peer {
        PeerName::Cloud => Source::Cloud,
        PeerName::Trunk(name) => Source::Trunk(name.clone()),
    })
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
