//! The peer's direction: verify, refuse replays, decrypt.

use super::SrtpError;
use super::header::{RtpHeader, rtcp_ssrc};
use super::streams::{KeyMark, SrtpPositions, Streams};
use super::transform::{INDEX_MAX, Transform, transform};
use super::window::{RTP_INDEX_MAX, Window};
use crate::plan::SrtpKeys;
use ringfort_base::limits::MEDIA_DATAGRAM_MAX;

/// Unprotects what a peer sends with one set of keys.
pub struct SrtpReceiver {
    pub(super) transform: Box<dyn Transform>,
    pub(super) streams: Streams,
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
        let len = self.open(&mut stream.rtp, packet, header)?;
        stream.proved = None;
        self.streams.store(stream);
        Ok(len)
    }

    /// The same where others have carried the stream on meanwhile ([`SrtpReceiver::carried_on`]), and nothing proves how far: a packet that
    /// does not fit there may go on where the last one did that was authentic. For packets of a source that is known: a repetition of
    /// what was carried cannot be told from a late packet then.
    pub fn unprotect_rtp_of_known(&mut self, packet: &mut [u8]) -> Result<usize, SrtpError> {
        let header = RtpHeader::parse(packet)?;
        let mut stream = self.streams.state(header.ssrc);
        let Some(mut proved) = stream.proved else { return self.unprotect_rtp(packet) };
        // Who refuses a packet leaves it in pieces.
        let mut copy = [0; MEDIA_DATAGRAM_MAX];
        let copy = copy.get_mut(..packet.len()).ok_or(SrtpError::TooShort)?;
        copy.copy_from_slice(packet);
        let error = match self.unprotect_rtp(packet) {
            Err(error) => error,
            taken => return taken,
        };
        let len = self.open(&mut proved, copy, header).map_err(|_| error)?;
        packet.copy_from_slice(copy);
        (stream.rtp, stream.proved) = (proved, None);
        self.streams.store(stream);
        Ok(len)
    }

    fn open(&self, window: &mut Window, packet: &mut [u8], header: RtpHeader) -> Result<usize, SrtpError> {
        let index = window.estimate(header.sequence)?;
        window.check(index)?;
        let len = self.transform.open_rtp(packet, header, index)?;
        window.accept(index);
        Ok(len)
    }

    /// Others carried the packets of an SSRC on up to this index, unseen and unproved. None before it is taken any more.
    pub fn carried_on(&mut self, ssrc: u32, index: u64) {
        let Some(mut stream) = self.streams.known(ssrc).copied() else { return };
        if index > RTP_INDEX_MAX || stream.rtp.highest.is_none_or(|highest| index <= highest) {
            return;
        }
        stream.proved = stream.proved.or(Some(stream.rtp));
        stream.rtp = Window { highest: Some(index), seen: u128::MAX, stale: false };
        self.streams.store(stream);
    }

    /// The highest index of an SSRC, if it is known.
    pub fn highest(&self, ssrc: u32) -> Option<u64> {
        self.streams.known(ssrc)?.rtp.highest
    }

    /// Which keys they are.
    pub fn mark(&self) -> KeyMark {
        self.of
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
