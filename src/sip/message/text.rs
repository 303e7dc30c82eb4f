//! Lexical pieces of RFC 3261 25.1 that several headers share: tokens, quoted strings, splitting outside of quotes.

use memchr::{memchr, memchr2, memchr3};
use std::borrow::Cow;

/// `token` of RFC 3261 25.1, as a table: most octets of a head are asked.
const TOKEN: [bool; 256] = {
    let (mut table, mut b) = ([false; 256], 0u8);
    while b < 128 {
        table[b as usize] =
            b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'!' | b'%' | b'*' | b'_' | b'+' | b'`' | b'\'' | b'~');
        b += 1;
    }
    table
};

pub(crate) fn is_token_byte(b: u8) -> bool {
    TOKEN[usize::from(b)]
}

/// Whether all of `text` is one token.
pub(crate) fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(is_token_byte)
}

/// Space and tab: what remains of LWS once folds were replaced by spaces.
pub(crate) fn is_ws(b: u8) -> bool {
    b == b' ' || b == b'\t'
}

/// Trims LWS at both ends.
pub(crate) fn trim(text: &str) -> &str {
    text.trim_matches([' ', '\t'])
}

/// The index of the quote that closes the quoted string which `text` begins with.
pub(crate) fn closing_quote(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    debug_assert_eq!(bytes.first(), Some(&b'"'));
    let mut at = 1;
    loop {
        at += memchr2(b'"', b'\\', bytes.get(at..)?)?;
        if bytes[at] == b'"' {
            return Some(at);
        }
        at += 2;
    }
}

/// The inside of a quoted string, escapes kept; other text as it is.
pub(crate) fn unquoted(text: &str) -> &str {
    match text.strip_prefix('"').and_then(|inside| inside.strip_suffix('"')) {
        Some(inside) => inside,
        None => text,
    }
}

/// Resolves `quoted-pair`s (RFC 3261 25.1).
pub(crate) fn unescaped(text: &str) -> Cow<'_, str> {
    if !text.contains('\\') {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        out.push(if c == '\\' { chars.next().unwrap_or('\\') } else { c });
    }
    Cow::Owned(out)
}

/// Writes a value as a quoted string. Displays with the quotes.
pub(crate) struct Quoted<'a>(pub &'a str);

impl std::fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        use std::fmt::Write;
        f.write_char('"')?;
        for c in self.0.chars() {
            if matches!(c, '"' | '\\') {
                f.write_char('\\')?;
            }
            f.write_char(c)?;
        }
        f.write_char('"')
    }
}

/// The comma-separated values of a list header's text; commas within quotes and `<>` do not separate, empty values are left out.
pub fn split_values(text: &str) -> impl Iterator<Item = &str> {
    Split::commas(text).filter(|value| !value.is_empty())
}

/// Splits at a separator that stands outside of quoted strings and, when asked for, outside of `<>`.
/// Pieces are trimmed. A quote or bracket that is never closed takes the rest of the text.
#[derive(Clone, Debug)]
pub(crate) struct Split<'a> {
    rest: Option<&'a str>,
    separator: u8,
    angles: bool,
}

impl<'a> Split<'a> {
    /// Values of a list header: commas outside of quotes and `<>`.
    pub(crate) fn commas(text: &'a str) -> Self {
        Split { rest: Some(text), separator: b',', angles: true }
    }

    /// Parameters: semicolons outside of quotes.
    pub(crate) fn semicolons(text: &'a str) -> Self {
        Split { rest: Some(text), separator: b';', angles: false }
    }

    /// Authentication parameters: commas outside of quotes; brackets mean nothing there.
    pub(crate) fn auth_params(text: &'a str) -> Self {
        Split { rest: Some(text), separator: b',', angles: false }
    }

    fn end_of_piece(&self, text: &str) -> Option<usize> {
        let (bytes, mut at) = (text.as_bytes(), 0);
        let open = if self.angles { b'<' } else { b'"' };
        loop {
            at += memchr3(self.separator, b'"', open, bytes.get(at..)?)?;
            match bytes[at] {
                b'"' => at += closing_quote(&text[at..])? + 1,
                b'<' => at += memchr(b'>', &bytes[at..])? + 1,
                _ => return Some(at),
            }
        }
    }
}

impl<'a> Iterator for Split<'a> {
    type Item = &'a str;
    fn next(&mut self) -> Option<&'a str> {
        let text = self.rest?;
        let piece = match self.end_of_piece(text) {
            Some(end) => {
                self.rest = Some(&text[end + 1..]);
                &text[..end]
            }
            None => {
                self.rest = None;
                text
            }
        };
        Some(trim(piece))
    }
}

/// Reads `1*DIGIT` that fits `T`. Empty, signed or oversized text is `None`.
pub(crate) fn number<T: std::str::FromStr>(text: &str) -> Option<T> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_outside_of_quotes_and_angles() {
        let text = r#""a, \", b" <sip:x,y@h>;p="," , <sip:b>"#;
        let values: Vec<_> = Split::commas(text).collect();
        assert_eq!(values, [r#""a, \", b" <sip:x,y@h>;p=",""#, "<sip:b>"]);
        assert_eq!(Split::semicolons("a;b=\";\";c").collect::<Vec<_>>(), ["a", "b=\";\"", "c"]);
    }

    #[test]
    fn an_unclosed_quote_takes_the_rest() {
        assert_eq!(Split::commas("\"a, b").collect::<Vec<_>>(), ["\"a, b"]);
        assert_eq!(closing_quote("\"a\\\""), None);
        assert_eq!(closing_quote("\"a\\"), None);
    }

    #[test]
    fn quoting_and_unquoting_are_inverse() {
        let value = "a \"b\" \\c";
        let quoted = Quoted(value).to_string();
        assert_eq!(quoted, r#""a \"b\" \\c""#);
        assert_eq!(unescaped(unquoted(&quoted)), value);
    }

    #[test]
    fn numbers_are_digits_only() {
        assert_eq!(number::<u32>("0009"), Some(9));
        for bad in ["", "-1", "+1", "1 ", "4294967296"] {
            assert_eq!(number::<u32>(bad), None, "{bad}");
        }
    }
}
