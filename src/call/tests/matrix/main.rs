//! The interworking table: calls between parties of every kind, through the whole node, in virtual time. `docs/interop.md` is printed from
//! what happened.

mod axes;
#[path = "../../../media/tests/media/browser.rs"]
#[allow(dead_code, reason = "another member's tests use the rest")]
mod browser;
mod cover;
#[path = "../node/fixture.rs"]
#[allow(dead_code, reason = "another target's tests use the rest")]
mod fixture;
mod keys;
mod media;
mod page;
mod party;
mod sdp;
mod story;
mod voice;

use axes::Kit;
use cover::Row;
use story::Outcome;

/// Rows with their outcomes.
type Played = Vec<(Row, Outcome)>;

fn play(rows: Vec<Row>) -> Played {
    rows.into_iter().map(|row| (row.clone(), story::play(&row))).collect()
}

fn broken(played: &Played) -> Vec<String> {
    played.iter().filter(|(_, outcome)| !outcome.works()).map(|(row, outcome)| page::row_text(row, outcome)).collect()
}

#[test]
fn the_page_is_printed_from_calls_that_were_made() {
    let rows = |strength| cover::rows(&axes::sizes(), strength, axes::is_sound);
    let (pairs, triples, disjoint) = (play(rows(2)), play(rows(3)), play(axes::disjoint()));
    let text = page::text(&pairs, &triples, &disjoint);
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/interop.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, &text).expect("docs/ can be written");
    }
    for played in [&pairs, &triples, &disjoint] {
        let broken = broken(played);
        assert!(broken.is_empty(), "{} of {} rows fail:\n{}", broken.len(), played.len(), broken.join("\n"));
    }
    let written = std::fs::read_to_string(path).unwrap_or_default();
    assert!(written == text, "docs/interop.md differs from what the node does: `make interop-table` writes it anew");
}

#[test]
fn two_parties_of_a_row_are_what_it_says() {
    let [caller, callee]: [Kit; 2] = axes::kits(&vec![6, 0, 4, 0, 1, 1, 0, 0, 3, 0, 3]);
    assert!(caller.reliable && caller.v6 && !caller.follows);
    assert!(!callee.reliable && !callee.v6 && callee.follows);
}
