//! The two sides of a call, which its timers name too.

use ringfort_base::Party;
use serde::{Deserialize, Serialize};

impl From<Side> for Party {
    fn from(side: Side) -> Party {
        match side {
            Side::Caller => Party::Caller,
            Side::Callee => Party::Callee,
        }
    }
}

/// Which leg.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Side {
    /// Towards whoever sent the INVITE.
    Caller,
    /// Towards the target.
    Callee,
}

impl Side {
    /// The other one.
    pub fn other(self) -> Side {
        match self {
            Side::Caller => Side::Callee,
            Side::Callee => Side::Caller,
        }
    }

    /// `caller` or `callee`.
    pub fn as_str(self) -> &'static str {
        match self {
            Side::Caller => "caller",
            Side::Callee => "callee",
        }
    }
}
