//! A description as a party reads it: by its own eyes, not by the product's parser.

use ringfort_media::plan::{SrtpKeys, SrtpProfile};

/// What a party needs of a description.
#[derive(Clone, Debug, PartialEq)]
pub struct Sdp {
    pub text: String,
    /// Session id and version of `o=`.
    pub origin: (String, u64),
    pub host: String,
    pub port: u16,
    pub proto: String,
    /// Payload type and encoding.
    pub formats: Vec<(u8, String)>,
    pub direction: String,
    /// Tag, suite, keys in base64.
    pub crypto: Vec<(String, String, String)>,
}

fn fixed(payload: u8) -> &'static str {
    match payload {
        0 => "PCMU/8000",
        8 => "PCMA/8000",
        9 => "G722/8000",
        18 => "G729/8000",
        _ => "",
    }
}

impl Sdp {
    /// Reads one audio line.
    pub fn read(text: &str) -> Option<Sdp> {
        let value = |name: &str| text.lines().find_map(|line| line.strip_prefix(name));
        let words = |line: &'_ str| line.split(' ').map(str::to_string).collect::<Vec<_>>();
        let (origin, media) = (words(value("o=")?), words(value("m=audio ")?));
        let mapped = |payload: u8| value(&format!("a=rtpmap:{payload} ")).unwrap_or_else(|| fixed(payload)).to_string();
        let payloads = media.get(2..)?.iter().filter_map(|payload| payload.parse().ok());
        let crypto = text.lines().filter_map(|line| line.strip_prefix("a=crypto:")).filter_map(|line| {
            let line = words(line);
            Some((line.first()?.clone(), line.get(1)?.clone(), line.get(2)?.strip_prefix("inline:")?.to_string()))
        });
        Some(Sdp {
            text: text.to_string(),
            origin: (origin.get(1)?.clone(), origin.get(2)?.parse().ok()?),
            host: words(value("c=IN IP")?).get(1)?.clone(),
            port: media.first()?.parse().ok()?,
            proto: media.get(1)?.clone(),
            formats: payloads.map(|payload| (payload, mapped(payload))).collect(),
            direction: ["sendonly", "recvonly", "inactive"]
                .into_iter()
                .find(|one| text.lines().any(|line| line == format!("a={one}")))
                .unwrap_or("sendrecv")
                .to_string(),
            crypto: crypto.collect(),
        })
    }

    pub fn has(&self, attribute: &str) -> bool {
        self.text.lines().any(|line| line.strip_prefix("a=").is_some_and(|rest| rest.starts_with(attribute)))
    }

    /// Formats that carry speech.
    pub fn speech(&self) -> impl Iterator<Item = &(u8, String)> {
        self.formats.iter().filter(|format| !is_event(&format.1))
    }

    /// Keys of its first line.
    pub fn keys(&self) -> Option<SrtpKeys> {
        let (_, suite, inline) = self.crypto.first()?;
        let octets = decoded(inline);
        (suite == SUITE && octets.len() == 30).then(|| SrtpKeys {
            profile: SrtpProfile::Aes128CmSha1_80,
            key: octets[..16].to_vec(),
            salt: octets[16..].to_vec(),
        })
    }
}

/// What every phone has.
pub const SUITE: &str = "AES_CM_128_HMAC_SHA1_80";
pub const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

pub fn is_event(encoding: &str) -> bool {
    encoding.starts_with("telephone-event/")
}

fn decoded(base64: &str) -> Vec<u8> {
    let sextet = |octet: u8| ALPHABET.iter().position(|known| *known == octet).unwrap_or(0) as u32;
    let group = |four: &[u8]| {
        let bits = four.iter().fold(0, |bits, octet| bits << 6 | sextet(*octet));
        [(bits >> 16) as u8, (bits >> 8) as u8, bits as u8]
    };
    base64.as_bytes().chunks_exact(4).flat_map(group).collect()
}

/// What may answer a direction (RFC 3264 6.1).
pub fn may_answer(offered: &str, answered: &str) -> bool {
    match offered {
        "sendonly" => matches!(answered, "recvonly" | "inactive"),
        "recvonly" => matches!(answered, "sendonly" | "inactive"),
        "inactive" => answered == "inactive",
        _ => true,
    }
}
