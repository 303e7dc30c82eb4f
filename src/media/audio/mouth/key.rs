//! A digit as tones within the speech (ITU-T Q.23).

use crate::audio::digit::Digit;
use crate::audio::keypad::{HIGH, KEYS, LOW};
use ringfort_base::limits::DIGIT_MAX;
use std::f32::consts::TAU;

/// Levels of the low and the high tone: -9 and -7 dBm0, where the loudest sine is at 3.14 dBm0.
const LOW_LEVEL: f32 = 8_100.0;
const HIGH_LEVEL: f32 = 10_200.0;
/// Tones begin and end within this time, so that they do not click.
const EDGE_MS: u32 = 2;
/// Shortest tones that are sent: carriers want more than the 40 ms that every receiver must recognise (ITU-T Q.24).
const SHORTEST_MS: u32 = 50;
/// Silence after a key, so that the next one is heard as another (ITU-T Q.24).
const PAUSE_MS: u32 = 60;

/// One key that sounds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Key {
    code: u8,
    /// Samples since it was pressed.
    at: u32,
    /// Known once the digit is over, ms.
    whole_ms: Option<u32>,
    over: bool,
}

impl Key {
    pub fn new(digit: Digit) -> Key {
        let mut key = Key { code: digit.code, at: 0, whole_ms: None, over: false };
        key.end(digit);
        key
    }

    /// The digit is over. False: it is another one, or this is known.
    pub fn end(&mut self, digit: Digit) -> bool {
        let ends = digit.end && digit.code == self.code && self.whole_ms.is_none();
        if ends {
            self.whole_ms = Some(digit.duration_ms.max(SHORTEST_MS));
        }
        ends
    }

    /// It sounded, and the pause after it is over.
    pub fn is_over(&self) -> bool {
        self.over
    }

    /// Puts its tones in place of speech, then silence.
    pub fn sound(&mut self, rate_hz: u32, pcm: &mut [i16]) {
        let longest = DIGIT_MAX.as_millis() as u32;
        for sample in pcm {
            let whole = self.whole_ms.unwrap_or(longest).min(longest) * (rate_hz / 1_000);
            *sample = self.sample(rate_hz, whole);
            self.over = self.at >= whole + PAUSE_MS * (rate_hz / 1_000);
            self.at += 1;
        }
    }

    fn sample(&self, rate_hz: u32, whole: u32) -> i16 {
        let (row, column) = KEYS.get(usize::from(self.code)).copied().unwrap_or_default();
        let edge = (EDGE_MS * rate_hz / 1_000) as f32;
        let level = (self.at as f32 / edge).min(whole.saturating_sub(self.at) as f32 / edge).min(1.0);
        // Within a second, so that the angle stays small and exact: the tones are whole numbers of Hertz.
        let seconds = (self.at % rate_hz) as f32 / rate_hz as f32;
        let tone = |hz: f32| (TAU * hz * seconds).sin();
        (level * (LOW_LEVEL * tone(LOW[row]) + HIGH_LEVEL * tone(HIGH[column]))) as i16
    }
}
