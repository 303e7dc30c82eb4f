//! Authorization and Proxy-Authorization (RFC 3261 20.7, 20.28).

use super::params::AuthParams;
use super::{Algorithm, DigestError};
use crate::message::text::Quoted;
use std::fmt;

/// What a client answers.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// Who it says it is.
    pub username: String,
    /// Protection domain, from the challenge.
    pub realm: String,
    /// The server's nonce, from the challenge.
    pub nonce: String,
    /// The Request-URI as the client wrote it; need not equal the request's (RFC 3261 22.4).
    pub uri: String,
    /// The hash, hexadecimal.
    pub response: String,
    /// Hash algorithm.
    pub algorithm: Algorithm,
    /// The client's nonce.
    pub cnonce: Option<String>,
    /// From the challenge.
    pub opaque: Option<String>,
    /// Whether `qop=auth` is used.
    pub qop_auth: bool,
    /// The nonce count's hexadecimal text, which goes into the hash as it is.
    pub nc: Option<String>,
}

impl Credentials {
    /// Reads a header value. With `qop` both `cnonce` and `nc` must be there (RFC 7616 3.4).
    pub fn parse(value: &str) -> Result<Credentials, DigestError> {
        let params = AuthParams::parse(value)?;
        let algorithm = match params.take("algorithm")? {
            None => Algorithm::Md5,
            Some(token) => Algorithm::from_token(&token).ok_or(DigestError::Algorithm)?,
        };
        let qop_auth = match params.take("qop")? {
            None => false,
            Some(qop) if qop.eq_ignore_ascii_case("auth") => true,
            Some(_) => return Err(DigestError::Qop),
        };
        let nc = params.take("nc")?;
        if nc.as_deref().is_some_and(|nc| nonce_count(nc).is_none()) {
            return Err(DigestError::NonceCount);
        }
        let credentials = Credentials {
            username: params.need("username")?,
            realm: params.need("realm")?,
            nonce: params.need("nonce")?,
            uri: params.need("uri")?,
            response: params.need("response")?,
            algorithm,
            cnonce: params.take("cnonce")?,
            opaque: params.take("opaque")?,
            qop_auth,
            nc,
        };
        if credentials.cnonce.is_none() && (qop_auth || algorithm.is_session()) {
            return Err(DigestError::Missing("cnonce"));
        }
        if credentials.nc.is_none() && qop_auth {
            return Err(DigestError::Missing("nc"));
        }
        Ok(credentials)
    }

    /// The nonce count as a number; `None` without qop. A server refuses one that it has seen (RFC 7616 3.4).
    pub fn nonce_count(&self) -> Option<u32> {
        self.nc.as_deref().and_then(nonce_count)
    }
}

/// `8LHEX`; phones that leave out leading zeros are understood.
fn nonce_count(text: &str) -> Option<u32> {
    let hexadecimal = (1..=8).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_hexdigit());
    if hexadecimal { u32::from_str_radix(text, 16).ok() } else { None }
}

impl fmt::Display for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest username={}, realm={}", Quoted(&self.username), Quoted(&self.realm))?;
        write!(f, ", nonce={}, uri={}", Quoted(&self.nonce), Quoted(&self.uri))?;
        write!(f, ", response=\"{}\", algorithm={}", self.response, self.algorithm)?;
        if let Some(cnonce) = &self.cnonce {
            write!(f, ", cnonce={}", Quoted(cnonce))?;
        }
        if let Some(opaque) = &self.opaque {
            write!(f, ", opaque={}", Quoted(opaque))?;
        }
        if self.qop_auth {
            f.write_str(", qop=auth")?;
        }
        match &self.nc {
            Some(nc) => write!(f, ", nc={nc}"),
            None => Ok(()),
        }
    }
}

/// Nothing of it: user names are personal, responses can be attacked off line.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credentials({})", self.algorithm)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOUND: &str = "Digest username=\"a\", realm=\"r\", nonce=\"n\", uri=\"sip:h\", response=\"00\", algorithm=MD5, \
        cnonce=\"c\", qop=auth, nc=0000000a";

    #[test]
    fn round_trip() {
        let credentials = Credentials::parse(SOUND).unwrap();
        assert_eq!(credentials.nonce_count(), Some(10));
        assert_eq!(credentials.to_string(), SOUND);
    }

    #[test]
    fn tolerates_what_phones_send() {
        let credentials =
            Credentials::parse("DIGEST username=a,realm=\"r\\\"\",nonce=n,uri=sip:h;x=1,response=00,qop=\"auth\",nc=1F,cnonce=c")
                .unwrap();
        assert_eq!((credentials.realm.as_str(), credentials.uri.as_str()), ("r\"", "sip:h;x=1"));
        assert_eq!(credentials.nonce_count(), Some(31));
    }

    #[test]
    fn names_the_rule() {
        for (from, to, error) in [
            ("Digest", "NoOneKnowsThisScheme", DigestError::Scheme),
            ("0000000a", "0000000g", DigestError::NonceCount),
            ("0000000a", "000000001", DigestError::NonceCount),
            ("0000000a", "+1", DigestError::NonceCount),
            (", nc=0000000a", "", DigestError::Missing("nc")),
            ("cnonce", "x", DigestError::Missing("cnonce")),
            ("qop=auth", "qop=auth-int", DigestError::Qop),
            ("nc=", "Realm=x, nc=", DigestError::Repeated("realm")),
            ("username", "user name", DigestError::Syntax),
        ] {
            assert_eq!(Credentials::parse(&SOUND.replacen(from, to, 1)), Err(error), "{from} -> {to}");
        }
    }
}
