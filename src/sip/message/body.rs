//! Bodies of one part and of several (RFC 2046 5.1, RFC 5621). Around a session description carriers and phones wrap a caller's
//! location (RFC 6442), a recorder's metadata (RFC 7866), ISUP and more; who reads only the description finds it here.

use super::{ContentType, HeaderName, Message};
use ringfort_base::limits;

/// How deep multiparts stand in each other: `multipart/alternative` within `multipart/mixed` is what is sent.
const DEPTH_MAX: u32 = 3;

/// One part of a multipart body.
#[derive(Clone, Copy, Debug)]
pub struct Part<'b> {
    raw: &'b [u8],
}

impl<'b> Part<'b> {
    /// Its octets, header fields included.
    pub fn raw(&self) -> &'b [u8] {
        self.raw
    }

    /// Its header fields: name and value.
    pub fn fields(&self) -> impl Iterator<Item = (&'b str, &'b str)> + use<'b> {
        let head = std::str::from_utf8(&self.raw[..self.head_len()]).unwrap_or_default();
        head.split("\r\n").filter_map(|line| line.split_once(':')).map(|(name, value)| (name.trim(), value.trim()))
    }

    /// The value of a field that [`HeaderName`] lists; empty if there is none.
    pub fn field(&self, wanted: HeaderName) -> &'b str {
        self.fields().find(|(name, _)| HeaderName::parse(name.as_bytes()) == wanted).map_or("", |(_, value)| value)
    }

    /// The value of any other field; empty if there is none.
    pub fn field_named(&self, wanted: &str) -> &'b str {
        self.fields().find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map_or("", |(_, value)| value)
    }

    /// Its type as written; `text/plain` where none is told (RFC 2045 5.2).
    pub fn media_type(&self) -> &'b str {
        ContentType::parse(self.field(HeaderName::ContentType)).map_or("text/plain", |kind| kind.media_type)
    }

    /// What it holds.
    pub fn content(&self) -> &'b [u8] {
        self.raw.get(self.head_len() + 2..).unwrap_or_default()
    }

    fn head_len(&self) -> usize {
        if self.raw.starts_with(b"\r\n") { 0 } else { find(self.raw, b"\r\n\r\n").map_or(self.raw.len(), |at| at + 2) }
    }

    fn whole(&self) -> Whole<'b> {
        Whole {
            kind: ContentType::parse(self.field(HeaderName::ContentType)).ok(),
            disposition: self.field(HeaderName::ContentDisposition),
            content: self.content(),
        }
    }
}

/// A body or a part of one, as its fields describe it.
#[derive(Clone, Copy)]
struct Whole<'b> {
    kind: Option<ContentType<'b>>,
    disposition: &'b str,
    content: &'b [u8],
}

impl<'b> Whole<'b> {
    fn parts(&self) -> Vec<Part<'b>> {
        let boundary = self.kind.filter(is_multipart).and_then(|kind| kind.params.value("boundary"));
        boundary.map(|boundary| parts(self.content, boundary)).unwrap_or_default()
    }

    fn session_description(&self, depth: u32) -> Option<&'b [u8]> {
        let kind = self.kind.as_ref()?;
        if !is_multipart(kind) {
            let is_session = matches!(first(self.disposition).to_ascii_lowercase().as_str(), "" | "session");
            return (kind.is("application/sdp") && is_session && !self.content.is_empty()).then_some(self.content);
        }
        if depth == 0 {
            return None;
        }
        let described = |part: &Part<'b>| part.whole().session_description(depth - 1);
        let parts = self.parts();
        // Of alternatives the last is the richest (RFC 2046 5.1.4).
        if kind.is("multipart/alternative") { parts.iter().rev().find_map(described) } else { parts.iter().find_map(described) }
    }

    fn is_understood(&self, known: &[&str], depth: u32) -> bool {
        match &self.kind {
            Some(kind) if is_multipart(kind) => {
                let parts = self.parts();
                let understood = |part: &Part<'b>| {
                    let part = part.whole();
                    depth > 0 && (handling(part.disposition) != Some(true) || part.is_understood(known, depth - 1))
                };
                !parts.is_empty() && parts.iter().all(understood)
            }
            Some(kind) => known.iter().any(|known| kind.is(known)),
            None => false,
        }
    }
}

impl Message {
    /// The parts of a multipart body, those of multiparts in it not taken apart; none where the body is not of several parts.
    pub fn parts(&self) -> Vec<Part<'_>> {
        self.whole().parts()
    }

    /// The session description (RFC 4566), wherever in the body it stands.
    pub fn session_description(&self) -> Option<&[u8]> {
        self.whole().session_description(DEPTH_MAX)
    }

    /// Whether the body may be taken by somebody who knows these types. A body of one part must be of one of them, if its handling is
    /// not optional (RFC 3261 8.2.3). Of several parts only those must that say `handling=required` themselves: RFC 5621 3.1 has that
    /// for the default, but what carriers wrap around a description seldom says `optional`, and a call is worth more than a part that
    /// nobody here reads.
    pub fn is_understood(&self, known: &[&str]) -> bool {
        let whole = self.whole();
        whole.content.is_empty() || handling(whole.disposition) == Some(false) || whole.is_understood(known, DEPTH_MAX)
    }

    fn whole(&self) -> Whole<'_> {
        Whole {
            kind: self.content_type().ok().flatten(),
            disposition: self.header(HeaderName::ContentDisposition).unwrap_or_default(),
            content: self.body(),
        }
    }
}

/// Whether a type is `multipart/…`.
fn is_multipart(kind: &ContentType<'_>) -> bool {
    kind.media_type.get(..10).is_some_and(|start| start.eq_ignore_ascii_case("multipart/"))
}

fn first(disposition: &str) -> &str {
    disposition.split(';').next().unwrap_or_default().trim()
}

/// What `Content-Disposition: …;handling=` says (RFC 3261 20.11): true for `required`.
fn handling(disposition: &str) -> Option<bool> {
    let value = disposition.split(';').skip(1).find_map(|param| {
        let (name, value) = param.split_once('=')?;
        name.trim().eq_ignore_ascii_case("handling").then(|| value.trim())
    })?;
    match value {
        value if value.eq_ignore_ascii_case("optional") => Some(false),
        value if value.eq_ignore_ascii_case("required") => Some(true),
        _ => None,
    }
}

/// The parts between the delimiters that a boundary makes, each without the line end that belongs to the delimiter; none where there
/// are more than [`limits::BODY_PARTS_MAX`].
pub fn parts<'b>(body: &'b [u8], boundary: &str) -> Vec<Part<'b>> {
    let delimiter = [b"--", boundary.as_bytes()].concat();
    let mut parts = Vec::new();
    let Some(mut at) = find(body, &delimiter).map(|at| at + delimiter.len()) else { return parts };
    let next = [b"\r\n", delimiter.as_slice()].concat();
    loop {
        let rest = body.get(at..).unwrap_or_default();
        // Space behind a delimiter is padding of whoever carried it (RFC 2046 5.1.1).
        let padding = rest.iter().take_while(|octet| matches!(octet, b' ' | b'\t')).count();
        let Some(rest) = rest.get(padding..).and_then(|rest| rest.strip_prefix(b"\r\n")) else { return parts };
        // The empty head of a part begins where the delimiter's line ends.
        let Some(end) = find(rest, &next) else { return parts };
        if parts.len() >= limits::BODY_PARTS_MAX {
            return Vec::new();
        }
        parts.push(Part { raw: &rest[..end] });
        at = body.len() - rest.len() + end + next.len();
    }
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len().max(1)).position(|window| window == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn message(head: &str, body: &str) -> Message {
        let text = format!(
            "INVITE sip:1@h SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: <sip:a@h>;tag=1\r\nTo: <sip:b@h>\r\nCall-ID: x\r\n\
             CSeq: 1 INVITE\r\n{head}Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        Message::parse(Bytes::from(text)).unwrap()
    }

    const MIXED: &str = "Content-Type: multipart/mixed;boundary=\"b 1\"\r\n";

    #[test]
    fn a_description_is_found_wherever_it_stands() {
        let inner = "--x\r\nContent-Type: text/plain\r\n\r\nold\r\n--x\r\nc: application/SDP\r\n\r\nv=0\r\n--x--\r\n";
        let location = "--b 1\r\nContent-Type: application/pidf+xml\r\nContent-ID: <1@h>\r\n\r\n<p/>\r\n";
        for (head, body, wanted) in [
            ("Content-Type: application/sdp\r\n", "v=0", Some("v=0")),
            ("Content-Type: application/sdp\r\nContent-Disposition: early-session\r\n", "v=0", None),
            ("Content-Type: text/plain\r\n", "v=0", None),
            (MIXED, &format!("{location}--b 1\r\nContent-Type: application/sdp\r\n\r\nv=0\r\n\r\n--b 1--\r\n"), Some("v=0\r\n")),
            (
                MIXED,
                &format!("preamble\r\n{location}--b 1 \t\r\nContent-Type: application/sdp\r\n\r\nv=0\r\n--b 1--"),
                Some("v=0"),
            ),
            (
                MIXED,
                &format!("{location}--b 1\r\nContent-Type: multipart/alternative;boundary=x\r\n\r\n{inner}\r\n--b 1--"),
                Some("v=0"),
            ),
            (MIXED, location, None),
            (MIXED, "no delimiter", None),
            ("Content-Type: multipart/mixed\r\n", "--\r\nContent-Type: application/sdp\r\n\r\nv=0\r\n----", None),
            (
                MIXED,
                "--b 1\r\nContent-Type: application/sdp\r\nContent-Disposition: session;handling=required\r\n\r\nv=0\r\n--b 1--",
                Some("v=0"),
            ),
        ] {
            let message = message(head, body);
            let found = message.session_description().map(|sdp| std::str::from_utf8(sdp).unwrap());
            assert_eq!(found, wanted, "{head}{body}");
        }
    }

    #[test]
    fn only_parts_that_say_so_must_be_known() {
        let known = ["application/sdp"];
        let with = |disposition: &str| {
            let part = format!("--b 1\r\nContent-Type: application/isup\r\n{disposition}\r\n\x01\x02\r\n");
            message(MIXED, &format!("{part}--b 1\r\nContent-Type: application/sdp\r\n\r\nv=0\r\n--b 1--"))
        };
        assert!(with("").is_understood(&known));
        assert!(with("Content-Disposition: signal;handling=optional\r\n").is_understood(&known));
        assert!(!with("Content-Disposition: signal ; handling = Required\r\n").is_understood(&known));
        assert!(!message("Content-Type: text/plain\r\n", "x").is_understood(&known));
        assert!(message("Content-Type: text/plain\r\nContent-Disposition: x;handling=optional\r\n", "x").is_understood(&known));
        assert!(message("", "").is_understood(&known));
        assert!(!message(MIXED, "no delimiter").is_understood(&known));
    }

    #[test]
    fn parts_and_depth_are_bounded() {
        let part = "--b 1\r\n\r\nx\r\n";
        assert_eq!(message(MIXED, &(part.repeat(limits::BODY_PARTS_MAX) + "--b 1--")).parts().len(), limits::BODY_PARTS_MAX);
        assert!(message(MIXED, &(part.repeat(limits::BODY_PARTS_MAX + 1) + "--b 1--")).parts().is_empty());
        let nested = |depth: u32| {
            (0..depth).fold(("application/sdp".to_string(), "v=0".to_string()), |(kind, body), n| {
                let whole = format!("--n{n}\r\nContent-Type: {kind}\r\n\r\n{body}\r\n--n{n}--");
                (format!("multipart/mixed;boundary=n{n}"), whole)
            })
        };
        for (depth, found) in [(DEPTH_MAX, true), (DEPTH_MAX + 1, false)] {
            let (kind, body) = nested(depth);
            let message = message(&format!("Content-Type: {kind}\r\n"), &body);
            assert_eq!(message.session_description().is_some(), found, "{depth}");
        }
    }
}
