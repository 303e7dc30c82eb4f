//! The device's side of digest authentication (RFC 7616), written apart from the product's own so that each checks the other.

use super::{Failure, Outcome};
use md5::Md5;
use sha2::{Digest, Sha256};

/// Hash to answer with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// What every phone can do.
    Md5,
    /// RFC 8760.
    Sha256,
}

impl Algorithm {
    fn token(self) -> &'static str {
        match self {
            Algorithm::Md5 => "MD5",
            Algorithm::Sha256 => "SHA-256",
        }
    }

    fn hash(self, text: &str) -> String {
        let hex = |octets: &[u8]| octets.iter().map(|b| format!("{b:02x}")).collect();
        match self {
            Algorithm::Md5 => hex(&Md5::digest(text)),
            Algorithm::Sha256 => hex(&Sha256::digest(text)),
        }
    }
}

/// Who proves what.
#[derive(Clone, Copy, Debug)]
pub struct Proof<'a> {
    /// User name.
    pub user: &'a str,
    /// Password.
    pub password: &'a str,
    /// Method of the request.
    pub method: &'a str,
    /// Its request URI.
    pub uri: &'a str,
    /// How often the nonce was used, this time included.
    pub count: u32,
}

/// The value of `Authorization` that answers the challenge with this algorithm among `challenges`.
pub fn answer(challenges: &[String], algorithm: Algorithm, proof: Proof<'_>) -> Outcome<String> {
    let challenge = challenges
        .iter()
        .find(|c| param(c, "algorithm").unwrap_or("MD5").eq_ignore_ascii_case(algorithm.token()))
        .ok_or_else(|| Failure::new(format!("no challenge for {} among {challenges:?}", algorithm.token())))?;
    let of = |name: &str| param(challenge, name).unwrap_or_default();
    let (realm, nonce) = (of("realm"), of("nonce"));
    let Proof { user, password, method, uri, count } = proof;
    let ha1 = algorithm.hash(&format!("{user}:{realm}:{password}"));
    let ha2 = algorithm.hash(&format!("{method}:{uri}"));
    let cnonce = "4d1c0ffee";
    let response = algorithm.hash(&format!("{ha1}:{nonce}:{count:08x}:{cnonce}:auth:{ha2}"));
    let opaque = param(challenge, "opaque").map(|o| format!(", opaque=\"{o}\"")).unwrap_or_default();
    Ok(format!(
        "Digest username=\"{user}\", realm=\"{realm}\", nonce=\"{nonce}\", uri=\"{uri}\", response=\"{response}\", \
         algorithm={}, cnonce=\"{cnonce}\", qop=auth, nc={count:08x}{opaque}",
        algorithm.token()
    ))
}

/// A parameter of a challenge, without its quotes.
pub fn param<'a>(challenge: &'a str, name: &str) -> Option<&'a str> {
    let list = challenge.split_once(' ')?.1;
    list.split(',').find_map(|part| {
        let (key, value) = part.trim().split_once('=')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim_matches('"'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_rfc_7616_3_9_1() {
        let ha1 = Algorithm::Md5.hash("Mufasa:http-auth@example.org:Circle of Life");
        let ha2 = Algorithm::Md5.hash("GET:/dir/index.html");
        let cnonce = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ";
        let nonce = "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v";
        let response = Algorithm::Md5.hash(&format!("{ha1}:{nonce}:00000001:{cnonce}:auth:{ha2}"));
        assert_eq!(response, "8ca523f5e9506fed4657c9700eebdbec");
    }
}
