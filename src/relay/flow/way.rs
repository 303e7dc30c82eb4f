//! A flow of which nothing but addresses changes: what the kernel is told of it, and what it tells.

use super::{Active, Flow, Media, Target, target};
use crate::path::Slot;
use ringfort_base::{PortId, Time};
use ringfort_media::plan::{Component, Destination, FlowPlan, Receive, Transmit};
use ringfort_media::quality::Progress;
use ringfort_media::srtp::KeyMark;
use ringfort_media::tier::{Obstacle, Tier};
use std::net::SocketAddr;

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
        let Receive { latch: _, srtp, speech, signals: _, video, udptl, fragment: _, control: _, opened: _, is_video: _ } =
            receive;
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
        if let (Tier::Kernel, Some(active)) = (tier, &mut self.active) {
            // It takes over where packets come from the locked source, and tells nobody when they cease.
            active.latch.confirm();
        }
        self.counters.tier = tier;
    }

    pub(crate) fn tier(&self) -> Tier {
        self.counters.tier
    }
}
