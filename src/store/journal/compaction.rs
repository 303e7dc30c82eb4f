//! Compaction: the current values are copied into a new file, a step with each write, and the new file takes the
//! place of the old by an atomic rename. While it runs, every change is written to both, so a process killed at any
//! moment leaves one whole journal under the journal's name.

use super::{FILE_MAX, FileError, GARBAGE_MIN, Journal, Key, open_private};
use std::fs::File;
use std::io;
use std::ops::Bound;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use zeroize::{Zeroize, Zeroizing};

/// Most that one write copies, so that it stays far below a millisecond. A write adds one record, so copying goes
/// faster than the file grows.
const STEP_RECORDS: usize = 16;
const STEP_OCTETS: u64 = 64 << 10;

/// A compaction in progress.
#[derive(Debug)]
pub struct Compaction {
    file: File,
    len: u64,
    /// The last key that was dealt with.
    cursor: Option<Key>,
    /// Values written since then are in the new file already.
    started_seq: u64,
}

impl Compaction {
    /// Writes a record at the end of the new file and returns where it lies.
    pub fn append(&mut self, record: &[u8]) -> io::Result<u64> {
        self.file.write_all_at(record, self.len)?;
        let at = self.len;
        self.len += record.len() as u64;
        Ok(at)
    }
}

/// The file that a compaction writes.
pub fn path_of(journal: &Path) -> PathBuf {
    journal.with_extension("compacting")
}

impl Journal {
    pub(super) fn wants_compaction(&self) -> bool {
        let garbage = self.garbage_octets();
        garbage > GARBAGE_MIN && garbage > self.len / 2 && self.len >= self.compact_above
    }

    /// Starts a compaction when it is worth it, or takes the next step of the one that runs.
    pub(super) fn compact_step(&mut self) {
        if self.compaction.is_none() && self.wants_compaction() {
            self.start_compaction();
        }
        self.run_compaction(STEP_RECORDS, STEP_OCTETS);
    }

    /// Compacts in one go, when nothing waits: at the start.
    pub(super) fn compact_whole(&mut self) {
        self.start_compaction();
        self.run_compaction(usize::MAX, FILE_MAX);
    }

    fn start_compaction(&mut self) {
        match open_empty(&path_of(&self.path)) {
            Ok(file) => {
                self.compaction = Some(Compaction { file, len: 0, cursor: None, started_seq: self.next_seq });
            }
            Err(_) => self.abandon_compaction(),
        }
    }

    /// Gives a compaction up. The journal is whole without it; it is tried again when the file has grown by half of
    /// what a compaction is worth at least.
    pub(super) fn abandon_compaction(&mut self) {
        self.compaction = None;
        self.compact_above = self.len + GARBAGE_MIN / 2;
        let _ = std::fs::remove_file(path_of(&self.path));
    }

    fn run_compaction(&mut self, records: usize, octets: u64) {
        let Some(mut compaction) = self.compaction.take() else { return };
        match self.copy(&mut compaction, records, octets) {
            Ok(false) => self.compaction = Some(compaction),
            Ok(true) => self.finish(compaction),
            Err(_) => self.abandon_compaction(),
        }
    }

    /// Copies the next records. Returns whether all are done.
    fn copy(&mut self, compaction: &mut Compaction, records: usize, octets: u64) -> io::Result<bool> {
        let side = self.side;
        let mut buffer = Zeroizing::new(Vec::new());
        let (mut copied, mut last) = (0, None);
        let from = compaction.cursor.take().map_or(Bound::Unbounded, Bound::Excluded);
        for (done, (key, place)) in self.places.range_mut((from, Bound::Unbounded)).enumerate() {
            if done >= records || copied >= octets {
                compaction.cursor = last;
                return Ok(false);
            }
            last = Some(key.clone());
            if place.seq >= compaction.started_seq {
                continue;
            }
            read_record(&self.file, place.at[side], place.len, &mut buffer)?;
            place.at[1 - side] = compaction.append(&buffer)?;
            copied += place.len;
        }
        Ok(true)
    }

    fn finish(&mut self, compaction: Compaction) {
        if std::fs::rename(path_of(&self.path), &self.path).is_err() {
            return self.abandon_compaction();
        }
        release(std::mem::replace(&mut self.file, compaction.file));
        self.len = compaction.len;
        self.side = 1 - self.side;
        self.compact_above = 0;
    }
}

fn open_empty(path: &Path) -> Result<File, FileError> {
    let file = open_private(path)?;
    file.set_len(0).map_err(|e| FileError::new("cut", path, e))?;
    Ok(file)
}

/// Closes the old file elsewhere: the kernel gives its pages back then, which takes 20 ms for 80 MB.
fn release(old: File) {
    // Without a thread the closure is dropped here, and the file with it.
    let _ = std::thread::Builder::new().name("journal-release".to_owned()).spawn(move || drop(old));
}

/// Reads a record into `buffer`, wiping what was there.
fn read_record(file: &File, at: u64, len: u64, buffer: &mut Zeroizing<Vec<u8>>) -> io::Result<()> {
    buffer.zeroize();
    if buffer.capacity() < len as usize {
        *buffer = Zeroizing::new(Vec::with_capacity(len as usize));
    }
    buffer.resize(len as usize, 0);
    file.read_exact_at(buffer, at)
}
