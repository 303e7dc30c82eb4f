//! The transform of a profile, chosen once for a direction.

use super::SrtpError;
use super::aes_cm::AesCm;
use super::derive::Derivation;
use super::gcm::Gcm;
use super::header::RtpHeader;
use crate::plan::{SrtpKeys, SrtpProfile};

/// The packet is encrypted: first bit of the SRTCP word (RFC 3711 3.4).
pub(super) const E_BIT: u32 = 1 << 31;
/// The largest SRTCP index.
pub(super) const INDEX_MAX: u32 = E_BIT - 1;

/// Boxed, so that a direction without packets is small and moving one is cheap.
pub(super) enum Transform {
    AesCm(Box<AesCm>),
    Gcm(Box<Gcm>),
}

impl Transform {
    /// Derives the session keys.
    pub(super) fn new(keys: &SrtpKeys) -> Result<Transform, SrtpError> {
        let derivation = Derivation::new(keys)?;
        Ok(match keys.profile {
            SrtpProfile::Aes128CmSha1_80 => Transform::AesCm(Box::new(AesCm::new(&derivation, AesCm::LONG_TAG)?)),
            SrtpProfile::Aes128CmSha1_32 => Transform::AesCm(Box::new(AesCm::new(&derivation, AesCm::SHORT_TAG)?)),
            SrtpProfile::AeadAes128Gcm | SrtpProfile::AeadAes256Gcm => Transform::Gcm(Box::new(Gcm::new(&derivation)?)),
        })
    }

    pub(super) fn seal_rtp(&self, buffer: &mut [u8], len: usize, header: RtpHeader, index: u64) -> Result<usize, SrtpError> {
        match self {
            Transform::AesCm(t) => t.seal_rtp(buffer, len, header, index),
            Transform::Gcm(t) => t.seal_rtp(buffer, len, header, index),
        }
    }

    pub(super) fn open_rtp(&self, packet: &mut [u8], header: RtpHeader, index: u64) -> Result<usize, SrtpError> {
        match self {
            Transform::AesCm(t) => t.open_rtp(packet, header, index),
            Transform::Gcm(t) => t.open_rtp(packet, header, index),
        }
    }

    pub(super) fn seal_rtcp(&self, buffer: &mut [u8], len: usize, ssrc: u32, index: u32) -> Result<usize, SrtpError> {
        match self {
            Transform::AesCm(t) => t.seal_rtcp(buffer, len, ssrc, index),
            Transform::Gcm(t) => t.seal_rtcp(buffer, len, ssrc, index),
        }
    }

    pub(super) fn open_rtcp(&self, packet: &mut [u8], ssrc: u32, word: u32) -> Result<usize, SrtpError> {
        match self {
            Transform::AesCm(t) => t.open_rtcp(packet, ssrc, word),
            Transform::Gcm(t) => t.open_rtcp(packet, ssrc, word),
        }
    }

    /// E bit and index of an SRTCP packet, not yet authenticated.
    pub(super) fn rtcp_word(&self, packet: &[u8]) -> Result<u32, SrtpError> {
        match self {
            Transform::AesCm(_) => AesCm::rtcp_word(packet),
            Transform::Gcm(_) => Gcm::rtcp_word(packet),
        }
    }
}
