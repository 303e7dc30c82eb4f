//! Requests that found nothing: MESSAGE and PUBLISH outside dialogs, and a NOTIFY that nobody subscribed to. One request becomes one
//! request for each target; the first 2xx is the answer, or else the best refusal, as a proxy would have it (RFC 3261 16.7).

use super::subscribe::{bad_event, device_of};
use super::subscription::{own_event, package};
use super::write::{self, Out};
use super::{AGAIN_S, ALLOW_EVENTS, Asked, Events, OWN_PACKAGE, PACKAGES, Pending};
use super::{admitted, busy, passed, reply};
use crate::b2bua::call::{Failure, Request};
use crate::b2bua::destination::{destination, peer_of};
use crate::b2bua::write::contact;
use crate::b2bua::{Env, device, identity, outcome, people, progress, setup};
use crate::context::Owner;
use crate::route::{NoRoute, Source, Stage, Target};
use ringfort_base::event::Mode;
use ringfort_base::{Hop, limits};
use ringfort_sip::message::{Builder, HeaderName, Message, Method};
use ringfort_sip::transaction::TransactionId;
use ringfort_sip::uri::Uri;

/// What the cloud tells a registered device unasked: of its messages (RFC 3842 as many do it), and that it is to fetch its settings.
const UNASKED_BY_CLOUD: &[&str] = &["message-summary", "check-sync"];
/// The same of a trunk.
const UNASKED_BY_TRUNK: &[&str] = &["message-summary"];
/// Answers to challenges.
const PROOFS: [HeaderName; 2] = [HeaderName::Authorization, HeaderName::ProxyAuthorization];
/// What passes with a success.
const OF_SUCCESS: [HeaderName; 2] = [HeaderName::SipETag, HeaderName::Expires];
/// What passes with a refusal, beside what passes with that of an INVITE.
const OF_REFUSAL: [HeaderName; 3] = [HeaderName::Accept, HeaderName::MinExpires, HeaderName::AllowEvents];

/// One of these on its way.
pub(super) struct Single {
    asked: Asked,
    request: Request,
    plan: Vec<Stage>,
    place: usize,
    /// Whoever has not answered yet.
    branches: Vec<(TransactionId, Target)>,
    failures: Vec<Failure>,
}

impl Events {
    /// A MESSAGE, routed as a call would be.
    pub(super) fn messaged(&mut self, env: &mut Env<'_>, asked: Asked) {
        let Some(source) = admitted(env, &asked) else { return };
        if asked.message.body().len() > limits::PASSED_BODY_MAX {
            return reply(env.cx, &asked, 413, &[]);
        }
        if people::wants_too_much(&asked.message) {
            return reply(env.cx, &asked, 500, &[]);
        }
        let number = setup::dialled(env, &asked.message);
        let request = write::request_of(env, &asked, &source, number);
        let decision = match device::dialled(env, &asked.message) {
            Some((_, decision)) => decision,
            None => setup::decide(env, &source, &request.from, &request.number),
        };
        match decision.targets {
            Ok(plan) => self.begin(env, asked, request, plan),
            Err(NoRoute::Denied { status, .. }) => reply(env.cx, &asked, status, &[]),
            Err(refusal) => reply(env.cx, &asked, refusal.status(), &[]),
        }
    }

    /// A PUBLISH of a device for its own user: the cloud keeps such state, the node does not.
    pub(super) fn published(&mut self, env: &mut Env<'_>, asked: Asked) {
        let user = match admitted(env, &asked) {
            Some(Source::Account(user)) => user,
            Some(_) => return reply(env.cx, &asked, 403, &[]),
            None => return,
        };
        let event = own_event(asked.message.header(HeaderName::Event).unwrap_or_default());
        let allowed = if env.mode == Mode::Standalone { OWN_PACKAGE } else { ALLOW_EVENTS };
        if event.is_none_or(|event| !PACKAGES.contains(&package(&event))) || env.mode == Mode::Standalone {
            return bad_event(env, &asked, allowed);
        }
        if setup::dialled(env, &asked.message) != user {
            return reply(env.cx, &asked, 403, &[]);
        }
        if env.mode == Mode::Survivable {
            return reply(env.cx, &asked, 480, &[(HeaderName::RetryAfter, AGAIN_S.into())]);
        }
        let request = write::request_of(env, &asked, &Source::Account(user.clone()), user.clone());
        self.begin(env, asked, request, vec![Stage::of(Target::Cloud { number: user })]);
    }

    /// A peer tells a registered device something that nobody subscribed to. Of others it is refused (RFC 6665 4.1.3).
    pub(super) fn told(&mut self, env: &mut Env<'_>, asked: Asked) {
        let source = identity::peer_at(env, &asked.hop);
        let event = own_event(asked.message.header(HeaderName::Event).unwrap_or_default()).unwrap_or_default();
        let packages = match &source {
            Some(Source::Cloud) => UNASKED_BY_CLOUD,
            Some(Source::Trunk(_)) => UNASKED_BY_TRUNK,
            _ => &[],
        };
        let Some(source) = source.filter(|_| packages.contains(&package(&event))) else {
            return reply(env.cx, &asked, 481, &[]);
        };
        let number = setup::dialled(env, &asked.message);
        let request = write::request_of(env, &asked, &source, number);
        let targets = listeners(env, &asked.message, &request);
        match targets.is_empty() {
            true => reply(env.cx, &asked, 480, &[]),
            false => self.begin(env, asked, request, vec![Stage { targets, ..Stage::default() }]),
        }
    }

    fn begin(&mut self, env: &mut Env<'_>, asked: Asked, request: Request, plan: Vec<Stage>) {
        if self.singles >= limits::SINGLE_REQUESTS_MAX {
            return busy(env.cx, &asked);
        }
        self.next += 1;
        let single = Single { asked, request, plan, place: 0, branches: Vec::new(), failures: Vec::new() };
        self.try_from(env, self.next, single, 0);
    }

    /// Asks the stage at `place`, or the one that follows when none of its targets can be asked.
    fn try_from(&mut self, env: &mut Env<'_>, key: u64, mut single: Single, place: usize) {
        single.place = place;
        single.ask(env, key);
        match single.branches.is_empty() {
            false => self.wait(key, single),
            true => self.after_stage(env, key, single),
        }
    }

    fn wait(&mut self, key: u64, single: Single) {
        self.singles += 1;
        self.pending.insert(key, Pending::Single(Box::new(single)));
    }

    /// Nobody of a stage is left.
    fn after_stage(&mut self, env: &mut Env<'_>, key: u64, mut single: Single) {
        let failures = std::mem::take(&mut single.failures);
        let best = outcome::best(failures).unwrap_or(Failure::new(480, ""));
        match best.leads_to(&single.plan, single.place) {
            Some(place) => self.try_from(env, key, single, place),
            None => reply(env.cx, &single.asked, best.status, &best.headers),
        }
    }

    /// A target answered, or did not. A success is told at once; it is not for the others to say more.
    pub(super) fn single_answered(
        &mut self,
        env: &mut Env<'_>,
        key: u64,
        mut single: Box<Single>,
        id: TransactionId,
        status: u16,
        response: Option<&Message>,
    ) {
        self.singles = self.singles.saturating_sub(1);
        let Some(place) = single.branches.iter().position(|(branch, _)| *branch == id) else {
            return self.wait(key, *single);
        };
        let (_, target) = single.branches.swap_remove(place);
        if let Some(response) = response.filter(|_| (200..300).contains(&status)) {
            return reply(env.cx, &single.asked, status, &passed(response, &OF_SUCCESS));
        }
        let failure = match response.and_then(|response| single.challenge(&target, response)) {
            Some(challenge) => challenge,
            None => failure(env, &target, status, response),
        };
        single.failures.push(failure);
        match single.branches.is_empty() || status >= 600 {
            true => self.after_stage(env, key, *single),
            false => self.wait(key, *single),
        }
    }

    /// The cloud was lost: what waits for its answer goes on.
    pub(super) fn singles_without_cloud(&mut self, env: &mut Env<'_>) {
        let waiting: Vec<(u64, TransactionId)> =
            self.pending.iter().filter_map(|(key, pending)| Some((*key, at_cloud(pending)?))).collect();
        for (key, id) in waiting {
            if let Some(Pending::Single(single)) = self.pending.remove(&key) {
                self.single_answered(env, key, single, id, 408, None);
            }
        }
    }
}

impl Single {
    /// Sends the request to every target of its stage that can be reached.
    fn ask(&mut self, env: &mut Env<'_>, key: u64) {
        let targets = self.plan.get(self.place).map(|stage| stage.targets.clone()).unwrap_or_default();
        let has_others = self.plan.iter().any(|stage| stage.behind == Some(self.place));
        for target in concrete(env, targets).into_iter().take(limits::BRANCHES_MAX) {
            let is_dead = peer_of(&target).is_some_and(|peer| !env.peers.is_up(&peer));
            let sent = if is_dead && has_others { Err(Failure::new(480, "")) } else { self.send(env, key, &target) };
            match sent {
                Ok(id) => self.branches.push((id, target)),
                Err(failure) => self.failures.push(failure),
            }
        }
    }

    fn send(&self, env: &mut Env<'_>, key: u64, target: &Target) -> Result<TransactionId, Failure> {
        let snapshot = env.cx.snapshot.clone();
        let to = destination(env, &snapshot, target)?;
        let (call_id, tag) = (env.cx.entropy.token(20), env.cx.tag());
        let out = Out { target, to: &to, call_id: &call_id, tag: &tag };
        let builder = write::initial(env, &self.asked, &self.request, &out);
        let builder = self.of_method(env, builder, &to.hop);
        let builder = match self.asked.message.method() {
            Method::Message => write::with_body(builder, &self.asked.message),
            _ => {
                let domain = write::domain_of(env, &self.request.source);
                write::with_document(env, builder, (&self.asked.message, &self.asked.hop, &domain), &to.domain)
            }
        };
        let id = env.cx.request(to.hop, builder.build(), Some(Owner::Event(key)));
        id.ok_or(Failure::new(503, "Too Many Transactions"))
    }

    /// A device's challenge to what the cloud tells it: the cloud knows the device's password.
    fn challenge(&self, target: &Target, response: &Message) -> Option<Failure> {
        let name = match response.status()? {
            401 => HeaderName::WwwAuthenticate,
            407 => HeaderName::ProxyAuthenticate,
            _ => return None,
        };
        let passes = self.asked.message.method() == Method::Notify && self.request.source == Source::Cloud;
        let values: Vec<_> = response.headers(name).map(|value| (name, value.to_string())).collect();
        let to_device = matches!(target, Target::Device { .. });
        let status = response.status()?;
        (passes && to_device && !values.is_empty()).then(|| Failure { headers: values, ..Failure::new(status, "") })
    }

    /// What belongs to its method.
    fn of_method(&self, env: &Env<'_>, builder: Builder, hop: &Hop) -> Builder {
        let message = &self.asked.message;
        let expires = message.expires().ok().flatten();
        let event = own_event(message.header(HeaderName::Event).unwrap_or_default());
        match message.method() {
            Method::Publish => {
                let is_tag = |tag: &&str| tag.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(&b));
                let tag = message.header(HeaderName::SipIfMatch).filter(is_tag);
                let builder = builder.header_if(HeaderName::Event, event).header_if(HeaderName::Expires, expires);
                builder.header_if(HeaderName::SipIfMatch, tag)
            }
            Method::Notify => {
                let builder = builder.header_if(HeaderName::Event, event).header(HeaderName::Contact, contact(env.cx, hop));
                // A device that wants proof before it fetches its settings has asked the cloud, whose answer is for this device.
                let builder = match self.request.source {
                    Source::Cloud => PROOFS.iter().fold(builder, |builder, name| builder.copy(message, *name)),
                    _ => builder,
                };
                // RFC 6665 8.2.3: every NOTIFY has it; there is nothing more to come.
                builder.header(HeaderName::SubscriptionState, "terminated;reason=noresource")
            }
            _ => builder.header_if(HeaderName::Expires, expires),
        }
    }
}

/// The request to the cloud that waits for its answer.
fn at_cloud(pending: &Pending) -> Option<TransactionId> {
    let Pending::Single(single) = pending else { return None };
    let branch = single.branches.iter().find(|(_, target)| matches!(target, Target::Cloud { .. }));
    branch.map(|(id, _)| *id)
}

/// Targets as they can be asked: an extension is its devices, the one that registered last first.
fn concrete(env: &Env<'_>, targets: Vec<Target>) -> Vec<Target> {
    let mut concrete = Vec::new();
    for target in targets {
        match target {
            Target::Extension(user) => {
                let device = |token: &String| Target::Device { user: user.clone(), token: token.clone() };
                concrete.extend(env.bindings.devices_of(&user).iter().rev().map(|binding| device(&binding.token)));
            }
            // A service of the node speaks.
            Target::Service(_) => {}
            target => concrete.push(target),
        }
    }
    concrete
}

/// The devices that an unasked NOTIFY is for.
fn listeners(env: &mut Env<'_>, notify: &Message, request: &Request) -> Vec<Target> {
    if request.source == Source::Cloud {
        let uri = notify.request_uri().and_then(|uri| Uri::parse(uri).ok());
        return match uri.is_some_and(|uri| uri.param("rf").is_some()) {
            true => device_of(env, notify, &request.number).into_iter().collect(),
            false => concrete(env, vec![Target::Extension(request.number.clone())]),
        };
    }
    let decision = setup::decide(env, &request.source, &request.from, &request.number);
    let stage = decision.targets.ok().and_then(|plan| plan.into_iter().next()).unwrap_or_default();
    let of_device = |target: &Target| matches!(target, Target::Extension(_) | Target::Device { .. });
    concrete(env, stage.targets.into_iter().filter(of_device).collect())
}

/// What a target's refusal, or its silence, means and is told as.
fn failure(env: &Env<'_>, target: &Target, status: u16, response: Option<&Message>) -> Failure {
    // RFC 4320 4.2: 408 says nothing to whoever sent no INVITE.
    let Some(response) = response else { return Failure::new(480, "") };
    let mut failure = progress::refusal(env, target, status, response);
    failure.headers.extend(passed(response, &OF_REFUSAL));
    if (300..400).contains(&failure.status) {
        // Nobody is named to whom the sender could turn.
        failure.status = 480;
    }
    failure
}

/// Whether the device is there that a peer asks by OPTIONS, by the contact that the node gave it. `None`: it asks for no device.
pub(crate) fn is_there(env: &Env<'_>, options: &Message, hop: &Hop) -> Option<bool> {
    let uri = options.request_uri().and_then(|uri| Uri::parse(uri).ok())?;
    let token = uri.param("rf").filter(|_| identity::peer_at(env, hop).is_some())?;
    Some(env.bindings.by_token(token).is_some_and(|binding| binding.is_reachable()))
}
