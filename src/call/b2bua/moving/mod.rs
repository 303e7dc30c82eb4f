//! Calls whose parties change: transfers, calls that are taken over, picked up or parked.

pub(in crate::b2bua) mod aside;
pub(in crate::b2bua) mod consulted;
pub(in crate::b2bua) mod join;
pub(in crate::b2bua) mod pickup;
pub(in crate::b2bua) mod refer_on;
pub(in crate::b2bua) mod refer_watch;
pub(in crate::b2bua) mod replace;
pub(in crate::b2bua) mod transfer;
