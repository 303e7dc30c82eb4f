//! The one evaluator: where does this call go, and why. Live routing, explanation and replay call [`evaluate`] with a
//! snapshot and a question; it reads nothing else.
//!
//! Order: emergency numbers, the node's services, `[[route]]`s first match first, extensions, and the cloud for what is
//! left while it owns the routes.

mod plan;

pub use plan::{After, Codes, Diversion, Outcome, Stage, next_stage};

use crate::config::{RouteSection, RouteSource, Snapshot, TargetName};
use plan::in_turn;
use ringfort_base::event::Mode;
use serde::{Deserialize, Serialize};
use std::fmt;

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

/// What is asked.
#[derive(Clone, Copy)]
pub struct Question<'a> {
    /// Who calls.
    pub source: &'a Source,
    /// User part of the request URI, unescaped.
    pub number: &'a str,
    /// Mode of the node.
    pub mode: Mode,
    /// Whether this extension has a device registered with the node.
    pub is_registered: &'a dyn Fn(&str) -> bool,
}

/// One place to try.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Target {
    /// The echo service.
    Echo,
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

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Echo => f.write_str("echo"),
            Target::Extension(user) | Target::Device { user, .. } => write!(f, "extension:{user}"),
            Target::Trunk { name, .. } => write!(f, "trunk:{name}"),
            Target::Cloud { .. } => f.write_str("cloud"),
        }
    }
}

/// Why no target was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoRoute {
    /// The extension exists; none of its devices is registered: 480.
    NotRegistered,
    /// No rule fits the number: 404.
    UnknownNumber,
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Rule that decided, by name: `emergency`, `service`, `route NAME`, `extension`, `cloud default`.
    pub rule: String,
    /// Stages in order, or why there is none.
    pub targets: Result<Vec<Stage>, NoRoute>,
    /// Never refused for a limit.
    pub emergency: bool,
}

/// Decides where a call goes.
pub fn evaluate(snapshot: &Snapshot, question: &Question<'_>) -> Decision {
    emergency(snapshot, question)
        .or_else(|| service(snapshot, question))
        .or_else(|| configured(snapshot, question))
        .or_else(|| extension(snapshot, question))
        .or_else(|| cloud_default(snapshot, question))
        .unwrap_or_else(|| Decision { rule: "none".into(), targets: Err(NoRoute::UnknownNumber), emergency: false })
}

fn decided(rule: impl Into<String>, targets: Vec<Target>) -> Option<Decision> {
    Some(Decision { rule: rule.into(), targets: Ok(in_turn(targets)), emergency: false })
}

fn emergency(snapshot: &Snapshot, question: &Question<'_>) -> Option<Decision> {
    if !snapshot.emergency.numbers.iter().any(|n| n == question.number) {
        return None;
    }
    let targets = snapshot.emergency.to.iter().map(|t| target(t, question.number.to_string()));
    Some(Decision { rule: "emergency".into(), targets: Ok(in_turn(targets)), emergency: true })
}

fn service(snapshot: &Snapshot, question: &Question<'_>) -> Option<Decision> {
    let echo = &snapshot.services.echo;
    if echo.is_empty() || echo != question.number {
        return None;
    }
    decided("service", vec![Target::Echo])
}

fn configured(snapshot: &Snapshot, question: &Question<'_>) -> Option<Decision> {
    let route = snapshot.routes.iter().find(|r| applies(r, question))?;
    let stripped = question.number.get(usize::from(route.strip)..).unwrap_or_default();
    let number = format!("{}{stripped}", route.prepend);
    let targets = route.to.iter().map(|t| target(t, number.clone())).collect();
    decided(format!("route {}", route.name), targets)
}

fn applies(route: &RouteSection, question: &Question<'_>) -> bool {
    let source = match (&route.source, question.source) {
        (RouteSource::Any, _) | (RouteSource::Accounts, Source::Account(_)) | (RouteSource::Cloud, Source::Cloud) => true,
        (RouteSource::Trunk(wanted), Source::Trunk(name)) => wanted == name,
        _ => false,
    };
    source && route.mode.allows(question.mode) && route.number.matches(question.number)
}

fn target(name: &TargetName, number: String) -> Target {
    match name {
        TargetName::Cloud => Target::Cloud { number },
        TargetName::Trunk(name) => Target::Trunk { name: name.clone(), number },
        TargetName::Extension => Target::Extension(number),
        TargetName::Echo => Target::Echo,
    }
}

/// A number that is an account or has a device here. In normal mode the cloud comes first, for it owns the extension's
/// forwards and groups; the devices themselves follow, so that a call which meets a dead cloud is not lost.
fn extension(snapshot: &Snapshot, question: &Question<'_>) -> Option<Decision> {
    let user = question.number;
    let registered = (question.is_registered)(user);
    if !registered && !snapshot.accounts.contains_key(user) {
        return None;
    }
    let by_cloud = question.mode == Mode::Normal && *question.source != Source::Cloud;
    let mut targets = Vec::new();
    if by_cloud {
        targets.push(Target::Cloud { number: user.into() });
    }
    if registered {
        targets.push(Target::Extension(user.into()));
    }
    if targets.is_empty() {
        let targets = Err(NoRoute::NotRegistered);
        return Some(Decision { rule: "extension".into(), targets, emergency: false });
    }
    decided("extension", targets)
}

fn cloud_default(snapshot: &Snapshot, question: &Question<'_>) -> Option<Decision> {
    let own = matches!(question.source, Source::Account(_));
    if !own || snapshot.cloud.is_none() || question.mode != Mode::Normal {
        return None;
    }
    decided("cloud default", vec![Target::Cloud { number: question.number.into() }])
}

#[cfg(test)]
mod tests {
    use super::*;
    use zeroize::Zeroizing;

    const TEXT: &str = r#"
        [cloud]
        address = "192.0.2.1:5060"
        [[trunk]]
        name = "carrier"
        address = "192.0.2.2:5060"
        [[account]]
        user = "101"
        [[account]]
        user = "102"
        [[route]]
        name = "outside"
        number = "0*"
        strip = 1
        prepend = "+49"
        to = ["trunk:carrier"]
        [[route]]
        name = "survivable only"
        number = "7*"
        mode = ["survivable"]
        to = ["trunk:carrier"]
        [emergency]
        numbers = ["0112"]
        to = ["trunk:carrier", "cloud"]
    "#;

    fn ask(number: &str, mode: Mode, source: Source) -> Decision {
        let snapshot = Snapshot::load("t", TEXT, &mut |_| Some(Zeroizing::new("x".into()))).expect("good");
        evaluate(&snapshot, &Question { source: &source, number, mode, is_registered: &|u| u == "102" })
    }

    fn way(number: &str, mode: Mode, source: Source) -> String {
        let decision = ask(number, mode, source);
        match decision.targets {
            Ok(targets) => {
                let names: Vec<String> = targets.iter().map(Stage::to_string).collect();
                format!("{}: {}", decision.rule, names.join(" "))
            }
            Err(reason) => format!("{}: {reason:?}", decision.rule),
        }
    }

    fn account() -> Source {
        Source::Account("101".into())
    }

    #[test]
    fn emergency_comes_before_all_else() {
        assert_eq!(way("0112", Mode::Survivable, account()), "emergency: trunk:carrier cloud");
        assert!(ask("0112", Mode::Normal, account()).emergency);
    }

    #[test]
    fn an_extension_goes_by_the_cloud_while_it_lives() {
        assert_eq!(way("102", Mode::Normal, account()), "extension: cloud extension:102");
        assert_eq!(way("102", Mode::Survivable, account()), "extension: extension:102");
        assert_eq!(way("102", Mode::Normal, Source::Cloud), "extension: extension:102");
        assert_eq!(way("101", Mode::Survivable, account()), "extension: NotRegistered");
    }

    #[test]
    fn routes_rewrite_and_mind_the_mode() {
        let decision = ask("030123", Mode::Normal, account());
        let wanted = Target::Trunk { name: "carrier".into(), number: "+4930123".into() };
        assert_eq!(decision.targets, Ok(vec![Stage::of(wanted)]));
        assert_eq!(way("700", Mode::Normal, account()), "cloud default: cloud");
        assert_eq!(way("700", Mode::Survivable, account()), "route survivable only: trunk:carrier");
    }

    #[test]
    fn what_fits_nothing() {
        assert_eq!(way("555", Mode::Survivable, account()), "none: UnknownNumber");
        assert_eq!(way("555", Mode::Normal, Source::Trunk("carrier".into())), "none: UnknownNumber");
        assert_eq!(way("*43", Mode::Normal, Source::Cloud), "service: echo");
    }
}
