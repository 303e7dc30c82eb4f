//! Which number a trunk is told as the caller's.

use super::Source;
use crate::config::{CallerNumber, NumberFormat, Snapshot};
use crate::number::{self, Number, Writer};

/// The caller's number as this trunk is told it. `from` is the caller's user part as the node knows it. A caller who is no number
/// (`anonymous`) stays what it is.
pub fn presented(snapshot: &Snapshot, trunk: &str, source: &Source, from: &str) -> String {
    let Some(trunk) = snapshot.trunk(trunk) else { return from.to_string() };
    if let CallerNumber::Fixed(number) = &trunk.caller {
        return number::written(&snapshot.numbers, trunk.format, number);
    }
    let did = || snapshot.dids.iter().find_map(|did| did.number_of(from)).or_else(|| trunk.caller_default.clone());
    let is_own = matches!(source, Source::Account(_)) || snapshot.accounts.contains_key(from);
    let known = match trunk.caller {
        CallerNumber::Did if is_own => did(),
        _ => told(snapshot, source, from, trunk.format),
    };
    known.map_or_else(|| from.to_string(), |number| number::written(&snapshot.numbers, trunk.format, &number))
}

/// A number that another peer told is read in that peer's way before it is written in this one's.
fn told(snapshot: &Snapshot, source: &Source, from: &str, format: NumberFormat) -> Option<String> {
    let writer = match source.writer(snapshot) {
        Writer::Person => return None,
        peer => peer,
    };
    (format != NumberFormat::AsIs).then(|| Number::read(snapshot, from, writer).global).flatten()
}
