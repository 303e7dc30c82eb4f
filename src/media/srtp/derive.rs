//! Session keys from the master key (RFC 3711 4.3, RFC 7714 11), key derivation rate 0.

use super::SrtpError;
use crate::plan::{SrtpKeys, SrtpProfile};
use aes::Aes128Enc;
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
    key: Zeroizing<[u8; 16]>,
    salt: Zeroizing<[u8; 14]>,
}

impl Derivation {
    /// Refuses keys whose lengths are not those of the profile.
    pub(super) fn new(keys: &SrtpKeys) -> Result<Derivation, SrtpError> {
        let salt_len = match keys.profile {
            SrtpProfile::Aes128CmSha1_80 => 14,
            SrtpProfile::AeadAes128Gcm => 12,
        };
        let key: [u8; 16] = keys.key.as_slice().try_into().map_err(|_| SrtpError::KeyLength)?;
        if keys.salt.len() != salt_len {
            return Err(SrtpError::KeyLength);
        }
        let mut salt = Zeroizing::new([0; 14]);
        salt[..salt_len].copy_from_slice(&keys.salt);
        Ok(Derivation { key: Zeroizing::new(key), salt })
    }

    /// `N` octets for `label`. The label lies at the 8th octet of the 14-octet x: `label * 2^48` with index DIV kdr 0.
    pub(super) fn octets<const N: usize>(&self, label: Label) -> Zeroizing<[u8; N]> {
        let mut iv = [0; 16];
        iv[..14].copy_from_slice(&*self.salt);
        iv[7] ^= label as u8;
        let mut out = Zeroizing::new([0; N]);
        Ctr128BE::<Aes128Enc>::new((&*self.key).into(), &iv.into()).apply_keystream(&mut *out);
        out
    }

    /// A session encryption key, expanded.
    pub(super) fn cipher(&self, label: Label) -> Aes128Enc {
        Aes128Enc::new((&*self.octets::<16>(label)).into())
    }
}
