//! The web phone: its account, and what the other clients of its user have.

use super::events::watch;
use crate::backend::PhoneAccount;
use crate::error::{ApiError, ErrorBody};
use crate::extract::SignedIn;
use crate::model::OwnCallsView;
use crate::session::Role;
use crate::state::WebState;
use axum::Json;
use axum::extract::State;
use axum::response::sse::{Event, Sse};
use futures_util::stream::Stream;
use ringfort_call::status::Status;
use std::convert::Infallible;
use std::sync::Arc;

/// What the web phone of the user who is signed in needs to register. It holds a password equivalent, so
/// administrators do not get it, not even one of the same name.
#[utoipa::path(get, path = "/phone", tag = "phone", responses(
    (status = 200, description = "The own account", body = PhoneAccount),
    (status = 401, description = "Not signed in", body = ErrorBody),
    (status = 403, description = "An administrator has no phone", body = ErrorBody)))]
pub async fn account(State(state): State<WebState>, signed_in: SignedIn) -> Result<Json<PhoneAccount>, ApiError> {
    must_be_user(&signed_in)?;
    // Gone between the check of the session and now: the session is over as well.
    state.backend.phone_account(&signed_in.session.user).map(Json).ok_or_else(ApiError::not_signed_in)
}

/// Answered calls of all clients of the user who is signed in, now and again whenever they have changed, at most once a second. Each
/// event's data is an `OwnCallsView`. The stream ends with the session.
#[utoipa::path(get, path = "/phone/calls", tag = "phone", responses(
    (status = 200, description = "A stream of the user's own calls", body = OwnCallsView, content_type = "text/event-stream"),
    (status = 401, description = "Not signed in", body = ErrorBody),
    (status = 403, description = "An administrator has no phone", body = ErrorBody),
    (status = 503, description = "Too many streams, of this user or of all", body = ErrorBody)))]
pub async fn calls(
    State(state): State<WebState>,
    signed_in: SignedIn,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, ApiError> {
    must_be_user(&signed_in)?;
    let user = signed_in.session.user;
    let place = state.phone_streams.take(&user).ok_or_else(ApiError::busy)?;
    let view = move |_: &WebState, status: &Arc<Status>| -> Arc<str> {
        // Strings, numbers and sequences always serialise.
        serde_json::to_string(&OwnCallsView::new(status, &user)).unwrap_or_default().into()
    };
    Ok(watch(state, signed_in.token, place, view))
}

fn must_be_user(signed_in: &SignedIn) -> Result<(), ApiError> {
    if signed_in.session.role == Role::User { Ok(()) } else { Err(ApiError::forbidden()) }
}
