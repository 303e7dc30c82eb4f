//! Session keys from the master key (RFC 3711 4.3, RFC 7714 11), key derivation rate 0.

use super::SrtpError;
use crate::plan::{SrtpKeys, SrtpProfile};
use aes::{Aes128Enc, Aes256Enc};
use ctr::Ctr128BE;
use ctr::cipher::{InnerIvInit, KeyInit, KeyIvInit, StreamCipher, StreamCipherCoreWrapper};
use zeroize::Zeroizing;

/// AES-128 in counter mode over a key schedule that is only borrowed, so that a packet costs no key expansion.
pub(super) fn keystream(cipher: &Aes128Enc, iv: &[u8; 16], data: &mut [u8]) {
    let core = ctr::CtrCore::<&Aes128Enc, ctr::flavors::Ctr128BE>::inner_iv_init(cipher, iv.into());
    StreamCipherCoreWrapper::from_core(core).apply_keystream(data);
}

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

/// The pseudo-random function of RFC 3711 4.3.3, AES-CM with the master key. GCM's 12 octets of salt are followed by two
/// octets of zero (RFC 7714 11).
pub(super) struct Derivation {
    key: Zeroizing<Vec<u8>>,
    salt: Zeroizing<[u8; 14]>,
}

impl Derivation {
    /// Refuses keys whose lengths are not those of the profile.
    pub(super) fn new(keys: &SrtpKeys) -> Result<Derivation, SrtpError> {
        let (key_len, salt_len) = match keys.profile {
            SrtpProfile::Aes128CmSha1_80 | SrtpProfile::Aes128CmSha1_32 => (16, 14),
            SrtpProfile::AeadAes128Gcm => (16, 12),
            SrtpProfile::AeadAes256Gcm => (32, 12),
        };
        if (keys.key.len(), keys.salt.len()) != (key_len, salt_len) {
            return Err(SrtpError::KeyLength);
        }
        let mut salt = Zeroizing::new([0; 14]);
        salt[..salt_len].copy_from_slice(&keys.salt);
        Ok(Derivation { key: Zeroizing::new(keys.key.clone()), salt })
    }

    /// `N` octets for `label`. The label lies at the 8th octet of the 14-octet x: `label * 2^48` with index DIV kdr 0.
    pub(super) fn octets<const N: usize>(&self, label: Label) -> Zeroizing<[u8; N]> {
        let mut iv = [0; 16];
        iv[..14].copy_from_slice(&*self.salt);
        iv[7] ^= label as u8;
        let mut out = Zeroizing::new([0; N]);
        // RFC 6188 3.1: the PRF of a 256-bit master key is AES-256 in counter mode.
        match <&[u8; 32]>::try_from(self.key.as_slice()) {
            Ok(key) => Ctr128BE::<Aes256Enc>::new(key.into(), &iv.into()).apply_keystream(&mut *out),
            Err(_) => Ctr128BE::<Aes128Enc>::new(self.key.as_slice().into(), &iv.into()).apply_keystream(&mut *out),
        }
        out
    }

    /// Whether master and session keys have 256 bits.
    pub(super) fn is_256(&self) -> bool {
        self.key.len() == 32
    }

    /// A session encryption key, expanded.
    pub(super) fn cipher(&self, label: Label) -> Aes128Enc {
        Aes128Enc::new((&*self.octets::<16>(label)).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6188 7.4.
    #[test]
    fn aes_256_key_derivation() {
        let hex = |text: &str| -> Vec<u8> {
            (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
        };
        let key = hex("f0f04914b513f2763a1b1fa130f10e2998f6f6e43e4309d1e622a0e332b9f1b6");
        let salt: [u8; 14] = hex("3b04803de51ee7c96423ab5b78d2").try_into().unwrap();
        let derivation = Derivation { key: Zeroizing::new(key), salt: Zeroizing::new(salt) };
        let session = derivation.octets::<32>(Label::RtpEncryption);
        assert_eq!(session.to_vec(), hex("5ba1064e30ec51613cad926c5a28ef731ec7fb397f70a960653caf06554cd8c4"));
        assert_eq!(derivation.octets::<14>(Label::RtpSalt).to_vec(), hex("fa31791685ca444a9e07c6c64e93"));
        let authentication = derivation.octets::<20>(Label::RtpAuthentication);
        assert_eq!(authentication.to_vec(), hex("fd9c32d39ed5fbb5a9dc96b30818454d1313dc05"));
    }
}
