//! What the evaluator says of itself while it decides.

use serde::Serialize;

/// One step of the evaluator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Note {
    /// Rule or step: `number`, `emergency`, `route outside`, `forward 101`, ...
    pub rule: String,
    /// Whether it applied.
    pub applied: bool,
    /// Why, or why not, and what it did.
    pub why: String,
}

/// Takes notes.
pub trait Trace {
    /// Takes one; `note` is only asked for when it is wanted.
    fn note(&mut self, note: impl FnOnce() -> Note);
}

/// Nobody listens: nothing is written.
pub struct NoTrace;

impl Trace for NoTrace {
    fn note(&mut self, _: impl FnOnce() -> Note) {}
}

impl Trace for Vec<Note> {
    fn note(&mut self, note: impl FnOnce() -> Note) {
        self.push(note());
    }
}

impl Note {
    /// The rule applied.
    pub(super) fn yes(rule: impl Into<String>, why: impl Into<String>) -> Note {
        Note { rule: rule.into(), applied: true, why: why.into() }
    }

    /// It did not.
    pub(super) fn no(rule: impl Into<String>, why: impl Into<String>) -> Note {
        Note { rule: rule.into(), applied: false, why: why.into() }
    }
}
