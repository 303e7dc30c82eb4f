//! A second port of a plain RTP leg, for video, since phones do not bundle, or for a fax beside the audio.

use super::compile::{LATCH_GRACE_MS, closed};
use super::{Latched, LegKind, LegSession, MediaAddress};
use crate::description::Description;
use crate::plan::{Component, Destination, DiscardReason, FlowPlan, Latch, PortPositions, Receive, Transmit};
use crate::video::Video;
use ringfort_base::PortId;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

/// A port beside the leg's own.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Aside {
    pub(crate) port: PortId,
    pub(crate) address: MediaAddress,
    pub(super) latched: Latched,
    /// Where its SRTP contexts stand, as the relay told last.
    #[serde(default)]
    positions: Option<Box<PortPositions>>,
}

/// Where a peer takes the video that it does not bundle.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Place {
    /// RTP; `None` for a host name and for `0.0.0.0`.
    pub rtp: Option<SocketAddr>,
    /// RTCP.
    pub rtcp: Option<SocketAddr>,
}

impl LegSession {
    /// Whether the leg needs a second port before it is told this, or answers it.
    pub fn wants_aside(&self, description: &Description) -> bool {
        let pictures = description.video.as_ref().is_some_and(Video::has_picture);
        // With DTLS it would need a handshake of its own.
        let bare = self.kind == LegKind::Rtp && self.transport.is_none() && self.aside.is_none();
        bare && !description.is_fax() && (pictures || description.fax.is_some())
    }

    /// Gives the leg its second port.
    pub fn set_aside(&mut self, port: PortId, address: MediaAddress) {
        self.aside = Some(Aside { port, address, latched: Latched::default(), positions: None });
    }

    /// The second port, and its addresses.
    pub fn aside(&self) -> Option<(PortId, MediaAddress)> {
        self.aside.as_ref().map(|aside| (aside.port, aside.address))
    }

    /// Takes the second port away where nothing was agreed on or is being asked for that needs it.
    pub fn take_idle_aside(&mut self) -> Option<(PortId, MediaAddress)> {
        let idle = self.pending.is_none() && !self.uses_aside();
        self.aside.take_if(|_| idle).map(|aside| (aside.port, aside.address))
    }

    /// Video or a fax passes between this leg and its peer by the second port.
    pub fn uses_aside(&self) -> bool {
        self.agreed.as_ref().is_some_and(|agreed| agreed.plain_videos().is_some() || agreed.has_image())
    }

    /// What the relay does with packets of the second port, when accepted ones go to that port. `None`: there is no second port.
    pub fn aside_plan(&self, to: Option<PortId>) -> Option<(PortId, FlowPlan)> {
        let aside = self.aside.as_ref()?;
        let plan = || {
            let agreed = self.agreed.as_ref()?;
            let udptl = agreed.has_image();
            let (local, remote) = agreed.plain_videos().unzip();
            if local.is_none() && !udptl {
                return None;
            }
            let place = agreed.remote.place.unwrap_or_default();
            let latch = match aside.latched.rtp.filter(|_| !self.live) {
                Some(source) => Latch::Exact(source),
                None => Latch::Symmetric { expected: place.rtp, grace_ms: LATCH_GRACE_MS },
            };
            let rtcp = aside.latched.rtcp.filter(|_| !self.live).or(place.rtcp);
            // A fax has no direction.
            let direction = |video: Option<&Video>| video.map(|video| video.direction).unwrap_or_default();
            let (ours, theirs) = (direction(local), direction(remote));
            let destination = match to.filter(|_| theirs.sends() && ours.receives()) {
                Some(to) => Destination::Port(to),
                None => Destination::Discard(DiscardReason::OnHold),
            };
            // What is measured of the pictures is not shown; what passes by the list may pass in the kernel.
            let formats = local.into_iter().flat_map(|video| &video.formats);
            let speech = formats.map(|format| (format.payload, format.clock_hz().unwrap_or(VIDEO_HZ))).collect();
            let (keys, their_keys) = agreed.video_keys().map(|(ours, theirs)| (ours.clone(), theirs.clone())).unzip();
            let muted = !(ours.sends() && theirs.receives());
            Some(FlowPlan {
                receive: Receive { srtp: their_keys, speech, udptl, opened: self.opened, is_video: !udptl, ..Receive::of(latch) },
                destination,
                transmit: Transmit { rtp: place.rtp, rtcp, rtcp_mux: false, srtp: keys, lent: false, muted },
                audio: None,
                copy: None,
                apart: None,
            })
        };
        Some((aside.port, plan().unwrap_or_else(|| closed(DiscardReason::NotConnected))))
    }

    /// The SRTP contexts of the second port have gone on.
    pub fn aside_positions(&mut self, positions: Box<PortPositions>) {
        if let Some(aside) = &mut self.aside {
            aside.positions = Some(positions);
        }
    }

    /// The second port and where its SRTP contexts stood last, if it has any.
    pub fn protected_aside(&self) -> Option<(PortId, Box<PortPositions>)> {
        self.agreed.as_ref()?.video_keys()?;
        self.aside.as_ref().map(|aside| (aside.port, aside.positions.clone().unwrap_or_default()))
    }

    /// The relay locked on a source of the second port.
    pub fn aside_latched(&mut self, component: Component, source: SocketAddr) {
        if let Some(aside) = &mut self.aside {
            match component {
                Component::Rtp => aside.latched.rtp = Some(source),
                Component::Rtcp => aside.latched.rtcp = Some(source),
            }
        }
    }
}

/// Clock of video whose format does not tell it (RFC 3551 5).
const VIDEO_HZ: u32 = 90_000;
