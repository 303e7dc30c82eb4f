//! What all requests share.

use crate::admin::Admins;
use crate::backend::Backend;
use crate::model::StatusView;
use crate::session::Sessions;
use crate::streams::PhoneStreams;
use crate::throttle::Throttle;
use ringfort_base::{Entropy, Now};
use ringfort_call::status::Status;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Semaphore;

pub use ringfort_base::limits::EVENT_STREAMS_MAX as STREAMS_MAX;
pub use ringfort_base::limits::PASSWORD_CHECKS_MAX;
pub use ringfort_base::limits::PHONE_STREAMS_PER_USER_MAX;
pub use ringfort_base::limits::SIGN_INS_WAITING_MAX;

/// The clock. `node` is the only member that reads one.
pub type Clock = Arc<dyn Fn() -> Now + Send + Sync>;

/// What the node passes beside its [`Backend`].
pub struct WebOptions {
    /// Administrators' accounts.
    pub admins: Admins,
    /// Clock for sessions and throttling.
    pub clock: Clock,
    /// Randomness for session tokens and salts; cryptographic.
    pub entropy: Box<dyn Entropy>,
    /// Sends `Strict-Transport-Security`. Only with a certificate that browsers trust: with a self-signed one it turns
    /// the warning that an operator can pass into an error that nobody can.
    pub hsts: bool,
}

/// Shared state; cheap to clone.
#[derive(Clone)]
pub struct WebState {
    inner: Arc<Inner>,
}

#[doc(hidden)]
pub struct Inner {
    pub(crate) backend: Arc<dyn Backend>,
    pub(crate) admins: Admins,
    pub(crate) sessions: Sessions,
    pub(crate) throttle: Throttle,
    pub(crate) clock: Clock,
    pub(crate) hsts: bool,
    pub(crate) password_checks: Arc<Semaphore>,
    pub(crate) sign_ins: Semaphore,
    pub(crate) streams: Arc<Semaphore>,
    pub(crate) phone_streams: PhoneStreams,
    entropy: Mutex<Box<dyn Entropy>>,
    rendered: Mutex<Option<Rendered>>,
}

/// The status as JSON, made once for all who watch in the same second.
struct Rendered {
    status: Arc<Status>,
    uptime_s: u64,
    json: Arc<str>,
}

impl WebState {
    /// Puts the parts together.
    pub fn new(backend: Arc<dyn Backend>, options: WebOptions) -> WebState {
        let WebOptions { admins, clock, entropy, hsts } = options;
        WebState {
            inner: Arc::new(Inner {
                backend,
                admins,
                sessions: Sessions::default(),
                throttle: Throttle::default(),
                clock,
                hsts,
                password_checks: Arc::new(Semaphore::new(PASSWORD_CHECKS_MAX)),
                sign_ins: Semaphore::new(SIGN_INS_WAITING_MAX),
                streams: Arc::new(Semaphore::new(STREAMS_MAX)),
                phone_streams: PhoneStreams::default(),
                entropy: Mutex::new(entropy),
                rendered: Mutex::default(),
            }),
        }
    }

    /// Runs `work` with the source of randomness.
    pub(crate) fn with_entropy<T>(&self, work: impl FnOnce(&mut dyn Entropy) -> T) -> T {
        work(lock(&self.inner.entropy).as_mut())
    }

    /// The view of the status now.
    pub(crate) fn status_view(&self, status: &Status) -> StatusView {
        StatusView::new(status, self.backend.version(), self.backend.uptime_s())
    }

    /// The status as JSON.
    pub(crate) fn status_json(&self, status: &Arc<Status>) -> Arc<str> {
        let uptime_s = self.backend.uptime_s();
        let mut rendered = lock(&self.inner.rendered);
        if let Some(r) = rendered.as_ref().filter(|r| Arc::ptr_eq(&r.status, status) && r.uptime_s == uptime_s) {
            return r.json.clone();
        }
        let view = StatusView::new(status, self.backend.version(), uptime_s);
        // Strings, numbers and sequences always serialise.
        let json: Arc<str> = serde_json::to_string(&view).unwrap_or_default().into();
        *rendered = Some(Rendered { status: status.clone(), uptime_s, json: json.clone() });
        json
    }
}

impl std::ops::Deref for WebState {
    type Target = Inner;
    fn deref(&self) -> &Inner {
        &self.inner
    }
}

/// Locks a mutex whose holders leave it sound whatever happens to them, so that poison says nothing.
pub(crate) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
