//! How a leg secures its audio: what the configuration says of its peer.

use crate::plan::SrtpProfile;
use serde::{Deserialize, Serialize};

/// Whether a leg's own offers ask for SRTP. A peer's offer decides for itself, but for [`Srtp::Required`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Srtp {
    /// Plain RTP.
    #[default]
    Off,
    /// RTP/AVP with keys or a fingerprint, which a peer that knows SRTP takes up (RFC 8643).
    Optional,
    /// A secured transport; plain RTP is refused in offers and answers.
    Required,
}

/// What a leg's peer is offered and held to. Browsers have only one way; for them it says nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Security {
    /// Whether SRTP is asked for.
    pub srtp: Srtp,
    /// How the keys of the node's own offers are agreed.
    #[serde(default)]
    pub keying: Keying,
    /// Suites of SDES, in order of preference.
    #[serde(default)]
    pub suites: Suites,
    /// Its SDES keys may be told to the other side of a call, and the other side's to it, so that SRTP passes untouched.
    #[serde(default)]
    pub pass: bool,
}

/// How the keys of the node's own offers are agreed. A peer's offer says its own way; where it has both, DTLS is taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Keying {
    /// Keys in the description (RFC 4568).
    #[default]
    Sdes,
    /// A handshake on the media path (RFC 5763).
    Dtls,
}

impl From<Srtp> for Security {
    fn from(srtp: Srtp) -> Self {
        Security { srtp, ..Security::default() }
    }
}

impl Security {
    /// The node's own offers hold a fingerprint.
    pub(crate) fn asks_for_dtls(&self) -> bool {
        self.srtp != Srtp::Off && self.keying == Keying::Dtls
    }
}

/// Suites of keys in a description (RFC 4568 6.2, RFC 6188 4, RFC 7714 14): those that are offered, in this order, and that are taken up.
/// Without a list of one's own the usual ones are offered, and whatever the relay does is taken up.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Option<Vec<String>>", into = "Option<Vec<String>>")]
pub struct Suites(Option<Vec<SrtpProfile>>);

/// Most widely understood first: some phones read only the first line. The short tag is last, because it is the weaker one. Those of
/// RFC 6188 are not among them: a longer offer is what old phones stumble over, and who has them has AES-GCM as a rule.
const USUAL: [SrtpProfile; 4] =
    [SrtpProfile::Aes128CmSha1_80, SrtpProfile::AeadAes256Gcm, SrtpProfile::AeadAes128Gcm, SrtpProfile::Aes128CmSha1_32];

const ALL: [SrtpProfile; 8] = {
    let [first, second, third, fourth] = USUAL;
    use SrtpProfile::*;
    [first, second, third, fourth, Aes256CmSha1_80, Aes256CmSha1_32, Aes192CmSha1_80, Aes192CmSha1_32]
};

impl Suites {
    /// Those of the node's own offers, in order of preference.
    pub fn offered(&self) -> impl Iterator<Item = SrtpProfile> {
        self.0.as_deref().unwrap_or(&USUAL).iter().copied()
    }

    /// Whether it is taken up in a peer's offer.
    pub fn take(&self, suite: SrtpProfile) -> bool {
        self.0.as_deref().unwrap_or(&ALL).contains(&suite)
    }
}

impl TryFrom<Option<Vec<String>>> for Suites {
    type Error = String;

    fn try_from(names: Option<Vec<String>>) -> Result<Suites, String> {
        names.map_or(Ok(Suites::default()), Suites::try_from)
    }
}

impl TryFrom<Vec<String>> for Suites {
    type Error = String;

    /// At least one, each once.
    fn try_from(names: Vec<String>) -> Result<Suites, String> {
        let known = || ALL.map(suite_name).join(", ");
        let mut suites = Vec::new();
        for name in names {
            let suite = suite_named(&name).ok_or_else(|| format!("no suite is named `{name}`; there are {}", known()))?;
            if suites.contains(&suite) {
                return Err(format!("suite `{name}` stands twice"));
            }
            suites.push(suite);
        }
        if suites.is_empty() { Err(format!("one suite at least; there are {}", known())) } else { Ok(Suites(Some(suites))) }
    }
}

impl From<Suites> for Option<Vec<String>> {
    fn from(suites: Suites) -> Self {
        suites.0.map(|list| list.into_iter().map(|suite| suite_name(suite).to_owned()).collect())
    }
}

/// The name of a suite in a description (RFC 4568 6.2, RFC 6188 4, RFC 7714 14.1).
pub(crate) fn suite_name(suite: SrtpProfile) -> &'static str {
    match suite {
        SrtpProfile::Aes128CmSha1_80 => "AES_CM_128_HMAC_SHA1_80",
        SrtpProfile::Aes128CmSha1_32 => "AES_CM_128_HMAC_SHA1_32",
        SrtpProfile::AeadAes128Gcm => "AEAD_AES_128_GCM",
        SrtpProfile::AeadAes256Gcm => "AEAD_AES_256_GCM",
        SrtpProfile::Aes192CmSha1_80 => "AES_192_CM_HMAC_SHA1_80",
        SrtpProfile::Aes192CmSha1_32 => "AES_192_CM_HMAC_SHA1_32",
        SrtpProfile::Aes256CmSha1_80 => "AES_256_CM_HMAC_SHA1_80",
        SrtpProfile::Aes256CmSha1_32 => "AES_256_CM_HMAC_SHA1_32",
    }
}

/// The suite of a name.
pub(crate) fn suite_named(name: &str) -> Option<SrtpProfile> {
    ALL.into_iter().find(|suite| suite_name(*suite) == name)
}
