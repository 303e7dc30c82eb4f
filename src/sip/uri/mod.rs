//! URIs: `sip`, `sips` (RFC 3261 19.1), `tel` (RFC 3966), and others kept as opaque text.

mod compare;
mod escape;
mod parse;

pub use escape::{escape_user, unescape};
pub(crate) use parse::is_scheme;

use ringfort_base::Transport;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What a URI begins with.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// `sip`.
    Sip,
    /// `sips`: every hop secure.
    Sips,
    /// `tel`: a telephone number.
    Tel,
    /// Anything else, in lower case.
    Other(Box<str>),
}

impl Scheme {
    /// The scheme's text, without the colon.
    pub fn as_str(&self) -> &str {
        match self {
            Scheme::Sip => "sip",
            Scheme::Sips => "sips",
            Scheme::Tel => "tel",
            Scheme::Other(text) => text,
        }
    }
}

/// Where a URI leads.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Host {
    /// A domain name, as written.
    Domain(String),
    /// An IPv4 address.
    V4(Ipv4Addr),
    /// An IPv6 address, written in brackets.
    V6(Ipv6Addr),
    /// No host: `tel` and opaque URIs.
    None,
}

impl Host {
    /// The address, unless it is a name.
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Host::V4(ip) => Some(IpAddr::V4(*ip)),
            Host::V6(ip) => Some(IpAddr::V6(*ip)),
            Host::Domain(_) | Host::None => None,
        }
    }
}

impl From<IpAddr> for Host {
    fn from(ip: IpAddr) -> Host {
        match ip {
            IpAddr::V4(ip) => Host::V4(ip),
            IpAddr::V6(ip) => Host::V6(ip),
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Host::Domain(name) => f.write_str(name),
            Host::V4(ip) => write!(f, "{ip}"),
            Host::V6(ip) => write!(f, "[{ip}]"),
            Host::None => Ok(()),
        }
    }
}

/// A parsed URI. `Display` writes it back as it was read: user, parameters and headers keep their escapes and order.
/// `==` compares the text's pieces; whether two URIs mean the same is [`Uri::equivalent`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Uri {
    /// The scheme.
    pub scheme: Scheme,
    /// The user part, escapes kept; of `tel` the number; of other schemes all that follows the colon.
    pub user: Option<String>,
    /// The password, escapes kept.
    pub password: Option<String>,
    /// The host.
    pub host: Host,
    /// The port, if one is written.
    pub port: Option<u16>,
    /// URI parameters, escapes kept.
    pub params: Vec<(String, Option<String>)>,
    /// Headers behind the question mark, escapes kept.
    pub headers: Vec<(String, String)>,
}

/// Why text is not a URI.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum UriError {
    /// No colon, or no scheme before it.
    #[error("no scheme")]
    Scheme,
    /// Nothing behind the scheme.
    #[error("empty URI")]
    Empty,
    /// The user part is empty or has a character that must be escaped.
    #[error("bad user part")]
    User,
    /// A percent sign without two hexadecimal digits.
    #[error("bad escape")]
    Escape,
    /// Neither a domain name nor an address.
    #[error("bad host")]
    Host,
    /// Not a number of 0 to 65535.
    #[error("bad port")]
    Port,
    /// A parameter without a name, or with a character that must be escaped.
    #[error("bad parameter")]
    Param,
    /// A header without a name, or with a character that must be escaped.
    #[error("bad header part")]
    Header,
    /// Not a telephone number (RFC 3966).
    #[error("bad telephone number")]
    Number,
}

impl Uri {
    /// Reads a URI. Nothing may surround it.
    pub fn parse(text: &str) -> Result<Uri, UriError> {
        parse::parse(text)
    }

    /// `sip:user@host:port`; the user is escaped where it must be.
    pub fn sip(user: Option<&str>, host: Host, port: Option<u16>) -> Uri {
        let user = user.map(|user| escape_user(user).into_owned());
        Uri { scheme: Scheme::Sip, user, password: None, host, port, params: Vec::new(), headers: Vec::new() }
    }

    /// Adds a parameter.
    pub fn with_param(mut self, name: &str, value: Option<&str>) -> Uri {
        self.params.push((name.to_owned(), value.map(str::to_owned)));
        self
    }

    /// A parameter's value, escapes kept; empty for a flag. Names are compared without regard to case.
    pub fn param(&self, name: &str) -> Option<&str> {
        self.params.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_deref().unwrap_or(""))
    }

    /// Whether the scheme is `sip` or `sips`.
    pub fn is_sip(&self) -> bool {
        matches!(self.scheme, Scheme::Sip | Scheme::Sips)
    }

    /// Whether every hop must be secure.
    pub fn is_secure(&self) -> bool {
        self.scheme == Scheme::Sips
    }

    /// The transport that the `transport` parameter asks for; `None` when absent or unknown.
    pub fn transport(&self) -> Option<Transport> {
        self.param("transport").and_then(Transport::from_token)
    }

    /// The user part without escapes.
    pub fn user_unescaped(&self) -> Option<Cow<'_, str>> {
        self.user.as_deref().map(unescape)
    }

    /// Whether the user part means `user`, which is written without escapes. Case matters (RFC 3261 19.1.4).
    pub fn user_is(&self, user: &str) -> bool {
        self.user_unescaped().is_some_and(|own| own == user)
    }

    /// The number or name that was dialled: the user part without escapes and without parameters of its own
    /// (`+1234;phone-context=…`). An opaque URI has neither.
    pub fn dialled(&self) -> Option<Cow<'_, str>> {
        let user = self.user.as_deref().filter(|_| !matches!(self.scheme, Scheme::Other(_)));
        user.map(|user| unescape(user.split(';').next().unwrap_or(user)))
    }

    /// The canonical address of record (RFC 3261 10.3, step 5): no parameters, headers, password or escapes, host in
    /// lower case. `sips` and `sip` stay apart.
    pub fn canonical_aor(&self) -> String {
        let user = self.user_unescaped().map(|user| format!("{}@", escape_user(&user))).unwrap_or_default();
        let port = self.port.map(|port| format!(":{port}")).unwrap_or_default();
        format!("{}:{user}{}{port}", self.scheme.as_str(), self.host.to_string().to_ascii_lowercase())
    }

    /// Whether both URIs mean the same resource (RFC 3261 19.1.4, RFC 3966 5).
    pub fn equivalent(&self, other: &Uri) -> bool {
        compare::equivalent(self, other)
    }
}

impl fmt::Display for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.scheme.as_str())?;
        if let Some(user) = &self.user {
            f.write_str(user)?;
        }
        if let Some(password) = &self.password {
            write!(f, ":{password}")?;
        }
        if self.user.is_some() && self.host != Host::None {
            f.write_str("@")?;
        }
        write!(f, "{}", self.host)?;
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        for (name, value) in &self.params {
            write!(f, ";{name}")?;
            if let Some(value) = value {
                write!(f, "={value}")?;
            }
        }
        for (at, (name, value)) in self.headers.iter().enumerate() {
            write!(f, "{}{name}={value}", if at == 0 { '?' } else { '&' })?;
        }
        Ok(())
    }
}

impl std::str::FromStr for Uri {
    type Err = UriError;
    fn from_str(text: &str) -> Result<Uri, UriError> {
        Uri::parse(text)
    }
}

impl TryFrom<String> for Uri {
    type Error = UriError;
    fn try_from(text: String) -> Result<Uri, UriError> {
        Uri::parse(&text)
    }
}

impl From<Uri> for String {
    fn from(uri: Uri) -> String {
        uri.to_string()
    }
}
