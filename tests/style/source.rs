//! The tree as text.

use std::fs;
use std::path::{Path, PathBuf};

/// One file.
pub struct Source {
    /// Path from the top of the tree.
    pub path: String,
    /// Content.
    pub text: String,
}

/// The top of the tree.
pub fn top() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().find(|dir| dir.join("src/base").is_dir());
    tests.or_else(|| Path::new(file!()).ancestors().nth(3)).expect("tests lie in the tree").to_path_buf()
}

/// Folders that are made, not written.
const MADE: [&str; 9] = ["target", "node_modules", ".git", "dist", "state", "images", "test-results", "found", "artifacts"];

fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        let is_made = MADE.iter().any(|made| name == *made);
        match entry.file_type() {
            Ok(kind) if kind.is_dir() && !is_made => walk(&path, found),
            Ok(kind) if kind.is_file() => found.push(path),
            _ => {}
        }
    }
}

/// Every file of the tree that is text.
pub fn all() -> Vec<Source> {
    let (top, mut found) = (top(), Vec::new());
    walk(&top, &mut found);
    found.sort();
    let read = |path: PathBuf| {
        let name = path.strip_prefix(&top).ok()?.to_string_lossy().into_owned();
        Some(Source { path: name, text: fs::read_to_string(&path).ok()? })
    };
    found.into_iter().filter_map(read).collect()
}

/// Rust files under `src/` that go into the product: no tests.
pub fn product() -> Vec<Source> {
    all().into_iter().filter(Source::is_product).collect()
}

impl Source {
    /// The member that it belongs to: `base` for `src/base/…`.
    pub fn member(&self) -> &str {
        self.path.strip_prefix("src/").and_then(|rest| rest.split('/').next()).unwrap_or_default()
    }

    /// Whether it is Rust.
    pub fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    fn is_product(&self) -> bool {
        let in_tests = self.path.contains("/tests/") || self.path.ends_with("/tests.rs");
        self.is_rust() && self.path.starts_with("src/") && !in_tests && !self.path.ends_with("/build.rs")
    }

    /// Lines without items that only tests see.
    pub fn before_tests(&self) -> impl Iterator<Item = (usize, &str)> {
        let mut until: Option<String> = None;
        let lines = self.text.lines().enumerate();
        lines.filter_map(move |(at, line)| {
            let indent = &line[..line.len() - line.trim_start().len()];
            if let Some(end) = &until {
                if line == end || (line.ends_with(';') && end.strip_suffix('}') == Some(indent)) {
                    until = None;
                }
                return None;
            }
            if line.trim() == "#[cfg(test)]" {
                until = Some(format!("{indent}}}"));
                return None;
            }
            Some((at + 1, line))
        })
    }

    /// Lines of code: before the tests, without comments.
    pub fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        self.before_tests().filter_map(|(number, line)| {
            let code = line.split("// ").next().unwrap_or_default();
            (!line.trim_start().starts_with("//") && !code.trim().is_empty()).then_some((number, code))
        })
    }
}
