//! Whose message it is, and what the rules of that peer make of it.
//!
//! What is sent is changed before the transaction layer has it: so repeats are the same octets by themselves, and the CANCEL and the
//! ACK that the layer makes of an INVITE fit the INVITE as it was sent (RFC 3261 9.1, 17.1.1.3). What is received is changed after the
//! layer matched it, for the peer's ACK and CANCEL fit the INVITE as it came. From and To that a rule changed in a request are put
//! back in its response, on either side (RFC 3261 8.2.6.2).

use super::draft::Draft;
use super::{Applied, Scene, apply};
use crate::config::{Direction, Network, PeerProfile, PeerRef, Snapshot, TrunkSection};
use crate::peers::PeerName;
use bytes::Bytes;
use ringfort_base::{Hop, Transport, limits};
use ringfort_sip::message::{HeaderName, Message};
use ringfort_sip::transaction::TransactionId;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

/// From and To of a request before rules changed them.
type People = (String, String);

/// Who speaks over which hop, for choosing a profile.
#[derive(Debug, Default)]
pub struct Border {
    peers: Vec<(PeerName, SocketAddr)>,
    networks: Vec<(PeerName, Network)>,
    agents: HashMap<(Transport, SocketAddr), String>,
    people: HashMap<TransactionId, People>,
}

impl Border {
    /// Takes over where the peers are now.
    pub(crate) fn follow_peers<'p>(&mut self, peers: impl Iterator<Item = (&'p PeerName, SocketAddr)> + Clone) {
        let mut known = self.peers.iter();
        let same = peers.clone().all(|(name, address)| known.next().is_some_and(|(n, a)| n == name && *a == address));
        if !same || known.next().is_some() {
            self.peers = peers.map(|(name, address)| (name.clone(), address)).collect();
        }
    }

    /// Takes over where else calls of trunks come from.
    pub(crate) fn follow_sources(&mut self, snapshot: &Snapshot) {
        let of_trunk = |t: &TrunkSection| t.sources.iter().map(|n| (PeerName::Trunk(t.name.clone()), *n)).collect::<Vec<_>>();
        self.networks = snapshot.trunks.iter().flat_map(of_trunk).collect();
    }

    /// Whether this is where a peer's server is.
    pub(crate) fn is_server(&self, hop: &Hop) -> bool {
        self.peers.iter().any(|(_, address)| *address == hop.remote)
    }

    /// The trunk that is spoken to over this hop.
    pub(crate) fn trunk<'s>(&self, snapshot: &'s Snapshot, hop: &Hop) -> Option<&'s TrunkSection> {
        match self.peer(hop)? {
            PeerName::Trunk(name) => snapshot.trunk(name),
            PeerName::Cloud | PeerName::Recorder(_) => None,
        }
    }

    /// A device registered over this hop.
    pub(crate) fn follow_device(&mut self, hop: &Hop, agent: &str) {
        if self.agents.len() >= limits::BINDINGS_MAX {
            // Addresses of devices that have gone; those that are here register again soon.
            self.agents.clear();
        }
        self.agents.insert((hop.transport, hop.remote), agent.to_string());
    }

    /// The peer whose hop it is. A carrier may send from another port than it listens on.
    fn peer(&self, hop: &Hop) -> Option<&PeerName> {
        let same = |(_, address): &&(PeerName, SocketAddr)| *address == hop.remote;
        let same_host = |(name, address): &&(PeerName, SocketAddr)| {
            let of_calls = !matches!(name, PeerName::Recorder(_));
            of_calls && address.ip() == hop.remote.ip() && !hop.remote.ip().is_loopback()
        };
        let peer = self.peers.iter().find(same).or_else(|| self.peers.iter().find(same_host)).map(|(name, _)| name);
        let source = || self.networks.iter().find(|(_, network)| network.contains(hop.remote.ip())).map(|(name, _)| name);
        peer.or_else(source)
    }

    /// Whose hop it is. `message` may tell the device's User-Agent.
    fn whose<'b>(&'b self, hop: &Hop, message: Option<&'b Message>) -> Option<PeerRef<'b>> {
        if let Some(name) = self.peer(hop) {
            return Some(name.into());
        }
        let known = self.agents.get(&(hop.transport, hop.remote)).map(String::as_str);
        let told = || message.filter(|m| m.is_request()).and_then(|m| m.header(HeaderName::UserAgent));
        known.or_else(told).map(PeerRef::Device)
    }

    /// The profile of whoever speaks over this hop.
    pub fn profile<'s>(&self, snapshot: &'s Snapshot, hop: &Hop, message: Option<&Message>) -> &'s Arc<PeerProfile> {
        if !snapshot.profiles.is_any() {
            return snapshot.profiles.usual();
        }
        self.whose(hop, message).map_or(snapshot.profiles.usual(), |peer| snapshot.profile_of(peer))
    }

    /// What a rule changed in From or To of a request is remembered until its transaction ends.
    pub(crate) fn remember(&mut self, id: TransactionId, people: Option<People>) {
        if let Some(people) = people {
            self.people.insert(id, people);
        }
    }

    /// The transaction ended.
    pub(crate) fn forget(&mut self, id: TransactionId) {
        self.people.remove(&id);
    }

    /// A response of the node with From and To of its request as that came.
    pub(crate) fn put_back(&self, id: TransactionId, response: &Bytes) -> Option<Bytes> {
        if !self.people.contains_key(&id) {
            return None;
        }
        let response = Message::parse(response.clone()).ok()?;
        self.put_back_read(id, &response).map(|message| message.octets().clone())
    }

    /// A response with From and To of its request before rules changed them.
    pub(crate) fn put_back_read(&self, id: TransactionId, response: &Message) -> Option<Message> {
        let (from, to) = self.people.get(&id)?;
        let tag = response.to().ok().and_then(|to| to.tag().map(str::to_string));
        let tagged = Message::parse(format!("SIP/2.0 200 \r\nTo: {to}\r\n\r\n").into()).ok()?;
        let has_tag = tagged.to().is_ok_and(|to| to.tag().is_some());
        let tag = tag.filter(|_| !has_tag).map(|tag| format!(";tag={tag}")).unwrap_or_default();
        let mut draft = Draft::of(response);
        for field in &mut draft.fields {
            match field.name {
                HeaderName::From => (field.value, field.line) = (from.clone(), None),
                HeaderName::To => (field.value, field.line) = (format!("{}{tag}", bracketed(to)), None),
                _ => {}
            }
        }
        draft.changed = true;
        draft.message(response)
    }
}

/// An address to which a parameter of the header can be added.
fn bracketed(address: &str) -> String {
    if address.contains(['<', ';']) { address.to_string() } else { format!("<{}>", address.trim()) }
}

/// What rules made of a message on its way.
pub(crate) struct Shaped<'p> {
    pub applied: Applied<'p>,
    /// From and To of a request before, where rules changed them.
    pub people: Option<People>,
}

/// Applies the rules of one direction.
pub(crate) fn shape<'p>(profile: &'p PeerProfile, direction: Direction, message: &Message, scene: &Scene) -> Shaped<'p> {
    let applied = apply(profile, direction, message, scene);
    let people = |m: &Message| {
        let value = |name| m.header(name).unwrap_or_default().to_string();
        (value(HeaderName::From), value(HeaderName::To))
    };
    let before = applied.message.as_ref().filter(|after| message.is_request() && people(after) != people(message));
    Shaped { people: before.map(|_| people(message)), applied }
}
