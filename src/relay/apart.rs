//! Video of a bundle that leaves the node by another port than the audio, and comes back by it: what the plan's
//! [`ApartPlan`](ringfort_media::plan::ApartPlan) says, done for each packet.

use crate::flow::{Exit, Flow, Media};
use crate::path::{Departure, Flows, Slot};
use ringfort_base::limits::{MEDIA_DATAGRAM_MAX, SRTP_TRAILER_MAX};
use ringfort_base::{PortId, Time};
use ringfort_media::bundle::{Part, Streams, part};
use ringfort_media::plan::{ApartPlan, Destination};

/// Bit of the second octet that is no part of the payload type.
const MARKER: u8 = 0x80;

/// What a port with a bundle knows of its streams.
pub(crate) struct Apart {
    pub(crate) plan: Box<ApartPlan>,
    streams: Streams,
}

impl Apart {
    /// As the new plan says; what was seen so far is still so.
    pub(crate) fn renew(apart: &mut Option<Box<Apart>>, plan: Option<&ApartPlan>) {
        *apart = plan.map(|plan| {
            let streams = apart.take().map(|old| old.streams).unwrap_or_default();
            Box::new(Apart { plan: Box::new(plan.clone()), streams })
        });
    }
}

impl Flow {
    /// An RTP packet came in by this port. `Some`: it is video that goes this way, and has the number that it has there.
    pub(crate) fn apart(&mut self, video: bool, packet: &mut [u8]) -> Option<Destination> {
        let apart = self.apart.as_mut()?;
        apart.streams.saw(ssrc_of(packet)?, if video { Part::Video } else { Part::Audio });
        video.then(|| {
            renumber(&apart.plan.there, packet);
            apart.plan.to
        })
    }

    /// An RTP packet is to leave by this port, and came from that one.
    pub(crate) fn together(&mut self, from: PortId, packet: &mut [u8]) {
        let Some(apart) = self.apart.as_mut() else { return };
        let Some(ssrc) = ssrc_of(packet) else { return };
        let video = apart.plan.to == Destination::Port(from);
        apart.streams.saw(ssrc, if video { Part::Video } else { Part::Audio });
        if video {
            renumber(&apart.plan.back, packet);
        }
    }
}

fn ssrc_of(packet: &[u8]) -> Option<u32> {
    packet.get(8..)?.first_chunk::<4>().map(|octets| u32::from_be_bytes(*octets))
}

fn renumber(numbers: &[(u8, u8)], packet: &mut [u8]) {
    let Some(second) = packet.get_mut(1) else { return };
    if let Some((_, now)) = numbers.iter().find(|(before, _)| *before == *second & !MARKER) {
        *second = *second & MARKER | now & !MARKER;
    }
}

impl Flows {
    /// RTCP that came in by a port with a bundle: each line's part leaves by that line's port. With parts for both, the video's leaves as
    /// [`Flows::take_copy`] yields it.
    pub(crate) fn part_reports(&mut self, now: Time, from: Slot, buffer: &mut [u8], len: usize) -> Option<Departure> {
        let (mut audio, mut video) = ([0; MEDIA_DATAGRAM_MAX + SRTP_TRAILER_MAX], [0; MEDIA_DATAGRAM_MAX + SRTP_TRAILER_MAX]);
        let compound = buffer.get(..len)?;
        let apart = self.flow(from)?.apart.as_ref()?;
        let to = apart.plan.to;
        let cut = |of, out: &mut [u8]| part(&apart.streams, compound, of, out.get_mut(..MEDIA_DATAGRAM_MAX)?);
        let (audio_len, video_len) = (cut(Part::Audio, &mut audio), cut(Part::Video, &mut video));
        let pictures = video_len.and_then(|len| {
            let Destination::Port(port) = to else { return None };
            let slot = self.slot(port)?;
            self.depart_by(now, slot, &mut video, len)
        });
        let sound = audio_len.and_then(|len| {
            let (Destination::Port(port), _) = self.flow(from)?.destination()? else { return None };
            let slot = self.slot(port)?;
            self.depart_by(now, slot, &mut audio, len)
        });
        if pictures.is_none() && sound.is_none() {
            self.flow(from)?.discard();
        }
        let (leaving, octets) = match (sound, pictures) {
            (Some(sound), Some(pictures)) => {
                self.copied.hold(pictures, video.get(..pictures.len)?);
                (sound, &audio)
            }
            (Some(sound), None) => (sound, &audio),
            (None, pictures) => (pictures?, &video),
        };
        buffer.get_mut(..leaving.len)?.copy_from_slice(octets.get(..leaving.len)?);
        Some(leaving)
    }

    fn depart_by(&mut self, now: Time, slot: Slot, packet: &mut [u8], len: usize) -> Option<Departure> {
        let Exit { component, to, len } = self.flow(slot)?.depart(now, Media::Rtcp, packet, len)?;
        self.note(now, slot);
        Some(Departure { slot, component, media: Media::Rtcp, to, len })
    }
}
