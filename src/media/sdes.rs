//! Keys in the description (RFC 4568, RFC 6188 4, RFC 7714 14): phones and carriers that secure RTP without DTLS tell each other their SRTP keys in
//! `a=crypto`. Whoever reads the signalling reads the keys, so this is as safe as the TLS that carries it.

use crate::plan::{SrtpKeys, SrtpProfile};
use crate::security::{Suites, suite_name, suite_named};
use base64::Engine;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use ringfort_base::{Entropy, limits};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// Keys of 38, 44 and 46 octets end with padding, which rtpengine leaves out.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// One `a=crypto` that can be used: the keys with which its writer protects what it sends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Crypto {
    /// Names the line in the answer (RFC 4568 4.1).
    pub tag: u32,
    /// Suite, master key and salt.
    pub keys: SrtpKeys,
    /// The node tells them, and the peer at the other side made them.
    #[serde(default)]
    pub lent: bool,
}

impl Crypto {
    /// Reads the text behind `a=crypto:`. `None` when it is malformed, or asks for what the relay does not do: another suite, a
    /// key identifier in the packets (MKI), session parameters that change the transform (RFC 4568 6.3). RFC 4568 5.1.2 has such
    /// a line passed over, since another one may do.
    pub fn parse(text: &str) -> Option<Crypto> {
        let mut words = text.split_ascii_whitespace();
        let (tag, suite, keys) = (words.next()?, words.next()?, words.next()?);
        let tag = tag.parse().ok().filter(|_| tag.len() <= 9 && tag.bytes().all(|b| b.is_ascii_digit()))?;
        let profile = suite_named(suite)?;
        // A hint about the replay window changes nothing between the two sides (RFC 4568 6.3.7).
        if words.any(|parameter| !parameter.starts_with("WSH=")) {
            return None;
        }
        Some(Crypto { tag, keys: read_inline(profile, keys)?, lent: false })
    }

    /// Fresh keys.
    pub fn generate(tag: u32, profile: SrtpProfile, entropy: &mut dyn Entropy) -> Crypto {
        let (key_len, salt_len) = profile.lengths();
        let mut octets = Zeroizing::new(vec![0; key_len + salt_len]);
        entropy.fill(&mut octets);
        Crypto { tag, keys: cut(profile, &octets, key_len), lent: false }
    }

    /// Every one of the suites with keys of its own (RFC 4568 5.1.1).
    pub fn offer(suites: &Suites, entropy: &mut dyn Entropy) -> Vec<Crypto> {
        (1..).zip(suites.offered()).map(|(tag, profile)| Crypto::generate(tag, profile, entropy)).collect()
    }

    /// The text behind `a=crypto:`.
    pub fn text(&self) -> Zeroizing<String> {
        let inline = Zeroizing::new([&self.keys.key[..], &self.keys.salt].concat());
        let inline = Zeroizing::new(STANDARD.encode(&*inline));
        Zeroizing::new(format!("{} {} inline:{}", self.tag, suite_name(self.keys.profile), *inline))
    }

    /// Whether both lines speak of the same choice (RFC 4568 5.1.2: the answer repeats tag and suite).
    pub fn answers(&self, offered: &Crypto) -> bool {
        (self.tag, self.keys.profile) == (offered.tag, offered.keys.profile)
    }
}

/// Those of a section's lines that can be used, in the peer's order. AES-192 is taken only where there is nothing else: libsrtp before 2.8,
/// which most phones and PBXs have, derives its keys otherwise than RFC 6188 says, and nobody would hear anything.
pub(crate) fn usable<'a>(texts: impl Iterator<Item = &'a str>) -> Vec<Crypto> {
    let mut usable: Vec<Crypto> = texts.take(limits::SDES_LINES_MAX).filter_map(Crypto::parse).collect();
    usable.sort_by_key(|crypto| matches!(crypto.keys.profile, SrtpProfile::Aes192CmSha1_80 | SrtpProfile::Aes192CmSha1_32));
    usable
}

/// Name in events.
pub(crate) fn how(profile: SrtpProfile) -> &'static str {
    match profile {
        SrtpProfile::Aes128CmSha1_80 => "sdes-srtp aes-cm-128-80",
        SrtpProfile::Aes128CmSha1_32 => "sdes-srtp aes-cm-128-32",
        SrtpProfile::AeadAes128Gcm => "sdes-srtp aes-gcm-128",
        SrtpProfile::AeadAes256Gcm => "sdes-srtp aes-gcm-256",
        SrtpProfile::Aes192CmSha1_80 => "sdes-srtp aes-cm-192-80",
        SrtpProfile::Aes192CmSha1_32 => "sdes-srtp aes-cm-192-32",
        SrtpProfile::Aes256CmSha1_80 => "sdes-srtp aes-cm-256-80",
        SrtpProfile::Aes256CmSha1_32 => "sdes-srtp aes-cm-256-32",
    }
}

/// `inline:<key||salt>["|" lifetime]["|" MKI ":" length]`. Several keys behind `;` need an MKI, which the relay does not write.
/// The lifetime is a promise of the writer to change keys in time; no call reaches 2^31 packets.
fn read_inline(profile: SrtpProfile, text: &str) -> Option<SrtpKeys> {
    let (method, rest) = text.split_once(':')?;
    let mut parts = rest.split('|');
    let encoded = parts.next().filter(|_| method.eq_ignore_ascii_case("inline") && !rest.contains(';'))?;
    if parts.any(|part| part.contains(':')) {
        return None;
    }
    let octets = Zeroizing::new(LENIENT.decode(encoded).ok()?);
    let (key_len, salt_len) = profile.lengths();
    (octets.len() == key_len + salt_len).then(|| cut(profile, &octets, key_len))
}

fn cut(profile: SrtpProfile, octets: &[u8], key_len: usize) -> SrtpKeys {
    let (key, salt) = octets.split_at(key_len.min(octets.len()));
    SrtpKeys { profile, key: key.to_vec(), salt: salt.to_vec() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ringfort_base::entropy::Seeded;

    /// 30 octets, from 0 on.
    const INLINE: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwd";

    #[test]
    fn what_is_written_reads_back() {
        let long = ["192", "256"].map(|bits| ["80", "32"].map(|tag| format!("AES_{bits}_CM_HMAC_SHA1_{tag}"))).concat();
        let long = Suites::try_from(long).expect("names");
        for crypto in [Suites::default(), long].iter().flat_map(|suites| Crypto::offer(suites, &mut Seeded::new(1))) {
            assert_eq!(Crypto::parse(&crypto.text()), Some(crypto));
        }
    }

    #[test]
    fn key_and_salt_are_cut_as_the_suite_says() {
        let text = format!("1 AES_CM_128_HMAC_SHA1_80 inline:{INLINE}|2^20 WSH=64");
        let keys = Crypto::parse(&text).expect("usable").keys;
        assert_eq!((keys.key.clone(), keys.salt.clone()), ((0..16).collect(), (16..30).collect()));
    }

    #[test]
    fn padding_may_be_left_out() {
        let suites = Suites::try_from(vec!["AES_256_CM_HMAC_SHA1_80".to_owned(), "AEAD_AES_256_GCM".to_owned()]);
        for crypto in Crypto::offer(&suites.expect("names"), &mut Seeded::new(1)) {
            let text = crypto.text();
            assert!(text.ends_with('='));
            assert_eq!(Crypto::parse(text.trim_end_matches('=')), Some(crypto));
        }
    }

    #[test]
    fn lines_that_cannot_be_used_are_passed_over() {
        for text in [
            format!("1 AES_192_CM_HMAC_SHA1_80 inline:{INLINE}"),
            format!("1 AES_256_CM_HMAC_SHA1_32 inline:{INLINE}"),
            format!("1 F8_128_HMAC_SHA1_80 inline:{INLINE}"),
            format!("x AES_CM_128_HMAC_SHA1_80 inline:{INLINE}"),
            format!("1234567890 AES_CM_128_HMAC_SHA1_80 inline:{INLINE}"),
            format!("1 AES_CM_128_HMAC_SHA1_80 inline:{INLINE}|2^20|1:4"),
            format!("1 AES_CM_128_HMAC_SHA1_80 inline:{INLINE};inline:{INLINE}"),
            format!("1 AES_CM_128_HMAC_SHA1_80 inline:{INLINE} UNENCRYPTED_SRTP"),
            format!("1 AES_CM_128_HMAC_SHA1_80 inline:{INLINE} KDR=1"),
            format!("1 AES_CM_128_HMAC_SHA1_80 uri:{INLINE}"),
            format!("1 AEAD_AES_256_GCM inline:{INLINE}"),
            "1 AES_CM_128_HMAC_SHA1_80 inline:%%%".to_owned(),
            "1 AES_CM_128_HMAC_SHA1_80".to_owned(),
            String::new(),
        ] {
            assert_eq!(Crypto::parse(&text), None, "{text}");
        }
    }
}
