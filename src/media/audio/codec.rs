//! The codecs that the node speaks itself.

use serde::{Deserialize, Serialize};

/// A speech codec that the node decodes and encodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Codec {
    /// G.711 µ-law, 64 kbit/s.
    Pcmu,
    /// G.711 A-law, 64 kbit/s.
    Pcma,
    /// G.722 at 64 kbit/s: 7 kHz in two bands.
    G722,
    /// Opus (RFC 6716), mono.
    Opus,
}

impl Codec {
    /// All of them, best quality first.
    pub const ALL: [Codec; 4] = [Codec::Opus, Codec::G722, Codec::Pcma, Codec::Pcmu];

    /// Encoding name in `a=rtpmap` (RFC 3551 table 4, RFC 7587 7).
    pub fn name(self) -> &'static str {
        match self {
            Codec::Pcmu => "PCMU",
            Codec::Pcma => "PCMA",
            Codec::G722 => "G722",
            Codec::Opus => "opus",
        }
    }

    /// The codec of an encoding name, in any case (RFC 8866 6.6).
    pub fn named(name: &str) -> Option<Codec> {
        Codec::ALL.into_iter().find(|codec| codec.name().eq_ignore_ascii_case(name))
    }

    /// Clock of RTP timestamps, Hz. G.722's is 8,000 by an old mistake that has to stay (RFC 3551 4.5.2).
    pub fn rtp_clock_hz(self) -> u32 {
        match self {
            Codec::Pcmu | Codec::Pcma | Codec::G722 => 8_000,
            Codec::Opus => 48_000,
        }
    }

    /// Highest sampling rate that it carries, Hz.
    pub fn rate_hz(self) -> u32 {
        match self {
            Codec::Pcmu | Codec::Pcma => 8_000,
            Codec::G722 => 16_000,
            Codec::Opus => 48_000,
        }
    }

    /// Audio of one packet where so much is wished for: the longest that the codec has and that is no longer, 10 ms at least. Opus has frames
    /// of 10, 20, 40 and 60 ms (RFC 6716 2.1.4); of other codecs the node makes packets of every ten up to 60.
    pub fn packet_ms(self, wished_ms: u32) -> u32 {
        let lengths: &[u32] = if self == Codec::Opus { &[60, 40, 20] } else { &[60, 50, 40, 30, 20] };
        lengths.iter().copied().find(|ms| *ms <= wished_ms).unwrap_or(10)
    }

    /// Payload type assigned for good (RFC 3551 table 4); Opus has none.
    pub fn static_payload(self) -> Option<u8> {
        match self {
            Codec::Pcmu => Some(0),
            Codec::Pcma => Some(8),
            Codec::G722 => Some(9),
            Codec::Opus => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_in_any_case() {
        for codec in Codec::ALL {
            assert_eq!(Codec::named(&codec.name().to_lowercase()), Some(codec));
            assert_eq!(Codec::named(&codec.name().to_uppercase()), Some(codec));
        }
        assert_eq!(Codec::named("G729"), None);
    }

    #[test]
    fn a_packet_is_never_longer_than_wished_for() {
        for (wished, opus, others) in
            [(0, 10, 10), (10, 10, 10), (20, 20, 20), (25, 20, 20), (30, 20, 30), (50, 40, 50), (60, 60, 60), (u32::MAX, 60, 60)]
        {
            let made = Codec::ALL.map(|codec| codec.packet_ms(wished));
            assert_eq!(made, [opus, others, others, others], "{wished}");
        }
    }
}
