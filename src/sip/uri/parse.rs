//! Text to [`Uri`] (RFC 3261 25.1, RFC 3966 3).

use super::{Host, Scheme, Uri, UriError, escape};
use crate::message::text::number;
use crate::message::{is_host, is_host_byte};

pub(super) fn parse(text: &str) -> Result<Uri, UriError> {
    let (scheme, rest) = text.split_once(':').filter(|(scheme, _)| is_scheme(scheme)).ok_or(UriError::Scheme)?;
    if rest.is_empty() {
        return Err(UriError::Empty);
    }
    match scheme.to_ascii_lowercase().as_str() {
        "sip" => sip(Scheme::Sip, rest),
        "sips" => sip(Scheme::Sips, rest),
        "tel" => tel(rest),
        other => opaque(Scheme::Other(other.into()), rest),
    }
}

/// `scheme` of RFC 3261 25.1.
pub(crate) fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'))
}

fn sip(scheme: Scheme, rest: &str) -> Result<Uri, UriError> {
    // An unescaped `@` occurs nowhere but behind the user part, which may contain `;` and `?` itself.
    let (user, password, rest) = match rest.split_once('@') {
        Some((userinfo, rest)) => {
            let (user, password) = userinfo_parts(userinfo)?;
            (Some(user), password, rest)
        }
        None => (None, None, rest),
    };
    let (host, rest) = host(rest)?;
    let (port, rest) = port(rest)?;
    let (params, headers) = match rest.split_once('?') {
        Some((params, headers)) => (params, self::headers(headers)?),
        None => (rest, Vec::new()),
    };
    Ok(Uri { scheme, user, password, host, port, params: self::params(params)?, headers })
}

fn userinfo_parts(userinfo: &str) -> Result<(String, Option<String>), UriError> {
    let (user, password) = match userinfo.split_once(':') {
        Some((user, password)) => (user, Some(password)),
        None => (userinfo, None),
    };
    if user.is_empty() || !userinfo.bytes().all(is_plain) {
        return Err(UriError::User);
    }
    if !escape::are_sound(userinfo) {
        return Err(UriError::Escape);
    }
    Ok((user.to_owned(), password.map(str::to_owned)))
}

/// Wider than the grammar (phones send `#` unescaped), but nothing that ends a URI where one stands in a message.
fn is_plain(b: u8) -> bool {
    b > b' ' && b != 0x7f && !matches!(b, b'<' | b'>' | b'"' | b'@')
}

fn host(text: &str) -> Result<(Host, &str), UriError> {
    if let Some(inside) = text.strip_prefix('[') {
        let (ip, rest) = inside.split_once(']').ok_or(UriError::Host)?;
        return Ok((Host::V6(ip.parse().map_err(|_| UriError::Host)?), rest));
    }
    let end = text.bytes().position(|b| !is_host_byte(b)).unwrap_or(text.len());
    let (host, rest) = text.split_at(end);
    match host.parse() {
        Ok(ip) => Ok((Host::V4(ip), rest)),
        Err(_) if is_host(host) => Ok((Host::Domain(host.to_owned()), rest)),
        Err(_) => Err(UriError::Host),
    }
}

fn port(text: &str) -> Result<(Option<u16>, &str), UriError> {
    let (port, rest) = match text.strip_prefix(':') {
        Some(behind) => {
            let end = behind.bytes().position(|b| !b.is_ascii_digit()).unwrap_or(behind.len());
            let (digits, rest) = behind.split_at(end);
            (Some(number(digits).ok_or(UriError::Port)?), rest)
        }
        None => (None, text),
    };
    match rest.bytes().next() {
        None | Some(b';' | b'?') => Ok((port, rest)),
        Some(_) if port.is_some() => Err(UriError::Port),
        Some(_) => Err(UriError::Host),
    }
}

/// Parameters, each behind a semicolon. Superfluous semicolons are passed over.
fn params(text: &str) -> Result<Vec<(String, Option<String>)>, UriError> {
    let mut out = Vec::new();
    for param in text.split(';').filter(|param| !param.is_empty()) {
        let (name, value) = match param.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (param, None),
        };
        if name.is_empty() || !param.bytes().all(is_plain) {
            return Err(UriError::Param);
        }
        if !escape::are_sound(param) {
            return Err(UriError::Escape);
        }
        out.push((name.to_owned(), value));
    }
    Ok(out)
}

fn headers(text: &str) -> Result<Vec<(String, String)>, UriError> {
    let mut out = Vec::new();
    for header in text.split('&') {
        let (name, value) = header.split_once('=').ok_or(UriError::Header)?;
        if name.is_empty() || !header.bytes().all(is_plain) {
            return Err(UriError::Header);
        }
        if !escape::are_sound(header) {
            return Err(UriError::Escape);
        }
        out.push((name.to_owned(), value.to_owned()));
    }
    Ok(out)
}

/// A number with its parameters (RFC 3966 3): digits and visual separators, `*`, `#` and letters in local numbers.
fn tel(rest: &str) -> Result<Uri, UriError> {
    let (subscriber, params) = rest.split_at(rest.find(';').unwrap_or(rest.len()));
    let digits = subscriber.strip_prefix('+').unwrap_or(subscriber);
    let allowed = |b: u8| b.is_ascii_hexdigit() || matches!(b, b'*' | b'#' | b'-' | b'.' | b'(' | b')');
    if !digits.bytes().all(allowed) || !digits.bytes().any(|b| b.is_ascii_hexdigit() || matches!(b, b'*' | b'#')) {
        return Err(UriError::Number);
    }
    let params = self::params(params)?;
    let user = Some(subscriber.to_owned());
    Ok(Uri { scheme: Scheme::Tel, user, password: None, host: Host::None, port: None, params, headers: Vec::new() })
}

fn opaque(scheme: Scheme, rest: &str) -> Result<Uri, UriError> {
    if rest.bytes().any(|b| b <= b' ' || matches!(b, 0x7f | b'<' | b'>' | b'"')) {
        return Err(UriError::User);
    }
    let user = Some(rest.to_owned());
    Ok(Uri { scheme, user, password: None, host: Host::None, port: None, params: Vec::new(), headers: Vec::new() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_back_what_it_read() {
        for text in [
            "sip:alice@atlanta.com",
            "sip:alice:secretword@atlanta.com;transport=tcp",
            "sips:alice@atlanta.com?subject=project%20x&priority=urgent",
            "sip:+1-212-555-1212:1234@gateway.com;user=phone",
            "sip:atlanta.com;method=REGISTER?to=alice%40atlanta.com",
            "sip:alice;day=tuesday@atlanta.com",
            "sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*:&it+has=1,weird!*pas$wo~d_too.(doesn't-it)@example.com",
            "sip:[2001:db8::10]:5070;lr",
            "sip:user@[2001:db8::10]",
            "sip:192.0.2.1",
            "sip:null-%00-null@example.com",
            "sip:*21#@pbx_1.local",
            "tel:+1-201-555-0123",
            "tel:7042;phone-context=example.com",
            "urn:service:sos",
            "soap.beep://192.0.2.103:3002",
            "nobodyknowsthisscheme:totallyopaquecontent",
        ] {
            assert_eq!(Uri::parse(text).map(|uri| uri.to_string()).as_deref(), Ok(text));
        }
    }

    #[test]
    fn pieces() {
        let uri = Uri::parse("SIPS:I%20have%20spaces@[::1]:5061;Transport=TLS;lr").unwrap();
        assert!(uri.is_secure() && uri.user_is("I have spaces"));
        assert_eq!(
            (uri.port, uri.param("transport"), uri.param("LR"), uri.param("x")),
            (Some(5061), Some("TLS"), Some(""), None)
        );
        assert_eq!(uri.transport(), Some(ringfort_base::Transport::Tls));
        assert_eq!(Uri::parse("sip:+49;phone-context=x@h").unwrap().dialled().as_deref(), Some("+49"));
        assert_eq!(Uri::parse("sip:%61lice@EXAMPLE.com:5070;x=1").unwrap().canonical_aor(), "sip:alice@example.com:5070");
    }

    #[test]
    fn names_the_rule() {
        for (text, error) in [
            ("alice", UriError::Scheme),
            ("1sip:a", UriError::Scheme),
            ("sip:", UriError::Empty),
            ("sip:@h", UriError::User),
            ("sip::p@h", UriError::User),
            ("sip:a b@h", UriError::User),
            ("sip:a%4@h", UriError::Escape),
            ("sip:a@", UriError::Host),
            ("sip:a@b@c", UriError::Host),
            ("sip:a@300.1.1.1", UriError::Host),
            ("sip:a@[::1", UriError::Host),
            ("sip:a@h:", UriError::Port),
            ("sip:a@h:65536", UriError::Port),
            ("sip:a@h:5060x", UriError::Port),
            ("sip:a@h;=1", UriError::Param),
            ("sip:a@h; lr", UriError::Param),
            ("sip:a@h?x", UriError::Header),
            ("tel:abc-xyz", UriError::Number),
            ("tel:--", UriError::Number),
            ("urn:a b", UriError::User),
        ] {
            assert_eq!(Uri::parse(text), Err(error), "{text}");
        }
    }
}
