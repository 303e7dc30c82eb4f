//! Typed views of the smaller headers.

use super::error::HeaderError;
use super::params::Params;
use super::text::{Quoted, is_token, number, trim, unquoted};
use super::{HeaderName, Message, Method, Via};
use std::fmt;

/// CSeq (RFC 3261 20.16): the request's number within its dialog, below 2^31, and its method.
fn cseq(value: &str) -> Result<(u32, Method), &'static str> {
    let (sequence, method) = value.split_once([' ', '\t']).ok_or("cseq")?;
    let sequence = number::<u32>(sequence).filter(|&n| n < 1 << 31).ok_or("cseq-number")?;
    let method = trim(method);
    if is_token(method) { Ok((sequence, Method::parse(method))) } else { Err("cseq-method") }
}

/// Content-Type (RFC 3261 20.15).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContentType<'a> {
    /// `type/subtype` as written.
    pub media_type: &'a str,
    /// `boundary`, `charset`, ...
    pub params: Params<'a>,
}

impl<'a> ContentType<'a> {
    /// Reads a value. The error is the name of the rule that it breaks.
    pub fn parse(value: &'a str) -> Result<ContentType<'a>, &'static str> {
        let (media_type, params) = value.split_at(value.find(';').unwrap_or(value.len()));
        let media_type = trim(media_type);
        let sound = media_type.split_once('/').is_some_and(|(kind, sub)| is_token(trim(kind)) && is_token(trim(sub)));
        if !sound {
            return Err("media-type");
        }
        Ok(ContentType { media_type, params: Params::parse(params)? })
    }

    /// Whether it is the given type, such as `application/sdp`, whatever the parameters.
    pub fn is(&self, media_type: &str) -> bool {
        self.media_type.eq_ignore_ascii_case(media_type)
    }
}

/// One value of Warning (RFC 3261 20.43).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Warning<'a> {
    /// Three digits, 300 to 399 in the RFC.
    pub code: u16,
    /// Who warns: a host or a pseudonym.
    pub agent: &'a str,
    /// In words, without quotes; escapes kept when parsed, made when written.
    pub text: &'a str,
}

impl<'a> Warning<'a> {
    /// Reads a value. The error is the name of the rule that it breaks.
    pub fn parse(value: &'a str) -> Result<Warning<'a>, &'static str> {
        let mut pieces = value.splitn(3, [' ', '\t']);
        let code = pieces.next().filter(|code| code.len() == 3).and_then(number).ok_or("warning-code")?;
        let agent = pieces.next().filter(|agent| !agent.is_empty()).ok_or("warning-agent")?;
        let quoted = trim(pieces.next().unwrap_or_default());
        if quoted.len() < 2 || !quoted.starts_with('"') || !quoted.ends_with('"') {
            return Err("warning-text");
        }
        Ok(Warning { code, agent, text: unquoted(quoted) })
    }
}

impl fmt::Display for Warning<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:03} {} {}", self.code, self.agent, Quoted(self.text))
    }
}

impl Message {
    /// Call-ID (RFC 3261 20.8).
    pub fn call_id(&self) -> Result<&str, HeaderError> {
        let value = self.header(HeaderName::CallId).ok_or(HeaderError::Missing(HeaderName::CallId))?;
        if value.is_empty() || value.contains([' ', '\t']) {
            return Err(HeaderError::malformed(HeaderName::CallId, "call-id"));
        }
        Ok(value)
    }

    /// CSeq (RFC 3261 20.16).
    pub fn cseq(&self) -> Result<(u32, Method), HeaderError> {
        let value = self.header(HeaderName::CSeq).ok_or(HeaderError::Missing(HeaderName::CSeq))?;
        cseq(value).map_err(|rule| HeaderError::malformed(HeaderName::CSeq, rule))
    }

    /// The topmost value of Via.
    pub fn top_via(&self) -> Result<Via<'_>, HeaderError> {
        let value = self.values(HeaderName::Via).next().ok_or(HeaderError::Missing(HeaderName::Via))?;
        Via::parse(value).map_err(|rule| HeaderError::malformed(HeaderName::Via, rule))
    }

    /// Max-Forwards (RFC 3261 20.22): 0 to 255.
    pub fn max_forwards(&self) -> Result<Option<u8>, HeaderError> {
        self.numeric(HeaderName::MaxForwards, number)
    }

    /// Expires (RFC 3261 20.19), seconds. A number beyond 32 bits reads as the largest one.
    pub fn expires(&self) -> Result<Option<u32>, HeaderError> {
        self.numeric(HeaderName::Expires, super::address::saturating_u32)
    }

    /// A header that is one number: RSeq, Min-Expires, Retry-After without comment, ...
    pub fn number(&self, name: HeaderName) -> Result<Option<u32>, HeaderError> {
        self.numeric(name, number)
    }

    fn numeric<T>(&self, name: HeaderName, read: impl Fn(&str) -> Option<T>) -> Result<Option<T>, HeaderError> {
        match self.header(name) {
            None => Ok(None),
            Some(value) => read(value).map(Some).ok_or(HeaderError::malformed(name, "number")),
        }
    }

    /// Content-Type (RFC 3261 20.15).
    pub fn content_type(&self) -> Result<Option<ContentType<'_>>, HeaderError> {
        let Some(value) = self.header(HeaderName::ContentType) else {
            return Ok(None);
        };
        let parsed = ContentType::parse(value).map_err(|rule| HeaderError::malformed(HeaderName::ContentType, rule));
        parsed.map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cseq_rules() {
        assert_eq!(cseq("0009     INVITE"), Ok((9, Method::Invite)));
        for (value, rule) in [
            ("9", "cseq"),
            ("INVITE 9", "cseq-number"),
            ("2147483648 INVITE", "cseq-number"),
            ("36893488147419103232 REGISTER", "cseq-number"),
            ("9 IN VITE", "cseq-method"),
            ("9 ", "cseq-method"),
        ] {
            assert_eq!(cseq(value), Err(rule), "{value}");
        }
    }

    #[test]
    fn content_type_rules() {
        let multipart = ContentType::parse("multipart/mixed ; boundary=\"a;b\"").unwrap();
        assert!(multipart.is("Multipart/Mixed"));
        assert_eq!(multipart.params.value("boundary"), Some("a;b"));
        assert_eq!(ContentType::parse("sdp"), Err("media-type"));
        assert_eq!(ContentType::parse("application/"), Err("media-type"));
    }

    #[test]
    fn warning_round_trip() {
        let text = "399 ringfort \"no common codec\"";
        let warning = Warning::parse(text).unwrap();
        assert_eq!((warning.code, warning.agent, warning.text), (399, "ringfort", "no common codec"));
        assert_eq!(warning.to_string(), text);
        assert_eq!(Warning::parse("1812 overture \"In Progress\""), Err("warning-code"));
        assert_eq!(Warning::parse("399 overture In"), Err("warning-text"));
    }
}
