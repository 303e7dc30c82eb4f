//! Whole files: written at once or not at all, readable by their owner only, in one state directory.

use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// A file or directory failed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {what} {}: {source}", path.display())]
pub struct FileError {
    /// `open`, `write`, `rename`, ...
    pub what: &'static str,
    /// Which.
    pub path: PathBuf,
    /// Why.
    pub source: io::Error,
}

impl FileError {
    /// An error of the operation `what` on `path`.
    pub fn new(what: &'static str, path: &Path, source: io::Error) -> FileError {
        FileError { what, path: path.to_path_buf(), source }
    }
    /// Whether the disk is full or read-only, which passes, rather than the path wrong, which does not.
    pub fn is_disk_trouble(&self) -> bool {
        use io::ErrorKind::{QuotaExceeded, ReadOnlyFilesystem, StorageFull};
        matches!(self.source.kind(), StorageFull | ReadOnlyFilesystem | QuotaExceeded)
    }
}

/// Where the node keeps what outlives it, with mode 0700.
#[derive(Clone, Debug)]
pub struct StateDir {
    root: PathBuf,
}

impl StateDir {
    /// Opens the directory, creating it when missing. One that others could write to is made private.
    pub fn open(root: impl Into<PathBuf>) -> Result<StateDir, FileError> {
        let root = root.into();
        create_private_dir(&root)?;
        let private = Permissions::from_mode(0o700);
        std::fs::set_permissions(&root, private).map_err(|e| FileError::new("restrict", &root, e))?;
        Ok(StateDir { root })
    }
    /// The directory itself.
    pub fn root(&self) -> &Path {
        &self.root
    }
    /// Administrators' accounts.
    pub fn admins(&self) -> PathBuf {
        self.root.join("admins.json")
    }
    /// Call records, one file a day.
    pub fn records(&self) -> PathBuf {
        self.root.join("records")
    }
    /// Look-ups, which can be rebuilt.
    pub fn lookup(&self) -> PathBuf {
        self.root.join("lookup")
    }
    /// The node's own certificate and key.
    pub fn tls(&self) -> PathBuf {
        self.root.join("tls")
    }
    /// Revisions of the configuration.
    pub fn revisions(&self) -> PathBuf {
        self.root.join("revisions")
    }
}

/// Replaces a file: whoever reads it sees the old or the new content whole, also after a power cut. `mode` is its
/// permission bits, 0o600 for secrets.
pub fn write_atomic(path: &Path, octets: &[u8], mode: u32) -> Result<(), FileError> {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(".new");
    let new = path.with_file_name(name);
    write_synced(&new, octets, mode).inspect_err(|_| {
        let _ = std::fs::remove_file(&new);
    })?;
    std::fs::rename(&new, path).map_err(|e| FileError::new("rename", path, e))?;
    sync_parent(path)
}

/// Creates a directory and its parents with mode 0700; one that exists is left as it is.
pub fn create_private_dir(path: &Path) -> Result<(), FileError> {
    if path.as_os_str().is_empty() {
        return Ok(());
    }
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|e| FileError::new("create", path, e))
}

/// Takes all permissions from everybody but the owner.
pub fn make_private(file: &File) -> io::Result<()> {
    let mode = file.metadata()?.permissions().mode();
    if mode & 0o077 != 0 {
        file.set_permissions(Permissions::from_mode(0o600))?;
    }
    Ok(())
}

fn write_synced(path: &Path, octets: &[u8], mode: u32) -> Result<(), FileError> {
    // A file that an interrupted write left may have other permissions, and may be a link to elsewhere.
    let _ = std::fs::remove_file(path);
    let mut file =
        OpenOptions::new().write(true).create_new(true).mode(mode).open(path).map_err(|e| FileError::new("create", path, e))?;
    file.write_all(octets).map_err(|e| FileError::new("write", path, e))?;
    file.sync_all().map_err(|e| FileError::new("sync", path, e))
}

/// The rename itself is durable when the directory is.
fn sync_parent(path: &Path) -> Result<(), FileError> {
    let parent = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let directory = File::open(parent).map_err(|e| FileError::new("open", parent, e))?;
    directory.sync_all().map_err(|e| FileError::new("sync", parent, e))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode_of(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn the_state_directory_is_private() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("a/b");
        let state = StateDir::open(&root).unwrap();
        assert_eq!(mode_of(state.root()), 0o700);
        std::fs::set_permissions(&root, Permissions::from_mode(0o777)).unwrap();
        StateDir::open(&root).unwrap();
        assert_eq!(mode_of(&root), 0o700);
    }

    #[test]
    fn a_file_is_replaced_whole_with_its_mode() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file.json");
        write_atomic(&path, b"one", 0o600).unwrap();
        write_atomic(&path, b"two", 0o600).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"two");
        assert_eq!(mode_of(&path), 0o600);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "nothing is left behind");
    }

    #[test]
    fn a_write_that_fails_leaves_the_old_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file.json");
        write_atomic(&path, b"one", 0o600).unwrap();
        std::fs::create_dir(dir.path().join("file.json.new")).unwrap();
        let error = write_atomic(&path, b"two", 0o600).unwrap_err();
        assert_eq!(error.what, "create");
        assert_eq!(std::fs::read(&path).unwrap(), b"one");
    }
}
