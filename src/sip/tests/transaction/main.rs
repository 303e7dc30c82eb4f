//! The transaction layer from outside, in virtual time: dialogues of one side with a test that plays the network, and two sides
//! over a wire that loses, doubles and reorders.

#[macro_use]
mod bench;
mod cancel;
mod client;
mod hostile;
mod server;
mod way;
mod wire;
