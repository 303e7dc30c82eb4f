//! One test's own world: a folder, ports, and what to show when it fails.

use super::log_file::LogFile;
use super::ports::Ports;
use super::{Context, Outcome, programs};
use std::cell::RefCell;
use std::path::{Path, PathBuf};

/// Lines shown of each log when a test fails.
const TAIL: usize = 40;

/// A folder and ports for one test. Whatever a test starts borrows nothing from it and ends before it.
#[derive(Debug)]
pub struct Scene {
    folder: PathBuf,
    ports: RefCell<Ports>,
}

/// Runs a test in a scene of its own. When it fails, the ends of all logs are printed.
pub fn play(name: &str, test: impl FnOnce(&Scene) -> Outcome<()>) -> Outcome<()> {
    let scene = Scene::new(name)?;
    let outcome = test(&scene);
    if outcome.is_err() {
        scene.show_logs();
    }
    outcome
}

impl Scene {
    /// An empty folder `live/NAME` in cargo's target folder.
    pub fn new(name: &str) -> Outcome<Scene> {
        let profile = programs::profile_folder()?;
        let folder = profile.parent().unwrap_or(&profile).join("live").join(name);
        match std::fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
            _ => std::fs::create_dir_all(&folder),
        }
        .during(folder.display())?;
        Ok(Scene { folder, ports: RefCell::default() })
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// A file in it.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Writes a file in it.
    pub fn write(&self, name: &str, text: &str) -> Outcome<PathBuf> {
        let path = self.file(name);
        std::fs::write(&path, text).during(path.display())?;
        Ok(path)
    }

    /// A port for this test alone.
    pub fn port(&self) -> Outcome<u16> {
        self.ports.borrow_mut().take()
    }

    /// Its reservations.
    pub fn ports(&self) -> &RefCell<Ports> {
        &self.ports
    }

    /// Prints the last lines of every log.
    pub fn show_logs(&self) {
        eprintln!("everything that was written is in {}", self.folder.display());
        let mut files: Vec<PathBuf> =
            std::fs::read_dir(&self.folder).map(|entries| entries.flatten().map(|e| e.path()).collect()).unwrap_or_default();
        files.retain(|path| path.extension().is_some_and(|e| e == "log"));
        files.sort();
        for path in files {
            eprintln!("--- {}\n{}", path.display(), LogFile::new(&path).tail(TAIL));
        }
    }
}
