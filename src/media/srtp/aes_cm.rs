//! AES_CM_128_HMAC_SHA1_80 and AES_CM_128_HMAC_SHA1_32 (RFC 3711 4.1.1, 4.2.1, RFC 4568 6.2).

use super::SrtpError;
use super::derive::{Derivation, Label, keystream};
use super::header::{RTCP_CLEAR, RtpHeader};
use aes::Aes128Enc;
use hmac::{Hmac, Mac};
use sha1::Sha1;

/// Octets of the authentication tag of SRTCP, and as a rule of SRTP.
const TAG: usize = 10;
/// E bit and index of an SRTCP packet.
const WORD: usize = 4;

/// Session keys of SRTP or of SRTCP: expanded cipher key, salt, and the HMAC with its key already absorbed.
struct Session {
    cipher: Aes128Enc,
    salt: [u8; 14],
    mac: Hmac<Sha1>,
}

impl Session {
    fn new(derivation: &Derivation, encryption: Label, authentication: Label, salt: Label) -> Result<Session, SrtpError> {
        let key = derivation.octets::<20>(authentication);
        Ok(Session {
            cipher: derivation.cipher(encryption),
            salt: *derivation.octets(salt),
            mac: Hmac::new_from_slice(&*key).map_err(|_| SrtpError::KeyLength)?,
        })
    }

    /// IV = salt * 2^16 XOR SSRC * 2^64 XOR index * 2^16 (RFC 3711 4.1.1).
    fn crypt(&self, ssrc: u32, index: u64, data: &mut [u8]) {
        let mut iv = [0; 16];
        iv[..14].copy_from_slice(&self.salt);
        xor(&mut iv[4..8], &ssrc.to_be_bytes());
        xor(&mut iv[6..14], &index.to_be_bytes());
        keystream(&self.cipher, &iv, data);
    }

    /// HMAC-SHA1 over `data` and, for SRTP, the roll-over counter behind it.
    fn mac(&self, data: &[u8], roc: &[u8]) -> Hmac<Sha1> {
        let mut mac = self.mac.clone();
        mac.update(data);
        mac.update(roc);
        mac
    }

    /// In constant time.
    fn verify(&self, data: &[u8], roc: &[u8], tag: &[u8]) -> Result<(), SrtpError> {
        self.mac(data, roc).verify_truncated_left(tag).map_err(|_| SrtpError::AuthFailed)
    }
}

fn xor(to: &mut [u8], with: &[u8]) {
    to.iter_mut().zip(with).for_each(|(a, b)| *a ^= b);
}

/// Both halves of one direction.
pub(super) struct AesCm {
    rtp: Session,
    rtcp: Session,
    /// Octets of the tag of SRTP.
    rtp_tag: usize,
}

impl AesCm {
    /// 80 bits.
    pub(super) const LONG_TAG: usize = TAG;
    /// 32 bits.
    pub(super) const SHORT_TAG: usize = 4;

    /// `rtp_tag`: octets of the tag of SRTP.
    pub(super) fn new(derivation: &Derivation, rtp_tag: usize) -> Result<AesCm, SrtpError> {
        use Label::*;
        Ok(AesCm {
            rtp: Session::new(derivation, RtpEncryption, RtpAuthentication, RtpSalt)?,
            rtcp: Session::new(derivation, RtcpEncryption, RtcpAuthentication, RtcpSalt)?,
            rtp_tag,
        })
    }

    /// `buffer[..len]` is the packet; the tag is written behind it. Returns the new length.
    pub(super) fn seal_rtp(&self, buffer: &mut [u8], len: usize, header: RtpHeader, index: u64) -> Result<usize, SrtpError> {
        let (packet, room) = buffer.split_at_mut_checked(len).ok_or(SrtpError::NoRoom)?;
        let place = room.get_mut(..self.rtp_tag).ok_or(SrtpError::NoRoom)?;
        self.rtp.crypt(header.ssrc, index, &mut packet[header.len..]);
        let tag = self.rtp.mac(packet, &roc(index)).finalize().into_bytes();
        place.copy_from_slice(&tag[..self.rtp_tag]);
        Ok(len + self.rtp_tag)
    }

    /// Verifies first, decrypts then. Returns the new length.
    pub(super) fn open_rtp(&self, packet: &mut [u8], header: RtpHeader, index: u64) -> Result<usize, SrtpError> {
        let end = packet.len().checked_sub(self.rtp_tag).ok_or(SrtpError::TooShort)?;
        let (data, tag) = packet.split_at_mut(end);
        if data.len() < header.len {
            return Err(SrtpError::TooShort);
        }
        self.rtp.verify(data, &roc(index), tag)?;
        self.rtp.crypt(header.ssrc, index, &mut data[header.len..]);
        Ok(data.len())
    }

    /// As [`AesCm::seal_rtp`]; the trailer is E bit and index, then the tag (RFC 3711 3.4).
    pub(super) fn seal_rtcp(&self, buffer: &mut [u8], len: usize, ssrc: u32, index: u32) -> Result<usize, SrtpError> {
        let (body, rest) = buffer.split_at_mut_checked(len + WORD).ok_or(SrtpError::NoRoom)?;
        let place = rest.first_chunk_mut::<TAG>().ok_or(SrtpError::NoRoom)?;
        self.rtcp.crypt(ssrc, index.into(), &mut body[RTCP_CLEAR..len]);
        body[len..].copy_from_slice(&(super::transform::E_BIT | index).to_be_bytes());
        let tag = self.rtcp.mac(body, &[]).finalize().into_bytes();
        place.copy_from_slice(&tag[..TAG]);
        Ok(len + WORD + TAG)
    }

    /// As [`AesCm::open_rtp`].
    pub(super) fn open_rtcp(&self, packet: &mut [u8], ssrc: u32, word: u32) -> Result<usize, SrtpError> {
        let (body, tag) = packet.split_last_chunk_mut::<TAG>().ok_or(SrtpError::TooShort)?;
        let len = body.len().checked_sub(WORD).filter(|len| *len >= RTCP_CLEAR).ok_or(SrtpError::TooShort)?;
        self.rtcp.verify(body, &[], tag)?;
        if word & super::transform::E_BIT != 0 {
            self.rtcp.crypt(ssrc, u64::from(word & super::transform::INDEX_MAX), &mut body[RTCP_CLEAR..len]);
        }
        Ok(len)
    }

    /// E bit and index of an SRTCP packet: before the tag.
    pub(super) fn rtcp_word(packet: &[u8]) -> Result<u32, SrtpError> {
        let (body, _) = packet.split_last_chunk::<TAG>().ok_or(SrtpError::TooShort)?;
        let (_, word) = body.split_last_chunk::<WORD>().ok_or(SrtpError::TooShort)?;
        Ok(u32::from_be_bytes(*word))
    }
}

/// The roll-over counter as it goes into the MAC; an index has 48 bits, so its upper 32 are the counter.
fn roc(index: u64) -> [u8; 4] {
    ((index >> 16) as u32).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{SrtpKeys, SrtpProfile};
    use ctr::cipher::KeyInit;

    fn hex(text: &str) -> Vec<u8> {
        crate::srtp::tests::hex(text)
    }

    /// RFC 3711 B.2: session key and salt with SSRC 0 and index 0.
    #[test]
    fn keystream_of_rfc_3711() {
        let cipher = Aes128Enc::new(hex("2b7e151628aed2a6abf7158809cf4f3c").as_slice().into());
        let salt = hex("f0f1f2f3f4f5f6f7f8f9fafbfcfd").try_into().unwrap();
        let session = Session { cipher, salt, mac: <Hmac<Sha1> as Mac>::new_from_slice(&[0; 20]).unwrap() };
        let mut data = vec![0; 0xff02 * 16];
        session.crypt(0, 0, &mut data);
        assert_eq!(
            data[..48],
            hex("e03ead0935c95e80e166b16dd92b4eb4d23513162b02d0f72a43a2fe4a5f97ab41e95b3bb0a2e8dd477901e4fca894c0")
        );
        assert_eq!(
            data[0xfeff * 16..],
            hex("ec8cdf7398607cb0f2d21675ea9ea1e4362b7c3c6773516318a077d7fc5073ae6a2cc3787889374fbeb4c81b17ba6c44")
        );
    }

    /// RFC 3711 B.3.
    #[test]
    fn key_derivation_of_rfc_3711() {
        let keys = SrtpKeys {
            profile: SrtpProfile::Aes128CmSha1_80,
            key: hex("e1f97a0d3e018be0d64fa32c06de4139"),
            salt: hex("0ec675ad498afeebb6960b3aabe6"),
        };
        let derivation = Derivation::new(&keys).unwrap();
        assert_eq!(derivation.octets::<16>(Label::RtpEncryption).as_slice(), hex("c61e7a93744f39ee10734afe3ff7a087"));
        assert_eq!(derivation.octets::<14>(Label::RtpSalt).as_slice(), hex("30cbbc08863d8c85d49db34a9ae1"));
        let authentication = "cebe321f6ff7716b6fd4ab49af256a156d38baa48f0a0acf3c34e2359e6cdbcee049646c43d9327ad175578ef72270986371c1\
             0c9a369ac2f94a8c5fbcdddc256d6e919a48b610ef17c2041e474035766b68642c59bbfc2f34db60dbdfb2";
        assert_eq!(derivation.octets::<94>(Label::RtpAuthentication).as_slice(), hex(authentication));
    }
}
