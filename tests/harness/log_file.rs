//! A file that another program writes, line by line.

use super::Outcome;
use super::wait::await_until;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The file; it need not exist yet.
#[derive(Clone, Debug)]
pub struct LogFile {
    path: PathBuf,
}

impl LogFile {
    /// At this path.
    pub fn new(path: &Path) -> LogFile {
        LogFile { path: path.to_path_buf() }
    }

    /// Everything written so far.
    pub fn text(&self) -> String {
        std::fs::read(&self.path).map(|octets| String::from_utf8_lossy(&octets).into_owned()).unwrap_or_default()
    }

    /// The last lines.
    pub fn tail(&self, lines: usize) -> String {
        let text = self.text();
        let all: Vec<&str> = text.lines().collect();
        all[all.len().saturating_sub(lines)..].join("\n")
    }

    /// How often `part` was written.
    pub fn count(&self, part: &str) -> usize {
        self.text().matches(part).count()
    }

    /// Waits for a whole line with `part` in it and returns it.
    pub fn await_line(&self, part: &str, limit: Duration) -> Outcome<String> {
        self.await_nth(part, 1, limit)
    }

    /// Waits for the `nth` such line, from 1.
    pub fn await_nth(&self, part: &str, nth: usize, limit: Duration) -> Outcome<String> {
        await_until(&format!("`{part}` in {}", self.path.display()), limit, || {
            let text = self.text();
            let whole = text.rfind('\n').map_or("", |end| &text[..end]);
            Ok(whole.lines().filter(|line| line.contains(part)).nth(nth - 1).map(str::to_string))
        })
    }
}
