//! Transport of a leg whose keys are agreed by DTLS (RFC 5763, RFC 8842): a browser's, with ICE-lite below, and a phone's or carrier's,
//! without ICE. Media itself never comes here.
//!
//! `str0m::Rtc` is deliberately not used: media would pass through it (measured: 2.7 µs and two allocations a packet). Its ICE agent
//! and DTLS provider are driven here directly, and what they find out (the pair in use, the keys) goes into the relay's plan.
//!
//! Everything that a restarted process needs is plain data. The ICE agent is built again from it, so that a browser's checks go on
//! being answered; the DTLS association is not needed any more once there are keys.

mod dtls;
mod ice;
mod keys;
mod talks;

pub use dtls::DtlsIdentity;
pub use ice::IceCredentials;
pub use keys::LegKeys;

use crate::demux::{Kind, classify};
use crate::error::MediaCause;
use crate::sdp::Fingerprint;
use crate::session::LegOutput;
use dtls::Association;
use ice::IceLite;
use ringfort_base::{Step, Time, limits};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use str0m::crypto::{CryptoProvider, from_feature_flags};
use talks::{Talks, is_hello};

/// A browser that sent no authentic check for this long has gone (RFC 7675 5.1).
const CONSENT_MAX: Duration = Duration::from_secs(30);
/// The node opens a handshake that failed again after this time, until the time for all of them is up.
const AGAIN: Duration = Duration::from_secs(1);
/// A finished association still answers repeated last flights for this long (RFC 6347 4.2.4: twice the segment lifetime).
const ASSOCIATION_LINGER: Duration = Duration::from_secs(60);

/// str0m's crypto provider: HMAC for STUN, hashes and DTLS by aws-lc-rs.
fn provider() -> &'static CryptoProvider {
    static PROVIDER: OnceLock<CryptoProvider> = OnceLock::new();
    PROVIDER.get_or_init(from_feature_flags)
}

/// What both descriptions said about the transport.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Terms {
    /// The node's candidate: advertised address and RTP port.
    pub local: SocketAddr,
    /// Credentials that the node and the peer told; `None`: without ICE.
    pub ice: Option<IceTerms>,
    /// Without ICE: where the peer says that it is.
    pub expected: Option<SocketAddr>,
    /// Names the association that the peer wants (RFC 8842 5.1).
    #[serde(default)]
    pub tls_id: Option<String>,
    /// SHA-256 fingerprints that the peer told; its certificate must have one of them.
    pub fingerprints: Vec<Fingerprint>,
    /// The node opens the DTLS handshake.
    pub client: bool,
}

/// Credentials of both sides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct IceTerms {
    pub ours: IceCredentials,
    pub theirs: IceCredentials,
}

impl Terms {
    /// Whether the association of `other` goes on with these: the same certificate, roles and name, and without ICE the same place
    /// (RFC 8842 5.1).
    fn keep_association_of(&self, other: &Terms) -> bool {
        let same = |terms: &Terms| (terms.client, terms.ice.is_some(), terms.expected);
        same(self) == same(other) && (&self.fingerprints, &self.tls_id) == (&other.fingerprints, &other.tls_id)
    }
}

/// The transport of one leg. Call `handle_*`, then [`DtlsTransport::poll_output`] until `None`, then
/// [`DtlsTransport::next_timeout`].
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct DtlsTransport {
    terms: Terms,
    /// The node's fingerprint as told to the peer; kept after a restart, when the process has another certificate.
    fingerprint: Fingerprint,
    pair: Option<SocketAddr>,
    keys: Option<LegKeys>,
    failed: Option<MediaCause>,
    #[serde(skip)]
    live: Option<Live>,
    #[serde(skip)]
    identity: Option<Arc<DtlsIdentity>>,
    /// Steps that were told.
    #[serde(skip)]
    told: u8,
    #[serde(skip)]
    outputs: VecDeque<LegOutput>,
}

/// What ends with the process.
#[derive(Debug)]
struct Live {
    ice: Option<IceLite>,
    talks: Talks,
    /// When setting up is given up; `NEVER` once there are keys.
    deadline: Time,
    /// When the peer's consent ends.
    consent: Time,
    /// When the finished association is dropped.
    release: Time,
    /// When the agent wants to be woken; asking it needs `&mut`.
    ice_due: Time,
    /// When the node opens its handshake again; `NEVER`: none has failed.
    again: Time,
}

impl DtlsTransport {
    pub fn new(now: Time, terms: Terms, identity: Arc<DtlsIdentity>) -> DtlsTransport {
        let fingerprint = identity.fingerprint().clone();
        let mut transport = DtlsTransport {
            terms,
            fingerprint,
            pair: None,
            keys: None,
            failed: None,
            live: None,
            identity: Some(identity),
            told: 0,
            outputs: VecDeque::new(),
        };
        transport.revive(now);
        transport
    }

    /// Takes the terms of a further offer and answer. The same certificates on both sides: the association and its keys go on, and
    /// ICE restarts if its credentials changed (RFC 8842 5.5, RFC 8839 4.4.1.1.1). Another certificate: all begins anew. The same terms
    /// again, in the 200 after a 183, give a peer without ICE its time anew.
    pub fn renew(&mut self, now: Time, terms: Terms) {
        if self.terms == terms && self.failed.is_none() {
            return self.give_time(now);
        }
        let same_peer = terms.keep_association_of(&self.terms);
        let talks = self.live.take().map(|live| live.talks).filter(|_| same_peer);
        if !same_peer {
            (self.pair, self.keys) = (None, None);
        }
        if self.failed == Some(MediaCause::ConsentExpired) {
            // Nothing goes there any more before the peer consents again (RFC 7675 5.1).
            self.pair = None;
        }
        (self.terms, self.failed) = (terms, None);
        self.revive(now);
        if let (Some(live), Some(talks)) = (&mut self.live, talks) {
            live.talks.adopt(talks);
        }
    }

    /// A phone that described itself while it rang may open its handshake only when it has answered.
    fn give_time(&mut self, now: Time) {
        match &mut self.live {
            Some(live) if self.terms.ice.is_none() && self.keys.is_none() => live.deadline = now + limits::MEDIA_SETUP_MAX,
            _ => {}
        }
    }

    /// The fingerprint to tell the peer.
    pub fn fingerprint(&self) -> &Fingerprint {
        &self.fingerprint
    }

    /// Whether the node is the DTLS client.
    pub fn is_client(&self) -> bool {
        self.terms.client
    }

    /// Credentials that the peer told last.
    pub fn peer_credentials(&self) -> Option<&IceCredentials> {
        self.terms.ice.as_ref().map(|ice| &ice.theirs)
    }

    /// The user name fragment that the node told.
    pub fn fragment(&self) -> Option<&str> {
        self.terms.ice.as_ref().map(|ice| ice.ours.ufrag.as_str())
    }

    /// Whether the association goes on with a peer of these fingerprints and this name.
    pub fn is_with(&self, fingerprints: &[Fingerprint], tls_id: Option<&str>) -> bool {
        self.terms.fingerprints == fingerprints && self.terms.tls_id.as_deref() == tls_id
    }

    /// The peer's address and the keys, once media may flow.
    pub fn ready(&self) -> Option<(SocketAddr, &LegKeys)> {
        if self.failed.is_some() {
            return None;
        }
        Some((self.pair?, self.keys.as_ref()?))
    }

    /// The peer's media comes from elsewhere now, under the keys that it proved to have.
    pub fn moved(&mut self, source: SocketAddr) {
        if self.terms.ice.is_none() && self.ready().is_some() {
            self.pair = Some(source);
        }
    }

    /// Why it failed, or what is not done yet. `None`: media may flow.
    pub fn lacks(&self) -> Option<MediaCause> {
        self.failed.or_else(|| self.ready().is_none().then(|| self.undone()))
    }

    /// It does nothing more until [`Self::renew`].
    pub fn has_failed(&self) -> bool {
        self.failed.is_some()
    }

    /// The step that is not done, while media may not flow.
    fn undone(&self) -> MediaCause {
        let live = self.live.as_ref();
        let last_check = live.and_then(|live| live.ice.as_ref()).and_then(IceLite::last_check);
        match (&self.terms.ice, self.pair) {
            (Some(_), None) if last_check.is_some() => MediaCause::IceIncomplete,
            (Some(_), None) => MediaCause::IceTimeout,
            (Some(_), Some(_)) => MediaCause::DtlsTimeout,
            (None, _) => live.and_then(|live| live.talks.refused()).unwrap_or(MediaCause::DtlsTimeout),
        }
    }

    /// `dtls-srtp` with the profile once it is known.
    pub fn how(&self) -> &'static str {
        self.keys.as_ref().map_or("dtls-srtp", LegKeys::how)
    }

    /// Takes a STUN or DTLS datagram; anything else is none of its business.
    pub fn handle_datagram(&mut self, now: Time, from: SocketAddr, datagram: &[u8]) {
        self.revive(now);
        match classify(datagram) {
            Kind::Stun => self.handle_stun(now, from, datagram),
            Kind::Dtls => self.handle_dtls(now, from, datagram),
            Kind::Rtp | Kind::Rtcp | Kind::Unknown => {}
        }
        self.settle(now);
    }

    pub fn handle_timeout(&mut self, now: Time) {
        self.revive(now);
        let Some(live) = &mut self.live else { return };
        if let Some(ice) = live.ice.as_mut().filter(|_| live.ice_due <= now) {
            ice.handle_timeout(now);
        }
        let result = live.talks.handle_timeout(now);
        if live.release <= now {
            (live.talks, live.release) = (Talks::new(live.ice.is_some(), self.terms.expected), Time::NEVER);
        }
        self.fail_on(result);
        self.settle(now);
        self.give_up(now);
    }

    pub fn next_timeout(&self) -> Time {
        match &self.live {
            _ if self.failed.is_some() => Time::NEVER,
            None => Time::ZERO,
            Some(live) => [live.ice_due, live.talks.next_timeout(), live.deadline, live.consent, live.release, live.again]
                .into_iter()
                .min()
                .unwrap_or(Time::NEVER),
        }
    }

    pub fn poll_output(&mut self) -> Option<LegOutput> {
        self.outputs.pop_front()
    }

    /// Builds what ends with the process: at the start, after a restart of ICE, and after a restart of the process.
    fn revive(&mut self, now: Time) {
        if self.live.is_some() || self.failed.is_some() {
            return;
        }
        let made = self.terms.ice.as_ref().map(|ice| IceLite::new(self.terms.local, &ice.ours, &ice.theirs));
        let Some(ice) = made.map_or(Some(None), |ice| ice.map(Some)) else {
            return self.fail(MediaCause::IceTimeout);
        };
        let (deadline, consent) = match self.keys {
            Some(_) => (Time::NEVER, consent(&ice, now)),
            None => (now + limits::MEDIA_SETUP_MAX, Time::NEVER),
        };
        let ice_due = if ice.is_some() { now } else { Time::NEVER };
        let talks = Talks::new(ice.is_some(), self.terms.expected);
        self.live = Some(Live { ice, talks, deadline, consent, release: Time::NEVER, ice_due, again: Time::NEVER });
        self.settle(now);
    }

    fn handle_stun(&mut self, now: Time, from: SocketAddr, datagram: &[u8]) {
        let Some(ice) = self.live.as_mut().and_then(|live| live.ice.as_mut()) else { return };
        let checked = ice.last_check().is_some();
        ice.handle(now, from, datagram);
        if !checked && ice.last_check().is_some() {
            self.tell(Step::IceChecked { peer: from.into() });
        }
    }

    /// With ICE, DTLS is taken only from where an authentic check came, so that its certificate flight cannot be turned on a third
    /// party; without, from whoever says hello (the engine asks it to show that it hears us), until one has proved to be the peer.
    fn handle_dtls(&mut self, now: Time, from: SocketAddr, datagram: &[u8]) {
        let Some(live) = &mut self.live else { return };
        let admitted = match &live.ice {
            Some(ice) => ice.is_known(from),
            None => self.pair.filter(|_| self.keys.is_some()).is_none_or(|pair| pair == from),
        };
        if !admitted {
            return;
        }
        let opens = !live.talks.knows(from) && (live.ice.is_some() || is_hello(datagram));
        if !self.terms.client && self.keys.is_none() && opens {
            self.open_association(now, from);
        }
        if let Some(live) = &mut self.live {
            let result = live.talks.handle(now, from, datagram);
            self.fail_on(result);
        }
    }

    fn open_association(&mut self, now: Time, with: SocketAddr) {
        let Some(live) = &mut self.live else { return };
        if !live.talks.has_room(with) {
            return;
        }
        let identity = self.identity.clone().or_else(DtlsIdentity::of_process);
        let (client, vouched) = (self.terms.client, live.ice.is_some());
        let opened = identity.ok_or(MediaCause::DtlsFailed).and_then(|i| Association::new(&i, now, client, vouched));
        match opened {
            Ok(association) => {
                live.talks.open(with, association);
                let role = if client { "client" } else { "server" };
                self.tell(Step::DtlsBegun { role: role.into(), peer: with.into() });
            }
            Err(cause) => self.fail(cause),
        }
    }

    /// Draws the consequences of an input: a new pair, new keys, datagrams to send, timers.
    fn settle(&mut self, now: Time) {
        let was = self.ready().map(|(pair, _)| pair);
        self.take_pair();
        let verdict = self.take_keys(now);
        self.fail_on(verdict);
        self.begin_as_client(now);
        self.collect_sends(now);
        self.announce(was);
    }

    /// The node opens the handshake: over the pair that ICE found, or where the peer says that it is.
    fn begin_as_client(&mut self, now: Time) {
        let to = if self.terms.ice.is_some() { self.pair } else { self.terms.expected };
        let (true, None, None, Some(to), Some(live)) = (self.terms.client, &self.keys, self.failed, to, &mut self.live) else {
            return;
        };
        if !live.talks.is_empty() {
            return;
        }
        if live.talks.refused().is_some() && live.again == Time::NEVER {
            live.again = now + AGAIN;
        } else if live.talks.refused().is_none() || live.again <= now {
            live.again = Time::NEVER;
            self.open_association(now, to);
        }
    }

    fn take_pair(&mut self) {
        let Some(ice) = self.live.as_mut().and_then(|live| live.ice.as_mut()) else { return };
        let mut selected = None;
        while let Some(peer) = ice.poll_nominated() {
            selected = Some(peer);
        }
        if let Some(peer) = selected.filter(|_| selected != self.pair) {
            self.pair = selected;
            self.tell(Step::IceSelected { peer: peer.into() });
        }
    }

    /// For the timeline; what a peer can repeat is told so often and no more.
    fn tell(&mut self, step: Step) {
        if self.told < limits::LEG_STEPS_MAX {
            self.told += 1;
            self.outputs.push_back(LegOutput::Step(step));
        }
    }

    fn take_keys(&mut self, now: Time) -> Result<(), MediaCause> {
        let Some(live) = &mut self.live else { return Ok(()) };
        let Some((with, keys)) = live.talks.take_keys(&self.terms.fingerprints)? else { return Ok(()) };
        let version = live.talks.version().unwrap_or_default().to_owned();
        let suite = keys.how().trim_start_matches("dtls-srtp ").to_owned();
        self.keys = Some(keys);
        if live.ice.is_none() {
            // Media comes from where the certificate was proved (RFC 5764 3).
            self.pair = Some(with);
        }
        (live.release, live.consent) = (now + ASSOCIATION_LINGER, consent(&live.ice, now));
        self.tell(Step::DtlsDone { version, suite });
        Ok(())
    }

    fn collect_sends(&mut self, now: Time) {
        let Some(live) = &mut self.live else { return };
        while let Some((to, datagram)) = live.ice.as_mut().and_then(IceLite::poll_send) {
            self.outputs.push_back(LegOutput::Send { to, datagram });
        }
        let pair = self.pair.filter(|_| live.ice.is_some());
        while let Some((with, datagram)) = live.talks.poll_send() {
            self.outputs.push_back(LegOutput::Send { to: pair.unwrap_or(with), datagram });
        }
        let Some(ice) = &mut live.ice else { return };
        live.ice_due = ice.next_timeout().max(now + Duration::from_millis(1));
        if let (Some(_), Some(check)) = (&self.keys, ice.last_check()) {
            live.consent = live.consent.max(check + CONSENT_MAX);
        }
    }

    /// Datagrams are queued before this, so that the peer's last flight is answered before media flows.
    fn announce(&mut self, was: Option<SocketAddr>) {
        let is = self.ready().map(|(pair, _)| pair);
        if is == was || is.is_none() {
            return;
        }
        if let Some(live) = &mut self.live {
            live.deadline = Time::NEVER;
        }
        self.outputs.push_back(LegOutput::PlanChanged);
        if was.is_none() {
            self.outputs.push_back(LegOutput::Ready { how: self.how().to_owned() });
        }
    }

    /// The deadline of the set-up and the end of consent, each with its cause.
    fn give_up(&mut self, now: Time) {
        let Some(live) = &self.live else { return };
        let cause = match () {
            () if live.deadline <= now => self.undone(),
            () if live.consent <= now => MediaCause::ConsentExpired,
            () => return,
        };
        self.fail(cause);
    }

    fn fail_on(&mut self, result: Result<(), MediaCause>) {
        if let Err(cause) = result {
            self.fail(cause);
        }
    }

    /// Once failed, a transport does nothing until [`Self::renew`].
    fn fail(&mut self, cause: MediaCause) {
        if self.failed.is_some() {
            return;
        }
        let was_ready = self.ready().is_some();
        (self.failed, self.live) = (Some(cause), None);
        if was_ready {
            self.outputs.push_back(LegOutput::PlanChanged);
        }
        self.outputs.push_back(LegOutput::Failed { cause });
    }
}

/// Until when a peer may be silent: it consents by its checks (RFC 7675 5.1), and without ICE by nothing.
fn consent(ice: &Option<IceLite>, now: Time) -> Time {
    if ice.is_some() { now + CONSENT_MAX } else { Time::NEVER }
}
