//! `[[recorder]]` and `[[recording]]`: who records (RFC 7866), and which calls. Without a rule nothing is recorded.

use super::peer::{AuthSection, PeerAddress, failures, hold_down, supervision};
use super::route::Pattern;
use super::snapshot::Check;
use super::{ConfigError, Snapshot};
use crate::route::Source;
use ringfort_base::{Transport, limits};
use ringfort_media::{Security, Srtp, Suites};
use ringfort_sip::locate::Target;
use ringfort_sip::uri::{Uri, escape_user};
use serde::Deserialize;
use std::collections::HashSet;

/// `[[recorder]]`: a session recording server.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecorderSection {
    /// Name in `[[recording]]`, in events and in records.
    pub name: String,
    /// `host` or `host:port`.
    pub address: PeerAddress,
    /// Transport: udp, tcp or tls. Absent: what the DNS says, else UDP.
    pub transport: Option<Transport>,
    /// Realm by whose addresses it is spoken to; absent: those of `[sip]`.
    pub realm: Option<String>,
    /// User part of its URI; empty: none.
    #[serde(default)]
    pub user: String,
    /// What its challenges are answered with; absent: they are refusals.
    auth: Option<AuthSection>,
    /// Whether it gets SRTP, with keys in the description.
    #[serde(default)]
    pub srtp: Srtp,
    /// Suites that it is offered, in order.
    #[serde(default)]
    pub srtp_suites: Suites,
    /// OPTIONS each so many milliseconds; 0: not supervised, always taken as reachable.
    #[serde(default = "interval")]
    pub options_interval_ms: u32,
    /// Without any answer for so many milliseconds, a request counts as failed.
    #[serde(default = "patience")]
    pub patience_ms: u32,
    /// Failures in a row that make it unreachable.
    #[serde(default = "failures")]
    pub failures: u32,
    /// So long must it answer again before it is trusted.
    #[serde(default = "hold_down")]
    pub hold_down_ms: u32,
}

fn interval() -> u32 {
    10_000
}
fn patience() -> u32 {
    4_000
}
supervision!(RecorderSection);

impl RecorderSection {
    /// What is looked up (RFC 3263).
    pub fn target(&self) -> Target {
        self.address.target(self.transport)
    }

    /// What it is called in requests.
    pub fn uri(&self) -> Uri {
        Uri::sip(Some(self.user.as_str()).filter(|user| !user.is_empty()), self.address.uri_host(), self.address.port)
    }

    /// Name and password that answer its challenges.
    pub fn credentials(&self) -> Option<(&str, &str)> {
        self.auth.as_ref().map(AuthSection::pair)
    }

    /// How what it gets is secured.
    pub fn security(&self) -> Security {
        Security { srtp: self.srtp, suites: self.srtp_suites.clone(), ..Security::default() }
    }
}

/// Which way a call goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CallDirection {
    /// Any way.
    #[default]
    Any,
    /// From cloud or trunk to an extension.
    In,
    /// From an extension to cloud or trunk.
    Out,
    /// From one extension to another.
    Internal,
}

/// What the node answers itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ServiceKind {
    /// The caller hears itself.
    Echo,
    /// The caller hears a sound.
    Sound,
    /// The caller joins a room.
    Conference,
}

/// Which call a rule of recording is looked for.
#[derive(Clone, Copy, Debug)]
pub enum Recordable<'a> {
    /// One between these parties, caller first.
    Parties([&'a Source; 2]),
    /// This caller's, which the node answers itself.
    Service(&'a Source, ServiceKind),
}

/// What parties' wishes (RFC 7866 6.3) change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Preference {
    /// Nothing.
    #[default]
    Ignore,
    /// Who does not wish to be recorded is not, and recording pauses for whoever asks for that.
    Honour,
    /// The same, and nothing is recorded before a party asks for it.
    Demand,
}

/// `[[recording]]`: calls that are recorded. All that is said of a call must hold; the first rule that fits decides.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordingSection {
    /// Name in events and records.
    pub name: String,
    /// Recorders in order; none: calls that fit are not recorded, whatever later rules say.
    pub to: Vec<String>,
    /// Trunks, one of which a party is at; absent: any calls.
    #[serde(default)]
    pub trunk: Vec<String>,
    /// Extensions, one of which is a party; absent: any calls.
    #[serde(default)]
    pub extension: Vec<Pattern>,
    /// Routes by name, one of which the call took; absent: any calls.
    #[serde(default)]
    pub route: Vec<String>,
    /// What the node answers itself that is recorded, and nothing else then; absent: calls of two parties.
    #[serde(default)]
    pub service: Vec<ServiceKind>,
    /// Which way it goes.
    #[serde(default)]
    pub direction: CallDirection,
    /// What becomes of parties' wishes.
    #[serde(default)]
    pub preference: Preference,
    /// Sound that both parties hear before recording begins; empty: they are not told.
    #[serde(default)]
    pub announce: String,
}

impl RecordingSection {
    /// Whether this call, by the rule of this name, fits.
    fn fits(&self, call: Recordable<'_>, rule: &str) -> bool {
        let (parties, kind) = match call {
            Recordable::Parties([caller, callee]) => (vec![caller, callee], None),
            Recordable::Service(caller, kind) => (vec![caller], Some(kind)),
        };
        let is_meant = kind.map_or(self.service.is_empty(), |kind| self.service.contains(&kind));
        let at_trunk = |wanted: &String| parties.iter().any(|party| matches!(party, Source::Trunk(name) if name == wanted));
        let is_party = |wanted: &Pattern| parties.iter().any(|p| matches!(p, Source::Account(user) if wanted.matches(user)));
        let took = |wanted: &String| rule.strip_prefix("route ").is_some_and(|name| name == wanted);
        let inside: Vec<bool> = parties.iter().map(|party| matches!(party, Source::Account(_))).collect();
        let way = match (self.direction, &inside[..]) {
            (CallDirection::Any, _) => true,
            (CallDirection::In, [from, to]) => !from && *to,
            (CallDirection::Out, [from, to]) => *from && !to,
            (CallDirection::Internal, [from, to]) => *from && *to,
            // What comes to the node itself from inside is internal.
            (CallDirection::In, only) => only == [false],
            (CallDirection::Internal, only) => only == [true],
            (CallDirection::Out, _) => false,
        };
        is_meant
            && way
            && (self.trunk.is_empty() || self.trunk.iter().any(at_trunk))
            && (self.extension.is_empty() || self.extension.iter().any(is_party))
            && (self.route.is_empty() || self.route.iter().any(took))
    }
}

impl Snapshot {
    /// The recorder of this name.
    pub fn recorder(&self, name: &str) -> Option<&RecorderSection> {
        self.recorders.iter().find(|recorder| recorder.name == name)
    }

    /// The rule by which a call is recorded. `rule` is the evaluator's.
    pub fn recording(&self, call: Recordable<'_>, rule: &str) -> Option<&RecordingSection> {
        self.recordings.iter().find(|recording| recording.fits(call, rule)).filter(|recording| !recording.to.is_empty())
    }
}

impl Check<'_> {
    /// Recorders, and rules that name them.
    pub(super) fn recording(&self) -> Result<(), ConfigError> {
        self.recorders()?;
        for (index, rule) in self.config.recording.iter().enumerate() {
            let fail = |message: String| self.fail("recording", index, message);
            if rule.name.is_empty() || rule.to.len() > limits::RECORDERS_TRIED_MAX {
                let message = format!("a rule needs a `name`, and names at most {} recorders", limits::RECORDERS_TRIED_MAX);
                return fail(message);
            }
            if let Some(name) = rule.to.iter().find(|name| !self.config.recorder.iter().any(|r| r.name == **name)) {
                return fail(format!("no recorder is named `{name}`"));
            }
            if let Some(name) = rule.route.iter().find(|name| !self.config.route.iter().any(|r| r.name == **name)) {
                return fail(format!("no route is named `{name}`"));
            }
            for name in &rule.trunk {
                self.known_trunk("recording", index, name)?;
            }
            if !rule.announce.is_empty() {
                self.known_sound("recording", index, &rule.announce)?;
            }
        }
        Ok(())
    }

    fn recorders(&self) -> Result<(), ConfigError> {
        let mut names = HashSet::new();
        for (index, recorder) in self.config.recorder.iter().enumerate() {
            let fault = if recorder.name.is_empty() || !names.insert(&recorder.name) {
                "the name of a recorder is empty or stands twice"
            } else if matches!(recorder.transport, Some(Transport::Ws | Transport::Wss)) {
                "`transport` is udp, tcp or tls: the node opens no WebSocket"
            } else if escape_user(&recorder.user) != recorder.user {
                "`user` is no user part of a URI"
            } else if (1..100).contains(&recorder.options_interval_ms) || recorder.patience_ms < 100 {
                "`options_interval_ms` must be 0 or at least 100, `patience_ms` at least 100"
            } else {
                continue;
            };
            return self.fail("recorder", index, fault.into());
        }
        match self.config.recorder.len() > limits::RECORDERS_MAX || self.config.recording.len() > limits::RECORDING_RULES_MAX {
            true => self.fail("recorder", 0, "there are too many recorders, or rules of recording".into()),
            false => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: &str = "[[trunk]]\nname=\"a\"\naddress=\"10.0.0.1:5060\"\n[[recorder]]\nname=\"r\"\naddress=\"10.0.0.2:5060\"\n";

    fn load(text: &str) -> Result<std::sync::Arc<Snapshot>, ConfigError> {
        Snapshot::load("t", &format!("{BASE}{text}"), &mut |_| None)
    }

    #[test]
    fn the_first_rule_that_fits_decides() {
        let rules = "[[route]]\nname=\"out\"\nnumber=\"0*\"\nto=[\"trunk:a\"]\n\
                     [[recording]]\nname=\"never\"\nextension=[\"101\"]\nto=[]\n\
                     [[recording]]\nname=\"sales\"\nextension=[\"1XX\"]\ndirection=\"out\"\ntrunk=[\"a\"]\nto=[\"r\"]\n\
                     [[recording]]\nname=\"by-route\"\nroute=[\"out\"]\nto=[\"r\"]\n";
        let snapshot = load(rules).expect("sound");
        let (trunk, cloud) = (Source::Trunk("a".into()), Source::Cloud);
        let account = |user: &str| Source::Account(user.into());
        let rule = |from: &Source, to: &Source, rule: &str| {
            snapshot.recording(Recordable::Parties([from, to]), rule).map(|r| r.name.clone())
        };
        assert_eq!(rule(&account("102"), &trunk, "extension").as_deref(), Some("sales"));
        assert_eq!(rule(&account("101"), &trunk, "route out"), None, "an exception stands before");
        assert_eq!(rule(&trunk, &account("102"), "extension"), None, "the other way");
        assert_eq!(rule(&account("102"), &cloud, "extension"), None, "another peer");
        assert_eq!(rule(&account("202"), &trunk, "route out").as_deref(), Some("by-route"));
        let none = load("").expect("sound");
        assert!(none.recording(Recordable::Parties([&account("1"), &trunk]), "route out").is_none());
    }

    #[test]
    fn what_the_node_answers_itself_is_recorded_only_where_a_rule_says_so() {
        let rules = "[[recording]]\nname=\"two\"\nto=[\"r\"]\n\
                     [[recording]]\nname=\"rooms\"\nservice=[\"conference\"]\ndirection=\"internal\"\nto=[\"r\"]\n";
        let snapshot = load(rules).expect("sound");
        let rule = |from: &Source, kind| snapshot.recording(Recordable::Service(from, kind), "route x").map(|r| r.name.clone());
        let (account, trunk) = (Source::Account("101".into()), Source::Trunk("a".into()));
        assert_eq!(rule(&account, ServiceKind::Conference).as_deref(), Some("rooms"));
        assert_eq!((rule(&trunk, ServiceKind::Conference), rule(&account, ServiceKind::Echo)), (None, None));
    }

    #[test]
    fn what_names_nothing_is_refused_with_its_line() {
        let refusal = |text: &str| load(text).map(|_| ()).expect_err("must be refused").to_string();
        assert_eq!(refusal("[[recording]]\nname=\"x\"\nto=[\"s\"]\n"), "t:7: no recorder is named `s`");
        assert_eq!(refusal("[[recording]]\nname=\"x\"\nto=[\"r\"]\nroute=[\"s\"]\n"), "t:7: no route is named `s`");
        assert!(refusal("[[recording]]\nname=\"x\"\nto=[\"r\"]\nannounce=\"s\"\n").contains("no [[sound]] is named `s`"));
        assert!(refusal("[[recording]]\nname=\"x\"\nto=[\"r\"]\ntrunk=[\"s\"]\n").contains("no trunk is named `s`"));
        assert!(refusal("[[recorder]]\nname=\"r\"\naddress=\"10.0.0.3\"\n").contains("stands twice"));
    }
}
