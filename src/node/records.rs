//! The subscriber that writes call records to disk and to the look-up. It runs on a thread of its own: a full or dead disk costs
//! records by a stated rule, never a call.

use ringfort_base::{Event, Wall};
use ringfort_observe::Subscriber;
use ringfort_store::records::read_newest;
use ringfort_store::{Lookup, Opened, RecordJournal, RecordLimits, StateDir};

/// Records that a look-up is rebuilt with.
const REBUILT_MAX: usize = 10_000;

/// Writes each call's one record.
pub struct RecordWriter {
    journal: RecordJournal,
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
        if let Err(error) = self.journal.sync() {
            tracing::error!(%error, "call records");
        }
    }
}
