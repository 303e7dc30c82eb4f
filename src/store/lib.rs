//! Disk: the state journal in RAM, call records, look-ups that can be rebuilt, whole files.
//!
//! Nothing here is on a call's way but [`Journal`], which lives in a RAM directory and never waits for a device. What
//! cannot be written is a typed error, which the caller turns into `Event::Impaired`, or is counted and dropped by a
//! rule that the type states.
//!
//! Read first: [`journal`] (what survives `kill -9`), then [`records`], [`lookup`] and [`files`].

pub mod files;
pub mod journal;
pub mod lookup;
pub mod records;

pub use files::{FileError, StateDir, create_private_dir, write_atomic};
pub use journal::{Journal, JournalError, Key, Recovery};
pub use lookup::{Lookup, LookupError, Opened};
pub use records::{RecordCounters, RecordError, RecordJournal, RecordLimits};
