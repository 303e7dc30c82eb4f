//! One file a target.

pub mod audio;
pub mod digest;
pub mod message;
pub mod node;
pub mod program;
pub mod sdp;
pub mod transaction;
pub mod websocket;
