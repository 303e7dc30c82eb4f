//! Call records on disk: one JSON object a line, one file a day (`calls-2026-01-31-0000.jsonl`), another part when a
//! file has reached its size.
//!
//! Rules, in the order in which they bite:
//! 1. A record that cannot be written (disk full, read-only) waits in memory and is written with the next one.
//! 2. When more than [`RecordLimits::waiting`] wait, the oldest of them is dropped and counted.
//! 3. When all files together exceed [`RecordLimits::total_octets`], the oldest file is deleted and counted.
//!
//! Writing goes to the system's cache, which survives the process; [`RecordJournal::sync`], called every few seconds,
//! makes it survive the power.

use crate::files::{self, FileError};
use ringfort_base::event::CallRecord;
use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Bounds of the call records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordLimits {
    /// Size at which a file is closed and another part begun, octets.
    pub file_octets: u64,
    /// All files together, octets.
    pub total_octets: u64,
    /// Records that may wait in memory for a disk that cannot be written.
    pub waiting: usize,
}

impl Default for RecordLimits {
    /// 16 MiB a file, 1 GiB (about three million calls) in all, 1,000 records waiting.
    fn default() -> Self {
        RecordLimits { file_octets: 16 << 20, total_octets: 1 << 30, waiting: 1_000 }
    }
}

/// What became of the records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RecordCounters {
    /// Written to a file.
    pub written: u64,
    /// Dropped because too many waited.
    pub dropped: u64,
    /// Files deleted to keep within the bound.
    pub files_deleted: u64,
}

/// A record could not be written now.
#[derive(Debug, thiserror::Error)]
#[error("{waiting} call records wait, {dropped} were dropped: {source}")]
pub struct RecordError {
    /// Records that wait for the next attempt, the new one among them.
    pub waiting: usize,
    /// Records dropped since the start.
    pub dropped: u64,
    /// Why.
    pub source: FileError,
}

/// The writer of call records. Owned by the record thread.
#[derive(Debug)]
pub struct RecordJournal {
    dir: PathBuf,
    limits: RecordLimits,
    current: Option<Current>,
    waiting: VecDeque<Line>,
    counters: RecordCounters,
}

/// The file written to.
#[derive(Debug)]
struct Current {
    file: File,
    path: PathBuf,
    day: String,
    len: u64,
}

#[derive(Debug)]
struct Line {
    day: String,
    text: String,
}

impl RecordJournal {
    /// A writer into `dir`, which is created with the first record: a disk that is not there at the start is no
    /// reason not to start.
    pub fn new(dir: impl Into<PathBuf>, limits: RecordLimits) -> RecordJournal {
        let counters = RecordCounters::default();
        RecordJournal { dir: dir.into(), limits, current: None, waiting: VecDeque::new(), counters }
    }

    /// Writes a record, after those that wait. On an error it waits as well.
    pub fn append(&mut self, record: &CallRecord) -> Result<(), RecordError> {
        // Strings, numbers and unit variants always serialise; the fallback is there so that nothing can panic.
        let mut text = serde_json::to_string(record).unwrap_or_default();
        text.push('\n');
        if self.waiting.len() >= self.limits.waiting {
            self.waiting.pop_front();
            self.counters.dropped += 1;
        }
        let mut day = record.ended.rfc3339();
        day.truncate("2026-01-31".len());
        self.waiting.push_back(Line { day, text });
        self.retry()
    }

    /// Writes what waits. To be called now and then, so that the last record of a busy hour does not wait for the
    /// next call.
    pub fn retry(&mut self) -> Result<(), RecordError> {
        while let Some(line) = self.waiting.pop_front() {
            if let Err(source) = self.write(&line) {
                self.waiting.push_front(line);
                let (waiting, dropped) = (self.waiting.len(), self.counters.dropped);
                return Err(RecordError { waiting, dropped, source });
            }
            self.counters.written += 1;
        }
        Ok(())
    }

    /// Makes what was written survive the power.
    pub fn sync(&mut self) -> Result<(), FileError> {
        match &self.current {
            Some(current) => current.file.sync_data().map_err(|e| FileError::new("sync", &current.path, e)),
            None => Ok(()),
        }
    }

    /// What became of the records so far.
    pub fn counters(&self) -> RecordCounters {
        self.counters
    }
    /// Records that wait for the disk.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    fn write(&mut self, line: &Line) -> Result<(), FileError> {
        let fits = |c: &Current| c.day == line.day && c.len < self.limits.file_octets;
        if !self.current.as_ref().is_some_and(fits) {
            self.current = None;
            self.current = Some(self.open_for(&line.day)?);
            self.prune();
        }
        let Some(current) = &mut self.current else { return Ok(()) };
        match current.file.write_all(line.text.as_bytes()) {
            Ok(()) => {
                current.len += line.text.len() as u64;
                Ok(())
            }
            Err(error) => {
                // Half a line would spoil the one after it. The file is looked at again before the next attempt.
                let _ = current.file.set_len(current.len);
                let error = FileError::new("write", &current.path, error);
                self.current = None;
                Err(error)
            }
        }
    }

    /// The day's newest part that has room, or a new one.
    fn open_for(&self, day: &str) -> Result<Current, FileError> {
        files::create_private_dir(&self.dir)?;
        let prefix = format!("calls-{day}-");
        let parts = list(&self.dir)?;
        let newest = parts.iter().rev().find_map(|path| part_number(path, &prefix));
        let current = self.open_part(day, newest.unwrap_or(0))?;
        if current.len < self.limits.file_octets {
            return Ok(current);
        }
        self.open_part(day, newest.unwrap_or(0) + 1)
    }

    fn open_part(&self, day: &str, part: u32) -> Result<Current, FileError> {
        let path = self.dir.join(format!("calls-{day}-{part:04}.jsonl"));
        let opened = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(&path);
        let mut file = opened.map_err(|e| FileError::new("open", &path, e))?;
        let len = cut_torn_line(&mut file).map_err(|e| FileError::new("repair", &path, e))?;
        Ok(Current { file, path, day: day.to_owned(), len })
    }

    /// Deletes the oldest files until a full new one fits into the bound. Called when a file is opened.
    fn prune(&mut self) {
        let Ok(parts) = list(&self.dir) else { return };
        let size = |path: &PathBuf| path.metadata().map_or(0, |m| m.len());
        let mut total: u64 = parts.iter().map(size).sum();
        let current = self.current.as_ref().map(|c| c.path.clone());
        for path in parts {
            if total.saturating_add(self.limits.file_octets) <= self.limits.total_octets {
                return;
            }
            let octets = size(&path);
            if Some(&path) != current.as_ref() && std::fs::remove_file(&path).is_ok() {
                total -= octets;
                self.counters.files_deleted += 1;
            }
        }
    }
}

/// The newest records, newest first, at most `count`. Lines that cannot be read are skipped.
pub fn read_newest(dir: &Path, count: usize) -> Result<Vec<CallRecord>, FileError> {
    let mut records = Vec::new();
    for path in list(dir)?.iter().rev() {
        if records.len() >= count {
            break;
        }
        let octets = std::fs::read(path).map_err(|e| FileError::new("read", path, e))?;
        let lines = octets.rsplit(|b| *b == b'\n');
        records.extend(lines.filter_map(|line| serde_json::from_slice(line).ok()).take(count - records.len()));
    }
    Ok(records)
}

/// The record files, oldest first. A directory that does not exist has none.
fn list(dir: &Path) -> Result<Vec<PathBuf>, FileError> {
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(FileError::new("list", dir, error)),
    };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).filter(|path| is_record_file(path)).collect();
    paths.sort();
    Ok(paths)
}

fn is_record_file(path: &Path) -> bool {
    let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
    name.starts_with("calls-") && name.ends_with(".jsonl")
}

fn part_number(path: &Path, prefix: &str) -> Option<u32> {
    path.file_stem()?.to_str()?.strip_prefix(prefix)?.parse().ok()
}

/// Cuts off a last line that has no end, which a crash left, and returns the length of the file.
fn cut_torn_line(file: &mut File) -> io::Result<u64> {
    const BLOCK: u64 = 4_096;
    let mut end = file.metadata()?.len();
    let len = end;
    let mut block = Vec::new();
    while end > 0 {
        let start = end.saturating_sub(BLOCK);
        file.seek(SeekFrom::Start(start))?;
        block.clear();
        Read::by_ref(file).take(end - start).read_to_end(&mut block)?;
        if let Some(at) = block.iter().rposition(|b| *b == b'\n') {
            end = start + at as u64 + 1;
            break;
        }
        end = start;
    }
    if end < len {
        file.set_len(end)?;
    }
    Ok(end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ringfort_base::event::Mode;
    use ringfort_base::{CallId, Pii, Wall};

    const DAY_MS: u64 = 86_400_000;

    fn record(call: u64, ended: u64) -> CallRecord {
        CallRecord {
            call: CallId(call),
            from: Pii::new("+4930123456".into()),
            to: Pii::new("101".into()),
            route: "inbound".into(),
            mode: Mode::Normal,
            source: "account:101".into(),
            started: Wall(ended.saturating_sub(5_000)),
            answered: None,
            ended: Wall(ended),
            status: 486,
            cause: "busy".into(),
            reroutes: 0,
            packets: [0, 0],
            quality: Default::default(),
            missing: Default::default(),
            recordings: Vec::new(),
        }
    }

    fn ids(dir: &Path, count: usize) -> Vec<u64> {
        read_newest(dir, count).unwrap().iter().map(|r| r.call.0).collect()
    }

    fn names(dir: &Path) -> Vec<String> {
        list(dir).unwrap().iter().map(|p| p.file_name().unwrap().to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn one_file_a_day_read_back_newest_first() {
        let dir = tempfile::tempdir().unwrap();
        let mut journal = RecordJournal::new(dir.path(), RecordLimits::default());
        for (call, at) in [(1, 0), (2, 1_000), (3, DAY_MS)] {
            journal.append(&record(call, at)).unwrap();
        }
        journal.sync().unwrap();
        assert_eq!(names(dir.path()), ["calls-1970-01-01-0000.jsonl", "calls-1970-01-02-0000.jsonl"]);
        assert_eq!(ids(dir.path(), 10), [3, 2, 1]);
        assert_eq!(ids(dir.path(), 2), [3, 2]);
        assert_eq!(read_newest(dir.path(), 1).unwrap()[0], record(3, DAY_MS));
        assert_eq!(journal.counters().written, 3);
    }

    #[test]
    fn a_torn_line_is_cut_at_every_octet() {
        let line = serde_json::to_string(&record(2, 0)).unwrap();
        for cut in 0..line.len() {
            let dir = tempfile::tempdir().unwrap();
            RecordJournal::new(dir.path(), RecordLimits::default()).append(&record(1, 0)).unwrap();
            let path = dir.path().join(&names(dir.path())[0]);
            OpenOptions::new().append(true).open(&path).unwrap().write_all(&line.as_bytes()[..cut]).unwrap();
            let mut journal = RecordJournal::new(dir.path(), RecordLimits::default());
            journal.append(&record(3, 0)).unwrap();
            assert_eq!(ids(dir.path(), 10), [3, 1], "cut at {cut}");
        }
    }

    #[test]
    fn files_have_a_size_and_the_oldest_go_first() {
        let dir = tempfile::tempdir().unwrap();
        let limits = RecordLimits { file_octets: 500, total_octets: 2_000, waiting: 10 };
        let mut journal = RecordJournal::new(dir.path(), limits);
        for call in 0..100 {
            journal.append(&record(call, 0)).unwrap();
        }
        let total: u64 = list(dir.path()).unwrap().iter().map(|p| p.metadata().unwrap().len()).sum();
        assert!(total <= 2_000 + 500, "{total}");
        assert!(journal.counters().files_deleted > 0);
        assert_eq!(ids(dir.path(), 3), [99, 98, 97]);
        // A second writer goes on with the newest part.
        let before = names(dir.path()).len();
        RecordJournal::new(dir.path(), limits).append(&record(100, 0)).unwrap();
        assert!(names(dir.path()).len() <= before + 1);
        assert_eq!(ids(dir.path(), 1), [100]);
    }

    #[test]
    fn records_wait_for_the_disk_and_the_oldest_are_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("records");
        std::fs::write(&target, "in the way").unwrap();
        let limits = RecordLimits { waiting: 3, ..RecordLimits::default() };
        let mut journal = RecordJournal::new(&target, limits);
        for call in 0..5 {
            assert!(journal.append(&record(call, 0)).is_err());
        }
        assert_eq!((journal.waiting(), journal.counters().dropped), (3, 2));
        std::fs::remove_file(&target).unwrap();
        journal.retry().unwrap();
        assert_eq!(journal.waiting(), 0);
        assert_eq!(ids(&target, 10), [4, 3, 2]);
    }

    #[test]
    fn a_full_disk_loses_no_record_that_was_written() {
        // /dev/full answers every write with "no space left on device".
        let mut journal = RecordJournal::new("/nowhere", RecordLimits::default());
        let file = OpenOptions::new().append(true).open("/dev/full").unwrap();
        let path = PathBuf::from("/dev/full");
        journal.current = Some(Current { file, path, day: "1970-01-01".into(), len: 0 });
        let error = journal.append(&record(1, 0)).unwrap_err();
        assert!(error.source.is_disk_trouble(), "{error}");
        assert_eq!(journal.waiting(), 1);
    }
}
