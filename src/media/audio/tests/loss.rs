//! Networks that lose, delay, reorder and drift.

use super::line::*;
use crate::audio::*;
use ringfort_base::entropy::Seeded;
use std::time::Duration;

/// How far what is heard is from what was said, dB: the mean of the ratios of 20 ms each, each within -10 and 35.
fn segmental_db(said: &[i16], heard: &[i16]) -> f64 {
    let ratio = |(said, heard): (&[i16], &[i16])| {
        let (mut signal, mut error) = (1.0, 1.0);
        for (a, b) in said.iter().zip(heard) {
            signal += f64::from(*a).powi(2);
            error += (f64::from(*a) - f64::from(*b)).powi(2);
        }
        (signal > 160.0 * 300.0 * 300.0).then(|| (10.0 * (signal / error).log10()).clamp(-10.0, 35.0))
    };
    let ratios: Vec<f64> = said.chunks(160).zip(heard.chunks(160)).filter_map(ratio).collect();
    ratios.iter().sum::<f64>() / ratios.len() as f64
}

/// Lost packets by pattern: at random, or in bursts of three.
fn lost(n: u64, percent: u64, bursts: bool) -> bool {
    let n = if bursts { n / 3 } else { n };
    Seeded::new(n.wrapping_mul(0x9e37_79b9)).chance(percent * 10)
}

/// What one codec makes of a loss, against silence in place of what is missing, against a line without loss.
fn scores(codec: Codec, percent: u64, bursts: bool) -> (f64, f64) {
    let speaking = speaking(codec, 8_000);
    let mut clean = Line::new(&speaking);
    let rate = clean.mouth.rate_hz();
    let said = speech(rate, 10.0);
    let reference = clean.say(&said, 8_000, &mut at_once);
    let mut line = Line::new(&speaking);
    let mut steady = |n: u64| (n < 50 || !lost(n, percent, bursts)).then_some(Duration::ZERO);
    let heard = line.say(&said, 8_000, &mut steady);
    // The same with holes: what was played in place of missing packets is silenced.
    let concealed = |n: usize| line.played[n] != Played::Audio;
    let holes: Vec<i16> =
        heard.chunks(80).enumerate().flat_map(|(n, ten)| if concealed(n) { vec![0; 80] } else { ten.to_vec() }).collect();
    (segmental_db(&reference[8_000..], &heard[8_000..]), segmental_db(&reference[8_000..], &holes[8_000..]))
}

#[test]
fn concealment_is_better_than_silence() {
    for codec in Codec::ALL {
        for (percent, bursts) in [(5, false), (10, false), (5, true), (10, true)] {
            let (concealed, holes) = scores(codec, percent, bursts);
            assert!(concealed > holes + 0.2, "{codec:?}, {percent} %, bursts {bursts}: {concealed:.2} against {holes:.2} dB");
        }
    }
}
