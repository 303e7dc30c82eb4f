//! The page that is printed.

use crate::Played;
use crate::axes::{NAMES, target, value};
use crate::cover::Row;
use crate::story::Outcome;
use std::fmt::Write;

const INTRODUCTION: &str = "\
# Interworking

Calls between parties of every kind through the whole node, without IO and in virtual time
(`src/call/tests/matrix`). This page is printed from what happened: a test fails when the two differ, and `make interop-table` writes
the page anew.
";

const STEPS: &str = "
## What a row is

A party registers, its counterpart too. INVITE, ringing, PRACK where the row says so, answer, ACK; ICE and DTLS where a party is a
browser; hold in the row's style, and retrieve; a digit; REFER; BYE. Both parties are user agents of the test, which read and judge
descriptions with code of their own. A row works when

- both sides reach the state that belongs to each step, and each request gets the answer that belongs to it;
- each description has the transport, keys, address family and formats that its party can use, answers only what was offered, in a
  direction that fits, and its `o=` counts changes (RFC 3264);
- the relay is told to pass packets both ways, to where each party takes them, with the keys of this party: those of its
  `a=crypto`, or those of a DTLS handshake that was really made;
- PRACK is on the legs that agreed on it and on no other;
- nothing is sent to a side that holds, and nothing taken from the side that is held;
- after a transfer the remaining party and the target talk, both by one worker of the relay, and the referrer is released;
- no call, media port or transaction is left;
- no address, host name, tag, Call-ID, branch, key, ICE credential or fingerprint of one party is in any message to another one.

`digits` says how a digit of the caller reaches the callee, each once and with its duration: `event` with its payload type, `INFO`, as `tones` that
the node makes, or in the `audio` as the caller's own tones, which the node listens for only where a profile has `dtmf = \"in-band\"`. `not converted`: the
callee has neither events nor INFO, and a codec that the node does not have. Who takes INFO says so in Allow, and nobody else does in these rows.
RTP itself is not in this table: the relay's and live tests carry it.
";

const REFUSED: &str = "
## Nothing in common

The node transcodes: it hears each party in that party's codec, and speaks to the other in its own.
";

const ABSENT: &str = "
## What is not in the tables

- Whether the audio is right that is transcoded (the relay's tests listen to it); T.38 (`src/call/tests/node/fax.rs`), video between browsers and between a browser and a phone's camera (`interop::browsers`: VP8, H.264).
- DTLS-SRTP on a leg without WebSocket: the node offers it to devices on WebSocket only.
- Optional SRTP (`srtp = \"optional\"`): here SDES legs have `srtp = \"required\"`.
- Trunks and the cloud as parties: both parties are registered devices, and so is the target of transfers, which has every codec.
";

/// The page.
pub fn text(pairs: &Played, triples: &Played, disjoint: &Played) -> String {
    let mut page = INTRODUCTION.to_string();
    let works = |played: &Played| played.iter().filter(|(_, outcome)| outcome.works()).count();
    let all: u64 = crate::axes::sizes().iter().map(|size| *size as u64).product();
    let _ = write!(
        page,
        "\n{} of {} rows below work. They are not the product of all columns, which has {all}: each value of each column meets each value of\n\
         each other column in at least one of them. Further {} rows, in which each three values of any three columns meet, are\n\
         played and judged in the same way, and not printed: {} of them work.\n",
        works(pairs),
        pairs.len(),
        triples.len(),
        works(triples)
    );
    page += STEPS;
    page += "\n## Calls\n\n";
    table(&mut page, pairs);
    page += REFUSED;
    page.push('\n');
    table(&mut page, disjoint);
    page += ABSENT;
    page
}

fn table(page: &mut String, rows: &Played) {
    let _ = writeln!(page, "| | {} | media | digits | result |", NAMES.join(" | "));
    let _ = writeln!(page, "|{}", "---|".repeat(NAMES.len() + 4));
    for (n, (row, outcome)) in rows.iter().enumerate() {
        let _ = writeln!(page, "| {} | {}", n + 1, row_text(row, outcome));
    }
}

/// Cells of a row.
pub fn row_text(row: &Row, outcome: &Outcome) -> String {
    let no_refer = value(8, row[8]) == "none";
    let cell = |column: usize| if column == 9 && no_refer { "" } else { value(column, row[column]) };
    let mut cells: Vec<String> = (0..row.len()).map(|column| cell(column).to_string()).collect();
    if matches!(value(8, row[8]), "blind" | "attended") {
        cells[8] += &format!(" to {}", target(row).0);
    }
    let result = std::iter::once(&outcome.result).chain(&outcome.findings).cloned().collect::<Vec<_>>().join("; not: ");
    format!("{} | {} | {} | {result} |", cells.join(" | "), outcome.media, outcome.digits)
}
