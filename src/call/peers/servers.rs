//! The servers of one peer: which one is in use, and which ones were set aside because they failed (RFC 3263 4.3).

use ringfort_base::{Hop, Time, Transport, limits};
use ringfort_sip::locate::Candidate;
use std::net::SocketAddr;
use std::time::Duration;

/// One server.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Server {
    hop: Hop,
    rank: u16,
    /// It failed, and is not asked by calls before this time and before it has answered an OPTIONS.
    aside_until: Option<Time>,
}

/// All of a peer's servers, best first.
#[derive(Clone, Debug, Default)]
pub(super) struct Servers {
    list: Vec<Server>,
    used: usize,
}

impl Servers {
    /// The one in use.
    pub fn hop(&self) -> Option<Hop> {
        self.list.get(self.used).map(|server| server.hop)
    }

    /// Whether one of them has this property.
    pub fn any(&self, is: impl Fn(&Hop) -> bool) -> bool {
        self.list.iter().any(|server| is(&server.hop))
    }

    /// Their addresses.
    pub fn addresses(&self) -> impl Iterator<Item = SocketAddr> + Clone {
        self.list.iter().map(|server| server.hop.remote)
    }

    /// Takes what a look-up found. The one in use stays if it works and none of a better rank does. True: another one is in use now.
    /// `hop` is how an address is reached, if it can be.
    pub fn take(&mut self, candidates: &[Candidate], hop: impl Fn(Transport, SocketAddr) -> Option<Hop>) -> bool {
        let before = self.hop();
        let old = std::mem::take(&mut self.list);
        let aside = |hop: &Hop| old.iter().find(|server| server.hop == *hop).and_then(|server| server.aside_until);
        for candidate in candidates {
            let Some(hop) = hop(candidate.transport, candidate.address) else { continue };
            self.list.push(Server { hop, rank: candidate.rank, aside_until: aside(&hop) });
        }
        let best = self.list.iter().filter(|s| s.aside_until.is_none()).map(|s| s.rank).min();
        let stays = |s: &Server| Some(s.hop) == before && s.aside_until.is_none() && Some(s.rank) == best;
        let stays = self.list.iter().position(stays);
        self.used =
            stays.or_else(|| self.working()).or_else(|| self.list.iter().position(|s| Some(s.hop) == before)).unwrap_or(0);
        self.hop() != before
    }

    /// This one failed. True: another one that works is in use now. With none left that works, the one in use stays.
    pub fn set_aside(&mut self, now: Time, hop: &Hop, time: Option<Duration>) -> bool {
        let time = time.unwrap_or(limits::SERVER_ASIDE).min(limits::SERVER_ASIDE_MAX);
        let was_used = self.hop().is_some_and(|used| used.same_peer(hop));
        if let Some(server) = self.list.iter_mut().find(|server| server.hop.same_peer(hop)) {
            server.aside_until = Some(now + time);
        }
        if !was_used {
            // A call that began before the change: the one in use now is not to blame.
            return true;
        }
        let other = self.working();
        self.used = other.unwrap_or(self.used);
        other.is_some()
    }

    /// None works: the next one is asked, so that any of them brings the peer back.
    pub fn take_turns(&mut self) {
        self.used = (self.used + 1) % self.list.len().max(1);
    }

    /// This one answered: it is used again, before those behind it.
    pub fn works(&mut self, hop: &Hop) {
        let Some(place) = self.list.iter().position(|server| server.hop.same_peer(hop)) else { return };
        self.list[place].aside_until = None;
        if self.list.get(self.used).is_none_or(|used| used.aside_until.is_some() || place < self.used) {
            self.used = place;
        }
    }

    /// A server before the one in use whose time aside is over.
    pub fn to_ask_again(&self, now: Time) -> Option<Hop> {
        let over = |server: &&Server| server.aside_until.is_some_and(|until| until <= now);
        self.list.iter().take(self.used).find(over).map(|server| server.hop)
    }

    /// Nobody asks: those whose time aside is over are trusted again.
    pub fn trust_again(&mut self, now: Time) {
        for server in &mut self.list {
            server.aside_until = server.aside_until.filter(|until| *until > now);
        }
        if let Some(place) = self.working() {
            self.used = place;
        }
    }

    /// One that works and is none of these.
    pub fn next(&self, tried: &[Hop]) -> Option<Hop> {
        let fits = |s: &&Server| s.aside_until.is_none() && !tried.iter().any(|hop| hop.same_peer(&s.hop));
        self.list.iter().find(fits).map(|server| server.hop)
    }

    fn working(&self) -> Option<usize> {
        self.list.iter().position(|server| server.aside_until.is_none())
    }
}
