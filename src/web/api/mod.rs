//! The API under `/api/v1`: JSON, described by the OpenAPI document that it serves itself.

pub mod calls;
mod document;
pub mod events;
pub mod phone;
pub mod registrations;
pub mod session;
pub mod system;

use crate::error::ApiError;
use crate::state::WebState;
use axum::Router;
use axum::http::StatusCode;
use axum::routing::{MethodRouter, delete, get, post, put};

/// The routes, under `/api/v1`. A test compares them with the document.
pub fn routes() -> Vec<(&'static str, MethodRouter<WebState>)> {
    vec![
        ("/session", get(session::show).post(session::sign_in).delete(session::sign_out)),
        ("/password", put(session::change_password)),
        ("/status", get(system::status)),
        ("/events", get(events::stream)),
        ("/calls", get(calls::list)),
        ("/calls/{id}/timeline", get(calls::timeline)),
        ("/calls/{id}/hangup", post(calls::hang_up)),
        ("/registrations", get(registrations::list)),
        ("/phone", get(phone::account)),
        ("/phone/calls", get(phone::calls)),
        ("/bans/{source}", delete(system::unban)),
        ("/reload", post(system::reload)),
        ("/health", get(system::health)),
        ("/metrics", get(system::metrics)),
        ("/openapi.json", get(document::serve)),
    ]
}

/// The API's router.
pub fn router() -> Router<WebState> {
    let router = routes().into_iter().fold(Router::new(), |router, (path, methods)| router.route(path, methods));
    router.fallback(no_such_path).method_not_allowed_fallback(no_such_method)
}

async fn no_such_path() -> ApiError {
    ApiError::not_found("There is no such path.")
}

async fn no_such_method() -> ApiError {
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "This path does not take that method.")
}
