//! How a peer tells digits, and takes them, when it is not by telephone events.

use crate::description::Format;
use serde::{Deserialize, Serialize};

/// A peer's way with digits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Digits {
    /// As the descriptions of both sides say: telephone events (RFC 4733) where both have them; whatever else they do passes.
    #[default]
    Auto,
    /// By SIP INFO (`application/dtmf-relay`).
    Info,
    /// As tones in the audio.
    InBand,
}

impl Digits {
    /// Whether the node has to stand between peers of these ways.
    pub(crate) fn differ(self, other: Digits) -> bool {
        self != other
    }

    /// The formats that this peer is told.
    pub(crate) fn fit(self, formats: &mut Vec<Format>) {
        if self != Digits::Auto {
            formats.retain(|format| !format.is_events());
        }
    }
}
