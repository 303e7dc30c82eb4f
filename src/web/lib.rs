//! The HTTP API, sign-in, live events and the two pages (administration, web phone).
//!
//! [`router`] is all that the node mounts; it serves `/api/v1` and the pages. The node terminates TLS, inserts
//! `axum::extract::ConnectInfo<SocketAddr>` into each request (throttling and loopback access need the source), and
//! implements [`Backend`].
//!
//! Who may do what:
//!
//! | | anonymous | user (web phone) | administrator |
//! |---|---|---|---|
//! | sign in, health, document | yes | yes | yes |
//! | own session | | yes | yes |
//! | phone account | | own | |
//! | everything else | | | yes, once the one-time password was changed |
//!
//! Read first: [`backend`], [`api`] (the routes), then [`session`], [`throttle`] and [`admin`].

pub mod admin;
pub mod api;
mod assets;
pub mod backend;
pub mod convert;
mod cookie;
pub mod error;
mod extract;
mod headers;
pub mod model;
pub mod password;
pub mod session;
pub mod state;
mod streams;
pub mod throttle;

pub use admin::{AdminError, Admins, OneTimePassword};
pub use backend::{Backend, PhoneAccount};
pub use error::ApiError;
pub use password::Hasher;
pub use state::{Clock, WebOptions, WebState};

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware;
use axum::routing::get;
use ringfort_base::limits::HTTP_BODY_MAX;

/// The whole web of the node. Holds no socket: the node serves it over TLS.
pub fn router(state: WebState) -> Router {
    Router::new()
        .nest("/api/v1", api::router())
        // Where Prometheus looks when it is not told otherwise.
        .route("/metrics", get(api::system::metrics))
        .fallback(assets::serve)
        .layer(DefaultBodyLimit::max(HTTP_BODY_MAX))
        .layer(middleware::from_fn_with_state(state.clone(), headers::secure))
        .with_state(state)
}
