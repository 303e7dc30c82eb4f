//! `[[route]]`: where calls go, first match first.

use super::When;
use crate::route::Service;
use ringfort_base::event::Mode;
use serde::Deserialize;
use serde::de::{self, Deserializer};
use std::fmt;

/// `[[route]]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RouteSection {
    /// Name in events and explanations.
    pub name: String,
    /// Dialled numbers: `+49*` a prefix, `112` exactly this, `0XX` with X for one digit, `*` any number.
    pub number: Pattern,
    /// Whose calls: `any` (default), `accounts`, `account:PATTERN`, `cloud`, `trunk:NAME`.
    #[serde(default)]
    pub source: RouteSource,
    /// Callers' numbers, one of which must fit; absent: all.
    #[serde(default)]
    pub caller: Vec<Pattern>,
    /// Times of the week, one of which must hold; absent: always.
    #[serde(default)]
    pub when: Vec<When>,
    /// Modes in which it applies; absent: all.
    #[serde(default)]
    pub mode: ModeFilter,
    /// Digits taken off the front.
    #[serde(default)]
    pub strip: u8,
    /// Put in front afterwards.
    #[serde(default)]
    pub prepend: String,
    /// Targets in order: `trunk:NAME`, `group:NAME`, `cloud`, `extension`, `extension:USER`, `echo`.
    #[serde(default)]
    pub to: Vec<TargetName>,
    /// Refuses the call with this status instead, 400 to 699.
    pub deny: Option<u16>,
    /// Reason phrase of the refusal; empty: the status's own.
    #[serde(default)]
    pub reason: String,
}

/// A pattern of dialled numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(String);

impl Pattern {
    fn parse(text: &str) -> Result<Pattern, String> {
        let known = |c: char| c.is_ascii_alphanumeric() || "+*#-_.".contains(c);
        match text.is_empty() || !text.chars().all(known) {
            true => Err(format!("`{text}` is not a number pattern such as `+49*`, `0XX` or `112`")),
            false => Ok(Pattern(text.to_string())),
        }
    }

    /// Whether `number` fits.
    pub fn matches(&self, number: &str) -> bool {
        let (body, open) = match self.0.strip_suffix('*') {
            Some(body) => (body, true),
            None => (self.0.as_str(), false),
        };
        let fits = |(p, n): (u8, u8)| if p == b'X' { n.is_ascii_digit() } else { p == n };
        let enough = if open { number.len() >= body.len() } else { number.len() == body.len() };
        enough && body.bytes().zip(number.bytes()).all(fits)
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        Pattern::parse(&String::deserialize(d)?).map_err(de::Error::custom)
    }
}

/// Whose calls a route takes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum RouteSource {
    /// Everybody's.
    #[default]
    Any,
    /// Those of registered or authenticated accounts.
    Accounts,
    /// Those of accounts whose user fits.
    Account(Pattern),
    /// Those that the cloud sends.
    Cloud,
    /// Those that this trunk sends.
    Trunk(String),
}

impl<'de> Deserialize<'de> for RouteSource {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        match text.as_str() {
            "any" => Ok(RouteSource::Any),
            "accounts" => Ok(RouteSource::Accounts),
            "cloud" => Ok(RouteSource::Cloud),
            other => match other.split_once(':') {
                Some(("trunk", name)) => Ok(RouteSource::Trunk(name.to_string())),
                Some(("account", pattern)) => Pattern::parse(pattern).map(RouteSource::Account).map_err(de::Error::custom),
                _ => Err(de::Error::custom(format!("`{other}` is not any, accounts, account:PATTERN, cloud or trunk:NAME"))),
            },
        }
    }
}

/// Modes in which a route applies.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(transparent)]
pub struct ModeFilter(Vec<Mode>);

impl ModeFilter {
    /// Whether the route applies in `mode`.
    pub fn allows(&self, mode: Mode) -> bool {
        self.0.is_empty() || self.0.contains(&mode)
    }
}

/// A target as written in a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TargetName {
    /// The cloud.
    Cloud,
    /// A trunk by name.
    Trunk(String),
    /// A group of trunks by name.
    Group(String),
    /// The registered devices of the extension that was dialled.
    Extension,
    /// An extension, whatever was dialled.
    User(String),
    /// A service of the node.
    Service(Service),
}

impl<'de> Deserialize<'de> for TargetName {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        match text.as_str() {
            "cloud" => Ok(TargetName::Cloud),
            "extension" => Ok(TargetName::Extension),
            "echo" => Ok(TargetName::Service(Service::Echo)),
            other => match other.split_once(':') {
                Some(("trunk", name)) => Ok(TargetName::Trunk(name.to_string())),
                Some(("group", name)) => Ok(TargetName::Group(name.to_string())),
                Some(("sound", name)) => Ok(TargetName::Service(Service::Sound(name.to_string()))),
                Some(("conference", room)) => Ok(TargetName::Service(Service::Conference(room.to_string()))),
                Some(("extension", user)) => Ok(TargetName::User(user.to_string())),
                _ => {
                    let known = "trunk:NAME, group:NAME, cloud, extension, extension:USER, sound:NAME, conference:ROOM or echo";
                    Err(de::Error::custom(format!("`{other}` is not {known}")))
                }
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        let fits = |p: &str, n: &str| Pattern(p.into()).matches(n);
        assert!(fits("+49*", "+4930123"));
        assert!(!fits("+49*", "+4830123"));
        assert!(fits("112", "112") && !fits("112", "1123"));
        assert!(fits("0XX", "012") && !fits("0XX", "0a2") && !fits("0XX", "0123"));
        assert!(fits("*", "") && fits("*", "anything"));
    }
}
