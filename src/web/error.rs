//! The one shape of errors: `{"error": {"code", "message", "field"?}}`.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::time::Duration;
use utoipa::ToSchema;

/// Body of every answer that is not a success.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ErrorBody {
    /// What went wrong.
    pub error: ErrorDetail,
}

/// What went wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ErrorDetail {
    /// Stable code for programs: `not-signed-in`, `throttled`, ...
    pub code: String,
    /// One sentence for people, in English.
    pub message: String,
    /// Field of the request that is wrong, where one is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
}

/// An answer that is not a success.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiError {
    status: StatusCode,
    code: &'static str,
    message: Cow<'static, str>,
    field: Option<&'static str>,
    retry_after: Option<Duration>,
}

impl ApiError {
    /// An error with a stable code and a sentence.
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<Cow<'static, str>>) -> ApiError {
        ApiError { status, code, message: message.into(), field: None, retry_after: None }
    }

    /// Names the field that is wrong.
    pub fn field(mut self, field: &'static str) -> ApiError {
        self.field = Some(field);
        self
    }

    /// 401: no session, or one that has ended.
    pub fn not_signed_in() -> ApiError {
        ApiError::new(StatusCode::UNAUTHORIZED, "not-signed-in", "Sign in first.")
    }
    /// 401: one text for an unknown user and for a wrong password.
    pub fn bad_credentials() -> ApiError {
        ApiError::new(StatusCode::UNAUTHORIZED, "bad-credentials", "User name or password is wrong.")
    }
    /// 403: signed in, but this is for others.
    pub fn forbidden() -> ApiError {
        ApiError::new(StatusCode::FORBIDDEN, "forbidden", "This account may not do that.")
    }
    /// 403: the one-time password is still in force.
    pub fn password_change_required() -> ApiError {
        let text = "Change the one-time password first.";
        ApiError::new(StatusCode::FORBIDDEN, "password-change-required", text)
    }
    /// 403: the header that other sites cannot send is missing.
    pub fn cross_site() -> ApiError {
        let text = "Requests that change something need the header 'X-Ringfort: 1'.";
        ApiError::new(StatusCode::FORBIDDEN, "cross-site", text)
    }
    /// 404.
    pub fn not_found(message: &'static str) -> ApiError {
        ApiError::new(StatusCode::NOT_FOUND, "not-found", message)
    }
    /// 429 with `Retry-After`.
    pub fn throttled(retry_after: Duration) -> ApiError {
        let text = "Too many attempts. Try again later.";
        let error = ApiError::new(StatusCode::TOO_MANY_REQUESTS, "throttled", text);
        ApiError { retry_after: Some(retry_after), ..error }
    }
    /// 503 with `Retry-After`: a local limit.
    pub fn busy() -> ApiError {
        let error = ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "busy", "The node is busy. Try again.");
        ApiError { retry_after: Some(Duration::from_secs(2)), ..error }
    }
    /// 500: a defect of this node.
    pub fn internal() -> ApiError {
        ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "The node failed to answer.")
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let error =
            ErrorDetail { code: self.code.to_owned(), message: self.message.into_owned(), field: self.field.map(str::to_owned) };
        let mut response = (self.status, Json(ErrorBody { error })).into_response();
        if let Some(wait) = self.retry_after {
            // Rounded up: a client that comes back at the second would else be early.
            let seconds = wait.as_millis().div_ceil(1_000).max(1) as u64;
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}
