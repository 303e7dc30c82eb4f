//! Programs that the tests need. A missing one is a failure that says what to do, never a skipped test.

use super::{Context, Failure, Outcome};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Where programs may lie that are not on everybody's PATH.
const MORE_FOLDERS: [&str; 2] = ["/usr/sbin", "/usr/local/sbin"];

/// The path of an installed program.
pub fn require(program: &str) -> Outcome<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(MORE_FOLDERS.map(PathBuf::from))
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
        .during(format_args!("`{program}` is not installed: run `make setup-test`"))
}

/// The folder that cargo builds into, found by where this very program lies: `target/debug/deps/live-1234` or
/// `target/debug/ringfort-demo`.
pub fn profile_folder() -> Outcome<PathBuf> {
    let program = std::env::current_exe().during("asking for the path of this program")?;
    let folder = program.parent().during("this program lies nowhere")?;
    let folder = if folder.ends_with("deps") { folder.parent().unwrap_or(folder) } else { folder };
    Ok(folder.to_path_buf())
}

/// The node's binary, as built last. One that is older than its sources would test the past, and is refused.
pub fn ringfort() -> Outcome<PathBuf> {
    if let Some(path) = std::env::var_os("RINGFORT_BINARY") {
        return Ok(path.into());
    }
    let folder = profile_folder()?;
    let binary = folder.join("ringfort");
    if !binary.is_file() {
        return Err(Failure::new(format!("{} is not built: run `cargo build --workspace`", binary.display())));
    }
    match newer_source(&binary, &folder.join("ringfort.d")) {
        Some(source) => {
            Err(Failure::new(format!("{} is older than {}: run `cargo build --workspace`", binary.display(), source.display())))
        }
        None => Ok(binary),
    }
}

/// The first source that changed after the binary was built, by the list that cargo writes beside it.
fn newer_source(binary: &Path, list: &Path) -> Option<PathBuf> {
    let built = modified(binary)?;
    let list = std::fs::read_to_string(list).ok()?;
    let (_, sources) = list.split_once(": ")?;
    let is_code = |path: &Path| path.extension().is_some_and(|e| e == "rs" || e == "toml");
    sources
        .split_whitespace()
        .map(PathBuf::from)
        .find(|source| is_code(source) && modified(source).is_some_and(|time| time > built))
}

/// The pages that the node serves, as built last. Older ones than their sources are refused like an old binary.
pub fn pages() -> Outcome<()> {
    let folder = data_folder().join("../src/web/ui");
    let page = folder.join("dist/index.html");
    let built = modified(&page).during(format_args!("{} is not built: run `make ui`", page.display()))?;
    match newer_file(&folder.join("src"), built)? {
        Some(source) => Err(Failure::new(format!("{} is older than {}: run `make ui`", page.display(), source.display()))),
        None => Ok(()),
    }
}

/// The first file below a folder that changed after `built`.
fn newer_file(folder: &Path, built: SystemTime) -> Outcome<Option<PathBuf>> {
    for entry in std::fs::read_dir(folder).during(folder.display())? {
        let path = entry.during(folder.display())?.path();
        let newer = match path.is_dir() {
            true => newer_file(&path, built)?,
            false => modified(&path).filter(|time| *time > built).map(|_| path),
        };
        if newer.is_some() {
            return Ok(newer);
        }
    }
    Ok(None)
}

fn modified(path: &Path) -> Option<SystemTime> {
    path.metadata().and_then(|m| m.modified()).ok()
}

/// The folder of the tests' own data.
pub fn data_folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// A corpus outside the project, where the machine has one.
pub fn corpus(name: &str) -> Option<PathBuf> {
    let folder = data_folder().join("../../shared/testdata").join(name);
    folder.is_dir().then_some(folder)
}
