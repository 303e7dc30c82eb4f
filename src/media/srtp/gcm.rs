//! AEAD_AES_128_GCM and AEAD_AES_256_GCM (RFC 7714) with a tag of 16 octets.

use super::SrtpError;
use super::derive::{Derivation, Label};
use super::header::{RTCP_CLEAR, RtpHeader};
use super::needed::{Span, span};
use super::transform::{E_BIT, Transform};
use ring::aead::{AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, Nonce, Tag, UnboundKey};

/// Octets of the authentication tag.
pub(super) const TAG: usize = 16;
/// E bit and index of an SRTCP packet.
const WORD: usize = 4;
/// Associated data of an encrypted SRTCP packet: its clear part and the word (RFC 7714 9.2).
const RTCP_AAD: usize = RTCP_CLEAR + WORD;

/// Session key and salt of SRTP or of SRTCP.
///
/// `LessSafeKey` leaves the nonce to us: it is unique because [`super::SrtpSender`] never uses an index of an SSRC twice.
struct Session {
    key: LessSafeKey,
    salt: [u8; 12],
}

impl Session {
    fn new(derivation: &Derivation, encryption: Label, salt: Label) -> Result<Session, SrtpError> {
        let key = match derivation.is_256() {
            true => UnboundKey::new(&AES_256_GCM, &*derivation.octets::<32>(encryption)),
            false => UnboundKey::new(&AES_128_GCM, &*derivation.octets::<16>(encryption)),
        };
        let key = key.map_err(|_| SrtpError::KeyLength)?;
        Ok(Session { key: LessSafeKey::new(key), salt: *derivation.octets(salt) })
    }

    /// IV = salt XOR (0 || SSRC || 48-bit index): RFC 7714 8.1, and 9.1 with two octets of zero before the SRTCP index.
    fn nonce(&self, ssrc: u32, index: u64) -> Nonce {
        let value = (u128::from(ssrc) << 48 | u128::from(index)).to_be_bytes();
        let mut iv = self.salt;
        iv.iter_mut().zip(&value[4..]).for_each(|(a, b)| *a ^= b);
        Nonce::assume_unique_for_key(iv)
    }

    /// Encrypts `data` and returns the tag. An error can only be a length that GCM does not allow, far above any datagram's.
    fn seal(&self, nonce: Nonce, aad: &[u8], data: &mut [u8]) -> Result<Tag, SrtpError> {
        self.key.seal_in_place_separate_tag(nonce, Aad::from(aad), data).map_err(|_| SrtpError::KeyExhausted)
    }

    fn open(&self, nonce: Nonce, aad: &[u8], tag: [u8; TAG], data: &mut [u8]) -> Result<(), SrtpError> {
        let opened = self.key.open_in_place_separate_tag(nonce, Aad::from(aad), Tag::from(tag), data, 0..);
        opened.map(|_| ()).map_err(|_| SrtpError::AuthFailed)
    }
}

/// Both halves of one direction.
pub(super) struct Gcm {
    rtp: Session,
    rtcp: Session,
}

impl Gcm {
    pub(super) fn new(derivation: &Derivation) -> Result<Gcm, SrtpError> {
        Ok(Gcm {
            rtp: Session::new(derivation, Label::RtpEncryption, Label::RtpSalt)?,
            rtcp: Session::new(derivation, Label::RtcpEncryption, Label::RtcpSalt)?,
        })
    }

    /// From session key and salt, the same for both halves: the RFC's examples begin there.
    #[cfg(test)]
    pub(super) fn with_session(key: &[u8], salt: [u8; 12]) -> Gcm {
        let algorithm = if key.len() == 32 { &AES_256_GCM } else { &AES_128_GCM };
        let session = || Session { key: LessSafeKey::new(UnboundKey::new(algorithm, key).unwrap()), salt };
        Gcm { rtp: session(), rtcp: session() }
    }
}

impl Transform for Gcm {
    fn seal_rtp(&self, buffer: &mut [u8], len: usize, header: RtpHeader, index: u64) -> Result<usize, SrtpError> {
        let (packet, room) = buffer.split_at_mut_checked(len).ok_or(SrtpError::NoRoom)?;
        let place = room.first_chunk_mut::<TAG>().ok_or(SrtpError::NoRoom)?;
        let (aad, data) = packet.split_at_mut(header.len);
        let tag = self.rtp.seal(self.rtp.nonce(header.ssrc, index), aad, data)?;
        place.copy_from_slice(tag.as_ref());
        Ok(len + TAG)
    }

    fn open_rtp(&self, packet: &mut [u8], header: RtpHeader, index: u64) -> Result<usize, SrtpError> {
        let (packet, tag) = packet.split_last_chunk_mut::<TAG>().ok_or(SrtpError::TooShort)?;
        let len = packet.len();
        let (aad, data) = packet.split_at_mut_checked(header.len).ok_or(SrtpError::TooShort)?;
        self.rtp.open(self.rtp.nonce(header.ssrc, index), aad, *tag, data)?;
        Ok(len)
    }

    /// The trailer is the tag, then E bit and index (RFC 7714 9.2).
    fn seal_rtcp(&self, buffer: &mut [u8], len: usize, ssrc: u32, index: u32) -> Result<usize, SrtpError> {
        let word = (E_BIT | index).to_be_bytes();
        let (packet, room) = buffer.split_at_mut_checked(len).ok_or(SrtpError::NoRoom)?;
        let place = room.first_chunk_mut::<{ TAG + WORD }>().ok_or(SrtpError::NoRoom)?;
        let (clear, data) = packet.split_first_chunk_mut::<RTCP_CLEAR>().ok_or(SrtpError::TooShort)?;
        let tag = self.rtcp.seal(self.rtcp.nonce(ssrc, index.into()), &rtcp_aad(clear, word), data)?;
        place[..TAG].copy_from_slice(tag.as_ref());
        place[TAG..].copy_from_slice(&word);
        Ok(len + TAG + WORD)
    }

    /// Without E bit the whole packet is associated data and nothing is encrypted (RFC 7714 9.3);
    /// then the word is moved before the tag, since associated data must be in one piece.
    fn open_rtcp(&self, packet: &mut [u8], ssrc: u32, word: u32) -> Result<usize, SrtpError> {
        let nonce = self.rtcp.nonce(ssrc, u64::from(word & super::transform::INDEX_MAX));
        let len = packet.len().checked_sub(TAG + WORD).filter(|len| *len >= RTCP_CLEAR).ok_or(SrtpError::TooShort)?;
        let (body, trailer) = packet.split_at_mut(len);
        let tag = *trailer.first_chunk::<TAG>().ok_or(SrtpError::TooShort)?;
        if word & E_BIT != 0 {
            let (clear, data) = body.split_first_chunk_mut::<RTCP_CLEAR>().ok_or(SrtpError::TooShort)?;
            self.rtcp.open(nonce, &rtcp_aad(clear, word.to_be_bytes()), tag, data)?;
        } else {
            packet.copy_within(len + TAG.., len);
            self.rtcp.open(nonce, &packet[..len + WORD], tag, &mut [])?;
        }
        Ok(len)
    }

    fn needed(&self) -> [Span; 2] {
        [span(&self.rtp.key), span(&self.rtp.salt)]
    }

    /// Its last word.
    fn rtcp_word(&self, packet: &[u8]) -> Result<u32, SrtpError> {
        packet.last_chunk().map(|word| u32::from_be_bytes(*word)).ok_or(SrtpError::TooShort)
    }
}

fn rtcp_aad(clear: &[u8; RTCP_CLEAR], word: [u8; WORD]) -> [u8; RTCP_AAD] {
    let mut aad = [0; RTCP_AAD];
    aad[..RTCP_CLEAR].copy_from_slice(clear);
    aad[RTCP_CLEAR..].copy_from_slice(&word);
    aad
}
