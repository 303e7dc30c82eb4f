//! Audio and video of one bundle, where the other side has a port for each: which stream is which, and each port's part of the RTCP
//! (RFC 9143 9.2, RFC 3550 6.1).
//!
//! [`Streams`] learns from the packets that pass; [`part`] cuts a compound packet.

use ringfort_base::limits::BUNDLE_STREAMS_MAX;

/// Sender and receiver report, description, goodbye, feedback of the transport and of the payload (RFC 3550 12.1, RFC 4585 6.1).
const SENDER: u8 = 200;
const RECEIVER: u8 = 201;
const DESCRIPTION: u8 = 202;
const GOODBYE: u8 = 203;
const TRANSPORT: u8 = 205;
const PAYLOAD: u8 = 206;
/// Octets of a report block.
const BLOCK: usize = 24;
/// Octets in front of the blocks of a sender report, and of a receiver report.
const BEFORE_BLOCKS: [usize; 2] = [28, 8];
/// Octets in front of what feedback says: header, whose it is, and of which stream.
const BEFORE_SAID: usize = 12;

/// One of the two lines of a bundle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Audio.
    Audio,
    /// Video.
    Video,
}

/// The streams of a bundle that were seen last, by their SSRC.
#[derive(Clone, Debug, Default)]
pub struct Streams {
    seen: Vec<(u32, Part)>,
    next: usize,
}

impl Streams {
    /// A packet of the stream passed. Where one is new and there is no room, the oldest is forgotten.
    pub fn saw(&mut self, ssrc: u32, part: Part) {
        if let Some((_, known)) = self.seen.iter_mut().find(|(seen, _)| *seen == ssrc) {
            *known = part;
        } else if self.seen.len() < BUNDLE_STREAMS_MAX {
            self.seen.push((ssrc, part));
        } else if let Some(place) = self.seen.get_mut(self.next) {
            *place = (ssrc, part);
            self.next = (self.next + 1) % BUNDLE_STREAMS_MAX;
        }
    }

    /// What the stream is; `None`: it was not seen.
    pub fn of(&self, ssrc: u32) -> Option<Part> {
        self.seen.iter().find(|(seen, _)| *seen == ssrc).map(|(_, part)| *part)
    }
}

/// Whether a compound packet asks for a whole picture: one was lost (RFC 4585 6.3.1), or an intra picture is wanted (RFC 5104 4.3.1).
pub fn asks_for_picture(streams: &Streams, compound: &[u8]) -> bool {
    let asks = |packet: &[u8]| {
        let [first, PAYLOAD, ..] = *packet else { return false };
        matches!(first & 0x1f, LOST | INTRA) && subject(streams, PAYLOAD, packet) != Some(Part::Audio)
    };
    packets(compound).any(asks)
}

/// Writes a request for a whole picture of the stream `of` to the beginning of `out`, as a compound packet of the stream `by`. Returns its
/// length; `None`: there is no room.
pub fn ask_for_picture(by: u32, of: u32, out: &mut [u8]) -> Option<usize> {
    let report = u32::from_be_bytes([0x80, RECEIVER, 0, 1]);
    let lost = u32::from_be_bytes([0x80 | LOST, PAYLOAD, 0, 2]);
    let words = [report, by, lost, by, of];
    let place = out.get_mut(..4 * words.len())?;
    place.chunks_exact_mut(4).zip(words).for_each(|(to, word)| to.copy_from_slice(&word.to_be_bytes()));
    Some(place.len())
}

/// The packets of a compound one, as far as they are whole.
fn packets(mut compound: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let &[first, _, high, low] = compound.first_chunk::<4>()?;
        let (packet, rest) = compound.split_at_checked(4 + 4 * usize::from(u16::from_be_bytes([high, low])))?;
        compound = rest;
        (first >> 6 == 2).then_some(packet)
    })
}

/// Writes what a compound packet says of one part to the beginning of `out`, again as a compound packet: reports lose the blocks of
/// the other part, and a receiver report stands in front of feedback that has none. Returns its length; `None`: it says nothing, or
/// there is no room.
///
/// Feedback that names no known stream is about video: of audio there is none that passes. Other packets go with their sender, and with
/// the audio where that is unknown. Without `feedback` there is none about video.
pub fn part(streams: &Streams, compound: &[u8], part: Part, feedback: bool, out: &mut [u8]) -> Option<usize> {
    let mut cut = Cut { streams, part, feedback, out, len: 0, description: None };
    for packet in packets(compound) {
        cut.packet(*packet.get(1)?, packet)?;
    }
    (cut.len > 0).then_some(cut.len)
}

/// One part while it is written.
struct Cut<'a> {
    streams: &'a Streams,
    part: Part,
    /// What is said of video takes feedback along.
    feedback: bool,
    out: &'a mut [u8],
    len: usize,
    /// Of the sender, kept until there is something that it belongs to.
    description: Option<&'a [u8]>,
}

impl<'a> Cut<'a> {
    fn packet(&mut self, kind: u8, packet: &'a [u8]) -> Option<()> {
        match kind {
            SENDER | RECEIVER => self.report(kind, packet),
            DESCRIPTION if self.len > 0 => self.push(packet),
            DESCRIPTION => {
                self.description = Some(packet);
                Some(())
            }
            GOODBYE => self.goodbye(packet),
            TRANSPORT | PAYLOAD => match subject(self.streams, kind, packet).unwrap_or(Part::Video) {
                part if part == self.part && (self.feedback || part == Part::Audio) => self.behind_report(packet),
                _ => Some(()),
            },
            _ if self.is_mine(word(packet, 4)) => self.behind_report(packet),
            _ => Some(()),
        }
    }

    fn push(&mut self, octets: &[u8]) -> Option<()> {
        let end = self.len.checked_add(octets.len())?;
        self.out.get_mut(self.len..end)?.copy_from_slice(octets);
        self.len = end;
        Some(())
    }

    /// What must not stand first (RFC 3550 6.1).
    fn behind_report(&mut self, packet: &[u8]) -> Option<()> {
        if self.len == 0 {
            self.push(&[0x80, RECEIVER, 0, 1])?;
            self.push(packet.get(4..8)?)?;
            if let Some(description) = self.description.take() {
                self.push(description)?;
            }
        }
        self.push(packet)
    }

    fn is_mine(&self, ssrc: Option<u32>) -> bool {
        ssrc.and_then(|ssrc| self.streams.of(ssrc)).unwrap_or(Part::Audio) == self.part
    }

    /// A report of a sender of the other part is one of a receiver, where it has blocks for this one.
    fn report(&mut self, kind: u8, packet: &[u8]) -> Option<()> {
        let blocks = packet.get(BEFORE_BLOCKS[usize::from(kind == RECEIVER)]..).unwrap_or_default();
        let told = usize::from(packet.first()? & 0x1f);
        let blocks = blocks.chunks_exact(BLOCK).take(told);
        let count = blocks.clone().filter(|block| self.is_mine(word(block, 0))).count();
        let sender = kind == SENDER && self.is_mine(word(packet, 4));
        let empty = kind == RECEIVER && told == 0 && self.is_mine(word(packet, 4));
        if count == 0 && !sender && !empty {
            return Some(());
        }
        let before = BEFORE_BLOCKS[usize::from(!sender)];
        let words = u16::try_from((before + count * BLOCK) / 4 - 1).ok()?;
        let [high, low] = words.to_be_bytes();
        self.push(&[0x80 | count as u8, if sender { SENDER } else { RECEIVER }, high, low])?;
        self.push(packet.get(4..before)?)?;
        for block in blocks {
            if self.is_mine(word(block, 0)) {
                self.push(block)?;
            }
        }
        Some(())
    }

    fn goodbye(&mut self, packet: &[u8]) -> Option<()> {
        let told = usize::from(packet.first()? & 0x1f);
        let leaving = packet.get(4..)?.chunks_exact(4).take(told);
        let own = || leaving.clone().filter(|ssrc| self.is_mine(word(ssrc, 0)));
        let count = own().count();
        if count == 0 {
            return Some(());
        }
        let mut shorter = [0; 4 + 4 * 0x1f];
        shorter.get_mut(..4)?.copy_from_slice(&[0x80 | count as u8, GOODBYE, 0, count as u8]);
        own().zip(shorter.get_mut(4..)?.chunks_exact_mut(4)).for_each(|(ssrc, place)| place.copy_from_slice(ssrc));
        self.behind_report(shorter.get(..4 + 4 * count)?)
    }
}

/// The part that feedback is about: by the stream it names in front, or behind where that says nothing (RFC 5104 4.3.1.1, and what
/// browsers write of their estimate).
fn subject(streams: &Streams, kind: u8, packet: &[u8]) -> Option<Part> {
    let form = packet.first()? & 0x1f;
    let behind = match (kind, form) {
        (PAYLOAD, ESTIMATE) => BEFORE_SAID + 8,
        _ => BEFORE_SAID,
    };
    let named = word(packet, 8).filter(|ssrc| *ssrc != 0).or_else(|| word(packet, behind));
    named.and_then(|ssrc| streams.of(ssrc))
}

/// Forms of payload feedback: a picture was lost, an intra picture is wanted, one that is an application's own (RFC 4585 6.3.1, RFC 5104
/// 4.3.1, RFC 4585 6.4).
const LOST: u8 = 1;
const INTRA: u8 = 4;
const ESTIMATE: u8 = 15;

fn word(octets: &[u8], at: usize) -> Option<u32> {
    octets.get(at..)?.first_chunk::<4>().map(|word| u32::from_be_bytes(*word))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const VOICE: u32 = 1;
    const PICTURE: u32 = 2;
    const THEIR_VOICE: u32 = 3;
    const THEIR_PICTURE: u32 = 4;
    const UNKNOWN: u32 = 9;

    fn streams() -> Streams {
        let mut streams = Streams::default();
        [(VOICE, Part::Audio), (PICTURE, Part::Video), (THEIR_VOICE, Part::Audio), (THEIR_PICTURE, Part::Video)]
            .into_iter()
            .for_each(|(ssrc, part)| streams.saw(ssrc, part));
        streams
    }

    fn packet(first: u8, kind: u8, words: &[u32]) -> Vec<u8> {
        let length = words.len() as u16;
        [&[0x80 | first, kind][..], &length.to_be_bytes(), &words.iter().flat_map(|word| word.to_be_bytes()).collect::<Vec<u8>>()]
            .concat()
    }

    fn block(ssrc: u32) -> [u32; 6] {
        [ssrc, 7, 8, 9, 10, 11]
    }

    fn parts(compound: &[Vec<u8>]) -> [Option<Vec<u8>>; 2] {
        let compound = compound.concat();
        [Part::Audio, Part::Video].map(|of| {
            let mut out = [0; 300];
            part(&streams(), &compound, of, true, &mut out).map(|len| out[..len].to_vec())
        })
    }

    #[test]
    fn what_speaks_of_one_stream_goes_with_it() {
        let report = packet(1, SENDER, &[&[PICTURE, 1, 2, 3, 4, 5][..], &block(THEIR_PICTURE)].concat());
        let names = packet(1, DESCRIPTION, &[PICTURE, 0x0102_6161, 0]);
        let lost = packet(1, TRANSPORT, &[PICTURE, THEIR_PICTURE, 0x0005_0000]);
        let all = [report, names, lost];
        assert_eq!(parts(&all), [None, Some(all.concat())]);
    }

    #[test]
    fn blocks_go_where_their_streams_are() {
        let heard = [block(THEIR_VOICE), block(THEIR_PICTURE), block(UNKNOWN)].concat();
        let told = [VOICE, 1, 2, 3, 4, 5];
        let report = packet(3, SENDER, &[&told[..], &heard].concat());
        let [audio, video] = parts(&[report]);
        assert_eq!(audio, Some(packet(2, SENDER, &[&told[..], &block(THEIR_VOICE), &block(UNKNOWN)].concat())));
        assert_eq!(video, Some(packet(1, RECEIVER, &[&[VOICE][..], &block(THEIR_PICTURE)].concat())));
    }

    #[test]
    fn a_wish_for_a_picture_stands_behind_a_report() {
        let report = packet(1, RECEIVER, &[&[VOICE][..], &block(THEIR_VOICE)].concat());
        let names = packet(1, DESCRIPTION, &[VOICE, 0x0102_6161, 0]);
        let front = packet(0, RECEIVER, &[VOICE]);
        for wish in [
            packet(1, PAYLOAD, &[VOICE, THEIR_PICTURE]),
            packet(4, PAYLOAD, &[VOICE, 0, THEIR_PICTURE, 0x0700_0000]),
            packet(15, PAYLOAD, &[VOICE, 0, 0x5245_4d42, 0x0100_0000, THEIR_PICTURE]),
            packet(1, PAYLOAD, &[VOICE, UNKNOWN]),
        ] {
            let [audio, video] = parts(&[report.clone(), names.clone(), wish.clone()]);
            assert_eq!(audio, Some([report.clone(), names.clone()].concat()));
            assert_eq!(video, Some([front.clone(), names.clone(), wish].concat()));
        }
    }

    #[test]
    fn requests_for_a_picture_are_known() {
        let report = packet(1, RECEIVER, &[&[VOICE][..], &block(THEIR_VOICE)].concat());
        let asks = |wish: &[u8]| asks_for_picture(&streams(), &[&report[..], wish].concat());
        let wishes = [
            packet(LOST, PAYLOAD, &[VOICE, THEIR_PICTURE]),
            packet(LOST, PAYLOAD, &[VOICE, UNKNOWN]),
            packet(INTRA, PAYLOAD, &[VOICE, 0, THEIR_PICTURE, 0x0700_0000]),
        ];
        assert!(wishes.iter().all(|wish| asks(wish) && asks_for_picture(&streams(), wish)));
        let others = [
            packet(LOST, PAYLOAD, &[VOICE, THEIR_VOICE]),
            packet(LOST, TRANSPORT, &[VOICE, THEIR_PICTURE, 0x0005_0000]),
            packet(ESTIMATE, PAYLOAD, &[VOICE, 0, 0x5245_4d42, 0x0100_0000, THEIR_PICTURE]),
            packet(LOST, PAYLOAD, &[VOICE, THEIR_PICTURE])[..8].to_vec(),
        ];
        assert!(!others.iter().any(|other| asks(other)));
        // Who takes no feedback gets the reports without.
        let mut out = [0; 100];
        let compound = [report.clone(), wishes.concat()].concat();
        assert_eq!(part(&streams(), &compound, Part::Video, false, &mut out), None);
        let len = part(&streams(), &compound, Part::Audio, false, &mut out);
        assert_eq!(len.map(|len| &out[..len]), Some(&report[..]));
        assert_eq!(ask_for_picture(VOICE, THEIR_PICTURE, &mut out), Some(20));
        assert_eq!(out[..20], [packet(0, RECEIVER, &[VOICE]), packet(LOST, PAYLOAD, &[VOICE, THEIR_PICTURE])].concat());
        assert_eq!(ask_for_picture(VOICE, THEIR_PICTURE, &mut out[..19]), None);
    }

    #[test]
    fn who_leaves_is_named_where_he_was() {
        let [audio, video] = parts(&[packet(0, RECEIVER, &[VOICE]), packet(2, GOODBYE, &[VOICE, PICTURE])]);
        assert_eq!(audio, Some([packet(0, RECEIVER, &[VOICE]), packet(1, GOODBYE, &[VOICE])].concat()));
        assert_eq!(video, Some([packet(0, RECEIVER, &[PICTURE]), packet(1, GOODBYE, &[PICTURE])].concat()));
    }

    #[test]
    fn what_nobody_knows_goes_with_the_audio() {
        let empty = packet(0, RECEIVER, &[UNKNOWN]);
        assert_eq!(parts(std::slice::from_ref(&empty)), [Some(empty), None]);
    }

    #[test]
    fn streams_are_bounded() {
        let mut streams = Streams::default();
        (0..100).for_each(|ssrc| streams.saw(ssrc, Part::Video));
        assert_eq!((0..100).filter(|ssrc| streams.of(*ssrc).is_some()).count(), BUNDLE_STREAMS_MAX);
        assert_eq!(streams.of(99), Some(Part::Video));
    }

    proptest! {
        /// Whatever a peer writes: no panic, and each part is a compound packet that begins with a report or is cut from one.
        #[test]
        fn anything_is_cut(octets in prop::collection::vec(any::<u8>(), 0..120), kinds in prop::collection::vec((0u8..8, 0u8..6), 0..5)) {
            let mut compound = Vec::new();
            for (kind, words) in kinds {
                let said = octets.chunks(4).cycle().take(words.into()).flat_map(|word| {
                    let mut four = [0; 4];
                    four[..word.len()].copy_from_slice(word);
                    four
                });
                compound.extend([0x80 | octets.first().copied().unwrap_or(0) & 0x1f, 200 + kind, 0, words]);
                let before = compound.len();
                compound.extend(said);
                compound.resize(before + 4 * usize::from(words), 0);
            }
            for of in [Part::Audio, Part::Video] {
                let mut out = [0; 1_500];
                if let Some(len) = part(&streams(), &compound, of, true, &mut out) {
                    prop_assert!(len % 4 == 0 && len <= out.len());
                }
                let mut short = [0; 16];
                let _ = part(&streams(), &compound, of, true, &mut short);
                let _ = asks_for_picture(&streams(), &compound);
            }
        }
    }
}
