//! How a call ends, and what may still come afterwards.

pub(in crate::b2bua) mod abandoned;
pub(in crate::b2bua) mod ending;
pub(in crate::b2bua) mod farewell;
