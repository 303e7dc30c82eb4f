//! Writing state down for the next process. Where the journal lies in RAM, as it should, the core writes each change itself: that is
//! a copy of some microseconds, less than waking a thread, and nothing that was handed over can be lost. On any other file system a
//! thread of its own writes, so that a call never waits for a disk.

use crossbeam_channel::{Receiver, Sender, bounded};
use ringfort_base::Event;
use ringfort_call::Saved;
use ringfort_observe::Observers;
use ringfort_store::Journal;
use rustix::fs::statfs;
use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

/// File systems that are memory (statfs(2)).
const IN_RAM: [i64; 2] = [0x0102_1994, 0x8584_58f6];

/// Hands changes to the file.
pub struct JournalWriter {
    observers: Observers,
    way: Way,
}

enum Way {
    /// There is no journal.
    None,
    /// The caller writes.
    Direct(Mutex<Journal>),
    /// A thread writes.
    Thread(Arc<Changes>, Option<Sender<()>>, Option<JoinHandle<()>>),
}

/// The latest change of each key that is not written yet. It cannot hold more keys than there are calls and bindings, and nothing is
/// lost when the disk is slow.
type Changes = Mutex<HashMap<String, Option<Vec<u8>>>>;

/// Opens the journal; what an earlier process wrote comes back. Without a journal the node runs all the same: calls go on, only a
/// restart loses them.
pub fn open(path: &Path) -> (Option<Journal>, Vec<Saved>, Option<Event>) {
    match Journal::open(path) {
        Ok((journal, values)) => {
            let saved = values.into_iter().map(|(key, value)| Saved { key, value: value.to_vec() }).collect();
            let found = journal.recovery();
            let damaged = (found.damaged_octets > 0).then(|| impaired(format!("{} octets were damaged", found.damaged_octets)));
            (Some(journal), saved, damaged)
        }
        Err(error) => (None, Vec::new(), Some(impaired(error.to_string()))),
    }
}

fn impaired(reason: String) -> Event {
    Event::Impaired { part: "journal".into(), reason }
}

impl JournalWriter {
    /// Starts the writer of the journal at `path`.
    pub fn start(journal: Option<Journal>, path: &Path, observers: Observers) -> std::io::Result<JournalWriter> {
        let way = match journal {
            None => Way::None,
            Some(journal) if is_in_ram(path) => Way::Direct(Mutex::new(journal)),
            Some(journal) => threaded(journal, observers.clone())?,
        };
        Ok(JournalWriter { observers, way })
    }

    /// Writes a change, or has it written. Without a journal changes are dropped, which the start has told.
    pub fn write(&self, key: String, value: Option<Vec<u8>>) {
        match &self.way {
            Way::None => {}
            Way::Direct(journal) => write(&mut lock(journal), &self.observers, &key, value),
            Way::Thread(changes, bell, _) => {
                lock(changes).insert(key, value);
                // A full bell rings already.
                let _ = bell.as_ref().map(|bell| bell.try_send(()));
            }
        }
    }
}

fn threaded(mut journal: Journal, observers: Observers) -> std::io::Result<Way> {
    let (bell, rings): (Sender<()>, Receiver<()>) = bounded(1);
    let changes = Arc::<Changes>::default();
    let shared = changes.clone();
    let thread = std::thread::Builder::new().name("journal".into()).spawn(move || {
        for () in rings {
            let taken = std::mem::take(&mut *lock(&shared));
            for (key, value) in taken {
                write(&mut journal, &observers, &key, value);
            }
        }
    })?;
    Ok(Way::Thread(changes, Some(bell), Some(thread)))
}

fn write(journal: &mut Journal, observers: &Observers, key: &str, value: Option<Vec<u8>>) {
    let written = match value {
        Some(value) => journal.put(key, &value),
        None => journal.remove(key),
    };
    if let Err(error) = written {
        observers.publish(crate::clock::wall(), impaired(error.to_string()));
    }
}

// The kernel's type has another sign and width under other C libraries.
#[allow(clippy::unnecessary_cast)]
fn is_in_ram(path: &Path) -> bool {
    statfs(path).is_ok_and(|found| IN_RAM.contains(&(found.f_type as i64)))
}

/// What is guarded is whole even if a thread ended while it held the lock.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for JournalWriter {
    /// What is queued is written before the process ends.
    fn drop(&mut self) {
        if let Way::Thread(_, bell, thread) = &mut self.way {
            *bell = None;
            let _ = thread.take().map(JoinHandle::join);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By either way the last value of each key is in the file when the writer has ended.
    #[test]
    fn nothing_that_was_handed_over_is_lost() {
        let folder = tempfile::tempdir().unwrap();
        for directly in [true, false] {
            let path = folder.path().join(format!("{directly}.journal"));
            let (journal, _, _) = open(&path);
            let observers = Observers::start(Vec::new()).unwrap();
            let way = match directly {
                true => Way::Direct(Mutex::new(journal.unwrap())),
                false => threaded(journal.unwrap(), observers.clone()).unwrap(),
            };
            let writer = JournalWriter { observers, way };
            for n in 0..20_000u32 {
                writer.write(format!("call/{}", n % 500), (n % 3 > 0 || n >= 19_500).then(|| n.to_string().into_bytes()));
            }
            drop(writer);
            let (_, saved, damage) = open(&path);
            assert_eq!((saved.len(), damage), (500, None));
            for Saved { key, value } in saved {
                let n: u32 = String::from_utf8(value).unwrap().parse().unwrap();
                assert_eq!(key, format!("call/{}", n % 500));
                assert!(n >= 19_500);
            }
        }
    }

    #[test]
    fn memory_is_told_from_disks() {
        assert!(is_in_ram(Path::new("/dev/shm")));
        assert!(!is_in_ram(Path::new("/proc")));
        assert!(!is_in_ram(Path::new("/no such place")));
    }
}
