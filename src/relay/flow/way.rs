//! A flow of which nothing but addresses changes: what the kernel is told of it, and what it tells.

use super::{Active, Flow, Media, Target, target};
use crate::latch::Standing;
use crate::path::Slot;
use ringfort_base::limits::STRAYS_PROVED_PER_SECOND_MAX;
use ringfort_base::{PortId, Time};
use ringfort_media::plan::{Component, Destination, FlowPlan, Receive, Transmit};
use ringfort_media::quality::Progress;
use ringfort_media::srtp::KeyMark;
use ringfort_media::tier::{Obstacle, Tier};
use std::net::SocketAddr;
use std::time::Duration;

/// For so long what the kernel has said of a stream is not asked again, where its packets come from whom they should.
const SETTLED: Duration = Duration::from_millis(1);

/// What the kernel carried of a flow since the last time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Carried {
    pub(crate) packets: u64,
    pub(crate) octets: u64,
    /// Of the packets, so many before the kernel made more of them than a frame.
    pub(crate) as_frames: u64,
}

/// The way of a flow that changes nothing but addresses, from the peer that sends to the peer that gets it.
pub(crate) struct Way {
    pub(crate) peer: SocketAddr,
    pub(crate) exit: Slot,
    pub(crate) to: SocketAddr,
    /// Payload types that carry speech, with their clocks.
    pub(crate) speech: Vec<(u8, u32)>,
    /// It is video, which has a mark of its own.
    pub(crate) is_video: bool,
    /// It is SRTP.
    pub(crate) seal: Option<Seal>,
}

/// A stream of SRTP that passes as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seal {
    /// The one stream that user space has proved.
    pub(crate) ssrc: u32,
    /// The index of its highest number so far (RFC 3711 3.3.1).
    pub(crate) index: u64,
}

/// From whom a port takes RTP, to which port that goes, the payload types that carry speech with their clocks, and where SRTP stands.
pub(crate) type UntouchedIn = (SocketAddr, PortId, Vec<(u8, u32)>, Option<KeyMark>);

impl Active {
    /// Where the flow of the peer's packets stands, if they are SRTP that user space need not see.
    fn seal(&self, progress: Progress) -> Option<Seal> {
        let ssrc = progress.ssrc?;
        let index = self.receiver.stands(ssrc)?;
        // The number that is counted from must be that of the index.
        (index as u16 == progress.highest as u16).then_some(Seal { ssrc, index })
    }
}

impl Flow {
    /// From whom the port takes RTP, and where that goes, if nothing is to be done with it here. Whoever gives the plan another part
    /// says here whether that needs user space.
    pub(crate) fn untouched_in(&self) -> Result<UntouchedIn, Obstacle> {
        let active = self.active.as_ref().ok_or(Obstacle::Stopped)?;
        let FlowPlan { receive, destination, transmit: _, audio, copy, apart } = &*active.plan;
        let Receive {
            latch: _,
            srtp,
            speech,
            signals: _,
            video,
            udptl,
            fragment: _,
            control: _,
            opened: _,
            is_video: _,
            told: _,
        } = receive;
        if copy.is_some() {
            return Err(Obstacle::Recorded);
        }
        if *udptl || !video.is_empty() || apart.is_some() {
            return Err(Obstacle::NotSpeech);
        }
        // Plain telephone events come up from the kernel in any case, as all that is no speech.
        let carried = |payload: &u8| srtp.is_some() || speech.is_empty() || speech.iter().any(|(spoken, _)| spoken == payload);
        if audio.as_ref().is_some_and(|audio| audio.hear.payloads.iter().any(|(heard, _)| carried(heard))) {
            return Err(Obstacle::Service);
        }
        let to = match destination {
            Destination::Port(port) => *port,
            Destination::Echo { .. } => return Err(Obstacle::Service),
            Destination::Discard(_) => return Err(Obstacle::Stopped),
        };
        let peer = active.latch.source(Component::Rtp).ok_or(Obstacle::NotLatched)?;
        let under = active.receiver.mark();
        if srtp.is_some() && under.is_none() {
            return Err(Obstacle::Secure);
        }
        Ok((peer, to, speech.clone(), under))
    }

    /// Where the peer's SRTP stands. `None`: not for sure.
    pub(crate) fn seal(&self) -> Option<Seal> {
        self.active.as_ref()?.seal(self.reception.progress())
    }

    /// Where the port sends RTP that comes under these keys (`None`: in plain), if nothing is to be done with it here.
    pub(crate) fn untouched_out(&self, under: Option<KeyMark>) -> Result<SocketAddr, Obstacle> {
        let active = self.active.as_ref().ok_or(Obstacle::Stopped)?;
        let Transmit { rtp: _, rtcp: _, rtcp_mux: _, srtp, lent: _, muted } = &active.plan.transmit;
        let touched = srtp.is_some() && active.lent.now().is_none() || active.lent.now() != under;
        match (muted, touched) {
            (true, _) => Err(Obstacle::Stopped),
            _ if self.voice.as_ref().is_some_and(|voice| voice.interrupts()) => Err(Obstacle::Service),
            (_, true) => Err(Obstacle::Secure),
            _ => match target(&active.plan.transmit, &active.latch, self.has_rtcp_socket, Media::Rtp) {
                Target::At(_, to) => Ok(to),
                Target::NotTaken | Target::Unknown => Err(Obstacle::NotLatched),
            },
        }
    }

    /// Whether a datagram from there on this socket is worth asking the kernel how far it has carried the port's stream: it is the peer's, or may
    /// prove to be. Then how old an earlier answer may be: who is to prove something may not use what was carried since.
    pub(crate) fn minds(&self, now: Time, component: Component, from: SocketAddr) -> Option<Duration> {
        let active = self.active.as_ref()?;
        match active.latch.judge(now, component, from) {
            Standing::Stray => {
                let may = active.may_prove(now, component, from) && self.strays.has(now, STRAYS_PROVED_PER_SECOND_MAX);
                may.then_some(Duration::ZERO)
            }
            Standing::Known | Standing::Candidate | Standing::Moved => Some(SETTLED),
        }
    }

    /// The kernel carried a stream of SRTP on up to this index.
    pub(crate) fn carried_on(&mut self, ssrc: u32, index: u64) {
        if let Some(receiver) = self.active.as_mut().and_then(|active| active.receiver.context()) {
            receiver.carried_on(ssrc, index);
        }
    }

    /// The locked source has sent, though nothing came here.
    pub(crate) fn heard_elsewhere(&mut self, now: Time) {
        if let Some(active) = &mut self.active {
            active.latch.heard(now, Component::Rtp);
        }
    }

    /// Where the stream that comes stands, if it is SRTP.
    pub(crate) fn stands(&self) -> Option<(u32, u64)> {
        let ssrc = self.reception.source()?;
        let index = self.active.as_ref()?.receiver.stands(ssrc)?;
        Some((ssrc, index))
    }

    /// Where the count of what the peer sends stands.
    pub(crate) fn progress(&self) -> Progress {
        self.reception.progress()
    }

    /// The kernel took packets meanwhile, and its count stands at `progress`.
    pub(crate) fn took(&mut self, Carried { packets, octets, as_frames }: Carried, progress: Progress) {
        self.counters.rtp_in += packets;
        self.counters.rtp_in_octets += octets;
        self.counters.rtp_as_frames += as_frames;
        self.reception.resume(progress);
    }

    pub(crate) fn set_tier(&mut self, tier: Tier) {
        if let (true, Some(active)) = (tier.is_kernel(), &mut self.active) {
            // It takes over where packets come from the locked source, and tells nobody when they cease.
            active.latch.confirm();
        }
        self.counters.tier = tier;
    }

    pub(crate) fn tier(&self) -> Tier {
        self.counters.tier
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ringfort_media::plan::{DiscardReason, Latch, SrtpKeys, SrtpProfile};

    const PEER: &str = "192.0.2.1:4000";

    fn flow(told: bool) -> Flow {
        let keys = SrtpKeys { profile: SrtpProfile::Aes128CmSha1_80, key: vec![1; 16], salt: vec![2; 14] };
        let receive = Receive { srtp: Some(keys), told, ..Receive::of(Latch::Exact(PEER.parse().unwrap())) };
        let transmit = Transmit { rtp: None, rtcp: None, rtcp_mux: true, srtp: None, lent: false, muted: true };
        let destination = Destination::Discard(DiscardReason::NotConnected);
        let mut flow = Flow::new(PortId(1), false);
        flow.plan(Time::ZERO, Box::new(FlowPlan { receive, destination, transmit, audio: None, copy: None, apart: None }));
        flow
    }

    /// Whoever floods a port that is down makes no system calls of it.
    #[test]
    fn strangers_are_not_worth_asking_the_kernel() {
        let (peer, stranger): (SocketAddr, SocketAddr) = (PEER.parse().unwrap(), "203.0.113.66:6".parse().unwrap());
        let minds = |flow: &Flow, ms, from| flow.minds(Time::from_millis(ms), Component::Rtp, from);
        let mut of_peer = flow(false);
        assert_eq!((minds(&of_peer, 500, peer), minds(&of_peer, 500, stranger)), (Some(SETTLED), None));
        assert_eq!(minds(&of_peer, 2_000, stranger), Some(Duration::ZERO), "it may be the peer, who has moved");
        for _ in 0..STRAYS_PROVED_PER_SECOND_MAX {
            let mut forged = [0x80; 64];
            assert!(of_peer.accept(Time::from_millis(2_000), Component::Rtp, Media::Rtp, stranger, &mut forged, 64).is_none());
        }
        assert_eq!((minds(&of_peer, 2_001, stranger), minds(&of_peer, 2_001, peer)), (None, Some(SETTLED)));
        assert_eq!(minds(&flow(true), 2_000, stranger), None, "its keys would prove nothing");
    }
}
