//! Symmetric RTP with a lock (RFC 4961): who may send to a port, and where the port answers.

use ringfort_base::Time;
use ringfort_media::plan::{Component, Latch};
use std::net::SocketAddr;
use std::time::Duration;

/// What a source address is to a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// The latched source.
    Known,
    /// May latch, if its packet proves to be media.
    Candidate,
    /// May take the lock from a source that has fallen silent, if its packet proves to be media.
    Moved,
    /// Another source than the latched one, or one that may not latch yet.
    Stray,
}

/// How long a locked source is silent before another may take its place: longer than a network holds packets back.
const SILENT: Duration = Duration::from_secs(1);
/// How long a lock stays open after the peer has described itself anew.
const OPEN: Duration = Duration::from_secs(10);

/// The latch of one port: a lock for each component.
#[derive(Clone, Debug)]
pub(crate) struct LatchState {
    rule: Latch,
    since: Time,
    rtp: Option<SocketAddr>,
    rtcp: Option<SocketAddr>,
    /// When something came last from where each component is locked.
    heard: [Time; 2],
    /// Since when a silent source may be followed by another one without keys.
    opened: Option<Time>,
    /// The source that lost its lock so. It may take it back.
    before: Option<SocketAddr>,
}

impl LatchState {
    pub(crate) fn new(now: Time, rule: Latch) -> LatchState {
        let rtp = match rule {
            Latch::Exact(address) => Some(address),
            Latch::Symmetric { .. } => None,
        };
        LatchState { rule, since: now, rtp, rtcp: None, heard: [now; 2], opened: None, before: None }
    }

    /// An identical rule keeps the locks; another one begins anew.
    pub(crate) fn renew(&mut self, now: Time, rule: Latch) {
        if self.rule != rule {
            *self = LatchState::new(now, rule);
        }
    }

    /// The peer described itself anew, and may have moved.
    pub(crate) fn open(&mut self, now: Time) {
        self.opened = Some(now);
    }

    /// The locked source sends as before.
    pub(crate) fn confirm(&mut self) {
        self.opened = None;
    }

    /// Something came from the locked source of `component`.
    pub(crate) fn heard(&mut self, now: Time, component: Component) {
        self.heard[component as usize] = now;
    }

    /// Whether the locked source of `component` has fallen silent, so that a packet from elsewhere may be the peer's if keys prove it.
    pub(crate) fn is_silent(&self, now: Time, component: Component, from: SocketAddr) -> bool {
        let beside = component == Component::Rtp || self.rtp.is_some_and(|rtp| rtp.ip() == from.ip());
        beside && now.since(self.heard[component as usize]) >= SILENT
    }

    /// Whether a packet from elsewhere may be the peer's though nothing but its description and the silence of the locked source says so.
    fn is_open(&self, now: Time, component: Component, from: SocketAddr) -> bool {
        let Some(opened) = self.opened.filter(|opened| now.since(*opened) < OPEN && now.since(*opened) >= SILENT) else {
            return false;
        };
        self.is_silent(now, component, from) && self.permits(from, now.since(opened))
    }

    /// Judges the source of a packet that arrived on the socket of `component`.
    pub(crate) fn judge(&self, now: Time, component: Component, from: SocketAddr) -> Standing {
        let locked = match component {
            Component::Rtp => self.rtp,
            Component::Rtcp => self.rtcp,
        };
        match locked {
            Some(source) if same(source, from) => Standing::Known,
            // Who came first may have been a stranger: it gives way to the host that the description names, and never the other way
            // round.
            Some(source) if self.is_named(from) && !self.is_named(source) => Standing::Candidate,
            Some(source) if component == Component::Rtcp && self.is_beside_rtp(from) && !self.is_beside_rtp(source) => {
                Standing::Candidate
            }
            Some(source) if component == Component::Rtp && source != from && self.before == Some(from) => Standing::Candidate,
            Some(_) if self.is_open(now, component, from) => Standing::Moved,
            Some(_) => Standing::Stray,
            None if self.may_latch(now, from) => Standing::Candidate,
            None => Standing::Stray,
        }
    }

    /// Whether the peer's description names this host.
    pub(crate) fn is_named(&self, source: SocketAddr) -> bool {
        matches!(self.rule, Latch::Symmetric { expected: Some(expected), .. } if expected.ip() == source.ip())
    }

    /// Whether it is the port next to the one from which RTP comes, where RTCP belongs (RFC 3550 11). Another port of that host may be a NAT's
    /// choice, or somebody else behind it who spoke first.
    fn is_beside_rtp(&self, source: SocketAddr) -> bool {
        self.rtp.is_some_and(|rtp| rtp.ip() == source.ip() && rtp.port().checked_add(1) == Some(source.port()))
    }

    /// RTCP on its own port comes from where RTP comes from. Before anything is locked, the address in the SDP goes first.
    fn may_latch(&self, now: Time, from: SocketAddr) -> bool {
        if let Some(rtp) = self.rtp {
            return rtp.ip() == from.ip();
        }
        self.permits(from, now.since(self.since))
    }

    /// Whether the rule lets a host latch that long after it was given.
    fn permits(&self, from: SocketAddr, after: Duration) -> bool {
        match self.rule {
            Latch::Exact(address) => address.ip() == from.ip(),
            Latch::Symmetric { expected: Some(expected), grace_ms } => {
                expected.ip() == from.ip() || after >= Duration::from_millis(grace_ms.into())
            }
            Latch::Symmetric { expected: None, .. } => true,
        }
    }

    /// Locks on a [`Standing::Moved`]. `proved`: by keys; else the source that loses the lock may take it back.
    pub(crate) fn follow(&mut self, now: Time, component: Component, source: SocketAddr, proved: bool) {
        let before = self.rtp.filter(|_| component == Component::Rtp && !proved);
        self.lock(component, source);
        self.heard(now, component);
        if component == Component::Rtp {
            (self.before, self.opened) = (before, None);
        }
    }

    /// Locks on a [`Standing::Candidate`]. RTCP that locked on another host than RTP now does was a stray.
    pub(crate) fn lock(&mut self, component: Component, source: SocketAddr) {
        if component == Component::Rtp {
            self.before = None;
        }
        match component {
            Component::Rtp => {
                self.rtp = Some(source);
                self.rtcp = self.rtcp.filter(|rtcp| rtcp.ip() == source.ip());
            }
            Component::Rtcp => self.rtcp = Some(source),
        }
    }

    /// The source of `component`, once known.
    pub(crate) fn source(&self, component: Component) -> Option<SocketAddr> {
        match component {
            Component::Rtp => self.rtp,
            Component::Rtcp => self.rtcp,
        }
    }
}

/// Flow label and scope of an IPv6 address do not make another peer of it.
fn same(a: SocketAddr, b: SocketAddr) -> bool {
    a.port() == b.port() && a.ip() == b.ip()
}

#[cfg(test)]
mod tests {
    use super::Component::{Rtcp, Rtp};
    use super::Standing::{Candidate, Known, Moved, Stray};
    use super::*;

    fn at(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    fn symmetric(expected: Option<&str>, grace_ms: u32) -> Latch {
        Latch::Symmetric { expected: expected.map(at), grace_ms }
    }

    /// Somebody of the same host was first; the party's own RTCP takes the place, and keeps it.
    #[test]
    fn rtcp_beside_rtp_goes_before_another_port_of_the_host() {
        let mut latch = LatchState::new(Time::ZERO, symmetric(Some("192.0.2.1:4000"), 300));
        latch.lock(Rtp, at("192.0.2.1:4000"));
        assert_eq!(latch.judge(Time::ZERO, Rtcp, at("192.0.2.1:9999")), Candidate);
        latch.lock(Rtcp, at("192.0.2.1:9999"));
        assert_eq!(latch.judge(Time::ZERO, Rtcp, at("192.0.2.1:9998")), Stray);
        assert_eq!(latch.judge(Time::ZERO, Rtcp, at("192.0.2.1:4001")), Candidate);
        latch.lock(Rtcp, at("192.0.2.1:4001"));
        assert_eq!(latch.judge(Time::ZERO, Rtcp, at("192.0.2.1:9999")), Stray);
    }

    #[test]
    fn exact_takes_one_address_and_rtcp_of_its_host() {
        let mut latch = LatchState::new(Time::ZERO, Latch::Exact(at("192.0.2.1:4000")));
        assert_eq!(latch.judge(Time::ZERO, Rtp, at("192.0.2.1:4000")), Known);
        assert_eq!(latch.judge(Time::ZERO, Rtp, at("192.0.2.1:4001")), Stray);
        assert_eq!(latch.judge(Time::ZERO, Rtcp, at("192.0.2.2:4001")), Stray);
        assert_eq!(latch.judge(Time::ZERO, Rtcp, at("192.0.2.1:4001")), Candidate);
        latch.lock(Rtcp, at("192.0.2.1:4001"));
        assert_eq!(latch.judge(Time::ZERO, Rtcp, at("192.0.2.1:4003")), Stray);
    }

    #[test]
    fn the_first_source_is_kept() {
        let mut latch = LatchState::new(Time::ZERO, symmetric(None, 500));
        assert_eq!(latch.judge(Time::ZERO, Rtp, at("192.0.2.9:1")), Candidate);
        latch.lock(Rtp, at("192.0.2.9:1"));
        assert_eq!(latch.judge(Time::NEVER, Rtp, at("192.0.2.9:1")), Known);
        assert_eq!(latch.judge(Time::NEVER, Rtp, at("192.0.2.8:1")), Stray);
    }

    #[test]
    fn a_stranger_gives_way_to_the_host_of_the_description() {
        let mut latch = LatchState::new(Time::ZERO, symmetric(Some("192.0.2.1:4000"), 0));
        latch.lock(Rtp, at("198.51.100.1:7"));
        assert_eq!(latch.judge(Time::ZERO, Rtp, at("198.51.100.2:7")), Stray, "to nobody else");
        assert_eq!(latch.judge(Time::ZERO, Rtp, at("192.0.2.1:5000")), Candidate);
        latch.lock(Rtp, at("192.0.2.1:5000"));
        assert_eq!(latch.judge(Time::ZERO, Rtp, at("192.0.2.1:5002")), Stray, "one port of it");
        assert_eq!(latch.judge(Time::ZERO, Rtp, at("198.51.100.1:7")), Stray);
    }

    #[test]
    fn grace_prefers_the_host_of_the_sdp() {
        let latch = LatchState::new(Time::from_millis(1000), symmetric(Some("192.0.2.1:4000"), 500));
        assert_eq!(latch.judge(Time::from_millis(1499), Rtp, at("198.51.100.1:7")), Stray);
        assert_eq!(latch.judge(Time::from_millis(1499), Rtp, at("192.0.2.1:7")), Candidate, "another port of that host is NAT");
        assert_eq!(latch.judge(Time::from_millis(1500), Rtp, at("198.51.100.1:7")), Candidate);
    }

    #[test]
    fn rtp_overrules_an_rtcp_lock_of_another_host() {
        let mut latch = LatchState::new(Time::ZERO, symmetric(None, 0));
        latch.lock(Rtcp, at("198.51.100.1:9"));
        latch.lock(Rtp, at("192.0.2.1:4000"));
        assert_eq!(latch.source(Rtcp), None);
        assert_eq!(latch.judge(Time::ZERO, Rtcp, at("198.51.100.1:9")), Stray);
        assert_eq!(latch.judge(Time::ZERO, Rtcp, at("192.0.2.1:4001")), Candidate);
    }

    #[test]
    fn the_same_rule_keeps_the_lock_and_another_drops_it() {
        let mut latch = LatchState::new(Time::ZERO, symmetric(None, 500));
        latch.lock(Rtp, at("192.0.2.9:1"));
        latch.renew(Time::from_millis(9), symmetric(None, 500));
        assert_eq!(latch.source(Rtp), Some(at("192.0.2.9:1")));
        latch.renew(Time::from_millis(9), symmetric(Some("192.0.2.7:2"), 500));
        assert_eq!(latch.source(Rtp), None);
    }

    /// A NAT gave the peer another port or address: it says so by an offer with its private address, as before.
    #[test]
    fn an_offer_opens_the_lock_of_a_silent_source() {
        let at_ms = Time::from_millis;
        let mut latch = LatchState::new(Time::ZERO, symmetric(Some("10.0.0.5:4000"), 300));
        let (old, new, third) = (at("192.0.2.9:1000"), at("192.0.2.77:2000"), at("198.51.100.1:7"));
        latch.lock(Rtp, old);
        latch.heard(at_ms(50_000), Rtp);
        assert_eq!(latch.judge(at_ms(60_000), Rtp, new), Stray, "silence alone opens nothing");
        latch.open(at_ms(60_000));
        assert_eq!(latch.judge(at_ms(60_999), Rtp, new), Stray);
        assert_eq!(latch.judge(at_ms(61_000), Rtp, new), Moved);
        assert_eq!(latch.judge(at_ms(70_000), Rtp, new), Stray, "only for a moment");
        latch.heard(at_ms(60_500), Rtp);
        assert_eq!(latch.judge(at_ms(61_400), Rtp, new), Stray, "it is not silent");
        latch.follow(at_ms(62_000), Rtp, new, false);
        assert_eq!((latch.judge(at_ms(62_001), Rtp, new), latch.source(Rtp)), (Known, Some(new)));
        assert_eq!(latch.judge(at_ms(65_000), Rtp, third), Stray, "once");
        assert_eq!(latch.judge(at_ms(65_000), Rtp, old), Candidate, "it was no NAT's doing: the party is still there");
        latch.lock(Rtp, old);
        assert_eq!(latch.judge(at_ms(65_001), Rtp, new), Stray, "for good");
    }

    #[test]
    fn an_opened_lock_keeps_the_rule() {
        let at_ms = Time::from_millis;
        let mut latch = LatchState::new(Time::ZERO, Latch::Exact(at("192.0.2.9:1000")));
        latch.open(Time::ZERO);
        assert_eq!(latch.judge(at_ms(2_000), Rtp, at("192.0.2.10:1000")), Stray, "another host");
        assert_eq!(latch.judge(at_ms(2_000), Rtp, at("192.0.2.9:2000")), Moved);
        latch.confirm();
        assert_eq!(latch.judge(at_ms(2_000), Rtp, at("192.0.2.9:2000")), Stray);
        assert!(
            latch.is_silent(at_ms(1_000), Rtp, at("198.51.100.1:7")) && !latch.is_silent(at_ms(999), Rtp, at("198.51.100.1:7"))
        );
        assert!(!latch.is_silent(at_ms(9_000), Rtcp, at("198.51.100.1:7")), "RTCP comes from the host of RTP");
    }

    #[test]
    fn ipv6_scope_is_not_part_of_the_peer() {
        let latch = LatchState::new(Time::ZERO, Latch::Exact(at("[fe80::1%3]:4000")));
        assert_eq!(latch.judge(Time::ZERO, Rtp, at("[fe80::1%4]:4000")), Known);
    }
}
