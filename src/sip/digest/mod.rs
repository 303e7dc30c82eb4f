//! Digest authentication as SIP uses it (RFC 3261 22, RFC 7616, RFC 8760): MD5 and SHA-256, each with its session
//! variant, with `qop=auth` or without qop. Read [`Challenge`], [`Credentials`], then [`Ha1`]. Which nonces are valid
//! is not decided here.

mod challenge;
mod credentials;
mod hash;
mod params;

pub use challenge::Challenge;
pub use credentials::Credentials;
pub use hash::Ha1;

use std::fmt;

/// Hash algorithms (RFC 7616 6.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// `MD5`; what is meant when nothing is said.
    Md5,
    /// `MD5-sess`.
    Md5Sess,
    /// `SHA-256`.
    Sha256,
    /// `SHA-256-sess`.
    Sha256Sess,
}

impl Algorithm {
    const ALL: [Algorithm; 4] = [Algorithm::Md5, Algorithm::Md5Sess, Algorithm::Sha256, Algorithm::Sha256Sess];

    /// The token on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Algorithm::Md5 => "MD5",
            Algorithm::Md5Sess => "MD5-sess",
            Algorithm::Sha256 => "SHA-256",
            Algorithm::Sha256Sess => "SHA-256-sess",
        }
    }

    /// Reads a token, in any case.
    pub fn from_token(token: &str) -> Option<Algorithm> {
        Algorithm::ALL.into_iter().find(|algorithm| algorithm.as_str().eq_ignore_ascii_case(token))
    }

    /// Whether client nonce and nonce go into the key (RFC 7616 3.4.2).
    pub fn is_session(self) -> bool {
        matches!(self, Algorithm::Md5Sess | Algorithm::Sha256Sess)
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a challenge or credentials cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum DigestError {
    /// Not the Digest scheme.
    #[error("not the Digest scheme")]
    Scheme,
    /// A parameter that is no `name=value`, or a quote that is never closed.
    #[error("bad authentication parameter")]
    Syntax,
    /// The same parameter twice.
    #[error("parameter {0} repeated")]
    Repeated(&'static str),
    /// A parameter that must be there is not.
    #[error("parameter {0} missing")]
    Missing(&'static str),
    /// An algorithm that is not in [`Algorithm`].
    #[error("unknown algorithm")]
    Algorithm,
    /// A quality of protection other than `auth`.
    #[error("unsupported qop")]
    Qop,
    /// Not one to eight hexadecimal digits.
    #[error("bad nonce count")]
    NonceCount,
}
