//! SIP: octets to framing, message, transaction and dialog; pure, without IO or clock.
//!
//! The way of a message: [`framing`] cuts a stream into messages, [`message`] indexes one, [`screen`] says whether it
//! is fit to go on and what is owed if not, [`transaction`] and [`dialog`] give it a place. [`digest`] authenticates,
//! [`locate`] finds servers, [`originate`] makes the requests that Ringfort sends on its own account.

pub mod dialog;
pub mod digest;
pub mod framing;
pub mod locate;
pub mod message;
pub mod originate;
pub mod screen;
pub mod status;
pub mod transaction;
pub mod uri;

pub use message::{Builder, HeaderName, Message, Method};
pub use uri::Uri;
