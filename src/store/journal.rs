//! The state journal: what a restarted process needs to go on with the calls of the one before it.
//!
//! An append-only file in a RAM directory (`/run/ringfort/state.journal`). Each change is one `pwrite(2)` without
//! `fsync`: it survives `kill -9` of the process, not the power. A torn tail is cut off and a damaged record skipped;
//! both are reported in [`Recovery`], neither is fatal.
//!
//! Values hold session keys. The file is readable by its owner only, and every buffer that held a value is wiped.
//! Values that were replaced or removed stay in the file until it is compacted, which happens when garbage is more
//! than half of it and more than [`GARBAGE_MIN`]. Compaction is done a step with each write, so that no call waits
//! for the whole of it.
//!
//! Read next: `journal/format.rs` (the octets), `journal/compaction.rs`.

mod compaction;
mod format;
#[cfg(test)]
mod tests;

use crate::files::{self, FileError};
use compaction::Compaction;
use format::{Change, encode, scan};
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use zeroize::{Zeroize, Zeroizing};

/// Name of a value: `call/c1f`, `binding/101@example.com`.
pub type Key = String;
/// A value that survived, wiped when dropped.
pub type Value = Zeroizing<Vec<u8>>;

pub use ringfort_base::limits::JOURNAL_FILE_MAX as FILE_MAX;
pub use ringfort_base::limits::JOURNAL_KEY_MAX as KEY_MAX;
pub use ringfort_base::limits::JOURNAL_VALUE_MAX as VALUE_MAX;
/// Garbage below this is never worth a compaction, octets.
pub const GARBAGE_MIN: u64 = 1 << 20;

const _: () = assert!((VALUE_MAX + KEY_MAX) as u64 * 64 < FILE_MAX);

/// Why the journal could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// Another process holds the journal.
    #[error("{} is in use by another process", .0.display())]
    Locked(PathBuf),
    /// The file or its directory failed.
    #[error(transparent)]
    File(#[from] FileError),
    /// A write failed; the value before it is still in force.
    #[error("cannot write the journal: {0}")]
    Write(#[source] io::Error),
    /// The key is longer than [`KEY_MAX`].
    #[error("key of {0} octets, at most {KEY_MAX}")]
    KeyTooLong(usize),
    /// The value is larger than [`VALUE_MAX`].
    #[error("value of {0} octets, at most {VALUE_MAX}")]
    ValueTooLarge(usize),
    /// The file is as large as it may get ([`FILE_MAX`]).
    #[error("journal full: {0} octets")]
    Full(u64),
}

/// What opening found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Values that survived.
    pub values: usize,
    /// Octets in the middle that were no sound record; what they held is lost.
    pub damaged_octets: u64,
    /// Octets at the end of a write that did not finish.
    pub torn_octets: u64,
}

/// Where a value's record lies, in the current file and in the one that a compaction writes.
#[derive(Clone, Copy, Debug)]
struct Place {
    seq: u64,
    len: u64,
    at: [u64; 2],
}

/// The journal. One owner, one process: the file is locked.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
    /// Held for its lock, which the kernel gives up when the process dies.
    _lock: File,
    places: BTreeMap<Key, Place>,
    /// Which of `Place::at` belongs to `file`.
    side: usize,
    len: u64,
    live: u64,
    next_seq: u64,
    compaction: Option<Compaction>,
    /// After a failed compaction: the file length at which the next is tried.
    compact_above: u64,
    recovery: Recovery,
    buffer: Zeroizing<Vec<u8>>,
}

impl Journal {
    /// Opens or creates the journal and returns the values that survived, in order of their last write. The directory
    /// is created with mode 0700 when missing.
    pub fn open(path: impl AsRef<Path>) -> Result<(Journal, Vec<(Key, Value)>), JournalError> {
        let path = path.as_ref().to_path_buf();
        if let Some(parent) = path.parent() {
            files::create_private_dir(parent)?;
        }
        let lock = lock(&path)?;
        // What an interrupted compaction left holds nothing that the journal does not.
        let _ = std::fs::remove_file(compaction::path_of(&path));
        let file = open_private(&path)?;
        let octets = read_all(&file).map_err(|e| FileError::new("read", &path, e))?;
        let mut journal = Journal::empty(path, file, lock);
        let values = journal.restore(&octets);
        journal.tidy();
        Ok((journal, values))
    }

    /// Writes a value down, in place of the one before it.
    pub fn put(&mut self, key: &str, value: &[u8]) -> Result<(), JournalError> {
        check(key, value)?;
        let (at, seq, len) = self.append(key, Some(value))?;
        let place = Place { seq, len, at };
        self.live += len;
        if let Some(before) = self.places.get_mut(key) {
            self.live -= before.len;
            *before = place;
        } else {
            self.places.insert(key.to_owned(), place);
        }
        self.compact_step();
        Ok(())
    }

    /// Removes a value. A key that has none costs nothing.
    pub fn remove(&mut self, key: &str) -> Result<(), JournalError> {
        if !self.places.contains_key(key) {
            return Ok(());
        }
        self.append(key, None)?;
        if let Some(before) = self.places.remove(key) {
            self.live -= before.len;
        }
        self.compact_step();
        Ok(())
    }

    /// What opening found.
    pub fn recovery(&self) -> Recovery {
        self.recovery
    }
    /// Values held.
    pub fn len(&self) -> usize {
        self.places.len()
    }
    /// Whether no value is held.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }
    /// Size of the file, octets.
    pub fn octets(&self) -> u64 {
        self.len
    }
    /// Octets of the file that hold no current value.
    pub fn garbage_octets(&self) -> u64 {
        self.len - self.live
    }

    fn empty(path: PathBuf, file: File, lock: File) -> Journal {
        Journal {
            path,
            file,
            _lock: lock,
            places: BTreeMap::new(),
            side: 0,
            len: 0,
            live: 0,
            next_seq: 1,
            compaction: None,
            compact_above: 0,
            recovery: Recovery::default(),
            buffer: Zeroizing::default(),
        }
    }

    /// Reads the records; the highest sequence number of a key decides, because compaction does not keep the order.
    fn restore(&mut self, octets: &[u8]) -> Vec<(Key, Value)> {
        let mut latest: BTreeMap<Key, (u64, Option<(Place, Value)>)> = BTreeMap::new();
        let mut last_seq = 0;
        let scan = scan(octets, |at, len, record| {
            last_seq = last_seq.max(record.seq);
            if latest.get(record.key).is_some_and(|(seq, _)| *seq > record.seq) {
                return;
            }
            let place = Place { seq: record.seq, len, at: [at; 2] };
            let held = match record.change {
                Change::Put(value) => Some((place, Zeroizing::new(value.to_vec()))),
                Change::Remove => None,
            };
            latest.insert(record.key.to_owned(), (record.seq, held));
        });
        let mut survivors = Vec::new();
        for (key, (seq, held)) in latest {
            let Some((place, value)) = held else { continue };
            self.live += place.len;
            self.places.insert(key.clone(), place);
            survivors.push((seq, key, value));
        }
        survivors.sort_by_key(|(seq, ..)| *seq);
        self.len = scan.end;
        self.next_seq = last_seq.saturating_add(1);
        self.recovery = Recovery { values: survivors.len(), damaged_octets: scan.damaged, torn_octets: scan.torn };
        survivors.into_iter().map(|(_, key, value)| (key, value)).collect()
    }

    /// Cuts a torn tail off, and rewrites a file that is damaged or mostly garbage. Failing is harmless: the next
    /// record is written over the tail, and damage is skipped again.
    fn tidy(&mut self) {
        if self.recovery.torn_octets > 0 {
            let _ = self.file.set_len(self.len);
        }
        if self.recovery.damaged_octets > 0 || self.wants_compaction() {
            self.compact_whole();
        }
    }

    /// Appends a record to the file, and to the one that a compaction writes. Returns offsets, sequence and length.
    fn append(&mut self, key: &str, value: Option<&[u8]>) -> Result<([u64; 2], u64, u64), JournalError> {
        let seq = self.next_seq;
        encode(&mut self.buffer, seq, key, value);
        let written = self.write_buffer();
        self.buffer.zeroize();
        let (at, len) = written?;
        self.next_seq += 1;
        Ok((at, seq, len))
    }

    fn write_buffer(&mut self) -> Result<([u64; 2], u64), JournalError> {
        let len = self.buffer.len() as u64;
        if self.len + len > FILE_MAX {
            return Err(JournalError::Full(self.len));
        }
        if let Err(error) = self.file.write_all_at(&self.buffer, self.len) {
            // Part of the record may have been written: take it back. Should that fail as well, the next record
            // overwrites it and its check fails at the next start.
            let _ = self.file.set_len(self.len);
            return Err(JournalError::Write(error));
        }
        let mut at = [self.len; 2];
        self.len += len;
        if let Some(compaction) = &mut self.compaction {
            match compaction.append(&self.buffer) {
                Ok(offset) => at[1 - self.side] = offset,
                Err(_) => self.abandon_compaction(),
            }
        }
        Ok((at, len))
    }
}

fn check(key: &str, value: &[u8]) -> Result<(), JournalError> {
    if key.len() > KEY_MAX {
        return Err(JournalError::KeyTooLong(key.len()));
    }
    if value.len() > VALUE_MAX {
        return Err(JournalError::ValueTooLarge(value.len()));
    }
    Ok(())
}

/// Takes the lock beside the journal. It is a file of its own because compaction replaces the journal's.
fn lock(path: &Path) -> Result<File, JournalError> {
    let lock = open_private(&path.with_extension("lock"))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(JournalError::Locked(path.to_path_buf())),
        Err(TryLockError::Error(error)) => Err(FileError::new("lock", path, error).into()),
    }
}

/// Opens for reading and writing, creates with mode 0600, follows no symbolic link.
fn open_private(path: &Path) -> Result<File, FileError> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(libc::O_NOFOLLOW)
        .open(path)
        .map_err(|e| FileError::new("open", path, e))?;
    files::make_private(&file).map_err(|e| FileError::new("restrict", path, e))?;
    Ok(file)
}

/// The file's octets, at most [`FILE_MAX`]; a longer one was not written by this journal. The buffer is sized first:
/// a vector that grows leaves copies behind that nobody wipes.
fn read_all(file: &File) -> io::Result<Zeroizing<Vec<u8>>> {
    let size = file.metadata()?.len().min(FILE_MAX);
    let mut octets = Zeroizing::new(vec![0; size as usize]);
    file.read_exact_at(&mut octets, 0)?;
    Ok(octets)
}
