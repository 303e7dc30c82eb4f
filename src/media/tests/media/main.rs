//! Media control from outside: descriptions in and out, and a simulated browser on a lossy network in virtual time.

mod browser;
mod corpus;
mod dialogue;
mod handshake;
mod hiding;
mod hold;
mod hostile;
mod lending;
mod packets;
mod peers;
mod phones;
mod properties;
mod refusals;
mod restart;
mod rules;
mod sdes;
mod video;
