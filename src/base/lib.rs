//! The vocabulary every other member speaks: time as an argument, identifiers, limits, transports, events.
//!
//! Nothing here performs IO, reads a clock or knows what a call is.

pub mod entropy;
pub mod event;
pub mod ids;
pub mod limits;
pub mod net;
pub mod pii;
pub mod signs;
pub mod step;
pub mod time;

pub use entropy::Entropy;
pub use event::Event;
pub use ids::{CallId, FlowId, LegId, PortId};
pub use net::{Hop, SourceNet, Transport};
pub use pii::Pii;
pub use step::{Party, Step};
pub use time::{Now, Time, Wall};
