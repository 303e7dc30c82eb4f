//! Registrations.

use super::calls::Page;
use crate::error::ErrorBody;
use crate::extract::{Administrator, Params};
use crate::model::RegistrationView;
use crate::state::WebState;
use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Registrations.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RegistrationList {
    /// All registrations, also those on other pages.
    pub total: usize,
    /// This page, sorted by address of record.
    pub registrations: Vec<RegistrationView>,
}

/// Registrations page by page.
#[utoipa::path(get, path = "/registrations", tag = "registrations", params(Page), responses(
    (status = 200, description = "Registrations", body = RegistrationList),
    (status = 400, description = "Not a page", body = ErrorBody),
    (status = 401, description = "Not signed in", body = ErrorBody),
    (status = 403, description = "Not an administrator, or the password has to be changed", body = ErrorBody)))]
pub async fn list(State(state): State<WebState>, _: Administrator, Params(page): Params<Page>) -> Json<RegistrationList> {
    let status = state.backend.status();
    let registrations = page.of(&status.registrations);
    Json(RegistrationList { total: status.registrations.len(), registrations })
}
