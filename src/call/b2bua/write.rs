//! Messages that a call sends. Nothing of one leg's signalling addresses, tags or Call-ID appears on the other: each is made here
//! from the node's own (topology hiding).

use super::abilities::Abilities;
use super::call::{Call, Leg};
use super::destination::Destination;
use super::location;
use super::passing::{self, Came};
use super::people::{self, Listener};
use super::proof::Proving;
use super::session_timer::{self, Session};
use crate::config::{Extension, Snapshot};
use crate::context::Context;
use crate::route::{Diversion, Source, Target};
use bytes::Bytes;
use ringfort_base::{Hop, Time};
use ringfort_media::error::MediaError;
use ringfort_media::session::LegKind;
use ringfort_sip::dialog::{Dialog, DialogState, NewVia};
use ringfort_sip::digest::Credentials;
use ringfort_sip::message::{Builder, HeaderName, Message, Method, split_values};
use ringfort_sip::uri::{self, Uri};
use std::net::SocketAddr;

/// Option tag and info package of late candidates (RFC 8840 5.1, 10).
pub(super) const TRICKLE: &str = "trickle-ice";

/// The node's Contact towards a peer.
pub(crate) fn contact(cx: &Context, hop: &Hop) -> String {
    let user = cx.border.trunk(&cx.snapshot, hop).and_then(|trunk| trunk.contact_user()).unwrap_or("ringfort");
    format!("<sip:{user}@{};transport={}>", cx.own.sent_by(hop), hop.transport.uri_token())
}

/// Why a description was refused, for Warning (RFC 3261 20.43).
pub(super) fn warning(cx: &Context, error: &MediaError) -> String {
    let (code, text) = error.warning();
    format!("{code} {} \"{}\"", cx.own.agent(), text.replace(['\\', '"'], ""))
}

/// A peer's warning told as the node's: code and text stay, the agent would name an inside host (RFC 3261 20.43), as some texts do.
pub(super) fn own_warning(cx: &Context, value: &str) -> Option<String> {
    let mut parts = value.splitn(3, ' ');
    let (code, _agent, text) = (parts.next()?, parts.next()?, parts.next()?);
    let text = if names_a_host(text) { "\"Miscellaneous warning\"" } else { text };
    Some(format!("{code} {} {text}", cx.own.agent()))
}

/// A reason phrase as the other leg may read it; `None`: the standard one.
pub(crate) fn own_phrase(phrase: &str) -> Option<&str> {
    Some(phrase).filter(|phrase| !names_a_host(phrase))
}

/// Values of Reason or Retry-After as the other leg may read them: of one that names a host only what comes first and the cause stay;
/// nothing where what comes first names one.
pub(crate) fn own_value(field: &str) -> Option<String> {
    let own: Vec<String> = split_values(field).filter_map(own_single).collect();
    (!own.is_empty()).then(|| own.join(", "))
}

fn own_single(value: &str) -> Option<String> {
    let (first, rest) = value.split_at(value.find([';', '(']).unwrap_or(value.len()));
    let first = first.trim();
    // The one protocol of RFC 3326 whose name has a dot.
    if names_a_host(first) && !first.eq_ignore_ascii_case("Q.850") {
        return None;
    }
    if !names_a_host(rest) {
        return Some(value.to_string());
    }
    let is_cause = |param: &&str| param.strip_prefix("cause=").is_some_and(|n| n.bytes().all(|b| b.is_ascii_digit()));
    let cause = rest.split(';').map(str::trim).find(is_cause);
    Some(cause.map_or(first.to_string(), |cause| format!("{first};{cause}")))
}

/// Whether free text seems to name a host: an address or a dotted name, a URI, a mail address. Nobody misses a text too many.
pub(super) fn names_a_host(text: &str) -> bool {
    let inside = |window: &[u8]| matches!(window, [a, b'.' | b':', b] if a.is_ascii_alphanumeric() && b.is_ascii_alphanumeric());
    text.contains(['@', '[']) || text.contains("::") || text.as_bytes().windows(3).any(inside)
}

/// A user part, escaped where needed (RFC 3261 19.1.2).
pub(crate) fn user(text: &str) -> String {
    uri::escape_user(text).into_owned()
}

/// An INVITE to be sent.
pub(super) struct Outgoing<'a> {
    pub target: &'a Target,
    pub to: &'a Destination,
    /// Forwards that led to the target.
    pub diversions: &'a [Diversion],
    /// Via branch.
    pub branch: &'a str,
    /// How many branches may be alive at once behind it (RFC 5393 5.3.3).
    pub breadth: u32,
}

/// The INVITE to a target.
pub(super) fn invite(cx: &Context, call: &Call, leg: &Leg, out: &Outgoing<'_>, sdp: Vec<u8>) -> Bytes {
    let (uri, domain) = (&out.to.uri, &out.to.domain);
    let (asked, snapshot) = (&call.asked, call.snapshot.as_ref().unwrap_or(&cx.snapshot));
    let message = call.invite.as_ref().map(|invite| &invite.message);
    let listener = Listener { target: Some(out.target), hop: &leg.hop, domain, diversions: out.diversions };
    let told = people::tell(cx, snapshot, asked, message, &listener);
    // A trunk reads the called number in its own format.
    let called = Some(out.target).filter(|target| matches!(target, Target::Trunk { .. })).and_then(Target::number);
    let to = format!("<sip:{}@{domain}>", user(called.unwrap_or(&asked.number)));
    let (supported, required) = out.to.habits.named();
    let mut builder = Builder::request(&Method::Invite, uri)
        .via(leg.hop.transport, cx.own.sent_by(&leg.hop), out.branch, true)
        .header(HeaderName::MaxForwards, asked.max_forwards.saturating_sub(1))
        .raw("Max-Breadth", &out.breadth.to_string())
        .header(HeaderName::From, format!("{};tag={}", told.from, leg.tag))
        .header(HeaderName::To, to)
        .header(HeaderName::CallId, &leg.call_id)
        .header(HeaderName::CSeq, "1 INVITE")
        .header(HeaderName::Contact, contact(cx, &leg.hop))
        .header(HeaderName::Allow, crate::ALLOW)
        .header(HeaderName::Supported, supported)
        .header_if(HeaderName::Require, required)
        .header(HeaderName::UserAgent, crate::PRODUCT);
    builder = with_trickle(builder, leg);
    builder = leg.route.iter().fold(builder, |b, route| b.header(HeaderName::Route, route));
    builder = told.fields.iter().fold(builder, |b, (name, value)| b.header(*name, value));
    let came = message.map(|message| Came { snapshot, asked, hop: &call.caller.hop, message });
    if let Some(came) = &came {
        builder = passing::pass(cx, builder, came, listener.target);
        builder = credentials(snapshot, builder, &asked.source, out.target, came.message);
    }
    let (expires_s, min_s) = (cx.snapshot.sip.session_expires_s, leg.session.min_s.max(cx.snapshot.sip.session_min_s));
    let builder = match out.to.habits.timer {
        Extension::Never => builder,
        _ => session_timer::ask(expires_s, min_s, builder),
    };
    let (content_type, body) = location::body(cx, came.as_ref(), &leg.tag, sdp);
    builder.body(&content_type, body).build()
}

/// A browser's leg takes candidates that come late (RFC 8840 5.1, RFC 6086 4.2): it is told so.
pub(super) fn with_trickle(builder: Builder, leg: &Leg) -> Builder {
    let ice = leg.media.as_ref().is_some_and(|media| media.session.kind() == LegKind::Webrtc);
    builder.header_if(HeaderName::Supported, ice.then_some(TRICKLE)).header_if(HeaderName::RecvInfo, ice.then_some(TRICKLE))
}

/// Whether a request brings candidates in its body (RFC 8840 9). They concern its sender's leg alone and hold addresses, so they
/// never go on; and they are not needed: the node's ICE is lite and learns addresses from the checks that come.
pub(super) fn is_trickle(request: &Message) -> bool {
    let names = |name, wanted: &str| {
        let value = request.header(name).unwrap_or_default();
        value.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(wanted)
    };
    names(HeaderName::InfoPackage, TRICKLE) || names(HeaderName::ContentType, "application/trickle-ice-sdpfrag")
}

/// An account's answer to the cloud's challenge goes to the cloud and to nobody else; its answer to the node's own does not, as far as
/// their realms tell them apart.
pub(crate) fn credentials(snapshot: &Snapshot, builder: Builder, source: &Source, target: &Target, request: &Message) -> Builder {
    let own = matches!(source, Source::Account(_)) && matches!(target, Target::Cloud { .. });
    let proofs = if own { credentials_in(snapshot, request) } else { Vec::new() };
    proofs.iter().fold(builder, |builder, (name, value)| builder.header(*name, value))
}

/// The same, for a request that goes to the cloud.
pub(super) fn credentials_in(snapshot: &Snapshot, request: &Message) -> Vec<(HeaderName, String)> {
    let (node, cloud) = (snapshot.node.domain.as_str(), snapshot.cloud_domain());
    let is_clouds = |value: &&str| node == cloud || Credentials::parse(value).is_ok_and(|c| c.realm != node);
    let names = [HeaderName::Authorization, HeaderName::ProxyAuthorization];
    let values = names.into_iter().flat_map(|name| request.headers(name).map(move |value| (name, value)));
    values.filter(|(_, value)| is_clouds(value)).map(|(name, value)| (name, value.to_string())).collect()
}

/// A request inside a dialog, with a new CSeq.
pub(crate) fn inside(cx: &mut Context, dialog: &mut Dialog, method: &Method) -> Builder {
    let (transport, branch) = (dialog.hop.transport, cx.branch());
    let via = NewVia { transport, sent_by: &cx.own.sent_by(&dialog.hop), branch: &branch, rport: true };
    dialog.request(method, via).header(HeaderName::UserAgent, crate::PRODUCT)
}

/// ACK to the last INVITE's 2xx. `None`: this side sent no INVITE.
pub(super) fn ack(cx: &mut Context, dialog: &Dialog) -> Option<Builder> {
    let (transport, branch) = (dialog.hop.transport, cx.branch());
    let via = NewVia { transport, sent_by: &cx.own.sent_by(&dialog.hop), branch: &branch, rport: true };
    dialog.ack(via)
}

impl Leg {
    /// A leg without dialog yet.
    pub(super) fn new(hop: Hop, by_target: bool, call_id: String, tag: String) -> Leg {
        Leg {
            hop,
            by_target,
            device: None,
            placed: Time::ZERO,
            route: Vec::new(),
            dialog: None,
            media: None,
            tag,
            call_id,
            abilities: Abilities::default(),
            party: None,
            outbound: None,
            connected: None,
            session: Session::default(),
            invite: None,
            proving: Proving::default(),
            ack: None,
            asked: None,
            pictures: Default::default(),
            dialling: Default::default(),
            heard: [0; 2],
        }
    }

    /// Whether its dialog stands.
    pub(super) fn is_confirmed(&self) -> bool {
        self.dialog.as_ref().is_some_and(|d| d.state == DialogState::Confirmed)
    }

    /// A request inside this leg's dialog. `None`: there is no dialog.
    pub(super) fn inside(&mut self, cx: &mut Context, method: &Method) -> Option<Builder> {
        let dialog = self.dialog.as_mut()?;
        let (request, target) = (inside(cx, dialog, method), dialog.remote_target.clone());
        let fields = self.proving.fields(cx, method, &target);
        Some(fields.iter().fold(request, |request, (name, value)| request.header(*name, value)))
    }

    /// Where requests inside the dialog go: for cloud and trunks where the route set or the remote target says, if that is an address
    /// (RFC 3261 12.2.1.1); otherwise where the peer was last heard.
    pub(super) fn next_hop(&self) -> Hop {
        self.dialog.as_ref().filter(|_| self.by_target).map_or(self.hop, |dialog| named_hop(dialog, self.hop))
    }
}

/// Where the route set or the remote target of a dialog says, if that is an address; else `hop`.
pub(crate) fn named_hop(dialog: &Dialog, hop: Hop) -> Hop {
    let named = Uri::parse(dialog.next_hop()).ok();
    let address = named.and_then(|uri| {
        let default = if hop.transport.is_secure() { 5061 } else { 5060 };
        Some(SocketAddr::new(uri.host.ip()?, uri.port.unwrap_or(default)))
    });
    match address {
        Some(remote) if remote != hop.remote => Hop { remote, flow: None, ..hop },
        _ => hop,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_names_a_host_is_not_told_on() {
        for text in ["Not found on pbx1.inside", "via 10.0.0.5", "sip:a@b", "at fe80::1", "from pid=1 host:5060"] {
            assert_eq!(own_phrase(text), None, "{text}");
        }
        for text in ["Busy Here", "in a meeting. Later", "no: not now", ""] {
            assert_eq!(own_phrase(text), Some(text));
        }
    }

    #[test]
    fn a_reason_keeps_its_cause() {
        let own = |value| own_value(value).unwrap_or_default();
        assert_eq!(own("Q.850;cause=17;text=\"User busy\""), "Q.850;cause=17;text=\"User busy\"");
        assert_eq!(own("SIP;text=\"at a.b\" ;cause=486"), "SIP;cause=486");
        assert_eq!(own("Q.850;cause=10.0.0.1"), "Q.850");
        assert_eq!(own("120 (gw1.inside restarts)"), "120");
        assert_eq!(own("120 (back soon)"), "120 (back soon)");
        assert_eq!(own("SIP;cause=480 , Q.850;cause=16;text=\"at a.b\", a.b;cause=1"), "SIP;cause=480, Q.850;cause=16");
    }

    #[test]
    fn a_host_in_the_first_place_goes_with_all_behind_it() {
        for value in ["gw1.inside;cause=17", "10.0.0.5", "sip@gw ;text=\"x\"", "Q.850.inside;cause=1", "[fe80::1];cause=2"] {
            assert_eq!(own_value(value), None, "{value}");
        }
    }
}
