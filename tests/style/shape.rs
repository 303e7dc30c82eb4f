//! Files: each is reached, none is too long, every limit is used.

use crate::ensure;
use crate::source::{self, Source};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Lines of one file, tests at its end not counted.
const LINES_MAX: usize = 700;

#[test]
fn no_file_is_too_long() {
    let count = |s: &Source| s.before_tests().count();
    let long = source::all().into_iter().filter(Source::is_rust).filter(|s| count(s) > LINES_MAX);
    let broken = long.map(|s| format!("{}: {} lines", s.path, count(&s))).collect();
    ensure("A file has at most 700 lines before its tests: beyond it nobody has it in mind as a whole.", broken);
}

/// Roots of module trees: what manifests name, and what cargo finds by itself.
fn roots(files: &BTreeMap<String, String>) -> Vec<String> {
    let mut roots = Vec::new();
    for (manifest, text) in files.iter().filter(|(path, _)| path.ends_with("Cargo.toml")) {
        let folder = manifest.strip_suffix("Cargo.toml").unwrap_or_default();
        let path = |line: &str| line.trim().strip_prefix("path = \"").and_then(|rest| rest.split('"').next()).map(str::to_string);
        let named = text.lines().filter_map(path).filter(|path| path.ends_with(".rs"));
        let found = ["build.rs", "main.rs", "src/lib.rs", "src/main.rs"].map(str::to_string);
        roots.extend(named.chain(found).map(|path| format!("{folder}{path}")));
        let automatic = |path: &&String| {
            let rest = path.strip_prefix(folder).unwrap_or_default();
            ["tests/", "benches/", "examples/"]
                .iter()
                .any(|dir| rest.strip_prefix(dir).is_some_and(|r| !r.contains('/') || r.ends_with("/main.rs")))
        };
        roots.extend(files.keys().filter(|path| path.starts_with(folder)).filter(automatic).cloned());
    }
    roots.into_iter().filter(|path| files.contains_key(path)).collect()
}

/// Files that a file's `mod name;` lines may mean.
fn children(path: &str, text: &str) -> Vec<String> {
    let folder = Path::new(path).parent().unwrap_or(Path::new(""));
    let stem = Path::new(path).file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let mut found = Vec::new();
    let mut named = None;
    for line in text.lines().map(str::trim) {
        if let Some(path) = line.strip_prefix("#[path = \"") {
            named = path.split('"').next().map(|path| folder.join(path));
        }
        let line =
            line.split_once("mod ").filter(|(before, _)| before.is_empty() || before.starts_with("pub")).map(|(_, rest)| rest);
        let Some(name) = line.and_then(|rest| rest.strip_suffix(';')) else { continue };
        let places = [
            folder.join(format!("{name}.rs")),
            folder.join(name).join("mod.rs"),
            folder.join(&stem).join(format!("{name}.rs")),
            folder.join(&stem).join(name).join("mod.rs"),
        ];
        found.extend(named.take().into_iter().chain(places).map(|place| place.to_string_lossy().into_owned()));
    }
    found
}

#[test]
fn every_file_belongs_to_a_module_tree() {
    let files: BTreeMap<String, String> = source::all().into_iter().map(|s| (s.path, s.text)).collect();
    let (mut reached, mut open) = (BTreeSet::new(), roots(&files));
    while let Some(path) = open.pop() {
        let Some(text) = files.get(&path) else { continue };
        if reached.insert(path.clone()) {
            open.extend(children(&path, text));
        }
    }
    let dead = files.keys().filter(|path| path.ends_with(".rs") && !reached.contains(*path)).cloned().collect();
    ensure("Every .rs file is compiled: a dead file is read, searched and mended in vain.", dead);
}

#[test]
fn every_limit_is_used() {
    let sources = source::all();
    let limits = sources.iter().find(|s| s.path == "src/base/limits.rs").expect("the one file of limits");
    let name = |line: &str| Some(line.strip_prefix("pub const ")?.split(':').next()?.to_string());
    let names = limits.text.lines().filter_map(name);
    let product: Vec<Source> = source::product().into_iter().filter(|s| s.path != limits.path).collect();
    let unused = names.filter(|name| !product.iter().any(|s| s.text.contains(name.as_str()))).collect();
    ensure("Every limit in base/limits.rs is enforced somewhere: a number that nothing reads bounds nothing.", unused);
}
