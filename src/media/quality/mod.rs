//! How well audio arrives: what a receiver measures of a stream ([`Reception`], RFC 3550), what the peers' reports say
//! ([`reports`], RFC 3550 6.4; [`extended`], RFC 3611), and what a listener makes of both ([`emodel`], ITU-T G.107); and why audio is missing
//! ([`diagnosis`]). Where a peer would get no reports, the node makes its own ([`making`]).

pub mod diagnosis;
pub mod emodel;
pub mod extended;
pub mod making;
mod reception;
pub mod reports;

pub use reception::{Progress, Reception};
pub use reports::{Audio, RoundTrip};
