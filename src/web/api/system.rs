//! The node as a whole: status, health, metrics, reload.

use super::session::blocking;
use crate::error::{ApiError, ErrorBody};
use crate::extract::{Administrator, Peer};
use crate::model::{ModeView, StatusView};
use crate::state::WebState;
use axum::Json;
use axum::extract::{FromRequestParts, Path, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::IntoResponse;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Whether the node answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Health {
    /// The process answers. It says nothing about peers: see `mode` and the status.
    pub ok: bool,
    /// Mode now.
    pub mode: ModeView,
}

/// The whole node at one moment.
#[utoipa::path(get, path = "/status", tag = "system", responses(
    (status = 200, description = "The status", body = StatusView),
    (status = 401, description = "Not signed in", body = ErrorBody),
    (status = 403, description = "Not an administrator, or the password has to be changed", body = ErrorBody)))]
pub async fn status(State(state): State<WebState>, _: Administrator) -> Json<StatusView> {
    Json(state.status_view(&state.backend.status()))
}

/// Reads the configuration again. Calls in progress keep the one they began with.
#[utoipa::path(post, path = "/reload", tag = "system", responses(
    (status = 204, description = "The configuration is in force"),
    (status = 401, description = "Not signed in", body = ErrorBody),
    (status = 403, description = "Not an administrator, or the password has to be changed", body = ErrorBody),
    (status = 409, description = "The configuration was refused; the old one stays in force", body = ErrorBody)))]
pub async fn reload(State(state): State<WebState>, _: Administrator) -> Result<StatusCode, ApiError> {
    match blocking(move || state.backend.reload()).await? {
        Ok(()) => Ok(StatusCode::NO_CONTENT),
        Err(reason) => Err(ApiError::new(StatusCode::CONFLICT, "configuration-refused", reason)),
    }
}

/// Lifts the ban of a source. It is listened to again at once; what it did is forgiven.
#[utoipa::path(delete, path = "/bans/{source}", tag = "system",
    params(("source" = String, Path, description = "Address, of an IPv6 network any one: `192.0.2.7`")), responses(
    (status = 204, description = "The ban is lifted"),
    (status = 401, description = "Not signed in", body = ErrorBody),
    (status = 403, description = "Not an administrator, or the password has to be changed", body = ErrorBody),
    (status = 404, description = "That source is not banned", body = ErrorBody)))]
pub async fn unban(State(state): State<WebState>, _: Administrator, Path(source): Path<String>) -> Result<StatusCode, ApiError> {
    let not_banned = || ApiError::not_found("That source is not banned.");
    let source = source.parse().map_err(|_| not_banned())?;
    let lifted = blocking(move || state.backend.unban(source)).await?;
    lifted.then_some(StatusCode::NO_CONTENT).ok_or_else(not_banned)
}

/// Whether the node answers, for load balancers and watchdogs.
#[utoipa::path(get, path = "/health", tag = "system", responses(
    (status = 200, description = "It does", body = Health)))]
pub async fn health(State(state): State<WebState>) -> Json<Health> {
    Json(Health { ok: true, mode: state.backend.status().mode.into() })
}

/// Metrics in the Prometheus text format: for administrators, and for a collector on the node itself.
#[utoipa::path(get, path = "/metrics", tag = "system", responses(
    (status = 200, description = "Text format 0.0.4", body = String, content_type = "text/plain"),
    (status = 401, description = "Not signed in, and not from the node itself", body = ErrorBody),
    (status = 403, description = "Not an administrator, or the password has to be changed", body = ErrorBody)))]
pub async fn metrics(State(state): State<WebState>, peer: Peer, request: Request) -> Result<impl IntoResponse, ApiError> {
    if !peer.is_loopback() || is_forwarded(request.headers()) {
        let mut parts = request.into_parts().0;
        Administrator::from_request_parts(&mut parts, &state).await?;
    }
    let text = blocking(move || state.backend.metrics()).await?;
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text))
}

/// Whether a proxy on the node passed the request on for somebody else.
fn is_forwarded(headers: &HeaderMap) -> bool {
    [header::FORWARDED.as_str(), "x-forwarded-for", header::VIA.as_str()].iter().any(|name| headers.contains_key(*name))
}
