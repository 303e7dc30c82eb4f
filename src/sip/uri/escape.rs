//! Percent escapes (RFC 3261 19.1.2).

use std::borrow::Cow;
use std::fmt::Write;

/// `unreserved` of RFC 3261 25.1: letters, digits, mark.
fn is_unreserved(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'!' | b'~' | b'*' | b'\'' | b'(' | b')')
}

/// What may stand in a user part without an escape (`unreserved / user-unreserved`).
fn is_user_byte(b: u8) -> bool {
    is_unreserved(b) || matches!(b, b'&' | b'=' | b'+' | b'$' | b',' | b';' | b'?' | b'/')
}

/// Escapes what must be in a user part.
pub fn escape_user(user: &str) -> Cow<'_, str> {
    if user.bytes().all(is_user_byte) {
        return Cow::Borrowed(user);
    }
    let mut out = String::with_capacity(user.len() + 8);
    for b in user.bytes() {
        if is_user_byte(b) {
            out.push(char::from(b));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(out, "%{b:02X}");
        }
    }
    Cow::Owned(out)
}

/// Resolves every escape. Octets that are not UTF-8 afterwards become U+FFFD; a percent sign without digits stays.
pub fn unescape(text: &str) -> Cow<'_, str> {
    if !text.contains('%') {
        return Cow::Borrowed(text);
    }
    Cow::Owned(String::from_utf8_lossy(&resolve(text, |_| true)).into_owned())
}

/// The form in which two texts that mean the same are equal: escapes of characters that need none are resolved; the
/// others are written in upper case (RFC 3261 19.1.4: reserved characters differ from their escapes).
pub(super) fn normalised(text: &str) -> Vec<u8> {
    resolve(text, is_unreserved)
}

fn resolve(text: &str, wanted: impl Fn(u8) -> bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        match escape(rest) {
            Some(b) if wanted(b) => out.push(b),
            Some(_) => out.extend(rest[..3].to_ascii_uppercase()),
            None => {
                out.push(first);
                rest = tail;
                continue;
            }
        }
        rest = &rest[3..];
    }
    out
}

/// The octet that `%XX` at the beginning stands for.
fn escape(text: &[u8]) -> Option<u8> {
    let [b'%', high, low, ..] = text else {
        return None;
    };
    let digit = |b: u8| char::from(b).to_digit(16);
    // Two hexadecimal digits are below 256.
    Some((digit(*high)? * 16 + digit(*low)?) as u8)
}

/// Whether every percent sign begins an escape.
pub(super) fn are_sound(text: &str) -> bool {
    let bytes = text.as_bytes();
    memchr::memchr_iter(b'%', bytes).all(|at| escape(&bytes[at..]).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_and_back() {
        assert_eq!(escape_user("a b@c"), "a%20b%40c");
        assert_eq!(unescape("a%20b%40c"), "a b@c");
        assert_eq!(unescape("%00"), "\0");
        assert_eq!(unescape("100%"), "100%");
        assert_eq!(unescape("%ff"), "\u{fffd}");
        assert_eq!(escape_user("*21#"), "*21%23");
        assert_eq!(escape_user("+49;phone-context=x"), "+49;phone-context=x");
    }

    #[test]
    fn reserved_characters_differ_from_their_escapes() {
        assert_eq!(normalised("%61lice"), b"alice");
        assert_ne!(normalised("a%3bb"), normalised("a;b"));
        assert_eq!(normalised("a%3bb"), normalised("a%3Bb"));
    }
}
