//! The numbers under which a sender's packets leave.
//!
//! A stream keeps the numbers it comes with, so that loss and order stay to be seen. Only where its sender begins anew with lower
//! numbers under the same SSRC, as media servers do, they are shifted: an index that was used cannot be used again under the same key
//! (RFC 3711 9.1), and a roll-over more for the old numbers would not be guessed by the receiver (3.3.1). So the stream goes on behind
//! its highest number, without a gap. Why not otherwise: docs/decisions/0028.

use super::SrtpError;
use super::window::{RTP_INDEX_MAX, Window};

/// Numbers that lie so far back belong to a new beginning rather than to packets that are late or sent again.
const FAR: u64 = 1_000;
/// Refused numbers in a row that make a new beginning, where they lie far back (RFC 3550 A.1 asks for two) ...
const IN_A_ROW_FAR: u32 = 2;
/// ... and where they may be duplicates, or answers to a request for what was lost.
const IN_A_ROW_NEAR: u32 = 8;
/// What a new beginning leaves out where the highest index is that of an earlier process. Positions are written down at each 2^14, and the
/// next one may have used some thousands more; half a roll-over is where the receiver's guess goes wrong.
const STALE_LEAP: u64 = 7 << 12;

/// How the numbers of one stream are shifted.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Numbering {
    /// What is added to each packet's own number.
    pub shift: u16,
    /// The packets' own number that was refused last, and how many came one after the other.
    refused: Option<(u16, u32)>,
}

impl Numbering {
    /// A stream whose shift was written down.
    pub(super) fn shifted(shift: u16) -> Numbering {
        Numbering { shift, refused: None }
    }

    /// The index under which the packet with this number of its own leaves. Its lowest 16 bits are the number that it has to get. An
    /// error is remembered here: as many in a row make a new beginning.
    pub(super) fn index(&mut self, window: &Window, sequence: u16) -> Result<u64, SrtpError> {
        let index = window.estimate(sequence.wrapping_add(self.shift))?;
        let Err(error) = window.check(index) else {
            self.refused = None;
            return Ok(index);
        };
        let highest = window.highest.unwrap_or(index);
        let row = match self.refused {
            Some((before, row)) if before.wrapping_add(1) == sequence => row + 1,
            _ => 1,
        };
        let needed = if highest.saturating_sub(index) >= FAR { IN_A_ROW_FAR } else { IN_A_ROW_NEAR };
        if row < needed {
            self.refused = Some((sequence, row));
            return Err(error);
        }
        let next = highest + if window.stale { STALE_LEAP } else { 1 };
        if next > RTP_INDEX_MAX {
            return Err(SrtpError::KeyExhausted);
        }
        *self = Numbering::shifted((next as u16).wrapping_sub(sequence));
        Ok(next)
    }
}
