//! `Via` (RFC 3261 20.42, RFC 3581).

use super::params::Params;
use super::text::{is_token_byte, is_ws, number, unquoted};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What every branch of RFC 3261 begins with (RFC 3261 8.1.1.7).
pub const MAGIC_COOKIE: &str = "z9hG4bK";

/// One value of `Via`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Via<'a> {
    /// The transport as written: `UDP`, `TCP`, `TLS`, `WS`, `WSS`, or unknown.
    pub transport: &'a str,
    /// The host of `sent-by`; an IPv6 address without its brackets.
    pub host: &'a str,
    /// The port of `sent-by`.
    pub port: Option<u16>,
    /// The transaction's branch. Absent with RFC 2543 peers.
    pub branch: Option<&'a str>,
    /// Where the server transport saw the request come from (RFC 3261 18.2.1).
    pub received: Option<&'a str>,
    /// `Some(None)`: the client asks for symmetric response routing; `Some(Some(port))`: the answer (RFC 3581).
    pub rport: Option<Option<u16>>,
    /// All parameters.
    pub params: Params<'a>,
    /// The whole value as written.
    pub raw: &'a str,
}

impl<'a> Via<'a> {
    /// Reads one value. The error is the name of the rule that it breaks.
    pub fn parse(raw: &'a str) -> Result<Via<'a>, &'static str> {
        let (mut via, rest) = Via::sent(raw)?;
        let params = Params::parse(rest)?;
        for (name, value) in params.iter() {
            let value = value.map(unquoted);
            match name.len() {
                6 if via.branch.is_none() && name.eq_ignore_ascii_case("branch") => via.branch = value,
                8 if via.received.is_none() && name.eq_ignore_ascii_case("received") => via.received = value,
                5 if via.rport.is_none() && name.eq_ignore_ascii_case("rport") => via.rport = Some(rport(value)?),
                _ => {}
            }
        }
        via.params = params;
        Ok(via)
    }

    /// Reads `sent-protocol LWS sent-by` and returns what follows: enough to answer a request whose parameters are
    /// broken.
    pub(crate) fn sent(raw: &'a str) -> Result<(Via<'a>, &'a str), &'static str> {
        let mut cursor = Cursor(raw);
        if !cursor.token().eq_ignore_ascii_case("SIP") {
            return Err("via-protocol");
        }
        cursor.slash()?;
        if cursor.token().is_empty() {
            return Err("via-protocol");
        }
        cursor.slash()?;
        let transport = cursor.token();
        if transport.is_empty() || !cursor.0.starts_with([' ', '\t']) {
            return Err("via-protocol");
        }
        let host = cursor.host()?;
        let port = cursor.port()?;
        let via = Via { transport, host, port, branch: None, received: None, rport: None, params: Params::default(), raw };
        Ok((via, cursor.0))
    }

    /// The host as an address, if it is one.
    pub fn ip(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }

    /// `sent-by` as text for comparison: host and port, IPv6 in brackets.
    pub fn sent_by(&self) -> String {
        let (open, close) = if self.host.contains(':') { ("[", "]") } else { ("", "") };
        match self.port {
            Some(port) => format!("{open}{}{close}:{port}", self.host),
            None => format!("{open}{}{close}", self.host),
        }
    }

    /// Whether the branch was made by RFC 3261's rules and so names the transaction alone (RFC 3261 17.2.3).
    pub fn has_magic_cookie(&self) -> bool {
        self.branch.and_then(|branch| branch.get(..MAGIC_COOKIE.len())).is_some_and(|b| b.eq_ignore_ascii_case(MAGIC_COOKIE))
    }
}

fn rport(value: Option<&str>) -> Result<Option<u16>, &'static str> {
    value.map(|port| number(port).ok_or("via-rport")).transpose()
}

struct Cursor<'a>(&'a str);

impl<'a> Cursor<'a> {
    fn skip_ws(&mut self) {
        self.0 = self.0.trim_start_matches([' ', '\t']);
    }

    fn take(&mut self, mut wanted: impl FnMut(u8) -> bool) -> &'a str {
        let end = self.0.bytes().position(|b| !wanted(b)).unwrap_or(self.0.len());
        // Only ASCII is wanted, so that `end` is a character boundary.
        let (taken, rest) = self.0.split_at(end);
        self.0 = rest;
        taken
    }

    fn token(&mut self) -> &'a str {
        self.skip_ws();
        self.take(is_token_byte)
    }

    fn slash(&mut self) -> Result<(), &'static str> {
        self.skip_ws();
        self.0 = self.0.strip_prefix('/').ok_or("via-protocol")?;
        Ok(())
    }

    fn host(&mut self) -> Result<&'a str, &'static str> {
        self.skip_ws();
        if let Some(inside) = self.0.strip_prefix('[') {
            let (host, rest) = inside.split_once(']').ok_or("via-host")?;
            self.0 = rest;
            return host.parse::<Ipv6Addr>().map(|_| host).map_err(|_| "via-host");
        }
        let host = self.take(is_host_byte);
        if is_host(host) { Ok(host) } else { Err("via-host") }
    }

    fn port(&mut self) -> Result<Option<u16>, &'static str> {
        self.skip_ws();
        let Some(rest) = self.0.strip_prefix(':') else {
            return Ok(None);
        };
        self.0 = rest;
        self.skip_ws();
        let port = number(self.take(|b| b.is_ascii_digit())).ok_or("via-port")?;
        match self.0.bytes().next() {
            None | Some(b';') => Ok(Some(port)),
            Some(b) if is_ws(b) => Ok(Some(port)),
            Some(_) => Err("via-port"),
        }
    }
}

/// Letters, digits, dot and hyphen (RFC 3261 25.1), and the underscore that some hosts carry nevertheless.
pub(crate) fn is_host_byte(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_')
}

/// A domain name, or a dotted address whose numbers are in range.
pub(crate) fn is_host(host: &str) -> bool {
    let numeric = host.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    !host.is_empty() && host.len() <= 255 && host.bytes().all(is_host_byte) && (!numeric || host.parse::<Ipv4Addr>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_generous_white_space() {
        let via = Via::parse("SIP  / 2.0  / TCP     spindle.example.com   ;  branch  =   z9hG4bK9ikj8  ").unwrap();
        assert_eq!((via.transport, via.host, via.port), ("TCP", "spindle.example.com", None));
        assert_eq!(via.branch, Some("z9hG4bK9ikj8"));
        assert!(via.has_magic_cookie());
    }

    #[test]
    fn reads_ipv6_and_rport() {
        let via = Via::parse("SIP/2.0/UDP [2001:db8::9:1]:5060;rport;branch=z9hG4bKas3;received=192.0.2.1").unwrap();
        assert_eq!((via.host, via.port, via.rport), ("2001:db8::9:1", Some(5060), Some(None)));
        assert_eq!(via.sent_by(), "[2001:db8::9:1]:5060");
        assert_eq!(via.received, Some("192.0.2.1"));
        assert_eq!(Via::parse("SIP/2.0/UDP h;rport=9988").unwrap().rport, Some(Some(9988)));
    }

    #[test]
    fn names_the_rule() {
        for (text, rule) in [
            ("", "via-protocol"),
            ("HTTP/1.1/TCP h", "via-protocol"),
            ("SIP/2.0/UDP", "via-protocol"),
            ("SIP/2.0/UDP ", "via-host"),
            ("SIP/2.0/UDP [::g]", "via-host"),
            ("SIP/2.0/UDP 1.2.3.999", "via-host"),
            ("SIP/2.0/UDP h:", "via-port"),
            ("SIP/2.0/UDP h:70000", "via-port"),
            ("SIP/2.0/UDP h:50x", "via-port"),
            ("SIP/2.0/UDP h;rport=x", "via-rport"),
            ("SIP/2.0/UDP h;;", "parameter-name"),
        ] {
            assert_eq!(Via::parse(text).unwrap_err(), rule, "{text}");
        }
    }
}
