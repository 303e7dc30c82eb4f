//! The hashes of RFC 7616 3.4.

use super::{Algorithm, Credentials};
use md5::Md5;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// `H(username:realm:password)` in both algorithms: what a server keeps instead of a password. As good as the password
/// within its realm, so zeroised when dropped and never shown.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop, Serialize, Deserialize)]
pub struct Ha1 {
    md5: [u8; 16],
    sha256: [u8; 32],
}

impl Ha1 {
    /// Hashes a password.
    pub fn new(username: &str, realm: &str, password: &str) -> Ha1 {
        let pieces = [username.as_bytes(), realm.as_bytes(), password.as_bytes()];
        Ha1 { md5: hash::<Md5, 16>(&pieces), sha256: hash::<Sha256, 32>(&pieces) }
    }

    /// The MD5 hash in hexadecimal, as web phones take it instead of a password.
    pub fn md5_hex(&self) -> String {
        hex(&self.md5)
    }

    /// Whether both come from the same name, realm and password. Takes the same time wherever the first difference lies.
    pub fn same_password(&self, other: &Ha1) -> bool {
        let pairs = self.sha256.iter().zip(other.sha256.iter());
        pairs.fold(0, |sum, (a, b)| std::hint::black_box(sum | (a ^ b))) == 0
    }

    /// The response that belongs to the credentials' other fields and the request's method, hexadecimal.
    pub fn response(&self, credentials: &Credentials, method: &str) -> String {
        match credentials.algorithm {
            Algorithm::Md5 | Algorithm::Md5Sess => hex(&response::<Md5, 16>(&self.md5, credentials, method)),
            Algorithm::Sha256 | Algorithm::Sha256Sess => hex(&response::<Sha256, 32>(&self.sha256, credentials, method)),
        }
    }

    /// Whether the credentials prove knowledge of the password. Takes the same time wherever the first difference lies.
    pub fn verify(&self, credentials: &Credentials, method: &str) -> bool {
        let expected = self.response(credentials, method);
        let given = credentials.response.to_ascii_lowercase();
        if expected.len() != given.len() {
            return false;
        }
        let difference = expected.bytes().zip(given.bytes()).fold(0, |sum, (a, b)| std::hint::black_box(sum | (a ^ b)));
        difference == 0
    }
}

impl fmt::Debug for Ha1 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ha1(…)")
    }
}

fn response<D: Digest, const N: usize>(ha1: &[u8; N], credentials: &Credentials, method: &str) -> [u8; N] {
    let (nonce, cnonce) = (credentials.nonce.as_bytes(), credentials.cnonce.as_deref().unwrap_or_default().as_bytes());
    let mut a1 = Zeroizing::new(hex(ha1));
    if credentials.algorithm.is_session() {
        a1 = Zeroizing::new(hex(&hash::<D, N>(&[a1.as_bytes(), nonce, cnonce])));
    }
    let a2 = hex(&hash::<D, N>(&[method.as_bytes(), credentials.uri.as_bytes()]));
    if credentials.qop_auth {
        let nc = credentials.nc.as_deref().unwrap_or_default().as_bytes();
        hash::<D, N>(&[a1.as_bytes(), nonce, nc, cnonce, b"auth", a2.as_bytes()])
    } else {
        hash::<D, N>(&[a1.as_bytes(), nonce, a2.as_bytes()])
    }
}

/// Hashes pieces joined by colons.
fn hash<D: Digest, const N: usize>(pieces: &[&[u8]]) -> [u8; N] {
    let mut digest = D::new();
    for (at, piece) in pieces.iter().enumerate() {
        if at > 0 {
            digest.update(b":");
        }
        digest.update(piece);
    }
    let mut out = [0; N];
    out.copy_from_slice(&digest.finalize());
    out
}

fn hex(octets: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut out = String::with_capacity(octets.len() * 2);
    for b in octets {
        out.push(char::from(DIGITS[usize::from(b >> 4)]));
        out.push(char::from(DIGITS[usize::from(b & 15)]));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Challenge;

    /// RFC 2617 3.5.
    #[test]
    fn rfc_2617_example() {
        let credentials = Credentials::parse(
            "Digest username=\"Mufasa\", realm=\"testrealm@host.com\", nonce=\"dcd98b7102dd2f0e8b11d0f600bfb0c093\", \
             uri=\"/dir/index.html\", qop=auth, nc=00000001, cnonce=\"0a4f113b\", \
             response=\"6629fae49393a05397450978507c4ef1\", opaque=\"5ccc069c403ebaf9f0171e9517f40e41\"",
        )
        .unwrap();
        let ha1 = Ha1::new("Mufasa", "testrealm@host.com", "Circle Of Life");
        assert_eq!(hex(&ha1.md5), "939e7578ed9e3c518a452acee763bce9");
        assert!(ha1.verify(&credentials, "GET"));
        assert!(!ha1.verify(&credentials, "POST"));
        assert!(!Ha1::new("Mufasa", "testrealm@host.com", "circle of life").verify(&credentials, "GET"));
    }

    /// RFC 7616 3.9.1.
    #[test]
    fn rfc_7616_examples() {
        let ha1 = Ha1::new("Mufasa", "http-auth@example.org", "Circle of Life");
        for (algorithm, response) in [
            ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
            ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
        ] {
            let challenge = Challenge::parse(&format!(
                "Digest realm=\"http-auth@example.org\", qop=\"auth, auth-int\", algorithm={algorithm}, \
                 nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\""
            ))
            .unwrap();
            let cnonce = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ";
            let credentials = challenge.answer("Mufasa", &ha1, "GET", "/dir/index.html", cnonce, 1);
            assert_eq!(credentials.response, response);
            assert!(ha1.verify(&Credentials::parse(&credentials.to_string()).unwrap(), "GET"));
        }
    }

    /// Every combination verifies what it made, and nothing else.
    #[test]
    fn every_variant_verifies_itself() {
        let ha1 = Ha1::new("alice", "r", "secret");
        for algorithm in Algorithm::ALL {
            for qop_auth in [true, false] {
                let challenge =
                    Challenge { realm: "r".into(), nonce: "n".into(), opaque: None, algorithm, qop_auth, stale: false };
                let mut credentials = challenge.answer("alice", &ha1, "REGISTER", "sip:h", "c", 0x1f);
                assert_eq!(credentials.nonce_count(), qop_auth.then_some(31));
                let parsed = Credentials::parse(&credentials.to_string()).unwrap();
                assert!(ha1.verify(&parsed, "REGISTER") && parsed == credentials);
                credentials.response = credentials.response.to_ascii_uppercase();
                assert!(ha1.verify(&credentials, "REGISTER"));
                credentials.nonce.push('x');
                assert!(!ha1.verify(&credentials, "REGISTER"));
                credentials.response.pop();
                assert!(!ha1.verify(&credentials, "REGISTER"));
            }
        }
    }

    /// No qop (RFC 2069 style): `H(HA1:nonce:HA2)`.
    #[test]
    fn without_qop() {
        let challenge = Challenge::parse("Digest realm=\"biloxi.com\", nonce=\"dcd98b7102dd2f0e8b11d0f600bfb0c093\"").unwrap();
        let ha1 = Ha1::new("bob", "biloxi.com", "zanzibar");
        let credentials = challenge.answer("bob", &ha1, "INVITE", "sip:bob@biloxi.com", "", 1);
        let expected = hex(&hash::<Md5, 16>(&[
            hex(&ha1.md5).as_bytes(),
            b"dcd98b7102dd2f0e8b11d0f600bfb0c093",
            hex(&hash::<Md5, 16>(&[b"INVITE", b"sip:bob@biloxi.com"])).as_bytes(),
        ]));
        assert_eq!((credentials.response, credentials.nc, credentials.cnonce), (expected, None, None));
    }

    #[test]
    fn secrets_are_not_shown() {
        assert_eq!(format!("{:?}", Ha1::new("a", "b", "c")), "Ha1(…)");
    }
}
