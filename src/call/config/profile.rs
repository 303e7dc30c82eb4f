//! Peer profiles: what a kind of peer needs of the node, as data. A profile is a TOML file; the shipped ones are embedded, a file of
//! the same name in `peers/` beside the configuration comes before them, and a `[[profile]]` in the configuration before both.

use super::{Config, ConfigError, Direction, FieldName, Rule};
use crate::peers::PeerName;
use ringfort_base::limits;
use ringfort_media::audio::Codec;
use ringfort_media::{Digits, Keying, Security, Srtp, Suites};
use serde::Deserialize;
use serde::de::{self, Deserializer};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Profiles that the binary brings along: name and text.
pub const SHIPPED: [(&str, &str); 13] = [
    ("generic", include_str!("../../../configs/peers/generic.toml")),
    ("asterisk", include_str!("../../../configs/peers/asterisk.toml")),
    ("cisco-cube", include_str!("../../../configs/peers/cisco-cube.toml")),
    ("freeswitch", include_str!("../../../configs/peers/freeswitch.toml")),
    ("jssip", include_str!("../../../configs/peers/jssip.toml")),
    ("kamailio", include_str!("../../../configs/peers/kamailio.toml")),
    ("polycom", include_str!("../../../configs/peers/polycom.toml")),
    ("sipconnect-registered", include_str!("../../../configs/peers/sipconnect-registered.toml")),
    ("sipp", include_str!("../../../configs/peers/sipp.toml")),
    ("snom", include_str!("../../../configs/peers/snom.toml")),
    ("teams-direct-routing", include_str!("../../../configs/peers/teams-direct-routing.toml")),
    ("twilio", include_str!("../../../configs/peers/twilio.toml")),
    ("yealink", include_str!("../../../configs/peers/yealink.toml")),
];

/// A peer's profile: switches that the parts of the node read.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PeerProfile {
    /// Its name, as `profile = "…"` names it; in a file of its own the file's name.
    pub name: String,
    /// What it is for, in words.
    pub description: String,
    /// Digest algorithms that the node offers, in this order (RFC 8760 2.4). Some user agents read the first challenge only.
    pub digest: Vec<DigestName>,
    /// Whether the node hides a caller who asks for it (RFC 3323) or leaves that to the peer.
    pub privacy: Privacy,
    /// Header field that tells the peer who calls.
    pub identity: IdentityField,
    /// Header field that tells the peer who was called before.
    pub forwarding: ForwardingField,
    /// Whether early media of this peer is passed on.
    pub early_media: bool,
    /// Reliable provisional responses (RFC 3262).
    pub reliable_provisional: Extension,
    /// Session timers (RFC 4028).
    pub session_timer: Extension,
    /// SRTP in the node's own offers: `off`, `optional` or `required`. What the peer itself offers is taken up in any case.
    pub srtp: Srtp,
    /// How the keys of the node's own offers are agreed: `sdes` (RFC 4568) or `dtls` (RFC 5763).
    pub srtp_keying: Keying,
    /// Suites of keys in descriptions (RFC 4568) that this peer is offered, in this order, and that are taken up from it.
    pub srtp_suites: Suites,
    /// Its SDES keys may be told to the other side of a call, and the other side's to it, where both profiles say so: SRTP passes untouched
    /// then.
    pub srtp_pass: bool,
    /// The audio codecs that this peer is offered, first choice first; what the other side has not is transcoded. Absent: what the other
    /// side offers, and G.711.
    pub codecs: Option<Vec<Codec>>,
    /// How this peer tells digits, and takes them: `auto`, `info` or `in-band`.
    pub dtmf: Digits,
    /// What is done with a REFER of this peer (RFC 3515).
    pub refer: Handling,
    /// Header fields of this peer's INVITE that reach the other leg although the node does not know them: `X-Tenant`.
    pub pass: Vec<FieldName>,
    /// Header and number rules, in order.
    pub rule: Vec<Rule>,
}

impl Default for PeerProfile {
    fn default() -> Self {
        PeerProfile {
            name: String::new(),
            description: String::new(),
            digest: vec![DigestName::Sha256, DigestName::Md5],
            privacy: Privacy::Apply,
            identity: IdentityField::Pai,
            forwarding: ForwardingField::Diversion,
            early_media: true,
            reliable_provisional: Extension::Supported,
            session_timer: Extension::Supported,
            srtp: Srtp::Off,
            srtp_keying: Keying::Sdes,
            srtp_suites: Suites::default(),
            srtp_pass: false,
            codecs: None,
            dtmf: Digits::Auto,
            refer: Handling::Node,
            pass: Vec::new(),
            rule: Vec::new(),
        }
    }
}

/// An algorithm of the digest scheme, as configurations write it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum DigestName {
    /// SHA-256 (RFC 8760).
    #[serde(rename = "SHA-256")]
    Sha256,
    /// MD5 (RFC 2617).
    #[serde(rename = "MD5")]
    Md5,
}

/// Who hides a caller that asks for privacy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Privacy {
    /// The node, when the peer is not trusted.
    Apply,
    /// The peer: it is told who calls and what the caller asked for.
    Pass,
}

/// Where the caller's identity stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum IdentityField {
    /// P-Asserted-Identity (RFC 3325), to trusted peers.
    Pai,
    /// P-Preferred-Identity (RFC 3325): the peer asserts, as SIP trunks with registration do.
    Ppi,
    /// From only.
    From,
    /// Remote-Party-ID, which was never standardised and is read by older PBXs.
    Rpid,
}

/// Where earlier destinations of a forwarded call stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ForwardingField {
    /// Diversion (RFC 5806).
    Diversion,
    /// History-Info (RFC 7044).
    HistoryInfo,
    /// Both.
    Both,
    /// Neither.
    None,
}

/// How far an extension of SIP is used with a peer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Extension {
    /// It is not named, and used only when the peer insists.
    Never,
    /// It is named in Supported and used when the peer wants it.
    #[default]
    Supported,
    /// It is named in Require.
    Required,
}

/// Who deals with a request or answer that moves a call elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Handling {
    /// The node does what is asked.
    Node,
    /// It is passed to the other leg, with the node's addresses.
    Pass,
    /// It is refused.
    Refuse,
}

/// `[[device]]`: which profile a registered device gets.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeviceSection {
    /// User-Agent that the device registers with; `*` stands for any text at the end.
    pub user_agent: AgentPattern,
    /// Profile by name.
    pub profile: String,
}

/// A pattern of User-Agent values: the beginning before `*`, or the whole value. Case does not matter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentPattern {
    text: String,
    open: bool,
}

impl AgentPattern {
    /// Whether a User-Agent fits.
    pub fn matches(&self, agent: &str) -> bool {
        let start = agent.as_bytes().get(..self.text.len());
        let begins = start.is_some_and(|start| start.eq_ignore_ascii_case(self.text.as_bytes()));
        begins && (self.open || agent.len() == self.text.len())
    }
}

impl<'de> Deserialize<'de> for AgentPattern {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        let (text, open) = text.strip_suffix('*').map_or((text.as_str(), false), |begin| (begin, true));
        if text.contains('*') || (text.is_empty() && !open) {
            return Err(de::Error::custom("`user_agent` is a whole value, or its beginning and a `*`"));
        }
        Ok(AgentPattern { text: text.to_string(), open })
    }
}

/// Whose profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerRef<'a> {
    /// The cloud's.
    Cloud,
    /// A trunk's, by name.
    Trunk(&'a str),
    /// A device's, by its User-Agent.
    Device(&'a str),
    /// A recorder's: it has none.
    Recorder,
}

impl<'a> From<&'a PeerName> for PeerRef<'a> {
    fn from(name: &'a PeerName) -> Self {
        match name {
            PeerName::Cloud => PeerRef::Cloud,
            PeerName::Trunk(name) => PeerRef::Trunk(name),
            PeerName::Recorder(_) => PeerRef::Recorder,
        }
    }
}

/// Gives the text of a profile's file beside the configuration, with its name for errors.
pub type ProfileFiles<'a> = &'a mut dyn FnMut(&str) -> Option<(String, String)>;

/// The profiles of a configuration, resolved.
#[derive(Clone, Debug, Default)]
pub struct Profiles {
    none: Arc<PeerProfile>,
    inline: Vec<Arc<PeerProfile>>,
    cloud: Option<Arc<PeerProfile>>,
    trunks: BTreeMap<String, Arc<PeerProfile>>,
    devices: Vec<(AgentPattern, Arc<PeerProfile>)>,
}

impl Profiles {
    /// The profile of a peer; the defaults where none is named.
    pub fn of(&self, peer: PeerRef<'_>) -> &Arc<PeerProfile> {
        let found = match peer {
            PeerRef::Cloud => self.cloud.as_ref(),
            PeerRef::Trunk(name) => self.trunks.get(name),
            PeerRef::Device(agent) => self.devices.iter().find(|(p, _)| p.matches(agent)).map(|(_, profile)| profile),
            PeerRef::Recorder => None,
        };
        found.unwrap_or(&self.none)
    }

    /// Whether any peer has a profile.
    pub fn is_any(&self) -> bool {
        self.cloud.is_some() || !self.trunks.is_empty() || !self.devices.is_empty()
    }

    /// A `[[profile]]` of the configuration itself, used or not.
    pub fn inline(&self, name: &str) -> Option<&Arc<PeerProfile>> {
        self.inline.iter().find(|profile| profile.name == name)
    }

    /// The profile of who has none.
    pub fn usual(&self) -> &Arc<PeerProfile> {
        &self.none
    }

    pub(super) fn resolve(name: &str, text: &str, config: &Config, files: ProfileFiles<'_>) -> Result<Profiles, ConfigError> {
        let mut shelf = Shelf { name, text, config, files, read: BTreeMap::new() };
        let mut profiles = Profiles::default();
        shelf.check_inline()?;
        profiles.inline = config.profile.iter().cloned().map(Arc::new).collect();
        if let Some(profile) = config.cloud.as_ref().and_then(|cloud| cloud.profile.as_ref()) {
            profiles.cloud = Some(shelf.take(profile, "cloud", 0)?);
        }
        for (index, trunk) in config.trunk.iter().enumerate() {
            if let Some(profile) = &trunk.profile {
                profiles.trunks.insert(trunk.name.clone(), shelf.take(profile, "trunk", index)?);
            }
        }
        for (index, device) in config.device.iter().enumerate() {
            profiles.devices.push((device.user_agent.clone(), shelf.take(&device.profile, "device", index)?));
        }
        Ok(profiles)
    }
}

/// Where profiles are found: the configuration, files beside it, the binary.
struct Shelf<'a> {
    name: &'a str,
    text: &'a str,
    config: &'a Config,
    files: ProfileFiles<'a>,
    read: BTreeMap<String, Arc<PeerProfile>>,
}

impl Shelf<'_> {
    fn fail<T>(&self, section: &str, index: usize, message: String) -> Result<T, ConfigError> {
        Err(ConfigError::in_section(self.name, self.text, section, index, message))
    }

    fn check_inline(&self) -> Result<(), ConfigError> {
        if self.config.profile.len() > limits::PROFILES_MAX || self.config.device.len() > limits::PROFILES_MAX {
            let message = format!("more than {} profiles or devices", limits::PROFILES_MAX);
            return self.fail("profile", 0, message);
        }
        for (index, profile) in self.config.profile.iter().enumerate() {
            if !is_profile_name(&profile.name) {
                return self.fail("profile", index, "a profile's `name` is of letters, digits and -".into());
            }
            if let Err(message) = profile.check() {
                return self.fail("profile", index, message);
            }
            if self.config.profile.iter().take(index).any(|other| other.name == profile.name) {
                return self.fail("profile", index, format!("profile `{}` stands twice", profile.name));
            }
        }
        Ok(())
    }

    fn take(&mut self, profile: &str, section: &str, index: usize) -> Result<Arc<PeerProfile>, ConfigError> {
        if let Some(known) = self.read.get(profile) {
            return Ok(known.clone());
        }
        let found = match self.config.profile.iter().find(|p| p.name == profile) {
            Some(inline) => Some(inline.clone()),
            None => find(profile, self.files)?,
        };
        let Some(found) = found else {
            return self.fail(section, index, format!("no profile is named `{profile}`; shipped: {}", shipped_names()));
        };
        let found = Arc::new(found);
        self.read.insert(profile.to_string(), found.clone());
        Ok(found)
    }
}

/// A profile by name: the file beside the configuration, else the shipped one.
pub fn find(name: &str, files: ProfileFiles<'_>) -> Result<Option<PeerProfile>, ConfigError> {
    if !is_profile_name(name) {
        return Ok(None);
    }
    let shipped = || {
        let (_, text) = SHIPPED.iter().find(|(shipped, _)| *shipped == name)?;
        Some((format!("embedded peers/{name}.toml"), (*text).to_string()))
    };
    files(name).or_else(shipped).map(|(file, text)| PeerProfile::parse(name, &file, &text)).transpose()
}

impl PeerProfile {
    /// Reads a profile's file; `name` is the profile's, `file` what errors call it.
    pub fn parse(name: &str, file: &str, text: &str) -> Result<PeerProfile, ConfigError> {
        let mut profile: PeerProfile = toml::from_str(text).map_err(|e| ConfigError::from_toml(file, text, &e))?;
        profile.name = name.to_string();
        let refused = |message| ConfigError { file: file.into(), line: 0, message, hint: None };
        profile.check().map(|()| profile).map_err(refused)
    }

    fn check(&self) -> Result<(), String> {
        match self.rule.len() <= limits::RULES_PER_PROFILE_MAX
            && self.pass.len() <= limits::RULES_PER_PROFILE_MAX
            && !self.digest.is_empty()
        {
            true => Ok(()),
            false => Err(format!("a profile has 1 digest algorithm or more and at most {} rules", limits::RULES_PER_PROFILE_MAX)),
        }
    }

    /// How audio with this peer is secured.
    pub(crate) fn security(&self) -> Security {
        Security { srtp: self.srtp, keying: self.srtp_keying, suites: self.srtp_suites.clone(), pass: self.srtp_pass }
    }

    /// Whether there are rules of this direction.
    pub(crate) fn has_rules(&self, direction: Direction) -> bool {
        self.rule.iter().any(|rule| rule.direction == direction)
    }
}

fn shipped_names() -> String {
    SHIPPED.map(|(name, _)| name).join(", ")
}

/// Also a file name, so nothing that could leave the folder.
fn is_profile_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= limits::PROFILE_NAME_MAX && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}
