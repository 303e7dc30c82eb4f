//! One SIP message: its octets and an index of header fields over them. Read [`Message`] first, then `index.rs` for
//! how the octets are cut, then the typed views ([`Via`], [`NameAddr`], [`Contacts`]), then [`Builder`] for the way
//! out.
//!
//! Absent, malformed and present are three cases: typed accessors return `Result<Option<T>, HeaderError>`, or
//! `Result<T, HeaderError>` for what RFC 3261 8.1.1 makes mandatory.

mod address;
mod body;
mod builder;
mod error;
mod fields;
mod index;
mod method;
mod name;
mod params;
mod received;
mod relocated;
#[cfg(test)]
mod tests;
pub(crate) mod text;
mod via;

pub(crate) use index::frame_length;

pub use address::{Contacts, NameAddr};
pub use body::{Part, parts};
pub use builder::Builder;
pub use error::{HeaderError, ParseError};
pub use fields::{ContentType, Warning};
pub use method::Method;
pub use name::HeaderName;
pub use params::Params;
pub use text::split_values;
pub use via::{MAGIC_COOKIE, Via};
pub(crate) use via::{is_host, is_host_byte};

use bytes::Bytes;
use index::{Index, Span, StartLine};
use ringfort_base::limits;
use std::fmt;
use std::sync::Arc;

/// One received or built message. Cheap to clone: octets and index are shared.
#[derive(Clone)]
pub struct Message {
    octets: Bytes,
    index: Arc<Index>,
}

impl Message {
    /// Reads one whole message: a datagram, a WebSocket message or a frame of a stream.
    ///
    /// Line ends before the start line are skipped (RFC 3261 7.5). Without Content-Length the rest is the body; octets
    /// beyond it are dropped; fewer octets than it says are an error (RFC 3261 18.3).
    pub fn parse(octets: Bytes) -> Result<Message, ParseError> {
        let octets = octets.slice(leading_line_ends(&octets)..);
        if octets.is_empty() {
            return Err(ParseError::Empty);
        }
        if octets.len() > limits::SIP_MESSAGE_MAX {
            return Err(ParseError::MessageTooLarge);
        }
        let (index, error) = Index::scan(&octets);
        match error {
            Some(error) => Err(error),
            None => Message { octets, index: Arc::new(index) }.with_body(),
        }
    }

    /// Reads whatever can be read of octets that [`Message::parse`] refused, without a body. For the reply to them.
    pub(crate) fn salvage(octets: Bytes) -> Message {
        let octets = octets.slice(leading_line_ends(&octets)..octets.len());
        let (index, _) = Index::scan(&octets);
        let octets = octets.slice(..index.head_len);
        Message { octets, index: Arc::new(index) }
    }

    fn with_body(mut self) -> Result<Message, ParseError> {
        let present = self.octets.len() - self.index.head_len;
        let length = index::content_length(self.headers(HeaderName::ContentLength))?.unwrap_or(present);
        if length > present {
            return Err(ParseError::Truncated);
        }
        if length > limits::SIP_BODY_MAX {
            return Err(ParseError::BodyTooLarge);
        }
        self.octets.truncate(self.index.head_len + length);
        Ok(self)
    }

    /// The message as it was received, from the first octet of its start line to the last of its body.
    pub fn octets(&self) -> &Bytes {
        &self.octets
    }

    /// Whether the start line is a request line.
    pub fn is_request(&self) -> bool {
        matches!(self.index.start, StartLine::Request { .. })
    }

    /// The method of a request; of a response, the method in CSeq (an empty [`Method::Other`] if that is unreadable).
    pub fn method(&self) -> Method {
        match self.index.start {
            StartLine::Request { method, .. } => Method::parse(self.text(method)),
            StartLine::Response { .. } => self.cseq().map_or_else(|_| Method::parse(""), |(_, method)| method),
        }
    }

    /// The Request-URI's text; `None` for a response.
    pub fn request_uri(&self) -> Option<&str> {
        match self.index.start {
            StartLine::Request { uri, .. } => Some(text::trim(self.text(uri))),
            StartLine::Response { .. } => None,
        }
    }

    /// The status code of a response, 100 to 699.
    pub fn status(&self) -> Option<u16> {
        match self.index.start {
            StartLine::Request { .. } => None,
            StartLine::Response { status, .. } => Some(status),
        }
    }

    /// The reason phrase of a response; may be empty.
    pub fn reason(&self) -> &str {
        match self.index.start {
            StartLine::Request { .. } => "",
            StartLine::Response { reason, .. } => self.text(reason),
        }
    }

    /// The SIP version as written: `SIP/2.0`.
    pub fn version(&self) -> &str {
        match self.index.start {
            StartLine::Request { version, .. } | StartLine::Response { version, .. } => self.text(version),
        }
    }

    /// Whether there is white space inside or around the Request-URI that RFC 3261 7.1 forbids.
    pub(crate) fn has_spaced_request_line(&self) -> bool {
        matches!(self.index.start, StartLine::Request { spaced: true, .. })
    }

    /// The first field of a name, unfolded (a fold reads as spaces; octets that are not UTF-8 read as `?`).
    pub fn header(&self, name: HeaderName) -> Option<&str> {
        self.headers(name).next()
    }

    /// The fields of a name, line by line.
    pub fn headers(&self, name: HeaderName) -> impl Iterator<Item = &str> {
        self.index.named(name).map(|field| self.text(field.value))
    }

    /// The first field of a name that [`HeaderName`] does not list, in any case.
    pub fn header_named(&self, name: &str) -> Option<&str> {
        match HeaderName::parse(name.as_bytes()) {
            HeaderName::Other => self
                .index
                .named(HeaderName::Other)
                .find(|field| self.text(field.name_text).eq_ignore_ascii_case(name))
                .map(|field| self.text(field.value)),
            known => self.header(known),
        }
    }

    /// The comma-separated values of all fields of a name; commas within quotes and `<>` do not separate. Empty values
    /// are left out (RFC 3261 7.3.1).
    pub fn values(&self, name: HeaderName) -> impl Iterator<Item = &str> {
        self.headers(name).flat_map(text::Split::commas).filter(|value| !value.is_empty())
    }

    /// Whether a token is among the values of a list header: `Supported`, `Require`, `Allow`, `Event`, ...
    pub fn has_token(&self, name: HeaderName, token: &str) -> bool {
        self.values(name).any(|value| value.eq_ignore_ascii_case(token))
    }

    /// Names as received that [`HeaderName`] does not list.
    pub(crate) fn unlisted_names(&self) -> impl Iterator<Item = &str> {
        self.index.named(HeaderName::Other).map(|field| self.text(field.name_text))
    }

    /// Name as received and value of every field, in order.
    pub fn all_headers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.index.fields.iter().map(|field| (self.text(field.name_text), self.text(field.value)))
    }

    /// Name and octets of every field, folds and line end included: for passing a field on octet for octet
    /// ([`Builder::line`]).
    pub fn lines(&self) -> impl Iterator<Item = (HeaderName, &[u8])> {
        self.index.fields.iter().map(|field| (field.name, &self.octets[field.line.range()]))
    }

    /// The octets of the first field of a name, without surrounding space; folds are still in them.
    pub(crate) fn value_octets(&self, name: HeaderName) -> Option<&[u8]> {
        self.index.named(name).next().map(|field| &self.octets[field.value.range()])
    }

    /// The body; empty if there is none.
    pub fn body(&self) -> &[u8] {
        &self.octets[self.index.head_len..]
    }

    /// Text of the head. The octets are UTF-8 whenever there is no readable copy, and spans end at ASCII octets.
    fn text(&self, span: Span) -> &str {
        match &self.index.text {
            Some(text) => text.get(span.range()).unwrap_or_default(),
            None => std::str::from_utf8(&self.octets[span.range()]).unwrap_or_default(),
        }
    }
}

fn leading_line_ends(octets: &[u8]) -> usize {
    octets.iter().take_while(|b| matches!(b, b'\r' | b'\n')).count()
}

impl PartialEq for Message {
    fn eq(&self, other: &Message) -> bool {
        self.octets == other.octets
    }
}

impl Eq for Message {}

/// Method or status and size only: headers name people and inside addresses.
impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.status() {
            Some(status) => write!(f, "Message({status} to {}, {} octets)", self.method(), self.octets.len()),
            None => write!(f, "Message({}, {} octets)", self.method(), self.octets.len()),
        }
    }
}
