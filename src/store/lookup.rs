//! Look-ups in sled: recent call records by time, registrations across reboots.
//!
//! A cache. The truth is elsewhere (the record files, the node's memory), so a damaged database is moved aside and
//! rebuilt, never repaired. sled reports damage by errors and by panics; both are caught here. After a panic the
//! database is not touched again in this process, and the next start moves it aside.
//!
//! Never on a call's way: a thread of its own calls these functions, which may wait for the disk.

use crate::files::{self, FileError};
use ringfort_base::Wall;
use ringfort_base::event::CallRecord;
use serde::{Deserialize, Serialize};
use sled::{Db, Tree};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

pub use ringfort_base::limits::LOOKUP_RECORDS_MAX as RECORDS_MAX;
/// Records deleted at once when there are too many.
const PRUNE_BATCH: usize = 1_000;
/// sled's page cache, octets. Its own default is a gigabyte.
const CACHE_OCTETS: u64 = 8 << 20;

/// Why a look-up failed. The caller goes on without it.
#[derive(Debug, thiserror::Error)]
pub enum LookupError {
    /// The directory failed.
    #[error(transparent)]
    File(#[from] FileError),
    /// sled said so.
    #[error("look-up database: {0}")]
    Database(#[from] sled::Error),
    /// sled panicked, now or earlier in this process; the next start rebuilds the database.
    #[error("look-up database is broken and will be rebuilt at the next start")]
    Broken,
}

/// How the database was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Opened {
    /// With the records that it was left with.
    Sound,
    /// There was none, or it holds no record: sled may also forget what it cannot read. The caller fills it.
    Fresh,
    /// It was damaged and moved aside. The caller fills the new one.
    Rebuilt {
        /// Where the damaged one is now.
        aside: PathBuf,
        /// What was wrong.
        reason: String,
    },
}

#[derive(Serialize, Deserialize)]
struct Registration {
    expires: Wall,
    value: Vec<u8>,
}

/// The database.
#[derive(Debug)]
pub struct Lookup {
    path: PathBuf,
    /// `None` once it is broken.
    trees: Option<Trees>,
    records: usize,
}

#[derive(Debug)]
struct Trees {
    db: Db,
    records: Tree,
    registrations: Tree,
}

impl Lookup {
    /// Opens the database, moving a damaged one aside.
    pub fn open(path: impl Into<PathBuf>) -> Result<(Lookup, Opened), LookupError> {
        let path = path.into();
        if let Some(parent) = path.parent() {
            files::create_private_dir(parent)?;
        }
        let reason = match (marker(&path).exists(), open_checked(&path)) {
            (false, Ok((trees, records))) => {
                let opened = if records > 0 { Opened::Sound } else { Opened::Fresh };
                return Ok((Lookup { path, trees: Some(trees), records }, opened));
            }
            (true, opened) => {
                drop(opened);
                "it broke while in use".to_owned()
            }
            (false, Err(Trouble::Unusable(error))) => return Err(error.into()),
            (false, Err(Trouble::Damaged(reason))) => reason,
        };
        let aside = move_aside(&path)?;
        match open_checked(&path) {
            Ok((trees, records)) => Ok((Lookup { path, trees: Some(trees), records }, Opened::Rebuilt { aside, reason })),
            Err(Trouble::Unusable(error)) => Err(error.into()),
            Err(Trouble::Damaged(_)) => Err(LookupError::Broken),
        }
    }

    /// Adds a call record.
    pub fn put_record(&mut self, record: &CallRecord) -> Result<(), LookupError> {
        let key = record_key(record.started, record.call.0);
        let value = serde_json::to_vec(record).unwrap_or_default();
        let full = self.records >= RECORDS_MAX;
        let added = self.guarded(|trees| {
            if full {
                prune(&trees.records)?;
            }
            Ok(trees.records.insert(key, value)?.is_none())
        })?;
        if full {
            self.records = self.records.saturating_sub(PRUNE_BATCH);
        }
        self.records += usize::from(added);
        Ok(())
    }

    /// Call records that began before `before`, newest first, at most `count`.
    pub fn records_before(&mut self, before: Wall, count: usize) -> Result<Vec<CallRecord>, LookupError> {
        self.guarded(|trees| {
            let found = trees.records.range(..record_key(before, 0)).rev().take(count);
            let entries: Vec<_> = found.collect::<Result<_, _>>()?;
            Ok(entries.iter().filter_map(|(_, value)| serde_json::from_slice(value).ok()).collect())
        })
    }

    /// Fills the database after it was found fresh or rebuilt.
    pub fn fill(&mut self, records: &[CallRecord]) -> Result<(), LookupError> {
        records.iter().try_for_each(|record| self.put_record(record))
    }

    /// Writes a registration down under a key that names the binding.
    pub fn put_registration(&mut self, key: &str, expires: Wall, value: &[u8]) -> Result<(), LookupError> {
        let stored = serde_json::to_vec(&Registration { expires, value: value.to_vec() }).unwrap_or_default();
        self.guarded(|trees| Ok(trees.registrations.insert(key, stored).map(drop)?))
    }

    /// Removes a registration.
    pub fn remove_registration(&mut self, key: &str) -> Result<(), LookupError> {
        self.guarded(|trees| Ok(trees.registrations.remove(key).map(drop)?))
    }

    /// The registrations that have not run out at `now`; the others are removed.
    pub fn registrations(&mut self, now: Wall) -> Result<Vec<(String, Vec<u8>)>, LookupError> {
        self.guarded(|trees| {
            let mut valid = Vec::new();
            for entry in &trees.registrations {
                let (key, value) = entry?;
                match (std::str::from_utf8(&key), serde_json::from_slice::<Registration>(&value)) {
                    (Ok(name), Ok(stored)) if stored.expires > now => valid.push((name.to_owned(), stored.value)),
                    _ => drop(trees.registrations.remove(&key)?),
                }
            }
            Ok(valid)
        })
    }

    /// Makes everything written so far durable. sled does so itself every second.
    pub fn flush(&mut self) -> Result<(), LookupError> {
        self.guarded(|trees| Ok(trees.db.flush().map(drop)?))
    }

    /// Whether the database may be used. It is not after a panic.
    pub fn is_usable(&self) -> bool {
        self.trees.is_some()
    }

    /// Runs `work` and turns a panic into [`LookupError::Broken`], for good.
    fn guarded<T>(&mut self, work: impl FnOnce(&Trees) -> Result<T, LookupError>) -> Result<T, LookupError> {
        let trees = self.trees.as_ref().ok_or(LookupError::Broken)?;
        // The trees are not used again after a panic, so that no broken invariant of theirs is seen.
        let result = match catch_unwind(AssertUnwindSafe(|| work(trees))) {
            Ok(Err(LookupError::Database(error))) if is_damage(&error) => Err(LookupError::Broken),
            Ok(result) => return result,
            Err(_) => Err(LookupError::Broken),
        };
        self.give_up();
        result
    }

    fn give_up(&mut self) {
        close(self.trees.take());
        if let Err(error) = files::write_atomic(&marker(&self.path), b"", 0o600) {
            tracing::warn!(%error, "cannot mark the look-up database as broken");
        }
    }
}

impl Drop for Lookup {
    fn drop(&mut self) {
        close(self.trees.take());
    }
}

/// Drops the database; sled flushes then, which may panic as well.
fn close(trees: Option<Trees>) {
    let _ = catch_unwind(AssertUnwindSafe(|| drop(trees)));
}

enum Trouble {
    /// The data is not sound.
    Damaged(String),
    /// The data may be sound, but cannot be used now: locked, disk full, not permitted.
    Unusable(sled::Error),
}

/// Opens the database and reads what will be needed first. Returns it with the number of records.
fn open_checked(path: &Path) -> Result<(Trees, usize), Trouble> {
    match catch_unwind(|| open_trees(path)) {
        Ok(Ok(opened)) => Ok(opened),
        Ok(Err(error)) if is_damage(&error) => Err(Trouble::Damaged(error.to_string())),
        Ok(Err(error)) => Err(Trouble::Unusable(error)),
        Err(_) => Err(Trouble::Damaged("opening it panicked".to_owned())),
    }
}

fn open_trees(path: &Path) -> Result<(Trees, usize), sled::Error> {
    let config = sled::Config::new().path(path).cache_capacity(CACHE_OCTETS).flush_every_ms(Some(1_000));
    let db = config.open()?;
    let trees = Trees { records: db.open_tree("records")?, registrations: db.open_tree("registrations")?, db };
    for entry in trees.registrations.iter() {
        entry?;
    }
    let mut records = 0;
    for entry in trees.records.iter() {
        entry?;
        records += 1;
    }
    Ok((trees, records))
}

/// Whether an error speaks of the data rather than of the system.
fn is_damage(error: &sled::Error) -> bool {
    use std::io::ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
    match error {
        sled::Error::Io(io) => matches!(io.kind(), InvalidData | InvalidInput | UnexpectedEof),
        _ => true,
    }
}

/// Lies beside a database that broke while in use.
fn marker(path: &Path) -> PathBuf {
    path.with_extension("broken")
}

/// Moves the database to `<path>.bad`, in place of the one before it, so that damage does not fill the disk.
fn move_aside(path: &Path) -> Result<PathBuf, FileError> {
    let aside = path.with_extension("bad");
    let _ = std::fs::remove_dir_all(&aside);
    let _ = std::fs::remove_file(&aside);
    std::fs::rename(path, &aside).map_err(|e| FileError::new("move aside", path, e))?;
    let _ = std::fs::remove_file(marker(path));
    Ok(aside)
}

fn record_key(started: Wall, call: u64) -> [u8; 16] {
    (u128::from(started.0) << 64 | u128::from(call)).to_be_bytes()
}

fn prune(records: &Tree) -> Result<(), LookupError> {
    for _ in 0..PRUNE_BATCH {
        records.pop_min()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
