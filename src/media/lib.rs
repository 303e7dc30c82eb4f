//! Media control without IO or clock: SDP and offer/answer, ICE, DTLS, SRTP, and one leg's session compiled to the
//! [`plan::FlowPlan`] that the relay executes.

pub mod audio;
pub mod bridge;
pub mod bundle;
mod clock;
mod compose;
pub mod consent;
pub mod demux;
pub mod description;
pub mod digits;
pub mod error;
pub mod fax;
mod hiding;
pub mod lending;
mod negotiation;
pub mod plan;
pub mod quality;
pub mod recording;
mod remote;
pub mod repertoire;
mod reserve;
mod sdes;
pub mod sdp;
pub mod security;
pub mod session;
pub mod srtp;
pub mod tier;
pub mod video;
pub mod webrtc;

pub use description::Description;
pub use digits::{Digits, DigitsWay};
pub use error::{MediaCause, MediaError};
pub use negotiation::Policy;
pub use security::{Keying, Security, Srtp, Suites};
pub use session::{LegKind, LegOutput, LegSession, MediaAddress, kind_of_offer};
pub use webrtc::DtlsIdentity;
