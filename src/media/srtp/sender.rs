//! The node's direction: encrypt and sign, never twice with the same index.

use super::SrtpError;
use super::header::{RtpHeader, rtcp_ssrc};
use super::streams::{KeyMark, SrtpPositions, Streams};
use super::transform::{INDEX_MAX, Transform, transform};
use crate::plan::SrtpKeys;

use ringfort_base::limits::SRTP_RETIRED_MAX as RETIRED_MAX;
/// How far the SRTCP index leaps on restore: what was sent after the positions were written down is not sent again. They are written
/// down at each half of it; of 2^31 indices it costs nothing.
const RESTORE_LEAP: u32 = 1 << 15;

/// Protects what the node sends with one set of keys. Sequence numbers are those of the packets, so a relayed stream keeps
/// its own.
pub struct SrtpSender {
    transform: Box<dyn Transform>,
    streams: Streams,
    /// One count for all SSRCs: a gap is as a loss to the receiver, and a forgotten SSRC cannot repeat an index.
    rtcp_next: u32,
    retired: [Option<u32>; RETIRED_MAX],
    retired_next: usize,
    of: KeyMark,
    turned: bool,
}

impl SrtpSender {
    /// Derives the session keys. Fails with [`SrtpError::KeyLength`] only.
    pub fn new(keys: &SrtpKeys) -> Result<SrtpSender, SrtpError> {
        let transform = transform(keys)?;
        let (streams, of) = (Streams::default(), KeyMark::of(keys));
        Ok(SrtpSender { transform, streams, rtcp_next: 0, retired: [None; RETIRED_MAX], retired_next: 0, of, turned: false })
    }

    /// Protects the RTP packet `buffer[..len]` in place and returns its new length; behind it there must be room for 16
    /// octets. The index follows the packet's sequence number, also where packets are late or the number wraps. A packet
    /// whose index was used before is refused as [`SrtpError::Replayed`]: sending another payload under it would repeat
    /// keystream.
    pub fn protect_rtp(&mut self, buffer: &mut [u8], len: usize) -> Result<usize, SrtpError> {
        let header = RtpHeader::parse(buffer.get(..len).ok_or(SrtpError::NoRoom)?)?;
        let known = self.streams.known(header.ssrc).is_some();
        if !known && self.retired.contains(&Some(header.ssrc)) {
            return Err(SrtpError::Retired);
        }
        let mut stream = self.streams.state(header.ssrc);
        let index = stream.rtp.estimate(header.sequence)?;
        stream.rtp.check(index)?;
        let len = self.transform.seal_rtp(buffer, len, header, index)?;
        stream.rtp.accept(index);
        if let Some(ssrc) = self.streams.store(stream) {
            self.retire(ssrc);
        }
        Ok(len)
    }

    /// Protects the RTCP packet `buffer[..len]` in place and returns its new length; behind it there must be room for 20
    /// octets.
    pub fn protect_rtcp(&mut self, buffer: &mut [u8], len: usize) -> Result<usize, SrtpError> {
        let packet = buffer.get(..len).ok_or(SrtpError::NoRoom)?;
        let ssrc = rtcp_ssrc(packet)?;
        if self.rtcp_next > INDEX_MAX {
            return Err(SrtpError::KeyExhausted);
        }
        let len = self.transform.seal_rtcp(buffer, len, ssrc, self.rtcp_next)?;
        self.rtcp_next += 1;
        self.turned |= self.rtcp_next.is_multiple_of(RESTORE_LEAP / 2);
        Ok(len)
    }

    fn retire(&mut self, ssrc: u32) {
        self.retired[self.retired_next] = Some(ssrc);
        self.retired_next = (self.retired_next + 1) % RETIRED_MAX;
    }

    /// Where the direction stands.
    pub fn positions(&self) -> SrtpPositions {
        let retired = self.retired.iter().flatten().copied().collect();
        SrtpPositions { streams: self.streams.positions(), rtcp_next: self.rtcp_next, retired, of: self.of }
    }

    /// Whether [`SrtpSender::positions`] should be written down by now; asked once.
    pub fn take_turned(&mut self) -> bool {
        std::mem::take(&mut self.turned) | self.streams.take_turned()
    }

    /// Goes on where [`SrtpSender::positions`] of the same keys stood. The SRTCP index leaps ahead, over what was sent since; it does so
    /// too where nothing was written down yet. The SRTP
    /// index follows the packets by itself; none before the first packet is used, for what was sent since is not known.
    pub fn restore(&mut self, positions: &SrtpPositions) {
        self.rtcp_next = RESTORE_LEAP;
        if positions.of != self.of {
            return;
        }
        self.streams.restore(&positions.streams);
        positions.retired.iter().take(RETIRED_MAX).for_each(|ssrc| self.retire(*ssrc));
        self.rtcp_next = positions.rtcp_next.saturating_add(RESTORE_LEAP).min(INDEX_MAX + 1);
    }
}
