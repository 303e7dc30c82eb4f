//! Fuzz targets: each is a function of octets that must never panic and whose invariants are asserted inside. cargo-fuzz feeds
//! them new octets (`make fuzz TARGET=message`); every `cargo test` replays the corpus and mutations of it (`replay.rs`).
//!
//! What a target shows: `message` reading, judging and answering whatever a datagram holds; `sdp` offers and answers of a peer;
//! `transaction` programs of events against the transaction layer; `websocket` frames of a browser; `digest` challenges and
//! credentials; `node` programs of events against the whole node; `audio` a peer's packets as an ear takes them, and files
//! of sounds.

mod bodies;

pub use bodies::audio::audio;
pub use bodies::digest::digest;
pub use bodies::message::message;
pub use bodies::node::node;
pub use bodies::sdp::sdp;
pub use bodies::transaction::transaction;
pub use bodies::websocket::websocket;

/// A target: octets in, a panic when an invariant is broken.
pub type Target = fn(&[u8]);

/// Every target by its name, which is also the name of its corpus folder.
pub const TARGETS: [(&str, Target); 7] = [
    ("message", message),
    ("sdp", sdp),
    ("transaction", transaction),
    ("websocket", websocket),
    ("digest", digest),
    ("node", node),
    ("audio", audio),
];
