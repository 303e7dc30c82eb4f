//! A rule tried on a message: what it was, what it became, which rules did it. Nothing is sent.

use super::{Scene, apply};
use crate::config::{Direction, PeerProfile};
use ringfort_base::limits;
use ringfort_sip::message::Message;

/// What a trial shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trial {
    /// Rules whose conditions held, in order.
    pub fired: Vec<String>,
    /// Rules that would have broken the message and were left out.
    pub skipped: Vec<String>,
    /// The message line by line.
    pub lines: Vec<(Change, String)>,
}

/// What became of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It stayed.
    Kept,
    /// It went.
    Removed,
    /// It came.
    Added,
}

/// Applies a profile to a message and compares.
pub fn trial(profile: &PeerProfile, direction: Direction, message: &Message, scene: &Scene) -> Trial {
    let applied = apply(profile, direction, message, scene);
    let text = |message: &Message| String::from_utf8_lossy(message.octets()).into_owned();
    let before = text(message);
    let after = applied.message.as_ref().map_or(before.clone(), text);
    let owned = |names: Vec<&str>| names.into_iter().map(str::to_string).collect();
    Trial { fired: owned(applied.fired), skipped: owned(applied.skipped), lines: compare(&before, &after) }
}

impl Trial {
    /// As text: rules first, then the message with ` `, `-` and `+` before each line.
    pub fn text(&self) -> String {
        let list = |names: &[String]| if names.is_empty() { "none".to_string() } else { names.join(", ") };
        let mut out = format!("rules that fired: {}\n", list(&self.fired));
        if !self.skipped.is_empty() {
            out.push_str(&format!("left out, since they would break the message: {}\n", list(&self.skipped)));
        }
        for (change, line) in &self.lines {
            let mark = match change {
                Change::Kept => ' ',
                Change::Removed => '-',
                Change::Added => '+',
            };
            out.push_str(format!("{mark} {line}").trim_end());
            out.push('\n');
        }
        out
    }
}

/// Lines of both texts, by their longest common subsequence.
fn compare(before: &str, after: &str) -> Vec<(Change, String)> {
    let (a, b): (Vec<&str>, Vec<&str>) = (before.lines().collect(), after.lines().collect());
    let mut out = Vec::new();
    if a.len() > limits::TRIAL_LINES_MAX || b.len() > limits::TRIAL_LINES_MAX {
        out.extend(a.iter().map(|line| (Change::Removed, line.to_string())));
        out.extend(b.iter().map(|line| (Change::Added, line.to_string())));
        return out;
    }
    let common = lengths(&a, &b);
    let (mut i, mut j) = (0, 0);
    while let (Some(old), Some(new)) = (a.get(i), b.get(j)) {
        if old == new {
            out.push((Change::Kept, old.to_string()));
            (i, j) = (i + 1, j + 1);
        } else if common[i + 1][j] >= common[i][j + 1] {
            out.push((Change::Removed, old.to_string()));
            i += 1;
        } else {
            out.push((Change::Added, new.to_string()));
            j += 1;
        }
    }
    out.extend(a.iter().skip(i).map(|line| (Change::Removed, line.to_string())));
    out.extend(b.iter().skip(j).map(|line| (Change::Added, line.to_string())));
    out
}

/// Length of the longest common subsequence of what follows each pair of lines.
fn lengths(a: &[&str], b: &[&str]) -> Vec<Vec<u32>> {
    let mut table = vec![vec![0; b.len() + 1]; a.len() + 1];
    for i in (0..a.len()).rev() {
        for j in (0..b.len()).rev() {
            table[i][j] = if a[i] == b[j] { table[i + 1][j + 1] + 1 } else { table[i + 1][j].max(table[i][j + 1]) };
        }
    }
    table
}
