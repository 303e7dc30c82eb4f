//! `ringfort route …`: where calls go, and what a changed configuration would change. Nothing runs and nothing is sent; the evaluator
//! is the one that routes.

mod explain;
mod replay;

use crate::configuration::Source as File;
use ringfort_base::Wall;
use ringfort_base::event::Mode;
use ringfort_call::config::{Snapshot, USUAL_TIME};
use ringfort_call::route::Source;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;

/// `ringfort route …`.
#[derive(clap::Subcommand)]
pub enum RouteCommand {
    /// Say rule by rule why a call goes where.
    Explain(explain::Explain),
    /// Run recorded calls against a candidate configuration, and list those that would change. Ends with 1 if there are any.
    Replay(replay::Replay),
}

/// Whether all is as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is, or nothing was compared.
    Same,
    /// Some calls would go elsewhere.
    Changed,
}

impl RouteCommand {
    /// Does it and writes what is found out.
    pub fn run(&self, out: &mut dyn Write) -> Result<Verdict, String> {
        match self {
            RouteCommand::Explain(explain) => explain.run(out).map(|()| Verdict::Same),
            RouteCommand::Replay(replay) => replay.run(out),
        }
    }
}

/// A checked configuration; without a file the embedded one.
fn snapshot(file: Option<&PathBuf>) -> Result<Arc<Snapshot>, String> {
    File::new(file.cloned(), None, None).check().map_err(|e| e.to_string())
}

/// What a person means by a mode.
fn mode(text: &str) -> Result<Mode, String> {
    let known = [Mode::Standalone, Mode::Normal, Mode::Survivable];
    known.into_iter().find(|mode| mode.as_str() == text).ok_or_else(|| "standalone, normal or survivable".into())
}

/// The mode of a node that has this configuration and misses nothing.
fn usual_mode(snapshot: &Snapshot) -> Mode {
    if snapshot.cloud.is_some() { Mode::Normal } else { Mode::Standalone }
}

/// A local time, in a working week where none is given.
fn moment(snapshot: &Snapshot, text: Option<&str>) -> Result<Wall, String> {
    let text = text.unwrap_or(USUAL_TIME);
    let wrong = || format!("`{text}` is no time such as `2026-12-24 14:30` or `wed 14:30`");
    snapshot.node.time_zone.moment(text).ok_or_else(wrong)
}

/// Who calls where nothing is said: the account of that name.
fn source(text: Option<&str>, from: &str) -> Result<Source, String> {
    text.map_or_else(|| Ok(Source::Account(from.to_string())), str::parse)
}

/// Standard output may be closed by whoever reads it.
fn told(written: io::Result<()>) -> Result<(), String> {
    written.map_err(|error| format!("output: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    const DOCUMENT: &str = include_str!("../../../docs/operations/routes.md");

    #[derive(Parser)]
    struct Cli {
        #[command(subcommand)]
        command: RouteCommand,
    }

    /// Fenced blocks of the document by their language.
    fn blocks(language: &str) -> Vec<String> {
        let fence = format!("```{language}\n");
        let parts = DOCUMENT.split(&fence).skip(1);
        parts.map(|part| part.split("```").next().unwrap_or_default().to_string()).collect()
    }

    /// Words of a command line, some in quotation marks.
    fn words(line: &str) -> Vec<String> {
        let parts = line.split('"').enumerate();
        let words = parts.flat_map(|(n, part)| match n % 2 {
            0 => part.split_whitespace().map(str::to_string).collect::<Vec<_>>(),
            _ => vec![part.to_string()],
        });
        words.collect()
    }

    /// Every command in the document prints what stands below it.
    #[test]
    fn the_document_tells_what_the_commands_print() {
        let folder = tempfile::tempdir().expect("a folder");
        let files = blocks("toml");
        for (name, text) in ["site.toml", "candidate.toml"].into_iter().zip(&files) {
            std::fs::write(folder.path().join(name), text).expect("written");
        }
        std::fs::write(folder.path().join("calls.jsonl"), &blocks("json")[0]).expect("written");
        let mut wrong = Vec::new();
        let examples = blocks("console");
        assert!(examples.len() >= 4, "{}", examples.len());
        for example in examples {
            let (command, wanted) = example.split_once('\n').expect("a command and its output");
            let line = command.strip_prefix("$ ringfort ").expect("a command of this program");
            let inside = |word: String| match word.contains(".toml") || word.contains(".jsonl") {
                true => folder.path().join(word).display().to_string(),
                false => word,
            };
            let cli = Cli::try_parse_from(words(line).into_iter().map(inside)).unwrap_or_else(|e| panic!("{command}: {e}"));
            let mut out = Vec::new();
            cli.command.run(&mut out).unwrap_or_else(|e| panic!("{command}: {e}"));
            let printed = String::from_utf8_lossy(&out);
            if printed != wanted {
                wrong.push(format!("{command}\n{printed}"));
            }
        }
        assert!(wrong.is_empty(), "the document should say:\n\n{}", wrong.join("\n"));
    }
}
