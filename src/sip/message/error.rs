//! What can be wrong with a message. Each variant names one rule, so that it can be told to the peer and counted.

use super::HeaderName;

/// Octets that cannot be represented as a message at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum ParseError {
    /// Nothing but line ends: a keep-alive (RFC 5626 3.5.1), not a message.
    #[error("keep-alive")]
    Empty,
    /// More than [`ringfort_base::limits::SIP_MESSAGE_MAX`] octets.
    #[error("message too large")]
    MessageTooLarge,
    /// More than [`ringfort_base::limits::SIP_HEAD_MAX`] octets before the empty line.
    #[error("head too large")]
    HeadTooLarge,
    /// More than [`ringfort_base::limits::SIP_BODY_MAX`] octets of body.
    #[error("body too large")]
    BodyTooLarge,
    /// More than [`ringfort_base::limits::SIP_HEADERS_MAX`] header fields.
    #[error("too many header fields")]
    TooManyHeaders,
    /// Neither a request line nor a status line (RFC 3261 7.1, 7.2).
    #[error("bad start line")]
    StartLine,
    /// The status code is not three digits of 100 to 699 (RFC 3261 7.2).
    #[error("bad status code")]
    StatusCode,
    /// A header line without a colon or without a name (RFC 3261 7.3.1).
    #[error("bad header line")]
    HeaderLine,
    /// A CR that no LF follows (RFC 3261 7). Somebody behind Ringfort could take it for the end of a line.
    #[error("bare CR")]
    BareCr,
    /// The empty line after the header fields is missing (RFC 3261 7).
    #[error("head not ended by an empty line")]
    HeadUnterminated,
    /// Content-Length is not a number, negative, or larger than any message (RFC 3261 20.14).
    #[error("bad Content-Length")]
    ContentLength,
    /// No Content-Length on a stream, where nothing else ends the message (RFC 3261 18.3).
    #[error("missing Content-Length")]
    ContentLengthMissing,
    /// Several Content-Length fields that differ.
    #[error("contradicting Content-Length")]
    ContentLengthConflict,
    /// Content-Length is larger than what is there (RFC 3261 18.3).
    #[error("Content-Length larger than the body")]
    Truncated,
}

impl ParseError {
    /// The rule's stable name, for events and metrics.
    pub fn rule(self) -> &'static str {
        match self {
            ParseError::Empty => "keep-alive",
            ParseError::MessageTooLarge => "message-too-large",
            ParseError::HeadTooLarge => "head-too-large",
            ParseError::BodyTooLarge => "body-too-large",
            ParseError::TooManyHeaders => "too-many-headers",
            ParseError::StartLine => "start-line",
            ParseError::StatusCode => "status-code",
            ParseError::HeaderLine => "header-line",
            ParseError::BareCr => "bare-cr",
            ParseError::HeadUnterminated => "head-unterminated",
            ParseError::ContentLength => "content-length",
            ParseError::ContentLengthMissing => "content-length-missing",
            ParseError::ContentLengthConflict => "content-length-conflict",
            ParseError::Truncated => "truncated-body",
        }
    }
}

/// A header field that is absent where it must not be, or cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum HeaderError {
    /// Mandatory and absent (RFC 3261 8.1.1).
    #[error("missing {0}")]
    Missing(HeaderName),
    /// Present and malformed.
    #[error("bad {header}: {rule}")]
    Malformed {
        /// The field.
        header: HeaderName,
        /// The rule's stable name.
        rule: &'static str,
    },
    /// More values than [`ringfort_base::limits::SIP_LIST_VALUES_MAX`].
    #[error("too many values in {0}")]
    TooManyValues(HeaderName),
}

impl HeaderError {
    /// The field.
    pub fn header(self) -> HeaderName {
        match self {
            HeaderError::Missing(header) | HeaderError::TooManyValues(header) => header,
            HeaderError::Malformed { header, .. } => header,
        }
    }

    /// The rule's stable name, for events and metrics.
    pub fn rule(self) -> &'static str {
        match self {
            HeaderError::Missing(_) => "header-missing",
            HeaderError::Malformed { rule, .. } => rule,
            HeaderError::TooManyValues(_) => "too-many-values",
        }
    }

    pub(crate) fn malformed(header: HeaderName, rule: &'static str) -> HeaderError {
        HeaderError::Malformed { header, rule }
    }
}
