//! Video of a bundle that leaves the node by another port than the audio, and comes back by it: what the plan's
//! [`ApartPlan`](ringfort_media::plan::ApartPlan) says, done for each packet.

use crate::flow::{Exit, Flow, Media};
use crate::path::{Departure, Flows, Slot};
use crate::untouched::Origin;
use ringfort_base::limits::{MEDIA_DATAGRAM_MAX, PICTURE_PAUSE_MS, SRTP_TRAILER_MAX};
use ringfort_base::{PortId, Time};
use ringfort_media::bundle::{Part, Streams, ask_for_picture, asks_for_picture, part};
use ringfort_media::plan::{ApartPlan, Destination, RelayEvent};
use std::time::Duration;

/// Bit of the second octet that is no part of the payload type.
const MARKER: u8 = 0x80;
/// Source of who asks and shows nothing.
const BLIND: u32 = 1;

/// What a port with a bundle knows of its streams.
pub(crate) struct Apart {
    pub(crate) plan: Box<ApartPlan>,
    seen: Seen,
}

#[derive(Default)]
struct Seen {
    streams: Streams,
    /// Sources of the video that came in last, and that left last.
    shown: Option<u32>,
    watched: Option<u32>,
    /// When the peer's wish for a picture was told last, and when it was asked for one.
    told: Option<Time>,
    asked: Option<Time>,
}

/// Whether it is time again; from then on a pause begins.
fn is_time(last: &mut Option<Time>, now: Time) -> bool {
    let due = last.is_none_or(|last| now.since(last) >= Duration::from_millis(PICTURE_PAUSE_MS));
    if due {
        *last = Some(now);
    }
    due
}

impl Apart {
    /// As the new plan says; what was seen so far is still so.
    pub(crate) fn renew(apart: &mut Option<Box<Apart>>, plan: Option<&ApartPlan>) {
        *apart = plan.map(|plan| {
            let seen = apart.take().map(|old| old.seen).unwrap_or_default();
            Box::new(Apart { plan: Box::new(plan.clone()), seen })
        });
    }
}

impl Flow {
    /// An RTP packet came in by this port. `Some`: it is video that goes this way, and has the number that it has there.
    pub(crate) fn apart(&mut self, video: bool, packet: &mut [u8]) -> Option<Destination> {
        let apart = self.apart.as_mut()?;
        let ssrc = ssrc_of(packet)?;
        apart.seen.streams.saw(ssrc, if video { Part::Video } else { Part::Audio });
        video.then(|| {
            apart.seen.shown = Some(ssrc);
            renumber(&apart.plan.there, packet);
            apart.plan.to
        })
    }

    /// An RTP packet is to leave by this port, and came from that one.
    pub(crate) fn together(&mut self, from: PortId, packet: &mut [u8]) {
        let Some(apart) = self.apart.as_mut() else { return };
        let Some(ssrc) = ssrc_of(packet) else { return };
        let video = apart.plan.to == Destination::Port(from);
        apart.seen.streams.saw(ssrc, if video { Part::Video } else { Part::Audio });
        if video {
            apart.seen.watched = Some(ssrc);
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
        let flow = self.flow(from)?;
        let apart = flow.apart.as_mut()?;
        let Apart { plan, seen } = &mut **apart;
        let (to, silent) = (plan.to, plan.silent);
        let cut = |of, out: &mut [u8]| part(&seen.streams, compound, of, !silent, out.get_mut(..MEDIA_DATAGRAM_MAX)?);
        let (audio_len, video_len) = (cut(Part::Audio, &mut audio), cut(Part::Video, &mut video));
        let wanted = silent && matches!(to, Destination::Port(_)) && asks_for_picture(&seen.streams, compound);
        let told = (wanted && is_time(&mut seen.told, now)).then_some(flow.port);
        self.wanted.extend(told);
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
        if pictures.is_none() && sound.is_none() && !wanted {
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

    /// A wish for a picture that the core is to be told.
    pub(crate) fn poll_wanted(&mut self) -> Option<RelayEvent> {
        self.wanted.pop().map(|port| RelayEvent::PictureWanted { port })
    }

    /// A request for a whole picture to the peer of a port with a bundle, at the beginning of `buffer`. `None`: it shows nothing there, or
    /// was asked just now.
    pub(crate) fn ask_for_picture(&mut self, now: Time, port: PortId, buffer: &mut [u8]) -> Option<Departure> {
        let slot = self.slot(port)?;
        let Seen { shown, watched, asked, .. } = &mut self.flow(slot)?.apart.as_mut()?.seen;
        let (by, of) = (watched.unwrap_or(BLIND), (*shown)?);
        let len = ask_for_picture(by, of, buffer).filter(|_| is_time(asked, now))?;
        self.depart_by(now, slot, buffer, len)
    }

    fn depart_by(&mut self, now: Time, slot: Slot, packet: &mut [u8], len: usize) -> Option<Departure> {
        let Exit { component, to, len } = self.flow(slot)?.depart(now, Media::Rtcp, packet, len, Origin::READ)?;
        self.note(now, slot);
        Some(Departure { slot, component, media: Media::Rtcp, is_video: false, to, len })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_asks_without_pause_is_heard_now_and_then() {
        let mut last = None;
        let heard: Vec<u64> = (0..2_000).step_by(10).filter(|ms| is_time(&mut last, Time::from_millis(*ms))).collect();
        assert_eq!(heard, [0, 500, 1_000, 1_500]);
    }
}
