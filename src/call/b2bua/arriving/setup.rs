//! An INVITE becomes a call: who sends it, what it offers, where it goes.

use crate::b2bua::branch::Asking;
use crate::b2bua::call::{Awaited, Call, Invite, Leg, Media, Phase, Request, Side};
use crate::b2bua::connected::Connected;
use crate::b2bua::early::Early;
use crate::b2bua::identity::{self, Caller, Stranger};
use crate::b2bua::loops::breadth;
use crate::b2bua::media::At;
use crate::b2bua::proof::Proving;
use crate::b2bua::{Env, Tables, device, media, people, progress, session_timer, write};
use crate::config::{PeerProfile, PeerRef, Snapshot};
use crate::number;
use crate::route::{self, Decision, NoTrace, Question, Source};
use ringfort_base::{CallId, Event, Hop, Transport, limits};
use ringfort_media::Security;
use ringfort_media::sdp::Sdp;
use ringfort_media::session::{LegKind, kind_of_offer};
use ringfort_sip::dialog::Dialog;
use ringfort_sip::message::{Builder, HeaderName, Message};
use ringfort_sip::transaction::TransactionId;
use ringfort_sip::uri::Uri;

/// An INVITE outside any dialog.
pub struct Incoming {
    /// Its transaction.
    pub id: TransactionId,
    /// Whence it came.
    pub hop: Hop,
    /// The request.
    pub invite: Message,
}

/// The call, ended already when it cannot be routed or its offer is refused; `None` when the INVITE comes from nobody who may call.
pub(in crate::b2bua) fn begin(env: &mut Env<'_>, tables: &mut Tables, incoming: Incoming, full: bool) -> Option<Call> {
    let source = match identity::source_of(env, &incoming.hop, &incoming.invite) {
        Ok(source) => source,
        Err(stranger) => return turn_away(env, &incoming, stranger),
    };
    begin_as(env, tables, incoming, source, full)
}

/// The same when it is known who calls.
pub(in crate::b2bua) fn begin_as(
    env: &mut Env<'_>,
    tables: &mut Tables,
    incoming: Incoming,
    source: Source,
    full: bool,
) -> Option<Call> {
    if let Some(min) = session_timer::too_short(env, &incoming.invite) {
        return refuse(env, &incoming, 422, None, &[(HeaderName::MinSe, min.to_string())]);
    }
    let tag = env.cx.tag();
    let dialog = match Dialog::uas(&incoming.invite, &tag, incoming.hop) {
        Ok(dialog) => dialog,
        Err(error) => return refuse(env, &incoming, error.status(), Some(&format!("Bad Request ({error})")), &[]),
    };
    if people::wants_too_much(&incoming.invite) {
        return refuse(env, &incoming, 500, Some("Privacy Not Possible"), &[]);
    }
    let number = dialled(env, &incoming.invite);
    let breadth = breadth(&incoming.invite).unwrap_or(limits::BREADTH_MAX).min(limits::BREADTH_MAX);
    if breadth == 0 {
        return refuse(env, &incoming, 440, Some("Max-Breadth Exceeded"), &[]);
    }
    let Caller { user: from, name: from_name, alternative } = identity::caller(env, &incoming.invite, &source);
    let mut decision = decide(env, &source, &from, &number);
    let gruu = device::dialled(env, &incoming.invite).filter(|_| !decision.emergency);
    let number = gruu.map_or(number.clone(), |(user, one)| {
        decision = one;
        user
    });
    if let Some(reason) = tables.loops.judge(&incoming.invite, &source, &number) {
        return refuse(env, &incoming, 482, Some(reason), &[]);
    }
    if full && !decision.emergency {
        env.cx.event(Event::LimitReached { limit: "CALLS_MAX".into(), effect: "INVITE answered 503".into() });
        return refuse(env, &incoming, 503, None, &[(HeaderName::RetryAfter, "10".into())]);
    }
    let asked = Request {
        source,
        from,
        from_name,
        alternative,
        number,
        rule: decision.rule,
        emergency: decision.emergency,
        mode: env.mode,
        max_forwards: incoming.invite.max_forwards().ok().flatten().unwrap_or(70),
    };
    let targets = match decision.targets {
        Ok(targets) => targets,
        Err(reason) => {
            let mut call = new_call(env, tables, incoming, asked, dialog);
            announce(env, &call, Vec::new());
            call.refuse_by_route(env, tables, &reason);
            return Some(call);
        }
    };
    let mut call = new_call(env, tables, incoming, asked, dialog);
    announce(env, &call, targets.iter().map(ToString::to_string).collect());
    call.asking.plan = targets;
    call.asking.breadth = breadth;
    take_offer(env, tables, &mut call);
    call.enter(env, tables);
    Some(call)
}

/// Where a call of this caller to this number goes now.
pub(crate) fn decide(env: &mut Env<'_>, source: &Source, caller: &str, number: &str) -> Decision {
    let bindings = env.bindings;
    let is_registered = |user: &str| !bindings.of(user).is_empty();
    let draw = env.cx.entropy.u64();
    let (mode, wall) = (env.mode, env.cx.now.wall);
    let question = Question { source, caller, number, mode, wall, draw, is_registered: &is_registered };
    route::evaluate(&env.cx.snapshot, &question, &mut NoTrace)
}

/// The number dialled: the user part of the request URI. The cloud reaches a device by the contact that the node gave it, whose
/// token names the binding.
pub(crate) fn dialled(env: &Env<'_>, invite: &Message) -> String {
    let Some(uri) = invite.request_uri().and_then(|u| Uri::parse(u).ok()) else { return String::new() };
    let of_token = uri.param("rf").and_then(|token| env.bindings.by_token(token)).map(|b| b.user.clone());
    of_token.unwrap_or_else(|| number::of_uri(&env.cx.snapshot.numbers, &uri))
}

fn new_call(env: &mut Env<'_>, tables: &mut Tables, incoming: Incoming, asked: Request, dialog: Dialog) -> Call {
    let id = tables.fresh_id();
    let (call_id, tag) = (dialog.id.call_id.clone(), dialog.id.local_tag.clone());
    let cseq = dialog.remote_cseq.unwrap_or_default();
    tables.invites.insert(incoming.id, id);
    tables.dialogs.insert((call_id.clone(), tag.clone()), (id, Side::Caller));
    env.cx.totals.calls += 1;
    let early = Early::new(dialog.clone(), env.cx.entropy.u64() as u32);
    let reliable = env.cx.profile_at(&incoming.hop, Some(&incoming.invite)).reliable_provisional;
    tables.loops.begun(id, &incoming.invite, &asked.source, &asked.number);
    // Cloud and trunks name where they want requests; devices may sit behind NAT.
    let by_target = !matches!(asked.source, Source::Account(_));
    let device = device::of_caller(env, &asked.source, &incoming.hop, &incoming.invite, &dialog);
    let mut caller = Leg::new(incoming.hop, by_target, call_id, tag);
    (caller.dialog, caller.device, caller.placed) = (Some(dialog), device, env.cx.now.mono);
    caller.proving = Proving::of(&asked.source);
    caller.connected = Some(Connected::of_caller(&env.cx.snapshot, &asked, &incoming.invite));
    Call {
        id,
        snapshot: Some(env.cx.snapshot.clone()),
        asked,
        phase: Phase::Routing,
        caller,
        callee: None,
        target: None,
        asking: Asking { earlies: vec![early], reliable, ..Asking::default() },
        offered: false,
        invites: vec![Awaited { id: incoming.id, side: Side::Caller, cseq }],
        invite: Some(Invite { id: incoming.id, message: incoming.invite }),
        exchange: None,
        relayed: Vec::new(),
        transfer: None,
        passed: None,
        replaced: None,
        recorded: None,
        considered: None,
        left: [0; 2],
        started: env.cx.now.wall,
        answered: None,
        reroutes: 0,
        key_exchanges: 0,
        key_refusals: 0,
        transcoded: false,
        places: Vec::new(),
        outcome: None,
    }
}

fn announce(env: &mut Env<'_>, call: &Call, targets: Vec<String>) {
    let (from, to) = (call.asked.from.clone().into(), call.asked.number.clone().into());
    env.cx.event(Event::CallStarted { call: call.id, from, to });
    env.cx.event(Event::CallRouted { call: call.id, route: call.asked.rule.clone(), targets });
}

/// The caller's media session from its offer; a call whose offer is refused ends here.
fn take_offer(env: &mut Env<'_>, tables: &mut Tables, call: &mut Call) {
    let Some(invite) = &call.invite else { return };
    let body = progress::sdp_of(&invite.message).map(<[u8]>::to_vec);
    let Some(mut media) = open_for(env, tables, call.id, &call.asked.source, (&call.caller.hop, &invite.message)) else {
        return call.refuse(env, tables, 503, "no-media-port", Vec::new());
    };
    let mut policy = call.policy_within(env, media.session.policy().clone());
    if invite.id.is_internal() {
        // The node asks itself, for a transfer: no packet passes, and none is to be secured.
        policy.security = Security::default();
    }
    media.session.set_policy(policy);
    let Some(body) = body else {
        call.asking.delayed = true;
        call.caller.media = Some(media);
        return;
    };
    let offer = media.session.receive_offer(env.cx.now.mono, &body);
    media.described = offer.as_ref().ok().cloned();
    if let Ok(described) = &offer {
        media::open_aside(env, tables, call.id, &mut media, described);
    }
    call.caller.media = Some(media);
    if let Err(error) = offer {
        let warning = write::warning(env.cx, &error);
        call.refuse(env, tables, error.status(), "bad-sdp", vec![(HeaderName::Warning, warning)]);
    }
}

/// A port for whoever sent this INVITE: of the kind that its offer says, secured as its profile says.
pub(in crate::b2bua) fn open_for(
    env: &mut Env<'_>,
    tables: &mut Tables,
    call: CallId,
    source: &Source,
    (hop, invite): (&Hop, &Message),
) -> Option<Media> {
    let body = progress::sdp_of(invite);
    let kind = match body {
        Some(body) => Sdp::parse(body).map_or(LegKind::Rtp, |sdp| kind_of_offer(&sdp)),
        // Without an offer the way tells what sits at its end.
        None => kind_behind(hop),
    };
    let mut media = media::open(env, tables, call, kind, At { hop, audio: body.and_then(media::address_of) })?;
    let profile = profile_of_caller(&env.cx.snapshot, source, invite);
    media.session.set_policy(env.cx.snapshot.policy_of(profile));
    media.session.set_takes_info(invite.has_token(HeaderName::Allow, "INFO"));
    Some(media)
}

fn profile_of_caller<'a>(snapshot: &'a Snapshot, source: &Source, invite: &Message) -> &'a PeerProfile {
    let agent = || invite.header(HeaderName::UserAgent).unwrap_or_default();
    let peer = match source {
        Source::Account(_) => PeerRef::Device(agent()),
        Source::Cloud => PeerRef::Cloud,
        Source::Trunk(name) => PeerRef::Trunk(name),
    };
    snapshot.profile_of(peer)
}

/// What kind of peer sits behind a hop.
fn kind_behind(hop: &Hop) -> LegKind {
    if matches!(hop.transport, Transport::Ws | Transport::Wss) { LegKind::Webrtc } else { LegKind::Rtp }
}

pub(in crate::b2bua) fn turn_away(env: &mut Env<'_>, incoming: &Incoming, stranger: Stranger) -> Option<Call> {
    match stranger {
        Stranger::Forbidden => refuse(env, incoming, 403, Some("From Is Not Your Account"), &[]),
        Stranger::Challenge(values) => {
            let headers: Vec<_> = values.into_iter().map(|v| (HeaderName::ProxyAuthenticate, v)).collect();
            refuse(env, incoming, 407, None, &headers)
        }
    }
}

pub(in crate::b2bua) fn refuse(
    env: &mut Env<'_>,
    incoming: &Incoming,
    status: u16,
    reason: Option<&str>,
    headers: &[(HeaderName, String)],
) -> Option<Call> {
    let tag = env.cx.tag();
    let reply = Builder::reply(&incoming.invite, status, reason, Some(&tag));
    let octets = headers.iter().fold(reply, |b, (name, value)| b.header(*name, value)).build();
    env.cx.respond(incoming.id, octets);
    None
}
