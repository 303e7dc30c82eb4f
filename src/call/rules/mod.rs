//! Header and number rules of a peer profile, applied to whole messages at the border: to what a peer sends before the node reads
//! it, to what it is sent as the last step. A rule that would break a message is left out, counted and told.
//!
//! [`apply`] is all there is to it; [`border`] knows whose message it is, [`trial`] shows what rules do to a pasted one.

mod body;
pub(crate) mod border;
mod draft;
mod places;
mod trial;

pub use border::Border;
pub(crate) use places::quoted;
pub use trial::{Change, Trial, trial};

use crate::config::{Action, Condition, Direction, PeerProfile, Rule, Template, Test};
use draft::Draft;
use regex::Captures;
use ringfort_base::limits;
use ringfort_sip::message::Message;
use ringfort_sip::screen::{self, Verdict};
use std::collections::BTreeMap;

/// What the node tells to rules beside the message.
#[derive(Clone, Debug, Default)]
pub struct Scene {
    /// The node's advertised host: `${node.host}`.
    pub host: String,
    /// The node's domain: `${node.domain}`.
    pub domain: String,
    /// The peer's address: `${peer.host}`.
    pub peer: String,
}

/// What the rules of a profile made of a message.
#[derive(Debug, Default)]
pub struct Applied<'p> {
    /// The message afterwards; `None`: as it was.
    pub message: Option<Message>,
    /// Rules whose conditions held, in order.
    pub fired: Vec<&'p str>,
    /// Rules that would have broken the message and were left out.
    pub skipped: Vec<&'p str>,
}

/// Applies the rules of a profile, in order. The same message always becomes the same.
pub fn apply<'p>(profile: &'p PeerProfile, direction: Direction, message: &Message, scene: &Scene) -> Applied<'p> {
    let (method, status) = (message.method(), message.status());
    let rules: Vec<&Rule> = profile.rule.iter().filter(|r| r.is_about(direction, method.as_str(), status)).collect();
    if rules.is_empty() {
        return Applied::default();
    }
    let mut applied = Applied::default();
    let mut draft = Draft::of(message);
    let mut good = true;
    for rule in &rules {
        match fire(rule, &mut draft, scene) {
            Ok(true) => applied.fired.push(&rule.name),
            Ok(false) => {}
            Err(TooLong) => good = false,
        }
    }
    let result = draft.message(message);
    if good && result.as_ref().is_none_or(|after| is_sound(message, after)) {
        applied.message = result;
        return applied;
    }
    one_by_one(&rules, message, scene)
}

/// The slow way, when some rule broke the message: each is taken only if the message is sound afterwards.
fn one_by_one<'p>(rules: &[&'p Rule], message: &Message, scene: &Scene) -> Applied<'p> {
    let mut applied = Applied::default();
    for rule in rules {
        let before = applied.message.as_ref().unwrap_or(message);
        let mut draft = Draft::of(before);
        match fire(rule, &mut draft, scene) {
            Ok(false) => continue,
            Ok(true) => {}
            Err(TooLong) => {
                applied.skipped.push(&rule.name);
                continue;
            }
        }
        match draft.message(before) {
            Some(after) if is_sound(before, &after) => {
                applied.fired.push(&rule.name);
                applied.message = Some(after);
            }
            Some(_) => applied.skipped.push(&rule.name),
            None => applied.fired.push(&rule.name),
        }
    }
    applied
}

/// Whether a changed message still is one, of the same transaction and dialog.
fn is_sound(before: &Message, after: &Message) -> bool {
    let tags = |m: &Message| [m.from(), m.to()].map(|a| a.ok().and_then(|a| a.tag().map(str::to_string)));
    let accepted = |m: &Message| screen::screen(m) == Verdict::Accept;
    let parsed = !after.octets().is_empty() && (after.from().is_ok() || before.from().is_err());
    let contacts = after.contacts().is_ok() || before.contacts().is_err();
    parsed && contacts && tags(before) == tags(after) && (accepted(after) || !accepted(before))
}

/// A value grew beyond its bound.
struct TooLong;

/// Variables that conditions gave.
type Groups = BTreeMap<String, String>;

/// Does a rule's actions when its conditions hold; says whether they held.
fn fire(rule: &Rule, draft: &mut Draft<'_>, scene: &Scene) -> Result<bool, TooLong> {
    let mut groups = Groups::new();
    if !rule.when.iter().all(|condition| holds(condition, draft, &mut groups)) {
        return Ok(false);
    }
    for action in &rule.actions {
        act(action, draft, &groups, scene)?;
    }
    Ok(true)
}

fn holds(condition: &Condition, draft: &Draft<'_>, groups: &mut Groups) -> bool {
    let values = draft.read(&condition.place);
    match &condition.test {
        Test::Present => !values.is_empty(),
        Test::Absent => values.is_empty(),
        Test::Lacks(pattern) => !values.iter().any(|value| pattern.0.is_match(value)),
        Test::Matches(pattern) => {
            let Some(found) = values.iter().find_map(|value| pattern.0.captures(value)) else { return false };
            let named = pattern.0.capture_names().flatten();
            groups.extend(named.filter_map(|name| Some((name.to_string(), found.name(name)?.as_str().to_string()))));
            true
        }
    }
}

fn act(action: &Action, draft: &mut Draft<'_>, groups: &Groups, scene: &Scene) -> Result<(), TooLong> {
    match action {
        Action::Set { place, value } => draft.set(place, &bounded(fill(value, groups, scene, None))?),
        Action::Add { place, value } => draft.add(place, &bounded(fill(value, groups, scene, None))?),
        Action::Remove { place, matching } => {
            draft.edit(place, &mut |value| match matching {
                Some(pattern) if !pattern.0.is_match(value) => Some(value.to_string()),
                _ => None,
            });
        }
        Action::Rewrite { place, pattern, with } => {
            let mut good = Ok(());
            draft.edit(place, &mut |value| {
                let Some(found) = pattern.0.captures(value) else { return Some(value.to_string()) };
                let Some(whole) = found.get(0) else { return Some(value.to_string()) };
                let new = fill(with, groups, scene, Some(&found));
                let text = format!("{}{new}{}", &value[..whole.start()], &value[whole.end()..]);
                match bounded(text) {
                    Ok(text) => Some(text),
                    Err(TooLong) => {
                        good = Err(TooLong);
                        Some(value.to_string())
                    }
                }
            });
            return good;
        }
        Action::KeepBody(types) => body::filter(draft, |kind| types.iter().any(|t| t.eq_ignore_ascii_case(kind))),
        Action::DropBody(types) => body::filter(draft, |kind| !types.iter().any(|t| t.eq_ignore_ascii_case(kind))),
    }
    Ok(())
}

fn bounded(text: String) -> Result<String, TooLong> {
    if text.len() <= limits::RULE_VALUE_MAX { Ok(text) } else { Err(TooLong) }
}

fn fill(template: &Template, groups: &Groups, scene: &Scene, own: Option<&Captures<'_>>) -> String {
    template.fill(|name| {
        let group = own.and_then(|own| name.parse().map_or_else(|_| own.name(name), |n: usize| own.get(n)));
        match (name, group) {
            (_, Some(group)) => group.as_str(),
            ("node.host", _) => &scene.host,
            ("node.domain", _) => &scene.domain,
            ("peer.host", _) => &scene.peer,
            _ => groups.get(name).map_or("", String::as_str),
        }
    })
}
