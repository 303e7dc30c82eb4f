//! Live events (server-sent events, HTML Standard 9.2): the status, whenever it has changed.

use crate::error::{ApiError, ErrorBody};
use crate::extract::Administrator;
use crate::model::StatusView;
use crate::state::WebState;
use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::stream::{Stream, unfold};
use ringfort_call::status::Status;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Interval, MissedTickBehavior, interval};

/// Shortest time between two events.
const PERIOD: Duration = Duration::from_secs(1);
/// A comment this often keeps proxies from closing a quiet stream, and finds clients that are gone.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

struct Watch<View, Place> {
    state: WebState,
    token: String,
    ticks: Interval,
    view: View,
    sent: Option<Arc<Status>>,
    told: Option<Arc<str>>,
    _place: Place,
}

/// The status now, and again whenever it has changed, at most once a second. Each event's data is a `StatusView`. The
/// stream ends with the session.
#[utoipa::path(get, path = "/events", tag = "system", responses(
    (status = 200, description = "A stream of statuses", body = StatusView, content_type = "text/event-stream"),
    (status = 401, description = "Not signed in", body = ErrorBody),
    (status = 403, description = "Not an administrator, or the password has to be changed", body = ErrorBody),
    (status = 503, description = "Too many streams", body = ErrorBody)))]
pub async fn stream(
    State(state): State<WebState>,
    Administrator(signed_in): Administrator,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, ApiError> {
    let place = state.streams.clone().try_acquire_owned().map_err(|_| ApiError::busy())?;
    Ok(watch(state, signed_in.token, place, |state: &WebState, status: &Arc<Status>| state.status_json(status)))
}

/// What `view` makes of the status, now and whenever it has become another one, for as long as the session lasts. `place` is given back at
/// the end.
pub(super) fn watch(
    state: WebState,
    token: String,
    place: impl Send + 'static,
    view: impl Fn(&WebState, &Arc<Status>) -> Arc<str> + Send + 'static,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let mut ticks = interval(PERIOD);
    // A client that reads slowly gets fewer events, not a burst of old ones.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let watch = Watch { state, token, ticks, view, sent: None, told: None, _place: place };
    let events = unfold(watch, |mut watch| async move {
        let json = watch.next().await?;
        Some((Ok(Event::default().data(json)), watch))
    });
    Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE))
}

impl<View: Fn(&WebState, &Arc<Status>) -> Arc<str>, Place> Watch<View, Place> {
    /// Waits for a view that differs from the one sent. `None` when the session has ended.
    async fn next(&mut self) -> Option<Arc<str>> {
        loop {
            self.ticks.tick().await;
            let now = (self.state.clock)().mono;
            if !self.state.sessions.is_alive(now, &self.token) {
                return None;
            }
            let status = self.state.backend.status();
            let same = self.sent.as_ref().is_some_and(|sent| Arc::ptr_eq(sent, &status) || **sent == *status);
            if same {
                continue;
            }
            let json = (self.view)(&self.state, &status);
            self.sent = Some(status);
            if self.told.as_ref() != Some(&json) {
                self.told = Some(json.clone());
                return Some(json);
            }
        }
    }
}
