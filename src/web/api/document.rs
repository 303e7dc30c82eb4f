//! The OpenAPI document.

use axum::Json;
use utoipa::OpenApi;

/// Everything that `/api/v1` takes and answers.
#[derive(OpenApi)]
#[openapi(
    info(title = "Ringfort", description = "Administration and web phone of a Ringfort node."),
    servers((url = "/api/v1")),
    paths(
        super::session::sign_in,
        super::session::show,
        super::session::sign_out,
        super::session::change_password,
        super::system::status,
        super::system::reload,
        super::system::unban,
        super::system::health,
        super::system::metrics,
        super::calls::list,
        super::calls::timeline,
        super::calls::hang_up,
        super::registrations::list,
        super::events::stream,
        super::phone::account,
        super::phone::calls,
        serve,
    ),
    components(schemas(crate::error::ErrorBody))
)]
struct Document;

/// This document.
#[utoipa::path(get, path = "/openapi.json", tag = "system",
    responses((status = 200, description = "OpenAPI 3.1", content_type = "application/json")))]
pub async fn serve() -> Json<utoipa::openapi::OpenApi> {
    Json(Document::openapi())
}
