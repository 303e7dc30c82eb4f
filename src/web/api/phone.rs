//! The web phone's account.

use crate::backend::PhoneAccount;
use crate::error::{ApiError, ErrorBody};
use crate::extract::SignedIn;
use crate::session::Role;
use crate::state::WebState;
use axum::Json;
use axum::extract::State;

/// What the web phone of the user who is signed in needs to register. It holds a password equivalent, so
/// administrators do not get it, not even one of the same name.
#[utoipa::path(get, path = "/phone", tag = "phone", responses(
    (status = 200, description = "The own account", body = PhoneAccount),
    (status = 401, description = "Not signed in", body = ErrorBody),
    (status = 403, description = "An administrator has no phone", body = ErrorBody)))]
pub async fn account(State(state): State<WebState>, signed_in: SignedIn) -> Result<Json<PhoneAccount>, ApiError> {
    if signed_in.session.role != Role::User {
        return Err(ApiError::forbidden());
    }
    // Gone between the check of the session and now: the session is over as well.
    state.backend.phone_account(&signed_in.session.user).map(Json).ok_or_else(ApiError::not_signed_in)
}
