//! Values of the lines that Ringfort reads.

use super::parse::{digits, is_token};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::IpAddr;

/// `c=` (RFC 8866 5.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connection<'a> {
    /// An address, unicast or multicast.
    Address(IpAddr),
    /// A host name; resolving it is not the business of media control.
    Host(&'a str),
    /// Another network or address type than `IN IP4` and `IN IP6`.
    Foreign,
}

impl<'a> Connection<'a> {
    pub(super) fn parse(text: &'a str) -> Option<Connection<'a>> {
        let mut words = text.split_ascii_whitespace();
        let (network, kind, address) = (words.next()?, words.next()?, words.next()?);
        parse_address(network, kind, address)
    }
}

/// The address part of `c=`, `o=` and `a=rtcp`.
fn parse_address<'a>(network: &str, kind: &str, address: &'a str) -> Option<Connection<'a>> {
    let v6 = match (network, kind) {
        ("IN", "IP4") => false,
        ("IN", "IP6") => true,
        _ => return Some(Connection::Foreign),
    };
    // Behind '/' stand the TTL and the number of addresses of a multicast group (RFC 8866 5.7).
    let base = address.split('/').next()?;
    match base.parse::<IpAddr>() {
        Ok(ip) => (ip.is_ipv6() == v6).then_some(Connection::Address(ip)),
        Err(_) => is_host_name(base).then_some(Connection::Host(base)),
    }
}

/// Letters, digits, hyphens and dots with at least one letter: `10.0.0.256` is a wrong address, not a name.
fn is_host_name(text: &str) -> bool {
    text.bytes().all(|octet| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'.' | b'_'))
        && text.bytes().any(|octet| octet.is_ascii_alphabetic())
}

/// Direction of a media line, as the writer of the description sees it (RFC 8866 6.7).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// Sends and receives.
    #[default]
    SendRecv,
    /// Sends only.
    SendOnly,
    /// Receives only.
    RecvOnly,
    /// Neither.
    Inactive,
}

impl Direction {
    pub(super) fn parse(text: &str) -> Option<Direction> {
        [Direction::SendRecv, Direction::SendOnly, Direction::RecvOnly, Direction::Inactive]
            .into_iter()
            .find(|direction| direction.as_str() == text)
    }

    /// The attribute's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Direction::SendRecv => "sendrecv",
            Direction::SendOnly => "sendonly",
            Direction::RecvOnly => "recvonly",
            Direction::Inactive => "inactive",
        }
    }

    /// From its two halves.
    pub fn of(sends: bool, receives: bool) -> Direction {
        match (sends, receives) {
            (true, true) => Direction::SendRecv,
            (true, false) => Direction::SendOnly,
            (false, true) => Direction::RecvOnly,
            (false, false) => Direction::Inactive,
        }
    }

    /// Whether the writer sends.
    pub fn sends(self) -> bool {
        matches!(self, Direction::SendRecv | Direction::SendOnly)
    }

    /// Whether the writer receives.
    pub fn receives(self) -> bool {
        matches!(self, Direction::SendRecv | Direction::RecvOnly)
    }

    /// The same seen from the other end.
    pub fn reversed(self) -> Direction {
        Direction::of(self.receives(), self.sends())
    }

    /// What both allow.
    pub fn and(self, other: Direction) -> Direction {
        Direction::of(self.sends() && other.sends(), self.receives() && other.receives())
    }
}

/// `a=rtpmap:<payload> <encoding>` (RFC 8866 6.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rtpmap<'a> {
    /// Payload type.
    pub payload: u8,
    /// `name/clock[/channels]` as written.
    pub encoding: &'a str,
}

impl<'a> Rtpmap<'a> {
    pub(super) fn parse(text: &'a str) -> Option<Rtpmap<'a>> {
        let (payload, encoding) = text.split_once(' ')?;
        let encoding = encoding.trim();
        let mut parts = encoding.split('/');
        let name = parts.next().is_some_and(is_token);
        let clock = parts.next().and_then(digits).is_some();
        let channels = parts.next().is_none_or(is_token) && parts.next().is_none();
        let map = Rtpmap { payload: payload_type(payload)?, encoding };
        (name && clock && channels).then_some(map)
    }
}

/// A payload type of RTP: 0 to 127.
pub(crate) fn payload_type(text: &str) -> Option<u8> {
    digits(text).and_then(|n| u8::try_from(n).ok()).filter(|&n| n < 128)
}

/// `a=fmtp:<format> <parameters>` (RFC 8866 6.15).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fmtp<'a> {
    /// Format as in the `m=` line.
    pub format: &'a str,
    /// Parameters as written.
    pub parameters: &'a str,
}

impl<'a> Fmtp<'a> {
    pub(super) fn parse(text: &'a str) -> Option<Fmtp<'a>> {
        // Some peers write a format with nothing behind it; no parameters is what they mean.
        let (format, parameters) = text.split_once(' ').unwrap_or((text, ""));
        (!format.is_empty()).then_some(Fmtp { format, parameters: parameters.trim() })
    }
}

pub(super) fn milliseconds(text: &str) -> Option<u32> {
    let whole = text.split('.').next()?;
    digits(whole).and_then(|n| u32::try_from(n).ok())
}

/// `a=rtcp:<port> [<nettype> <addrtype> <address>]` (RFC 3605 2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RtcpAddress<'a> {
    /// Port.
    pub port: u16,
    /// Address where it differs from the one of RTP.
    pub address: Option<Connection<'a>>,
}

impl<'a> RtcpAddress<'a> {
    pub(super) fn parse(text: &'a str) -> Option<RtcpAddress<'a>> {
        let mut words = text.split_ascii_whitespace();
        let port = digits(words.next()?).and_then(|n| u16::try_from(n).ok())?;
        let address = match (words.next(), words.next(), words.next()) {
            (None, ..) => None,
            (Some(network), Some(kind), Some(address)) => Some(parse_address(network, kind, address)?),
            _ => return None,
        };
        Some(RtcpAddress { port, address })
    }
}

/// `ice-char`s, at least `shortest` and at most 256 (RFC 8839 5.4).
pub(super) fn ice_credential(text: &str, shortest: usize) -> Option<&str> {
    let ice_char = |octet: u8| octet.is_ascii_alphanumeric() || matches!(octet, b'+' | b'/');
    // Firefox and some gateways put '-', '_' and '=' into them; they stand for nothing else here.
    let tolerated = |octet: u8| matches!(octet, b'-' | b'_' | b'=');
    let sound = text.bytes().all(|octet| ice_char(octet) || tolerated(octet));
    (sound && (shortest..=256).contains(&text.len())).then_some(text)
}

/// `a=fingerprint:<hash function> <digest>` (RFC 8122 5).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprint {
    /// Hash function in lower case: `sha-256`.
    pub hash: String,
    /// The certificate's digest.
    pub digest: Vec<u8>,
}

impl Fingerprint {
    pub(super) fn parse(text: &str) -> Option<Fingerprint> {
        let mut words = text.split_ascii_whitespace();
        let hash = words.next()?.to_ascii_lowercase();
        let digest = words.next()?.split(':').map(hex_octet).collect::<Option<Vec<u8>>>()?;
        let length = match hash.as_str() {
            "sha-1" => 20,
            "sha-224" => 28,
            "sha-256" => 32,
            "sha-384" => 48,
            "sha-512" => 64,
            _ => digest.len(),
        };
        (digest.len() == length && words.next().is_none()).then_some(Fingerprint { hash, digest })
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.hash)?;
        for (index, octet) in self.digest.iter().enumerate() {
            let colon = if index == 0 { "" } else { ":" };
            write!(f, "{colon}{octet:02X}")?;
        }
        Ok(())
    }
}

fn hex_octet(text: &str) -> Option<u8> {
    let hexadecimal = text.len() == 2 && text.bytes().all(|octet| octet.is_ascii_hexdigit());
    hexadecimal.then(|| u8::from_str_radix(text, 16).ok()).flatten()
}

/// `a=setup` (RFC 4145 4): who opens the DTLS association.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Setup {
    /// The writer is DTLS client.
    Active,
    /// The writer is DTLS server.
    Passive,
    /// The writer leaves it to the other side.
    Actpass,
    /// Nobody for now.
    Holdconn,
}

impl Setup {
    pub(super) fn parse(text: &str) -> Option<Setup> {
        [Setup::Active, Setup::Passive, Setup::Actpass, Setup::Holdconn].into_iter().find(|s| s.as_str() == text)
    }

    /// The role's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Setup::Active => "active",
            Setup::Passive => "passive",
            Setup::Actpass => "actpass",
            Setup::Holdconn => "holdconn",
        }
    }
}

/// `a=candidate` (RFC 8839 5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate<'a> {
    /// Foundation.
    pub foundation: &'a str,
    /// 1 for RTP, 2 for RTCP.
    pub component: u16,
    /// `udp` or `tcp`, in any case.
    pub transport: &'a str,
    /// Priority.
    pub priority: u32,
    /// Address or host name; browsers write `<uuid>.local`.
    pub address: &'a str,
    /// Port.
    pub port: u16,
    /// `host`, `srflx`, `prflx` or `relay`.
    pub kind: &'a str,
    /// The related address, where written.
    pub related: Option<&'a str>,
}

impl<'a> Candidate<'a> {
    pub(super) fn parse(text: &'a str) -> Option<Candidate<'a>> {
        let words: Vec<&str> = text.split_ascii_whitespace().collect();
        let [foundation, component, transport, priority, address, port, "typ", kind, rest @ ..] = words.as_slice() else {
            return None;
        };
        let related = rest.windows(2).find(|pair| pair[0] == "raddr").map(|pair| pair[1]);
        Some(Candidate {
            foundation,
            component: digits(component).and_then(|n| u16::try_from(n).ok())?,
            transport,
            priority: digits(priority).and_then(|n| u32::try_from(n).ok())?,
            address,
            port: digits(port).and_then(|n| u16::try_from(n).ok())?,
            kind,
            related,
        })
    }
}

/// `a=crypto:<tag> <suite> <key parameters> [<session parameters>]` (RFC 4568 9.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crypto<'a> {
    /// Tag by which an answer chooses.
    pub tag: u32,
    /// `AES_CM_128_HMAC_SHA1_80`, ...
    pub suite: &'a str,
    /// `inline:...`
    pub keys: &'a str,
}

impl<'a> Crypto<'a> {
    pub(super) fn parse(text: &'a str) -> Option<Crypto<'a>> {
        let mut words = text.split_ascii_whitespace();
        let tag = digits(words.next()?).and_then(|n| u32::try_from(n).ok())?;
        Some(Crypto { tag, suite: words.next()?, keys: words.next()? })
    }
}

/// `a=group:<semantics> <mid> ...` (RFC 5888 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Group<'a> {
    /// `BUNDLE`, `LS`, ...
    pub semantics: &'a str,
    mids: &'a str,
}

impl<'a> Group<'a> {
    pub(super) fn parse(text: &'a str) -> Option<Group<'a>> {
        let (semantics, mids) = text.split_once(' ').unwrap_or((text, ""));
        is_token(semantics).then_some(Group { semantics, mids })
    }

    /// The identification tags of its media lines.
    pub fn mids(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        self.mids.split_ascii_whitespace()
    }
}
