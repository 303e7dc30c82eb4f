//! Redirections (RFC 3261 8.1.3.4): a target names other numbers. By policy they are followed, by the same evaluator and with the same
//! rights as the caller; or told to the caller as numbers of the node's own domain; or taken for a refusal. Where a contact leads out of
//! the node's and the peer's own domains it is never followed: nobody may send a call to a host of his choice.

use crate::b2bua::attempt::Wanted;
use crate::b2bua::call::{Call, Failure};
use crate::b2bua::destination::peer_of;
use crate::b2bua::progress::is_device;
use crate::b2bua::{Env, Tables, forwarded, setup, write};
use crate::config::Redirect;
use crate::route::{Diversion, Outcome, Stage, Target};
use ringfort_base::limits;
use ringfort_sip::message::{Contacts, HeaderName, Message};
use ringfort_sip::uri::{Scheme, Uri};

impl Call {
    /// A target answered 3xx.
    pub(in crate::b2bua) fn redirected(&mut self, env: &mut Env<'_>, tables: &mut Tables, asked: &Wanted, response: &Message) {
        let target = &asked.target;
        let numbers = self.contacts(env, target, response);
        let refused = Failure { of_device: is_device(target), outcome: Outcome::Status(480), ..Failure::new(480, "Redirected") };
        let failure = match policy(env, target) {
            Redirect::Refuse => refused,
            Redirect::Pass if numbers.is_empty() => refused,
            Redirect::Pass => {
                let domain = &env.cx.snapshot.node.domain;
                let headers =
                    numbers.iter().map(|number| (HeaderName::Contact, format!("<sip:{}@{domain}>", write::user(number))));
                Failure { headers: headers.collect(), outcome: Outcome::Status(302), ..Failure::new(302, "Moved Temporarily") }
            }
            Redirect::Follow => {
                let mut diversions = asked.diversions.clone();
                let reason = forwarded::reason_of_redirection(response);
                diversions.push(Diversion { user: redirecting(target), reason });
                match self.follow(env, tables, &diversions, &numbers) {
                    true => return,
                    false => refused,
                }
            }
        };
        self.target_failed(env, tables, failure);
    }

    /// The numbers that a redirection names, the preferred one first.
    fn contacts(&self, env: &Env<'_>, target: &Target, response: &Message) -> Vec<String> {
        let Ok(Contacts::List(list)) = response.contacts() else { return Vec::new() };
        let mut contacts: Vec<_> = list.iter().take(limits::REDIRECT_CONTACTS_MAX).collect();
        contacts.sort_by_key(|contact| std::cmp::Reverse(contact.q_per_mille().unwrap_or(1_000)));
        let uris = contacts.iter().filter_map(|contact| Uri::parse(contact.uri).ok());
        uris.filter(|uri| self.is_near(env, target, uri))
            .filter_map(|uri| uri.dialled().map(|number| number.into_owned()))
            .collect()
    }

    /// Whether a contact is a number of the node itself or of the peer that names it.
    fn is_near(&self, env: &Env<'_>, target: &Target, uri: &Uri) -> bool {
        let (own, snapshot) = (&env.cx.own, &env.cx.snapshot);
        let host = uri.host.to_string();
        let is = |name: &str| host.eq_ignore_ascii_case(name);
        let peer = peer_of(target).and_then(|peer| env.peers.find(&peer));
        let of_peer = peer
            .is_some_and(|peer| is(&peer.address().host) || peer.hop().is_some_and(|hop| uri.host.ip() == Some(hop.remote.ip())));
        uri.scheme == Scheme::Tel
            || is(&snapshot.node.domain)
            || is(snapshot.cloud_domain())
            || own.all().any(|own| is(&own.host()))
            || of_peer
    }

    /// Goes where the numbers lead. False: nowhere.
    fn follow(&mut self, env: &mut Env<'_>, tables: &mut Tables, before: &[Diversion], numbers: &[String]) -> bool {
        let mut plan: Vec<Stage> = Vec::new();
        for number in numbers {
            if self.asking.redirects >= limits::REDIRECTS_MAX
                || *number == self.asked.number
                || self.asking.numbers.contains(number)
            {
                continue;
            }
            self.asking.redirects += 1;
            self.asking.numbers.push(number.clone());
            let first = plan.len();
            let decision = setup::decide(env, &self.asked.source, &self.asked.from, number);
            for mut stage in decision.targets.unwrap_or_default() {
                stage.behind = stage.behind.map(|place| place + first).or(first.checked_sub(1));
                let led = stage.along.iter_mut().map(|(_, diversions)| diversions).chain([&mut stage.diversions]);
                led.for_each(|diversions| drop(diversions.splice(..0, before.iter().cloned())));
                plan.push(stage);
            }
        }
        plan.truncate(limits::CALL_STAGES_MAX);
        let Some(first) = plan.first().cloned() else { return false };
        if self.asking.branches.is_empty() {
            self.asking.last = Some(Failure::new(302, "Redirected"));
            (self.asking.plan, self.asking.place, self.asking.rest) = (plan, None, Vec::new());
            self.try_next(env, tables);
            return true;
        }
        // Others ring on: the new ones ring with them (RFC 3261 16.7 step 4).
        let room = limits::BRANCHES_MAX.saturating_sub(self.asking.branches.len());
        let mut asked = 0;
        for target in self
            .concrete(env, first.targets.clone())
            .into_iter()
            .take(room)
            .filter(|target| !matches!(target, Target::Service(_)))
        {
            let diversions = first.diversions_of(&target).to_vec();
            let wanted = Wanted { target, diversions, breadth: 1 };
            asked += usize::from(self.ask(env, tables, wanted).is_ok());
        }
        self.watch_silence(env);
        asked > 0
    }
}

/// What is done with a redirection of this target.
fn policy(env: &Env<'_>, target: &Target) -> Redirect {
    let snapshot = &env.cx.snapshot;
    match target {
        Target::Cloud { .. } => snapshot.cloud.as_ref().map(|cloud| cloud.redirect).unwrap_or_default(),
        Target::Trunk { name, .. } => snapshot.trunk(name).map(|trunk| trunk.redirect).unwrap_or_default(),
        _ => snapshot.sip.device_redirect,
    }
}

/// The number that is diverted, for Diversion and History-Info.
fn redirecting(target: &Target) -> String {
    match target {
        Target::Device { user, .. } | Target::Extension(user) => user.clone(),
        Target::Trunk { number, .. } | Target::Cloud { number } => number.clone(),
        Target::Service(_) => String::new(),
    }
}
