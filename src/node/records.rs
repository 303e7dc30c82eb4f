//! The subscriber that writes call records to disk and to the look-up. It runs on a thread of its own: a full or dead disk costs
//! records by a stated rule, never a call.

use ringfort_base::{Event, Wall};
use ringfort_observe::Subscriber;
use ringfort_store::records::read_newest;
use ringfort_store::{Lookup, Opened, RecordJournal, RecordLimits, StateDir};
use std::time::{Duration, Instant};

/// Records that a look-up is rebuilt with.
const REBUILT_MAX: usize = 10_000;

/// Records are made to survive the power so often, not with each call: a disk takes milliseconds for it.
const SYNC_INTERVAL: Duration = Duration::from_secs(1);

/// Writes each call's one record.
pub struct RecordWriter {
    journal: RecordJournal,
    /// When records were made safe last, and whether some came since.
    synced: Instant,
    unsynced: bool,
    lookup: Option<Lookup>,
}

impl RecordWriter {
    /// Records go to the state directory. A look-up that is new or had to be rebuilt is filled from the journal; one that cannot be
    /// opened is left out.
    pub fn open(state: &StateDir) -> RecordWriter {
        let lookup = match Lookup::open(state.lookup()) {
            Ok((lookup, Opened::Sound)) => Some(lookup),
            Ok((mut lookup, _)) => {
                let filled = read_newest(&state.records(), REBUILT_MAX).map(|records| lookup.fill(&records));
                if !matches!(filled, Ok(Ok(()))) {
                    tracing::warn!("look-up of call records could not be filled");
                }
                Some(lookup)
            }
            Err(error) => {
                tracing::error!(%error, "look-up of call records cannot be opened");
                None
            }
        };
        RecordWriter {
            journal: RecordJournal::new(state.records(), RecordLimits::default()),
            synced: Instant::now(),
            unsynced: false,
            lookup,
        }
    }
}

impl Subscriber for RecordWriter {
    fn name(&self) -> &'static str {
        "records"
    }

    fn wants(&self) -> fn(&Event) -> bool {
        |event| matches!(event, Event::CallEnded(_))
    }

    fn on(&mut self, _: Wall, event: &Event) {
        let Event::CallEnded(record) = event else { return };
        self.unsynced = true;
        if let Err(error) = self.journal.append(record) {
            tracing::error!(%error, "call record");
        }
        if let Some(lookup) = &mut self.lookup
            && let Err(error) = lookup.put_record(record)
        {
            tracing::warn!(%error, "look-up of call records");
        }
    }

    fn settled(&mut self) {
        // What waits is tried again; what fails again waits on and is counted.
        let _ = self.journal.retry();
        if self.unsynced && self.synced.elapsed() >= SYNC_INTERVAL {
            self.sync();
        }
    }
}

impl RecordWriter {
    fn sync(&mut self) {
        (self.synced, self.unsynced) = (Instant::now(), false);
        if let Err(error) = self.journal.sync() {
            tracing::error!(%error, "call records");
        }
    }
}

impl Drop for RecordWriter {
    /// An orderly end makes all of them safe.
    fn drop(&mut self) {
        self.sync();
    }
}
