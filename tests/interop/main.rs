//! Peers of other makers, each from Debian's packages, each doing what the node's own test peers cannot vouch for. Run as the live
//! tests are: by `make test`, or alone by `make interop`.

mod browsers;
mod firewall;
mod phones;
mod suites;
mod trickle;
