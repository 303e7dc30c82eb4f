//! Writing messages. Whatever a value contains, it stays one header field: CR and LF become spaces.

use super::{HeaderName, Message, Method};
use crate::status;
use bytes::Bytes;
use ringfort_base::Transport;
use std::fmt::{self, Display, Write};
use std::io::Write as _;

/// Octets that the head of a message seldom exceeds.
const HEAD: usize = 1_000;

/// A message under construction. Header fields appear in the order of the calls, except that [`Builder::via`] goes on
/// top; Content-Length is added by [`Builder::build`].
#[derive(Clone)]
pub struct Builder {
    head: Vec<u8>,
    /// Length of the start line: where the next Via goes.
    start_line: usize,
    body: Vec<u8>,
}

impl Builder {
    /// A request.
    pub fn request(method: &Method, uri: &str) -> Builder {
        Builder::start(format_args!("{method} {uri} SIP/2.0"))
    }

    /// A response. Without a reason the standard phrase is used.
    pub fn response(status: u16, reason: Option<&str>) -> Builder {
        Builder::start(format_args!("SIP/2.0 {status} {}", reason.unwrap_or_else(|| status::reason(status))))
    }

    /// A response to a request (RFC 3261 8.2.6): copies every Via, From, To, Call-ID and CSeq octet for octet, and
    /// Timestamp into a 100. `to_tag` is added unless To has a tag already.
    pub fn reply(request: &Message, status: u16, reason: Option<&str>, to_tag: Option<&str>) -> Builder {
        let reply = Builder::response(status, reason).copy(request, HeaderName::Via).copy_first(request, HeaderName::From);
        let reply = match to_tag.filter(|_| !has_to_tag(request)) {
            Some(tag) => reply.tagged_to(request, tag),
            None => reply.copy_first(request, HeaderName::To),
        };
        let reply = reply.copy_first(request, HeaderName::CallId).copy_first(request, HeaderName::CSeq);
        if status == 100 { reply.copy_first(request, HeaderName::Timestamp) } else { reply }
    }

    fn start(line: fmt::Arguments<'_>) -> Builder {
        let mut builder = Builder { head: Vec::with_capacity(HEAD), start_line: 0, body: Vec::new() };
        builder.write(line);
        builder.end_line();
        builder.start_line = builder.head.len();
        builder
    }

    /// Adds a field.
    pub fn header(mut self, name: HeaderName, value: impl Display) -> Builder {
        self.write(format_args!("{name}: {value}"));
        self.end_line();
        self
    }

    /// Adds a field if there is a value.
    pub fn header_if(self, name: HeaderName, value: Option<impl Display>) -> Builder {
        match value {
            Some(value) => self.header(name, value),
            None => self,
        }
    }

    /// Adds a field by its name's text.
    pub fn raw(mut self, name: &str, value: &str) -> Builder {
        self.write(format_args!("{name}: {value}"));
        self.end_line();
        self
    }

    /// Adds a field octet for octet as [`Message::lines`] yields it.
    pub fn line(mut self, line: &[u8]) -> Builder {
        match line.strip_suffix(b"\r\n") {
            Some(inside) if is_one_field(inside) => self.head.extend_from_slice(line),
            _ => {
                let inside = line.strip_suffix(b"\n").unwrap_or(line);
                self.clean(inside.strip_suffix(b"\r").unwrap_or(inside));
                self.end_line();
            }
        }
        self
    }

    /// Copies every field of a name, octet for octet.
    pub fn copy(mut self, from: &Message, name: HeaderName) -> Builder {
        for (_, line) in from.lines().filter(|(n, _)| *n == name) {
            self = self.line(line);
        }
        self
    }

    fn copy_first(self, from: &Message, name: HeaderName) -> Builder {
        match from.lines().find(|(n, _)| *n == name) {
            Some((_, line)) => self.line(line),
            None => self,
        }
    }

    fn tagged_to(mut self, request: &Message, tag: &str) -> Builder {
        if let Some(to) = request.value_octets(HeaderName::To) {
            self.head.extend_from_slice(b"To: ");
            self.clean(to);
            self.write(format_args!(";tag={tag}"));
            self.end_line();
        }
        self
    }

    /// Puts a Via on top of all others (RFC 3261 8.1.1.7); `rport` asks for symmetric response routing (RFC 3581). Over TCP and TLS
    /// it offers the connection for requests in the other direction (RFC 5923).
    pub fn via(mut self, transport: Transport, sent_by: impl Display, branch: &str, rport: bool) -> Builder {
        let below = self.head.split_off(self.start_line);
        let rport = if rport { ";rport" } else { "" };
        let alias = if matches!(transport, Transport::Tcp | Transport::Tls) { ";alias" } else { "" };
        self.write(format_args!("Via: SIP/2.0/{transport} {sent_by};branch={branch}{rport}{alias}"));
        self.end_line();
        self.head.extend_from_slice(&below);
        self
    }

    /// Sets the body and its Content-Type; an empty body has no type.
    pub fn body(mut self, content_type: &str, body: impl Into<Vec<u8>>) -> Builder {
        self.body = body.into();
        if self.body.is_empty() { self } else { self.header(HeaderName::ContentType, content_type) }
    }

    /// The finished octets.
    pub fn build(mut self) -> Bytes {
        // Writing to a Vec cannot fail.
        let _ = write!(self.head, "Content-Length: {}\r\n\r\n", self.body.len());
        // As long as the message and no longer: transactions keep it for half a minute.
        Bytes::from([&self.head[..], &self.body[..]].concat())
    }

    fn write(&mut self, text: fmt::Arguments<'_>) {
        // `Clean` never fails; a `Display` that does leaves a shorter value.
        let _ = Clean(&mut self.head).write_fmt(text);
    }

    fn clean(&mut self, octets: &[u8]) {
        self.head.extend(octets.iter().map(|&b| if matches!(b, b'\r' | b'\n') { b' ' } else { b }));
    }

    fn end_line(&mut self) {
        self.head.extend_from_slice(b"\r\n");
    }
}

/// Replaces CR and LF by spaces, so that no value can begin a field of its own.
struct Clean<'a>(&'a mut Vec<u8>);

impl fmt::Write for Clean<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        match memchr::memchr2(b'\r', b'\n', text.as_bytes()) {
            None => self.0.extend_from_slice(text.as_bytes()),
            Some(_) => self.0.extend(text.bytes().map(|b| if matches!(b, b'\r' | b'\n') { b' ' } else { b })),
        }
        Ok(())
    }
}

/// Whether every line end within the octets is a CRLF that white space follows: a fold.
fn is_one_field(octets: &[u8]) -> bool {
    let mut at = 0;
    while let Some(found) = memchr::memchr2(b'\r', b'\n', &octets[at..]) {
        at += found;
        match &octets[at..] {
            [b'\r', b'\n', b' ' | b'\t', ..] => at += 3,
            _ => return false,
        }
    }
    true
}

/// A malformed To is looked at as text, so that a reply never carries two tags.
fn has_to_tag(request: &Message) -> bool {
    match request.to() {
        Ok(to) => to.params.has("tag"),
        Err(_) => request.header(HeaderName::To).is_some_and(|to| to.to_ascii_lowercase().contains(";tag=")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_value_can_begin_a_field() {
        let octets = Builder::request(&Method::Options, "sip:a\r\nX: 1")
            .header(HeaderName::Subject, "x\r\nRoute: <sip:evil>")
            .raw("X-Name\n", "\nv")
            .line(b"Y: 1\r\nZ: 2\r\n")
            .via(Transport::Udp, "h\r\n", "z9hG4bK1", true)
            .build();
        let message = Message::parse(octets).unwrap();
        let names: Vec<_> = message.all_headers().map(|(name, _)| name.to_owned()).collect();
        assert_eq!(names, ["Via", "Subject", "X-Name", "Y", "Content-Length"]);
    }

    #[test]
    fn reply_copies_what_rfc_3261_8_2_6_says() {
        let request = "INVITE sip:b SIP/2.0\r\nv: SIP/2.0/UDP a;branch=z9hG4bK1\r\nRoute: <sip:r>\r\nVia: SIP/2.0/UDP b,\r\n SIP/2.0/UDP c\r\n\
            From: <sip:a>;tag=1\r\nTo: <sip:b>\r\nCall-ID: x\r\nCSeq: 1 INVITE\r\nTimestamp: 54\r\n\r\n";
        let request = Message::parse(Bytes::from_static(request.as_bytes())).unwrap();
        let reply = Message::parse(Builder::reply(&request, 180, None, Some("tt")).build()).unwrap();
        assert_eq!((reply.status(), reply.reason(), reply.method()), (Some(180), "Ringing", Method::Invite));
        assert_eq!(reply.values(HeaderName::Via).count(), 3);
        assert_eq!(reply.to().unwrap().tag(), Some("tt"));
        assert_eq!(reply.header(HeaderName::Timestamp), None);
        assert_eq!(reply.header(HeaderName::Route), None);
        let trying = Message::parse(Builder::reply(&request, 100, None, None).build()).unwrap();
        assert_eq!(trying.header(HeaderName::Timestamp), Some("54"));
        assert_eq!(trying.to().unwrap().tag(), None);
    }

    #[test]
    fn body_and_length() {
        let octets = Builder::response(200, Some("Fine")).body("application/sdp", "v=0\r\n").build();
        assert_eq!(&octets[..], b"SIP/2.0 200 Fine\r\nContent-Type: application/sdp\r\nContent-Length: 5\r\n\r\nv=0\r\n");
        assert_eq!(
            &Builder::response(404, None).body("text/plain", "").build()[..],
            b"SIP/2.0 404 Not Found\r\nContent-Length: 0\r\n\r\n"
        );
    }
}
