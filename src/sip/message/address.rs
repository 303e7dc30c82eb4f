//! `name-addr` and `addr-spec` headers: From, To, Contact, Route, Record-Route, P-Asserted-Identity (RFC 3261 20.10).

use super::error::HeaderError;
use super::params::Params;
use super::text::{closing_quote, is_ws, number, trim, unescaped};
use super::{HeaderName, Message};
use ringfort_base::limits::SIP_LIST_VALUES_MAX;
use std::borrow::Cow;

/// One address with its display name and header parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NameAddr<'a> {
    /// The display name without its quotes, escapes kept; `None` when there is none.
    pub display: Option<&'a str>,
    /// The URI's text, without brackets.
    pub uri: &'a str,
    /// The parameters of the header, not those of the URI.
    pub params: Params<'a>,
}

impl<'a> NameAddr<'a> {
    /// Reads one value. The error is the name of the rule that it breaks.
    pub fn parse(value: &'a str) -> Result<NameAddr<'a>, &'static str> {
        let value = trim(value);
        if value.starts_with('"') {
            let end = closing_quote(value).ok_or("display-name-quote")?;
            let rest = trim(&value[end + 1..]);
            let bracketed = rest.strip_prefix('<').ok_or("display-name")?;
            return Self::bracketed(Some(&value[1..end]), bracketed);
        }
        // A bracket behind a semicolon or quote belongs to a parameter of a bare URI.
        match value.find(['<', ';', '"']) {
            Some(at) if value[at..].starts_with('<') => {
                Self::bracketed(plain_display_name(trim(&value[..at]))?, &value[at + 1..])
            }
            _ => Self::bare(value),
        }
    }

    fn bracketed(display: Option<&'a str>, rest: &'a str) -> Result<NameAddr<'a>, &'static str> {
        let (uri, params) = rest.split_once('>').ok_or("angle-brackets")?;
        check_uri(uri)?;
        Ok(NameAddr { display, uri, params: Params::parse(params)? })
    }

    /// Without brackets everything behind the first semicolon belongs to the header, and a URI with a comma or a
    /// question mark is not allowed (RFC 3261 20).
    fn bare(value: &'a str) -> Result<NameAddr<'a>, &'static str> {
        let (uri, params) = value.split_at(value.find(';').unwrap_or(value.len()));
        let uri = trim(uri);
        check_uri(uri)?;
        if uri.contains(['?', ',', '>', '"']) {
            return Err("uri-without-brackets");
        }
        Ok(NameAddr { display: None, uri, params: Params::parse(params)? })
    }

    /// The dialog tag (RFC 3261 19.3).
    pub fn tag(&self) -> Option<&'a str> {
        self.params.value("tag").filter(|tag| !tag.is_empty())
    }

    /// A header parameter's value; empty for a flag.
    pub fn param(&self, name: &str) -> Option<&'a str> {
        self.params.value(name)
    }

    /// The display name with escapes resolved.
    pub fn display_name(&self) -> Option<Cow<'a, str>> {
        self.display.map(unescaped)
    }

    /// The `expires` parameter of a Contact, seconds. A number beyond 32 bits is the largest one; text that is no
    /// number is `None`, as if it were absent (RFC 3261 10.2.1.1 leaves the choice to the registrar).
    pub fn expires(&self) -> Option<u32> {
        self.param("expires").and_then(saturating_u32)
    }

    /// The `q` parameter of a Contact in thousandths, 0 to 1000; `None` when absent or malformed.
    pub fn q_per_mille(&self) -> Option<u16> {
        self.param("q").and_then(q_per_mille)
    }

    /// The device's instance id, brackets included (RFC 5626 4.1).
    pub fn instance(&self) -> Option<&'a str> {
        self.param("+sip.instance").filter(|urn| !urn.is_empty())
    }

    /// The number of the flow that registers (RFC 5626 4.2).
    pub fn reg_id(&self) -> Option<u32> {
        self.param("reg-id").and_then(number).filter(|&id| id > 0)
    }
}

/// Tokens and space; other text is tolerated as long as it cannot be taken for structure.
fn plain_display_name(text: &str) -> Result<Option<&str>, &'static str> {
    if text.contains([',', ':', '@', '\\', '>']) {
        return Err("display-name");
    }
    Ok((!text.is_empty()).then_some(text))
}

fn check_uri(uri: &str) -> Result<(), &'static str> {
    if uri.bytes().any(|b| is_ws(b) || b == b'<' || b.is_ascii_control()) {
        return Err("uri-space");
    }
    match uri.find(':') {
        None | Some(0) => Err("uri-scheme"),
        Some(colon) if !crate::uri::is_scheme(&uri[..colon]) => Err("uri-scheme"),
        Some(colon) if colon + 1 == uri.len() => Err("uri-empty"),
        Some(_) => Ok(()),
    }
}

/// Seconds; more than 32 bits hold is the largest number.
pub(super) fn saturating_u32(text: &str) -> Option<u32> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(u32::MAX))
}

/// `qvalue` of RFC 3261 25.1: `0[.ddd]` or `1[.000]`.
fn q_per_mille(text: &str) -> Option<u16> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if !matches!(whole, "0" | "1" | "") || fraction.len() > 3 || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let thousandths = format!("{fraction:0<3}").parse::<u16>().ok()?;
    let q = if whole == "1" { 1000 + thousandths } else { thousandths };
    (q <= 1000 && !text.is_empty()).then_some(q)
}

/// All Contact fields of a message together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Contacts<'a> {
    /// No Contact.
    None,
    /// `Contact: *`: all bindings (RFC 3261 10.2.2).
    Star,
    /// Addresses, in order. Never empty.
    List(Vec<NameAddr<'a>>),
}

impl<'a> Contacts<'a> {
    /// The first address.
    pub fn first(&self) -> Option<&NameAddr<'a>> {
        match self {
            Contacts::List(list) => list.first(),
            _ => None,
        }
    }
}

impl Message {
    /// From (RFC 3261 20.20). A missing tag is an RFC 2543 caller's and allowed.
    pub fn from(&self) -> Result<NameAddr<'_>, HeaderError> {
        self.address(HeaderName::From)
    }

    /// To (RFC 3261 20.39).
    pub fn to(&self) -> Result<NameAddr<'_>, HeaderError> {
        self.address(HeaderName::To)
    }

    fn address(&self, name: HeaderName) -> Result<NameAddr<'_>, HeaderError> {
        let value = self.header(name).ok_or(HeaderError::Missing(name))?;
        NameAddr::parse(value).map_err(|rule| HeaderError::malformed(name, rule))
    }

    /// All addresses of a list header: Route, Record-Route, Path, P-Asserted-Identity, ...
    pub fn addresses(&self, name: HeaderName) -> Result<Vec<NameAddr<'_>>, HeaderError> {
        let mut list = Vec::new();
        for value in self.values(name) {
            if list.len() == SIP_LIST_VALUES_MAX {
                return Err(HeaderError::TooManyValues(name));
            }
            list.push(NameAddr::parse(value).map_err(|rule| HeaderError::malformed(name, rule))?);
        }
        Ok(list)
    }

    /// Contact (RFC 3261 20.10).
    pub fn contacts(&self) -> Result<Contacts<'_>, HeaderError> {
        let mut values = self.values(HeaderName::Contact);
        let Some(first) = values.next() else {
            return Ok(Contacts::None);
        };
        if first == "*" && values.next().is_none() {
            return Ok(Contacts::Star);
        }
        // A star among addresses is no address and refused as such.
        self.addresses(HeaderName::Contact).map(Contacts::List)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_all_forms() {
        let a = NameAddr::parse("\"J Rosenberg \\\\\\\"\"       <sip:jdrosen@example.com> ; tag = 98asjd8").unwrap();
        assert_eq!(a.display_name().as_deref(), Some("J Rosenberg \\\""));
        assert_eq!((a.uri, a.tag()), ("sip:jdrosen@example.com", Some("98asjd8")));

        let a = NameAddr::parse("caller<sip:caller@example.com>;tag=323").unwrap();
        assert_eq!((a.display, a.tag()), (Some("caller"), Some("323")));

        let a = NameAddr::parse("sip:+19725552222@gw1.example.net;unknownparam").unwrap();
        assert_eq!((a.uri, a.param("unknownparam")), ("sip:+19725552222@gw1.example.net", Some("")));

        let a = NameAddr::parse("<sip:x@h;lr>;expires=60;q=0.33;reg-id=1;+sip.instance=\"<urn:uuid:1>\"").unwrap();
        assert_eq!((a.expires(), a.q_per_mille(), a.reg_id()), (Some(60), Some(330), Some(1)));
        assert_eq!((a.instance(), a.tag()), (Some("<urn:uuid:1>"), None));
        assert_eq!(NameAddr::parse("sip:a@b;x=\"<\"").unwrap().uri, "sip:a@b");
    }

    #[test]
    fn names_the_rule() {
        for (value, rule) in [
            ("\"Mr. J. User <sip:j.user@example.com>", "display-name-quote"),
            ("\"Mr. J. User\" sip:j.user@example.com", "display-name"),
            ("Bell, Alexander <sip:a.g.bell@example.com>;tag=43", "display-name"),
            ("\"Watson\" < sip:t.watson@example.org >", "uri-space"),
            ("<sip:a@b", "angle-brackets"),
            ("alan@jasomi.com", "uri-scheme"),
            ("<>", "uri-scheme"),
            ("<sip:>", "uri-empty"),
            ("sip:user@example.com?Route=%3Csip:sip.example.com%3E", "uri-without-brackets"),
            ("<sip:a@b>x", "parameters"),
            ("<sip:joe@example.org>;;;;", "parameter-name"),
        ] {
            assert_eq!(NameAddr::parse(value).unwrap_err(), rule, "{value}");
        }
    }

    #[test]
    fn q_values() {
        for (text, q) in [("1", Some(1000)), ("0.5", Some(500)), ("1.000", Some(1000)), ("0", Some(0)), (".7", Some(700))] {
            assert_eq!(q_per_mille(text), q, "{text}");
        }
        for bad in ["", "1.1", "2", "0.1234", "-1", "0.x"] {
            assert_eq!(q_per_mille(bad), None, "{bad}");
        }
    }

    #[test]
    fn expires_saturates() {
        assert_eq!(saturating_u32("280297596632815"), Some(u32::MAX));
        assert_eq!(saturating_u32("-1"), None);
    }
}
