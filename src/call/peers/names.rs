//! Where named servers are: look-ups by RFC 3263, a cache by TTL, and the last known good servers for as long as the DNS is dead.
//! The driver performs single questions ([`Output::Resolve`]); everything that follows from their answers is decided here.

use crate::config::DnsSection;
use crate::context::{Context, Output};
use ringfort_base::{Event, Time, Transport, limits};
use ringfort_sip::locate::{Answer, Candidate, Data, Kind, Locate, Nowhere, Question, Support, Target};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::IpAddr;
use std::time::Duration;

/// Answers, look-ups and what they yielded.
#[derive(Debug, Default)]
pub struct Names {
    hosts: BTreeMap<String, Vec<IpAddr>>,
    cache: HashMap<Question, Kept>,
    in_flight: HashMap<Question, Time>,
    lookups: HashMap<Target, Locate>,
    places: HashMap<Target, Place>,
    pinned: HashSet<Target>,
    done: Vec<Target>,
}

/// An answer and how long it is good.
#[derive(Debug)]
struct Kept {
    answer: Answer,
    since: Time,
    until: Time,
}

/// What a target was found to be.
#[derive(Debug)]
struct Place {
    candidates: Vec<Candidate>,
    since: Time,
    until: Time,
    /// The DNS does not confirm it any more, and that was told.
    is_stale: bool,
}

impl Names {
    /// Takes a configuration over: its host table, and the targets that stay however many others are looked up.
    pub fn configure(&mut self, section: &DnsSection, pinned: impl Iterator<Item = Target>) {
        let table =
            section.hosts.iter().map(|(name, addresses)| (name.trim_end_matches('.').to_ascii_lowercase(), addresses.clone()));
        let table = table.collect();
        if self.hosts != table {
            self.places.values_mut().for_each(|place| place.until = Time::ZERO);
            self.hosts = table;
        }
        self.pinned = pinned.collect();
    }

    /// The servers of a target as far as they are known, in the order in which they are tried.
    pub fn find(&self, target: &Target) -> Option<&[Candidate]> {
        self.places.get(target).map(|place| place.candidates.as_slice())
    }

    /// Has a target looked up unless that is known or going on. `urgent`: what is known did not help, so it is asked again after
    /// [`limits::DNS_TTL_MIN`], whatever its TTL.
    pub fn want(&mut self, cx: &mut Context, target: &Target, urgent: bool) {
        let now = cx.now.mono;
        let fresh = |place: &Place| now < place.until && !(urgent && place.since + limits::DNS_TTL_MIN <= now);
        if self.places.get(target).is_some_and(fresh) {
            return;
        }
        if !self.lookups.contains_key(target) {
            if self.lookups.len() >= limits::DNS_LOOKUPS_MAX && !self.pinned.contains(target) {
                return;
            }
            if urgent {
                self.cache.retain(|_, kept| now < kept.since + limits::DNS_TTL_MIN);
            }
            self.lookups.insert(target.clone(), Locate::new(target.clone(), support(cx)));
        }
        self.advance(cx, target);
    }

    /// Targets that were looked up since the last time.
    pub fn take_done(&mut self) -> Vec<Target> {
        std::mem::take(&mut self.done)
    }

    /// The driver has an answer.
    pub fn answered(&mut self, cx: &mut Context, question: Question, answer: Answer) {
        let now = cx.now.mono;
        if self.in_flight.remove(&question).is_none() {
            return;
        }
        self.make_room(now);
        let waiting: Vec<Target> = self.lookups.keys().cloned().collect();
        for target in &waiting {
            if let Some(lookup) = self.lookups.get_mut(target) {
                lookup.answer(&question, answer.clone());
            }
        }
        self.cache.insert(question, Kept { until: now + time_to_live(&answer), since: now, answer });
        for target in waiting {
            self.advance(cx, &target);
        }
    }

    /// Asks what is open, takes what is known, and ends the look-up when nothing is open.
    fn advance(&mut self, cx: &mut Context, target: &Target) {
        let now = cx.now.mono;
        let overdue = |asked: &Time| now.since(*asked) >= limits::DNS_ANSWER_MAX;
        // An answer that the driver lost: the look-up begins anew rather than waiting for ever.
        if self.in_flight.values().any(overdue) {
            self.in_flight.retain(|_, asked| !overdue(asked));
            self.lookups.insert(target.clone(), Locate::new(target.clone(), support(cx)));
        }
        let Some(mut lookup) = self.lookups.remove(target) else { return };
        loop {
            let questions = lookup.questions();
            if questions.is_empty() {
                break;
            }
            for question in questions {
                match self.known(&question, now) {
                    Some(answer) => lookup.answer(&question, answer),
                    None if self.in_flight.contains_key(&question) => {}
                    None => {
                        self.in_flight.insert(question.clone(), now);
                        cx.outputs.push_back(Output::Resolve { question });
                    }
                }
            }
        }
        match lookup.is_done() {
            true => self.finish(cx, lookup),
            false => drop(self.lookups.insert(target.clone(), lookup)),
        }
    }

    fn known(&self, question: &Question, now: Time) -> Option<Answer> {
        if let Some(addresses) = self.hosts.get(&question.name) {
            let of_kind = |ip: &&IpAddr| match question.kind {
                Kind::A => ip.is_ipv4(),
                Kind::Aaaa => ip.is_ipv6(),
                Kind::Naptr | Kind::Srv => false,
            };
            let records: Vec<Data> = addresses.iter().filter(of_kind).map(|ip| Data::Address(*ip)).collect();
            let ttl_s = limits::DNS_TTL_MAX.as_secs() as u32;
            return Some(if records.is_empty() { Answer::Absent { ttl_s } } else { Answer::Found { records, ttl_s } });
        }
        self.cache.get(question).filter(|kept| now < kept.until).map(|kept| kept.answer.clone())
    }

    fn finish(&mut self, cx: &mut Context, lookup: Locate) {
        let (target, now) = (lookup.target().clone(), cx.now.mono);
        match lookup.candidates(&mut *cx.entropy) {
            Ok(candidates) => {
                let ttl = Duration::from_secs(lookup.ttl_s().into()).clamp(limits::DNS_TTL_MIN, limits::DNS_TTL_MAX);
                for candidate in candidates.iter().filter(|c| c.transport == Transport::Tls) {
                    if let Some(name) = candidate.name.clone() {
                        cx.outputs.push_back(Output::CertificateName { address: candidate.address, name });
                    }
                }
                self.places.insert(target.clone(), Place { candidates, since: now, until: now + ttl, is_stale: false });
            }
            Err(nowhere) => self.keep_last_good(cx, &target, nowhere),
        }
        self.done.push(target);
    }

    /// The DNS is dead, or lost the name: what was found last stays in use. That the servers behind it are dead is for supervision to find out.
    fn keep_last_good(&mut self, cx: &mut Context, target: &Target, nowhere: Nowhere) {
        let Some(place) = self.places.get_mut(target) else { return };
        (place.since, place.until) = (cx.now.mono, cx.now.mono + limits::DNS_TTL_MIN);
        if !std::mem::replace(&mut place.is_stale, true) {
            let reason = format!("{}: {nowhere}; the servers found last stay in use", target.host());
            cx.event(Event::Impaired { part: "dns".into(), reason });
        }
    }

    /// What nobody holds gives way before a table is full: names in dialogs come from the network.
    fn make_room(&mut self, now: Time) {
        if self.cache.len() >= limits::DNS_CACHE_MAX {
            self.cache.retain(|_, kept| now < kept.until);
        }
        if self.cache.len() >= limits::DNS_CACHE_MAX {
            self.cache.clear();
        }
        if self.places.len() >= limits::DNS_LOOKUPS_MAX {
            self.places.retain(|target, _| self.pinned.contains(target));
        }
    }
}

/// How long an answer is kept: a name that does not exist is asked for again sooner than one that does (RFC 2308 5).
fn time_to_live(answer: &Answer) -> Duration {
    match answer {
        Answer::Found { ttl_s, .. } => Duration::from_secs((*ttl_s).into()).clamp(limits::DNS_TTL_MIN, limits::DNS_TTL_MAX),
        Answer::Absent { ttl_s } => Duration::from_secs((*ttl_s).into()).clamp(limits::DNS_TTL_MIN, limits::DNS_ABSENT_MAX),
        Answer::Failed => limits::DNS_TTL_MIN,
    }
}

/// What the node can use: families of its listeners; it opens TCP and TLS connections whether it listens there or not.
fn support(cx: &Context) -> Support {
    let listeners = || cx.own.all().flat_map(|interface| &interface.listeners);
    let udp = listeners().any(|(transport, _)| *transport == Transport::Udp);
    let transports = [(udp, Transport::Udp), (true, Transport::Tcp), (true, Transport::Tls)];
    let transports: Vec<Transport> = transports.into_iter().filter(|(has, _)| *has).map(|(_, t)| t).collect();
    let has = |v4: bool| listeners().any(|(_, address)| address.is_ipv4() == v4);
    Support::new(&transports, has(true), has(false))
}
