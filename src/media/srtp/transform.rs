//! The transform of a profile, chosen once for a direction.

use super::SrtpError;
use super::aes_cm::{AesCm, LONG_TAG, SHORT_TAG};
use super::derive::{Derivation, Schedule};
use super::gcm::Gcm;
use super::header::RtpHeader;
use super::needed::Span;
use crate::plan::{SrtpKeys, SrtpProfile};
use aes::{Aes128Enc, Aes192Enc, Aes256Enc};

/// The packet is encrypted: first bit of the SRTCP word (RFC 3711 3.4).
pub(super) const E_BIT: u32 = 1 << 31;
/// The largest SRTCP index.
pub(super) const INDEX_MAX: u32 = E_BIT - 1;

/// What a profile does to a packet, by session keys of its own.
pub(super) trait Transform: Send + Sync {
    /// `buffer[..len]` is the packet; the tag is written behind it. Returns the new length.
    fn seal_rtp(&self, buffer: &mut [u8], len: usize, header: RtpHeader, index: u64) -> Result<usize, SrtpError>;
    /// Returns the new length.
    fn open_rtp(&self, packet: &mut [u8], header: RtpHeader, index: u64) -> Result<usize, SrtpError>;
    /// As [`Transform::seal_rtp`].
    fn seal_rtcp(&self, buffer: &mut [u8], len: usize, ssrc: u32, index: u32) -> Result<usize, SrtpError>;
    /// As [`Transform::open_rtp`].
    fn open_rtcp(&self, packet: &mut [u8], ssrc: u32, word: u32) -> Result<usize, SrtpError>;
    /// E bit and index of an SRTCP packet, not yet authenticated.
    fn rtcp_word(&self, packet: &[u8]) -> Result<u32, SrtpError>;
    /// What the next packet of SRTP needs of it.
    fn needed(&self) -> [Span; 2];
}

/// Derives the session keys. Boxed, so that a direction without packets is small and moving one is cheap.
pub(super) fn transform(keys: &SrtpKeys) -> Result<Box<dyn Transform>, SrtpError> {
    use SrtpProfile::*;
    let derivation = Derivation::new(keys)?;
    match keys.profile {
        Aes128CmSha1_80 => counter::<Aes128Enc>(&derivation, LONG_TAG),
        Aes128CmSha1_32 => counter::<Aes128Enc>(&derivation, SHORT_TAG),
        Aes192CmSha1_80 => counter::<Aes192Enc>(&derivation, LONG_TAG),
        Aes192CmSha1_32 => counter::<Aes192Enc>(&derivation, SHORT_TAG),
        Aes256CmSha1_80 => counter::<Aes256Enc>(&derivation, LONG_TAG),
        Aes256CmSha1_32 => counter::<Aes256Enc>(&derivation, SHORT_TAG),
        AeadAes128Gcm | AeadAes256Gcm => Ok(Box::new(Gcm::new(&derivation)?)),
    }
}

fn counter<C: Schedule + 'static>(derivation: &Derivation, rtp_tag: usize) -> Result<Box<dyn Transform>, SrtpError> {
    Ok(Box::new(AesCm::<C>::new(derivation, rtp_tag)?))
}
