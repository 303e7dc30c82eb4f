//! `[[expect]]`: calls whose way is known. A configuration that sends one of them elsewhere is refused.

use super::{ConfigError, Snapshot};
use crate::route::{self, NoTrace, Plain, Question, Source, Stage};
use ringfort_base::Wall;
use ringfort_base::event::Mode;
use serde::Deserialize;
use serde::de::{self, Deserializer};

/// `[[expect]]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExpectSection {
    /// Caller's number.
    pub from: String,
    /// Number as dialled.
    pub to: String,
    /// Who sends the call: `account:USER`, `cloud`, `trunk:NAME`; absent: the account `from`.
    #[serde(default, deserialize_with = "source")]
    pub source: Option<Source>,
    /// Mode of the node; absent: normal with a cloud, standalone without.
    pub mode: Option<Mode>,
    /// Local time, `2026-12-24 14:30` or `wed 14:30`; absent: `wed 12:00`.
    pub time: Option<String>,
    /// `trunk:NAME`, `extension:USER`, `cloud`, `echo`, `deny STATUS`, or a rule by name.
    pub expect: String,
}

fn source<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Source>, D::Error> {
    String::deserialize(d)?.parse().map(Some).map_err(de::Error::custom)
}

/// Noon of a working day, for calls whose time does not matter.
pub const USUAL_TIME: &str = "wed 12:00";

impl ExpectSection {
    /// What comes instead; `None`: it is as expected. All accounts count as registered.
    pub(super) fn failure(&self, snapshot: &Snapshot) -> Option<String> {
        let time = self.time.as_deref().unwrap_or(USUAL_TIME);
        let Some(wall) = snapshot.node.time_zone.moment(time) else {
            return Some(format!("`{time}` is no time such as `2026-12-24 14:30` or `wed 14:30`"));
        };
        let source = self.source.clone().unwrap_or_else(|| Source::Account(self.from.clone()));
        let decision = self.decide(snapshot, &source, wall);
        let fits = |stage: &Stage| stage.targets.iter().any(|target| target.to_string() == self.expect);
        let found = match &decision.targets {
            Ok(plan) => plan.first().is_some_and(fits),
            Err(refusal) => refusal.to_string() == self.expect,
        };
        let found = found || decision.rule == self.expect;
        (!found).then(|| {
            format!("{} to {} was expected to reach `{}`, but goes by {}", self.from, self.to, self.expect, Plain(&decision))
        })
    }

    fn decide(&self, snapshot: &Snapshot, source: &Source, wall: Wall) -> route::Decision {
        let usual = if snapshot.cloud.is_some() { Mode::Normal } else { Mode::Standalone };
        let question = Question {
            source,
            caller: &self.from,
            number: &self.to,
            mode: self.mode.unwrap_or(usual),
            wall,
            draw: 0,
            is_registered: &|user| snapshot.accounts.contains_key(user),
        };
        route::evaluate(snapshot, &question, &mut NoTrace)
    }
}

/// Every expectation of the configuration, in order; the first that fails refuses it.
pub(super) fn check(name: &str, text: &str, expectations: &[ExpectSection], snapshot: &Snapshot) -> Result<(), ConfigError> {
    for (index, expectation) in expectations.iter().enumerate() {
        if let Some(failure) = expectation.failure(snapshot) {
            return Err(ConfigError::in_section(name, text, "expect", index, failure));
        }
    }
    Ok(())
}
