//! What can be wrong with a session description: the line and the rule it breaks.

use std::fmt;

/// A session description cannot be used: which line, counted from 1, breaks which rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SdpError {
    /// Line number, from 1; the last line when the whole body is at fault.
    pub line: usize,
    /// The rule.
    pub rule: Rule,
}

impl fmt::Display for SdpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SDP line {}: {}", self.line, self.rule)
    }
}

impl std::error::Error for SdpError {}

/// Rules of RFC 8866 and of the documents that add attributes, and the node's own limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rule {
    /// There is no line at all.
    Empty,
    /// Larger than `limits::SDP_MAX`.
    TooLong,
    /// More lines than `limits::SDP_LINES_MAX`.
    TooManyLines,
    /// More media lines than `limits::SDP_MEDIA_MAX`.
    TooManyMedia,
    /// More formats in a media line than `limits::SDP_FORMATS_MAX`.
    TooManyFormats,
    /// The first line is not `v=0` (RFC 8866 5.1).
    Version,
    /// Not a letter, `=` and a value (RFC 8866 5).
    LineSyntax,
    /// A NUL, or a carriage return within a line (RFC 8866 9, `byte-string`).
    ControlCharacter,
    /// `m=` malformed (RFC 8866 5.14).
    MediaLine,
    /// `c=` malformed (RFC 8866 5.7).
    Connection,
    /// `a=rtpmap` malformed (RFC 8866 6.6).
    Rtpmap,
    /// `a=fmtp` malformed (RFC 8866 6.15).
    Fmtp,
    /// `a=ptime` or `a=maxptime` is not a number of milliseconds (RFC 8866 6.4).
    Ptime,
    /// `a=rtcp` malformed (RFC 3605 2.1).
    Rtcp,
    /// `a=fingerprint` malformed (RFC 8122 5).
    Fingerprint,
    /// `a=setup` has an unknown role (RFC 4145 4).
    Setup,
    /// `a=ice-ufrag` or `a=ice-pwd` too short, too long or with forbidden characters (RFC 8839 5.4).
    IceCredentials,
    /// `a=candidate` malformed (RFC 8839 5.1).
    Candidate,
    /// `a=crypto` malformed (RFC 4568 9.1).
    Crypto,
    /// `a=group` malformed (RFC 5888 5).
    Group,
}

impl Rule {
    /// Whether the peer broke no rule but met a limit of this node.
    pub fn is_limit(self) -> bool {
        matches!(self, Rule::TooLong | Rule::TooManyLines | Rule::TooManyMedia | Rule::TooManyFormats)
    }

    /// The rule in words, for `Warning` and log.
    pub fn as_str(self) -> &'static str {
        match self {
            Rule::Empty => "no session description",
            Rule::TooLong => "longer than this node reads",
            Rule::TooManyLines => "more lines than this node reads",
            Rule::TooManyMedia => "more media lines than this node reads",
            Rule::TooManyFormats => "more formats than this node reads",
            Rule::Version => "must be v=0 (RFC 8866 5.1)",
            Rule::LineSyntax => "must be a letter, '=' and a value (RFC 8866 5)",
            Rule::ControlCharacter => "forbidden control character (RFC 8866 9)",
            Rule::MediaLine => "malformed m= (RFC 8866 5.14)",
            Rule::Connection => "malformed c= (RFC 8866 5.7)",
            Rule::Rtpmap => "malformed a=rtpmap (RFC 8866 6.6)",
            Rule::Fmtp => "malformed a=fmtp (RFC 8866 6.15)",
            Rule::Ptime => "malformed a=ptime or a=maxptime (RFC 8866 6.4)",
            Rule::Rtcp => "malformed a=rtcp (RFC 3605 2.1)",
            Rule::Fingerprint => "malformed a=fingerprint (RFC 8122 5)",
            Rule::Setup => "unknown role in a=setup (RFC 4145 4)",
            Rule::IceCredentials => "malformed a=ice-ufrag or a=ice-pwd (RFC 8839 5.4)",
            Rule::Candidate => "malformed a=candidate (RFC 8839 5.1)",
            Rule::Crypto => "malformed a=crypto (RFC 4568 9.1)",
            Rule::Group => "malformed a=group (RFC 5888 5)",
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
