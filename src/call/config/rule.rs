//! Rules of a peer profile as written, checked and compiled when they are read, so that a refusal names its line.

use super::place::{Changeable, Place};
use super::template::Template;
use regex::{Regex, RegexBuilder};
use ringfort_base::limits;
use serde::Deserialize;
use serde::de::{self, Deserializer};
use std::fmt;

/// Which way a message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// From the peer, before the node reads it.
    Receive,
    /// To the peer, as the last step.
    Send,
}

/// `[[rule]]` of a profile: when all conditions hold, the actions are done in order.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "Written")]
pub struct Rule {
    /// Name in events and trials.
    pub name: String,
    /// Which way.
    pub direction: Direction,
    /// Methods; empty: all. Of a response: the method of its request.
    methods: Vec<String>,
    /// Statuses; empty: the rule is about requests.
    statuses: Vec<StatusPattern>,
    /// All must hold.
    pub(crate) when: Vec<Condition>,
    /// What is done.
    pub(crate) actions: Vec<Action>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    name: String,
    direction: Direction,
    #[serde(default)]
    method: Vec<String>,
    #[serde(default)]
    status: Vec<StatusPattern>,
    #[serde(default)]
    when: Vec<Condition>,
    #[serde(rename = "do")]
    actions: Vec<Action>,
}

impl TryFrom<Written> for Rule {
    type Error = String;
    fn try_from(written: Written) -> Result<Rule, String> {
        let Written { name, direction, method, status, when, actions } = written;
        let rule = Rule { name, direction, methods: method, statuses: status, when, actions };
        rule.check().map(|()| rule.clone()).map_err(|wrong| format!("rule `{}`: {wrong}", rule.name))
    }
}

impl Rule {
    /// Whether it is about messages of this kind. `status` is `None` for a request.
    pub(crate) fn is_about(&self, direction: Direction, method: &str, status: Option<u16>) -> bool {
        let kind = match status {
            None => self.statuses.is_empty(),
            Some(status) => self.statuses.iter().any(|pattern| pattern.fits(status)),
        };
        self.direction == direction && kind && (self.methods.is_empty() || self.methods.iter().any(|m| m == method))
    }

    /// Whether it may change From or To.
    pub(crate) fn changes_people(&self) -> bool {
        self.actions.iter().filter_map(Action::place).any(Place::is_of_people)
    }

    fn check(&self) -> Result<(), String> {
        if self.name.is_empty() || self.name.len() > limits::PROFILE_NAME_MAX {
            return Err("`name` is empty or too long".into());
        }
        let counts = [self.when.len(), self.actions.len(), self.methods.len(), self.statuses.len()];
        if self.actions.is_empty() || counts.into_iter().any(|n| n > limits::RULE_STEPS_MAX) {
            return Err(format!("1 to {} actions, and no more conditions, methods or statuses", limits::RULE_STEPS_MAX));
        }
        // RFC 3261 8.2.6.2: they are the request's, and the peer may compare them.
        if !self.statuses.is_empty() && self.changes_people() {
            return Err("From and To of a response are those of the request".into());
        }
        self.variables()
    }

    /// Every variable of a template must be one of the node's, or a group of a pattern that comes before it.
    fn variables(&self) -> Result<(), String> {
        let known: Vec<&str> = self.when.iter().filter_map(Condition::pattern).flat_map(Pattern::groups).collect();
        for action in &self.actions {
            let (Action::Set { value, .. } | Action::Add { value, .. } | Action::Rewrite { with: value, .. }) = action else {
                continue;
            };
            let own: Vec<String> = match action {
                Action::Rewrite { pattern, .. } => pattern.all_groups(),
                _ => Vec::new(),
            };
            let is_known = |v: &str| NODE_VARIABLES.contains(&v) || known.contains(&v) || own.iter().any(|o| o == v);
            if let Some(unknown) = value.variables().find(|v| !is_known(v)) {
                return Err(format!("nothing gives `${{{unknown}}}`; the node gives {}", NODE_VARIABLES.join(", ")));
            }
        }
        Ok(())
    }
}

/// Variables of templates that need no pattern: the node's advertised host, its domain, the peer's address.
pub(crate) const NODE_VARIABLES: [&str; 3] = ["node.host", "node.domain", "peer.host"];

/// `200`, `4XX` or `*`.
#[derive(Clone, Debug)]
struct StatusPattern([Option<u16>; 3]);

impl StatusPattern {
    fn fits(&self, status: u16) -> bool {
        let digits = [status / 100, status / 10 % 10, status % 10];
        self.0.iter().zip(digits).all(|(pattern, digit)| pattern.is_none_or(|wanted| wanted == digit))
    }
}

impl<'de> Deserialize<'de> for StatusPattern {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        let digit = |c: char| if c == 'X' { Some(None) } else { c.to_digit(10).map(|n| Some(n as u16)) };
        let digits: Option<Vec<_>> = if text == "*" { Some(vec![None; 3]) } else { text.chars().map(digit).collect() };
        let digits = digits.and_then(|digits| <[_; 3]>::try_from(digits).ok());
        digits.map(StatusPattern).ok_or_else(|| de::Error::custom(format!("`{text}` is no status such as `200`, `4XX` or `*`")))
    }
}

/// A condition on a place of the message.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "WrittenCondition")]
pub(crate) struct Condition {
    pub place: Place,
    pub test: Test,
}

/// What is asked of a place.
#[derive(Clone, Debug)]
pub(crate) enum Test {
    Present,
    Absent,
    /// One value fits; its groups are variables.
    Matches(Pattern),
    /// No value fits.
    Lacks(Pattern),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenCondition {
    field: Place,
    present: Option<bool>,
    matches: Option<Pattern>,
    lacks: Option<Pattern>,
}

impl TryFrom<WrittenCondition> for Condition {
    type Error = &'static str;
    fn try_from(written: WrittenCondition) -> Result<Condition, Self::Error> {
        let test = match (written.present, written.matches, written.lacks) {
            (Some(true), None, None) => Test::Present,
            (Some(false), None, None) => Test::Absent,
            (None, Some(pattern), None) => Test::Matches(pattern),
            (None, None, Some(pattern)) => Test::Lacks(pattern),
            _ => return Err("a condition has `field` and one of `present`, `matches`, `lacks`"),
        };
        Ok(Condition { place: written.field, test })
    }
}

impl Condition {
    fn pattern(&self) -> Option<&Pattern> {
        match &self.test {
            Test::Matches(pattern) => Some(pattern),
            _ => None,
        }
    }
}

/// One thing done to a message.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "WrittenAction")]
pub(crate) enum Action {
    /// The place gets this value; a header field that is absent is made, others of the name go.
    Set { place: Place, value: Template },
    /// A further header field.
    Add { place: Place, value: Template },
    /// The place goes, or those of its values that fit.
    Remove { place: Place, matching: Option<Pattern> },
    /// In each value the first match is replaced.
    Rewrite { place: Place, pattern: Pattern, with: Template },
    /// Body parts of other types go.
    KeepBody(Vec<String>),
    /// Body parts of these types go.
    DropBody(Vec<String>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenAction {
    set: Option<Changeable>,
    add: Option<Changeable>,
    remove: Option<Changeable>,
    rewrite: Option<Changeable>,
    value: Option<Template>,
    pattern: Option<Pattern>,
    with: Option<Template>,
    keep_body: Option<Vec<String>>,
    drop_body: Option<Vec<String>>,
}

const ACTION_FORMS: &str = "an action is {set, value}, {add, value}, {remove} or {remove, pattern}, {rewrite, pattern, with}, \
                            {keep_body} or {drop_body}";

impl TryFrom<WrittenAction> for Action {
    type Error = &'static str;
    fn try_from(w: WrittenAction) -> Result<Action, Self::Error> {
        match w {
            WrittenAction { set: Some(p), value: Some(value), add: None, remove: None, rewrite: None, .. }
                if w.pattern.is_none() =>
            {
                Ok(Action::Set { place: p.0, value })
            }
            WrittenAction { add: Some(p), value: Some(value), set: None, remove: None, rewrite: None, .. }
                if p.0.is_whole_field() =>
            {
                Ok(Action::Add { place: p.0, value })
            }
            WrittenAction { remove: Some(p), value: None, with: None, pattern, set: None, add: None, rewrite: None, .. } => {
                Ok(Action::Remove { place: p.0, matching: pattern })
            }
            WrittenAction {
                rewrite: Some(p),
                pattern: Some(pattern),
                with: Some(with),
                set: None,
                add: None,
                remove: None,
                ..
            } => Ok(Action::Rewrite { place: p.0, pattern, with }),
            WrittenAction {
                keep_body: Some(types), drop_body: None, set: None, add: None, remove: None, rewrite: None, ..
            } => Ok(Action::KeepBody(types)),
            WrittenAction {
                drop_body: Some(types), keep_body: None, set: None, add: None, remove: None, rewrite: None, ..
            } => Ok(Action::DropBody(types)),
            _ => Err(ACTION_FORMS),
        }
    }
}

impl Action {
    fn place(&self) -> Option<&Place> {
        match self {
            Action::Set { place, .. } | Action::Add { place, .. } | Action::Remove { place, .. } => Some(place),
            Action::Rewrite { place, .. } => Some(place),
            Action::KeepBody(_) | Action::DropBody(_) => None,
        }
    }
}

/// A regular expression; matching takes time linear in the text.
#[derive(Clone)]
pub(crate) struct Pattern(pub Regex);

impl Pattern {
    fn groups(&self) -> impl Iterator<Item = &str> {
        self.0.capture_names().flatten()
    }

    fn all_groups(&self) -> Vec<String> {
        (0..self.0.captures_len()).map(|n| n.to_string()).chain(self.groups().map(str::to_string)).collect()
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str())
    }
}

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        let made = RegexBuilder::new(&text).size_limit(limits::RULE_PATTERN_OCTETS_MAX).build();
        made.map(Pattern).map_err(|error| {
            let why = error.to_string();
            let why = why.lines().last().unwrap_or_default().trim_start_matches("error: ").to_string();
            de::Error::custom(format!("`{text}` is no pattern: {why}"))
        })
    }
}
