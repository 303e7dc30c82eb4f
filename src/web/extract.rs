//! What handlers ask of a request: who sends it, from where, and JSON whose errors have the one shape.

use crate::cookie;
use crate::error::ApiError;
use crate::session::{Role, Session, digest_of};
use crate::state::WebState;
use crate::throttle::Source;
use axum::extract::rejection::JsonRejection;
use axum::extract::{ConnectInfo, FromRequest, FromRequestParts, Query, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;
use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// Somebody with a session, whatever it allows.
pub struct SignedIn {
    pub session: Session,
    pub token: String,
    /// An administrator whose one-time password is still in force.
    pub must_change_password: bool,
}

/// An administrator who may administrate.
pub struct Administrator(pub SignedIn);

/// The address a request comes from. Headers such as `X-Forwarded-For` are not believed.
pub struct Peer(pub IpAddr);

/// A JSON body.
pub struct Json<T>(pub T);

/// A query string.
pub struct Params<T>(pub T);

impl FromRequestParts<WebState> for SignedIn {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &WebState) -> Result<Self, ApiError> {
        let token = cookie::token(&parts.headers).ok_or_else(ApiError::not_signed_in)?.to_owned();
        let now = (state.clock)().mono;
        let session = state.sessions.find(now, &token).ok_or_else(ApiError::not_signed_in)?;
        let account = Account::of(state, &session).filter(|a| a.fingerprint == session.fingerprint);
        let Some(account) = account else {
            // The account is gone or its password was replaced.
            state.sessions.end(&token);
            return Err(ApiError::not_signed_in());
        };
        Ok(SignedIn { session, token, must_change_password: account.must_change_password })
    }
}

impl FromRequestParts<WebState> for Administrator {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &WebState) -> Result<Self, ApiError> {
        let signed_in = SignedIn::from_request_parts(parts, state).await?;
        match signed_in.session.role {
            Role::User => Err(ApiError::forbidden()),
            Role::Admin if signed_in.must_change_password => Err(ApiError::password_change_required()),
            Role::Admin => Ok(Administrator(signed_in)),
        }
    }
}

/// What stands behind a session now.
pub struct Account {
    pub fingerprint: [u8; 32],
    pub must_change_password: bool,
}

impl Account {
    pub fn of(state: &WebState, session: &Session) -> Option<Account> {
        match session.role {
            Role::Admin => state.admins.find(&session.user).map(|admin| Account {
                fingerprint: digest_of(admin.hash.as_bytes()),
                must_change_password: admin.must_change_password,
            }),
            Role::User => state
                .backend
                .phone_account(&session.user)
                .map(|account| Account { fingerprint: digest_of(account.ha1_md5.as_bytes()), must_change_password: false }),
        }
    }
}

impl Peer {
    pub fn source(&self) -> Source {
        Source::of(self.0)
    }
    pub fn is_loopback(&self) -> bool {
        self.0.to_canonical().is_loopback()
    }
}

impl FromRequestParts<WebState> for Peer {
    type Rejection = Infallible;

    /// Requests whose address the node does not tell share one source, which is nobody's loopback.
    async fn from_request_parts(parts: &mut Parts, _: &WebState) -> Result<Self, Infallible> {
        let known = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip());
        Ok(Peer(known.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED))))
    }
}

impl<T: DeserializeOwned> FromRequest<WebState> for Json<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &WebState) -> Result<Self, ApiError> {
        match axum::Json::from_request(request, state).await {
            Ok(axum::Json(value)) => Ok(Json(value)),
            Err(rejection) => Err(describe(&rejection)),
        }
    }
}

/// The texts do not quote the body: it may hold a password.
fn describe(rejection: &JsonRejection) -> ApiError {
    let status = rejection.status();
    match status {
        StatusCode::PAYLOAD_TOO_LARGE => ApiError::new(status, "too-large", "The body is too large."),
        StatusCode::UNSUPPORTED_MEDIA_TYPE => ApiError::new(status, "not-json", "The body has to be of type application/json."),
        _ => ApiError::new(StatusCode::BAD_REQUEST, "bad-body", "The body is not what this request takes."),
    }
}

impl<T: DeserializeOwned> FromRequestParts<WebState> for Params<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &WebState) -> Result<Self, ApiError> {
        let text = "The query is not what this request takes.";
        match Query::from_request_parts(parts, state).await {
            Ok(Query(value)) => Ok(Params(value)),
            Err(_) => Err(ApiError::new(StatusCode::BAD_REQUEST, "bad-query", text)),
        }
    }
}
