//! The node's direction: encrypt and sign, never twice with the same index.

use super::SrtpError;
use super::header::{RtpHeader, rtcp_ssrc};
use super::parties::Parties;
use super::streams::{KeyMark, SrtpPositions, Stream, Streams};
use super::transform::{INDEX_MAX, Transform, transform};
use crate::plan::SrtpKeys;

use ringfort_base::limits::SRTP_RETIRED_MAX as RETIRED_MAX;
/// Where the sequence number stands in an RTP packet (RFC 3550 5.1).
const SEQUENCE: std::ops::Range<usize> = 2..4;
/// How far the SRTCP index leaps on restore: what was sent after the positions were written down is not sent again. They are written
/// down at each half of it; of 2^31 indices it costs nothing.
const RESTORE_LEAP: u32 = 1 << 15;

/// Protects what the node sends with one set of keys. A relayed stream keeps its own sequence numbers, unless it begins anew with
/// lower ones.
pub struct SrtpSender {
    pub(super) transform: Box<dyn Transform>,
    pub(super) streams: Streams,
    /// One count for all SSRCs: a gap is as a loss to the receiver, and a forgotten SSRC cannot repeat an index.
    rtcp_next: u32,
    /// SSRCs that were given up, at most [`RETIRED_MAX`].
    retired: Vec<u32>,
    of: KeyMark,
    turned: bool,
    /// The keys are lent: somebody else protects by them, too.
    parties: Option<Parties>,
    /// Nothing is protected: whether these keys were in use here before is not known any more.
    silent: bool,
}

impl SrtpSender {
    /// Derives the session keys. Fails with [`SrtpError::KeyLength`] only.
    pub fn new(keys: &SrtpKeys) -> Result<SrtpSender, SrtpError> {
        let transform = transform(keys)?;
        let (streams, of) = (Streams::default(), KeyMark::of(keys));
        Ok(SrtpSender { transform, streams, rtcp_next: 0, retired: Vec::new(), of, turned: false, parties: None, silent: false })
    }

    /// The same with the keys of a peer, whose packets pass as they are ([`SrtpSender::pass_rtp`]). What is protected besides has
    /// SSRCs that this peer does not use.
    pub fn lent(keys: &SrtpKeys) -> Result<SrtpSender, SrtpError> {
        SrtpSender::new(keys).map(|sender| SrtpSender { parties: Some(Parties::default()), ..sender })
    }

    /// Goes on where a context of the same keys stood that was put aside: what it used is not used again. False: these are other keys.
    pub fn go_on(&mut self, before: &mut SrtpSender) -> bool {
        if before.of != self.of {
            return false;
        }
        self.streams = std::mem::take(&mut before.streams);
        self.retired = std::mem::take(&mut before.retired);
        self.rtcp_next = before.rtcp_next;
        self.silent = before.silent;
        if let (Some(parties), Some(known)) = (&mut self.parties, &mut before.parties) {
            *parties = std::mem::take(known);
        }
        true
    }

    /// Protects nothing from now on; what its owner protected passes.
    pub fn fall_silent(&mut self) {
        self.silent = true;
    }

    /// Whether the keys are lent by a peer.
    pub fn is_lent(&self) -> bool {
        self.parties.is_some()
    }

    /// Whether the node has protected something under this SSRC.
    pub fn owns(&self, ssrc: u32) -> bool {
        self.streams.known(ssrc).is_some()
            || self.retired.contains(&ssrc)
            || self.parties.as_ref().is_some_and(|parties| parties.owns(ssrc))
    }

    /// Which keys they are.
    pub fn mark(&self) -> KeyMark {
        self.of
    }

    /// Whether an SRTP packet of the peer that lent the keys may go on as it came: no SSRC of the node's own is in it.
    pub fn pass_rtp(&mut self, packet: &[u8]) -> Result<(), SrtpError> {
        self.pass(RtpHeader::parse(packet)?.ssrc)
    }

    /// The same for SRTCP.
    pub fn pass_rtcp(&mut self, packet: &[u8]) -> Result<(), SrtpError> {
        self.pass(rtcp_ssrc(packet)?)
    }

    fn pass(&mut self, ssrc: u32) -> Result<(), SrtpError> {
        // What was said before a restart counts too.
        let ours = self.streams.known(ssrc).is_some() || self.retired.contains(&ssrc);
        match &mut self.parties {
            Some(parties) if !ours => parties.pass(ssrc),
            _ => Err(SrtpError::ForeignSource),
        }
    }

    /// The node protects under this SSRC.
    fn claim(&mut self, ssrc: u32) -> Result<(), SrtpError> {
        if self.silent {
            return Err(SrtpError::KeyExhausted);
        }
        self.parties.as_mut().map_or(Ok(()), |parties| parties.claim(ssrc))
    }

    /// Protects the RTP packet `buffer[..len]` in place and returns its new length; behind it there must be room for 16
    /// octets. The index follows the packet's sequence number, also where packets are late or the number wraps. A packet
    /// whose index was used before is refused as [`SrtpError::Replayed`] or [`SrtpError::TooOld`]: sending another payload under it
    /// would repeat keystream. Where several in a row are, the stream has begun anew, and goes on under other numbers.
    pub fn protect_rtp(&mut self, buffer: &mut [u8], len: usize) -> Result<usize, SrtpError> {
        let header = RtpHeader::parse(buffer.get(..len).ok_or(SrtpError::NoRoom)?)?;
        self.claim(header.ssrc)?;
        let mut stream = self.stream(header.ssrc)?;
        let index = match stream.numbering.index(&stream.rtp, header.sequence) {
            Ok(index) => index,
            Err(error) => {
                self.store(stream);
                return Err(error);
            }
        };
        buffer.get_mut(SEQUENCE).ok_or(SrtpError::TooShort)?.copy_from_slice(&(index as u16).to_be_bytes());
        let len = self.transform.seal_rtp(buffer, len, header, index)?;
        stream.rtp.accept(index);
        self.store(stream);
        Ok(len)
    }

    /// What is known of an SSRC, if it may be used.
    fn stream(&self, ssrc: u32) -> Result<Stream, SrtpError> {
        match self.streams.known(ssrc) {
            Some(stream) => Ok(*stream),
            None if self.retired.contains(&ssrc) => Err(SrtpError::Retired),
            None if self.streams.is_full() && self.retired.len() >= RETIRED_MAX => Err(SrtpError::TooManyStreams),
            None => Ok(self.streams.state(ssrc)),
        }
    }

    fn store(&mut self, stream: Stream) {
        self.retired.extend(self.streams.store(stream));
    }

    /// Protects the RTCP packet `buffer[..len]` in place and returns its new length; behind it there must be room for 20
    /// octets.
    pub fn protect_rtcp(&mut self, buffer: &mut [u8], len: usize) -> Result<usize, SrtpError> {
        let packet = buffer.get(..len).ok_or(SrtpError::NoRoom)?;
        let ssrc = rtcp_ssrc(packet)?;
        if self.rtcp_next > INDEX_MAX {
            return Err(SrtpError::KeyExhausted);
        }
        self.claim(ssrc)?;
        let len = self.transform.seal_rtcp(buffer, len, ssrc, self.rtcp_next)?;
        self.rtcp_next += 1;
        self.turned |= self.rtcp_next.is_multiple_of(RESTORE_LEAP / 2);
        Ok(len)
    }

    /// Where the direction stands.
    pub fn positions(&self) -> SrtpPositions {
        let (streams, retired) = (self.streams.positions(), self.retired.clone());
        SrtpPositions { streams, rtcp_next: self.rtcp_next, retired, of: self.of }
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
        self.retired = positions.retired.iter().take(RETIRED_MAX).copied().collect();
        self.rtcp_next = positions.rtcp_next.saturating_add(RESTORE_LEAP).min(INDEX_MAX + 1);
    }
}
