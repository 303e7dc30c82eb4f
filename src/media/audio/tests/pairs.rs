//! Every codec to every rate, and to every codec.

use super::line::*;
use crate::audio::*;

/// What the codec keeps of something like speech, dB.
fn floor_db(codec: Codec) -> f64 {
    match codec {
        Codec::Pcmu | Codec::Pcma => 33.0,
        Codec::G722 => 20.0,
        Codec::Opus => 4.0,
    }
}

#[test]
fn what_is_said_is_heard_at_every_rate() {
    for codec in Codec::ALL {
        for rate in [8_000, 16_000, 48_000] {
            let mut line = Line::new(&speaking(codec, rate));
            let said_hz = line.mouth.rate_hz();
            let said = speech(said_hz, 3.0);
            let heard = line.say(&said, rate, &mut at_once);
            let expected = match codec {
                Codec::Opus => rate,
                codec => codec.rate_hz(),
            };
            assert_eq!(said_hz, expected);
            assert!(line.played[20..].iter().all(|played| *played == Played::Audio), "{codec:?} {rate}");
            if rate == said_hz {
                let ratio = ratio_db(&said[rate as usize..], &heard[rate as usize..], rate);
                assert!(ratio > floor_db(codec), "{codec:?} at {rate} Hz: {ratio:.1} dB");
            }
        }
    }
}
