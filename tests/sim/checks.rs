//! What must hold in every run, whatever the network and the peers do.

use crate::descriptions::Descriptions;
use crate::network::Datagram;
use crate::wire::Wire;
use ringfort_base::event::Mode;
use ringfort_base::{CallId, Event, Time};
use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{Hash, Hasher};
use std::net::SocketAddr;

/// Lines of the trace shown when a run fails.
const TAIL: usize = 60;

/// What follows a violation is mostly its consequence.
const VIOLATIONS_MAX: usize = 3;

/// Texts that belong to one peer's inside and may reach nobody else.
pub struct Inside {
    /// Whose.
    pub owner: SocketAddr,
    /// User part: devices of one user are told of each other in REGISTER responses (RFC 3261 10.3 step 8).
    pub user: String,
    /// Its IP address, and the word that it puts into Call-IDs, tags, branches and host names.
    pub words: Vec<String>,
}

/// The checkers' memory, and the trace.
pub struct Checks {
    now: Time,
    hasher: DefaultHasher,
    tail: Vec<String>,
    keep: usize,
    violations: Vec<String>,
    insides: Vec<Inside>,
    sent: BTreeMap<(SocketAddr, String), u64>,
    /// Final status and tag by peer, and branch and method of its request.
    finals: BTreeMap<(SocketAddr, String), String>,
    descriptions: Descriptions,
    live: BTreeSet<CallId>,
    over: BTreeSet<CallId>,
    mode: Option<Mode>,
    /// When each mode began.
    pub modes: Vec<(Time, Mode)>,
    /// Every event, for directed scenarios.
    pub events: Vec<Event>,
    /// Causes of ended calls, counted.
    pub causes: BTreeMap<String, u32>,
    /// What the node sent, counted: methods, and statuses with methods.
    pub spoken: BTreeMap<String, u32>,
}

impl Checks {
    /// Knows nothing yet. `keep` lines of the trace are kept.
    pub fn new() -> Checks {
        let keep = std::env::var("RINGFORT_TRACE").ok().and_then(|n| n.parse().ok()).unwrap_or(TAIL);
        Checks {
            now: Time::ZERO,
            hasher: DefaultHasher::new(),
            tail: Vec::new(),
            keep,
            violations: Vec::new(),
            insides: Vec::new(),
            sent: BTreeMap::new(),
            finals: BTreeMap::new(),
            descriptions: Descriptions::default(),
            live: BTreeSet::new(),
            over: BTreeSet::new(),
            mode: None,
            modes: Vec::new(),
            events: Vec::new(),
            causes: BTreeMap::new(),
            spoken: BTreeMap::new(),
        }
    }

    /// Time of what is checked next.
    pub fn at(&mut self, now: Time) {
        self.now = now;
    }

    /// A peer whose inside must not be told.
    pub fn hide(&mut self, inside: Inside) {
        self.insides.push(inside);
    }

    /// Notes a line.
    pub fn trace(&mut self, line: impl FnOnce() -> String) {
        let line = format!("{:>12} {}", self.now.as_micros(), line());
        line.hash(&mut self.hasher);
        if self.tail.len() >= 2 * self.keep {
            self.tail.drain(..self.keep);
        }
        self.tail.push(line);
    }

    /// Digest of everything that happened.
    pub fn digest(&self) -> u64 {
        self.hasher.finish()
    }

    /// Notes a violation unless `holds`.
    pub fn ensure(&mut self, holds: bool, what: impl FnOnce() -> String) {
        if !holds && self.violations.len() < VIOLATIONS_MAX {
            let line = format!("{:>12} {}", self.now.as_micros(), what());
            self.trace(|| format!("VIOLATION {line}"));
            self.violations.push(line);
        }
    }

    /// Whether something is wrong.
    pub fn failed(&self) -> bool {
        !self.violations.is_empty()
    }

    /// Violations and the end of the trace, in words.
    pub fn report(&self) -> String {
        let from = self.tail.len().saturating_sub(self.keep);
        let (violations, tail) = (self.violations.join("\n  "), self.tail[from..].join("\n  "));
        format!("violated:\n  {violations}\ntrace, its end:\n  {tail}")
    }

    /// The node sends this.
    pub fn sent(&mut self, datagram: &Datagram, own: SocketAddr) {
        let wire = Wire::read(&datagram.octets);
        self.mandatory(&wire);
        let word = wire.status().map_or(wire.method().to_string(), |status| format!("{status} {}", wire.method()));
        *self.spoken.entry(word).or_default() += 1;
        match wire.status() {
            Some(_) => self.response(&wire, datagram.to),
            None => self.request(&wire, datagram, own),
        }
        self.hidden(&wire, datagram);
        let broken = self.descriptions.see(&wire, datagram.to);
        self.ensure(broken.is_none(), || format!("{}: {}", wire.start, broken.unwrap_or_default()));
    }

    fn mandatory(&mut self, wire: &Wire) {
        for name in ["Via", "From", "To", "Call-ID", "CSeq"] {
            self.ensure(!wire.get(name).is_empty(), || format!("{} without {name}", wire.start));
        }
        let founds = wire.method() == "INVITE" && wire.status().is_none_or(|s| (200..300).contains(&s));
        self.ensure(!founds || wire.all("Contact").len() == 1, || format!("{} without one Contact", wire.start));
    }

    /// RFC 3261 17.1.1.3: an ACK is answered by nothing. RFC 3261 8.2.6.2: every final response has a To tag.
    fn response(&mut self, wire: &Wire, to: SocketAddr) {
        self.ensure(wire.method() != "ACK", || format!("an ACK is answered: {}", wire.start));
        let tagged = wire.status() == Some(100) || !wire.to_tag().is_empty();
        self.ensure(tagged, || format!("{} to {} without To tag", wire.start, wire.get("CSeq")));
        if wire.status().is_none_or(|status| status < 200) {
            return;
        }
        // RFC 3261 8.2.7: strangers are challenged without a transaction, and may be known when they repeat themselves.
        if matches!(wire.status(), Some(401 | 407)) {
            return;
        }
        // RFC 3261 17.2: one final response.
        let (key, this) = ((to, format!("{} {}", wire.branch(), wire.method())), format!("{} {}", wire.start, wire.to_tag()));
        let first = self.finals.entry(key).or_insert_with(|| this.clone()).clone();
        self.ensure(first == this, || format!("{to} is answered `{this}` after `{first}`"));
    }

    /// RFC 3261 8.1.1.7: branches are unique; the same one comes again only with the same octets.
    fn request(&mut self, wire: &Wire, datagram: &Datagram, own: SocketAddr) {
        let forwards: u32 = wire.get("Max-Forwards").parse().unwrap_or(1_000);
        self.ensure(forwards <= 70, || format!("{} with Max-Forwards {forwards}", wire.start));
        self.ensure(!wire.tag_of_from().is_empty(), || format!("{} without From tag", wire.start));
        self.ensure(wire.get("CSeq").ends_with(wire.method()), || format!("{} with CSeq {}", wire.start, wire.get("CSeq")));
        let via = wire.get("Via");
        self.ensure(via.contains(&own.to_string()) && wire.all("Via").len() == 1, || format!("{} with Via {via}", wire.start));
        self.ensure(wire.branch().starts_with("z9hG4bK"), || format!("branch {}", wire.branch()));
        let mut hasher = DefaultHasher::new();
        datagram.octets.hash(&mut hasher);
        let key = (datagram.to, format!("{} {}", wire.branch(), wire.method()));
        let digest = hasher.finish();
        let same = *self.sent.entry(key).or_insert(digest) == digest;
        self.ensure(same, || format!("branch {} is used twice", wire.branch()));
    }

    /// Topology hiding: nothing of one peer's inside reaches another.
    fn hidden(&mut self, wire: &Wire, datagram: &Datagram) {
        let text = String::from_utf8_lossy(&datagram.octets);
        let user = self.insides.iter().find(|i| i.owner == datagram.to).map(|i| i.user.clone());
        let listing = wire.method() == "REGISTER" && wire.status().is_some();
        let foreign = |inside: &&Inside| inside.owner != datagram.to && !(listing && user.as_ref() == Some(&inside.user));
        let leak = self.insides.iter().filter(foreign).flat_map(|i| &i.words).find(|word| text.contains(word.as_str()));
        if let Some(word) = leak.cloned() {
            let line = text.lines().find(|l| l.contains(&word)).unwrap_or_default().to_string();
            self.ensure(false, || format!("{} tells {} of another peer: {line}", wire.start, datagram.to));
        }
    }

    /// The node tells this.
    pub fn event(&mut self, event: &Event) {
        self.trace(|| format!("event {}", told(event)));
        match event {
            Event::CallStarted { call, .. } => {
                let fresh = self.live.insert(*call) && !self.over.contains(call);
                self.ensure(fresh, || format!("call id {call} is given twice"));
            }
            Event::CallEnded(record) => {
                let known = self.live.remove(&record.call) && self.over.insert(record.call);
                self.ensure(known, || format!("call {} is recorded twice or never began", record.call));
                let answered = record.answered.is_none() || record.status == 200;
                self.ensure(answered && record.status >= 200 && !record.cause.is_empty(), || format!("record {record:?}"));
                *self.causes.entry(record.cause.clone()).or_default() += 1;
            }
            Event::ModeChanged { from, to, .. } => {
                let before = self.mode;
                let follows = before.is_none_or(|mode| mode == *from) && from != to;
                self.ensure(follows, || format!("mode goes from {from:?} to {to:?}, but was {before:?}"));
                self.mode = Some(*to);
                self.modes.push((self.now, *to));
            }
            _ => {}
        }
        self.events.push(event.clone());
    }

    /// The process died: what was not written down is gone without record, and the mode is told anew.
    pub fn restarted(&mut self, written: &BTreeSet<CallId>) {
        self.live.retain(|call| written.contains(call));
        self.finals.clear();
        self.mode = None;
    }

    /// Calls that began and have no record yet.
    pub fn unrecorded(&self) -> usize {
        self.live.len()
    }
}

/// One line for an event.
fn told(event: &Event) -> String {
    format!("{event:?}")
}
