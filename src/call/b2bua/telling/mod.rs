//! What each side is told of the people at the other end, and of nothing else.

pub(in crate::b2bua) mod connected;
pub(in crate::b2bua) mod forwarded;
pub(in crate::b2bua) mod location;
pub(crate) mod passing;
pub(crate) mod people;
