//! One leg of one call: its offer/answer state (RFC 3264) and its media transport, compiled to a [`FlowPlan`].
//!
//! Read `negotiation.rs` for the rules, `remote.rs` for what is read from a peer, `compose.rs` for what is told to it, `webrtc/` for
//! the transport of browsers.

use crate::compose::{Hop, Local, compose};
use crate::description::Description;
use crate::error::{MediaCause, MediaError};
use crate::negotiation::{self, Agreed, Pending};
use crate::plan::{Component, Destination, DiscardReason, FlowPlan, Latch, Receive, Transmit};
use crate::remote::{Remote, RemoteWebrtc, carries};
use crate::reserve::Reserve;
use crate::sdes::{self, Sdes};
use crate::sdp::{Direction, Fingerprint, Sdp, Setup};
use crate::webrtc::{DtlsIdentity, IceCredentials, Terms, WebrtcTransport};
use ringfort_base::{Entropy, PortId, Time};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

/// How long the address in a peer's SDP is preferred over others before a port latches. Long enough for the first packets of a peer
/// that is where it says; short enough that one behind a NAT is not missed.
const LATCH_GRACE_MS: u32 = 300;
/// The latch of a browser's port before a pair is nominated: nobody.
const NOBODY: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

/// How a leg's peer transports media.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LegKind {
    /// RTP/AVP, or RTP/SAVP with keys in the description (RFC 4568), with symmetric latching; RTCP on its own port, or multiplexed when both sides say so.
    Rtp,
    /// A browser: ICE-lite, DTLS-SRTP, rtcp-mux, BUNDLE of one audio line.
    Webrtc,
}

/// Which kind of leg an offer asks for. Where it offers both, plain RTP and a browser's transport, the earlier line decides; an offer
/// without any usable audio line counts as plain RTP and is refused by [`LegSession::receive_offer`].
pub fn kind_of_offer(sdp: &Sdp) -> LegKind {
    let kind_of = |index| [LegKind::Rtp, LegKind::Webrtc].into_iter().find(|&kind| carries(kind, sdp, index));
    let audio = |index: &usize| sdp.media[*index].line().kind == "audio" && sdp.media[*index].line().port != 0;
    (0..sdp.media.len()).filter(audio).find_map(kind_of).unwrap_or(LegKind::Rtp)
}

/// Addresses of a leg's media port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MediaAddress {
    /// Bound address of the RTP socket.
    pub rtp: SocketAddr,
    /// Bound address of the RTCP socket; `None` when the port has none, and RTCP is multiplexed or lost.
    pub rtcp: Option<SocketAddr>,
    /// The address that peers are told; differs from the bound one behind a 1:1 NAT.
    pub advertised: IpAddr,
}

/// What a leg wants done or known. Datagrams come before the [`LegOutput::PlanChanged`] that lets media flow after them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LegOutput {
    /// Send a datagram from this leg's port.
    Send {
        /// To whom.
        to: SocketAddr,
        /// STUN or DTLS.
        datagram: Vec<u8>,
    },
    /// [`LegSession::plan`] yields something else now.
    PlanChanged,
    /// The media path stands: latched, or ICE and DTLS done.
    Ready {
        /// `rtp`, `dtls-srtp aes-cm-128-80`, ...
        how: String,
    },
    /// The media path cannot be used; the leg does nothing more until a new offer and answer.
    Failed {
        /// Why.
        cause: MediaCause,
    },
}

/// One leg of one call.
///
/// Methods are of three kinds: descriptions in and out (`receive_*`, `make_*`, [`Self::reject_offer`]), events of the relay and the clock
/// (`handle_*`, [`Self::latched`]), and questions. After each of the first two kinds, drain [`Self::poll_output`] and take
/// [`Self::next_timeout`] anew.
///
/// It is serialisable: a restarted process takes up with credentials, keys, what was agreed and the latched address. Time does not
/// survive a process, so timers start again then.
#[derive(Serialize, Deserialize)]
pub struct LegSession {
    kind: LegKind,
    port: PortId,
    address: MediaAddress,
    origin: Origin,
    track: String,
    ice: IceCredentials,
    reserve: Reserve,
    #[serde(default)]
    sdes: Sdes,
    agreed: Option<Agreed>,
    pending: Option<Pending>,
    transport: Option<Box<WebrtcTransport>>,
    latched: Latched,
    /// Built in this process: the relay holds the latches itself.
    #[serde(skip)]
    live: bool,
    #[serde(skip)]
    identity: Option<Arc<DtlsIdentity>>,
    #[serde(skip)]
    outputs: VecDeque<LegOutput>,
}

/// `o=` (RFC 8866 5.2) and the body that it was written with last.
#[derive(Serialize, Deserialize)]
struct Origin {
    id: u64,
    version: u64,
    told: Option<Vec<u8>>,
}

#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Latched {
    rtp: Option<SocketAddr>,
    rtcp: Option<SocketAddr>,
}

impl LegSession {
    /// A leg that has no peer yet. A browser's leg uses the process's [`DtlsIdentity`].
    pub fn new(kind: LegKind, port: PortId, address: MediaAddress, entropy: &mut dyn Entropy) -> LegSession {
        LegSession {
            kind,
            port,
            address,
            // Some peers read it as a signed number.
            origin: Origin { id: entropy.u64() >> 2, version: 1, told: None },
            track: entropy.token(16),
            ice: IceCredentials::generate(entropy),
            reserve: Reserve::new(entropy),
            sdes: Sdes::Off,
            agreed: None,
            pending: None,
            transport: None,
            latched: Latched::default(),
            live: true,
            identity: None,
            outputs: VecDeque::new(),
        }
    }

    /// The same with another identity than the process's.
    pub fn with_identity(mut self, identity: Arc<DtlsIdentity>) -> LegSession {
        self.identity = Some(identity);
        self
    }

    /// The same with a policy for keys in descriptions.
    pub fn with_sdes(mut self, sdes: Sdes) -> LegSession {
        self.set_sdes(sdes);
        self
    }

    /// Whether its own offers hold keys, and whether plain RTP will do. To be said before the first description.
    pub fn set_sdes(&mut self, sdes: Sdes) {
        self.sdes = sdes;
    }

    /// Takes the peer's offer, in an INVITE, re-INVITE or UPDATE. It is pending until [`Self::make_answer`] or
    /// [`Self::reject_offer`]; until then the plan is the old one. Returns what the other leg may be told.
    ///
    /// # Errors
    /// Nothing has changed. [`MediaError::Glare`] when an offer of the node is pending.
    pub fn receive_offer(&mut self, _now: Time, sdp: &[u8]) -> Result<Description, MediaError> {
        if matches!(self.pending, Some(Pending::Sent(_))) {
            return Err(MediaError::Glare);
        }
        let remote = Remote::of_offer(&Sdp::parse(sdp)?, self.kind)?;
        negotiation::admit_crypto(self.sdes, &remote)?;
        let description = remote.description.clone();
        self.pending = Some(Pending::Received(remote));
        Ok(description)
    }

    /// The answer to the peer's offer, with what the other leg's peer said cut to what was offered. May be asked for again, for
    /// the 200 after a 183.
    ///
    /// # Errors
    /// [`MediaError::NoCommonFormat`]; the offer stays pending then.
    pub fn make_answer(&mut self, now: Time, from_other_leg: &Description) -> Result<Vec<u8>, MediaError> {
        let remote = match (&self.pending, &self.agreed) {
            (Some(Pending::Received(remote)), _) => remote.clone(),
            (None, Some(agreed)) if agreed.peer_offered => agreed.remote.clone(),
            _ => return Err(MediaError::OutOfOrder { wanted: "answer", needed: "an offer of the peer" }),
        };
        let role = remote.webrtc.as_ref().map(|webrtc| {
            let before = self.transport.as_deref().filter(|t| t.peer_fingerprints() == webrtc.fingerprints);
            negotiation::answer_setup(webrtc.setup, before.map(WebrtcTransport::is_client))
        });
        let role = role.transpose()?;
        let mut local = negotiation::answer(&remote, from_other_leg, role.map(|(setup, _)| setup))?;
        local.crypto = negotiation::answer_crypto(&remote, self.agreed.as_ref(), &mut self.reserve);
        self.renew_credentials(remote.webrtc.as_ref());
        let body = self.write(&local, remote.webrtc.as_ref())?;
        self.commit(now, Agreed { local, remote, peer_offered: true }, role.is_some_and(|(_, client)| client))?;
        Ok(body)
    }

    /// An offer to the peer that tells what the other leg's peer said. Replaces an unanswered one. The session id of `o=` stays, and
    /// the version grows when something changed (RFC 3264 8).
    ///
    /// # Errors
    /// [`MediaError::NoCommonFormat`] when there is nothing to offer, [`MediaError::OutOfOrder`] when the peer's offer is pending.
    pub fn make_offer(&mut self, _now: Time, from_other_leg: &Description) -> Result<Vec<u8>, MediaError> {
        if matches!(self.pending, Some(Pending::Received(_))) {
            return Err(MediaError::OutOfOrder { wanted: "offer", needed: "the answer to the peer's offer" });
        }
        let before = self.agreed.as_ref().map(|agreed| &agreed.local);
        // Many phones take rtcp-mux for an error; it is offered only where there is no other way for RTCP.
        let mut local = negotiation::offer(self.kind, from_other_leg, before, self.address.rtcp.is_none(), self.sdes)?;
        if self.kind == LegKind::Rtp {
            local.crypto = negotiation::offer_crypto(self.sdes, self.agreed.as_ref(), &mut self.reserve);
        }
        let body = self.write(&local, None)?;
        self.pending = Some(Pending::Sent(local));
        Ok(body)
    }

    /// Offers again what was agreed: a refresh. The version of `o=` stays where the peer was told just that (RFC 4028 7.4).
    ///
    /// # Errors
    /// [`MediaError::OutOfOrder`] when nothing is agreed yet, or the peer's offer is pending.
    pub fn repeat_offer(&mut self) -> Result<Vec<u8>, MediaError> {
        if matches!(self.pending, Some(Pending::Received(_))) {
            return Err(MediaError::OutOfOrder { wanted: "offer", needed: "the answer to the peer's offer" });
        }
        let agreed = self.agreed.as_ref().ok_or(MediaError::OutOfOrder { wanted: "repeated offer", needed: "an agreement" })?;
        let mut local = agreed.local.clone();
        local.setup = local.setup.map(|_| Setup::Actpass);
        let body = self.write(&local, None)?;
        self.pending = Some(Pending::Sent(local));
        Ok(body)
    }

    /// Takes the peer's answer. A further answer to the same offer (a 200 after a 183, another fork) replaces the first.
    ///
    /// # Errors
    /// The offer stays pending, so that another answer may come.
    pub fn receive_answer(&mut self, now: Time, sdp: &[u8]) -> Result<Description, MediaError> {
        let local = match (&self.pending, &self.agreed) {
            (Some(Pending::Sent(local)), _) => local.clone(),
            (None, Some(agreed)) if !agreed.peer_offered => agreed.local.clone(),
            _ => return Err(MediaError::OutOfOrder { wanted: "the peer's answer", needed: "an offer" }),
        };
        let remote = Remote::of_answer(&Sdp::parse(sdp)?, self.kind, &local.lines, local.audio)?;
        let remote = negotiation::admit_answer(remote, &local)?;
        negotiation::admit_crypto(self.sdes, &remote)?;
        let client = remote.webrtc.as_ref().map(|webrtc| negotiation::role_by_answer(webrtc.setup)).transpose()?;
        let description = remote.description.clone();
        self.commit(now, Agreed { local, remote, peer_offered: false }, client.unwrap_or(false))?;
        Ok(description)
    }

    /// Forgets an unanswered offer of either side; what was agreed before holds.
    pub fn reject_offer(&mut self) {
        self.pending = None;
    }

    /// A plain RTP leg gets another port. The peer hears of it by the next offer or answer.
    pub fn move_to(&mut self, port: PortId, address: MediaAddress) {
        (self.port, self.address) = (port, address);
        (self.latched, self.live) = (Latched::default(), true);
    }

    /// Takes a STUN or DTLS datagram from the relay.
    pub fn handle_datagram(&mut self, now: Time, from: SocketAddr, datagram: &[u8]) {
        if let Some(transport) = &mut self.transport {
            transport.handle_datagram(now, from, datagram);
        }
    }

    /// The relay locked on a source of a plain RTP peer.
    pub fn latched(&mut self, component: Component, source: SocketAddr) {
        if self.kind != LegKind::Rtp {
            return;
        }
        match component {
            Component::Rtp if self.latched.rtp.replace(source).is_none() => {
                self.outputs.push_back(LegOutput::Ready { how: self.describe().to_owned() });
            }
            Component::Rtp => {}
            Component::Rtcp => self.latched.rtcp = Some(source),
        }
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Time) {
        if let Some(transport) = &mut self.transport {
            transport.handle_timeout(now);
        }
    }

    /// When [`Self::handle_timeout`] is due; [`Time::NEVER`] for a plain RTP leg, [`Time::ZERO`] (at once) after a restart.
    pub fn next_timeout(&self) -> Time {
        self.transport.as_deref().map_or(Time::NEVER, WebrtcTransport::next_timeout)
    }

    /// The next output.
    pub fn poll_output(&mut self) -> Option<LegOutput> {
        self.outputs.pop_front().or_else(|| self.transport.as_mut()?.poll_output())
    }

    /// What the relay does with this leg's packets when accepted ones go to `to`.
    pub fn plan(&self, to: Destination) -> FlowPlan {
        let Some(agreed) = &self.agreed else { return closed(DiscardReason::NotConnected) };
        let destination = if agreed.peer_may_send() { to } else { Destination::Discard(DiscardReason::OnHold) };
        match self.kind {
            LegKind::Rtp => self.rtp_plan(agreed, destination),
            LegKind::Webrtc => self.webrtc_plan(agreed, destination),
        }
    }

    fn rtp_plan(&self, agreed: &Agreed, destination: Destination) -> FlowPlan {
        let remote = &agreed.remote;
        // A restarted relay has lost its latches; the one that was reported is as good as proved.
        let latch = match self.latched.rtp.filter(|_| !self.live) {
            Some(source) => Latch::Exact(source),
            None => Latch::Symmetric { expected: remote.rtp, grace_ms: LATCH_GRACE_MS },
        };
        let rtcp_mux = agreed.rtcp_mux();
        let rtcp = self.latched.rtcp.filter(|_| !self.live).or(remote.rtcp).filter(|_| !rtcp_mux);
        let (ours, theirs) = agreed.keys().map(|(ours, theirs)| (ours.clone(), theirs.clone())).unzip();
        FlowPlan {
            receive: Receive { latch, srtp: theirs },
            destination,
            transmit: Transmit { rtp: remote.rtp, rtcp, rtcp_mux, srtp: ours, muted: !agreed.node_may_send() },
        }
    }

    fn webrtc_plan(&self, agreed: &Agreed, destination: Destination) -> FlowPlan {
        let Some((peer, keys)) = self.transport.as_deref().and_then(WebrtcTransport::ready) else {
            return closed(DiscardReason::NotReady);
        };
        let (ours, theirs) = (Some(keys.ours.clone()), Some(keys.theirs.clone()));
        FlowPlan {
            receive: Receive { latch: Latch::Exact(peer), srtp: theirs },
            destination,
            transmit: Transmit { rtp: Some(peer), rtcp: None, rtcp_mux: true, srtp: ours, muted: !agreed.node_may_send() },
        }
    }

    /// How media is carried: `rtp`, `sdes-srtp aes-cm-128-80` or the like, `dtls-srtp` before and `dtls-srtp aes-cm-128-80` or the like after the handshake.
    pub fn describe(&self) -> &'static str {
        match self.kind {
            LegKind::Rtp => self.agreed.as_ref().and_then(Agreed::keys).map_or("rtp", |(ours, _)| sdes::how(ours.profile)),
            LegKind::Webrtc => self.transport.as_deref().map_or("dtls-srtp", WebrtcTransport::how),
        }
    }

    /// Whether media is protected by keys, whose roll-over counters and replay windows the relay holds.
    pub fn is_protected(&self) -> bool {
        self.kind == LegKind::Webrtc || self.agreed.as_ref().is_some_and(|agreed| agreed.keys().is_some())
    }

    /// The leg's kind.
    pub fn kind(&self) -> LegKind {
        self.kind
    }

    /// The leg's port.
    pub fn port(&self) -> PortId {
        self.port
    }

    /// The leg's addresses.
    pub fn address(&self) -> MediaAddress {
        self.address
    }

    /// What both sides agreed on last, as the other leg may be told; `None` before the first answer.
    pub fn description(&self) -> Option<&Description> {
        self.agreed.as_ref().map(|agreed| &agreed.remote.description)
    }

    /// The direction that the node told last in what was agreed.
    pub fn local_direction(&self) -> Option<Direction> {
        self.agreed.as_ref().map(|agreed| agreed.local.description.direction)
    }

    /// The direction that the peer told last in what was agreed.
    pub fn remote_direction(&self) -> Option<Direction> {
        self.agreed.as_ref().map(|agreed| agreed.remote.description.direction)
    }

    /// The peer takes no media: it holds the call.
    pub fn on_hold(&self) -> bool {
        self.remote_direction().is_some_and(|direction| !direction.receives())
    }

    /// New credentials when the peer's differ from those it told before: it restarts ICE, and so must the node (RFC 8839 4.4.3.1.1).
    fn renew_credentials(&mut self, webrtc: Option<&RemoteWebrtc>) {
        let (Some(webrtc), Some(transport)) = (webrtc, &self.transport) else { return };
        if transport.peer_credentials() != &webrtc.credentials {
            self.ice = IceCredentials::generate(&mut self.reserve);
        }
    }

    /// Writes a body, with a new version of `o=` when anything else in it differs from the last one.
    fn write(&mut self, local: &Local, peer: Option<&RemoteWebrtc>) -> Result<Vec<u8>, MediaError> {
        let fingerprint = match self.kind {
            LegKind::Rtp => None,
            LegKind::Webrtc => Some(self.fingerprint(peer)?),
        };
        let hop = |version| Hop {
            session_id: self.origin.id,
            version,
            address: self.address,
            track: &self.track,
            webrtc: fingerprint.as_ref().map(|fingerprint| (&self.ice, fingerprint)),
        };
        let same = compose(local, &hop(self.origin.version));
        match &self.origin.told {
            Some(told) if *told != same => {
                let body = compose(local, &hop(self.origin.version + 1));
                self.origin.version += 1;
                self.origin.told = Some(body.clone());
                Ok(body)
            }
            _ => {
                self.origin.told = Some(same.clone());
                Ok(same)
            }
        }
    }

    /// The fingerprint of the association that goes on, else the one of the identity with which the next is opened.
    fn fingerprint(&self, peer: Option<&RemoteWebrtc>) -> Result<Fingerprint, MediaError> {
        let goes_on = |transport: &&WebrtcTransport| peer.is_none_or(|peer| peer.fingerprints == transport.peer_fingerprints());
        match self.transport.as_deref().filter(goes_on) {
            Some(transport) => Ok(transport.fingerprint().clone()),
            None => Ok(self.identity()?.fingerprint().clone()),
        }
    }

    fn identity(&self) -> Result<Arc<DtlsIdentity>, MediaError> {
        let missing = MediaError::OutOfOrder { wanted: "a browser's leg", needed: "a DTLS certificate" };
        self.identity.clone().or_else(DtlsIdentity::of_process).ok_or(missing)
    }

    /// Makes an answered offer the state of the leg.
    fn commit(&mut self, now: Time, mut agreed: Agreed, client: bool) -> Result<(), MediaError> {
        let before = self.plan(Destination::Port(self.port));
        match &agreed.remote.webrtc {
            Some(webrtc) => self.commit_webrtc(now, &webrtc.clone(), client)?,
            None => self.commit_rtp(&mut agreed),
        }
        (self.agreed, self.pending) = (Some(agreed), None);
        if self.plan(Destination::Port(self.port)) != before {
            self.outputs.push_back(LegOutput::PlanChanged);
        }
        Ok(())
    }

    fn commit_rtp(&mut self, agreed: &mut Agreed) {
        let old = self.agreed.as_ref().map(|old| (old.remote.rtp, old.remote.rtcp));
        let new = &mut agreed.remote;
        if let (None, false, Some((rtp, rtcp))) = (new.rtp, new.description.direction.receives(), old) {
            // Held with 0.0.0.0: the peer has not moved, and will say the same address when it comes back.
            (new.rtp, new.rtcp) = (rtp, rtcp);
        }
        if old.is_some_and(|old| old != (new.rtp, new.rtcp)) {
            self.latched = Latched::default();
        }
    }

    fn commit_webrtc(&mut self, now: Time, webrtc: &RemoteWebrtc, client: bool) -> Result<(), MediaError> {
        let terms = Terms {
            local: SocketAddr::new(self.address.advertised, self.address.rtp.port()),
            ours: self.ice.clone(),
            theirs: webrtc.credentials.clone(),
            fingerprints: webrtc.fingerprints.clone(),
            client,
        };
        match &mut self.transport {
            Some(transport) => transport.renew(now, terms),
            None => self.transport = Some(Box::new(WebrtcTransport::new(now, terms, self.identity()?))),
        }
        Ok(())
    }
}

/// Nothing comes in and nothing goes out.
fn closed(reason: DiscardReason) -> FlowPlan {
    FlowPlan {
        receive: Receive { latch: Latch::Exact(NOBODY), srtp: None },
        destination: Destination::Discard(reason),
        transmit: Transmit { rtp: None, rtcp: None, rtcp_mux: false, srtp: None, muted: true },
    }
}

impl fmt::Debug for LegSession {
    /// Neither keys, credentials nor addresses: this ends up in logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LegSession({}, {}, agreed: {})", self.port, self.describe(), self.agreed.is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A leg is made on one thread and owned by another.
    #[test]
    fn legs_can_be_handed_to_another_thread() {
        fn is_send<T: Send>() {}
        is_send::<LegSession>();
    }
}
