//! DTLS exporter output to SRTP keys of both directions (RFC 5764 4.2).

use crate::plan::{SrtpKeys, SrtpProfile};
use serde::{Deserialize, Serialize};
use str0m::crypto::dtls;

/// SRTP keys of both directions of one leg.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LegKeys {
    /// With which the node protects what it sends.
    pub ours: SrtpKeys,
    /// With which the peer protects what it sends.
    pub theirs: SrtpKeys,
}

impl LegKeys {
    /// Cuts the exporter's output: client key, server key, client salt, server salt. `None` when the relay does not carry the
    /// profile, or the length is not the profile's.
    pub(super) fn split(profile: dtls::SrtpProfile, material: &[u8], node_is_client: bool) -> Option<LegKeys> {
        let profile = carried(profile)?;
        let (key_len, salt_len) = profile.lengths();
        if material.len() != 2 * (key_len + salt_len) {
            return None;
        }
        let (keys, salts) = material.split_at(2 * key_len);
        let (client_key, server_key) = keys.split_at(key_len);
        let (client_salt, server_salt) = salts.split_at(salt_len);
        let of = |key: &[u8], salt: &[u8]| SrtpKeys { profile, key: key.to_vec(), salt: salt.to_vec() };
        let (client, server) = (of(client_key, client_salt), of(server_key, server_salt));
        Some(if node_is_client { LegKeys { ours: client, theirs: server } } else { LegKeys { ours: server, theirs: client } })
    }

    /// Name of the profile in events.
    pub(super) fn how(&self) -> &'static str {
        match self.ours.profile {
            SrtpProfile::Aes128CmSha1_80 => "dtls-srtp aes-cm-128-80",
            SrtpProfile::Aes128CmSha1_32 => "dtls-srtp aes-cm-128-32",
            SrtpProfile::AeadAes128Gcm => "dtls-srtp aes-gcm-128",
            SrtpProfile::AeadAes256Gcm => "dtls-srtp aes-gcm-256",
            // The others have no number in DTLS; [`LegKeys::split`] makes none of them.
            _ => "dtls-srtp",
        }
    }
}

/// The relay's profile (RFC 5764 4.1.2, RFC 7714 14.2).
fn carried(profile: dtls::SrtpProfile) -> Option<SrtpProfile> {
    match profile {
        dtls::SrtpProfile::AES128_CM_SHA1_80 => Some(SrtpProfile::Aes128CmSha1_80),
        dtls::SrtpProfile::AEAD_AES_128_GCM => Some(SrtpProfile::AeadAes128Gcm),
        dtls::SrtpProfile::AEAD_AES_256_GCM => Some(SrtpProfile::AeadAes256Gcm),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 5764 4.2: client key, server key, client salt, server salt.
    #[test]
    fn material_is_cut_in_the_order_of_the_rfc() {
        let cases = [
            (dtls::SrtpProfile::AES128_CM_SHA1_80, 16, 14),
            (dtls::SrtpProfile::AEAD_AES_128_GCM, 16, 12),
            (dtls::SrtpProfile::AEAD_AES_256_GCM, 32, 12),
        ];
        for (profile, key, salt) in cases {
            let parts = [vec![1; key], vec![2; key], vec![3; salt], vec![4; salt]];
            let material = parts.concat();
            let server = LegKeys::split(profile, &material, false).unwrap();
            assert_eq!((&server.ours.key, &server.ours.salt), (&parts[1], &parts[3]));
            assert_eq!((&server.theirs.key, &server.theirs.salt), (&parts[0], &parts[2]));
            let client = LegKeys::split(profile, &material, true).unwrap();
            assert_eq!((client.ours, client.theirs), (server.theirs, server.ours));
            assert_eq!(LegKeys::split(profile, &material[1..], true), None);
        }
    }
}
