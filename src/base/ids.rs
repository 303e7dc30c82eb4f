//! Identifiers. Each is unique within a node's life; none carries meaning.

use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name(pub u64);
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "{:x}"), self.0)
            }
        }
    };
}

id!(
    /// One call through the node: both legs, their media, their record.
    CallId, "c"
);
id!(
    /// One leg of a call: one dialog with one peer.
    LegId, "l"
);
id!(
    /// One signalling connection (TCP, TLS, WS, WSS), or the listening socket of a UDP interface.
    FlowId, "f"
);
id!(
    /// One media port of the relay: the sockets on which one leg's RTP and RTCP arrive.
    PortId, "p"
);
