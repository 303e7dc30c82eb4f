//! Which rule takes a call: the first that fits.

use super::{NoRoute, Note, Question, Service, Source, Trace};
use crate::config::{RouteSection, RouteSource, Snapshot, TargetName};
use crate::number::{self, Number, Writer};
use ringfort_base::event::Mode;

/// A question with the called number read. Forwards ask again, with the forwarding account as their source.
pub(super) struct Asked<'a> {
    pub snapshot: &'a Snapshot,
    pub question: &'a Question<'a>,
    pub source: &'a Source,
    pub number: &'a Number,
}

/// What the rule wants.
pub(super) enum Way<'a> {
    /// A service of the node.
    Service(Service),
    /// These targets with this number.
    Targets(&'a [TargetName], String),
    /// An extension of this node; in normal mode the cloud is asked first.
    Extension { user: String, by_cloud: bool },
    /// The cloud.
    Cloud(String),
    /// Nothing.
    Refuse(NoRoute),
}

/// The rule and what it wants.
pub(super) struct Found<'a> {
    pub rule: String,
    pub way: Way<'a>,
    pub emergency: bool,
}

fn found<'a>(rule: impl Into<String>, way: Way<'a>) -> Option<Found<'a>> {
    Some(Found { rule: rule.into(), way, emergency: false })
}

/// The first rule that fits.
pub(super) fn find<'a>(asked: &Asked<'a>, trace: &mut impl Trace) -> Found<'a> {
    trace.note(|| Note::yes("number", read_as(asked)));
    emergency(asked, trace)
        .or_else(|| service(asked, trace))
        .or_else(|| configured(asked, trace))
        .or_else(|| extension(asked, trace))
        .or_else(|| cloud_default(asked, trace))
        .unwrap_or(Found { rule: "none".into(), way: Way::Refuse(NoRoute::UnknownNumber), emergency: false })
}

fn read_as(asked: &Asked<'_>) -> String {
    let Number { dialled, global, extension } = asked.number;
    let global = global.as_ref().map(|number| format!(", {number}")).unwrap_or_default();
    let extension = extension.as_ref().map(|user| format!(", extension {user} by [[did]]")).unwrap_or_default();
    format!("{dialled}{global}{extension}")
}

/// Numbers are looked for as they were dialled: nothing that the plan makes of them hides an emergency.
fn emergency<'a>(asked: &Asked<'a>, trace: &mut impl Trace) -> Option<Found<'a>> {
    let writer = asked.source.writer(asked.snapshot);
    let called = number::emergency(asked.snapshot, asked.question.number, writer);
    let called = called.or_else(|| number::emergency(asked.snapshot, &asked.number.dialled, writer));
    let Some(called) = called else {
        trace.note(|| Note::no("emergency", "not an emergency number"));
        return None;
    };
    trace.note(|| Note::yes("emergency", format!("{called} is never refused for a limit")));
    let way = Way::Targets(&asked.snapshot.emergency.to, called.to_string());
    Some(Found { rule: "emergency".into(), way, emergency: true })
}

fn service<'a>(asked: &Asked<'a>, trace: &mut impl Trace) -> Option<Found<'a>> {
    let (services, dialled) = (&asked.snapshot.services, &asked.number.dialled);
    let echo = (!services.echo.is_empty() && services.echo == *dialled).then_some(Service::Echo);
    let Some(service) = echo.or_else(|| Some(Service::Conference(services.room(dialled)?.to_string()))) else {
        let known: Vec<&str> =
            [&services.echo, &services.conference].into_iter().map(String::as_str).filter(|n| !n.is_empty()).collect();
        trace.note(|| {
            Note::no(
                "service",
                if known.is_empty() { "none is configured".into() } else { format!("not {}", known.join(" or ")) },
            )
        });
        return None;
    };
    trace.note(|| Note::yes("service", service.to_string()));
    found("service", Way::Service(service))
}

fn configured<'a>(asked: &Asked<'a>, trace: &mut impl Trace) -> Option<Found<'a>> {
    for route in &asked.snapshot.routes {
        let rule = || format!("route {}", route.name);
        let number = match applies(asked, route) {
            Ok(number) => number,
            Err(why) => {
                trace.note(|| Note::no(rule(), why.in_words(asked, route)));
                continue;
            }
        };
        if let Some(status) = route.deny {
            trace.note(|| Note::yes(rule(), format!("`{}` fits {number}: refused with {status}", route.number)));
            return found(rule(), Way::Refuse(NoRoute::Denied { status, reason: route.reason.clone() }));
        }
        let stripped = number.get(usize::from(route.strip)..).unwrap_or_default();
        let rewritten = format!("{}{stripped}", route.prepend);
        trace.note(|| Note::yes(rule(), format!("`{}` fits {number}: {rewritten}", route.number)));
        return found(rule(), Way::Targets(&route.to, rewritten));
    }
    None
}

/// Why a route does not apply.
enum Mismatch {
    Source,
    Mode,
    Caller,
    Time,
    Number,
}

/// The form of the number that the route fits.
fn applies<'a>(asked: &Asked<'a>, route: &RouteSection) -> Result<&'a str, Mismatch> {
    if !is_from(&route.source, asked.source) {
        return Err(Mismatch::Source);
    }
    if !route.mode.allows(asked.question.mode) {
        return Err(Mismatch::Mode);
    }
    if !route.caller.is_empty() && !calls_from(asked, route) {
        return Err(Mismatch::Caller);
    }
    let local = || asked.snapshot.node.time_zone.local(asked.question.wall);
    if !route.when.is_empty() && !route.when.iter().any(|when| when.holds(local())) {
        return Err(Mismatch::Time);
    }
    asked.number.forms().find(|form| route.number.matches(form)).ok_or(Mismatch::Number)
}

fn is_from(wanted: &RouteSource, source: &Source) -> bool {
    match (wanted, source) {
        (RouteSource::Any, _) | (RouteSource::Accounts, Source::Account(_)) | (RouteSource::Cloud, Source::Cloud) => true,
        (RouteSource::Account(pattern), Source::Account(user)) => pattern.matches(user),
        (RouteSource::Trunk(wanted), Source::Trunk(name)) => wanted == name,
        _ => false,
    }
}

/// A caller's number is written by a peer even where a person dials: nobody sends the prefix of an outside line as a caller's number.
fn calls_from(asked: &Asked<'_>, route: &RouteSection) -> bool {
    let writer = match asked.source.writer(asked.snapshot) {
        Writer::Person => Writer::Peer(Default::default()),
        peer => peer,
    };
    let caller = Number::read(asked.snapshot, asked.question.caller, writer);
    let forms = [Some(&caller.dialled), caller.global.as_ref(), caller.extension.as_ref()];
    forms.into_iter().flatten().any(|form| route.caller.iter().any(|pattern| pattern.matches(form)))
}

impl Mismatch {
    fn in_words(&self, asked: &Asked<'_>, route: &RouteSection) -> String {
        match self {
            Mismatch::Source => format!("not for calls of {}", asked.source),
            Mismatch::Mode => format!("not in {} mode", asked.question.mode.as_str()),
            Mismatch::Caller => format!("not for caller {}", asked.question.caller),
            Mismatch::Time => format!("not on {}", asked.snapshot.node.time_zone.local(asked.question.wall)),
            Mismatch::Number => {
                format!("`{}` does not fit {}", route.number, asked.number.forms().collect::<Vec<_>>().join(" or "))
            }
        }
    }
}

/// A number that is an account or has a device here. In normal mode the cloud comes first, for it owns the extension's
/// forwards and groups; the devices themselves follow, so that a call which meets a dead cloud is not lost.
fn extension<'a>(asked: &Asked<'a>, trace: &mut impl Trace) -> Option<Found<'a>> {
    let user = asked.number.inside();
    if !asked.snapshot.accounts.contains_key(user) && !(asked.question.is_registered)(user) {
        trace.note(|| Note::no("extension", format!("{user} is no account and not registered")));
        return None;
    }
    let by_cloud = asked.question.mode == Mode::Normal && *asked.source != Source::Cloud;
    trace.note(|| Note::yes("extension", if by_cloud { format!("{user}, the cloud first") } else { user.to_string() }));
    found("extension", Way::Extension { user: user.to_string(), by_cloud })
}

fn cloud_default<'a>(asked: &Asked<'a>, trace: &mut impl Trace) -> Option<Found<'a>> {
    let own = matches!(asked.source, Source::Account(_));
    let why = match (own, asked.snapshot.cloud.is_some(), asked.question.mode) {
        (false, ..) => "only for calls of accounts",
        (_, false, _) => "there is no cloud",
        (_, _, Mode::Normal) => "",
        _ => "the cloud is not reachable",
    };
    if !why.is_empty() {
        trace.note(|| Note::no("cloud default", why));
        return None;
    }
    trace.note(|| Note::yes("cloud default", "no rule of the node fits"));
    found("cloud default", Way::Cloud(asked.number.inside().to_string()))
}
