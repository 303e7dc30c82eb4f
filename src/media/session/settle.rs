//! What an answered offer makes of a leg, and what the leg writes to its peer.

use super::{Latched, LegKind, LegOutput, LegSession};
use crate::compose::{Hop, Local, compose};
use crate::consent::RecordState;
use crate::error::MediaError;
use crate::negotiation::{Agreed, Pending};
use crate::plan::{Destination, SrtpKeys};
use crate::remote::RemoteDtls;
use crate::sdp::Fingerprint;
use crate::webrtc::{DtlsIdentity, DtlsTransport, IceCredentials, IceTerms, Terms};
use ringfort_base::Time;
use std::net::SocketAddr;
use std::sync::Arc;

impl LegSession {
    /// New credentials when the peer's differ from those it told before: it restarts ICE, and so must the node (RFC 8839 4.4.3.1.1).
    pub(super) fn renew_credentials(&mut self, dtls: Option<&RemoteDtls>) {
        let (Some(dtls), Some(transport)) = (dtls, &self.transport) else { return };
        if transport.peer_credentials() != dtls.ice.as_ref() {
            self.ice = IceCredentials::generate(&mut self.reserve);
        }
    }

    /// Writes a body, with a new version of `o=` when anything else in it differs from the last one.
    pub(super) fn write(&mut self, local: &Local, peer: Option<&RemoteDtls>) -> Result<Vec<u8>, MediaError> {
        let told_of = |local: &Local| {
            let mut local = local.clone();
            local.description.record = self.recorded.or(local.description.record);
            local
        };
        let local = &told_of(local);
        let fingerprint = local.setup.map(|_| self.fingerprint(peer)).transpose()?;
        let hop = |version| Hop {
            session_id: self.origin.id,
            version,
            address: self.address,
            aside: self.aside().map(|(_, address)| address),
            track: &self.track,
            ice: (self.kind == LegKind::Webrtc).then_some(&self.ice),
            fingerprint: fingerprint.as_ref(),
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

    /// Whether the node records the call, as this leg's peer was told, or will be by the next description.
    pub fn recorded(&self) -> Option<RecordState> {
        self.recorded
    }

    /// From the next description on the peer is told whether the node records the call; what the other leg's peer says of its own
    /// recording is told as long as nothing was set here.
    pub fn set_recorded(&mut self, state: RecordState) {
        self.recorded = Some(state);
    }

    /// The fingerprint of the association that goes on, else the one of the identity with which the next is opened.
    fn fingerprint(&self, peer: Option<&RemoteDtls>) -> Result<Fingerprint, MediaError> {
        let with = |transport: &DtlsTransport, peer: &RemoteDtls| transport.is_with(&peer.fingerprints, peer.tls_id.as_deref());
        let goes_on = |transport: &&DtlsTransport| peer.is_none_or(|peer| with(transport, peer));
        match self.transport.as_deref().filter(goes_on) {
            Some(transport) => Ok(transport.fingerprint().clone()),
            None => Ok(self.identity()?.fingerprint().clone()),
        }
    }

    fn identity(&self) -> Result<Arc<DtlsIdentity>, MediaError> {
        let missing = MediaError::OutOfOrder { wanted: "DTLS", needed: "a DTLS certificate" };
        self.identity.clone().or_else(DtlsIdentity::of_process).ok_or(missing)
    }

    /// Makes an answered offer the state of the leg.
    pub(super) fn commit(&mut self, now: Time, mut agreed: Agreed, client: bool) -> Result<(), MediaError> {
        let before = (self.plan(Destination::Port(self.port)), self.aside_plan(None));
        if self.kind == LegKind::Rtp {
            self.commit_rtp(&mut agreed);
        }
        match &agreed.remote.dtls {
            Some(dtls) => self.commit_dtls(now, dtls, agreed.remote.rtp, client)?,
            None => self.transport = None,
        }
        let told_again = self.agreed.is_some() && matches!(self.pending, Some(Pending::Received(_)));
        let known = |keys: Option<(_, &SrtpKeys)>| keys.is_some_and(|(_, theirs)| !self.shares(theirs));
        let proves = self.transport.is_some() || known(agreed.keys().or(agreed.video_keys()));
        if told_again && agreed.peer_may_send() && !proves {
            self.opened = self.opened.wrapping_add(1);
        }
        (self.agreed, self.pending) = (Some(agreed), None);
        if (self.plan(Destination::Port(self.port)), self.aside_plan(None)) != before {
            self.outputs.push_back(LegOutput::PlanChanged);
        }
        Ok(())
    }

    fn commit_rtp(&mut self, agreed: &mut Agreed) {
        let place = self.agreed.as_ref().and_then(|old| old.remote.place);
        if let Some(aside) = self.aside.as_mut().filter(|_| place != agreed.remote.place) {
            aside.latched = Latched::default();
        }
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

    fn commit_dtls(
        &mut self,
        now: Time,
        dtls: &RemoteDtls,
        expected: Option<SocketAddr>,
        client: bool,
    ) -> Result<(), MediaError> {
        let ice = dtls.ice.as_ref().map(|theirs| IceTerms { ours: self.ice.clone(), theirs: theirs.clone() });
        let terms = Terms {
            local: SocketAddr::new(self.address.advertised, self.address.rtp.port()),
            ice,
            expected,
            tls_id: dtls.tls_id.clone(),
            fingerprints: dtls.fingerprints.clone(),
            client,
        };
        match &mut self.transport {
            Some(transport) => transport.renew(now, terms),
            None => self.transport = Some(Box::new(DtlsTransport::new(now, terms, self.identity()?))),
        }
        Ok(())
    }
}
