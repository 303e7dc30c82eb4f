//! Signing in and out, and changing an administrator's password.

use crate::cookie;
use crate::error::{ApiError, ErrorBody};
use crate::extract::{Account, Json, Peer, SignedIn};
use crate::password::{PASSWORD_MIN, PASSWORD_OCTETS_MAX, salt};
use crate::session::{Role, Session};
use crate::state::WebState;
use crate::throttle::Source;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// Longest user name, octets.
const USER_MAX: usize = 256;

/// Who signs in.
#[derive(Clone, Deserialize, ToSchema, Zeroize, ZeroizeOnDrop)]
#[serde(deny_unknown_fields)]
pub struct Credentials {
    /// Administrator's name, or user name of a SIP account.
    pub user: String,
    /// Password.
    #[schema(format = Password)]
    pub password: String,
}

/// A change of password.
#[derive(Clone, Deserialize, ToSchema, Zeroize, ZeroizeOnDrop)]
#[serde(deny_unknown_fields)]
pub struct PasswordChange {
    /// The password in force.
    #[schema(format = Password)]
    pub current: String,
    /// Its successor, of 12 characters or more.
    #[schema(format = Password, min_length = 12)]
    pub new: String,
}

/// Who is signed in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SessionView {
    /// Name.
    pub user: String,
    /// What it may do.
    pub role: Role,
    /// The one-time password is still in force: nothing but `PUT /password` works.
    pub must_change_password: bool,
}

/// Signs in. The session is a cookie.
///
/// An unknown user and a wrong password have the same answer, and take the same time. Failures make further attempts
/// wait: see `Retry-After` of a 429.
#[utoipa::path(post, path = "/session", tag = "session", request_body = Credentials, responses(
    (status = 200, description = "Signed in; sets the cookie `ringfort_session`", body = SessionView),
    (status = 400, description = "Not a pair of user and password", body = ErrorBody),
    (status = 401, description = "User or password is wrong", body = ErrorBody),
    (status = 403, description = "The account has no web phone", body = ErrorBody),
    (status = 429, description = "Too many failures; `Retry-After` says how long to wait", body = ErrorBody),
    (status = 503, description = "Too many sign-ins at once", body = ErrorBody)))]
pub async fn sign_in(
    State(state): State<WebState>,
    peer: Peer,
    headers: HeaderMap,
    Json(credentials): Json<Credentials>,
) -> Result<Response, ApiError> {
    check_length("user", &credentials.user, USER_MAX)?;
    check_length("password", &credentials.password, PASSWORD_OCTETS_MAX)?;
    let user = credentials.user.clone();
    let role = verify(&state, peer.source(), credentials).await?.ok_or_else(ApiError::bad_credentials)?;
    let mut session = Session { user, role, fingerprint: [0; 32] };
    let account = Account::of(&state, &session).ok_or_else(no_web_phone)?;
    session.fingerprint = account.fingerprint;
    let must_change_password = account.must_change_password;
    let view = SessionView { user: session.user.clone(), role, must_change_password };
    if let Some(before) = cookie::token(&headers) {
        state.sessions.end(before);
    }
    let now = (state.clock)().mono;
    let token = state.with_entropy(|entropy| state.sessions.begin(now, session, entropy));
    Ok(with_cookie(axum::Json(view).into_response(), cookie::set(&token)))
}

/// Tells who is signed in.
#[utoipa::path(get, path = "/session", tag = "session", responses(
    (status = 200, description = "Signed in", body = SessionView),
    (status = 401, description = "Not signed in", body = ErrorBody)))]
pub async fn show(signed_in: SignedIn) -> axum::Json<SessionView> {
    let SignedIn { session, must_change_password, .. } = signed_in;
    axum::Json(SessionView { user: session.user, role: session.role, must_change_password })
}

/// Signs out. Without a session there is nothing to do, which is a success as well.
#[utoipa::path(delete, path = "/session", tag = "session", responses((status = 204, description = "Signed out")))]
pub async fn sign_out(State(state): State<WebState>, headers: HeaderMap) -> Response {
    if let Some(token) = cookie::token(&headers) {
        state.sessions.end(token);
    }
    with_cookie(StatusCode::NO_CONTENT.into_response(), cookie::clear())
}

/// Changes the password of the administrator who is signed in, and ends that administrator's other sessions.
#[utoipa::path(put, path = "/password", tag = "session", request_body = PasswordChange, responses(
    (status = 204, description = "Changed"),
    (status = 401, description = "Not signed in", body = ErrorBody),
    (status = 403, description = "Not an administrator, or the current password is wrong", body = ErrorBody),
    (status = 422, description = "The new password is too weak", body = ErrorBody),
    (status = 429, description = "Too many failures; `Retry-After` says how long to wait", body = ErrorBody),
    (status = 503, description = "The new password cannot be stored; the old one stays in force", body = ErrorBody)))]
pub async fn change_password(
    State(state): State<WebState>,
    signed_in: SignedIn,
    peer: Peer,
    Json(change): Json<PasswordChange>,
) -> Result<StatusCode, ApiError> {
    let SignedIn { session, token, .. } = signed_in;
    if session.role != Role::Admin {
        return Err(ApiError::forbidden());
    }
    check_length("current", &change.current, PASSWORD_OCTETS_MAX)?;
    check_strength(&session.user, &change)?;
    let credentials = Credentials { user: session.user.clone(), password: change.current.clone() };
    if verify(&state, peer.source(), credentials).await? != Some(Role::Admin) {
        let text = "The current password is wrong.";
        return Err(ApiError::new(StatusCode::FORBIDDEN, "wrong-password", text).field("current"));
    }
    store_password(&state, &session.user, change).await?;
    let account = Account::of(&state, &session).ok_or_else(ApiError::not_signed_in)?;
    state.sessions.end_others(&session.user, &token, account.fingerprint);
    Ok(StatusCode::NO_CONTENT)
}

/// Checks a password under the throttle. `None` when it is wrong.
async fn verify(state: &WebState, source: Source, credentials: Credentials) -> Result<Option<Role>, ApiError> {
    let _place = state.sign_ins.try_acquire().map_err(|_| ApiError::busy())?;
    let now = (state.clock)().mono;
    let delay = state.throttle.admit(now, &credentials.user, source).map_err(ApiError::throttled)?;
    tokio::time::sleep(delay).await;
    let permit = state.password_checks.clone().acquire_owned().await.map_err(|_| ApiError::busy())?;
    let user = credentials.user.clone();
    let worker = state.clone();
    // The permit goes along: a client that hangs up drops this future, but not the work that was begun.
    let check = move || (role_of(&worker, &credentials), permit).0;
    let role = blocking(check).await?;
    if role.is_some() {
        state.throttle.succeeded(&user, source);
    }
    Ok(role)
}

/// The role that a password opens. One argon2 is computed in every case, so that the time tells no user names. A name
/// that an administrator has is never looked up among the SIP accounts.
fn role_of(state: &WebState, credentials: &Credentials) -> Option<Role> {
    let Credentials { user, password } = credentials;
    let hasher = state.admins.hasher();
    match state.admins.find(user) {
        Some(admin) => hasher.verify(password, Some(&admin.hash)).then_some(Role::Admin),
        None => {
            hasher.verify(password, None);
            state.backend.verify_user_password(user, password).then_some(Role::User)
        }
    }
}

async fn store_password(state: &WebState, user: &str, change: PasswordChange) -> Result<(), ApiError> {
    let salt = state.with_entropy(salt);
    let (worker, user) = (state.clone(), user.to_owned());
    let stored = blocking(move || worker.admins.set_password(&user, &change.new, &salt)).await?;
    stored.map_err(|error| {
        tracing::error!(%error, "cannot store an administrator's password");
        let text = "The new password cannot be stored. The old one stays in force.";
        ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "not-stored", text)
    })
}

/// Runs what takes long on a thread that may block.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, ApiError> {
    tokio::task::spawn_blocking(work).await.map_err(|_| ApiError::internal())
}

fn check_length(field: &'static str, value: &str, max: usize) -> Result<(), ApiError> {
    if value.is_empty() || value.len() > max {
        let text = format!("'{field}' has to have 1 to {max} octets.");
        return Err(ApiError::new(StatusCode::BAD_REQUEST, "bad-length", text).field(field));
    }
    Ok(())
}

/// Length is what counts (NIST SP 800-63B 5.1.1.2); rules about characters only make passwords predictable.
fn check_strength(user: &str, change: &PasswordChange) -> Result<(), ApiError> {
    let PasswordChange { current, new } = change;
    let weak = |text: String| Err(ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "weak-password", text).field("new"));
    if new.chars().count() < PASSWORD_MIN {
        return weak(format!("The new password needs {PASSWORD_MIN} characters or more."));
    }
    if new.len() > PASSWORD_OCTETS_MAX {
        return weak(format!("The new password may have {PASSWORD_OCTETS_MAX} octets at most."));
    }
    if new == current || new == user {
        return weak("The new password has to differ from the old one and from the name.".to_owned());
    }
    Ok(())
}

fn no_web_phone() -> ApiError {
    ApiError::new(StatusCode::FORBIDDEN, "no-web-phone", "This account may not use the web phone.")
}

fn with_cookie(mut response: Response, cookie: Option<HeaderValue>) -> Response {
    if let Some(cookie) = cookie {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    response
}
