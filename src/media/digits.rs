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

/// How digits travel between the node and one peer, by what was agreed on and by what the peer shows that it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DigitsWay {
    /// Whatever the peer does passes as it is: nothing is agreed yet, or the node may not stand between.
    Passing,
    /// As telephone events.
    Events,
    /// By SIP INFO.
    Info,
    /// As tones in the audio, because the peer has nothing else, or because its profile says so.
    Tones {
        /// The peer's tones are listened for, which costs decoding all that it says. Only where its profile says so.
        heard: bool,
    },
}

impl Digits {
    /// Whether the node has to stand between peers of these ways, whatever they agree on.
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
