//! The configuration: one TOML file, typed and closed, a section a file. A [`Snapshot`] is the checked, immutable form that
//! every evaluation uses; a reload makes a new one and calls in progress keep theirs.

mod account;
mod admission;
mod check;
mod error;
mod expect;
mod group;
mod network;
mod numbers;
mod peer;
mod place;
mod profile;
mod realm;
mod recorder;
mod route;
mod rule;
mod sections;
mod shield;
mod snapshot;
mod template;
mod time;

pub use account::{Account, AccountSection, ForwardSection};
pub use admission::{LimitsSection, Measured};
pub use error::ConfigError;
pub use expect::{ExpectSection, USUAL_TIME};
pub use group::{GroupSection, Member};
pub use network::Network;
pub use numbers::{CallerNumber, DidRange, DidSection, NumberFormat, NumbersSection};
pub use peer::{AuthSection, CloudSection, PeerAddress, Redirect, RegisterSection, Supervision, TrunkSection};
pub use place::{AddressPart, FieldName, Place, UriPart};
pub use profile::{
    AgentPattern, DeviceSection, DigestName, Extension, ForwardingField, Handling, IdentityField, PeerProfile, PeerRef, Privacy,
    ProfileFiles, Profiles, SHIPPED, find as find_profile,
};
pub use realm::{Addresses, RealmSection};
pub use recorder::{CallDirection, Preference, Recordable, RecorderSection, RecordingSection, ServiceKind};
pub use route::{ModeFilter, Pattern, RouteSection, RouteSource, TargetName};
pub(crate) use rule::{Action, Condition, Test};
pub use rule::{Direction, Rule};
pub use sections::{
    ClientAuth, DnsSection, EmergencySection, LargeByTcp, ListenAddress, MediaSection, MediaTier, NameServer, NodeSection,
    ServicesSection, SipSection, SoundSection, TlsSection, WebSection,
};
pub use shield::ShieldSection;
pub use snapshot::Snapshot;
pub(crate) use template::Template;
pub use time::{Local, When, Zone};

use serde::Deserialize;

/// The file as written, before checks across sections.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Who the node is.
    #[serde(default)]
    pub node: NodeSection,
    /// Signalling.
    #[serde(default)]
    pub sip: SipSection,
    /// Page and API.
    #[serde(default)]
    pub web: WebSection,
    /// Names of peers.
    #[serde(default)]
    pub dns: DnsSection,
    /// SIP over TLS.
    #[serde(default)]
    pub tls: TlsSection,
    /// Audio.
    #[serde(default)]
    pub media: MediaSection,
    /// The hosted PBX, where there is one.
    pub cloud: Option<CloudSection>,
    /// Carriers.
    #[serde(default)]
    pub trunk: Vec<TrunkSection>,
    /// Kinds of peers.
    #[serde(default)]
    pub profile: Vec<PeerProfile>,
    /// Which devices are of which kind.
    #[serde(default)]
    pub device: Vec<DeviceSection>,
    /// Further networks.
    #[serde(default)]
    pub realm: Vec<RealmSection>,
    /// People and devices.
    #[serde(default)]
    pub account: Vec<AccountSection>,
    /// How numbers are written.
    #[serde(default)]
    pub numbers: NumbersSection,
    /// Outside numbers of extensions.
    #[serde(default)]
    pub did: Vec<DidSection>,
    /// Groups of trunks.
    #[serde(default)]
    pub group: Vec<GroupSection>,
    /// How many calls there may be.
    #[serde(default)]
    pub limits: LimitsSection,
    /// Calls whose way is known.
    #[serde(default)]
    pub expect: Vec<ExpectSection>,
    /// Where calls go, first match first.
    #[serde(default)]
    pub route: Vec<RouteSection>,
    /// Numbers that go before all else.
    #[serde(default)]
    pub emergency: EmergencySection,
    /// The node's own services.
    #[serde(default)]
    pub services: ServicesSection,
    /// Sounds that callers may hear.
    #[serde(default)]
    pub sound: Vec<SoundSection>,
    /// Who records.
    #[serde(default)]
    pub recorder: Vec<RecorderSection>,
    /// Which calls are recorded.
    #[serde(default)]
    pub recording: Vec<RecordingSection>,
    /// What sources may send that nobody knows.
    #[serde(default)]
    pub shield: ShieldSection,
}

impl Config {
    /// Reads the file's text; `name` is what errors call it.
    pub fn parse(name: &str, text: &str) -> Result<Config, ConfigError> {
        toml::from_str(text).map_err(|e| ConfigError::from_toml(name, text, &e))
    }
}
