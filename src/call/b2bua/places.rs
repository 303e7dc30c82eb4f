//! The places that a call takes: of the node, of the realms of its legs, of whoever calls, of the trunks and people it goes to. A trunk that is full is passed over
//! for the next target; a person who has too many calls is busy; a caller who has too many is told when to come back.

use super::call::{Call, Failure, Phase};
use super::{Env, Tables};
use crate::admission::{Allowance, Full, Holder, Place, kbit_of};
use crate::route::{Outcome, Target};
use ringfort_base::{Event, Hop};
use ringfort_media::Policy;
use ringfort_sip::message::HeaderName;

impl Call {
    /// The places of a call that begins. Without them it ends with 503.
    pub(super) fn enter(&mut self, env: &mut Env<'_>, tables: &mut Tables) {
        if self.phase != Phase::Routing {
            return;
        }
        let caller = Holder::of(&self.asked.source);
        let realm = realm_at(env, &self.caller.hop);
        for holder in [Some(Holder::Node), realm, caller].into_iter().flatten() {
            if let Err(full) = self.take_place(env, tables, holder.clone()) {
                tell(env, &holder, full, "INVITE answered 503");
                let wait = env.cx.snapshot.limits.retry_after_s.max(1).to_string();
                return self.refuse(env, tables, 503, "limit", vec![(HeaderName::RetryAfter, wait)]);
            }
        }
    }

    /// The place of a target that is about to be asked. Several devices of one person are one call.
    pub(super) fn enter_target(
        &mut self,
        env: &mut Env<'_>,
        tables: &mut Tables,
        target: &Target,
        hop: &Hop,
    ) -> Result<(), Failure> {
        if let Some(realm) = realm_at(env, hop) {
            self.take_place(env, tables, realm.clone()).map_err(|full| {
                tell(env, &realm, full, "target passed over");
                Failure { outcome: Outcome::Unreachable, ..Failure::new(503, "Realm Full") }
            })?;
        }
        let (holder, status, reason) = match target {
            Target::Trunk { name, .. } => (Holder::Trunk(name.clone()), 503, "Trunk Full"),
            Target::Device { user, .. } => (Holder::User(user.clone()), 486, "Busy Here"),
            _ => return Ok(()),
        };
        if matches!(holder, Holder::User(_)) && self.places.iter().any(|place| place.holder == holder) {
            return Ok(());
        }
        self.take_place(env, tables, holder.clone()).map_err(|full| {
            tell(env, &holder, full, "target passed over");
            // A person who has too many calls is busy; a trunk that is full could not be asked.
            let outcome = if status == 486 { Outcome::Status(486) } else { Outcome::Unreachable };
            Failure { outcome, ..Failure::new(status, reason) }
        })
    }

    /// The call was answered: the places of targets that did not take it are free.
    pub(super) fn leave_others(&mut self, env: &Env<'_>, tables: &mut Tables) {
        let realms = [Some(&self.caller), self.callee.as_ref()].map(|leg| leg.and_then(|leg| realm_at(env, &leg.hop)));
        let taken = match &self.target {
            Some(Target::Trunk { name, .. }) => Some(Holder::Trunk(name.clone())),
            Some(Target::Device { user, .. }) => Some(Holder::User(user.clone())),
            _ => None,
        };
        let keep = [Some(Holder::Node), Holder::of(&self.asked.source), taken];
        let mut keep: Vec<Holder> = keep.into_iter().chain(realms).flatten().collect();
        for place in std::mem::take(&mut self.places) {
            match keep.iter().position(|holder| *holder == place.holder) {
                Some(at) => {
                    keep.swap_remove(at);
                    self.places.push(place);
                }
                None => tables.admission.release(place),
            }
        }
    }

    /// The call is over.
    pub(super) fn leave(&mut self, tables: &mut Tables) {
        std::mem::take(&mut self.places).into_iter().for_each(|place| tables.admission.release(place));
    }

    /// A call that an earlier process answered has its places whatever the limits say now.
    pub(super) fn enter_again(&mut self, env: &Env<'_>, tables: &mut Tables) {
        let target = match &self.target {
            Some(Target::Trunk { name, .. }) => Some(Holder::Trunk(name.clone())),
            Some(Target::Device { user, .. }) => Some(Holder::User(user.clone())),
            _ => None,
        };
        let realms = [Some(&self.caller), self.callee.as_ref()].map(|leg| leg.and_then(|leg| realm_at(env, &leg.hop)));
        for holder in [Some(Holder::Node), Holder::of(&self.asked.source), target].into_iter().chain(realms).flatten() {
            let place = tables.admission.enter(env.cx.now.mono, holder, Allowance::default(), self.kbit(), true);
            self.places.extend(place);
        }
    }

    /// What a leg of this call may do with its peer: where as many calls are transcoded as may be, this one gets what passes.
    pub(super) fn policy_within(&self, env: &mut Env<'_>, policy: Policy) -> Policy {
        let max = env.cx.snapshot.limits.transcoded_calls_max;
        let needless = self.asked.emergency || self.transcoded || !policy.repertoire.transcodes();
        if needless || env.cx.transcoding.admits(max) {
            return policy;
        }
        let (limit, effect) = ("node transcoded_calls_max".into(), "leg has the codecs of the other side alone".into());
        env.cx.event(Event::LimitReached { limit, effect });
        policy.passing()
    }

    /// Whether the node may code audio of its own for this call. False: as many calls are transcoded as may be.
    pub(super) fn may_be_served(&self, env: &mut Env<'_>) -> bool {
        let max = env.cx.snapshot.limits.transcoded_calls_max;
        let may = self.asked.emergency || self.transcoded || env.cx.transcoding.admits(max);
        if !may {
            let (limit, effect) = ("node transcoded_calls_max".into(), "service passed over".into());
            env.cx.event(Event::LimitReached { limit, effect });
        }
        may
    }

    /// Whether the call is transcoded now.
    pub(super) fn count_transcoding(&mut self, env: &mut Env<'_>, transcoded: bool) {
        let transcoded = transcoded && !matches!(self.phase, Phase::Ending | Phase::Over);
        match (std::mem::replace(&mut self.transcoded, transcoded), transcoded) {
            (false, true) => env.cx.transcoding.begin(),
            (true, false) => env.cx.transcoding.end(),
            _ => {}
        }
    }

    fn take_place(&mut self, env: &Env<'_>, tables: &mut Tables, holder: Holder) -> Result<(), Full> {
        let allowance = Allowance::of(&env.cx.snapshot, &holder);
        let place: Place = tables.admission.enter(env.cx.now.mono, holder, allowance, self.kbit(), self.asked.emergency)?;
        self.places.push(place);
        Ok(())
    }

    /// Both directions of one leg count once: an access line has as much up as down.
    fn kbit(&self) -> u32 {
        let described = self.caller.media.as_ref().and_then(|media| media.described.as_ref());
        described.map_or_else(|| kbit_of(&Default::default()), kbit_of)
    }
}

/// The realm of a leg; the one of `[sip]` has no limits of its own.
fn realm_at(env: &Env<'_>, hop: &Hop) -> Option<Holder> {
    let realm = &env.cx.own.at(hop).realm;
    (!realm.is_empty()).then(|| Holder::Realm(realm.clone()))
}

fn tell(env: &mut Env<'_>, holder: &Holder, full: Full, effect: &str) {
    // A person is not named in an event that is no Pii.
    let whose = match holder {
        Holder::User(_) => "user".to_string(),
        other => other.to_string(),
    };
    env.cx.event(Event::LimitReached { limit: format!("{whose} {}", full.as_str()), effect: effect.into() });
}
