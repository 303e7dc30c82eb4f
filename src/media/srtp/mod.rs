//! SRTP and SRTCP in place: RFC 3711 with AES in counter mode and HMAC-SHA1 (longer keys: RFC 6188), RFC 7714 with AES-GCM.
//!
//! Read first: RFC 3711 3.1 (packet), 3.3 (processing), 3.3.1 (index), 3.4 (SRTCP), 4.3 (key derivation); RFC 7714 8 and 9.
//!
//! One value protects or unprotects one direction of one leg, whatever number of SSRCs it carries. A packet is transformed in
//! the buffer it came in and nothing is allocated for it; what is remembered of a stream lies in a table of
//! [`SRTP_STREAMS_MAX`](ringfort_base::limits::SRTP_STREAMS_MAX) entries. Nothing is remembered of a packet that failed
//! authentication. Without: MKI, key derivation rates, other tag lengths; neither DTLS-SRTP (RFC 5764 4.1.2) nor the offers
//! that this node makes ask for them.

mod aes_cm;
mod derive;
mod error;
mod gcm;
mod header;
mod needed;
mod numbering;
mod parties;
mod receiver;
mod sender;
mod streams;
mod transform;
mod window;

#[cfg(test)]
mod tests;

pub use error::SrtpError;
pub use needed::{Needed, Span};
pub use receiver::SrtpReceiver;
pub use sender::SrtpSender;
pub use streams::{KeyMark, Position, SrtpPositions, StreamPosition};
