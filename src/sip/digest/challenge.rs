//! WWW-Authenticate and Proxy-Authenticate (RFC 3261 20.44, 20.27).

use super::params::AuthParams;
use super::{Algorithm, Credentials, DigestError, Ha1};
use crate::message::text::Quoted;
use std::fmt;

/// What a server asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    /// Protection domain, shown to whoever types a password.
    pub realm: String,
    /// The server's nonce.
    pub nonce: String,
    /// To be returned unchanged.
    pub opaque: Option<String>,
    /// Hash algorithm.
    pub algorithm: Algorithm,
    /// Whether `qop=auth` is offered; without it RFC 2069's shorter hash is used.
    pub qop_auth: bool,
    /// The credentials were right and only the nonce was too old.
    pub stale: bool,
}

impl Challenge {
    /// Reads a header value. Several challenges come in several header fields (RFC 3261 20.44).
    pub fn parse(value: &str) -> Result<Challenge, DigestError> {
        let params = AuthParams::parse(value)?;
        let algorithm = match params.take("algorithm")? {
            None => Algorithm::Md5,
            Some(token) => Algorithm::from_token(&token).ok_or(DigestError::Algorithm)?,
        };
        let qop_auth = match params.take("qop")? {
            None => false,
            Some(list) if list.split(',').any(|qop| qop.trim().eq_ignore_ascii_case("auth")) => true,
            Some(_) => return Err(DigestError::Qop),
        };
        Ok(Challenge {
            realm: params.need("realm")?,
            nonce: params.need("nonce")?,
            opaque: params.take("opaque")?,
            algorithm,
            qop_auth,
            stale: params.take("stale")?.is_some_and(|stale| stale.eq_ignore_ascii_case("true")),
        })
    }

    /// The topmost challenge that can be answered (RFC 8760 2.4).
    pub fn choose<'a>(mut values: impl Iterator<Item = &'a str>) -> Option<Challenge> {
        values.find_map(|value| Challenge::parse(value).ok())
    }

    /// Answers it. `cnonce` is the client's own nonce and `nc` counts its uses of this challenge, from 1; both are
    /// left out where the server's old style does not know them.
    pub fn answer(&self, username: &str, ha1: &Ha1, method: &str, uri: &str, cnonce: &str, nc: u32) -> Credentials {
        let with_cnonce = self.qop_auth || self.algorithm.is_session();
        let mut credentials = Credentials {
            username: username.to_owned(),
            realm: self.realm.clone(),
            nonce: self.nonce.clone(),
            uri: uri.to_owned(),
            response: String::new(),
            algorithm: self.algorithm,
            cnonce: with_cnonce.then(|| cnonce.to_owned()),
            opaque: self.opaque.clone(),
            qop_auth: self.qop_auth,
            nc: self.qop_auth.then(|| format!("{nc:08x}")),
        };
        credentials.response = ha1.response(&credentials, method);
        credentials
    }
}

impl fmt::Display for Challenge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest realm={}, nonce={}", Quoted(&self.realm), Quoted(&self.nonce))?;
        if let Some(opaque) = &self.opaque {
            write!(f, ", opaque={}", Quoted(opaque))?;
        }
        if self.stale {
            f.write_str(", stale=true")?;
        }
        write!(f, ", algorithm={}", self.algorithm)?;
        if self.qop_auth { f.write_str(", qop=\"auth\"") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip() {
        let challenge = Challenge {
            realm: "a \"quoted\" realm".to_owned(),
            nonce: "n,1".to_owned(),
            opaque: Some(String::new()),
            algorithm: Algorithm::Sha256,
            qop_auth: true,
            stale: true,
        };
        assert_eq!(Challenge::parse(&challenge.to_string()), Ok(challenge));
    }

    #[test]
    fn tolerates_what_servers_send() {
        let challenge =
            Challenge::parse("digest realm = asterisk ,nonce=\"1/2\",algorithm=\"md5\", qop=\"auth-int,auth\",stale=TRUE,")
                .unwrap();
        assert_eq!((challenge.realm.as_str(), challenge.algorithm), ("asterisk", Algorithm::Md5));
        assert!(challenge.qop_auth && challenge.stale);
    }

    #[test]
    fn names_the_rule() {
        for (value, error) in [
            ("Basic realm=x", DigestError::Scheme),
            ("Digest", DigestError::Scheme),
            ("Digest realm", DigestError::Syntax),
            ("Digest realm=\"x, nonce=y", DigestError::Syntax),
            ("Digest realm=x", DigestError::Missing("nonce")),
            ("Digest realm=x, nonce=y, nonce=z", DigestError::Repeated("nonce")),
            ("Digest realm=x, nonce=y, algorithm=SHA-512-256", DigestError::Algorithm),
            ("Digest realm=x, nonce=y, qop=\"auth-int\"", DigestError::Qop),
        ] {
            assert_eq!(Challenge::parse(value), Err(error), "{value}");
        }
    }

    #[test]
    fn chooses_the_topmost_that_it_knows() {
        let values = [
            "Digest realm=x, nonce=1, algorithm=SHA-512-256",
            "Digest realm=x, nonce=2, algorithm=SHA-256",
            "Digest realm=x, nonce=3",
        ];
        assert_eq!(Challenge::choose(values.into_iter()).unwrap().nonce, "2");
    }
}
