//! Keys of one leg's peer that the other leg's peer is told as the node's own (docs/decisions/0030). What the one protects the other can
//! read then, and the node need not touch it.
//!
//! Before a leg writes an offer or an answer, it [`borrow`](LegSession::borrow)s what the other leg [`lends`](LegSession::lends). Without
//! that it uses keys of its own: who forgets to ask gives nobody's keys away.

use crate::digits::Digits;
use crate::negotiation::{Agreed, Pending};
use crate::plan::{SrtpKeys, SrtpProfile};
use crate::sdes::Crypto;
use crate::security::Suites;
use crate::session::{LegKind, LegSession};
use crate::srtp::KeyMark;
use ringfort_base::limits::KEYS_TOLD_MAX;
use ringfort_base::{Entropy, PortId};
use serde::{Deserialize, Serialize};

/// What a leg lends to the one at the other side.
#[derive(Clone, Debug, Default)]
pub struct Lent {
    /// By what its peer protects, or offers to, in the peer's order.
    theirs: Vec<SrtpKeys>,
    /// By what the node protects towards it.
    told: Option<SrtpKeys>,
    digits: Digits,
    known: KnownBy,
}

/// Who was told the keys of a leg's peer: by whatever port of the node, whether it is in the call still or not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KnownBy(Vec<(KeyMark, PortId)>);

impl KnownBy {
    fn note(&mut self, keys: &SrtpKeys, port: PortId) {
        let told = (KeyMark::of(keys), port);
        if self.0.len() < KEYS_TOLD_MAX && !self.0.contains(&told) {
            self.0.push(told);
        }
    }

    /// Somebody besides the peer knows them.
    fn has(&self, keys: &SrtpKeys) -> bool {
        let mark = KeyMark::of(keys);
        self.0.iter().any(|(known, _)| *known == mark)
    }

    /// Whether this port's peer may be told them: nobody else knows them. Where no more could be remembered, only who knows them already.
    fn lets(&self, keys: &SrtpKeys, port: PortId) -> bool {
        let mark = KeyMark::of(keys);
        let mut whose = self.0.iter().filter(|(known, _)| *known == mark).peekable();
        let known = whose.peek().is_some();
        whose.all(|(_, to)| *to == port) && (known || self.0.len() < KEYS_TOLD_MAX)
    }
}

impl Lent {
    pub(crate) fn is_nothing(&self) -> bool {
        self.theirs.is_empty()
    }

    /// The first of its keys for a suite.
    fn of(&self, profile: SrtpProfile) -> Option<&SrtpKeys> {
        self.theirs.iter().find(|keys| keys.profile == profile)
    }

    /// The line of a peer's offer that the other leg's peer has chosen, else the first.
    pub(crate) fn chosen<'a>(&self, lines: &'a [Crypto]) -> Option<&'a Crypto> {
        let chosen = self.told.as_ref().and_then(|told| lines.iter().find(|line| line.keys == *told));
        chosen.or(lines.first())
    }

    /// Keys for a suite that are agreed on anew: lent ones, else fresh ones.
    pub(crate) fn or_fresh(&self, tag: u32, profile: SrtpProfile, entropy: &mut dyn Entropy) -> Crypto {
        match self.of(profile) {
            Some(keys) => Crypto { tag, keys: keys.clone(), lent: true },
            None => Crypto::generate(tag, profile, entropy),
        }
    }

    /// Keys for a suite that is in use: those that are, unless others are lent now, or these no longer.
    pub(crate) fn or_on(&self, in_use: Crypto, entropy: &mut dyn Entropy) -> Crypto {
        let same = self.theirs.contains(&in_use.keys);
        let other = self.of(in_use.keys.profile).is_some() || in_use.lent;
        if !same && other { self.or_fresh(in_use.tag, in_use.keys.profile, entropy) } else { in_use }
    }

    /// The keys of a first offer: lent ones before the node's own, so that the peer chooses them if it can.
    pub(crate) fn offer(&self, suites: &Suites, entropy: &mut dyn Entropy) -> Vec<Crypto> {
        let mut offered: Vec<SrtpProfile> = Vec::new();
        let lent = self.theirs.iter().map(|keys| keys.profile).filter(|profile| suites.take(*profile));
        for profile in lent.chain(suites.offered()) {
            if !offered.contains(&profile) {
                offered.push(profile);
            }
        }
        (1..).zip(offered).map(|(tag, profile)| self.or_fresh(tag, profile, entropy)).collect()
    }
}

impl LegSession {
    /// What the other leg may borrow of this one: nothing, unless the configuration of this peer lets it.
    pub fn lends(&self) -> Lent {
        let digits = self.policy().digits;
        if !self.may_lend() {
            return Lent { digits, ..Lent::default() };
        }
        let agreed = self.agreed().and_then(Agreed::keys);
        let theirs = match self.pending() {
            Some(Pending::Received(remote)) => remote.crypto.iter().map(|crypto| crypto.keys.clone()).collect(),
            _ => agreed.map(|(_, theirs)| theirs.clone()).into_iter().collect(),
        };
        Lent { theirs, told: agreed.map(|(ours, _)| ours.clone()), digits, known: self.known_by.clone() }
    }

    /// The next offer or answer, and no other, tells the peer lent keys where they fit. Not where the node stands between two ways of
    /// telling digits: nothing would pass untouched. Nor keys that somebody knows who left the call.
    pub fn borrow(&mut self, lent: Lent) {
        self.borrowed = self.fitting(lent);
    }

    fn fitting(&self, mut lent: Lent) -> Lent {
        if !self.may_lend() || self.policy().digits.differ(lent.digits) {
            return Lent::default();
        }
        lent.theirs.retain(|keys| lent.known.lets(keys, self.port()));
        lent
    }

    /// The keys of another party that this leg's peer was told, and the port by which.
    pub fn tells(&self) -> Option<(SrtpKeys, PortId)> {
        let (keys, _) = self.agreed().filter(|agreed| agreed.lent()).and_then(Agreed::keys)?;
        Some((keys.clone(), self.port()))
    }

    /// Remembers that the peer at this port [`tells`](LegSession::tells) these keys: if they are those of this leg's peer, nobody else is told
    /// them after that one has left.
    pub fn note_told(&mut self, (keys, port): (SrtpKeys, PortId)) {
        if self.has_peers_keys(&keys) {
            self.known_by.note(&keys, port);
        }
    }

    /// Whether others than the peer know its keys, or may be told them.
    pub(crate) fn shares(&self, keys: &SrtpKeys) -> bool {
        self.may_lend() || self.known_by.has(keys)
    }

    /// Whether the peer is told keys of somebody else than `far`'s peer, who is not at the other side any more. Then nothing may be
    /// protected by them.
    pub fn holds_keys_of_another(&self, far: Option<&LegSession>) -> bool {
        let lent = self.agreed().filter(|agreed| agreed.lent()).and_then(Agreed::keys);
        lent.is_some_and(|(keys, _)| !far.is_some_and(|far| far.has_peers_keys(keys) && far.known_by.lets(keys, self.port())))
    }

    /// Whether an offer to this peer now would have lent keys in the place of those in use.
    pub fn would_borrow(&self, far: &LegSession) -> bool {
        let lent = self.fitting(far.lends());
        let in_use = self.agreed().and_then(Agreed::keys).map(|(ours, _)| ours);
        in_use.is_some_and(|ours| !lent.theirs.contains(ours) && lent.of(ours.profile).is_some())
    }

    fn may_lend(&self) -> bool {
        self.kind() == LegKind::Rtp && self.policy().security.pass
    }

    /// Whether this leg's peer protects by these keys, or offers to.
    fn has_peers_keys(&self, keys: &SrtpKeys) -> bool {
        let offered = match self.pending() {
            Some(Pending::Received(remote)) => remote.crypto.iter().any(|crypto| crypto.keys == *keys),
            _ => false,
        };
        offered || self.agreed().and_then(Agreed::keys).is_some_and(|(_, theirs)| theirs == keys)
    }
}
