//! The journal's writer: a thread of its own, so that a call never waits for a file.

use crossbeam_channel::{Sender, bounded};
use ringfort_base::Event;
use ringfort_call::Saved;
use ringfort_observe::Observers;
use ringfort_store::Journal;
use std::path::Path;
use std::thread::JoinHandle;

use ringfort_base::limits::JOURNAL_QUEUE_MAX as QUEUE_MAX;

/// Hands changes to the writer.
pub struct JournalWriter {
    queue: Option<Sender<(String, Option<Vec<u8>>)>>,
    thread: Option<JoinHandle<()>>,
}

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
    /// Starts the writer.
    pub fn start(journal: Option<Journal>, observers: Observers) -> std::io::Result<JournalWriter> {
        let Some(mut journal) = journal else { return Ok(JournalWriter { queue: None, thread: None }) };
        let (sender, receiver) = bounded::<(String, Option<Vec<u8>>)>(QUEUE_MAX);
        let thread = std::thread::Builder::new().name("journal".into()).spawn(move || {
            for (key, value) in receiver {
                let written = match value {
                    Some(value) => journal.put(&key, &value),
                    None => journal.remove(&key),
                };
                if let Err(error) = written {
                    observers.publish(crate::clock::wall(), impaired(error.to_string()));
                }
            }
        })?;
        Ok(JournalWriter { queue: Some(sender), thread: Some(thread) })
    }

    /// Queues a change. False: the queue is full. Without a journal changes are dropped, which the start has told.
    pub fn write(&self, key: String, value: Option<Vec<u8>>) -> bool {
        self.queue.as_ref().is_none_or(|queue| queue.try_send((key, value)).is_ok())
    }
}

impl Drop for JournalWriter {
    /// What is queued is written before the process ends.
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
