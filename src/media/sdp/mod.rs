//! Session descriptions (RFC 8866): lines kept as received and in order, typed views of the few that Ringfort reads.
//!
//! [`Sdp::parse`] checks only the structure: `v=0` first, every line a letter and a value, `m=` lines readable. What a line
//! means is asked for through [`Section`], and an error then names the line and the [`Rule`]. Lines that Ringfort does not know
//! are kept and written back octet for octet.
//!
//! Lenient where real peers are: lines may end in LF alone, `o=`, `s=` and `t=` may be missing, the body may end in blank lines
//! or without a line end. Strict where a meaning would have to be guessed.

mod error;
mod parse;
mod section;
mod values;

pub use error::{Rule, SdpError};
pub use section::{Attribute, Section};
pub(crate) use values::payload_type;
pub use values::{Candidate, Connection, Crypto, Direction, Fingerprint, Fmtp, Group, RtcpAddress, Rtpmap, Setup};

/// One line of a session description. The value holds neither CR, LF nor NUL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    letter: u8,
    value: Vec<u8>,
}

impl Line {
    /// A line to write. CR, LF and NUL in `value` become spaces, so that no text can add a line.
    pub fn new(letter: char, value: impl AsRef<[u8]>) -> Line {
        let clean = |&octet: &u8| if matches!(octet, b'\r' | b'\n' | 0) { b' ' } else { octet };
        let letter = if letter.is_ascii_alphabetic() { letter as u8 } else { b'x' };
        Line { letter, value: value.as_ref().iter().map(clean).collect() }
    }

    /// The letter before `=`.
    pub fn letter(&self) -> char {
        char::from(self.letter)
    }

    /// The octets behind `=`.
    pub fn value(&self) -> &[u8] {
        &self.value
    }

    /// The value as text; `None` when it is not UTF-8 (another `a=charset`): then it is carried but not understood.
    pub fn text(&self) -> Option<&str> {
        std::str::from_utf8(&self.value).ok()
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&[self.letter, b'=']);
        out.extend_from_slice(&self.value);
        out.extend_from_slice(b"\r\n");
    }
}

/// The parts of an `m=` line (RFC 8866 5.14).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaLine {
    /// `audio`, `video`, `application`, ...
    pub kind: String,
    /// Port; 0 refuses the line (RFC 3264 6).
    pub port: u16,
    /// Number of ports, where written.
    pub ports: Option<u16>,
    /// `RTP/AVP`, `UDP/TLS/RTP/SAVPF`, ...
    pub proto: String,
    /// Payload types or other format names, in order of preference. May be empty only with port 0.
    pub formats: Vec<String>,
}

/// One media section: its `m=` line and what follows until the next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Media {
    head: Line,
    line: MediaLine,
    /// The lines behind `m=`.
    pub lines: Vec<Line>,
}

impl Media {
    /// A section to write.
    pub fn new(line: MediaLine) -> Media {
        let ports = line.ports.map(|n| format!("/{n}")).unwrap_or_default();
        let mut text = format!("{} {}{ports} {}", line.kind, line.port, line.proto);
        for format in &line.formats {
            text.push(' ');
            text.push_str(format);
        }
        Media { head: Line::new('m', text), line, lines: Vec::new() }
    }

    /// The parts of the `m=` line.
    pub fn line(&self) -> &MediaLine {
        &self.line
    }

    /// Adds `a=name` or `a=name:value`.
    pub fn attribute(&mut self, name: &str, value: Option<&str>) {
        self.lines.push(attribute_line(name, value));
    }
}

/// `a=name` or `a=name:value`.
pub fn attribute_line(name: &str, value: Option<&str>) -> Line {
    match value {
        Some(value) => Line::new('a', format!("{name}:{value}")),
        None => Line::new('a', name),
    }
}

/// A session description.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sdp {
    /// Lines before the first `m=`, `v=` among them.
    pub session: Vec<Line>,
    /// Media sections in order.
    pub media: Vec<Media>,
}

impl Sdp {
    /// Reads a body.
    ///
    /// # Errors
    /// The first line that breaks the structure or a limit of `ringfort_base::limits`.
    pub fn parse(body: &[u8]) -> Result<Sdp, SdpError> {
        parse::parse(body)
    }

    /// The body, every line ended by CRLF (RFC 8866 5).
    pub fn write(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(1024);
        self.session.iter().for_each(|line| line.write(&mut out));
        for media in &self.media {
            media.head.write(&mut out);
            media.lines.iter().for_each(|line| line.write(&mut out));
        }
        out
    }

    /// The session section.
    pub fn session_section(&self) -> Section<'_> {
        Section::new(1, &self.session)
    }

    /// The section of the media line at `index`; `None` beyond the last.
    pub fn media_section(&self, index: usize) -> Option<Section<'_>> {
        let media = self.media.get(index)?;
        Some(Section::new(self.media_line_number(index) + 1, &media.lines))
    }

    /// Number of the `m=` line at `index`, counted from 1.
    pub fn media_line_number(&self, index: usize) -> usize {
        let before: usize = self.media.iter().take(index).map(|m| m.lines.len() + 1).sum();
        self.session.len() + before + 1
    }
}
