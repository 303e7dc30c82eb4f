//! Subscribers of events. Whatever happens is published once, on [`Observers`]; log, metrics, the timelines
//! of calls and call records subscribe to it.
//!
//! The rule is that a call never waits for an observer: each subscriber has a bounded queue and a thread of its own;
//! a queue that is full loses its oldest event, which is counted.
//!
//! Read first: [`bus`], then [`log`] with [`fields`] (what is masked), [`metrics`] and [`timeline`].

pub mod bus;
pub mod fields;
pub mod log;
pub mod metrics;
#[cfg(test)]
mod samples;
pub mod timeline;

pub use bus::{Observers, Subscriber};
pub use log::{LogError, LogFormat, LogOptions, LogSubscriber};
pub use metrics::{Carrier, Gauges, Metrics, PeerGauge};
pub use timeline::{Line, Seen, Timelines};
