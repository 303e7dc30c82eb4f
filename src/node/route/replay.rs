//! `ringfort route replay`.

use super::{Verdict, snapshot, told};
use ringfort_base::event::CallRecord;
use ringfort_call::config::Snapshot;
use ringfort_call::route::{self, Decision, NoTrace, Plain, Question, Source};
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

/// Which calls and which configurations.
#[derive(clap::Args)]
pub struct Replay {
    /// A file of call records (JSON lines), or the folder that holds them.
    #[arg(long)]
    records: PathBuf,
    /// The candidate.
    #[arg(long, short)]
    config: PathBuf,
    /// The configuration to compare with; without it each call is compared with the rule that its record names.
    #[arg(long)]
    current: Option<PathBuf>,
}

#[derive(Default)]
struct Counts {
    same: u64,
    changed: u64,
    /// Records without source, which earlier versions wrote, and lines that are no record.
    skipped: u64,
}

impl Replay {
    /// Asks the evaluator for each recorded call and writes those that would change.
    pub fn run(&self, out: &mut dyn Write) -> Result<Verdict, String> {
        let candidate = snapshot(Some(&self.config))?;
        let current = self.current.as_ref().map(|file| snapshot(Some(file))).transpose()?;
        let mut counts = Counts::default();
        for path in files(&self.records)? {
            let failed = |error: std::io::Error| format!("{}: {error}", path.display());
            for line in BufReader::new(File::open(&path).map_err(failed)?).split(b'\n') {
                let line = line.map_err(failed)?;
                if !line.trim_ascii().is_empty() {
                    one(&line, current.as_deref(), &candidate, &mut counts, out)?;
                }
            }
        }
        let Counts { same, changed, skipped } = counts;
        told(writeln!(out, "{changed} of {} calls would change, {skipped} records cannot be replayed", same + changed))?;
        Ok(if changed > 0 { Verdict::Changed } else { Verdict::Same })
    }
}

fn one(
    line: &[u8],
    current: Option<&Snapshot>,
    candidate: &Snapshot,
    counts: &mut Counts,
    out: &mut dyn Write,
) -> Result<(), String> {
    let record: Option<CallRecord> = serde_json::from_slice(line).ok();
    let Some((record, source)) = record.and_then(|record| record.source.parse().ok().map(|source: Source| (record, source)))
    else {
        counts.skipped += 1;
        return Ok(());
    };
    let after = decide(candidate, &record, &source);
    let (before, same) = match current {
        Some(current) => {
            let before = decide(current, &record, &source);
            (Plain(&before).to_string(), before == after)
        }
        None => (record.route.clone(), record.route == after.rule),
    };
    if same {
        counts.same += 1;
        return Ok(());
    }
    counts.changed += 1;
    let (from, to) = (record.from.reveal(), record.to.reveal());
    let when = record.started.rfc3339();
    let head = format!("{} {when} {from} calls {to} ({source}, {} mode)", record.call, record.mode.as_str());
    told(writeln!(out, "{head}\n  before  {before}\n  after   {}", Plain(&after)))
}

/// All accounts count as registered, and chance is that of the call's id, so that two configurations can be compared.
fn decide(snapshot: &Snapshot, record: &CallRecord, source: &Source) -> Decision {
    let question = Question {
        source,
        caller: record.from.reveal(),
        number: record.to.reveal(),
        mode: record.mode,
        wall: record.started,
        draw: record.call.0,
        is_registered: &|user| snapshot.accounts.contains_key(user),
    };
    route::evaluate(snapshot, &question, &mut NoTrace)
}

/// The file itself, or the record files of a folder, oldest first.
fn files(path: &Path) -> Result<Vec<PathBuf>, String> {
    let failed = |error: std::io::Error| format!("{}: {error}", path.display());
    if !path.is_dir() {
        return Ok(vec![path.to_path_buf()]);
    }
    let mut found = Vec::new();
    for entry in std::fs::read_dir(path).map_err(failed)? {
        let file = entry.map_err(failed)?.path();
        if file.extension().is_some_and(|extension| extension == "jsonl") {
            found.push(file);
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUTES: &str = "[[trunk]]\nname=\"a\"\naddress=\"192.0.2.1:5060\"\n[[trunk]]\nname=\"b\"\naddress=\"192.0.2.2:5060\"\n\
        [[account]]\nuser=\"101\"\n[[route]]\nname=\"out\"\nnumber=\"0*\"\nto=[\"trunk:a\"]\n";

    fn record(call: u64, source: &str, to: &str) -> String {
        format!(
            "{{\"call\":{call},\"from\":\"101\",\"to\":\"{to}\",\"route\":\"route out\",\"mode\":\"standalone\",\"source\":\"{source}\",\
             \"started\":0,\"answered\":null,\"ended\":1,\"status\":200,\"cause\":\"normal\",\"reroutes\":0,\"packets\":[0,0]}}\n"
        )
    }

    fn replay(records: &str, candidate: &str, current: Option<&str>) -> (Verdict, String) {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).expect("written");
            path
        };
        write("calls-2026-01-01-0000.jsonl", records);
        let config = write("candidate.toml", candidate);
        let current = current.map(|text| write("current.toml", text));
        let mut out = Vec::new();
        let replay = Replay { records: folder.path().to_path_buf(), config, current };
        let verdict = replay.run(&mut out).expect("it runs");
        (verdict, String::from_utf8(out).expect("text"))
    }

    #[test]
    fn calls_that_would_change_are_listed_and_counted() {
        let records = format!(
            "{}{}{}broken\n{}",
            record(1, "account:101", "0123"),
            record(2, "account:101", "101"),
            record(3, "", "0123"),
            record(4, "trunk:a", "0123")
        );
        let candidate = ROUTES.replace("to=[\"trunk:a\"]", "source=\"accounts\"\nto=[\"trunk:b\"]");
        let (verdict, text) = replay(&records, &candidate, Some(ROUTES));
        assert_eq!(verdict, Verdict::Changed);
        assert!(text.contains("before  route out: trunk:a 0123\n  after   route out: trunk:b 0123"), "{text}");
        assert!(text.contains("before  route out: trunk:a 0123\n  after   none: deny 404"), "{text}");
        assert!(text.ends_with("2 of 3 calls would change, 2 records cannot be replayed\n"), "{text}");
    }

    #[test]
    fn without_the_current_file_the_recorded_rule_counts() {
        let (verdict, text) = replay(&record(1, "account:101", "0123"), ROUTES, None);
        assert_eq!((verdict, text.as_str()), (Verdict::Same, "0 of 1 calls would change, 0 records cannot be replayed\n"));
        let (verdict, _) = replay(&record(1, "account:101", "0123"), &ROUTES.replace("\"out\"", "\"new\""), None);
        assert_eq!(verdict, Verdict::Changed);
    }
}
