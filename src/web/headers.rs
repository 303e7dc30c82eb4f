//! Headers of every answer, and the guard against requests that another site makes a browser send.

use crate::error::ApiError;
use crate::state::WebState;
use axum::extract::{Request, State};
use axum::http::header::{self, HeaderName};
use axum::http::{HeaderMap, HeaderValue, Method};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

/// Required on requests that change something. A form cannot send it, and a script of another site only after a
/// CORS preflight, which the node never grants. Stands beside `SameSite=Strict` for browsers and paths that do not
/// keep to it.
pub const GUARD: &str = "x-ringfort";

/// `connect-src` names `wss:` because not every browser counts a WebSocket to the same host as `'self'`. Calls' audio
/// is a `MediaStream`, which no directive governs; ringing tones may be `blob:`.
const CONTENT_SECURITY_POLICY: &str = "default-src 'self'; connect-src 'self' wss:; media-src 'self' blob:; \
     object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

const FIXED: [(HeaderName, &str); 6] = [
    (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("permissions-policy"), "microphone=(self), camera=(), geolocation=()"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
];

/// One year: what browsers expect of a host that means it.
const HSTS: &str = "max-age=31536000";

/// Adds the headers and turns away what lacks the guard.
pub async fn secure(State(state): State<WebState>, request: Request, next: Next) -> Response {
    let mut response = if is_guarded(request.method(), request.headers()) {
        next.run(request).await
    } else {
        ApiError::cross_site().into_response()
    };
    let headers = response.headers_mut();
    for (name, value) in FIXED {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if state.hsts {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static(HSTS));
    }
    // Answers hold personal data; pages say themselves how long they may be kept.
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

fn is_guarded(method: &Method, headers: &HeaderMap) -> bool {
    method.is_safe() || headers.get(GUARD).is_some_and(|value| value == "1")
}
