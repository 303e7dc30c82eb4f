//! Passwords of administrators: argon2id (RFC 9106), stored as PHC strings.

use argon2::password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};
use ringfort_base::Entropy;

/// Fewest characters of an administrator's password.
pub const PASSWORD_MIN: usize = 12;
/// Longest password looked at, octets.
pub const PASSWORD_OCTETS_MAX: usize = 1_024;

/// A password could not be hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot hash a password: {0}")]
pub struct HashError(argon2::password_hash::Error);

/// Hashes and verifies.
#[derive(Clone, Debug)]
pub struct Hasher {
    argon2: Argon2<'static>,
    /// Verified against when there is no such account, so that the time taken tells nothing.
    dummy: String,
}

impl Hasher {
    /// 19 MiB, two passes, one lane: what OWASP recommends as the least for argon2id.
    pub fn new() -> Result<Hasher, HashError> {
        Hasher::with_params(Params::default())
    }

    /// Weak and fast, for tests only.
    pub fn for_tests() -> Result<Hasher, HashError> {
        Hasher::with_params(Params::new(Params::MIN_M_COST, 1, 1, None).map_err(|e| HashError(e.into()))?)
    }

    fn with_params(params: Params) -> Result<Hasher, HashError> {
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let dummy = hash(&argon2, "", &[0; 16])?;
        Ok(Hasher { argon2, dummy })
    }

    /// The PHC string of a password with a fresh salt.
    pub fn hash(&self, password: &str, entropy: &mut dyn Entropy) -> Result<String, HashError> {
        self.hash_salted(password, &salt(entropy))
    }

    /// The PHC string of a password with a salt from [`salt`].
    pub fn hash_salted(&self, password: &str, salt: &[u8; 16]) -> Result<String, HashError> {
        hash(&self.argon2, password, salt)
    }

    /// Whether `password` belongs to `phc`. Without one it takes as long and is false.
    pub fn verify(&self, password: &str, phc: Option<&str>) -> bool {
        let parsed = PasswordHash::new(phc.unwrap_or(&self.dummy));
        let matches = parsed.is_ok_and(|hash| self.argon2.verify_password(password.as_bytes(), &hash).is_ok());
        matches && phc.is_some()
    }
}

/// A fresh salt.
pub fn salt(entropy: &mut dyn Entropy) -> [u8; 16] {
    let mut salt = [0; 16];
    entropy.fill(&mut salt);
    salt
}

fn hash(argon2: &Argon2<'_>, password: &str, salt: &[u8; 16]) -> Result<String, HashError> {
    let salt = SaltString::encode_b64(salt).map_err(HashError)?;
    Ok(argon2.hash_password(password.as_bytes(), &salt).map_err(HashError)?.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ringfort_base::entropy::Seeded;

    #[test]
    fn verifies_what_it_hashed() {
        let hasher = Hasher::for_tests().unwrap();
        let entropy = &mut Seeded::new(1);
        let phc = hasher.hash("correct horse", entropy).unwrap();
        assert!(phc.starts_with("$argon2id$v=19$"));
        assert!(hasher.verify("correct horse", Some(&phc)));
        assert!(!hasher.verify("wrong horse", Some(&phc)));
        assert!(!hasher.verify("correct horse", Some("not a PHC string")));
        assert_ne!(phc, hasher.hash("correct horse", entropy).unwrap(), "salted");
    }

    #[test]
    fn no_account_has_no_password() {
        // The dummy's own password must not open anything either.
        assert!(!Hasher::for_tests().unwrap().verify("", None));
    }

    #[test]
    fn production_parameters_are_not_weakened() {
        let phc = Hasher::new().unwrap().dummy;
        assert!(phc.contains("$m=19456,t=2,p=1$"), "{phc}");
    }
}
