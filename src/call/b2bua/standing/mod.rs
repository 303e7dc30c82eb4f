//! What happens inside a call that stands: changes of its media, requests that pass, sessions that are refreshed.

pub(in crate::b2bua) mod alive;
pub(in crate::b2bua) mod challenged;
pub(in crate::b2bua) mod conclusion;
pub(crate) mod digits;
pub(in crate::b2bua) mod exchange;
pub(in crate::b2bua) mod glare;
pub(in crate::b2bua) mod ice_restart;
pub(in crate::b2bua) mod own;
pub(crate) mod pictures;
pub(crate) mod relayed;
pub(in crate::b2bua) mod session_timer;
pub(in crate::b2bua) mod sharing;
pub(crate) mod within;
