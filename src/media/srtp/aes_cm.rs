//! AES in counter mode with HMAC-SHA1: the suites of RFC 3711 (4.1.1, 4.2.1) and RFC 4568 6.2, and with longer keys those of RFC 6188.

use super::SrtpError;
use super::derive::{Derivation, Label, Schedule};
use super::header::{RTCP_CLEAR, RtpHeader};
use super::needed::{Span, span};
use super::transform::Transform;
use hmac::{Hmac, Mac};
use sha1::Sha1;

/// Octets of the authentication tag of SRTCP, and as a rule of SRTP.
const TAG: usize = 10;
/// E bit and index of an SRTCP packet.
const WORD: usize = 4;
/// Octets of the longest expanded key, where the processor knows AES. Without that it has more.
const EXPANDED: usize = 15 * 16;

/// Session keys of SRTP or of SRTCP: expanded cipher key, salt, and the HMAC with its key already absorbed.
struct Session<C> {
    cipher: C,
    salt: [u8; 14],
    mac: Hmac<Sha1>,
}

impl<C: Schedule> Session<C> {
    fn new(derivation: &Derivation, encryption: Label, authentication: Label, salt: Label) -> Result<Session<C>, SrtpError> {
        let key = derivation.octets::<20>(authentication);
        Ok(Session {
            cipher: derivation.cipher(encryption)?,
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
        self.cipher.apply(&iv, data);
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

/// Octets of the long tag of SRTP, 80 bits.
pub(super) const LONG_TAG: usize = TAG;
/// Octets of the short one, 32 bits.
pub(super) const SHORT_TAG: usize = 4;

/// Both halves of one direction, by the key schedule of one key length.
pub(super) struct AesCm<C> {
    rtp: Session<C>,
    rtcp: Session<C>,
    /// Octets of the tag of SRTP.
    rtp_tag: usize,
}

impl<C: Schedule> AesCm<C> {
    /// `rtp_tag`: octets of the tag of SRTP.
    pub(super) fn new(derivation: &Derivation, rtp_tag: usize) -> Result<AesCm<C>, SrtpError> {
        use Label::*;
        Ok(AesCm {
            rtp: Session::new(derivation, RtpEncryption, RtpAuthentication, RtpSalt)?,
            rtcp: Session::new(derivation, RtcpEncryption, RtcpAuthentication, RtcpSalt)?,
            rtp_tag,
        })
    }
}

impl<C: Schedule> Transform for AesCm<C> {
    fn seal_rtp(&self, buffer: &mut [u8], len: usize, header: RtpHeader, index: u64) -> Result<usize, SrtpError> {
        let (packet, room) = buffer.split_at_mut_checked(len).ok_or(SrtpError::NoRoom)?;
        let place = room.get_mut(..self.rtp_tag).ok_or(SrtpError::NoRoom)?;
        self.rtp.crypt(header.ssrc, index, &mut packet[header.len..]);
        let tag = self.rtp.mac(packet, &roc(index)).finalize().into_bytes();
        place.copy_from_slice(&tag[..self.rtp_tag]);
        Ok(len + self.rtp_tag)
    }

    /// Verifies first, decrypts then.
    fn open_rtp(&self, packet: &mut [u8], header: RtpHeader, index: u64) -> Result<usize, SrtpError> {
        let end = packet.len().checked_sub(self.rtp_tag).ok_or(SrtpError::TooShort)?;
        let (data, tag) = packet.split_at_mut(end);
        if data.len() < header.len {
            return Err(SrtpError::TooShort);
        }
        self.rtp.verify(data, &roc(index), tag)?;
        self.rtp.crypt(header.ssrc, index, &mut data[header.len..]);
        Ok(data.len())
    }

    /// The trailer is E bit and index, then the tag (RFC 3711 3.4).
    fn seal_rtcp(&self, buffer: &mut [u8], len: usize, ssrc: u32, index: u32) -> Result<usize, SrtpError> {
        let (body, rest) = buffer.split_at_mut_checked(len + WORD).ok_or(SrtpError::NoRoom)?;
        let place = rest.first_chunk_mut::<TAG>().ok_or(SrtpError::NoRoom)?;
        self.rtcp.crypt(ssrc, index.into(), &mut body[RTCP_CLEAR..len]);
        body[len..].copy_from_slice(&(super::transform::E_BIT | index).to_be_bytes());
        let tag = self.rtcp.mac(body, &[]).finalize().into_bytes();
        place.copy_from_slice(&tag[..TAG]);
        Ok(len + WORD + TAG)
    }

    fn open_rtcp(&self, packet: &mut [u8], ssrc: u32, word: u32) -> Result<usize, SrtpError> {
        let (body, tag) = packet.split_last_chunk_mut::<TAG>().ok_or(SrtpError::TooShort)?;
        let len = body.len().checked_sub(WORD).filter(|len| *len >= RTCP_CLEAR).ok_or(SrtpError::TooShort)?;
        self.rtcp.verify(body, &[], tag)?;
        if word & super::transform::E_BIT != 0 {
            self.rtcp.crypt(ssrc, u64::from(word & super::transform::INDEX_MAX), &mut body[RTCP_CLEAR..len]);
        }
        Ok(len)
    }

    fn needed(&self) -> [Span; 2] {
        let (at, len) = span(&self.rtp.cipher);
        [(at, len.min(EXPANDED)), span(&self.rtp.mac)]
    }

    /// Before the tag.
    fn rtcp_word(&self, packet: &[u8]) -> Result<u32, SrtpError> {
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
    use crate::srtp::tests::hex;
    use aes::{Aes128Enc, Aes192Enc, Aes256Enc};

    /// The first three blocks and the last three of 65,282, with SSRC 0 and index 0.
    fn check_keystream<C: Schedule>(key: &str, first: &str, last: &str) {
        let cipher = C::new_from_slice(&hex(key)).unwrap();
        let salt = hex("f0f1f2f3f4f5f6f7f8f9fafbfcfd").try_into().unwrap();
        let session = Session { cipher, salt, mac: <Hmac<Sha1> as Mac>::new_from_slice(&[0; 20]).unwrap() };
        let mut data = vec![0; 0xff02 * 16];
        session.crypt(0, 0, &mut data);
        assert_eq!((&data[..48], &data[0xfeff * 16..]), (&hex(first)[..], &hex(last)[..]));
    }

    /// RFC 3711 B.2.
    #[test]
    fn keystream_of_rfc_3711() {
        check_keystream::<Aes128Enc>(
            "2b7e151628aed2a6abf7158809cf4f3c",
            "e03ead0935c95e80e166b16dd92b4eb4d23513162b02d0f72a43a2fe4a5f97ab41e95b3bb0a2e8dd477901e4fca894c0",
            "ec8cdf7398607cb0f2d21675ea9ea1e4362b7c3c6773516318a077d7fc5073ae6a2cc3787889374fbeb4c81b17ba6c44",
        );
    }

    /// RFC 6188 7.1 and 7.3.
    #[test]
    fn keystream_of_rfc_6188() {
        check_keystream::<Aes256Enc>(
            "57f82fe3613fd170a85ec93c40b1f0922ec4cb0dc025b58272147cc438944a98",
            "92bdd28a93c3f52511c677d08b5515a49da71b2378a854f67050756ded165bac63c4868b7096d88421b563b8c94c9a31",
            "cea518c90fd91ced9cbb18c078a547113dbc4814f4da5f00a08772b63c6a046d6eb246913062a16891433e97dd01a57f",
        );
        check_keystream::<Aes192Enc>(
            "eab234764e517b2d3d160d587d8c86219740f65f99b6bcf7",
            "35096cba4610028dc1b57503804ce37c5de986291dcce161d5165ec4568f5c9a474a40c77894bc17180202272a4c264d",
            "d108d1a31a00bad6367ec23eb044b415c8f57129fdeb970b59f917b257662d4ca5dab625811034e8cebdfeb6dc158dd3",
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
