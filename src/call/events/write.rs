//! Messages that are sent on: each is the node's own, with what of the sender's may be passed.

use super::Asked;
use super::document;
use super::subscription::Party;
use crate::b2bua::Env;
use crate::b2bua::call::Request;
use crate::b2bua::destination::{Destination, own_host};
use crate::b2bua::passing::{self, Came};
use crate::b2bua::people::{self, Listener};
use crate::b2bua::{identity, write};
use crate::registrar::is_gruu;
use crate::route::{Source, Target};
use ringfort_base::Hop;
use ringfort_sip::message::{Builder, HeaderName, Message, Method};
use ringfort_sip::uri::Uri;

/// Header fields that describe a body beside its type.
const OF_BODY: [HeaderName; 3] = [HeaderName::ContentDisposition, HeaderName::ContentLanguage, HeaderName::ContentEncoding];

/// Where a request outside any dialog goes, and by which name.
pub(super) struct Out<'a> {
    pub target: &'a Target,
    pub to: &'a Destination,
    pub call_id: &'a str,
    pub tag: &'a str,
}

/// Who asks for what.
pub(super) fn request_of(env: &Env<'_>, asked: &Asked, source: &Source, number: String) -> Request {
    let caller = identity::caller(env, &asked.message, source);
    Request {
        source: source.clone(),
        from: caller.user,
        from_name: caller.name,
        alternative: caller.alternative,
        number,
        rule: String::new(),
        emergency: false,
        mode: env.mode,
        max_forwards: asked.message.max_forwards().ok().flatten().unwrap_or(70),
    }
}

/// The request as its target reads it, without what belongs to its method.
pub(super) fn initial(env: &mut Env<'_>, asked: &Asked, request: &Request, out: &Out<'_>) -> Builder {
    let (cx, message, method) = (&mut *env.cx, &asked.message, asked.message.method());
    let (snapshot, branch, hop) = (cx.snapshot.clone(), cx.branch(), out.to.hop);
    let listener = Listener { target: Some(out.target), hop: &hop, domain: &out.to.domain, diversions: &[] };
    let told = people::tell(cx, &snapshot, request, Some(message), &listener);
    let called = out.target.number().unwrap_or(&request.number);
    let mut builder = Builder::request(&method, &out.to.uri)
        .via(hop.transport, cx.own.sent_by(&hop), &branch, true)
        .header(HeaderName::MaxForwards, request.max_forwards.saturating_sub(1))
        .header(HeaderName::From, format!("{};tag={}", told.from, out.tag))
        .header(HeaderName::To, format!("<sip:{}@{}>", write::user(called), out.to.domain))
        .header(HeaderName::CallId, out.call_id)
        .header(HeaderName::CSeq, format!("1 {method}"))
        .header(HeaderName::UserAgent, crate::PRODUCT);
    builder = out.to.route.iter().fold(builder, |b, route| b.header(HeaderName::Route, route));
    builder = told.fields.iter().fold(builder, |b, (name, value)| b.header(*name, value));
    let came = Came { snapshot: &snapshot, asked: request, hop: &asked.hop, message };
    builder = passing::pass(cx, builder, &came, Some(out.target));
    write::credentials(&snapshot, builder, &request.source, out.target, message)
}

/// A request inside a dialog, with the node's Contact.
pub(super) fn inside(env: &mut Env<'_>, party: &mut Party, method: &Method) -> Builder {
    let contact = write::contact(env.cx, &party.dialog.hop);
    write::inside(env.cx, &mut party.dialog, method).header(HeaderName::Contact, contact)
}

/// Where a party's requests go now. A device is followed to where it registered since it was heard; `None`: it cannot be reached.
pub(super) fn way(env: &Env<'_>, party: &mut Party) -> Option<Hop> {
    let Some(device) = &mut party.device else { return Some(write::named_hop(&party.dialog, party.dialog.hop)) };
    if let Some(binding) = env.bindings.find(device) {
        if binding.moved >= party.placed && binding.hop != party.dialog.hop {
            (party.dialog.hop, party.placed) = (binding.hop, binding.moved);
        }
        let target = &mut party.dialog.remote_target;
        let gruu = target.contains(";gr") && Uri::parse(target).is_ok_and(|uri| is_gruu(&uri));
        if gruu || *target == device.contact {
            *target = binding.contact.clone();
        }
        device.contact = binding.contact.clone();
    }
    let hop = party.dialog.hop;
    (!hop.transport.is_reliable() || hop.flow.is_some()).then_some(hop)
}

/// The domain by which the people of a side are named towards it.
pub(super) fn domain_of(env: &Env<'_>, source: &Source) -> String {
    match source {
        Source::Account(_) => env.cx.snapshot.node.domain.clone(),
        Source::Cloud => env.cx.snapshot.cloud_domain().to_string(),
        Source::Trunk(name) => domain_of_trunk(env, name),
    }
}

/// The same of a target.
pub(super) fn domain_at(env: &Env<'_>, target: &Target) -> String {
    match target {
        Target::Cloud { .. } => env.cx.snapshot.cloud_domain().to_string(),
        Target::Trunk { name, .. } => domain_of_trunk(env, name),
        _ => env.cx.snapshot.node.domain.clone(),
    }
}

fn domain_of_trunk(env: &Env<'_>, name: &str) -> String {
    let domain = env.cx.snapshot.trunk(name).and_then(|trunk| trunk.domain.as_ref().map(ToString::to_string));
    domain.unwrap_or_else(|| own_host(env, name))
}

/// The media types that somebody takes, without their parameters.
pub(super) fn accepted(message: &Message) -> Option<String> {
    let is_range = |text: &&str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.+*/_".contains(&b)) && text.contains('/');
    let ranges = message.values(HeaderName::Accept).map(|value| value.split(';').next().unwrap_or_default().trim());
    let ranges: Vec<&str> = ranges.filter(is_range).take(16).collect();
    (!ranges.is_empty()).then(|| ranges.join(", "))
}

/// The body octet for octet.
pub(super) fn with_body(builder: Builder, from: &Message) -> Builder {
    bodied(builder, from, from.body().to_vec())
}

/// A document about people: it names them at `to`, not at `from` or any other host of its sender's side.
pub(super) fn with_document(env: &Env<'_>, builder: Builder, from: (&Message, &Hop, &str), to: &str) -> Builder {
    let (message, hop, domain) = from;
    let mut hosts = passing::hosts_of(env.cx, message, hop);
    hosts.push(domain.to_ascii_lowercase());
    let body = document::renamed(message.body(), &hosts, to);
    bodied(builder, message, body)
}

fn bodied(builder: Builder, from: &Message, body: Vec<u8>) -> Builder {
    let builder = OF_BODY.iter().filter(|_| !body.is_empty()).fold(builder, |builder, name| builder.copy(from, *name));
    match from.header(HeaderName::ContentType) {
        Some(kind) if !body.is_empty() => builder.body(kind, body),
        _ => builder,
    }
}
