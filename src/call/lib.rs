//! The product's brain: calls, policy, routes, registrations, survivability. Pure: no IO, no clock.
//!
//! Read [`node`] first: it routes each input to one owner. Then follow a call: [`route`] (where),
//! [`b2bua`] (who calls, and the call itself), [`registrar`] and [`survive`] (who can be reached, and by whom).

pub mod admission;
pub mod alarms;
pub mod auth;
pub mod b2bua;
pub mod config;
pub mod context;
pub mod events;
pub mod interface;
mod kept;
pub mod node;
pub mod number;
pub mod overload;
pub mod peers;
pub mod registrar;
pub mod registration_client;
pub mod restore;
pub mod reuse;
pub mod route;
pub mod rules;
pub mod shield;
mod side;
pub mod status;
pub mod survive;
mod timers;
pub mod trial;
mod wake;

pub use context::Output;
pub use interface::{Interface, OwnAddresses};
pub use node::{Input, Node, NodeSetup};
pub use restore::Saved;

/// Name in User-Agent and Server: no version, which would help only an attacker.
pub const PRODUCT: &str = "Ringfort";
/// Methods that the node takes.
pub const ALLOW: &str =
    "INVITE, ACK, CANCEL, BYE, OPTIONS, REGISTER, PRACK, UPDATE, INFO, MESSAGE, REFER, SUBSCRIBE, NOTIFY, PUBLISH";
/// Bodies that the node reads: descriptions, and several parts with one among them.
pub const ACCEPT: &str = "application/sdp, multipart/mixed";
/// Extensions that the node takes part in.
pub const SUPPORTED: &str = "timer, replaces, 100rel, from-change, tdialog, norefersub";
/// The same in a re-INVITE: nobody has to ring, so no provisional response of it need be reliable.
pub const SUPPORTED_AGAIN: &str = "timer, replaces, from-change, tdialog, norefersub";
