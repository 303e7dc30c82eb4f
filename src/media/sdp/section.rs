//! Typed views of one section's lines. Each tells absent (`None`) from malformed (`Err` with line and rule).

use super::values::{Candidate, Connection, Crypto, Direction, Fingerprint, Fmtp, Group, RtcpAddress, Rtpmap, Setup};
use super::{Line, Rule, SdpError};

/// The lines of the session or of one media section.
#[derive(Clone, Copy, Debug)]
pub struct Section<'a> {
    first: usize,
    lines: &'a [Line],
}

/// An `a=` line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attribute<'a> {
    /// Line number, from 1.
    pub line: usize,
    /// What stands before the first `:`.
    pub name: &'a str,
    /// What stands behind it; `None` for a flag.
    pub value: Option<&'a str>,
}

impl<'a> Attribute<'a> {
    /// The whole text behind `a=`.
    pub fn text(&self) -> String {
        match self.value {
            Some(value) => format!("{}:{value}", self.name),
            None => self.name.to_owned(),
        }
    }

    fn parsed<T>(&self, rule: Rule, parse: impl Fn(&'a str) -> Option<T>) -> Result<T, SdpError> {
        self.value.map(str::trim).and_then(parse).ok_or(SdpError { line: self.line, rule })
    }
}

impl<'a> Section<'a> {
    pub(super) fn new(first: usize, lines: &'a [Line]) -> Section<'a> {
        Section { first, lines }
    }

    /// Lines of one letter with their numbers, where they are UTF-8.
    pub fn lines(&self, letter: char) -> impl Iterator<Item = (usize, &'a str)> + use<'a> {
        let first = self.first;
        let numbered = self.lines.iter().enumerate().filter(move |(_, line)| line.letter() == letter);
        numbered.filter_map(move |(index, line)| Some((first + index, line.text()?)))
    }

    /// All attributes in order.
    pub fn attributes(&self) -> impl Iterator<Item = Attribute<'a>> + use<'a> {
        self.lines('a').map(|(line, text)| match text.split_once(':') {
            Some((name, value)) => Attribute { line, name, value: Some(value) },
            None => Attribute { line, name: text.trim_end(), value: None },
        })
    }

    /// The attributes of one name. Names are case-sensitive (RFC 8866 6).
    pub fn named(&self, name: &'static str) -> impl Iterator<Item = Attribute<'a>> + use<'a> {
        self.attributes().filter(move |attribute| attribute.name == name)
    }

    /// Whether `a=name` stands here, with or without a value.
    pub fn has(&self, name: &'static str) -> bool {
        self.named(name).next().is_some()
    }

    /// The value of the first `a=name:value`.
    pub fn value(&self, name: &'static str) -> Option<&'a str> {
        self.named(name).find_map(|attribute| attribute.value).map(str::trim)
    }

    fn first<T>(&self, name: &'static str, rule: Rule, parse: fn(&'a str) -> Option<T>) -> Result<Option<T>, SdpError> {
        self.named(name).next().map(|attribute| attribute.parsed(rule, parse)).transpose()
    }

    fn every<T>(&self, name: &'static str, rule: Rule, parse: fn(&'a str) -> Option<T>) -> Result<Vec<T>, SdpError> {
        self.named(name).map(|attribute| attribute.parsed(rule, parse)).collect()
    }

    /// `c=` (RFC 8866 5.7).
    pub fn connection(&self) -> Result<Option<Connection<'a>>, SdpError> {
        let malformed = |line| SdpError { line, rule: Rule::Connection };
        self.lines('c').next().map(|(line, text)| Connection::parse(text).ok_or(malformed(line))).transpose()
    }

    /// The first direction attribute (RFC 8866 6.7).
    pub fn direction(&self) -> Option<Direction> {
        self.attributes().filter(|attribute| attribute.value.is_none()).find_map(|a| Direction::parse(a.name))
    }

    /// All `a=rtpmap` (RFC 8866 6.6).
    pub fn rtpmaps(&self) -> Result<Vec<Rtpmap<'a>>, SdpError> {
        self.every("rtpmap", Rule::Rtpmap, Rtpmap::parse)
    }

    /// All `a=fmtp` (RFC 8866 6.15).
    pub fn fmtps(&self) -> Result<Vec<Fmtp<'a>>, SdpError> {
        self.every("fmtp", Rule::Fmtp, Fmtp::parse)
    }

    /// `a=ptime` in milliseconds (RFC 8866 6.4). Fractions are cut off: some peers write `20.0`.
    pub fn ptime(&self) -> Result<Option<u32>, SdpError> {
        self.first("ptime", Rule::Ptime, super::values::milliseconds)
    }

    /// `a=maxptime` in milliseconds (RFC 8866 6.5).
    pub fn maxptime(&self) -> Result<Option<u32>, SdpError> {
        self.first("maxptime", Rule::Ptime, super::values::milliseconds)
    }

    /// `a=rtcp` (RFC 3605).
    pub fn rtcp(&self) -> Result<Option<RtcpAddress<'a>>, SdpError> {
        self.first("rtcp", Rule::Rtcp, RtcpAddress::parse)
    }

    /// `a=ice-ufrag` (RFC 8839 5.4).
    pub fn ice_ufrag(&self) -> Result<Option<&'a str>, SdpError> {
        self.first("ice-ufrag", Rule::IceCredentials, |text| super::values::ice_credential(text, 4))
    }

    /// `a=ice-pwd` (RFC 8839 5.4).
    pub fn ice_pwd(&self) -> Result<Option<&'a str>, SdpError> {
        self.first("ice-pwd", Rule::IceCredentials, |text| super::values::ice_credential(text, 22))
    }

    /// All `a=fingerprint` (RFC 8122 5).
    pub fn fingerprints(&self) -> Result<Vec<Fingerprint>, SdpError> {
        self.every("fingerprint", Rule::Fingerprint, Fingerprint::parse)
    }

    /// `a=setup` (RFC 4145 4, RFC 8842 5).
    pub fn setup(&self) -> Result<Option<Setup>, SdpError> {
        self.first("setup", Rule::Setup, Setup::parse)
    }

    /// All `a=candidate` (RFC 8839 5.1).
    pub fn candidates(&self) -> Result<Vec<Candidate<'a>>, SdpError> {
        self.every("candidate", Rule::Candidate, Candidate::parse)
    }

    /// All `a=crypto` (RFC 4568).
    pub fn cryptos(&self) -> Result<Vec<Crypto<'a>>, SdpError> {
        self.every("crypto", Rule::Crypto, Crypto::parse)
    }

    /// All `a=group` (RFC 5888 5).
    pub fn groups(&self) -> Result<Vec<Group<'a>>, SdpError> {
        self.every("group", Rule::Group, Group::parse)
    }

    /// `a=mid` (RFC 5888 4).
    pub fn mid(&self) -> Option<&'a str> {
        self.value("mid")
    }
}
