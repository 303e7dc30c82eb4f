//! The relay on real sockets of the loopback interface. Nothing sleeps: every step waits for a packet or an event.

mod apart;
mod control;
mod latch;
mod lent;
mod lifecycle;
mod moving;
mod plain;
mod rebound;
mod recorded;
mod shared;
mod spoken;
mod srtp;
mod world;
