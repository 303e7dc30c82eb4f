//! How an INVITE becomes a call: who sends it, what it asks for, whether it has been here before.

pub(crate) mod identity;
pub(in crate::b2bua) mod loops;
pub(crate) mod setup;
