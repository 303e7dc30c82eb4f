//! Supervised peers: the cloud, the trunks and the recorders. OPTIONS at an interval and what calls find out (passive failures) decide
//! whether a peer is reachable; a hold-down keeps a flapping peer from being trusted too soon.
//!
//! A peer may have several servers ([`names`] finds them, [`servers`] says which one is in use). The one in use is asked; one that
//! fails is set aside and the next one takes its place at once. The peer is unreachable only when none is left that works. A better
//! server whose time aside is over is asked by OPTIONS before any call goes there again.

mod names;
mod servers;
mod way;

pub use names::Names;
pub use way::Way;

use crate::config::{PeerAddress, Snapshot, Supervision, TrunkSection};
use crate::context::{Context, Owner};
use crate::interface::OwnAddresses;
use crate::status::PeerStatus;
use crate::wake::Wake;
use ringfort_base::{Event, Hop, Time, Transport, Wall};
use ringfort_sip::locate::{Answer, Question, Target};
use ringfort_sip::originate::Origin;
use ringfort_sip::transaction::TransactionId;
use ringfort_sip::uri::Uri;
use servers::Servers;
use std::net::SocketAddr;
use std::time::Duration;

/// A peer that is not supervised is looked after this often: its name is looked up when the TTL is over.
const LOOK_AFTER: Duration = Duration::from_secs(10);

/// Which peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PeerName {
    /// The hosted PBX.
    Cloud,
    /// A carrier by name.
    Trunk(String),
    /// A recorder by name. It sends no calls.
    Recorder(String),
}

/// One peer and what is known of it.
#[derive(Debug)]
pub struct Peer {
    /// Which.
    pub name: PeerName,
    address: PeerAddress,
    target: Target,
    realm: Option<String>,
    supervision: Supervision,
    servers: Servers,
    way: Way,
    up: bool,
    since: Wall,
    reason: String,
    failures: u32,
    answering_since: Option<Time>,
    probe: Option<Probe>,
    /// The question to a better server whose time aside is over.
    second: Option<Probe>,
    round_trip: Option<Duration>,
}

/// An OPTIONS that is out.
#[derive(Clone, Copy, Debug)]
struct Probe {
    id: TransactionId,
    hop: Hop,
    sent: Time,
}

/// All peers of the configuration.
#[derive(Debug, Default)]
pub struct Peers {
    list: Vec<Peer>,
    /// Where named servers are.
    pub names: Names,
}

impl Peers {
    /// Takes a configuration over: a peer whose address stays keeps its state.
    pub fn configure(&mut self, cx: &mut Context, snapshot: &Snapshot) {
        let mut old = std::mem::take(&mut self.list);
        let cloud =
            snapshot.cloud.iter().map(|c| (PeerName::Cloud, &c.address, c.target(), &c.realm, c.supervision(), Way::of_cloud(c)));
        let named = |t: &TrunkSection| PeerName::Trunk(t.name.clone());
        let trunks =
            snapshot.trunks.iter().map(|t| (named(t), &t.address, t.target(), &t.realm, t.supervision(), Way::of_trunk(t)));
        let recorders = snapshot.recorders.iter().map(|r| {
            (PeerName::Recorder(r.name.clone()), &r.address, r.target(), &r.realm, r.supervision(), Way::of_recorder(r))
        });
        for (name, address, target, realm, supervision, way) in cloud.chain(trunks).chain(recorders) {
            let known =
                old.iter().position(|p| p.name == name && p.address == *address && p.target == target && p.realm == *realm);
            let mut peer = match known {
                Some(place) => old.swap_remove(place),
                None => Peer {
                    realm: realm.clone(),
                    ..Peer::new(name, address.clone(), target, supervision, way.clone(), cx.now.wall)
                },
            };
            peer.way.follow(way);
            peer.supervision = supervision;
            (peer.probe, peer.second) = (None, None);
            self.list.push(peer);
        }
        for index in 0..self.list.len().max(old.len()) {
            cx.timers.stop(Wake::ProbePeer(index));
            cx.timers.stop(Wake::ProbeOverdue(index));
        }
        cx.border.follow_sources(snapshot);
        self.names.configure(&snapshot.dns, self.list.iter().map(|peer| peer.target.clone()));
        for peer in &self.list {
            self.names.want(cx, &peer.target, false);
        }
        self.located(cx);
        for (index, peer) in self.list.iter().enumerate() {
            // A look-up has its time before it counts as failed.
            let wait = if peer.servers.hop().is_some() { Duration::ZERO } else { peer.supervision.patience };
            cx.timers.set(Wake::ProbePeer(index), cx.now.mono + wait);
        }
    }

    /// Where each peer is now.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = (&PeerName, SocketAddr)> + Clone {
        self.list.iter().flat_map(|p| p.servers.addresses().map(move |address| (&p.name, address)))
    }

    fn place(&self, name: &PeerName) -> Option<usize> {
        self.list.iter().position(|p| p.name == *name)
    }

    /// The peer of this name.
    pub fn find(&self, name: &PeerName) -> Option<&Peer> {
        self.list.iter().find(|p| p.name == *name)
    }

    /// Whether the peer can be used now.
    pub fn is_up(&self, name: &PeerName) -> bool {
        self.find(name).is_some_and(|p| p.up)
    }

    /// The peer that sends from this address, by IP address: carriers send from other ports than they listen on. The server and the
    /// connection that the node registered by are the carrier's however they are called by now, and so are its `sources`. One that is
    /// reached by TLS is believed by TLS only: anybody can write its address into a datagram.
    /// By a listener of its realm only: what comes by another network is somebody else's.
    pub fn by_source(&self, own: &OwnAddresses, hop: &Hop) -> Option<&PeerName> {
        let believed = |p: &&Peer| hop.transport.is_secure() || !p.is_secure();
        let same_port = |p: &&Peer| p.servers.any(|server| server.remote == hop.remote);
        // A recorder calls nobody: what comes from its host may be of somebody else there.
        let calls = |p: &&Peer| !matches!(p.name, PeerName::Recorder(_));
        let same_host = |p: &&Peer| {
            calls(p) && p.servers.any(|server| server.remote.ip() == hop.remote.ip()) && !hop.remote.ip().is_loopback()
        };
        let of_realm = |p: &&Peer| own.is_of_realm(hop, p.realm.as_deref());
        let peers = || self.list.iter().filter(of_realm).filter(believed);
        let registered = || peers().find(|p| p.way.is_registered_at(hop));
        let source = || peers().find(|p| p.way.is_source(hop.remote.ip()));
        peers().find(same_port).or_else(registered).or_else(|| peers().find(same_host)).or_else(source).map(|p| &p.name)
    }

    /// The peer that is configured by one of these names, which the other end of a connection has proved to bear (RFC 5922).
    pub fn by_certificate(&self, names: &[String]) -> Option<&PeerName> {
        let bears = |peer: &&Peer| {
            !matches!(peer.name, PeerName::Recorder(_)) && names.iter().any(|name| peer.address.host.eq_ignore_ascii_case(name))
        };
        self.list.iter().find(bears).map(|peer| &peer.name)
    }

    /// The peer is taken as unreachable until it shows otherwise: it was so when the process ended.
    pub fn assume_down(&mut self, name: &PeerName, now: Wall, reason: &str) {
        if let Some(index) = self.place(name) {
            let peer = &mut self.list[index];
            (peer.up, peer.since, peer.reason) = (false, now, reason.into());
        }
    }

    /// The DNS answered a question.
    pub fn resolved(&mut self, cx: &mut Context, question: Question, answer: Answer) {
        self.names.answered(cx, question, answer);
        self.located(cx);
    }

    /// Hands what look-ups found to the peers. One that fails moves on to another server, one that works stays where it is.
    fn located(&mut self, cx: &mut Context) {
        for target in self.names.take_done() {
            let Some(candidates) = self.names.find(&target) else { continue };
            for (index, peer) in self.list.iter_mut().enumerate().filter(|(_, peer)| peer.target == target) {
                let realm = peer.realm.as_deref();
                if peer.servers.take(candidates, |transport, address| cx.own.hop(realm, transport, address)) {
                    cx.timers.set(Wake::ProbePeer(index), cx.now.mono);
                }
            }
        }
    }

    /// Time for an OPTIONS.
    pub fn probe(&mut self, cx: &mut Context, index: usize) {
        let Some(peer) = self.list.get_mut(index) else { return };
        let supervised = !peer.supervision.interval.is_zero();
        let wait = if supervised { peer.supervision.interval } else { LOOK_AFTER };
        cx.timers.set(Wake::ProbePeer(index), cx.now.mono + wait);
        // When it fails, its name may mean another address by now.
        let (target, urgent) = (peer.target.clone(), peer.is_failing() || peer.servers.hop().is_none());
        self.names.want(cx, &target, urgent);
        self.located(cx);
        let Some(peer) = self.list.get_mut(index) else { return };
        if !supervised {
            return peer.servers.trust_again(cx.now.mono);
        }
        if peer.second.is_none()
            && let Some(hop) = peer.servers.to_ask_again(cx.now.mono)
        {
            peer.second = peer.ask(cx, index, hop);
        }
        if peer.probe.is_some() {
            return;
        }
        let Some(hop) = peer.servers.hop() else { return self.failed(cx, index, None, "address cannot be resolved") };
        peer.probe = peer.ask(cx, index, hop);
        if peer.probe.is_some() {
            cx.timers.set(Wake::ProbeOverdue(index), cx.now.mono + peer.supervision.patience);
        }
    }

    /// An OPTIONS was answered. Any answer shows life, but for 503 and 408, which say that there is none behind.
    pub fn answered(&mut self, cx: &mut Context, index: usize, id: TransactionId, status: u16) {
        let Some(peer) = self.list.get_mut(index) else { return };
        let dead = matches!(status, 503 | 408);
        if let Some(second) = peer.second.take_if(|second| second.id == id) {
            match dead {
                true => drop(peer.servers.set_aside(cx.now.mono, &second.hop, None)),
                false => peer.servers.works(&second.hop),
            }
            return;
        }
        let Some(probe) = peer.probe.take_if(|probe| probe.id == id) else { return };
        cx.timers.stop(Wake::ProbeOverdue(index));
        peer.round_trip = Some(cx.now.mono.since(probe.sent));
        match dead {
            true => self.failed(cx, index, Some((probe.hop, None)), &format!("OPTIONS answered {status}")),
            false => self.alive(cx, index, &probe.hop),
        }
    }

    /// An OPTIONS will have no answer. Another one may be out by now, of a configuration taken since.
    pub fn probe_failed(&mut self, cx: &mut Context, index: usize, id: TransactionId) {
        let Some(peer) = self.list.get_mut(index) else { return };
        if let Some(second) = peer.second.take_if(|second| second.id == id) {
            peer.servers.set_aside(cx.now.mono, &second.hop, None);
        } else if peer.probe.is_some_and(|probe| probe.id == id) {
            self.overdue(cx, index);
        }
    }

    /// The OPTIONS that is out is overdue.
    pub fn overdue(&mut self, cx: &mut Context, index: usize) {
        let Some(peer) = self.list.get_mut(index) else { return };
        if let Some(probe) = peer.probe.take() {
            cx.owners.remove(&probe.id);
            self.failed(cx, index, Some((probe.hop, None)), "OPTIONS unanswered");
        }
    }

    /// A call found the server in use silent or unable.
    pub fn passive_failure(&mut self, cx: &mut Context, name: &PeerName, what: &str) {
        if let Some(index) = self.place(name) {
            let server = self.list[index].servers.hop().map(|hop| (hop, None));
            self.failed(cx, index, server, what);
        }
    }

    /// A registration found the server at this hop silent or unable; `again` is its Retry-After.
    pub fn server_failed(&mut self, cx: &mut Context, name: &PeerName, hop: Hop, again: Option<Duration>, what: &str) {
        if let Some(index) = self.place(name) {
            self.failed(cx, index, Some((hop, again)), what);
        }
    }

    /// A registrar granted a registration over this hop, or lost it (`None`); `service` is the Service-Route that it gave (RFC 3608).
    pub fn registered(&mut self, name: &PeerName, hop: Option<Hop>, service: Vec<String>) {
        if let Some(peer) = self.list.iter_mut().find(|p| p.name == *name) {
            peer.way.registered(hop, service);
        }
    }

    /// A server failed, or there is none (RFC 3263 4.3).
    fn failed(&mut self, cx: &mut Context, index: usize, server: Option<(Hop, Option<Duration>)>, what: &str) {
        let peer = &mut self.list[index];
        let moved = server.is_some_and(|(hop, again)| peer.servers.set_aside(cx.now.mono, &hop, again));
        if peer.supervision.interval.is_zero() {
            // Nothing would ever show that it is back.
            return;
        }
        if moved {
            // The next server answers for the peer; it is asked at once.
            peer.abandon_probe(cx, index);
            cx.timers.set(Wake::ProbePeer(index), cx.now.mono);
            return;
        }
        peer.failures = peer.failures.saturating_add(1);
        peer.answering_since = None;
        if peer.up && peer.failures >= peer.supervision.failures {
            let reason = format!("{what}, {} failures in a row", peer.failures);
            peer.turn(cx, false, reason);
            peer.servers.take_turns();
        } else if !peer.up {
            peer.servers.take_turns();
        } else if peer.probe.is_none() && peer.servers.hop().is_some() {
            // Suspicion: ask again at once instead of an interval later.
            cx.timers.set(Wake::ProbePeer(index), cx.now.mono);
        }
    }

    fn alive(&mut self, cx: &mut Context, index: usize, hop: &Hop) {
        let peer = &mut self.list[index];
        peer.failures = 0;
        peer.servers.works(hop);
        if peer.up {
            return;
        }
        let since = *peer.answering_since.get_or_insert(cx.now.mono);
        if cx.now.mono.since(since) >= peer.supervision.hold_down {
            let reason = format!("answers again for {} ms", peer.supervision.hold_down.as_millis());
            peer.turn(cx, true, reason);
        }
    }

    /// For the page.
    pub fn status(&self, calls: impl Fn(&PeerName) -> usize) -> (Option<PeerStatus>, Vec<PeerStatus>) {
        let (cloud, trunks): (Vec<&Peer>, Vec<&Peer>) = self.list.iter().partition(|p| p.name == PeerName::Cloud);
        let row = |peer: &&Peer| peer.status(calls(&peer.name));
        (cloud.iter().map(row).next(), trunks.iter().map(row).collect())
    }
}

impl Peer {
    fn new(name: PeerName, address: PeerAddress, target: Target, supervision: Supervision, way: Way, now: Wall) -> Peer {
        Peer {
            servers: Servers::default(),
            way,
            name,
            address,
            target,
            realm: None,
            supervision,
            up: true,
            since: now,
            reason: "taken as reachable until shown otherwise".into(),
            failures: 0,
            answering_since: None,
            probe: None,
            second: None,
            round_trip: None,
        }
    }

    /// Sends an OPTIONS to one of its servers.
    fn ask(&self, cx: &mut Context, index: usize, hop: Hop) -> Option<Probe> {
        let target = self.way.uri.clone();
        let from = Uri::sip(Some("ringfort"), cx.own.at(&hop).advertised.into(), None);
        let (branch, tag, call_id) = (cx.branch(), cx.tag(), cx.entropy.token(20));
        let octets = Origin {
            target: &target,
            from: &from,
            to: &target,
            contact: None,
            routes: self.way.proxy(),
            tag: &tag,
            call_id: &call_id,
            cseq: 1,
            transport: hop.transport,
            sent_by: cx.own.address(&hop),
            branch: &branch,
            user_agent: crate::PRODUCT,
        }
        .options();
        let id = cx.request(hop, octets, Some(Owner::Probe(index)))?;
        Some(Probe { id, hop, sent: cx.now.mono })
    }

    fn abandon_probe(&mut self, cx: &mut Context, index: usize) {
        if let Some(probe) = self.probe.take() {
            cx.owners.remove(&probe.id);
            cx.timers.stop(Wake::ProbeOverdue(index));
        }
    }

    /// Whether it is reached by TLS.
    fn is_secure(&self) -> bool {
        self.target.secure
            || self.target.transport.is_some_and(Transport::is_secure)
            || self.servers.hop().is_some_and(|h| h.transport.is_secure())
    }

    fn turn(&mut self, cx: &mut Context, up: bool, reason: String) {
        self.up = up;
        self.since = cx.now.wall;
        self.reason = reason.clone();
        cx.event(Event::PeerState { peer: self.name.to_string(), up, reason });
    }

    /// Whether it did not answer last.
    fn is_failing(&self) -> bool {
        !self.up || self.failures > 0
    }

    /// Where requests go.
    pub fn hop(&self) -> Option<Hop> {
        self.servers.hop()
    }

    /// A server that works and is none of these.
    pub fn next_server(&self, tried: &[Hop]) -> Option<Hop> {
        self.servers.next(tried)
    }

    /// Host and port for request URIs.
    pub fn address(&self) -> &PeerAddress {
        &self.address
    }

    /// How it is named and reached.
    pub fn way(&self) -> &Way {
        &self.way
    }

    /// Whether it can be used now, and why.
    pub fn state(&self) -> (bool, &str) {
        (self.up, &self.reason)
    }

    /// How long a call waits for any answer before the next target is tried.
    pub fn patience(&self) -> Duration {
        self.supervision.patience
    }

    fn status(&self, calls: usize) -> PeerStatus {
        PeerStatus {
            name: self.name.to_string(),
            address: self.address.to_string(),
            transport: self.hop().map(|hop| hop.transport).or(self.target.transport).unwrap_or(Transport::Udp),
            up: self.up,
            since: self.since,
            reason: self.reason.clone(),
            round_trip_ms: self.round_trip.map(|d| d.as_millis() as u32),
            calls,
        }
    }
}

impl std::fmt::Display for PeerName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            PeerName::Cloud => f.write_str("cloud"),
            PeerName::Trunk(name) => write!(f, "trunk:{name}"),
            PeerName::Recorder(name) => write!(f, "recorder:{name}"),
        }
    }
}
