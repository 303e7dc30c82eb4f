//! The peer's direction: verify, refuse replays, decrypt.

use super::SrtpError;
use super::header::{RtpHeader, rtcp_ssrc};
use super::streams::{KeyMark, SrtpPositions, Streams};
use super::transform::{INDEX_MAX, Transform, transform};
use crate::plan::SrtpKeys;

/// Unprotects what a peer sends with one set of keys.
pub struct SrtpReceiver {
    transform: Box<dyn Transform>,
    streams: Streams,
    of: KeyMark,
}

impl SrtpReceiver {
    /// Derives the session keys. Fails with [`SrtpError::KeyLength`] only.
    pub fn new(keys: &SrtpKeys) -> Result<SrtpReceiver, SrtpError> {
        Ok(SrtpReceiver { transform: transform(keys)?, streams: Streams::default(), of: KeyMark::of(keys) })
    }

    /// Unprotects one SRTP packet in place and returns its new length (RFC 3711 3.3). Roll-over counter and replay window
    /// move only when the packet is authentic.
    pub fn unprotect_rtp(&mut self, packet: &mut [u8]) -> Result<usize, SrtpError> {
        let header = RtpHeader::parse(packet)?;
        let mut stream = self.streams.state(header.ssrc);
        let index = stream.rtp.estimate(header.sequence)?;
        stream.rtp.check(index)?;
        let len = self.transform.open_rtp(packet, header, index)?;
        stream.rtp.accept(index);
        self.streams.store(stream);
        Ok(len)
    }

    /// Unprotects one SRTCP packet in place and returns its new length (RFC 3711 3.4).
    pub fn unprotect_rtcp(&mut self, packet: &mut [u8]) -> Result<usize, SrtpError> {
        let ssrc = rtcp_ssrc(packet)?;
        let word = self.transform.rtcp_word(packet)?;
        let index = u64::from(word & INDEX_MAX);
        let mut stream = self.streams.state(ssrc);
        stream.rtcp.check(index)?;
        let len = self.transform.open_rtcp(packet, ssrc, word)?;
        stream.rtcp.accept(index);
        self.streams.store(stream);
        Ok(len)
    }

    /// Where the direction stands.
    pub fn positions(&self) -> SrtpPositions {
        SrtpPositions { streams: self.streams.positions(), of: self.of, ..SrtpPositions::default() }
    }

    /// Whether [`SrtpReceiver::positions`] should be written down by now; asked once.
    pub fn take_turned(&mut self) -> bool {
        self.streams.take_turned()
    }

    /// Goes on where [`SrtpReceiver::positions`] of the same keys stood. The first packet begins what is taken: what came between that
    /// and the positions is not known, and would be a replay.
    pub fn restore(&mut self, positions: &SrtpPositions) {
        if positions.of == self.of {
            self.streams.restore(&positions.streams);
        }
    }
}
