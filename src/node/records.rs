//! The subscriber that writes call records to disk and to the look-up. It runs on a thread of its own: a full or dead disk costs
//! records by a stated rule, never a call.

use ringfort_base::{Event, Wall};
use ringfort_observe::Subscriber;
use ringfort_store::{Lookup, RecordJournal, RecordLimits, StateDir};

/// Writes each call's one record.
pub struct RecordWriter {
    journal: RecordJournal,
    lookup: Option<Lookup>,
}

impl RecordWriter {
    /// Records go to the state directory. A look-up that cannot be opened is left out: it can be rebuilt from the journal.
    pub fn open(state: &StateDir) -> RecordWriter {
        let lookup = match Lookup::open(state.lookup()) {
            Ok((lookup, _)) => Some(lookup),
            Err(error) => {
                tracing::error!(%error, "look-up of call records cannot be opened");
                None
            }
        };
        RecordWriter { journal: RecordJournal::new(state.records(), RecordLimits::default()), lookup }
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
    }
}
