//! Kinds of messages that are counted apart.

use super::bucket::Rate;
use crate::config::ShieldSection;
use ringfort_sip::message::Method;

/// A kind of message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Register,
    Invite,
    Options,
    /// Breaks a rule.
    Malformed,
    Other,
}

impl Kind {
    /// How many kinds there are.
    pub const COUNT: usize = 5;

    /// The kind of a sound request.
    pub fn of(method: &Method) -> Kind {
        match method {
            Method::Register => Kind::Register,
            Method::Invite => Kind::Invite,
            Method::Options => Kind::Options,
            _ => Kind::Other,
        }
    }

    /// How much of it one source may send; `factor` sources together.
    pub fn rate(self, section: &ShieldSection, factor: u32) -> Rate {
        let per_s = match self {
            Kind::Register => section.register_per_s,
            Kind::Invite => section.invite_per_s,
            Kind::Options => section.options_per_s,
            Kind::Malformed => section.malformed_per_s,
            Kind::Other => section.other_per_s,
        };
        let burst_s = if factor > 1 { 1 } else { section.burst_s };
        Rate::per_second(per_s.saturating_mul(factor), burst_s)
    }
}
