//! One leg of one call: its offer/answer state (RFC 3264) and its media transport, compiled to a [`FlowPlan`].
//!
//! Read `negotiation.rs` for the rules, `remote.rs` for what is read from a peer, `compose.rs` for what is told to it, `webrtc/` for
//! the transport of browsers.

mod aside;
mod compile;
mod settle;

use crate::consent::RecordState;
use crate::description::{Description, Format};
use crate::digits::{Digits, DigitsWay};
use crate::error::{MediaCause, MediaError};
use crate::lending::{KnownBy, Lent};
use crate::negotiation::{self, Agreed, Pending, Policy};
use crate::plan::Component;
use crate::remote::{Remote, carries, is_browsers};
use crate::reserve::Reserve;
use crate::sdp::{Direction, Sdp, Setup};
use crate::security::Security;
use crate::webrtc::{DtlsIdentity, DtlsTransport, IceCredentials};
pub(crate) use aside::{Aside, Place};
use ringfort_base::{Entropy, PortId, Step, Time};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// How a leg's peer transports media.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LegKind {
    /// RTP/AVP, RTP/SAVP with keys in the description (RFC 4568), with symmetric latching, or DTLS-SRTP without ICE (RFC 5763); RTCP on
    /// its own port, or multiplexed when both sides say so.
    Rtp,
    /// A browser: ICE-lite, DTLS-SRTP, rtcp-mux, BUNDLE of one audio line.
    Webrtc,
}

/// Which kind of leg an offer asks for. Where it offers both, plain RTP and a browser's transport, the earlier line decides; an offer
/// without any usable audio line counts as plain RTP and is refused by [`LegSession::receive_offer`].
pub fn kind_of_offer(sdp: &Sdp) -> LegKind {
    let kind_of = |index| match is_browsers(sdp, index) {
        true => Some(LegKind::Webrtc),
        false => [LegKind::Rtp, LegKind::Webrtc].into_iter().find(|&kind| carries(kind, sdp, index)),
    };
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
#[derive(Clone, Debug, PartialEq)]
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
    /// The transport came a step further, for the call's timeline.
    Step(Step),
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
    policy: Policy,
    agreed: Option<Agreed>,
    pending: Option<Pending>,
    transport: Option<Box<DtlsTransport>>,
    latched: Latched,
    /// How often the peer's offers may have told that it moved.
    #[serde(default)]
    opened: u32,
    /// The peer shows that it takes digits by SIP INFO.
    #[serde(default)]
    takes_info: bool,
    /// A second port, for video of a phone or a fax beside its audio.
    #[serde(default)]
    aside: Option<Aside>,
    /// Whether the node records the call, where the peer is to know.
    #[serde(default)]
    recorded: Option<RecordState>,
    /// Built in this process: the relay holds the latches itself.
    #[serde(skip)]
    live: bool,
    /// Who knows the keys of this leg's peer.
    #[serde(default)]
    pub(crate) known_by: KnownBy,
    /// Keys that the next offer or answer may tell the peer as the node's own.
    #[serde(skip)]
    pub(crate) borrowed: Lent,
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
            policy: Policy::default(),
            agreed: None,
            pending: None,
            transport: None,
            latched: Latched::default(),
            opened: 0,
            takes_info: false,
            aside: None,
            recorded: None,
            live: true,
            known_by: KnownBy::default(),
            borrowed: Lent::default(),
            identity: None,
            outputs: VecDeque::new(),
        }
    }

    /// The same with another identity than the process's.
    pub fn with_identity(mut self, identity: Arc<DtlsIdentity>) -> LegSession {
        self.identity = Some(identity);
        self
    }

    /// The same with a policy for SRTP.
    pub fn with_security(mut self, security: impl Into<Security>) -> LegSession {
        self.policy.security = security.into();
        self
    }

    /// The same with another policy.
    pub fn with_policy(mut self, policy: Policy) -> LegSession {
        self.set_policy(policy);
        self
    }

    /// What the node does with this peer, by configuration. To be said before the first description.
    pub fn set_policy(&mut self, policy: Policy) {
        self.policy = policy;
    }

    /// What the node does with this peer.
    pub fn policy(&self) -> &Policy {
        &self.policy
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
        let mut remote = Remote::of_offer(&Sdp::parse(sdp)?, self.kind)?;
        if remote.description.is_fax() {
            negotiation::admit_fax(&self.policy.security, self.is_protected())?;
        }
        for crypto in [&mut remote.crypto, &mut remote.video_crypto] {
            crypto.retain(|crypto| self.policy.security.suites.take(crypto.keys.profile));
        }
        self.turn_digits(&mut remote, true);
        negotiation::admit_security(&self.policy.security, &remote)?;
        negotiation::admit_video(&self.policy.security, &mut remote);
        negotiation::admit_image(&self.policy.security, self.is_protected(), &mut remote);
        let description = remote.description.clone();
        self.pending = Some(Pending::Received(Box::new(remote)));
        Ok(description)
    }

    /// The answer to the peer's offer, with what the other leg's peer said cut to what was offered. May be asked for again, for
    /// the 200 after a 183.
    ///
    /// # Errors
    /// [`MediaError::NoCommonFormat`]; the offer stays pending then.
    pub fn make_answer(&mut self, now: Time, from_other_leg: &Description) -> Result<Vec<u8>, MediaError> {
        let lent = std::mem::take(&mut self.borrowed);
        let (remote, again) = match (&self.pending, &self.agreed) {
            (Some(Pending::Received(remote)), _) => ((**remote).clone(), None),
            (None, Some(agreed)) if agreed.peer_offered => (agreed.remote.clone(), Some(agreed.local.crypto.clone())),
            _ => return Err(MediaError::OutOfOrder { wanted: "answer", needed: "an offer of the peer" }),
        };
        let role = remote.dtls.as_ref().map(|dtls| {
            let before = self.transport.as_deref().filter(|t| t.is_with(&dtls.fingerprints, dtls.tls_id.as_deref()));
            negotiation::answer_setup(dtls.setup, before.map(DtlsTransport::is_client))
        });
        let role = role.transpose()?;
        let role_told = role.map(|(setup, _)| setup);
        let mut local = negotiation::answer(&remote, from_other_leg, role_told, &self.policy, self.aside.is_some())?;
        // An answer that was given stays, unless other keys are lent.
        local.crypto = match again.filter(|_| lent.is_nothing()) {
            Some(crypto) => crypto,
            None => negotiation::answer_crypto(&remote, self.agreed.as_ref(), &lent, &mut self.reserve),
        };
        if local.video.is_some() {
            local.video_crypto = negotiation::answer_video_crypto(&remote, self.agreed.as_ref(), &mut self.reserve);
        }
        self.renew_credentials(remote.dtls.as_ref());
        let body = self.write(&local, remote.dtls.as_ref())?;
        self.commit(now, Agreed { local, remote, peer_offered: true }, role.is_some_and(|(_, client)| client))?;
        Ok(body)
    }

    /// An offer to the peer that tells what the other leg's peer said. Replaces an unanswered one. The session id of `o=` stays, and
    /// the version grows when something changed (RFC 3264 8).
    ///
    /// # Errors
    /// [`MediaError::NoCommonFormat`] when there is nothing to offer, [`MediaError::OutOfOrder`] when the peer's offer is pending.
    pub fn make_offer(&mut self, _now: Time, from_other_leg: &Description) -> Result<Vec<u8>, MediaError> {
        let lent = std::mem::take(&mut self.borrowed);
        if matches!(self.pending, Some(Pending::Received(_))) {
            return Err(MediaError::OutOfOrder { wanted: "offer", needed: "the answer to the peer's offer" });
        }
        let before = self.agreed.as_ref().map(|agreed| &agreed.local);
        // Many phones take rtcp-mux for an error; it is offered only where there is no other way for RTCP.
        let own = negotiation::Own { kind: self.kind, mux: self.address.rtcp.is_none(), aside: self.aside.is_some() };
        let mut local = negotiation::offer(own, from_other_leg, before, &self.policy)?;
        if self.kind == LegKind::Rtp && !local.description.is_fax() {
            local.crypto = negotiation::offer_crypto(&self.policy.security, self.agreed.as_ref(), &lent, &mut self.reserve);
            if local.video.is_some() {
                negotiation::offer_video_crypto(&mut local, &self.policy.security, self.agreed.as_ref(), &mut self.reserve);
            }
        }
        let body = self.write(&local, None)?;
        self.pending = Some(Pending::Sent(Box::new(local)));
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
        // What the peer refused is not asked for again.
        local.video = local.video.filter(|_| agreed.remote.video.is_some());
        local.image = local.image.filter(|_| agreed.has_image());
        let body = self.write(&local, None)?;
        self.pending = Some(Pending::Sent(Box::new(local)));
        Ok(body)
    }

    /// Takes the peer's answer. A further answer to the same offer (a 200 after a 183, another fork) replaces the first.
    ///
    /// # Errors
    /// The offer stays pending, so that another answer may come.
    pub fn receive_answer(&mut self, now: Time, sdp: &[u8]) -> Result<Description, MediaError> {
        let mut local = match (&self.pending, &self.agreed) {
            (Some(Pending::Sent(local)), _) => (**local).clone(),
            (None, Some(agreed)) if !agreed.peer_offered => agreed.local.clone(),
            _ => return Err(MediaError::OutOfOrder { wanted: "the peer's answer", needed: "an offer" }),
        };
        let remote = Remote::of_answer(&Sdp::parse(sdp)?, self.kind, &local)?;
        let mut remote = negotiation::admit_answer(remote, &local)?;
        self.turn_digits(&mut remote, false);
        negotiation::admit_security(&self.policy.security, &remote)?;
        negotiation::admit_video(&self.policy.security, &mut remote);
        let client = remote.dtls.as_ref().map(|dtls| negotiation::role_by_answer(dtls.setup)).transpose()?;
        if remote.dtls.is_none() {
            // Plain RTP or keys in the description will do; the next offer does not ask for another way.
            local.setup = None;
        }
        let description = remote.description.clone();
        self.commit(now, Agreed { local, remote, peer_offered: false }, client.unwrap_or(false))?;
        Ok(description)
    }

    /// Digits that the peer tells in another way are events to the other leg.
    fn turn_digits(&self, remote: &mut Remote, offers: bool) {
        let described = &mut remote.description;
        self.policy.digits.fit(&mut described.formats);
        described.digits_turned = self.policy.digits != Digits::Auto || self.lacks_events(described, offers);
    }

    /// Whether a peer without telephone events can be told digits nevertheless, so that the other leg may have events. An offer without
    /// them, of a peer that does not name INFO, passes as it is: its tones reach the other side best where that has tones, too.
    fn lacks_events(&self, described: &Description, offers: bool) -> bool {
        let turned = self.agreed.as_ref().is_some_and(|agreed| agreed.remote.description.digits_turned);
        let speaks = described.formats.iter().any(|format| format.codec().is_some());
        let events = described.formats.iter().any(Format::is_events);
        let can = self.takes_info || (speaks && (turned || !offers));
        can && !events && described.has_speech() && self.turns_digits()
    }

    /// Whether the node may stand between this peer's digits and the other's, where no profile says so. Not where keys may be lent: under
    /// those nothing of the node's own is sent.
    fn turns_digits(&self) -> bool {
        self.policy.repertoire.transcodes() && !self.policy.security.pass
    }

    /// Whether the peer shows that it takes digits by SIP INFO: its Allow names it, or it told one so. To be said before its description
    /// is taken; a later change counts from the next plan on.
    pub fn set_takes_info(&mut self, takes: bool) {
        self.takes_info = takes;
    }

    /// How digits travel between the node and this peer.
    pub fn digits(&self) -> DigitsWay {
        match (self.policy.digits, &self.agreed) {
            (Digits::Info, _) => DigitsWay::Info,
            (Digits::InBand, _) => DigitsWay::Tones { heard: true },
            (Digits::Auto, Some(agreed)) if agreed.spoken().any(Format::is_events) => DigitsWay::Events,
            (Digits::Auto, Some(_)) if self.turns_digits() => match self.takes_info {
                true => DigitsWay::Info,
                false => DigitsWay::Tones { heard: false },
            },
            (Digits::Auto, _) => DigitsWay::Passing,
        }
    }

    /// Forgets an unanswered offer of either side; what was agreed before holds.
    pub fn reject_offer(&mut self) {
        self.pending = None;
    }

    /// The next offer begins ICE anew, by other credentials (RFC 8839 4.4.1.1.1). Not while an offer is pending.
    pub fn restart_ice(&mut self) {
        self.ice = IceCredentials::generate(&mut self.reserve);
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

    /// The relay locked on a source of a peer without ICE.
    pub fn latched(&mut self, component: Component, source: SocketAddr) {
        if self.kind != LegKind::Rtp {
            return;
        }
        if let Some(transport) = &mut self.transport {
            // With DTLS the source is where the certificate was proved, or where its keys were used since.
            if component == Component::Rtp {
                transport.moved(source);
            }
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
        self.transport.as_deref().map_or(Time::NEVER, DtlsTransport::next_timeout)
    }

    /// The next output.
    pub fn poll_output(&mut self) -> Option<LegOutput> {
        self.outputs.pop_front().or_else(|| self.transport.as_mut()?.poll_output())
    }

    pub(crate) fn agreed(&self) -> Option<&Agreed> {
        self.agreed.as_ref()
    }

    pub(crate) fn pending(&self) -> Option<&Pending> {
        self.pending.as_ref()
    }

    /// From now on this leg's peer is told keys of the node's own only, and its own are told to nobody.
    pub fn lend_no_more(&mut self) {
        self.policy.security.pass = false;
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

    /// What the media path lacks: why it failed, or what is not done yet. Plain RTP and keys in descriptions lack nothing.
    pub fn lacks(&self) -> Option<MediaCause> {
        self.transport.as_deref().and_then(DtlsTransport::lacks)
    }

    /// The media path failed for good.
    pub fn has_failed(&self) -> bool {
        self.transport.as_deref().is_some_and(DtlsTransport::has_failed)
    }

    /// Whence the peer's media comes, once known.
    pub fn source(&self) -> Option<SocketAddr> {
        self.transport.as_deref().and_then(DtlsTransport::ready).map(|(pair, _)| pair).or(self.latched.rtp)
    }

    /// Both sides agreed that the peer may send.
    pub fn peer_may_send(&self) -> bool {
        self.agreed.as_ref().is_some_and(Agreed::peer_may_send)
    }

    /// Both sides agreed that the node may send.
    pub fn node_may_send(&self) -> bool {
        self.agreed.as_ref().is_some_and(Agreed::node_may_send)
    }

    /// Encoding name of the codec that the peer is expected to send.
    pub fn codec(&self) -> Option<&str> {
        self.agreed.as_ref().and_then(Agreed::codec)
    }

    /// Video passes between this leg and its peer, on the transport of the audio.
    pub fn has_video(&self) -> bool {
        self.agreed.as_ref().is_some_and(|agreed| !agreed.video().is_empty())
    }

    /// A fax took the place of the audio, on its port or beside it.
    pub fn is_fax(&self) -> bool {
        self.agreed.as_ref().is_some_and(|agreed| agreed.is_fax() || agreed.is_silent())
    }

    /// The peer takes no media: it holds the call.
    pub fn on_hold(&self) -> bool {
        self.remote_direction().is_some_and(|direction| !direction.receives())
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
