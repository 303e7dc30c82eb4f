//! Session keys from the master key (RFC 3711 4.3, RFC 6188 3, RFC 7714 11), key derivation rate 0.

use super::SrtpError;
use crate::plan::SrtpKeys;
use aes::{Aes128Enc, Aes192Enc, Aes256Enc};
use ctr::cipher::consts::U16;
use ctr::cipher::{BlockCipher, BlockEncrypt, BlockSizeUser, InnerIvInit, KeyInit, StreamCipher, StreamCipherCoreWrapper};
use zeroize::Zeroizing;

/// AES in counter mode over an expanded key that is only borrowed, so that a packet costs no key expansion.
pub(super) trait CounterMode {
    /// Adds the keystream that begins with `iv`.
    fn apply(&self, iv: &[u8; 16], data: &mut [u8]);
}

/// AES with a key of one length, expanded.
pub(super) trait Schedule: KeyInit + CounterMode + Send + Sync + 'static {}

impl<C: BlockSizeUser<BlockSize = U16> + BlockCipher + BlockEncrypt> CounterMode for C {
    fn apply(&self, iv: &[u8; 16], data: &mut [u8]) {
        let core = ctr::CtrCore::<&C, ctr::flavors::Ctr128BE>::inner_iv_init(self, iv.into());
        StreamCipherCoreWrapper::from_core(core).apply_keystream(data);
    }
}

impl<C: KeyInit + CounterMode + Send + Sync + 'static> Schedule for C {}

/// Labels of RFC 3711 4.3.1 and 4.3.2.
#[derive(Clone, Copy)]
pub(super) enum Label {
    RtpEncryption = 0,
    RtpAuthentication = 1,
    RtpSalt = 2,
    RtcpEncryption = 3,
    RtcpAuthentication = 4,
    RtcpSalt = 5,
}

/// The pseudo-random function of RFC 3711 4.3.3, AES-CM with the master key, whatever its length (RFC 6188 3). GCM's 12 octets of salt
/// are followed by two octets of zero (RFC 7714 11).
pub(super) struct Derivation {
    master: Box<dyn CounterMode>,
    salt: Zeroizing<[u8; 14]>,
    is_256: bool,
}

impl Derivation {
    /// Refuses keys whose lengths are not those of the profile.
    pub(super) fn new(keys: &SrtpKeys) -> Result<Derivation, SrtpError> {
        let (key_len, salt_len) = keys.profile.lengths();
        if (keys.key.len(), keys.salt.len()) != (key_len, salt_len) {
            return Err(SrtpError::KeyLength);
        }
        let mut salt = Zeroizing::new([0; 14]);
        salt[..salt_len].copy_from_slice(&keys.salt);
        let master: Box<dyn CounterMode> = match key_len {
            16 => Box::new(expanded::<Aes128Enc>(&keys.key)?),
            24 => Box::new(expanded::<Aes192Enc>(&keys.key)?),
            _ => Box::new(expanded::<Aes256Enc>(&keys.key)?),
        };
        Ok(Derivation { master, salt, is_256: key_len == 32 })
    }

    /// `N` octets for `label`. The label lies at the 8th octet of the 14-octet x: `label * 2^48` with index DIV kdr 0.
    pub(super) fn octets<const N: usize>(&self, label: Label) -> Zeroizing<[u8; N]> {
        let mut iv = [0; 16];
        iv[..14].copy_from_slice(&*self.salt);
        iv[7] ^= label as u8;
        let mut out = Zeroizing::new([0; N]);
        self.master.apply(&iv, &mut *out);
        out
    }

    /// Whether master and session keys have 256 bits.
    pub(super) fn is_256(&self) -> bool {
        self.is_256
    }

    /// A session encryption key, expanded. It is as long as the cipher's.
    pub(super) fn cipher<C: Schedule>(&self, label: Label) -> Result<C, SrtpError> {
        // As long as the longest: a shorter key is the beginning of it.
        let key = self.octets::<32>(label);
        expanded(key.get(..C::key_size()).unwrap_or_default())
    }
}

fn expanded<C: KeyInit>(key: &[u8]) -> Result<C, SrtpError> {
    C::new_from_slice(key).map_err(|_| SrtpError::KeyLength)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::SrtpProfile;
    use crate::srtp::tests::hex;

    /// Master key and salt, then cipher key, cipher salt and authentication key.
    fn check(profile: SrtpProfile, [key, salt]: [&str; 2], [cipher, cipher_salt, authentication]: [&str; 3]) {
        let derivation = Derivation::new(&SrtpKeys { profile, key: hex(key), salt: hex(salt) }).unwrap();
        assert_eq!(derivation.octets::<32>(Label::RtpEncryption)[..hex(key).len()], hex(cipher));
        assert_eq!(derivation.octets::<14>(Label::RtpSalt).to_vec(), hex(cipher_salt));
        assert_eq!(derivation.octets::<20>(Label::RtpAuthentication).to_vec(), hex(authentication));
    }

    /// RFC 6188 7.2 and 7.4.
    #[test]
    fn key_derivation_of_rfc_6188() {
        check(
            SrtpProfile::Aes256CmSha1_80,
            ["f0f04914b513f2763a1b1fa130f10e2998f6f6e43e4309d1e622a0e332b9f1b6", "3b04803de51ee7c96423ab5b78d2"],
            [
                "5ba1064e30ec51613cad926c5a28ef731ec7fb397f70a960653caf06554cd8c4",
                "fa31791685ca444a9e07c6c64e93",
                "fd9c32d39ed5fbb5a9dc96b30818454d1313dc05",
            ],
        );
        check(
            SrtpProfile::Aes192CmSha1_80,
            ["73edc66c4fa15776fb57f9505c17136550ffda71f3e8e5f1", "c8522f3acd4ce86d5add78edbb11"],
            [
                "31874736a8f1143870c26e4857d8a5b2c4a354407faadabb",
                "2372b82d639b6d8503a47adc0a6c",
                "355b10973cd95b9eacf4061c7e1a7151e7cfbfcb",
            ],
        );
    }
}
