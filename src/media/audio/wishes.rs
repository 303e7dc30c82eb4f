//! What a peer wants of the Opus that it is sent (RFC 7587 6.1, 7): each side tells it for its own ears.

use serde::{Deserialize, Serialize};

/// Bit rates that Opus has (RFC 7587 3.1.1).
const BITS: std::ops::RangeInclusive<u32> = 6_000..=510_000;

/// Its `a=fmtp`. Mono is what the node sends whatever `stereo` says: two channels are a wish, one is always allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct OpusWishes {
    /// `maxplaybackrate`, Hz: what is above half of it is not heard.
    pub playback_hz: u32,
    /// `maxaveragebitrate`, bit/s, 6,000 to 510,000. `None`: the node's choice.
    pub bits_max: Option<u32>,
    /// `useinbandfec`: redundancy is of use to it.
    pub fec: bool,
    /// `usedtx`: nothing is to be sent in pauses.
    pub dtx: bool,
    /// `cbr`: all packets of the same length.
    pub constant: bool,
}

impl Default for OpusWishes {
    /// What holds where nothing is told.
    fn default() -> OpusWishes {
        OpusWishes { playback_hz: 48_000, bits_max: None, fec: false, dtx: false, constant: false }
    }
}

impl OpusWishes {
    /// Reads the parameters of a format. What cannot be is not told.
    pub fn read(parameters: &[String]) -> OpusWishes {
        let mut wishes = OpusWishes::default();
        let told = parameters.iter().flat_map(|text| text.split(';')).filter_map(|parameter| parameter.split_once('='));
        for (name, value) in told {
            let Ok(value) = value.trim().parse::<u32>() else { continue };
            match name.trim().to_ascii_lowercase().as_str() {
                "maxplaybackrate" if (8_000..=48_000).contains(&value) => wishes.playback_hz = value,
                "maxaveragebitrate" => wishes.bits_max = Some(value.clamp(*BITS.start(), *BITS.end())),
                "useinbandfec" => wishes.fec = value == 1,
                "usedtx" => wishes.dtx = value == 1,
                "cbr" => wishes.constant = value == 1,
                _ => {}
            }
        }
        wishes
    }

    /// The highest sampling rate that is worth coding, of those that the node codes, Hz.
    pub(super) fn rate_max_hz(self) -> u32 {
        [48_000, 16_000].into_iter().find(|rate| *rate <= self.playback_hz).unwrap_or(8_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_read_and_nonsense_is_not() {
        let read = |text: &str| OpusWishes::read(&[text.to_string()]);
        let all = read("minptime=10; maxplaybackrate=16000;maxaveragebitrate=20000; useinbandfec=1;usedtx=1;cbr=1;stereo=1");
        let expected = OpusWishes { playback_hz: 16_000, bits_max: Some(20_000), fec: true, dtx: true, constant: true };
        assert_eq!(all, expected);
        for nothing in ["", "useinbandfec", "maxplaybackrate=1", "maxaveragebitrate=-5", "usedtx=2;cbr=x", "=;=1;;"] {
            assert_eq!(read(nothing), OpusWishes::default(), "{nothing}");
        }
        assert_eq!(read("maxaveragebitrate=1").bits_max, Some(6_000));
        assert_eq!(
            [48_000, 47_999, 16_000, 12_000, 8_000]
                .map(|playback_hz| { OpusWishes { playback_hz, ..OpusWishes::default() }.rate_max_hz() }),
            [48_000, 16_000, 16_000, 8_000, 8_000]
        );
    }
}
