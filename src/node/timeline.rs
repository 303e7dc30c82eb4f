//! A call's timeline as the API and the command line tell it.

use crate::calls::plain;
use ringfort_base::{CallId, Event};
use ringfort_observe::fields::Fields;
use ringfort_observe::{Line, Seen};
use ringfort_web::model::{StepView, TimelineView};
use std::fmt::Write as _;

/// What stands in fields of its own.
const OWN: [&str; 3] = ["call", "leg", "step"];

/// The view of a timeline, with personal data masked or not.
pub fn view(call: CallId, line: &Line, anonymous: bool) -> TimelineView {
    let steps = line.seen.iter().map(|seen| step(seen, anonymous)).collect();
    TimelineView { call: call.to_string(), ended: line.ended, left_out: line.left_out, steps }
}

fn step(Seen { wall, event }: &Seen, anonymous: bool) -> StepView {
    let fields = Fields::of(event, !anonymous);
    let what = match event {
        Event::CallStep { step, .. } => step.name(),
        other => other.name(),
    };
    let details = fields.iter().filter(|(name, text)| !OWN.contains(name) && !text.is_empty());
    StepView {
        at: wall.0,
        party: fields.find("leg").unwrap_or_default().into(),
        what: what.into(),
        details: details.map(|(name, text)| (name.into(), text.into())).collect(),
    }
}

/// A line for each step: seconds since the first one, whose it is, what happened.
pub fn text(line: &TimelineView) -> String {
    let began = line.steps.first().map_or(0, |step| step.at);
    let mut text = format!("{}{}\n", plain(&line.call), if line.ended { "" } else { ", live" });
    for StepView { at, party, what, details } in &line.steps {
        let after = at.saturating_sub(began);
        // Writing to a String cannot fail.
        let _ = write!(text, "{:>7}.{:03} s  {:<6}  {}", after / 1_000, after % 1_000, plain(party), plain(what));
        for (n, (name, value)) in details.iter().enumerate() {
            let _ = write!(text, "{}{} {}", if n == 0 { "  " } else { ", " }, plain(name), plain(value));
        }
        text.push('\n');
    }
    if line.left_out > 0 {
        let _ = writeln!(text, "{} further steps were left out", line.left_out);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use ringfort_base::{Party, Pii, Step, Wall};

    fn line() -> Line {
        let call = CallId(7);
        let events = [
            Event::CallStarted { call, from: Pii::new("+4930123456".into()), to: Pii::new("\u{1b}[2J102".into()) },
            Event::CallStep {
                call,
                leg: Party::Callee,
                step: Step::IceChecked { peer: Pii::new(([192, 0, 2, 7], 4_000).into()) },
            },
            Event::MediaFailed { call, leg: "callee".into(), cause: "dtls-timeout".into() },
        ];
        let seen = events.into_iter().enumerate().map(|(n, event)| Seen { wall: Wall(1_000 + 1_250 * n as u64), event });
        Line { seen: seen.collect(), ended: false, left_out: 3 }
    }

    #[test]
    fn a_step_is_told_by_its_party_and_details() {
        let shown = view(CallId(7), &line(), false);
        let [started, checked, failed] = &shown.steps[..] else { panic!("three steps") };
        assert_eq!(
            (started.what.as_str(), started.party.as_str(), started.details["from"].as_str()),
            ("call-started", "", "+4930123456")
        );
        assert_eq!((checked.at, checked.what.as_str(), checked.party.as_str()), (2_250, "ice-checked", "callee"));
        assert_eq!(checked.details["peer"], "192.0.2.7:4000");
        assert_eq!((failed.what.as_str(), failed.details["cause"].as_str()), ("media-failed", "dtls-timeout"));
        assert_eq!(failed.details.len(), 1, "call and party stand elsewhere");
    }

    #[test]
    fn nobody_is_named_where_that_is_asked() {
        let shown = serde_json::to_string(&view(CallId(7), &line(), true)).unwrap();
        assert!(!shown.contains("493012") && !shown.contains("192.0.2"), "{shown}");
    }

    #[test]
    fn the_text_counts_from_the_first_step_and_cannot_speak_to_the_terminal() {
        let text = text(&view(CallId(7), &line(), false));
        assert!(
            text.contains("c7, live\n") && text.contains("      1.250 s  callee  ice-checked  peer 192.0.2.7:4000\n"),
            "{text}"
        );
        assert!(text.contains("3 further steps") && !text.contains('\u{1b}'), "{text}");
    }
}
