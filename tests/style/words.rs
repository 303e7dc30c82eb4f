//! Words that do not belong into the tree. Each is put together here, so that this file does not hold it.

use crate::source::{self, Source};
use crate::{ensure, lines};

fn glue(parts: &[&str]) -> String {
    parts.concat()
}

#[test]
fn nothing_is_left_for_later() {
    let words = [glue(&["to", "do!("]), glue(&["unimple", "mented!("]), glue(&["db", "g!("])];
    let sources: Vec<Source> = source::all().into_iter().filter(Source::is_rust).collect();
    ensure(
        "What is not done is not in the tree, and what was put in to look at something is taken out.",
        lines(&sources, |_, line| words.iter().any(|w| line.contains(w.as_str()))),
    );
    let notes = [glue(&["FIX", "ME"]), glue(&["TO", "DO"]), glue(&["X", "XX"])];
    let has = |line: &str| notes.iter().any(|note| line.split(|c: char| !c.is_alphanumeric()).any(|word| word == note));
    let noted = |s: &Source| {
        s.text
            .lines()
            .enumerate()
            .filter(|(_, l)| has(l))
            .map(|(n, l)| format!("{}:{}: {}", s.path, n + 1, l.trim()))
            .collect::<Vec<_>>()
    };
    ensure(
        "Notes to oneself belong into the issue tracker, where somebody reads them.",
        sources.iter().flat_map(noted).collect(),
    );
}

/// The licence stands once, in LICENSE and in the manifests.
#[test]
fn no_file_has_a_licence_header() {
    let words = [glue(&["SPDX", "-License"]), glue(&["Copy", "right"])];
    let head = |s: &Source| s.text.lines().take(5).any(|line| words.iter().any(|w| line.contains(w.as_str())));
    let broken = source::all().into_iter().filter(Source::is_rust).filter(head).map(|s| s.path).collect();
    ensure("No licence headers: LICENSE and the manifests say it once; five lines on each file say it worse.", broken);
}

#[test]
fn nothing_names_the_place_where_it_was_written() {
    let words = [glue(&["/wo", "rk/"]), glue(&["/tmp/", "target"]), glue(&["/home", "/"]), glue(&["/ro", "ot/"])];
    let mut broken = Vec::new();
    for source in source::all() {
        for (number, line) in source.text.lines().enumerate() {
            if words.iter().any(|word| line.contains(word.as_str())) {
                broken.push(format!("{}:{}: {}", source.path, number + 1, line.trim().chars().take(120).collect::<String>()));
            }
        }
    }
    ensure("No absolute path of a workplace: what names it runs nowhere else.", broken);
}

/// Lock files name packages by the public registries, whatever mirror they were fetched from.
#[test]
fn lock_files_name_no_mirror() {
    let public = ["https://registry.npmjs.org/", "registry+https://github.com/rust-lang/crates.io-index"];
    let mut broken = Vec::new();
    for source in source::all().iter().filter(|s| s.path.ends_with("package-lock.json") || s.path.ends_with("Cargo.lock")) {
        let foreign = |line: &&str| {
            (line.contains("\"resolved\":") || line.starts_with("source =")) && !public.iter().any(|p| line.contains(p))
        };
        broken.extend(source.text.lines().filter(foreign).map(|line| format!("{}: {}", source.path, line.trim())));
    }
    ensure(
        "Lock files name the public registries only: a mirror is one workplace's business, and often not reachable elsewhere.",
        broken,
    );
}

/// Targets of a document's links that lie in the tree: `[text](target)`, without the place within the page.
fn targets(text: &str) -> impl Iterator<Item = &str> {
    let after = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let inside =
        after.filter(|target| !target.contains("://") && !target.starts_with('#') && !target.contains(char::is_whitespace));
    inside.filter_map(|target| target.split('#').next())
}

#[test]
fn links_of_documents_lead_somewhere() {
    let mut broken = Vec::new();
    for source in source::all().into_iter().filter(|source| source.path.ends_with(".md")) {
        let page = source::top().join(&source.path);
        let folder = page.parent().expect("a file lies in a folder");
        let dead = targets(&source.text).filter(|target| !folder.join(target).exists());
        broken.extend(dead.map(|target| format!("{}: {target}", source.path)));
    }
    ensure("A link that leads nowhere sends its reader back.", broken);
}
