//! SUBSCRIBE: a subscription begins, is refreshed, ends (RFC 6665 4.1, 4.2.1).

use super::subscription::{Notifier, Party, Phase, Subscription, own_event, package};
use super::write::{self, Out};
use super::{AGAIN_S, ALLOW_EVENTS, Asked, Events, OWN_PACKAGE, PACKAGES, Pending};
use super::{admitted, ends_subscription, passed, reply, reply_tagged};
use crate::b2bua::destination::destination;
use crate::b2bua::write::contact;
use crate::b2bua::{Env, device, setup, within};
use crate::route::{Source, Target};
use bytes::Bytes;
use ringfort_base::event::Mode;
use ringfort_base::{Event, Hop, Time};
use ringfort_sip::dialog::Dialog;
use ringfort_sip::message::{Builder, HeaderName, Message, Method};
use ringfort_sip::uri::Uri;
use std::time::Duration;

/// Shortest and longest subscription, seconds.
const EXPIRES_MIN_S: u32 = 60;
const EXPIRES_MAX_S: u32 = 3_600;
/// What a refusal tells the subscriber.
const PASSED_BACK: [HeaderName; 5] = [
    HeaderName::WwwAuthenticate,
    HeaderName::ProxyAuthenticate,
    HeaderName::MinExpires,
    HeaderName::RetryAfter,
    HeaderName::AllowEvents,
];

/// What became of a SUBSCRIBE that was sent on.
pub(super) struct Answer<'a> {
    pub asked: Asked,
    pub sent: Bytes,
    pub first: bool,
    pub status: u16,
    pub response: Option<(Hop, &'a Message)>,
}

/// Who wants to know what, for how long.
pub(super) struct Wish {
    pub source: Source,
    /// User part of the address.
    pub watched: String,
    pub event: String,
    pub expires_s: u32,
}

/// A refusal: status and header fields.
type Refused = (u16, Vec<(HeaderName, String)>);

impl Events {
    /// A SUBSCRIBE outside any dialog.
    pub(super) fn subscribed(&mut self, env: &mut Env<'_>, asked: Asked) {
        let Some(source) = admitted(env, &asked) else { return };
        let Some(event) = event_of(&asked.message) else { return bad_event(env, &asked, ALLOW_EVENTS) };
        let expires_s = match wanted_expires(&asked.message) {
            Ok(expires_s) => expires_s,
            Err((status, headers)) => return reply(env.cx, &asked, status, &headers),
        };
        if !self.has_room(&source) {
            env.cx.event(Event::LimitReached { limit: "SUBSCRIPTIONS_MAX".into(), effect: "SUBSCRIBE answered 503".into() });
            return reply(env.cx, &asked, 503, &[(HeaderName::RetryAfter, AGAIN_S.into())]);
        }
        let watched = setup::dialled(env, &asked.message);
        let wish = Wish { source, watched, event, expires_s };
        match notifier_of(env, &asked, &wish) {
            Ok(Some(target)) => self.relay(env, asked, wish, target),
            Ok(None) => self.begin_own(env, asked, wish),
            Err((status, headers)) => reply(env.cx, &asked, status, &headers),
        }
    }

    /// A subscription with its subscriber's dialog. `None`: the request founds none, and was answered.
    pub(super) fn found(&mut self, env: &mut Env<'_>, asked: &Asked, wish: &Wish, notifier: Notifier) -> Option<Subscription> {
        let tag = env.cx.tag();
        let mut dialog = match Dialog::uas(&asked.message, &tag, asked.hop) {
            Ok(dialog) => dialog,
            Err(error) => {
                reply(env.cx, asked, error.status(), &[]);
                return None;
            }
        };
        dialog.confirm();
        self.next += 1;
        let device = device::of_caller(env, &wish.source, &asked.hop, &asked.message, &dialog);
        Some(Subscription {
            id: self.next,
            source: wish.source.clone(),
            watched: wish.watched.clone(),
            event: wish.event.clone(),
            expires: env.cx.now.wall.plus(Duration::from_secs(wish.expires_s.into())),
            phase: Phase::Asked,
            due: Time::NEVER,
            subscriber: Party { dialog, device, placed: env.cx.now.mono },
            notifier,
        })
    }

    /// Subscribes at `target` for the subscriber.
    fn relay(&mut self, env: &mut Env<'_>, asked: Asked, wish: Wish, target: Target) {
        let snapshot = env.cx.snapshot.clone();
        let Ok(to) = destination(env, &snapshot, &target) else {
            return reply(env.cx, &asked, 480, &[(HeaderName::RetryAfter, AGAIN_S.into())]);
        };
        let (call_id, tag) = (env.cx.entropy.token(20), env.cx.tag());
        let device = to.device.clone();
        let notifier = Notifier::Remote { target: target.clone(), call_id: call_id.clone(), tag: tag.clone(), device, end: None };
        let Some(subscription) = self.found(env, &asked, &wish, notifier) else { return };
        let request = write::request_of(env, &asked, &wish.source, wish.watched.clone());
        let out = Out { target: &target, to: &to, call_id: &call_id, tag: &tag };
        let builder = write::initial(env, &asked, &request, &out).header(HeaderName::Contact, contact(env.cx, &to.hop));
        let builder = about(builder, &wish.event, wish.expires_s, &asked.message);
        let domain = write::domain_of(env, &wish.source);
        let octets = write::with_document(env, builder, (&asked.message, &asked.hop, &domain), &to.domain).build();
        let id = subscription.id;
        self.enter(subscription);
        let pending = Pending::Subscribe { subscription: id, asked, sent: octets.clone(), first: true };
        if !self.send(env.cx, to.hop, octets, pending) {
            self.remove(env.cx, id);
        }
    }

    /// A SUBSCRIBE inside the subscriber's dialog: a refresh, or with 0 seconds the end.
    pub(super) fn refreshed(&mut self, env: &mut Env<'_>, id: u64, asked: Asked) {
        if let Err((status, headers)) = self.may_refresh(env, id, &asked) {
            return match status {
                // It has been answered.
                0 => {}
                status => reply(env.cx, &asked, status, &headers),
            };
        }
        let expires_s = match wanted_expires(&asked.message) {
            Ok(expires_s) => expires_s,
            Err((status, headers)) => return reply(env.cx, &asked, status, &headers),
        };
        let Some(subscription) = self.live.get_mut(&id) else { return };
        let _ = subscription.subscriber.dialog.refresh_target(&asked.message);
        (subscription.subscriber.dialog.hop, subscription.subscriber.placed) = (asked.hop, env.cx.now.mono);
        if subscription.is_own() {
            return self.refresh_own(env, id, asked, expires_s);
        }
        if subscription.is_of_cloud() && env.mode != Mode::Normal {
            return self.refresh_without_cloud(env, id, asked, expires_s);
        }
        self.refresh_remote(env, id, asked, expires_s);
    }

    /// Whether this request may change the subscription: of its subscriber, from where he is known to be or with his password, in order.
    fn may_refresh(&mut self, env: &mut Env<'_>, id: u64, asked: &Asked) -> Result<(), Refused> {
        let Some(subscription) = self.live.get_mut(&id) else { return Err((481, Vec::new())) };
        let same = event_of(&asked.message).is_some_and(|event| event == subscription.event);
        let party = &mut subscription.subscriber;
        if !same || !within::is_of(&asked.message, &party.dialog) || matches!(subscription.phase, Phase::Ends | Phase::Moves) {
            return Err((481, Vec::new()));
        }
        let known = party.dialog.hop.same_peer(&asked.hop) && party.dialog.hop.flow == asked.hop.flow;
        if !known {
            let source = admitted(env, asked).ok_or((0, Vec::new()))?;
            if source != subscription.source {
                return Err((403, Vec::new()));
            }
        }
        let in_order = party.dialog.accept_request(&asked.message);
        in_order.map_err(|error| {
            let wait = error.retry_after_s().map(|s| (HeaderName::RetryAfter, s.to_string()));
            (error.status(), wait.into_iter().collect())
        })
    }

    /// Asks the notifier for the same.
    fn refresh_remote(&mut self, env: &mut Env<'_>, id: u64, asked: Asked, expires_s: u32) {
        let Some(subscription) = self.live.get_mut(&id) else { return };
        let (event, domain) = (subscription.event.clone(), write::domain_of(env, &subscription.source));
        let Notifier::Remote { target, end, .. } = &mut subscription.notifier else { return };
        let to = write::domain_at(env, target);
        // The first one is not answered yet.
        let Some(party) = end else { return reply(env.cx, &asked, 500, &[(HeaderName::RetryAfter, "5".into())]) };
        let Some(hop) = write::way(env, party) else { return reply(env.cx, &asked, 480, &[]) };
        let builder = about(write::inside(env, party, &Method::Subscribe), &event, expires_s, &asked.message);
        let builder = crate::b2bua::write::credentials(&env.cx.snapshot, builder, &subscription.source, target, &asked.message);
        let octets = write::with_document(env, builder, (&asked.message, &asked.hop, &domain), &to).build();
        let pending = Pending::Subscribe { subscription: id, asked, sent: octets.clone(), first: false };
        self.send(env.cx, hop, octets, pending);
    }

    /// The cloud cannot be asked. What it told holds until it runs out (RFC 6665 4.1.2.2); its end needs nobody's leave.
    fn refresh_without_cloud(&mut self, env: &mut Env<'_>, id: u64, asked: Asked, expires_s: u32) {
        if expires_s > 0 {
            return reply(env.cx, &asked, 504, &[(HeaderName::RetryAfter, AGAIN_S.into())]);
        }
        self.grant(env, id, &asked, 0);
        self.terminate(env, id, "timeout");
    }

    /// The notifier answered a SUBSCRIBE, or did not.
    pub(super) fn subscribe_answered(&mut self, env: &mut Env<'_>, id: u64, answer: Answer<'_>) {
        let Some(subscription) = self.live.get_mut(&id) else { return reply(env.cx, &answer.asked, 481, &[]) };
        let Some((hop, response)) = answer.response.filter(|_| (200..300).contains(&answer.status)) else {
            return self.subscribe_refused(env, id, answer);
        };
        let asked_s = wanted_expires(&answer.asked.message).unwrap_or(EXPIRES_MAX_S);
        let granted_s = response.expires().ok().flatten().unwrap_or(asked_s).min(asked_s);
        if let Notifier::Remote { end, device, .. } = &mut subscription.notifier {
            match end {
                Some(party) => drop(party.dialog.accept_success(response)),
                None => {
                    let dialog = Message::parse(answer.sent).ok().and_then(|sent| Dialog::uac(&sent, response, hop).ok());
                    *end = dialog.map(|dialog| Box::new(Party { dialog, device: device.clone(), placed: env.cx.now.mono }));
                }
            }
        }
        subscription.expires = env.cx.now.wall.plus(Duration::from_secs(granted_s.into()));
        let phase = match subscription.phase {
            _ if granted_s == 0 => Phase::Ends,
            Phase::Asked => Phase::Granted,
            phase => phase,
        };
        self.grant(env, id, &answer.asked, granted_s);
        self.enter_phase(env.cx, id, phase);
        self.keep(env.cx, id);
    }

    /// 200 to the subscriber.
    pub(super) fn grant(&mut self, env: &mut Env<'_>, id: u64, asked: &Asked, granted_s: u32) {
        let Some(subscription) = self.live.get(&id) else { return };
        let tag = subscription.subscriber.dialog.id.local_tag.clone();
        let headers = [
            (HeaderName::Expires, granted_s.to_string()),
            (HeaderName::Contact, contact(env.cx, &asked.hop)),
            (HeaderName::AllowEvents, ALLOW_EVENTS.to_string()),
        ];
        reply_tagged(env.cx, asked, 200, &tag, &headers);
    }

    /// A refusal ends what had not begun, and what the notifier has forgotten; another one leaves a subscription as it was.
    fn subscribe_refused(&mut self, env: &mut Env<'_>, id: u64, answer: Answer<'_>) {
        let forgotten = ends_subscription(answer.status);
        let of_cloud = self.live.get(&id).is_some_and(Subscription::is_of_cloud);
        let (status, headers) = match answer.response {
            Some((_, response)) => (answer.status, passed(response, &PASSED_BACK)),
            None => (480, vec![(HeaderName::RetryAfter, AGAIN_S.to_string())]),
        };
        let status = match status {
            // RFC 6665 4.1.2.2: after 481 it is begun anew, and served by whoever can.
            _ if forgotten && !answer.first => 481,
            // A device's challenge is not for the cloud to answer.
            401 | 407 if !of_cloud => 403,
            // Nobody is named to whom the subscriber could turn.
            300..=399 => 480,
            // RFC 3261 16.7: it would be taken for a statement about the node.
            503 => 500,
            status => status,
        };
        let is_challenge = |name: HeaderName| matches!(name, HeaderName::WwwAuthenticate | HeaderName::ProxyAuthenticate);
        let headers: Vec<_> = headers.into_iter().filter(|(name, _)| of_cloud || !is_challenge(*name)).collect();
        reply(env.cx, &answer.asked, status, &headers);
        if answer.first || forgotten {
            self.remove(env.cx, id);
        }
    }
}

/// Who notifies: `None` is the node itself.
fn notifier_of(env: &Env<'_>, asked: &Asked, wish: &Wish) -> Result<Option<Target>, Refused> {
    match &wish.source {
        Source::Trunk(_) => Err((403, Vec::new())),
        Source::Cloud => device_of(env, &asked.message, &wish.watched).map(Some).ok_or((480, Vec::new())),
        Source::Account(_) => match env.mode {
            Mode::Normal => Ok(Some(Target::Cloud { number: wish.watched.clone() })),
            _ if package(&wish.event) == OWN_PACKAGE => match is_known(env, &wish.watched) {
                true => Ok(None),
                false => Err((404, Vec::new())),
            },
            // The cloud may be back soon, and it alone knows.
            Mode::Survivable => Err((480, vec![(HeaderName::RetryAfter, AGAIN_S.into())])),
            Mode::Standalone => Err((489, vec![(HeaderName::AllowEvents, OWN_PACKAGE.into())])),
        },
    }
}

fn is_known(env: &Env<'_>, user: &str) -> bool {
    env.cx.snapshot.accounts.contains_key(user) || !env.bindings.of(user).is_empty()
}

/// The device that a request of the cloud is for: the one whose contact it names, or the one of the user that registered last.
pub(super) fn device_of(env: &Env<'_>, request: &Message, user: &str) -> Option<Target> {
    let uri = request.request_uri().and_then(|uri| Uri::parse(uri).ok());
    let named = uri.as_ref().and_then(|uri| uri.param("rf"));
    let binding = match named {
        Some(token) => env.bindings.by_token(token),
        None => env.bindings.devices_of(user).into_iter().rev().find(|binding| binding.is_reachable()),
    };
    binding.map(|binding| Target::Device { user: binding.user.clone(), token: binding.token.clone() })
}

/// The Event of a package that is taken. `None`: another one, or none that could be read.
fn event_of(request: &Message) -> Option<String> {
    let event = own_event(request.header(HeaderName::Event).unwrap_or_default())?;
    PACKAGES.contains(&package(&event)).then_some(event)
}

pub(super) fn bad_event(env: &mut Env<'_>, asked: &Asked, allowed: &str) {
    reply(env.cx, asked, 489, &[(HeaderName::AllowEvents, allowed.to_string())]);
}

/// Seconds asked for, within bounds; too brief is refused (RFC 6665 4.2.1.1).
fn wanted_expires(request: &Message) -> Result<u32, Refused> {
    let wanted = request.expires().map_err(|_| (400, Vec::new()))?.unwrap_or(EXPIRES_MAX_S).min(EXPIRES_MAX_S);
    match wanted {
        1..EXPIRES_MIN_S => Err((423, vec![(HeaderName::MinExpires, EXPIRES_MIN_S.to_string())])),
        wanted => Ok(wanted),
    }
}

/// What a SUBSCRIBE asks for.
fn about(builder: Builder, event: &str, expires_s: u32, asked: &Message) -> Builder {
    builder
        .header(HeaderName::Event, event)
        .header(HeaderName::Expires, expires_s)
        .header_if(HeaderName::Accept, write::accepted(asked))
}
