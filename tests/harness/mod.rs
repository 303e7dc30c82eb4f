//! Real peers around a real node: SIPp, Kamailio, Chromium and sockets that send tones.
//!
//! A test is a [`scene::play`]: it has a folder of its own (`target/live/NAME`, kept for the curious), ports of its own, and
//! children that end with it. Nothing sleeps for a fixed time; everything waits for what it needs, with a deadline.

pub mod baresip;
pub mod browser;
pub mod certificate;
pub mod digest;
pub mod dns;
pub mod firewall;
pub mod g711;
pub mod http;
pub mod interface;
pub mod kamailio;
pub mod log_file;
pub mod mirror;
pub mod network;
pub mod node;
pub mod outcome;
pub mod ports;
pub mod process;
pub mod programs;
pub mod rtcp_peer;
pub mod rtp;
pub mod rtpengine;
pub mod scene;
pub mod secured_peer;
pub mod sip_client;
pub mod sip_message;
pub mod sipp;
pub mod site;
pub mod stream;
pub mod stub;
pub mod tls;
pub mod tone;
pub mod tone_peer;
pub mod wait;

pub use outcome::{Context, Failure, Outcome};
pub use scene::{Scene, play};
