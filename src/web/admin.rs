//! Administrators' accounts, in `admins.json` of the state directory.
//!
//! The first start creates `admin` with a one-time password, which is returned once to be printed. Until it is
//! changed nothing but changing it is allowed.

use crate::password::{HashError, Hasher};
use crate::state::lock;
use ringfort_base::Entropy;
use ringfort_store::{FileError, write_atomic};
use serde::{Deserialize, Serialize};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use zeroize::Zeroizing;

/// Name of the account that the first start creates.
pub const FIRST_ADMIN: &str = "admin";
/// Largest file looked at, octets.
const FILE_MAX: u64 = 65_536;
/// Characters of a one-time password, of 5 bits each.
const ONE_TIME_CHARACTERS: usize = 20;

/// The accounts cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// The file failed.
    #[error(transparent)]
    File(#[from] FileError),
    /// The file is not what this program writes. It is never replaced by itself: whoever could damage it could
    /// otherwise obtain a fresh one-time password.
    #[error("{} is damaged: {reason}; 'ringfort reset-admin' writes a new one", path.display())]
    Damaged {
        /// Which.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A password could not be hashed.
    #[error(transparent)]
    Hash(#[from] HashError),
    /// There is no such account.
    #[error("there is no administrator of that name")]
    Unknown,
}

/// A password to be shown once.
#[derive(Debug)]
pub struct OneTimePassword {
    /// Account.
    pub name: String,
    /// Password.
    pub password: Zeroizing<String>,
}

/// One administrator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Admin {
    /// Name, as typed at the sign-in.
    pub name: String,
    /// PHC string of the password.
    pub hash: String,
    /// The one-time password is still in force.
    pub must_change_password: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Accounts {
    version: u32,
    admins: Vec<Admin>,
}

/// The accounts.
#[derive(Debug)]
pub struct Admins {
    path: PathBuf,
    hasher: Hasher,
    admins: Mutex<Vec<Admin>>,
}

impl Admins {
    /// Reads the accounts. When there is no file, creates `admin` and returns its one-time password.
    pub fn open(
        path: impl Into<PathBuf>,
        hasher: Hasher,
        entropy: &mut dyn Entropy,
    ) -> Result<(Admins, Option<OneTimePassword>), AdminError> {
        let path = path.into();
        let (admins, first) = match read(&path)? {
            Some(admins) => (admins, None),
            None => {
                let (admin, password) = first_admin(&hasher, entropy)?;
                write(&path, std::slice::from_ref(&admin))?;
                (vec![admin], Some(password))
            }
        };
        Ok((Admins { path, hasher, admins: Mutex::new(admins) }, first))
    }

    /// Gives `admin` a new one-time password, whatever the file holds: for whoever sits at the machine and has
    /// forgotten the password. Other accounts are kept when they can be read.
    pub fn reset(path: &Path, hasher: &Hasher, entropy: &mut dyn Entropy) -> Result<OneTimePassword, AdminError> {
        let mut admins = read(path).ok().flatten().unwrap_or_default();
        let (admin, password) = first_admin(hasher, entropy)?;
        admins.retain(|other| other.name != admin.name);
        admins.push(admin);
        write(path, &admins)?;
        Ok(password)
    }

    /// The account of that name.
    pub fn find(&self, name: &str) -> Option<Admin> {
        lock(&self.admins).iter().find(|admin| admin.name == name).cloned()
    }

    /// The hasher that these accounts were made with.
    pub fn hasher(&self) -> &Hasher {
        &self.hasher
    }

    /// Replaces a password by one that its owner chose. On an error the old one stays in force.
    pub fn set_password(&self, name: &str, password: &str, salt: &[u8; 16]) -> Result<(), AdminError> {
        // Hashing takes long; the accounts are not locked meanwhile.
        let hash = self.hasher.hash_salted(password, salt)?;
        let mut admins = lock(&self.admins);
        let mut changed = admins.clone();
        let admin = changed.iter_mut().find(|admin| admin.name == name).ok_or(AdminError::Unknown)?;
        admin.hash = hash;
        admin.must_change_password = false;
        write(&self.path, &changed)?;
        *admins = changed;
        Ok(())
    }
}

fn first_admin(hasher: &Hasher, entropy: &mut dyn Entropy) -> Result<(Admin, OneTimePassword), AdminError> {
    let password = Zeroizing::new(entropy.token(ONE_TIME_CHARACTERS));
    let name = FIRST_ADMIN.to_owned();
    let hash = hasher.hash(&password, entropy)?;
    let admin = Admin { name: name.clone(), hash, must_change_password: true };
    Ok((admin, OneTimePassword { name, password }))
}

fn read(path: &Path) -> Result<Option<Vec<Admin>>, AdminError> {
    let damaged = |reason: String| AdminError::Damaged { path: path.to_path_buf(), reason };
    let octets = match std::fs::metadata(path) {
        Ok(meta) if meta.len() > FILE_MAX => return Err(damaged(format!("{} octets", meta.len()))),
        Ok(_) => std::fs::read(path).map_err(|e| FileError::new("read", path, e))?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(FileError::new("read", path, error).into()),
    };
    let accounts: Accounts = serde_json::from_slice(&octets).map_err(|e| damaged(e.to_string()))?;
    match accounts {
        Accounts { version: 1, admins } if !admins.is_empty() => Ok(Some(admins)),
        Accounts { version: 1, .. } => Err(damaged("it holds no account".to_owned())),
        Accounts { version, .. } => Err(damaged(format!("version {version} is unknown"))),
    }
}

fn write(path: &Path, admins: &[Admin]) -> Result<(), AdminError> {
    let accounts = Accounts { version: 1, admins: admins.to_vec() };
    // Strings and flags always serialise.
    let json = serde_json::to_vec_pretty(&accounts).unwrap_or_default();
    Ok(write_atomic(path, &json, 0o600)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ringfort_base::entropy::Seeded;
    use std::os::unix::fs::PermissionsExt;

    fn hasher() -> Hasher {
        Hasher::for_tests().unwrap()
    }

    #[test]
    fn the_first_start_creates_an_account_and_tells_its_password_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("admins.json");
        let (admins, first) = Admins::open(&path, hasher(), &mut Seeded::new(1)).unwrap();
        let first = first.unwrap();
        assert!(first.password.len() >= 16);
        let admin = admins.find("admin").unwrap();
        assert!(admin.must_change_password);
        assert!(hasher().verify(&first.password, Some(&admin.hash)));
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(!std::fs::read_to_string(&path).unwrap().contains(first.password.as_str()));
        assert!(Admins::open(&path, hasher(), &mut Seeded::new(2)).unwrap().1.is_none());
    }

    #[test]
    fn a_changed_password_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("admins.json");
        let (admins, _) = Admins::open(&path, hasher(), &mut Seeded::new(1)).unwrap();
        admins.set_password("admin", "a new password", &[1; 16]).unwrap();
        assert!(matches!(admins.set_password("nobody", "x", &[1; 16]), Err(AdminError::Unknown)));
        let (admins, _) = Admins::open(&path, hasher(), &mut Seeded::new(2)).unwrap();
        let admin = admins.find("admin").unwrap();
        assert!(!admin.must_change_password);
        assert!(hasher().verify("a new password", Some(&admin.hash)));
    }

    #[test]
    fn a_disk_that_cannot_be_written_keeps_the_old_password_in_force() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("admins.json");
        let (admins, first) = Admins::open(&path, hasher(), &mut Seeded::new(1)).unwrap();
        std::fs::create_dir(dir.path().join("admins.json.new")).unwrap();
        assert!(matches!(admins.set_password("admin", "a new password", &[1; 16]), Err(AdminError::File(_))));
        let admin = admins.find("admin").unwrap();
        assert!(hasher().verify(&first.unwrap().password, Some(&admin.hash)));
    }

    #[test]
    fn a_damaged_file_is_refused_until_it_is_reset() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("admins.json");
        for content in ["", "{}", r#"{"version":2,"admins":[]}"#, r#"{"version":1,"admins":[]}"#] {
            std::fs::write(&path, content).unwrap();
            let error = Admins::open(&path, hasher(), &mut Seeded::new(1)).unwrap_err();
            assert!(matches!(error, AdminError::Damaged { .. }), "{content}");
        }
        let password = Admins::reset(&path, &hasher(), &mut Seeded::new(2)).unwrap();
        let (admins, first) = Admins::open(&path, hasher(), &mut Seeded::new(3)).unwrap();
        assert!(first.is_none());
        assert!(hasher().verify(&password.password, Some(&admins.find("admin").unwrap().hash)));
    }
}
