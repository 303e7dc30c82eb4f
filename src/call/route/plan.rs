//! The plan of a call: stages, each with the outcome of an earlier stage that it is tried after. Stages form a tree, written down in
//! order: the first is tried first, and [`next_stage`] says which one follows when a stage is through.

use super::Target;
use serde::{Deserialize, Serialize};
use std::fmt;

/// After which outcome of the stage before it a stage is tried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum After {
    /// The targets could not do it: they are silent, answered 5xx, or their devices are gone.
    #[default]
    Failure,
    /// The callee is busy: 486 or 600.
    Busy,
    /// It rang for the time of its stage without an answer, or the answer was 408 or 480.
    NoAnswer,
    /// Whatever it was.
    Any,
}

impl After {
    /// As explanations and Diversion (RFC 5806 reason parameter) name it.
    pub fn as_str(self) -> &'static str {
        match self {
            After::Failure => "unavailable",
            After::Busy => "user-busy",
            After::NoAnswer => "no-answer",
            After::Any => "unconditional",
        }
    }
}

/// How a stage ended that was not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The best final status of its targets.
    Status(u16),
    /// It rang for its time.
    RangOut,
    /// None of its targets could be asked: unknown, unreachable, silent, or full.
    Unreachable,
}

/// Final statuses as a configuration lists them: `408`, `5xx`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Codes(pub(crate) Vec<(u16, u16)>);

impl Codes {
    /// Whether the status is one of them.
    pub fn contains(&self, status: u16) -> bool {
        self.0.iter().any(|(first, last)| (*first..=*last).contains(&status))
    }
}

/// A forward that leads to a stage; for Diversion and History-Info.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diversion {
    /// The extension that forwards.
    pub user: String,
    /// Why.
    pub reason: After,
}

/// Targets that ring at the same time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stage {
    /// The targets.
    pub targets: Vec<Target>,
    /// When its turn comes; of no meaning for the first.
    pub after: After,
    /// The stage whose outcome `after` speaks of, by its place in the plan; `None` for the first.
    pub behind: Option<usize>,
    /// How long it rings before its turn is over, seconds; `None`: as long as a call may ring at all.
    pub ring_s: Option<u32>,
    /// How long its targets may be silent, milliseconds; `None`: as long as their own supervision says.
    pub patience_ms: Option<u32>,
    /// Final statuses that count as [`After::Failure`]; `None`: 408, 500, 502, 503, 504.
    pub failover: Option<Codes>,
    /// Forwards that led here, the first one first.
    pub diversions: Vec<Diversion>,
    /// Targets that only ring along, and the forwards that led to them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub along: Vec<(Target, Vec<Diversion>)>,
}

impl Stage {
    /// One target, tried when what stands before it fails.
    pub fn of(target: Target) -> Stage {
        Stage { targets: vec![target], ..Stage::default() }
    }

    /// Forwards that led to this target of the stage, or to the device of one.
    pub fn diversions_of(&self, target: &Target) -> &[Diversion] {
        let is_it = |along: &Target| match (along, target) {
            (Target::Extension(user), Target::Device { user: of, .. }) => user == of,
            (along, target) => along == target,
        };
        self.along.iter().find(|(along, _)| is_it(along)).map_or(&self.diversions, |(_, diversions)| diversions)
    }

    /// Whether this final status says that the targets could not do it, not what the callee wants.
    pub fn fails_on(&self, status: u16) -> bool {
        match &self.failover {
            Some(codes) => codes.contains(status),
            None => matches!(status, 408 | 500 | 502 | 503 | 504),
        }
    }

    /// Whether a stage that waits for `after` follows when this one ended so.
    fn leads_to(&self, after: After, outcome: Outcome) -> bool {
        let status = match outcome {
            Outcome::Status(status) => status,
            Outcome::RangOut => 408,
            Outcome::Unreachable => 503,
        };
        match after {
            After::Any => true,
            After::Busy => matches!(status, 486 | 600),
            After::NoAnswer => matches!(status, 408 | 480),
            After::Failure => match outcome {
                Outcome::Unreachable => true,
                Outcome::RangOut => false,
                Outcome::Status(status) => self.fails_on(status),
            },
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<String> = self.targets.iter().map(Target::to_string).collect();
        f.write_str(&names.join(" + "))
    }
}

/// Which stage follows when the one at `place` ended so; `None`: the call has failed.
pub fn next_stage(plan: &[Stage], place: usize, outcome: Outcome) -> Option<usize> {
    let ended = plan.get(place)?;
    let follows = |stage: &Stage| stage.behind == Some(place) && ended.leads_to(stage.after, outcome);
    plan.iter().position(follows)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stage(name: &str, behind: Option<usize>, after: After) -> Stage {
        Stage { behind, after, ..Stage::of(Target::Trunk { name: name.into(), number: "1".into() }) }
    }

    #[test]
    fn each_outcome_has_its_branch() {
        let plan = [
            stage("device", None, After::Failure),
            stage("busy-a", Some(0), After::Busy),
            stage("busy-b", Some(1), After::Failure),
            stage("no answer", Some(0), After::NoAnswer),
            stage("unreachable", Some(0), After::Failure),
        ];
        assert_eq!(next_stage(&plan, 0, Outcome::Status(486)), Some(1));
        assert_eq!(next_stage(&plan, 1, Outcome::Status(503)), Some(2), "within a branch");
        assert_eq!(next_stage(&plan, 2, Outcome::Status(503)), None, "and not into another one");
        assert_eq!(next_stage(&plan, 0, Outcome::RangOut), Some(3));
        assert_eq!(next_stage(&plan, 0, Outcome::Status(480)), Some(3));
        assert_eq!(next_stage(&plan, 0, Outcome::Unreachable), Some(4));
        assert_eq!(next_stage(&plan, 0, Outcome::Status(603)), None);
        assert_eq!(next_stage(&plan, 9, Outcome::Unreachable), None);
    }

    #[test]
    fn codes_decide_what_is_a_failure() {
        let mut plan = [stage("a", None, After::Failure), stage("b", Some(0), After::Failure)];
        assert_eq!((next_stage(&plan, 0, Outcome::Status(503)), next_stage(&plan, 0, Outcome::Status(404))), (Some(1), None));
        plan[0].failover = Some(Codes(vec![(404, 404), (500, 599)]));
        assert_eq!(next_stage(&plan, 0, Outcome::Status(404)), Some(1));
        assert_eq!((next_stage(&plan, 0, Outcome::Status(408)), next_stage(&plan, 0, Outcome::Status(599))), (None, Some(1)));
    }
}
