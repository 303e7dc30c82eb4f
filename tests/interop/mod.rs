//! Peers of other makers, each from Debian's packages, each doing what the node's own test peers cannot vouch for.

mod phones;
