//! The calls of an extension as a dialog-info document (RFC 4235 4). It says that there are calls and how far they are, not with whom.

use ringfort_base::CallId;
use std::collections::BTreeMap;
use std::fmt::Write;

/// The document's media type.
pub(super) const KIND: &str = "application/dialog-info+xml";

/// A call as one of its people has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Whose.
    pub user: String,
    /// The call.
    pub call: CallId,
    /// Whether it is his: he called.
    pub initiator: bool,
    /// `trying`, `early` or `confirmed`.
    pub state: &'static str,
    /// Call-ID, the device's tag and the node's of a device that rings, for whoever picks the call up (RFC 3891).
    pub dialog: Option<[String; 3]>,
}

/// What is said of each user: his calls, a line each.
pub(super) type Said = BTreeMap<String, String>;

/// Gathers calls by user.
pub(super) fn by_user(rows: &[Row]) -> Said {
    let mut said = Said::new();
    for row in rows {
        let direction = if row.initiator { "initiator" } else { "recipient" };
        let CallId(call) = row.call;
        // Writing to a String cannot fail.
        let line = said.entry(row.user.clone()).or_default();
        let _ = match &row.dialog {
            Some(dialog) => writeln!(line, "{call:x} {direction} {};{}", row.state, dialog.join(";")),
            None => writeln!(line, "{call:x} {direction} {}", row.state),
        };
    }
    said
}

/// `rows`, and those told before that are there no more, as terminated.
pub(super) fn with_ended(told: &str, rows: &str) -> String {
    fn named(row: &str) -> &str {
        row.rsplit_once(' ').map_or(row, |(name, _)| name)
    }
    let mut all = rows.to_string();
    for row in told.lines().filter(|row| !rows.lines().any(|other| named(other) == named(row))) {
        let _ = writeln!(all, "{} terminated", named(row));
    }
    all
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}

/// The document. `rows` as [`by_user`] writes them.
pub(super) fn document(entity: &str, version: u32, rows: &str) -> String {
    let entity = escaped(entity);
    let mut document = format!(
        "<?xml version=\"1.0\"?>\r\n<dialog-info xmlns=\"urn:ietf:params:xml:ns:dialog-info\" version=\"{version}\" \
         state=\"full\" entity=\"{entity}\">\r\n"
    );
    for row in rows.lines() {
        let mut parts = row.split(' ');
        if let (Some(id), Some(direction), Some(state)) = (parts.next(), parts.next(), parts.next()) {
            let mut words = state.split(';');
            let state = words.next().unwrap_or_default();
            let names = ["call-id", "local-tag", "remote-tag"].into_iter().zip(words);
            let dialog: String = names.map(|(name, value)| format!(" {name}=\"{}\"", escaped(value))).collect();
            let _ = write!(document, "<dialog id=\"{id}\"{dialog} direction=\"{direction}\"><state>{state}</state></dialog>\r\n");
        }
    }
    document + "</dialog-info>\r\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ended_is_said_once() {
        let row = |call, initiator, state| Row { user: "101".into(), call: CallId(call), initiator, state, dialog: None };
        let before = by_user(&[row(1, true, "confirmed"), row(1, false, "confirmed"), row(2, false, "early")]);
        let after = by_user(&[row(1, true, "confirmed")]);
        let rows = with_ended(&before["101"], &after["101"]);
        assert_eq!(rows, "1 initiator confirmed\n1 recipient terminated\n2 recipient terminated\n");
        let document = document("sip:\"<&@h", 7, &rows);
        assert!(document.contains("version=\"7\"") && document.contains("entity=\"sip:&quot;&lt;&amp;@h\""), "{document}");
        assert!(document.contains("<dialog id=\"2\" direction=\"recipient\"><state>terminated</state></dialog>"), "{document}");
    }
}
