//! Tones: made, and recognised by Goertzel's algorithm.

use std::f64::consts::TAU;

/// Samples a second of G.711.
pub const RATE: f64 = 8_000.0;
/// Samples that a decision is made on: 200 ms, enough to tell 10 Hz apart.
pub const WINDOW: usize = 1_600;

const AMPLITUDE: f64 = 8_000.0;
/// Below this mean square it is silence.
const SILENCE: f64 = 50.0 * 50.0;
/// A tone must hold so much of all power.
const DOMINANT: f64 = 0.7;
/// Each of two tones must hold so much of it.
const ONE_OF_TWO: f64 = 0.2;

/// What is heard.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Heard {
    /// Nothing, or nearly so.
    Silence,
    /// One tone above all else, in hertz.
    Tone(f64),
    /// Sound without one dominant tone.
    Noise,
}

impl Heard {
    /// Whether it is this tone.
    pub fn is(self, hz: f64) -> bool {
        matches!(self, Heard::Tone(heard) if (heard - hz).abs() <= 15.0)
    }
}

/// Sample number `index` of a tone.
pub fn sample(hz: f64, index: u64) -> i16 {
    (AMPLITUDE * (TAU * hz * index as f64 / RATE).sin()) as i16
}

/// The dominant tone of these samples.
pub fn listen(samples: &[i16]) -> Heard {
    let power = samples.iter().map(|s| f64::from(*s).powi(2)).sum::<f64>() / samples.len().max(1) as f64;
    if power < SILENCE {
        return Heard::Silence;
    }
    let candidates = (20..350).map(|step| f64::from(step) * 10.0);
    let loudest = candidates.map(|hz| (hz, goertzel(samples, hz))).max_by(|a, b| a.1.total_cmp(&b.1));
    match loudest {
        Some((hz, share)) if share / power >= DOMINANT => Heard::Tone(hz),
        _ => Heard::Noise,
    }
}

/// The key whose two tones these samples are (ITU-T Q.23), twelve keys of them.
pub fn key(samples: &[i16]) -> Option<char> {
    let power = samples.iter().map(|s| f64::from(*s).powi(2)).sum::<f64>() / samples.len().max(1) as f64;
    let loudest = |tones: &[f64]| {
        let shares = tones.iter().map(|hz| goertzel(samples, *hz) / power).enumerate();
        shares.max_by(|a, b| a.1.total_cmp(&b.1)).filter(|(_, share)| power > SILENCE && *share > ONE_OF_TWO)
    };
    let (row, _) = loudest(&[697.0, 770.0, 852.0, 941.0])?;
    let (column, _) = loudest(&[1_209.0, 1_336.0, 1_477.0])?;
    ["123", "456", "789", "*0#"][row].chars().nth(column)
}

/// Power of one frequency, on the scale of the mean square of all samples.
fn goertzel(samples: &[i16], hz: f64) -> f64 {
    let coefficient = 2.0 * (TAU * hz / RATE).cos();
    let (mut last, mut before) = (0.0, 0.0);
    for sample in samples {
        (last, before) = (f64::from(*sample) + coefficient * last - before, last);
    }
    let magnitude = last * last + before * before - coefficient * last * before;
    let count = samples.len() as f64;
    2.0 * magnitude / (count * count)
}

#[cfg(test)]
mod tests {
    use super::super::g711;
    use super::*;

    fn through_g711(hz: f64) -> Vec<i16> {
        (0..WINDOW as u64).map(|n| g711::decode(g711::encode(sample(hz, n)))).collect()
    }

    #[test]
    fn tones_are_told_apart() {
        for hz in [300.0, 440.0, 620.0, 1_000.0, 3_000.0] {
            let heard = listen(&through_g711(hz));
            assert!(heard.is(hz), "{hz}: {heard:?}");
            assert!(!heard.is(hz + 40.0));
        }
    }

    #[test]
    fn keys_are_told_from_speech() {
        let pair = |low: f64, high: f64| -> Vec<i16> { (0..160).map(|n| sample(low, n) / 2 + sample(high, n) / 2).collect() };
        assert_eq!(
            [pair(697.0, 1_209.0), pair(852.0, 1_477.0), pair(941.0, 1_336.0)].map(|s| key(&s)),
            [Some('1'), Some('9'), Some('0')]
        );
        assert_eq!([pair(440.0, 620.0), through_g711(1_000.0), vec![3; 160]].map(|s| key(&s)), [None; 3]);
    }

    #[test]
    fn two_tones_and_silence_are_none() {
        assert_eq!(listen(&[3; WINDOW]), Heard::Silence);
        let both: Vec<i16> = through_g711(440.0).iter().zip(through_g711(900.0)).map(|(a, b)| a / 2 + b / 2).collect();
        assert_eq!(listen(&both), Heard::Noise);
    }
}
