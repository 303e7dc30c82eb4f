//! What is remembered of each SSRC of one direction, and how that is written down.

use super::needed::{Span, span};
use super::numbering::Numbering;
use super::window::{RTP_INDEX_MAX, Window};
use crate::plan::SrtpKeys;
use ringfort_base::limits::SRTP_STREAMS_MAX;
use serde::{Deserialize, Serialize};

/// Where one direction stands, to be written down and read back after a restart (RFC 3711 3.2.1: what the peers must agree upon
/// besides the keys).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SrtpPositions {
    /// One entry for each SSRC, at most `SRTP_STREAMS_MAX`; the least recently used first.
    pub streams: Vec<StreamPosition>,
    /// The SRTCP index that a sender uses next. A receiver leaves it 0.
    pub rtcp_next: u32,
    /// SSRCs that a sender forgot and may not use again.
    #[serde(default)]
    pub retired: Vec<u32>,
    /// Which keys they are positions of.
    #[serde(default)]
    pub of: KeyMark,
}

/// Tells keys apart without telling them: positions of old keys are nothing to new ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyMark(u64);

impl KeyMark {
    pub(crate) fn of(keys: &SrtpKeys) -> KeyMark {
        let octets = [&keys.salt[..], &keys.key[..]].concat();
        let digest = ring::digest::digest(&ring::digest::SHA256, &octets);
        KeyMark(digest.as_ref().first_chunk().map_or(0, |mark| u64::from_be_bytes(*mark)))
    }
}

/// Where one SSRC stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamPosition {
    /// The stream.
    pub ssrc: u32,
    /// SRTP: the 48-bit index, which is roll-over counter and sequence number. `None` before the first packet.
    pub rtp: Option<Position>,
    /// SRTCP: the 31-bit index. `None` before the first packet and at a sender.
    pub rtcp: Option<Position>,
    /// What a sender adds to the packets' own sequence numbers. A receiver leaves it 0.
    #[serde(default)]
    pub shift: u16,
}

/// Highest index and replay window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// Highest index so far.
    pub highest: u64,
    /// Bit n of the 128, the low half first: index `highest - n` was used.
    pub seen: [u64; 2],
}

impl Position {
    fn of(window: &Window) -> Option<Position> {
        let seen = [window.seen as u64, (window.seen >> 64) as u64];
        window.highest.map(|highest| Position { highest, seen })
    }

    /// What a file says is not trusted: an index has `max` at most.
    fn window(self, max: u64) -> Window {
        let seen = u128::from(self.seen[1]) << 64 | u128::from(self.seen[0]);
        Window { highest: Some(self.highest.min(max)), seen: seen | 1, stale: true }
    }
}

/// Positions are written down for each quarter of a roll-over: who guesses from one that is so old is still far from half a roll-over,
/// where the guess goes wrong (RFC 3711 3.3.1). At 50 packets a second that is once in five minutes.
const STRETCH_BITS: u32 = 14;

fn stretch(index: u64) -> u64 {
    index >> STRETCH_BITS
}

/// One SSRC.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Stream {
    pub ssrc: u32,
    pub rtp: Window,
    pub rtcp: Window,
    /// The receiver's: where the last packet stood that was authentic, where others have carried the stream on since.
    pub proved: Option<Window>,
    /// The sender's.
    pub numbering: Numbering,
    /// When it was last used, in uses of the table.
    touched: u64,
}

impl Stream {
    /// How far SRTP is for sure: what others have said of it may be wrong, and whoever went on from that after a restart would guess the
    /// roll-over counter wrong for ever.
    fn sure(&self) -> &Window {
        self.proved.as_ref().unwrap_or(&self.rtp)
    }
}

/// A table of fixed size; a new SSRC takes the place of the least recently used.
#[derive(Debug, Default)]
pub(super) struct Streams {
    entries: [Stream; SRTP_STREAMS_MAX],
    used: usize,
    uses: u64,
    /// A stream began, or went on so far that its position should be written down.
    turned: bool,
}

impl Streams {
    /// Where the first entry lies, and the count of those in use.
    pub(super) fn needed(&self) -> [Span; 2] {
        [span(&self.entries[0]), span(&self.used)]
    }

    /// What is known of `ssrc`; a stream that begins otherwise.
    pub(super) fn state(&self, ssrc: u32) -> Stream {
        self.known(ssrc).copied().unwrap_or(Stream { ssrc, ..Stream::default() })
    }

    /// The entry of `ssrc`, if there is one.
    pub(super) fn known(&self, ssrc: u32) -> Option<&Stream> {
        self.entries[..self.used].iter().find(|stream| stream.ssrc == ssrc)
    }

    /// Writes `stream` to the table. Returns the SSRC that had to make room.
    pub(super) fn store(&mut self, mut stream: Stream) -> Option<u32> {
        self.uses += 1;
        stream.touched = self.uses;
        if let Some(entry) = self.entries[..self.used].iter_mut().find(|entry| entry.ssrc == stream.ssrc) {
            self.turned |= entry.sure().highest.map(stretch) != stream.sure().highest.map(stretch);
            self.turned |= entry.numbering.shift != stream.numbering.shift;
            *entry = stream;
            return None;
        }
        self.turned = true;
        if let Some(entry) = self.entries.get_mut(self.used) {
            *entry = stream;
            self.used += 1;
            return None;
        }
        let oldest = self.entries.iter_mut().min_by_key(|entry| entry.touched)?;
        Some(std::mem::replace(oldest, stream).ssrc)
    }

    /// Whether one more stream takes the place of another.
    pub(super) fn is_full(&self) -> bool {
        self.used == self.entries.len()
    }

    /// Whether a position should be written down; asked once.
    pub(super) fn take_turned(&mut self) -> bool {
        std::mem::take(&mut self.turned)
    }

    /// All streams, the least recently used first.
    pub(super) fn positions(&self) -> Vec<StreamPosition> {
        let mut streams = self.entries[..self.used].to_vec();
        streams.sort_by_key(|stream| stream.touched);
        let position = |s: &Stream| {
            let shift = s.numbering.shift;
            StreamPosition { ssrc: s.ssrc, rtp: Position::of(s.sure()), rtcp: Position::of(&s.rtcp), shift }
        };
        streams.iter().map(position).collect()
    }

    /// Replaces what is known by what was written down.
    pub(super) fn restore(&mut self, positions: &[StreamPosition]) {
        *self = Streams::default();
        for position in positions.iter().take(SRTP_STREAMS_MAX) {
            let window = |p: Option<Position>, max| p.map_or(Window::default(), |p| p.window(max));
            let rtcp = window(position.rtcp, super::transform::INDEX_MAX.into());
            let numbering = Numbering::shifted(position.shift);
            self.store(Stream {
                ssrc: position.ssrc,
                rtp: window(position.rtp, RTP_INDEX_MAX),
                rtcp,
                proved: None,
                numbering,
                touched: 0,
            });
        }
        self.turned = false;
    }
}
