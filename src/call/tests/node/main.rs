//! The whole brain, driven by hand: one message or one moment at a time.

mod border;
mod calls;
mod devices;
mod early;
mod exchange;
mod fixture;
mod forking;
mod forwarded;
mod people;
mod profiles;
mod redirect;
mod registrar;
mod relayed;
mod replace;
mod routing;
mod secured;
mod servers;
mod session_timer;
mod shield;
mod states;
mod supervision;
mod talk;
mod transfer;
mod transports;
mod trunk_registration;
mod trunks;
