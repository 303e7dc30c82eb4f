//! Until the answer: targets are asked, stage after stage, and what they say on the way reaches the caller.

pub(in crate::b2bua) mod again;
pub(in crate::b2bua) mod attempt;
pub(in crate::b2bua) mod branch;
pub(crate) mod destination;
pub(in crate::b2bua) mod early;
pub(in crate::b2bua) mod early_requests;
pub(crate) mod outcome;
pub(crate) mod progress;
pub(in crate::b2bua) mod redirect;
pub(in crate::b2bua) mod relayed_early;
pub(in crate::b2bua) mod renamed;
