//! Supervised peers: the cloud and the trunks. OPTIONS at an interval and what calls find out (passive failures) decide
//! whether a peer is reachable; a hold-down keeps a flapping peer from being trusted too soon.

use crate::config::{PeerAddress, Snapshot, Supervision};
use crate::context::{Context, Output, Owner};
use crate::status::PeerStatus;
use crate::wake::Wake;
use ringfort_base::{Event, Hop, Time, Transport, Wall};
use ringfort_sip::originate::Origin;
use ringfort_sip::transaction::TransactionId;
use ringfort_sip::uri::Uri;
use std::net::SocketAddr;
use std::time::Duration;

/// The name of a peer that is not supervised is looked up this often until it means an address.
const LOOK_UP_AGAIN: Duration = Duration::from_secs(10);

/// Which peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PeerName {
    /// The hosted PBX.
    Cloud,
    /// A carrier by name.
    Trunk(String),
}

/// One peer and what is known of it.
#[derive(Debug)]
pub struct Peer {
    /// Which.
    pub name: PeerName,
    address: PeerAddress,
    transport: Transport,
    supervision: Supervision,
    resolved: Option<SocketAddr>,
    up: bool,
    since: Wall,
    reason: String,
    failures: u32,
    answering_since: Option<Time>,
    probe: Option<(TransactionId, Time)>,
    round_trip: Option<Duration>,
}

/// All peers of the configuration.
#[derive(Debug, Default)]
pub struct Peers {
    list: Vec<Peer>,
}

impl Peers {
    /// Takes a configuration over: a peer whose address stays keeps its state.
    pub fn configure(&mut self, cx: &mut Context, snapshot: &Snapshot) {
        let mut old = std::mem::take(&mut self.list);
        let cloud = snapshot.cloud.iter().map(|c| (PeerName::Cloud, &c.address, c.transport, c.supervision()));
        let trunks = snapshot.trunks.iter().map(|t| (PeerName::Trunk(t.name.clone()), &t.address, t.transport, t.supervision()));
        for (name, address, transport, supervision) in cloud.chain(trunks) {
            let known = old.iter().position(|p| p.name == name && p.address == *address && p.transport == transport);
            let mut peer = match known {
                Some(place) => old.swap_remove(place),
                None => Peer::new(name, address.clone(), transport, supervision, cx.now.wall),
            };
            peer.supervision = supervision;
            peer.probe = None;
            if peer.resolved.is_none() {
                cx.outputs.push_back(Output::Resolve { host: peer.address.host.clone() });
            }
            self.list.push(peer);
        }
        for index in 0..self.list.len().max(old.len()) {
            cx.timers.stop(Wake::ProbePeer(index));
            cx.timers.stop(Wake::ProbeOverdue(index));
        }
        for (index, peer) in self.list.iter().enumerate() {
            // A look-up has its time before it counts as failed.
            let wait = if peer.resolved.is_some() { Duration::ZERO } else { peer.supervision.patience };
            cx.timers.set(Wake::ProbePeer(index), cx.now.mono + wait);
        }
    }

    /// Where each peer is now.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = (&PeerName, SocketAddr)> + Clone {
        self.list.iter().filter_map(|p| Some((&p.name, p.resolved?)))
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

    /// The peer that sends from this address, by IP address: carriers send from other ports than they listen on. One that is reached
    /// by TLS is believed by TLS only: anybody can write its address into a datagram.
    pub fn by_source(&self, hop: &Hop) -> Option<&PeerName> {
        let believed = |p: &&Peer| hop.transport.is_secure() || !p.transport.is_secure();
        let same_port = |p: &&Peer| p.resolved.is_some_and(|a| a == hop.remote);
        let same_host = |p: &&Peer| p.resolved.is_some_and(|a| a.ip() == hop.remote.ip()) && !hop.remote.ip().is_loopback();
        let peers = || self.list.iter().filter(believed);
        peers().find(same_port).or_else(|| peers().find(same_host)).map(|p| &p.name)
    }

    /// The peer is taken as unreachable until it shows otherwise: it was so when the process ended.
    pub fn assume_down(&mut self, name: &PeerName, now: Wall, reason: &str) {
        if let Some(index) = self.place(name) {
            let peer = &mut self.list[index];
            (peer.up, peer.since, peer.reason) = (false, now, reason.into());
        }
    }

    /// A host name was looked up. A peer that fails moves on to another of its addresses, one that answers stays where it is.
    pub fn resolved(&mut self, cx: &mut Context, host: &str, addresses: &[SocketAddr]) {
        for (index, peer) in self.list.iter_mut().enumerate() {
            if peer.address.host != host {
                continue;
            }
            let now = peer.resolved.map(|address| address.ip());
            let other = addresses.iter().find(|address| Some(address.ip()) != now);
            // The last known good address stays in use when the name cannot be resolved any more.
            if let Some(address) = other.filter(|_| now.is_none() || peer.is_failing()) {
                peer.resolved = Some(SocketAddr::new(address.ip(), peer.address.port));
                cx.timers.set(Wake::ProbePeer(index), cx.now.mono);
            }
        }
    }

    /// Time for an OPTIONS.
    pub fn probe(&mut self, cx: &mut Context, index: usize) {
        let Some(peer) = self.list.get_mut(index) else { return };
        if peer.supervision.interval.is_zero() {
            if peer.resolved.is_none() {
                cx.outputs.push_back(Output::Resolve { host: peer.address.host.clone() });
                cx.timers.set(Wake::ProbePeer(index), cx.now.mono + LOOK_UP_AGAIN);
            }
            return;
        }
        cx.timers.set(Wake::ProbePeer(index), cx.now.mono + peer.supervision.interval);
        if peer.probe.is_some() {
            return;
        }
        if peer.address.literal().is_none() && (peer.resolved.is_none() || peer.is_failing()) {
            // Its name may mean another address by now.
            cx.outputs.push_back(Output::Resolve { host: peer.address.host.clone() });
        }
        let Some(remote) = peer.resolved else { return self.failed(cx, index, "address cannot be resolved") };
        let target = Uri::sip(None, peer.address.uri_host(), Some(peer.address.port));
        let from = Uri::sip(Some("ringfort"), cx.own.advertised.into(), None);
        let (branch, tag, call_id) = (cx.branch(), cx.tag(), cx.entropy.token(20));
        let octets = Origin {
            target: &target,
            from: &from,
            to: &target,
            contact: None,
            tag: &tag,
            call_id: &call_id,
            cseq: 1,
            transport: peer.transport,
            sent_by: cx.own.address(peer.transport),
            branch: &branch,
            user_agent: crate::PRODUCT,
        }
        .options();
        let hop = Hop::to(peer.transport, remote);
        if let Some(id) = cx.request(hop, octets, Some(Owner::Probe(index))) {
            peer.probe = Some((id, cx.now.mono));
            cx.timers.set(Wake::ProbeOverdue(index), cx.now.mono + peer.supervision.patience);
        }
    }

    /// An OPTIONS was answered. Any answer shows life, but for 503 and 408, which say that there is none behind.
    pub fn answered(&mut self, cx: &mut Context, index: usize, id: TransactionId, status: u16) {
        let Some(peer) = self.list.get_mut(index) else { return };
        let Some((_, sent)) = peer.probe.take_if(|(probe, _)| *probe == id) else { return };
        cx.timers.stop(Wake::ProbeOverdue(index));
        peer.round_trip = Some(cx.now.mono.since(sent));
        match status {
            503 | 408 => self.failed(cx, index, &format!("OPTIONS answered {status}")),
            _ => self.alive(cx, index),
        }
    }

    /// An OPTIONS will have no answer. Another one may be out by now, of a configuration taken since.
    pub fn probe_failed(&mut self, cx: &mut Context, index: usize, id: TransactionId) {
        if self.list.get(index).is_some_and(|peer| peer.probe.is_some_and(|(probe, _)| probe == id)) {
            self.overdue(cx, index);
        }
    }

    /// The OPTIONS that is out is overdue.
    pub fn overdue(&mut self, cx: &mut Context, index: usize) {
        let Some(peer) = self.list.get_mut(index) else { return };
        if let Some((id, _)) = peer.probe.take() {
            cx.owners.remove(&id);
            self.failed(cx, index, "OPTIONS unanswered");
        }
    }

    /// A call or registration found the peer silent.
    pub fn passive_failure(&mut self, cx: &mut Context, name: &PeerName, what: &str) {
        if let Some(index) = self.place(name) {
            self.failed(cx, index, what);
        }
    }

    fn failed(&mut self, cx: &mut Context, index: usize, what: &str) {
        let peer = &mut self.list[index];
        if peer.supervision.interval.is_zero() {
            // Nothing would ever show that it is back.
            return;
        }
        peer.failures = peer.failures.saturating_add(1);
        peer.answering_since = None;
        if peer.up && peer.failures >= peer.supervision.failures {
            let reason = format!("{what}, {} failures in a row", peer.failures);
            peer.turn(cx, false, reason);
        } else if peer.up && peer.probe.is_none() && peer.resolved.is_some() {
            // Suspicion: ask again at once instead of an interval later.
            cx.timers.set(Wake::ProbePeer(index), cx.now.mono);
        }
    }

    fn alive(&mut self, cx: &mut Context, index: usize) {
        let peer = &mut self.list[index];
        peer.failures = 0;
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
    fn new(name: PeerName, address: PeerAddress, transport: Transport, supervision: Supervision, now: Wall) -> Peer {
        Peer {
            resolved: address.literal(),
            name,
            address,
            transport,
            supervision,
            up: true,
            since: now,
            reason: "taken as reachable until shown otherwise".into(),
            failures: 0,
            answering_since: None,
            probe: None,
            round_trip: None,
        }
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
        self.resolved.map(|remote| Hop::to(self.transport, remote))
    }

    /// `host:port` for request URIs.
    pub fn address(&self) -> &PeerAddress {
        &self.address
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
            transport: self.transport,
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
        }
    }
}
