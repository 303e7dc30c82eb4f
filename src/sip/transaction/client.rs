//! What a client transaction remembers, and the requests that the layer builds itself: the ACK of a refusal
//! (RFC 3261 17.1.1.3) and CANCEL (RFC 3261 9.1).

use crate::message::{Builder, HeaderError, HeaderName, Message, Method};
use bytes::Bytes;
use ringfort_base::Hop;

/// The client side of a transaction.
#[derive(Debug, Default)]
pub(super) struct Client {
    /// The request as sent, to be sent again.
    pub request: Bytes,
    /// INVITE: the ACK of its refusal, once there was one.
    pub ack: Bytes,
    /// INVITE: its CANCEL.
    pub cancel: Cancel,
    /// The way and the request when its first way cannot be taken.
    pub fallback: Option<(Hop, Bytes)>,
}

/// How far the cancelling of an INVITE is.
#[derive(Debug, Default)]
pub(super) enum Cancel {
    /// Nobody wants it.
    #[default]
    None,
    /// It waits for a provisional response (RFC 3261 9.1).
    Held(Bytes),
    /// It was sent.
    Sent,
}

/// Max-Forwards of what the layer builds (RFC 3261 8.1.1.6).
const MAX_FORWARDS: u8 = 70;

/// The ACK of a 3xx to 6xx: the INVITE's Request-URI, top Via, Route, From, Call-ID and CSeq number, the response's To.
pub(super) fn ack(invite: &Message, response: &Message) -> Result<Bytes, HeaderError> {
    let to = response.header(HeaderName::To).ok_or(HeaderError::Missing(HeaderName::To))?;
    Ok(sibling(invite, &Method::Ack, to)?.build())
}

/// The CANCEL of an INVITE: its Request-URI, top Via, Route, From, To, Call-ID and CSeq number. No Require or Proxy-Require.
pub(super) fn cancel(invite: &Message, extra: &[(HeaderName, &str)]) -> Result<Bytes, HeaderError> {
    let to = invite.header(HeaderName::To).ok_or(HeaderError::Missing(HeaderName::To))?;
    let cancel = sibling(invite, &Method::Cancel, to)?;
    Ok(extra.iter().fold(cancel, |cancel, (name, value)| cancel.header(*name, value)).build())
}

/// A request that follows the INVITE hop by hop.
fn sibling(invite: &Message, method: &Method, to: &str) -> Result<Builder, HeaderError> {
    let (number, _) = invite.cseq()?;
    let from = invite.header(HeaderName::From).ok_or(HeaderError::Missing(HeaderName::From))?;
    let request = Builder::request(method, invite.request_uri().unwrap_or_default())
        .header(HeaderName::Via, invite.top_via()?.raw)
        .header(HeaderName::MaxForwards, MAX_FORWARDS);
    let request = invite.headers(HeaderName::Route).fold(request, |request, route| request.header(HeaderName::Route, route));
    Ok(request
        .header(HeaderName::From, from)
        .header(HeaderName::To, to)
        .header(HeaderName::CallId, invite.call_id()?)
        .header(HeaderName::CSeq, format_args!("{number} {method}")))
}
