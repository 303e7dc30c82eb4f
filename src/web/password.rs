//! Passwords of administrators: argon2id (RFC 9106), stored as PHC strings.

use argon2::password_hash::{self, Output, ParamsString, PasswordHash, Salt, SaltString};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use ringfort_base::Entropy;

/// Fewest characters of an administrator's password.
pub const PASSWORD_MIN: usize = 12;
/// Longest password looked at, octets.
pub const PASSWORD_OCTETS_MAX: usize = 1_024;

/// Working memory is asked for in a piece larger than this, octets, of which only what is needed is touched. The C library's
/// allocator gives such a piece back to the system when it is freed; the second piece of 19 MiB it would keep for ever.
const GIVEN_BACK: usize = 32 << 20;

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
        let matches = matches(phc.unwrap_or(&self.dummy), password);
        matches.unwrap_or(false) && phc.is_some()
    }
}

/// A fresh salt.
pub fn salt(entropy: &mut dyn Entropy) -> [u8; 16] {
    let mut salt = [0; 16];
    entropy.fill(&mut salt);
    salt
}

fn hash(argon2: &Argon2<'_>, password: &str, salt: &[u8; 16]) -> Result<String, HashError> {
    phc(argon2, password, salt).map_err(HashError)
}

fn phc(argon2: &Argon2<'_>, password: &str, salt: &[u8; 16]) -> password_hash::Result<String> {
    let salt = SaltString::encode_b64(salt)?;
    let hash = PasswordHash {
        algorithm: Algorithm::Argon2id.ident(),
        version: Some(Version::V0x13.into()),
        params: ParamsString::try_from(argon2.params())?,
        salt: Some(salt.as_salt()),
        hash: Some(output(argon2, password, salt.as_salt())?),
    };
    Ok(hash.to_string())
}

/// Whether a PHC string is of this password, by the parameters that it names.
fn matches(phc: &str, password: &str) -> password_hash::Result<bool> {
    let parsed = PasswordHash::new(phc)?;
    let (Some(salt), Some(expected), true) = (parsed.salt, parsed.hash, parsed.algorithm == Algorithm::Argon2id.ident()) else {
        return Ok(false);
    };
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::try_from(&parsed)?);
    // Outputs are compared in constant time.
    Ok(output(&argon2, password, salt)? == expected)
}

fn output(argon2: &Argon2<'_>, password: &str, salt: Salt<'_>) -> password_hash::Result<Output> {
    let mut octets = [0; Salt::MAX_LENGTH];
    let salt = salt.decode_b64(&mut octets)?;
    let params = argon2.params();
    let mut memory = Vec::with_capacity(params.block_count().max(1 + GIVEN_BACK / Block::SIZE));
    memory.resize(params.block_count(), Block::new());
    Output::init_with(params.output_len().unwrap_or(Params::DEFAULT_OUTPUT_LEN), |out| {
        Ok(argon2.hash_password_into_with_memory(password.as_bytes(), salt, out, &mut memory)?)
    })
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

    /// What other builds wrote stays readable: a string that the argon2 crate's own interface made.
    #[test]
    fn strings_are_those_of_the_argon2_crate() {
        use argon2::password_hash::PasswordHasher;
        let hasher = Hasher::for_tests().unwrap();
        let salt = SaltString::encode_b64(&[7; 16]).unwrap();
        let theirs = hasher.argon2.hash_password(b"correct horse", &salt).unwrap().to_string();
        assert_eq!(hasher.hash_salted("correct horse", &[7; 16]).unwrap(), theirs);
        assert!(hasher.verify("correct horse", Some(&theirs)));
        assert!(!hasher.verify("correct horse", Some(&theirs.replace("argon2id", "argon2i"))));
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
