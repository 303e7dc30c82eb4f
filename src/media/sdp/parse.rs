//! Octets to lines and sections.

use super::{Line, Media, MediaLine, Rule, Sdp, SdpError};
use ringfort_base::limits::{SDP_FORMATS_MAX, SDP_LINES_MAX, SDP_MAX, SDP_MEDIA_MAX};

pub(super) fn parse(body: &[u8]) -> Result<Sdp, SdpError> {
    let count = line_count(body)?;
    let mut sdp = Sdp { session: Vec::new(), media: Vec::new() };
    for (index, raw) in body.split(|&octet| octet == b'\n').take(count).enumerate() {
        let number = index + 1;
        let line = parse_line(raw).map_err(|rule| SdpError { line: number, rule })?;
        if index == 0 && (line.letter != b'v' || line.value.trim_ascii() != b"0") {
            return Err(SdpError { line: number, rule: Rule::Version });
        }
        place(&mut sdp, line).map_err(|rule| SdpError { line: number, rule })?;
    }
    Ok(sdp)
}

/// Number of lines up to the last that is not blank.
fn line_count(body: &[u8]) -> Result<usize, SdpError> {
    if body.len() > SDP_MAX {
        return Err(SdpError { line: 1, rule: Rule::TooLong });
    }
    let Some(last) = body.iter().rposition(|octet| !matches!(octet, b'\r' | b'\n')) else {
        return Err(SdpError { line: 1, rule: Rule::Empty });
    };
    let count = 1 + body.iter().take(last).filter(|&&octet| octet == b'\n').count();
    if count > SDP_LINES_MAX {
        return Err(SdpError { line: SDP_LINES_MAX + 1, rule: Rule::TooManyLines });
    }
    Ok(count)
}

fn parse_line(raw: &[u8]) -> Result<Line, Rule> {
    let text = raw.strip_suffix(b"\r").unwrap_or(raw);
    if text.iter().any(|octet| matches!(octet, 0 | b'\r')) {
        return Err(Rule::ControlCharacter);
    }
    match text {
        [letter, b'=', value @ ..] if letter.is_ascii_alphabetic() => Ok(Line { letter: *letter, value: value.to_vec() }),
        _ => Err(Rule::LineSyntax),
    }
}

fn place(sdp: &mut Sdp, line: Line) -> Result<(), Rule> {
    if line.letter == b'm' {
        if sdp.media.len() == SDP_MEDIA_MAX {
            return Err(Rule::TooManyMedia);
        }
        let parts = parse_media_line(line.text().ok_or(Rule::MediaLine)?)?;
        sdp.media.push(Media { head: line, line: parts, lines: Vec::new() });
    } else if let Some(media) = sdp.media.last_mut() {
        media.lines.push(line);
    } else {
        sdp.session.push(line);
    }
    Ok(())
}

/// `<media> <port>[/<number of ports>] <proto> <fmt> ...` (RFC 8866 5.14).
fn parse_media_line(text: &str) -> Result<MediaLine, Rule> {
    let mut words = text.split_ascii_whitespace();
    let kind = words.next().filter(|kind| is_token(kind)).ok_or(Rule::MediaLine)?;
    let (port, ports) = parse_ports(words.next().ok_or(Rule::MediaLine)?)?;
    let proto = words.next().filter(|proto| proto.split('/').all(is_token)).ok_or(Rule::MediaLine)?;
    let formats: Vec<String> = words.take(SDP_FORMATS_MAX + 1).map(str::to_owned).collect();
    if formats.len() > SDP_FORMATS_MAX {
        return Err(Rule::TooManyFormats);
    }
    // Some peers refuse a line without naming a format; nothing has to be guessed then.
    if formats.is_empty() && port != 0 {
        return Err(Rule::MediaLine);
    }
    Ok(MediaLine { kind: kind.to_owned(), port, ports, proto: proto.to_owned(), formats })
}

fn parse_ports(word: &str) -> Result<(u16, Option<u16>), Rule> {
    let number = |text: &str| digits(text).and_then(|n| u16::try_from(n).ok()).ok_or(Rule::MediaLine);
    match word.split_once('/') {
        Some((port, count)) => Ok((number(port)?, Some(number(count)?))),
        None => Ok((number(word)?, None)),
    }
}

/// A decimal number of digits only: `str::parse` would also take `+1`.
pub(super) fn digits(text: &str) -> Option<u64> {
    let decimal = !text.is_empty() && text.bytes().all(|octet| octet.is_ascii_digit());
    decimal.then(|| text.parse().ok()).flatten()
}

/// `token` of RFC 8866 9.
pub(super) fn is_token(text: &str) -> bool {
    let token_char =
        |octet: u8| matches!(octet, 0x21 | 0x23..=0x27 | 0x2a | 0x2b | 0x2d | 0x2e | 0x30..=0x39 | 0x41..=0x5a | 0x5e..=0x7e);
    !text.is_empty() && text.bytes().all(token_char)
}
