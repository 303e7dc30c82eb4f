//! What an answered offer makes of a leg, and what the leg writes to its peer.

use super::{Latched, LegKind, LegOutput, LegSession};
use crate::compose::{Hop, Local, compose};
use crate::error::MediaError;
use crate::negotiation::Agreed;
use crate::plan::Destination;
use crate::remote::RemoteWebrtc;
use crate::sdp::Fingerprint;
use crate::webrtc::{DtlsIdentity, IceCredentials, Terms, WebrtcTransport};
use ringfort_base::Time;
use std::net::SocketAddr;
use std::sync::Arc;

impl LegSession {
    /// New credentials when the peer's differ from those it told before: it restarts ICE, and so must the node (RFC 8839 4.4.3.1.1).
    pub(super) fn renew_credentials(&mut self, webrtc: Option<&RemoteWebrtc>) {
        let (Some(webrtc), Some(transport)) = (webrtc, &self.transport) else { return };
        if transport.peer_credentials() != &webrtc.credentials {
            self.ice = IceCredentials::generate(&mut self.reserve);
        }
    }

    /// Writes a body, with a new version of `o=` when anything else in it differs from the last one.
    pub(super) fn write(&mut self, local: &Local, peer: Option<&RemoteWebrtc>) -> Result<Vec<u8>, MediaError> {
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
    pub(super) fn commit(&mut self, now: Time, mut agreed: Agreed, client: bool) -> Result<(), MediaError> {
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
