//! Cutting an octet stream (TCP, TLS) into messages by Content-Length (RFC 3261 18.3). WebSocket needs none of this: it
//! frames by itself (RFC 7118 5.1).

use crate::message::{ParseError, frame_length};
use bytes::{Buf, Bytes, BytesMut};
use ringfort_base::limits::SIP_HEAD_MAX;

/// Why a stream cannot be cut any further. The connection is of no use afterwards: answer, then close it.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[error("stream cannot be framed: {error}")]
pub struct FrameError {
    /// The rule that was broken.
    pub error: ParseError,
    /// What there is of the message, for [`crate::screen::screen_unparsed`].
    pub octets: Bytes,
}

/// Without the octets: they name people and inside addresses.
impl std::fmt::Debug for FrameError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "FrameError({:?}, {} octets)", self.error, self.octets.len())
    }
}

/// Cuts one connection's stream. Order of use: [`push`](Self::push) what was read, then call
/// [`next_message`](Self::next_message) until it yields `None`, then answer the pings that
/// [`take_pings`](Self::take_pings) counts with one CRLF each.
///
/// At most one incomplete message is held; the caller bounds what it pushes at once. No octet is looked at twice
/// while the end of a head is searched for.
#[derive(Default)]
pub struct StreamFramer {
    buffer: BytesMut,
    /// Octets of `buffer` known not to end the head.
    scanned: usize,
    /// Length of the message at the front of `buffer`, once its head is complete.
    message_len: Option<usize>,
    pings: u32,
    failed: bool,
}

impl std::fmt::Debug for StreamFramer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "StreamFramer({} octets held)", self.buffer.len())
    }
}

impl StreamFramer {
    /// A framer for a fresh connection.
    pub fn new() -> StreamFramer {
        StreamFramer::default()
    }

    /// Adds octets as they were read. Ignored once the stream has failed.
    pub fn push(&mut self, octets: &[u8]) {
        if !self.failed {
            self.buffer.extend_from_slice(octets);
        }
    }

    /// The next whole message; `None` when more octets are needed.
    pub fn next_message(&mut self) -> Result<Option<Bytes>, FrameError> {
        if self.message_len.is_none() {
            self.skip_keep_alives();
            match self.find_message() {
                Ok(found) => self.message_len = found,
                Err(error) => return Err(self.fail(error)),
            }
        }
        match self.message_len {
            Some(len) if len <= self.buffer.len() => {
                self.message_len = None;
                // Copied, so that a message kept by a transaction does not keep a whole read buffer alive.
                let message = Bytes::copy_from_slice(&self.buffer[..len]);
                self.consume(len);
                Ok(Some(message))
            }
            _ => Ok(None),
        }
    }

    /// How many keep-alive pings (a double CRLF between messages) came since the last call. Each is owed one CRLF
    /// (RFC 5626 3.5.1).
    pub fn take_pings(&mut self) -> u32 {
        std::mem::take(&mut self.pings)
    }

    /// Octets held.
    pub fn len(&self) -> usize {
        self.buffer.len()
    }

    /// Whether nothing is held: the stream stands between two messages.
    pub fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }

    /// Drops line ends between messages (RFC 3261 7.5), counting pings. A CRLF at the very end may be half a ping and
    /// stays.
    fn skip_keep_alives(&mut self) {
        loop {
            let skip = match &self.buffer[..] {
                [b'\r', b'\n', b'\r', b'\n', ..] => {
                    self.pings = self.pings.saturating_add(1);
                    4
                }
                [b'\r'] | [b'\r', b'\n'] | [b'\r', b'\n', b'\r'] => return,
                [b'\r', b'\n', ..] => 2,
                [b'\n', ..] => 1,
                _ => return,
            };
            self.consume(skip);
        }
    }

    /// The length of the message at the front, if its head is complete.
    fn find_message(&mut self) -> Result<Option<usize>, ParseError> {
        if self.buffer.first() == Some(&b'\r') {
            return if self.buffer.len() > 3 { Err(ParseError::BareCr) } else { Ok(None) };
        }
        match self.find_head() {
            Some(head) if head > SIP_HEAD_MAX => Err(ParseError::HeadTooLarge),
            Some(head) => frame_length(&self.buffer[..head]).map(Some),
            None if self.buffer.len() > SIP_HEAD_MAX => Err(ParseError::HeadTooLarge),
            None => Ok(None),
        }
    }

    /// The length of the head, its empty line included.
    fn find_head(&mut self) -> Option<usize> {
        while let Some(found) = memchr::memchr(b'\n', &self.buffer[self.scanned..]) {
            let line_end = self.scanned + found;
            match &self.buffer[line_end + 1..] {
                [b'\n', ..] => return Some(line_end + 2),
                [b'\r', b'\n', ..] => return Some(line_end + 3),
                // Not decided: look at this line end again when more is there.
                [] | [b'\r'] => {
                    self.scanned = line_end;
                    return None;
                }
                _ => self.scanned = line_end + 1,
            }
        }
        self.scanned = self.buffer.len();
        None
    }

    fn consume(&mut self, len: usize) {
        self.buffer.advance(len);
        self.scanned = 0;
        if self.buffer.is_empty() {
            // Most connections are idle most of the time; none of them keeps the room of its largest message.
            self.buffer = BytesMut::new();
        }
    }

    fn fail(&mut self, error: ParseError) -> FrameError {
        self.failed = true;
        self.scanned = 0;
        let octets = std::mem::take(&mut self.buffer).freeze();
        FrameError { error, octets }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ringfort_base::limits::SIP_BODY_MAX;

    const OPTIONS: &str = "OPTIONS sip:a SIP/2.0\r\nVia: SIP/2.0/TCP h\r\nl: 3\r\n\r\nabc";

    fn cut(octets: &[u8], chunk: usize) -> (Vec<Bytes>, u32) {
        let (mut framer, mut messages) = (StreamFramer::new(), Vec::new());
        for chunk in octets.chunks(chunk) {
            framer.push(chunk);
            while let Some(message) = framer.next_message().unwrap() {
                messages.push(message);
            }
        }
        (messages, framer.take_pings())
    }

    #[test]
    fn chunking_does_not_matter() {
        let stream = format!("\r\n\r\n{OPTIONS}\r\n{OPTIONS}\r\n\r\n\r\n\r\n{OPTIONS}");
        for chunk in 1..stream.len() {
            let (messages, pings) = cut(stream.as_bytes(), chunk);
            assert_eq!((messages.len(), pings), (3, 3), "chunks of {chunk}");
            assert!(messages.iter().all(|message| message == OPTIONS));
        }
    }

    #[test]
    fn streams_that_cannot_be_cut() {
        let filler = "x".repeat(SIP_HEAD_MAX);
        for (stream, error) in [
            ("OPTIONS sip:a SIP/2.0\r\nVia: x\r\n\r\n".to_owned(), ParseError::ContentLengthMissing),
            ("OPTIONS sip:a SIP/2.0\r\nl: -1\r\n\r\n".to_owned(), ParseError::ContentLength),
            ("OPTIONS sip:a SIP/2.0\r\nl: 1\r\nl: 2\r\n\r\n".to_owned(), ParseError::ContentLengthConflict),
            (format!("OPTIONS sip:a SIP/2.0\r\nl: {}\r\n\r\n", SIP_BODY_MAX + 1), ParseError::BodyTooLarge),
            (format!("OPTIONS sip:a SIP/2.0\r\nX: {filler}"), ParseError::HeadTooLarge),
            (format!("OPTIONS sip:a SIP/2.0\r\nl:0\r\nX: {filler}\r\n\r\n"), ParseError::HeadTooLarge),
            ("\rOPTIONS".to_owned(), ParseError::BareCr),
        ] {
            let mut framer = StreamFramer::new();
            framer.push(stream.as_bytes());
            let failure = framer.next_message().unwrap_err();
            assert_eq!((failure.error, failure.octets.len()), (error, stream.len()));
            framer.push(OPTIONS.as_bytes());
            assert_eq!(framer.next_message(), Ok(None), "a failed stream stays failed");
        }
    }

    #[test]
    fn the_largest_body_passes() {
        let body = "b".repeat(SIP_BODY_MAX);
        let stream = format!("OPTIONS sip:a SIP/2.0\r\nContent-Length:\r\n {SIP_BODY_MAX}\r\n\r\n{body}");
        assert_eq!(cut(stream.as_bytes(), 1000).0, [stream.as_bytes()]);
    }
}
