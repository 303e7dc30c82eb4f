//! What is played in place of lost packets, against a line without loss: closer to it than silence, and than the last packet once more.

use super::line::*;
use super::loss::lost;
use crate::audio::*;
use std::time::Duration;

/// Steps before the first loss, so that the ear knows the voice.
const BEFORE: usize = 100;

/// How close something is to a line without loss, where packets were lost.
#[derive(Clone, Copy, Debug)]
struct Closeness {
    /// Signal to error, dB: more is better.
    ratio_db: f64,
    /// Mean difference of the levels of all bands, dB: less is better.
    spectrum_db: f64,
}

fn closeness(reference: &[i16], heard: &[i16], steps: &[usize]) -> Closeness {
    let (mut signal, mut error) = (1.0, 1.0);
    for step in steps {
        for n in step * STEP..(step + 1) * STEP {
            let (a, b) = (f64::from(reference[n]), f64::from(heard[n]));
            (signal, error) = (signal + a * a, error + (a - b) * (a - b));
        }
    }
    Closeness { ratio_db: 10.0 * f64::log10(signal / error), spectrum_db: spectra_apart_db(reference, heard, steps) }
}

/// The same with silence where packets were missing, and with the last 20 ms again and again.
fn instead(heard: &[i16], missing: &[bool]) -> (Vec<i16>, Vec<i16>) {
    let (mut silent, mut repeated, mut last, mut turn) = (heard.to_vec(), heard.to_vec(), vec![0i16; 2 * STEP], 0);
    for (step, missing) in missing.iter().enumerate() {
        let range = step * STEP..(step + 1) * STEP;
        if *missing {
            silent[range.clone()].fill(0);
            repeated[range].copy_from_slice(&last[turn * STEP..(turn + 1) * STEP]);
            turn = 1 - turn;
        } else {
            last.copy_within(STEP.., 0);
            last[STEP..].copy_from_slice(&heard[range]);
            turn = 0;
        }
    }
    (silent, repeated)
}

/// What a codec's ear makes of a loss, what silence and repetition would have made of it, and how many steps of 100 were made up.
fn scores(codec: Codec, percent: u64, bursts: bool) -> ([Closeness; 3], f64) {
    let speaking = speaking(codec, 8_000);
    let mut clean = Line::new(&speaking);
    let said = speech(clean.mouth.rate_hz(), 20.0);
    let reference = clean.say(&said, 8_000, &mut at_once);
    let mut line = Line::new(&speaking);
    let mut steady = |n: u64| (n < 50 || !lost(n, percent, bursts)).then_some(Duration::ZERO);
    let heard = line.say(&said, 8_000, &mut steady);
    let missing: Vec<bool> = line.played.iter().map(|played| *played != Played::Audio).collect();
    let steps: Vec<usize> = (BEFORE..missing.len() - 1).filter(|step| missing[*step]).collect();
    let (silent, repeated) = instead(&heard, &missing);
    let share = 100.0 * steps.len() as f64 / (missing.len() - BEFORE) as f64;
    ([&heard, &silent, &repeated].map(|heard| closeness(&reference, heard, &steps)), share)
}

/// What a pattern of losses leaves at least: ratio, spectrum, and how much better the ratio is than repetition's.
struct Floor {
    percent: u64,
    bursts: bool,
    ratio_db: f64,
    spectrum_db: f64,
    better_db: f64,
}

/// A little below what was measured for the worst codec: 5.5, 4.5, 3.7, 1.4 and 1.2 dB; 2.7, 2.8, 2.8, 3.7 and 4.0 dB.
const FLOORS: [Floor; 5] = [
    Floor { percent: 5, bursts: false, ratio_db: 5.0, spectrum_db: 3.0, better_db: 6.5 },
    Floor { percent: 10, bursts: false, ratio_db: 4.1, spectrum_db: 3.0, better_db: 5.9 },
    Floor { percent: 20, bursts: false, ratio_db: 3.2, spectrum_db: 3.0, better_db: 4.8 },
    Floor { percent: 5, bursts: true, ratio_db: 1.1, spectrum_db: 4.1, better_db: 3.0 },
    Floor { percent: 10, bursts: true, ratio_db: 0.9, spectrum_db: 4.3, better_db: 2.8 },
];

#[test]
fn concealment_is_closer_than_silence_and_repetition() {
    for codec in Codec::ALL {
        for floor in FLOORS {
            let ([concealed, silent, repeated], share) = scores(codec, floor.percent, floor.bursts);
            let seen = format!(
                "{codec:?}, {} %, bursts {}: {concealed:.2?}, silence {silent:.2?}, repetition {repeated:.2?}",
                floor.percent, floor.bursts
            );
            assert!((floor.percent as f64..floor.percent as f64 + 4.0).contains(&share), "{share:.1} % were made up; {seen}");
            assert!(concealed.ratio_db > floor.ratio_db && concealed.spectrum_db < floor.spectrum_db, "{seen}");
            assert!(concealed.ratio_db > repeated.ratio_db + floor.better_db, "{seen}");
            assert!(
                concealed.spectrum_db + 0.3 < repeated.spectrum_db && concealed.spectrum_db + 1.6 < silent.spectrum_db,
                "{seen}"
            );
        }
    }
}
