//! What a leg agreed on, compiled to what the relay does with its packets.

use super::{LegKind, LegSession};
use crate::negotiation::Agreed;
use crate::plan::{Destination, DiscardReason, FlowPlan, Latch, Receive, Transmit};
use crate::sdes;
use crate::webrtc::DtlsTransport;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// How long the address in a peer's SDP is preferred over others before a port latches. Long enough for the first packets of a peer
/// that is where it says; short enough that one behind a NAT is not missed.
pub(super) const LATCH_GRACE_MS: u32 = 300;
/// The latch of a browser's port before a pair is nominated: nobody.
const NOBODY: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

impl LegSession {
    /// What the relay does with this leg's packets when accepted ones go to `to`.
    pub fn plan(&self, to: Destination) -> FlowPlan {
        let Some(agreed) = &self.agreed else { return closed(DiscardReason::NotConnected) };
        let destination = if agreed.flows().0 { to } else { Destination::Discard(DiscardReason::OnHold) };
        let mut plan = match agreed.remote.dtls.is_some() {
            _ if agreed.is_silent() => closed(DiscardReason::OnHold),
            true => self.dtls_plan(agreed, destination),
            false => self.rtp_plan(agreed, destination),
        };
        plan.receive.control = self.transport.is_some();
        plan
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
            receive: Receive {
                told: theirs.as_ref().is_some_and(|keys| self.shares(keys)),
                srtp: theirs,
                speech: agreed.speech(),
                signals: agreed.signals(),
                udptl: agreed.is_fax(),
                opened: self.opened,
                ..Receive::of(latch)
            },
            destination,
            transmit: Transmit { rtp: remote.rtp, rtcp, rtcp_mux, srtp: ours, lent: agreed.lent(), muted: !agreed.flows().1 },
            audio: None,
            copy: None,
            apart: None,
        }
    }

    fn dtls_plan(&self, agreed: &Agreed, destination: Destination) -> FlowPlan {
        let Some((peer, keys)) = self.transport.as_deref().and_then(DtlsTransport::ready) else {
            let mut plan = closed(DiscardReason::NotReady);
            plan.receive.fragment = self.fragment();
            return plan;
        };
        let (ours, theirs) = (Some(keys.ours.clone()), Some(keys.theirs.clone()));
        FlowPlan {
            receive: Receive {
                srtp: theirs,
                speech: agreed.speech(),
                signals: agreed.signals(),
                video: agreed.video(),
                fragment: self.fragment(),
                ..Receive::of(Latch::Exact(peer))
            },
            destination,
            transmit: Transmit {
                rtp: Some(peer),
                rtcp: None,
                rtcp_mux: agreed.rtcp_mux(),
                srtp: ours,
                lent: false,
                muted: !agreed.flows().1,
            },
            audio: None,
            copy: None,
            apart: None,
        }
    }

    /// What the peer's checks are named by.
    fn fragment(&self) -> Option<String> {
        self.transport.as_deref()?.fragment().map(str::to_owned)
    }

    /// How media is carried: `rtp`, `udptl` for a fax, `sdes-srtp aes-cm-128-80` or the like, `dtls-srtp` before and `dtls-srtp aes-cm-128-80` or the like after the handshake.
    pub fn describe(&self) -> &'static str {
        match (&self.transport, self.kind) {
            _ if self.is_fax() => "udptl",
            (Some(transport), _) => transport.how(),
            (None, LegKind::Webrtc) => "dtls-srtp",
            (None, LegKind::Rtp) => {
                self.agreed.as_ref().and_then(Agreed::keys).map_or("rtp", |(ours, _)| sdes::how(ours.profile))
            }
        }
    }

    /// Whether media is protected by keys, whose roll-over counters and replay windows the relay holds.
    pub fn is_protected(&self) -> bool {
        self.kind == LegKind::Webrtc
            || self.transport.is_some()
            || self.agreed.as_ref().is_some_and(|agreed| agreed.keys().or(agreed.video_keys()).is_some())
    }
}

/// Nothing comes in and nothing goes out.
pub(super) fn closed(reason: DiscardReason) -> FlowPlan {
    FlowPlan {
        receive: Receive::of(Latch::Exact(NOBODY)),
        destination: Destination::Discard(reason),
        transmit: Transmit { rtp: None, rtcp: None, rtcp_mux: false, srtp: None, lent: false, muted: true },
        audio: None,
        copy: None,
        apart: None,
    }
}
