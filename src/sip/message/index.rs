//! The index of a message: where its start line, header fields and body lie. Built in one pass over the octets, with
//! two allocations for a whole message and none for a header field.
//!
//! The scan never gives up: it notes the first rule that was broken and goes on, so that a refused request can still
//! be answered from what was readable.

use super::error::ParseError;
use super::name::{HeaderName, NAMES};
use super::text::{is_token, is_ws, number, trim};
use memchr::{memchr, memchr_iter};
use ringfort_base::limits::{SIP_BODY_MAX, SIP_HEAD_MAX, SIP_HEADERS_MAX, SIP_MESSAGE_MAX};

/// A range of octets. 16 bits suffice: a message has at most 65,535.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Span {
    start: u16,
    end: u16,
}

const _: () = assert!(SIP_MESSAGE_MAX <= u16::MAX as usize);

impl Span {
    /// Offsets beyond 16 bits cannot occur: `Index::scan` looks at no more than `SIP_MESSAGE_MAX` octets.
    fn new(start: usize, end: usize) -> Span {
        Span { start: start as u16, end: end as u16 }
    }
    pub(super) fn range(self) -> std::ops::Range<usize> {
        usize::from(self.start)..usize::from(self.end)
    }
}

/// The first line, cut into pieces (RFC 3261 7.1, 7.2).
#[derive(Clone, Copy, Debug)]
pub(super) enum StartLine {
    Request { method: Span, uri: Span, version: Span, spaced: bool },
    Response { version: Span, status: u16, reason: Span },
}

/// One header field. `next` is the next field of the same name, [`NONE`] at the last.
#[derive(Clone, Copy, Debug)]
pub(super) struct Field {
    pub(super) name: HeaderName,
    next: u16,
    pub(super) name_text: Span,
    pub(super) value: Span,
    /// The line or lines, line end included.
    pub(super) line: Span,
}

const NONE: u16 = u16::MAX;
/// Most messages have fewer fields than this.
const USUAL_FIELDS: usize = 24;

#[derive(Debug)]
pub(super) struct Index {
    pub(super) start: StartLine,
    pub(super) fields: Vec<Field>,
    first: [u16; NAMES],
    /// Octets up to and including the empty line.
    pub(super) head_len: usize,
    /// The head with folds replaced by spaces and octets that are not UTF-8 by `?`; same offsets. Only there when the
    /// octets need it.
    pub(super) text: Option<Box<str>>,
}

impl Index {
    /// Scans a message that begins with its start line. The error is the first rule that the head breaks.
    pub(super) fn scan(octets: &[u8]) -> (Index, Option<ParseError>) {
        let octets = &octets[..octets.len().min(SIP_MESSAGE_MAX)];
        let mut scan = Scan { octets, at: 0, error: None, folded: false, line_ends: 0, last: [NONE; NAMES] };
        let start = scan.start_line();
        let mut index = Index { start, fields: Vec::with_capacity(USUAL_FIELDS), first: [NONE; NAMES], head_len: 0, text: None };
        scan.header_lines(&mut index);
        index.head_len = scan.at;
        index.text = scan.readable_head();
        (index, scan.error)
    }

    /// The fields of one name, in order.
    pub(super) fn named(&self, name: HeaderName) -> impl Iterator<Item = &Field> + use<'_> {
        let mut at = self.first[name as usize];
        std::iter::from_fn(move || {
            let field = self.fields.get(usize::from(at))?;
            at = field.next;
            Some(field)
        })
    }
}

struct Scan<'a> {
    octets: &'a [u8],
    at: usize,
    error: Option<ParseError>,
    folded: bool,
    /// CRs that belong to a line end; any other CR is bare.
    line_ends: usize,
    /// The latest field of each name, which the next one is chained to.
    last: [u16; NAMES],
}

impl<'a> Scan<'a> {
    fn broken(&mut self, error: ParseError) {
        self.error.get_or_insert(error);
    }

    /// The next line without its end. Lines end in CRLF; a lone LF is taken too, since nothing else can be meant.
    fn line(&mut self) -> Option<(usize, &'a [u8])> {
        let start = self.at;
        if start > SIP_HEAD_MAX {
            self.broken(ParseError::HeadTooLarge);
            return None;
        }
        let Some(len) = memchr(b'\n', &self.octets[start..]) else {
            self.broken(ParseError::HeadUnterminated);
            let rest = &self.octets[start..];
            self.at = self.octets.len();
            return (!rest.is_empty()).then_some((start, rest));
        };
        self.at = start + len + 1;
        let line = &self.octets[start..start + len];
        Some(match line.split_last() {
            Some((b'\r', line)) => {
                self.line_ends += 1;
                (start, line)
            }
            _ => (start, line),
        })
    }

    fn start_line(&mut self) -> StartLine {
        let (start, line) = self.line().unwrap_or_default();
        if line.len() >= 4 && line[..4].eq_ignore_ascii_case(b"SIP/") {
            self.status_line(start, line)
        } else {
            self.request_line(start, line)
        }
    }

    /// `Method SP Request-URI SP SIP-Version`. Superfluous space is noted, not refused: the pieces are still clear.
    fn request_line(&mut self, start: usize, line: &[u8]) -> StartLine {
        let end = line.len() - line.iter().rev().take_while(|&&b| is_ws(b)).count();
        let method_end = memchr(b' ', &line[..end]).unwrap_or(end);
        let version_at = memchr::memrchr(b' ', &line[..end]).map_or(end, |space| space + 1);
        let version = &line[version_at..end];
        let uri_start = (method_end + 1).min(end);
        let uri = &line[uri_start..version_at.saturating_sub(1).max(uri_start)];
        let sound = std::str::from_utf8(&line[..method_end]).is_ok_and(is_token)
            && version.len() > 4
            && version[..4].eq_ignore_ascii_case(b"SIP/")
            && !uri.is_empty();
        if !sound {
            self.broken(ParseError::StartLine);
        }
        StartLine::Request {
            method: Span::new(start, start + method_end),
            uri: Span::new(start + uri_start, start + uri_start + uri.len()),
            version: Span::new(start + version_at, start + end),
            spaced: uri.iter().any(|&b| is_ws(b)),
        }
    }

    /// `SIP-Version SP Status-Code SP Reason-Phrase`; the last space may be missing with an empty phrase.
    fn status_line(&mut self, start: usize, line: &[u8]) -> StartLine {
        let version_end = memchr(b' ', line).unwrap_or(line.len());
        let code_at = (version_end + 1).min(line.len());
        let code_end = memchr(b' ', &line[code_at..]).map_or(line.len(), |len| code_at + len);
        let code = std::str::from_utf8(&line[code_at..code_end]).unwrap_or_default();
        let status = number::<u16>(code).filter(|status| code.len() == 3 && (100..700).contains(status));
        if status.is_none() {
            self.broken(ParseError::StatusCode);
        }
        StartLine::Response {
            version: Span::new(start, start + version_end),
            status: status.unwrap_or_default(),
            reason: Span::new(start + (code_end + 1).min(line.len()), start + line.len()),
        }
    }

    fn header_lines(&mut self, index: &mut Index) {
        while let Some((start, line)) = self.line() {
            match line.first() {
                None => return,
                Some(&b) if is_ws(b) => self.continuation(index, start, line),
                Some(_) => self.header_line(index, start, line),
            }
        }
    }

    /// A folded line belongs to the field above it (RFC 3261 7.3.1).
    fn continuation(&mut self, index: &mut Index, start: usize, line: &[u8]) {
        self.folded = true;
        let Some(field) = index.fields.last_mut() else {
            return self.broken(ParseError::HeaderLine);
        };
        field.line.end = self.at as u16;
        let trimmed = trim_octets(line);
        if trimmed.is_empty() {
            return;
        }
        if field.value.start == field.value.end {
            field.value.start = (start + trimmed.start) as u16;
        }
        field.value.end = (start + trimmed.end) as u16;
    }

    fn header_line(&mut self, index: &mut Index, start: usize, line: &[u8]) {
        let Some(colon) = memchr(b':', line) else {
            return self.broken(ParseError::HeaderLine);
        };
        // HCOLON allows space before the colon (RFC 3261 25.1).
        let name = trim_octets(&line[..colon]);
        if name.is_empty() {
            return self.broken(ParseError::HeaderLine);
        }
        if index.fields.len() == SIP_HEADERS_MAX {
            return self.broken(ParseError::TooManyHeaders);
        }
        let value = trim_octets(&line[colon + 1..]);
        let value_at = start + colon + 1;
        let name_text = Span::new(start + name.start, start + name.end);
        let value = Span::new(value_at + value.start, value_at + value.end);
        self.push(
            index,
            Field { name: HeaderName::parse(&line[name]), next: NONE, name_text, value, line: Span::new(start, self.at) },
        );
    }

    fn push(&mut self, index: &mut Index, field: Field) {
        let at = index.fields.len() as u16;
        match std::mem::replace(&mut self.last[field.name as usize], at) {
            NONE => index.first[field.name as usize] = at,
            last => index.fields[usize::from(last)].next = at,
        }
        index.fields.push(field);
    }

    /// Checks the head for bare CRs and makes a readable copy of it when the octets themselves are not.
    fn readable_head(&mut self) -> Option<Box<str>> {
        let head = &self.octets[..self.at];
        let bare_cr = memchr_iter(b'\r', head).count() != self.line_ends;
        if bare_cr {
            self.broken(ParseError::BareCr);
        }
        let valid = std::str::from_utf8(head).is_ok();
        if valid && !self.folded && !bare_cr {
            return None;
        }
        let mut text = same_length_utf8(head);
        // Spaces for line ends: a fold is one LWS, and nobody reads across the end of a field.
        text.iter_mut().filter(|b| matches!(b, b'\r' | b'\n')).for_each(|b| *b = b' ');
        // `same_length_utf8` yields UTF-8, and one ASCII octet for another keeps it so.
        String::from_utf8(text).ok().map(String::into_boxed_str)
    }
}

/// Replaces each octet that is not part of a UTF-8 sequence by `?`.
fn same_length_utf8(octets: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(octets.len());
    for chunk in octets.utf8_chunks() {
        out.extend_from_slice(chunk.valid().as_bytes());
        out.extend(chunk.invalid().iter().map(|_| b'?'));
    }
    out
}

fn trim_octets(octets: &[u8]) -> std::ops::Range<usize> {
    let start = octets.iter().take_while(|&&b| is_ws(b)).count();
    let end = octets.len() - octets[start..].iter().rev().take_while(|&&b| is_ws(b)).count();
    start..end
}

/// Octets of the whole message whose head this is, as a stream's framing needs it: Content-Length must be there
/// (RFC 3261 18.3, 20.14).
pub(crate) fn frame_length(head: &[u8]) -> Result<usize, ParseError> {
    let (index, _) = Index::scan(head);
    let text = |field: &Field| std::str::from_utf8(&head[field.value.range()]).unwrap_or_default();
    let length = content_length(index.named(HeaderName::ContentLength).map(text))?;
    let length = length.ok_or(ParseError::ContentLengthMissing)?;
    if length > SIP_BODY_MAX { Err(ParseError::BodyTooLarge) } else { Ok(head.len() + length) }
}

/// The body's length by Content-Length (RFC 3261 20.14); `None` when there is no such field.
pub(super) fn content_length<'a>(values: impl Iterator<Item = &'a str>) -> Result<Option<usize>, ParseError> {
    let mut length = None;
    for value in values {
        let this = number::<usize>(trim(value)).ok_or(ParseError::ContentLength)?;
        if length.is_some_and(|length| length != this) {
            return Err(ParseError::ContentLengthConflict);
        }
        length = Some(this);
    }
    Ok(length)
}
