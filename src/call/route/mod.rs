//! The one evaluator: where does this call go, and why. Live routing, explanation, replay and expectations call [`evaluate`] with a
//! snapshot and a question; it reads nothing else.
//!
//! Order: emergency numbers, the node's services, `[[did]]`, `[[route]]`s first match first, extensions, and the cloud for what is
//! left while it owns the routes ([`rules`]). What a rule says becomes a [`plan`] of stages ([`build`]): groups in their order,
//! forwards behind the devices that they stand in for.

mod assemble;
mod caller;
mod plan;
mod rules;
#[cfg(test)]
mod tests;
mod trace;

pub use caller::presented;
pub use plan::{After, Codes, Diversion, Outcome, Stage, next_stage};
pub use trace::{NoTrace, Note, Trace};

use crate::config::Snapshot;
use crate::number::{Number, Writer};
use ringfort_base::Wall;
use ringfort_base::event::Mode;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Who calls.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Source {
    /// A registered or authenticated account.
    Account(String),
    /// The cloud.
    Cloud,
    /// A trunk by name.
    Trunk(String),
}

impl Source {
    /// How it writes numbers.
    pub fn writer(&self, snapshot: &Snapshot) -> Writer {
        match self {
            Source::Account(_) => Writer::Person,
            Source::Cloud => Writer::Peer(Default::default()),
            Source::Trunk(name) => Writer::Peer(snapshot.trunk(name).map(|trunk| trunk.format).unwrap_or_default()),
        }
    }
}

/// As configurations and records write it: `account:101`, `cloud`, `trunk:carrier`.
impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Account(user) => write!(f, "account:{user}"),
            Source::Cloud => f.write_str("cloud"),
            Source::Trunk(name) => write!(f, "trunk:{name}"),
        }
    }
}

impl FromStr for Source {
    type Err = String;

    fn from_str(text: &str) -> Result<Source, String> {
        match text.split_once(':') {
            None if text == "cloud" => Ok(Source::Cloud),
            Some(("account", user)) => Ok(Source::Account(user.to_string())),
            Some(("trunk", name)) => Ok(Source::Trunk(name.to_string())),
            _ => Err(format!("`{text}` is not account:USER, cloud or trunk:NAME")),
        }
    }
}

/// What is asked.
#[derive(Clone, Copy)]
pub struct Question<'a> {
    /// Who sends the call.
    pub source: &'a Source,
    /// The caller's number or user part.
    pub caller: &'a str,
    /// User part of the request URI, unescaped.
    pub number: &'a str,
    /// Mode of the node.
    pub mode: Mode,
    /// Civil time.
    pub wall: Wall,
    /// Chance, by which a group orders trunks of equal priority. The same draw gives the same order.
    pub draw: u64,
    /// Whether this extension has a device registered with the node.
    pub is_registered: &'a dyn Fn(&str) -> bool,
}

/// What the node answers itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Service {
    /// The caller hears itself.
    Echo,
    /// The caller hears a sound of this name, and is released at its end.
    Sound(String),
    /// The caller joins whoever else is in this room.
    Conference(String),
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Service::Echo => f.write_str("echo"),
            Service::Sound(name) => write!(f, "sound:{name}"),
            Service::Conference(room) => write!(f, "conference:{room}"),
        }
    }
}

/// One place to try.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Target {
    /// A service of the node.
    Service(Service),
    /// The devices registered for this extension.
    Extension(String),
    /// One device of an extension; made from [`Target::Extension`] when its turn comes.
    Device {
        /// Extension.
        user: String,
        /// Its binding.
        token: String,
    },
    /// A trunk, with the number as it is to be dialled there.
    Trunk {
        /// Name.
        name: String,
        /// Number.
        number: String,
    },
    /// The cloud, with the number.
    Cloud {
        /// Number.
        number: String,
    },
}

impl Target {
    /// The number that it is asked for, where it is told one.
    pub fn number(&self) -> Option<&str> {
        match self {
            Target::Trunk { number, .. } | Target::Cloud { number } => Some(number),
            _ => None,
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Service(service) => service.fmt(f),
            Target::Extension(user) | Target::Device { user, .. } => write!(f, "extension:{user}"),
            Target::Trunk { name, .. } => write!(f, "trunk:{name}"),
            Target::Cloud { .. } => f.write_str("cloud"),
        }
    }
}

/// Why no target was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoRoute {
    /// The extension exists; none of its devices is registered: 480.
    NotRegistered,
    /// No rule fits the number: 404.
    UnknownNumber,
    /// A route refuses it.
    Denied {
        /// Status, 400 to 699.
        status: u16,
        /// Reason phrase; empty: the status's own.
        reason: String,
    },
}

impl NoRoute {
    /// Status that the caller gets.
    pub fn status(&self) -> u16 {
        match self {
            NoRoute::NotRegistered => 480,
            NoRoute::UnknownNumber => 404,
            NoRoute::Denied { status, .. } => *status,
        }
    }

    /// Stable name for the record.
    pub fn cause(&self) -> &'static str {
        match self {
            NoRoute::NotRegistered => "not-registered",
            NoRoute::UnknownNumber => "no-route",
            NoRoute::Denied { .. } => "denied",
        }
    }
}

/// As expectations write it: `deny 403`.
impl fmt::Display for NoRoute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "deny {}", self.status())
    }
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Rule that decided, by name: `emergency`, `service`, `route NAME`, `extension`, `cloud default`, `none`.
    pub rule: String,
    /// Stages in order, or why there is none.
    pub targets: Result<Vec<Stage>, NoRoute>,
    /// Never refused for a limit.
    pub emergency: bool,
}

/// A decision on one line: the rule, and its targets with their numbers or the refusal.
pub struct Plain<'a>(pub &'a Decision);

impl fmt::Display for Plain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.0.rule)?;
        let plan = match &self.0.targets {
            Ok(plan) => plan,
            Err(refusal) => return refusal.fmt(f),
        };
        for (place, stage) in plan.iter().enumerate() {
            let lead = match (place, stage.after) {
                (0, _) => String::new(),
                (_, After::Failure) => ", then ".into(),
                (_, after) => format!(", {} of {} ", after.as_str(), stage.behind.unwrap_or_default() + 1),
            };
            f.write_str(&lead)?;
            for (n, target) in stage.targets.iter().enumerate() {
                write!(f, "{}{target}", if n == 0 { "" } else { " + " })?;
                target.number().map_or(Ok(()), |number| write!(f, " {number}"))?;
            }
        }
        Ok(())
    }
}

/// Decides where a call goes. `trace` is told each rule that was looked at; [`NoTrace`] costs nothing.
pub fn evaluate<T: Trace>(snapshot: &Snapshot, question: &Question<'_>, trace: &mut T) -> Decision {
    let number = Number::read(snapshot, question.number, question.source.writer(snapshot));
    let asked = rules::Asked { snapshot, question, source: question.source, number: &number };
    let found = rules::find(&asked, trace);
    let (rule, emergency) = (found.rule.clone(), found.emergency);
    let targets = assemble::plan(&asked, &found, trace);
    Decision { rule, targets, emergency }
}
