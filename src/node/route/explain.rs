//! `ringfort route explain`.

use super::{mode, moment, snapshot, source, told, usual_mode};
use ringfort_base::event::Mode;
use ringfort_call::config::{LimitsSection, Snapshot};
use ringfort_call::route::{self, After, Decision, Note, Question, Stage};
use serde::Serialize;
use std::fmt::Write as _;
use std::io::Write;
use std::path::PathBuf;

/// The call that is asked about.
#[derive(clap::Args)]
pub struct Explain {
    /// Caller's number.
    #[arg(long)]
    from: String,
    /// Number as dialled.
    #[arg(long)]
    to: String,
    /// Who sends the call: account:USER, cloud or trunk:NAME; without it the account of --from.
    #[arg(long)]
    source: Option<String>,
    /// Mode of the node: standalone, normal or survivable; without it what is usual for the configuration.
    #[arg(long, value_parser = mode)]
    mode: Option<Mode>,
    /// Local time, "2026-12-24 14:30" or "wed 14:30"; without it noon of a working day.
    #[arg(long)]
    time: Option<String>,
    /// Extensions that have a device registered; without it all accounts have.
    #[arg(long, value_delimiter = ',')]
    registered: Option<Vec<String>>,
    /// Which draw of chance orders the trunks of a group.
    #[arg(long, default_value_t = 0)]
    draw: u64,
    /// Configuration file; without one the embedded default.
    #[arg(long, short)]
    config: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// The answer as JSON.
#[derive(Serialize)]
struct Answer<'a> {
    from: &'a str,
    to: &'a str,
    source: String,
    mode: Mode,
    time: String,
    rule: &'a str,
    emergency: bool,
    notes: &'a [Note],
    plan: &'a [Stage],
    refused: Option<u16>,
}

impl Explain {
    /// Asks the evaluator and writes its answer.
    pub fn run(&self, out: &mut dyn Write) -> Result<(), String> {
        let snapshot = snapshot(self.config.as_ref())?;
        let source = source(self.source.as_deref(), &self.from)?;
        let is_registered = |user: &str| match &self.registered {
            Some(users) => users.iter().any(|registered| registered == user),
            None => snapshot.accounts.contains_key(user),
        };
        let question = Question {
            source: &source,
            caller: &self.from,
            number: &self.to,
            mode: self.mode.unwrap_or_else(|| usual_mode(&snapshot)),
            wall: moment(&snapshot, self.time.as_deref())?,
            draw: self.draw,
            is_registered: &is_registered,
        };
        let mut notes = Vec::new();
        let decision = route::evaluate(&snapshot, &question, &mut notes);
        let text = match self.json {
            true => self.as_json(&snapshot, &question, &notes, &decision)?,
            false => in_words(&snapshot, &question, &notes, &decision),
        };
        told(writeln!(out, "{}", text.trim_end()))
    }

    fn as_json(
        &self,
        snapshot: &Snapshot,
        question: &Question<'_>,
        notes: &[Note],
        decision: &Decision,
    ) -> Result<String, String> {
        let answer = Answer {
            from: &self.from,
            to: &self.to,
            source: question.source.to_string(),
            mode: question.mode,
            time: snapshot.node.time_zone.local(question.wall).to_string(),
            rule: &decision.rule,
            emergency: decision.emergency,
            notes,
            plan: decision.targets.as_deref().unwrap_or_default(),
            refused: decision.targets.as_ref().err().map(route::NoRoute::status),
        };
        serde_json::to_string_pretty(&answer).map_err(|error| error.to_string())
    }
}

fn in_words(snapshot: &Snapshot, question: &Question<'_>, notes: &[Note], decision: &Decision) -> String {
    let local = snapshot.node.time_zone.local(question.wall);
    let mut text =
        format!("{} calls {}: {}, {} mode, {local}\n", question.caller, question.number, question.source, question.mode.as_str());
    let width = notes.iter().map(|note| note.rule.chars().count()).max().unwrap_or_default();
    // Writing to a String cannot fail.
    for note in notes {
        let sign = if note.applied { '+' } else { '-' };
        let _ = writeln!(text, "{sign} {:width$}  {}", note.rule, note.why);
    }
    let _ = writeln!(text, "decision: {}", decision.rule);
    match &decision.targets {
        Ok(plan) => plan.iter().enumerate().for_each(|(place, stage)| text.push_str(&line(place, stage))),
        Err(refusal) => text.push_str(&refused(refusal)),
    }
    if !decision.emergency {
        text.push_str(&limits(&snapshot.limits));
    }
    text
}

fn refused(refusal: &route::NoRoute) -> String {
    let reason = match refusal {
        route::NoRoute::Denied { reason, .. } if !reason.is_empty() => format!(" {reason}"),
        _ => String::new(),
    };
    format!("  refused with {}{reason} ({})\n", refusal.status(), refusal.cause())
}

/// One stage of the plan.
fn line(place: usize, stage: &Stage) -> String {
    let lead = match (stage.behind, stage.after) {
        (None, _) => "first".to_string(),
        (Some(behind), After::Failure) => format!("if {} fails", behind + 1),
        (Some(behind), After::Busy) => format!("if {} is busy", behind + 1),
        (Some(behind), After::NoAnswer) => format!("if {} does not answer", behind + 1),
        (Some(behind), After::Any) => format!("after {}", behind + 1),
    };
    let mut targets = Vec::new();
    for target in &stage.targets {
        targets.push(target.number().map_or_else(|| target.to_string(), |number| format!("{target} {number}")));
    }
    let ring = stage.ring_s.map(|s| format!(", rings {s} s")).unwrap_or_default();
    let patience = stage.patience_ms.map(|ms| format!(", silent for {ms} ms at most")).unwrap_or_default();
    let users: Vec<&str> = stage.diversions.iter().map(|diversion| diversion.user.as_str()).collect();
    let diverted = if users.is_empty() { String::new() } else { format!(", forwarded by {}", users.join(", ")) };
    format!("  {}. {lead}: {}{ring}{patience}{diverted}\n", place + 1, targets.join(" + "))
}

/// Limits of the node and of users, where there are any; those of a trunk stand with the trunk.
fn limits(section: &LimitsSection) -> String {
    let limits = [
        (section.calls_max, "calls through the node"),
        (section.calls_per_second, "new calls a second"),
        (section.kbit_max, "kbit/s"),
        (section.user_calls_max, "calls of one user"),
        (section.user_calls_per_second, "new calls a second of one user"),
    ];
    let set: Vec<String> = limits.iter().filter(|(max, _)| *max > 0).map(|(max, what)| format!("{max} {what}")).collect();
    if set.is_empty() { String::new() } else { format!("limits: {}\n", set.join(", ")) }
}
