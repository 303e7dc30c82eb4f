//! The session cookie (RFC 6265, `SameSite` of RFC 6265bis).

use axum::http::{HeaderMap, HeaderValue, header};

/// Name of the cookie.
pub const COOKIE: &str = "ringfort_session";
/// Longest token looked at, octets.
const TOKEN_MAX: usize = 128;

/// `HttpOnly`: no script reads it. `Secure`: it never travels in the clear. `SameSite=Strict`: no other site's link
/// or form carries it. Without `Max-Age` it goes with the browser; the node ends the session anyway.
const ATTRIBUTES: &str = "; Path=/; HttpOnly; Secure; SameSite=Strict";

/// The session token of a request.
pub fn token(headers: &HeaderMap) -> Option<&str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(name, value)| *name == COOKIE && (1..=TOKEN_MAX).contains(&value.len()))
        .map(|(_, value)| value)
}

/// `Set-Cookie` of a new session.
pub fn set(token: &str) -> Option<HeaderValue> {
    HeaderValue::try_from(format!("{COOKIE}={token}{ATTRIBUTES}")).ok()
}

/// `Set-Cookie` that removes the cookie.
pub fn clear() -> Option<HeaderValue> {
    HeaderValue::try_from(format!("{COOKIE}={ATTRIBUTES}; Max-Age=0")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_token_among_others() {
        let find = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::COOKIE, HeaderValue::try_from(text).unwrap());
            token(&headers).map(str::to_owned)
        };
        assert_eq!(find("ringfort_session=abc").as_deref(), Some("abc"));
        assert_eq!(find("a=b; ringfort_session=abc; c=d").as_deref(), Some("abc"));
        for none in ["", "ringfort_session", "ringfort_session=", "xringfort_session=abc", "a=ringfort_session"] {
            assert_eq!(find(none), None, "{none}");
        }
        assert_eq!(find(&format!("ringfort_session={}", "x".repeat(TOKEN_MAX + 1))), None);
    }
}
