//! Results as JSON, one file for each kind of measurement, and as one page of tables over all of them.

use crate::machine::Machine;
use serde::{Deserialize, Serialize};
use std::fmt::Write;
use std::io;
use std::path::Path;

/// The results of one command.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Report {
    /// Kind of measurement, and name of the file.
    pub name: String,
    /// One line: what was measured.
    pub summary: String,
    /// Where.
    pub machine: Machine,
    /// By which command.
    pub command: String,
    /// The results.
    pub tables: Vec<Table>,
    /// What a reader might take for measured.
    pub not_measured: Vec<String>,
}

/// One table: the first column names the case, the others are numbers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Table {
    /// Heading.
    pub title: String,
    /// How it was measured.
    pub method: String,
    /// Columns after the first, with their units.
    pub columns: Vec<String>,
    /// Rows.
    pub rows: Vec<Row>,
}

/// One case and its numbers, in the order of the columns.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Row {
    /// The case.
    pub case: String,
    /// Its numbers.
    pub values: Vec<f64>,
}

impl Report {
    /// This command's report on this machine.
    pub fn new(name: &str, summary: &str) -> Report {
        let arguments: Vec<String> = std::env::args().skip(1).collect();
        Report {
            name: name.into(),
            summary: summary.into(),
            machine: Machine::this(),
            command: format!("ringfort-bench {}", arguments.join(" ")),
            tables: Vec::new(),
            not_measured: Vec::new(),
        }
    }

    /// Writes `<name>.json`, and `README.md` over all reports in `folder`.
    pub fn write(&self, folder: &Path) -> io::Result<()> {
        std::fs::create_dir_all(folder)?;
        std::fs::write(folder.join(format!("{}.json", self.name)), self.json() + "\n")?;
        let mut page = String::from("# Measurements\n\nWritten by `ringfort-bench`; do not edit.\n");
        for report in read_all(folder)? {
            page.push('\n');
            page.push_str(&report.markdown());
        }
        std::fs::write(folder.join("README.md"), page)
    }

    /// As JSON.
    pub fn json(&self) -> String {
        // Plain structs with string keys always serialise.
        serde_json::to_string_pretty(self).unwrap_or_default()
    }

    /// As a section of a Markdown page.
    pub fn markdown(&self) -> String {
        let m = &self.machine;
        let mut page = format!("## {}\n\n{}\n\n", self.name, self.summary);
        let build = if m.optimised { "release" } else { "debug" };
        // Writing to a String does not fail.
        let _ = writeln!(
            page,
            "{}, {} cores, {}, Linux {}; commit {}, {build} build; `{}`.",
            m.cpu, m.cores, m.architecture, m.kernel, m.commit, self.command
        );
        self.tables.iter().for_each(|table| table.markdown(&mut page));
        if !self.not_measured.is_empty() {
            let _ = writeln!(page, "\nNot measured:\n\n- {}", self.not_measured.join("\n- "));
        }
        page
    }
}

impl Table {
    fn markdown(&self, page: &mut String) {
        let _ = writeln!(page, "\n### {}\n\n{}\n", self.title, self.method);
        let _ = writeln!(page, "| | {} |\n|---|{}", self.columns.join(" | "), "---:|".repeat(self.columns.len()));
        for row in &self.rows {
            let values: Vec<String> = row.values.iter().map(|value| number(*value)).collect();
            let _ = writeln!(page, "| {} | {} |", row.case, values.join(" | "));
        }
    }
}

/// Whole numbers as such, others with as many digits as a measurement of this kind is good for.
fn number(value: f64) -> String {
    match value {
        _ if value.fract() == 0.0 => format!("{value:.0}"),
        _ if value.abs() >= 100.0 => format!("{value:.0}"),
        _ if value.abs() >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// All reports in `folder`, by name. A file that is none is left out.
fn read_all(folder: &Path) -> io::Result<Vec<Report>> {
    let mut reports: Vec<Report> = std::fs::read_dir(folder)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .filter_map(|path| serde_json::from_str(&std::fs::read_to_string(path).ok()?).ok())
        .collect();
    reports.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(reports)
}
