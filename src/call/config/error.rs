//! A refused configuration: which file, which line, which rule, and what was probably meant.

use std::fmt;

/// Why a configuration is refused. Nothing of it was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// File name as given.
    pub file: String,
    /// Line, from 1; 0 when the rule is about the whole file.
    pub line: usize,
    /// Which rule, in words.
    pub message: String,
    /// What was probably meant.
    pub hint: Option<String>,
}

impl std::error::Error for ConfigError {}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.file, self.message)?,
            line => write!(f, "{}:{line}: {}", self.file, self.message)?,
        }
        self.hint.as_ref().map_or(Ok(()), |hint| write!(f, " ({hint})"))
    }
}

impl ConfigError {
    /// A rule that spans sections, broken by the entry `[[section]]` number `index` (from 0), or by the only `[section]`.
    pub(super) fn in_section(file: &str, text: &str, section: &str, index: usize, message: String) -> ConfigError {
        ConfigError { file: file.into(), line: line_of_section(text, section, index), message, hint: None }
    }

    pub(super) fn from_toml(file: &str, text: &str, error: &toml::de::Error) -> ConfigError {
        let line = error.span().map_or(0, |span| 1 + text[..span.start.min(text.len())].matches('\n').count());
        let message = error.message().lines().next().unwrap_or_default().to_string();
        let hint = nearest_key(&message);
        let message = match message.split_once(", expected") {
            Some((unknown, _)) if unknown.starts_with("unknown field") => unknown.replace("field", "key"),
            _ => message,
        };
        ConfigError { file: file.into(), line, message, hint }
    }
}

/// From serde's words "unknown field `x`, expected one of `a`, `b`": the known key that is nearest to the unknown one, or
/// the list when none is near.
fn nearest_key(message: &str) -> Option<String> {
    let mut quoted = message.split('`').skip(1).step_by(2);
    let unknown = message.starts_with("unknown").then(|| quoted.next()).flatten()?;
    let known: Vec<&str> = quoted.collect();
    let nearest = known.iter().map(|k| (strsim::jaro_winkler(k, unknown), *k)).max_by(|a, b| a.0.total_cmp(&b.0));
    match nearest {
        Some((score, key)) if score > 0.7 => Some(format!("did you mean `{key}`?")),
        Some(_) => Some(format!("known here: {}", known.join(", "))),
        None => None,
    }
}

/// Line of the `index`-th `[[section]]` or of `[section]`; 0 when it is not written out.
fn line_of_section(text: &str, section: &str, index: usize) -> usize {
    let (table, array) = (format!("[{section}]"), format!("[[{section}]]"));
    text.lines()
        .enumerate()
        .filter(|(_, line)| {
            let line = line.split('#').next().unwrap_or_default().trim();
            line == table || line == array
        })
        .nth(index)
        .map_or(0, |(n, _)| n + 1)
}
