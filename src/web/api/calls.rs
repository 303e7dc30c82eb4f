//! Live calls and those that ended.

use super::session::blocking;
use crate::convert::call_id;
use crate::error::{ApiError, ErrorBody};
use crate::extract::{Administrator, Params};
use crate::model::{CallView, RecordView, TimelineView};
use crate::state::WebState;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

pub use ringfort_base::limits::PAGE_MAX;

/// A part of a list.
#[derive(Clone, Copy, Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Page {
    /// Entries to leave out at the beginning.
    #[serde(default)]
    pub offset: usize,
    /// Entries to answer with, 1,000 at most.
    #[serde(default = "page_default")]
    pub limit: usize,
}

fn page_default() -> usize {
    PAGE_MAX
}

impl Page {
    /// The entries of this page.
    pub fn of<'a, T, V: From<&'a T>>(&self, list: &'a [T]) -> Vec<V> {
        list.iter().skip(self.offset).take(self.limit.min(PAGE_MAX)).map(V::from).collect()
    }
}

/// Calls.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CallList {
    /// All live calls, also those on other pages.
    pub total: usize,
    /// This page of the live calls, oldest first.
    pub calls: Vec<CallView>,
    /// Calls that ended, newest first.
    pub recent: Vec<RecordView>,
}

/// Live calls page by page, and the last that ended.
#[utoipa::path(get, path = "/calls", tag = "calls", params(Page), responses(
    (status = 200, description = "Calls", body = CallList),
    (status = 400, description = "Not a page", body = ErrorBody),
    (status = 401, description = "Not signed in", body = ErrorBody),
    (status = 403, description = "Not an administrator, or the password has to be changed", body = ErrorBody)))]
pub async fn list(State(state): State<WebState>, _: Administrator, Params(page): Params<Page>) -> Json<CallList> {
    let status = state.backend.status();
    let recent = status.recent.iter().take(PAGE_MAX).map(RecordView::from).collect();
    Json(CallList { total: status.calls.len(), calls: page.of(&status.calls), recent })
}

/// How a timeline is told.
#[derive(Clone, Copy, Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Telling {
    /// With numbers, names and addresses masked, to be passed on.
    #[serde(default)]
    pub anonymous: bool,
}

/// What happened in a call that lives, or ended not long ago: signalling, routing, ICE, DTLS, audio, quality and the named cause of its end.
#[utoipa::path(get, path = "/calls/{id}/timeline", tag = "calls",
    params(("id" = String, Path, description = "Identifier of the call: `c1f`"), Telling), responses(
    (status = 200, description = "The timeline", body = TimelineView),
    (status = 400, description = "The query is not what this request takes", body = ErrorBody),
    (status = 401, description = "Not signed in", body = ErrorBody),
    (status = 403, description = "Not an administrator, or the password has to be changed", body = ErrorBody),
    (status = 404, description = "There is no such call, or it was over too long ago", body = ErrorBody)))]
pub async fn timeline(
    State(state): State<WebState>,
    _: Administrator,
    Path(id): Path<String>,
    Params(telling): Params<Telling>,
) -> Result<Json<TimelineView>, ApiError> {
    let no_such_call = || ApiError::not_found("There is no such call, or it was over too long ago.");
    let call = call_id(&id).ok_or_else(no_such_call)?;
    let found = blocking(move || state.backend.timeline(call, telling.anonymous)).await?;
    found.map(Json).ok_or_else(no_such_call)
}

/// Ends a call. Both parties are told by BYE, CANCEL or a final response.
#[utoipa::path(post, path = "/calls/{id}/hangup", tag = "calls",
    params(("id" = String, Path, description = "Identifier of the call: `c1f`")), responses(
    (status = 204, description = "The call ends"),
    (status = 401, description = "Not signed in", body = ErrorBody),
    (status = 403, description = "Not an administrator, or the password has to be changed", body = ErrorBody),
    (status = 404, description = "There is no such call", body = ErrorBody)))]
pub async fn hang_up(State(state): State<WebState>, _: Administrator, Path(id): Path<String>) -> Result<StatusCode, ApiError> {
    let no_such_call = || ApiError::not_found("There is no such call.");
    let call = call_id(&id).ok_or_else(no_such_call)?;
    let ended = blocking(move || state.backend.hang_up(call)).await?;
    ended.then_some(StatusCode::NO_CONTENT).ok_or_else(no_such_call)
}
