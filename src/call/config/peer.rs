//! Sections of supervised peers: the cloud and the trunks.

use super::{CallerNumber, Network, NumberFormat};
use crate::route::Codes;
use ringfort_base::Transport;
use ringfort_sip::locate::Target;
use ringfort_sip::uri::Host;
use serde::Deserialize;
use serde::de::{self, Deserializer};
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;
use zeroize::Zeroizing;

/// `host` or `host:port` of a peer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PeerAddress {
    /// Name or IP address, an IPv6 address without brackets.
    pub host: String,
    /// Port. Without one a name is looked up by NAPTR and SRV (RFC 3263), and an address has its transport's default.
    pub port: Option<u16>,
}

impl PeerAddress {
    /// The host as URIs name it.
    pub fn uri_host(&self) -> Host {
        self.host.parse::<IpAddr>().map_or_else(|_| Host::Domain(self.host.clone()), Host::from)
    }

    /// What is looked up (RFC 3263).
    pub(super) fn target(&self, transport: Option<Transport>) -> Target {
        Target::new(&self.host, self.port, transport, false)
    }
}

impl fmt::Display for PeerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.uri_host())?;
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

impl<'de> Deserialize<'de> for PeerAddress {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        let wrong = || de::Error::custom(format!("`{text}` is not host or host:port"));
        let bare = text.parse::<Ipv6Addr>().is_ok() || !text.contains(':') || text.ends_with(']');
        let (host, port) =
            if bare { (text.as_str(), None) } else { text.rsplit_once(':').map(|(h, p)| (h, Some(p))).ok_or_else(wrong)? };
        let port = match port {
            Some(port) => Some(port.parse().ok().filter(|p| *p != 0).ok_or_else(wrong)?),
            None => None,
        };
        let host = host.trim_start_matches('[').trim_end_matches(']').trim_end_matches('.');
        let unfit = |c: char| !c.is_ascii_alphanumeric() && !"-_.:".contains(c);
        let name = host.parse::<IpAddr>().is_ok() || !host.contains(':');
        if host.is_empty() || host.contains(unfit) || !name {
            return Err(wrong());
        }
        Ok(PeerAddress { host: host.to_string(), port })
    }
}

/// What is done with a redirection (3xx).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Redirect {
    /// The call goes where it leads, by the caller's rights.
    #[default]
    Follow,
    /// The caller is told, in numbers of the node's domain.
    Pass,
    /// It is a refusal: 480.
    Refuse,
}

/// How a peer is watched: OPTIONS at an interval, and what calls find out (passive failures).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Supervision {
    /// Time between two OPTIONS.
    pub interval: Duration,
    /// An OPTIONS or a call without any answer after this time counts as a failure.
    pub patience: Duration,
    /// So many failures in a row make the peer unreachable.
    pub failures: u32,
    /// So long must it answer again before it is trusted.
    pub hold_down: Duration,
}

fn yes() -> bool {
    true
}
fn interval() -> u32 {
    2_000
}
fn patience() -> u32 {
    1_000
}
pub(super) fn failures() -> u32 {
    2
}
pub(super) fn hold_down() -> u32 {
    10_000
}

/// `[cloud]`: the hosted PBX that owns registrations and routes while it answers.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CloudSection {
    /// `host` or `host:port`.
    pub address: PeerAddress,
    /// Transport: udp, tcp or tls. Absent: what the DNS says, else UDP.
    pub transport: Option<Transport>,
    /// Realm by whose addresses it is spoken to; absent: those of `[sip]`.
    pub realm: Option<String>,
    /// Domain that the cloud knows its users by; absent: `node.domain`.
    pub domain: Option<String>,
    /// What is done with its 3xx.
    #[serde(default)]
    pub redirect: Redirect,
    /// Profile by name; absent: defaults.
    pub profile: Option<String>,
    /// Whether identities that it asserts are believed and told to it (RFC 3325 trust domain).
    #[serde(default = "yes")]
    pub trusted: bool,
    /// OPTIONS each so many milliseconds.
    #[serde(default = "interval")]
    pub options_interval_ms: u32,
    /// Without any answer for so many milliseconds, an OPTIONS or INVITE counts as failed.
    #[serde(default = "patience")]
    pub patience_ms: u32,
    /// Failures in a row that make the node survivable.
    #[serde(default = "failures")]
    pub failures: u32,
    /// So long must the cloud answer again before the node returns to normal.
    #[serde(default = "hold_down")]
    pub hold_down_ms: u32,
}

/// `[[trunk]]`: a carrier.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrunkSection {
    /// Name in routes: `trunk:NAME`.
    pub name: String,
    /// Realm by whose addresses it is spoken to; absent: those of `[sip]`.
    pub realm: Option<String>,
    /// What is done with its 3xx.
    #[serde(default)]
    pub redirect: Redirect,
    /// Profile by name; absent: defaults.
    pub profile: Option<String>,
    /// Whether identities that it asserts are believed and told to it (RFC 3325 trust domain).
    #[serde(default)]
    pub trusted: bool,
    /// How it writes numbers.
    #[serde(default)]
    pub format: NumberFormat,
    /// Which number it is told as the caller's.
    #[serde(default)]
    pub caller: CallerNumber,
    /// The caller's number where `caller = "did"` finds none; absent: as the caller is known.
    pub caller_default: Option<String>,
    /// Final statuses after which the next target is tried; absent: 408, 500, 502, 503, 504.
    pub failover: Option<Codes>,
    /// Calls at once in both directions; 0: no limit.
    #[serde(default)]
    pub calls_max: u32,
    /// New calls a second in both directions; 0: no limit.
    #[serde(default)]
    pub calls_per_second: u32,
    /// Bandwidth of its calls, kbit/s, estimated by codec; 0: no limit.
    #[serde(default)]
    pub kbit_max: u32,
    /// `host` or `host:port`.
    pub address: PeerAddress,
    /// Transport: udp, tcp or tls. Absent: what the DNS says, else UDP.
    pub transport: Option<Transport>,
    /// Where requests to it go first, with `address` or `domain` in their URIs; absent: to `address` itself.
    pub outbound_proxy: Option<PeerAddress>,
    /// The domain that it is known by, in Request-URI, From and To; absent: `address` in the first, the node's address in the others.
    pub domain: Option<PeerAddress>,
    /// User part of the node's Contact; absent: `register.user`, else `ringfort`.
    contact_user: Option<String>,
    /// Networks that its calls come from, besides its servers.
    #[serde(default)]
    pub sources: Vec<Network>,
    /// Requests inside a call go back where it was heard: its Contact may name an address behind NAT.
    #[serde(default)]
    pub nat: bool,
    /// The node registers with it.
    pub register: Option<RegisterSection>,
    /// What its challenges are answered with; absent: name and password of `register`.
    auth: Option<AuthSection>,
    /// OPTIONS each so many milliseconds; 0: not supervised, always taken as reachable.
    #[serde(default = "interval")]
    pub options_interval_ms: u32,
    /// Without any answer for so many milliseconds, an OPTIONS or INVITE counts as failed.
    #[serde(default = "patience")]
    pub patience_ms: u32,
    /// Failures in a row that make it unreachable.
    #[serde(default = "failures")]
    pub failures: u32,
    /// So long must it answer again before it is trusted.
    #[serde(default = "hold_down")]
    pub hold_down_ms: u32,
}

/// `[[trunk]] register`: what the carrier knows the node by.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RegisterSection {
    /// User of the address of record.
    pub user: String,
    /// Digest user name; absent: `user`.
    auth_user: Option<String>,
    /// Digest password.
    pub password: Zeroizing<String>,
    /// Seconds asked for.
    #[serde(default = "register_expires")]
    pub expires_s: u32,
    /// One contact for all numbers of the account (RFC 6140).
    #[serde(default)]
    pub bulk: bool,
}

/// `auth` of a trunk or recorder: a name and its password.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuthSection {
    /// Digest user name.
    pub user: String,
    /// Digest password.
    pub password: Zeroizing<String>,
}

impl AuthSection {
    /// Name and password.
    pub(super) fn pair(&self) -> (&str, &str) {
        (&self.user, &self.password)
    }
}

/// Never the password.
impl fmt::Debug for AuthSection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AuthSection")
    }
}

impl TrunkSection {
    /// Name and password that answer its challenges.
    pub fn credentials(&self) -> Option<(&str, &str)> {
        let register = || self.register.as_ref().map(|r| (r.auth_user(), r.password.as_str()));
        self.auth.as_ref().map(AuthSection::pair).or_else(register)
    }

    /// Host and port of URIs that name it.
    pub fn named(&self) -> (Host, Option<u16>) {
        match &self.domain {
            Some(domain) => (domain.uri_host(), None),
            None => (self.address.uri_host(), self.address.port),
        }
    }

    /// User part of the node's Contact towards it.
    pub fn contact_user(&self) -> Option<&str> {
        self.contact_user.as_deref().or_else(|| self.register.as_ref().map(|register| register.user.as_str()))
    }

    /// The Route value of its outbound proxy (RFC 3261 8.1.2).
    pub fn proxy_route(&self) -> Option<String> {
        let proxy = self.outbound_proxy.as_ref()?;
        let transport = self.transport.map(|transport| format!(";transport={}", transport.uri_token()));
        Some(format!("<sip:{proxy}{};lr>", transport.unwrap_or_default()))
    }

    /// What is looked up (RFC 3263).
    pub fn target(&self) -> Target {
        self.outbound_proxy.as_ref().unwrap_or(&self.address).target(self.transport)
    }
}

impl CloudSection {
    /// What is looked up (RFC 3263).
    pub fn target(&self) -> Target {
        self.address.target(self.transport)
    }
}

impl RegisterSection {
    /// The digest user name.
    pub fn auth_user(&self) -> &str {
        self.auth_user.as_deref().unwrap_or(&self.user)
    }
}

/// Never the password.
impl fmt::Debug for RegisterSection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RegisterSection({} s)", self.expires_s)
    }
}

fn register_expires() -> u32 {
    600
}

/// How a section of a peer says that it is watched.
macro_rules! supervision {
    ($section:ty) => {
        impl $section {
            /// How it is watched.
            pub fn supervision(&self) -> crate::config::peer::Supervision {
                let ms = |v: u32| std::time::Duration::from_millis(v.into());
                crate::config::peer::Supervision {
                    interval: ms(self.options_interval_ms),
                    patience: ms(self.patience_ms),
                    failures: self.failures.max(1),
                    hold_down: ms(self.hold_down_ms),
                }
            }
        }
    };
}
pub(super) use supervision;
supervision!(CloudSection);
supervision!(TrunkSection);
