//! Transport of a leg whose peer is a browser: ICE-lite, then DTLS, then SRTP keys. Media itself never comes here.
//!
//! `str0m::Rtc` is deliberately not used: media would pass through it (measured: 2.7 µs and two allocations a packet). Its ICE agent
//! and DTLS provider are driven here directly, and what they find out (the pair in use, the keys) goes into the relay's plan.
//!
//! Everything that a restarted process needs is plain data. The ICE agent is built again from it, so that a browser's checks go on
//! being answered; the DTLS association is not needed any more once there are keys.

mod dtls;
mod ice;
mod keys;

pub use dtls::DtlsIdentity;
pub use ice::IceCredentials;
pub use keys::LegKeys;

use crate::demux::{Kind, classify};
use crate::error::MediaCause;
use crate::sdp::Fingerprint;
use crate::session::LegOutput;
use dtls::Association;
use ice::IceLite;
use ringfort_base::{Time, limits};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use str0m::crypto::{CryptoProvider, from_feature_flags};

/// A browser that sent no authentic check for this long has gone (RFC 7675 5.1).
const CONSENT_MAX: Duration = Duration::from_secs(30);
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
    /// Credentials that the node told.
    pub ours: IceCredentials,
    /// Credentials that the peer told.
    pub theirs: IceCredentials,
    /// SHA-256 fingerprints that the peer told; its certificate must have one of them.
    pub fingerprints: Vec<Fingerprint>,
    /// The node opens the DTLS handshake.
    pub client: bool,
}

/// The transport of one leg. Call `handle_*`, then [`WebrtcTransport::poll_output`] until `None`, then
/// [`WebrtcTransport::next_timeout`].
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct WebrtcTransport {
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
    #[serde(skip)]
    outputs: VecDeque<LegOutput>,
}

/// What ends with the process.
#[derive(Debug)]
struct Live {
    ice: IceLite,
    association: Option<Association>,
    /// To whom DTLS goes while no pair is nominated.
    dtls_source: Option<SocketAddr>,
    /// When setting up is given up; `NEVER` once there are keys.
    deadline: Time,
    /// When the peer's consent ends.
    consent: Time,
    /// When the finished association is dropped.
    release: Time,
    /// When the agent wants to be woken; asking it needs `&mut`.
    ice_due: Time,
}

impl WebrtcTransport {
    pub fn new(now: Time, terms: Terms, identity: Arc<DtlsIdentity>) -> WebrtcTransport {
        let fingerprint = identity.fingerprint().clone();
        let mut transport = WebrtcTransport {
            terms,
            fingerprint,
            pair: None,
            keys: None,
            failed: None,
            live: None,
            identity: Some(identity),
            outputs: VecDeque::new(),
        };
        transport.revive(now);
        transport
    }

    /// Takes the terms of a further offer and answer. The same certificates on both sides: the association and its keys go on, and
    /// ICE restarts if its credentials changed (RFC 8842 5.5, RFC 8839 4.4.1.1.1). Another certificate: all begins anew.
    pub fn renew(&mut self, now: Time, terms: Terms) {
        if self.terms == terms && self.failed.is_none() {
            return;
        }
        let same_peer = self.terms.fingerprints == terms.fingerprints && self.terms.client == terms.client;
        let association = self.live.take().and_then(|live| live.association).filter(|_| same_peer);
        if !same_peer {
            (self.pair, self.keys) = (None, None);
        }
        (self.terms, self.failed) = (terms, None);
        self.revive(now);
        if let Some(live) = &mut self.live {
            live.association = association;
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
    pub fn peer_credentials(&self) -> &IceCredentials {
        &self.terms.theirs
    }

    /// Fingerprints that the peer told last.
    pub fn peer_fingerprints(&self) -> &[Fingerprint] {
        &self.terms.fingerprints
    }

    /// The peer's address and the keys, once media may flow.
    pub fn ready(&self) -> Option<(SocketAddr, &LegKeys)> {
        if self.failed.is_some() {
            return None;
        }
        Some((self.pair?, self.keys.as_ref()?))
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
        let checked = self.live.as_ref().is_some_and(|live| live.ice.last_check().is_some());
        match self.pair {
            None if checked => MediaCause::IceIncomplete,
            None => MediaCause::IceTimeout,
            Some(_) => MediaCause::DtlsTimeout,
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
        if live.ice_due <= now {
            live.ice.handle_timeout(now);
        }
        let due = live.association.as_mut().filter(|association| association.next_timeout() <= now);
        let result = due.map_or(Ok(()), |association| association.handle_timeout(now));
        if live.release <= now {
            (live.association, live.release) = (None, Time::NEVER);
        }
        self.fail_on(result);
        self.settle(now);
        self.give_up(now);
    }

    pub fn next_timeout(&self) -> Time {
        match &self.live {
            _ if self.failed.is_some() => Time::NEVER,
            None => Time::ZERO,
            Some(live) => {
                let dtls = live.association.as_ref().map_or(Time::NEVER, Association::next_timeout);
                [live.ice_due, dtls, live.deadline, live.consent, live.release].into_iter().min().unwrap_or(Time::NEVER)
            }
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
        let Terms { local, ours, theirs, .. } = &self.terms;
        let Some(ice) = IceLite::new(*local, ours, theirs) else {
            return self.fail(MediaCause::IceTimeout);
        };
        let (deadline, consent) = match self.keys {
            Some(_) => (Time::NEVER, now + CONSENT_MAX),
            None => (now + limits::MEDIA_SETUP_MAX, Time::NEVER),
        };
        let live = Live { ice, association: None, dtls_source: None, deadline, consent, release: Time::NEVER, ice_due: now };
        self.live = Some(live);
        self.settle(now);
    }

    fn handle_stun(&mut self, now: Time, from: SocketAddr, datagram: &[u8]) {
        let Some(live) = &mut self.live else { return };
        live.ice.handle(now, from, datagram);
    }

    /// DTLS is taken only from where an authentic check came, so that its certificate flight cannot be turned on a third party.
    fn handle_dtls(&mut self, now: Time, from: SocketAddr, datagram: &[u8]) {
        let Some(live) = &mut self.live else { return };
        if !live.ice.is_known(from) {
            return;
        }
        live.dtls_source = Some(from);
        if !self.terms.client && self.keys.is_none() {
            self.open_association(now);
        }
        let Some(association) = self.live.as_mut().and_then(|live| live.association.as_mut()) else { return };
        let result = association.handle(now, datagram);
        self.fail_on(result);
    }

    fn open_association(&mut self, now: Time) {
        let Some(live) = self.live.as_mut().filter(|live| live.association.is_none()) else { return };
        let identity = self.identity.clone().or_else(DtlsIdentity::of_process);
        let opened = identity.ok_or(MediaCause::DtlsFailed).and_then(|i| Association::new(&i, now, self.terms.client));
        match opened {
            Ok(association) => live.association = Some(association),
            Err(cause) => self.fail(cause),
        }
    }

    /// Draws the consequences of an input: a new pair, new keys, datagrams to send, timers.
    fn settle(&mut self, now: Time) {
        let was = self.ready().map(|(pair, _)| pair);
        self.take_pair();
        if self.terms.client && self.pair.is_some() && self.keys.is_none() && self.failed.is_none() {
            self.open_association(now);
        }
        let verdict = self.take_keys(now);
        self.fail_on(verdict);
        self.collect_sends(now);
        self.announce(was);
    }

    fn take_pair(&mut self) {
        let Some(live) = &mut self.live else { return };
        while let Some(peer) = live.ice.poll_nominated() {
            self.pair = Some(peer);
        }
    }

    fn take_keys(&mut self, now: Time) -> Result<(), MediaCause> {
        let Some(live) = &mut self.live else { return Ok(()) };
        let Some(association) = &mut live.association else { return Ok(()) };
        // The certificate comes before the keys and is judged even when no key follows.
        if association.peer().is_some_and(|proved| !self.terms.fingerprints.contains(proved)) {
            return Err(MediaCause::FingerprintMismatch);
        }
        let Some((material, profile)) = association.take_keying() else { return Ok(()) };
        // A peer without certificate proved nothing (RFC 8842 5.1: both sides authenticate).
        association.peer().ok_or(MediaCause::FingerprintMismatch)?;
        let keys = LegKeys::split(profile, &material, association.is_client()).ok_or(MediaCause::SrtpProfile)?;
        self.keys = Some(keys);
        (live.release, live.consent) = (now + ASSOCIATION_LINGER, now + CONSENT_MAX);
        Ok(())
    }

    fn collect_sends(&mut self, now: Time) {
        let Some(live) = &mut self.live else { return };
        while let Some((to, datagram)) = live.ice.poll_send() {
            self.outputs.push_back(LegOutput::Send { to, datagram });
        }
        if let (Some(association), Some(to)) = (&mut live.association, self.pair.or(live.dtls_source)) {
            while let Some(datagram) = association.poll_send() {
                self.outputs.push_back(LegOutput::Send { to, datagram });
            }
        }
        live.ice_due = live.ice.next_timeout().max(now + Duration::from_millis(1));
        if let (Some(_), Some(check)) = (&self.keys, live.ice.last_check()) {
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
