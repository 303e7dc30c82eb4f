//! Hears the tones of a keypad within speech (ITU-T Q.23, Q.24).
//!
//! A window of 12.5 ms is looked at every 6.25 ms. Only a pair of tones that is nearly all there is counts, and only when it lasts.

use super::digit::Digit;
use super::keypad::{HIGH, KEYS, LOW};
use std::f32::consts::TAU;

/// Looks a second; a window is two steps long.
const STEPS_HZ: u32 = 160;
/// Weakest tone: -29 dBm0 (Q.24 has -25 to -29 as the limit), as the square of an amplitude.
const POWER_MIN: f32 = 810.0 * 810.0;
/// The other tones of each group are weaker by 8 dB.
const LEAD: f32 = 6.3;
/// The high tone may be louder than the low one by 6 dB, or softer by 10 dB (Q.24: 4 and 8).
const TWIST_HIGH: f32 = 4.0;
const TWIST_LOW: f32 = 10.0;
/// Both tones' share of all power.
const SHARE_MIN: f32 = 0.85;
/// How far a tone may be off, as a share of its frequency (Q.24: 1.5 % must be heard, 3.5 % must not).
const OFF_MAX: f32 = 0.025;
/// Looks in a row that make a digit: a tone of 40 ms has five, one of 22 ms has three at most.
const BEGINS: u32 = 5;
/// Looks in a row without it that end a digit: an interruption of 10 ms does not.
const ENDS: u32 = 3;

/// One stream's listener. Fixed in size.
#[derive(Debug)]
pub(super) struct Listener {
    rate_hz: u32,
    /// Angle of a sample, of the low tones, then of the high ones; its cosine and sine.
    angles: [(f32, f32, f32); 8],
    /// Where each tone stood at the end of the window before.
    before: [(f32, f32); 8],
    /// The last step and the one before, as far as they have come.
    window: Vec<f32>,
    /// Powers of the low and the high tone in the first look.
    level: (f32, f32),
    /// Looks since the digit was first seen, and since it was last seen.
    code: Option<u8>,
    seen: u32,
    missed: u32,
    told: bool,
}

impl Listener {
    pub fn new(rate_hz: u32) -> Listener {
        let mut angles = [(0.0, 0.0, 0.0); 8];
        for (angle, hz) in angles.iter_mut().zip(LOW.into_iter().chain(HIGH)) {
            let step = TAU * hz / rate_hz as f32;
            *angle = (step, step.cos(), step.sin());
        }
        let window = Vec::with_capacity(2 * (rate_hz / STEPS_HZ) as usize);
        Listener {
            rate_hz,
            angles,
            before: [(0.0, 0.0); 8],
            window,
            level: (0.0, 0.0),
            code: None,
            seen: 0,
            missed: 0,
            told: false,
        }
    }

    pub fn rate_hz(&self) -> u32 {
        self.rate_hz
    }

    /// A key may be sounding: what is said meanwhile is better not passed on.
    pub fn suspects(&self) -> bool {
        self.code.is_some()
    }

    /// Takes samples in, and tells digits that begin or end.
    pub fn hear(&mut self, pcm: &[i16], mut tell: impl FnMut(Digit)) {
        let step = (self.rate_hz / STEPS_HZ) as usize;
        for sample in pcm {
            self.window.push(f32::from(*sample));
            if self.window.len() == 2 * step {
                let seen = self.look();
                self.window.drain(..step);
                self.follow(seen, &mut tell);
            }
        }
    }

    /// The key that sounds in the window, and the powers of its tones.
    fn look(&mut self) -> Option<(u8, (f32, f32))> {
        let now = self.angles.map(|angle| self.tone(angle));
        let before = std::mem::replace(&mut self.before, now);
        let total: f32 = self.window.iter().map(|sample| sample * sample).sum();
        if total < POWER_MIN / 2.0 * self.window.len() as f32 {
            return None;
        }
        let powers = now.map(|(re, im)| re * re + im * im);
        let (row, low) = leader(powers.first_chunk()?)?;
        let (column, high) = leader(powers.last_chunk()?)?;
        let (low, high) = (low / self.response(row, &before)?, high / self.response(4 + column, &before)?);
        // A sine's power is half the square of its amplitude.
        let is_even = high < low * TWIST_HIGH && low < high * TWIST_LOW;
        let share = (low + high) / 2.0 * self.window.len() as f32 / total;
        let is_key = low > POWER_MIN && high > POWER_MIN && is_even && share > SHARE_MIN;
        KEYS.iter().position(|key| *key == (row, column)).filter(|_| is_key).map(|code| (code as u8, (low, high)))
    }

    /// Amplitude and phase of one tone at the end of the window, by Goertzel's recursion.
    fn tone(&self, (_, cosine, sine): (f32, f32, f32)) -> (f32, f32) {
        let (mut last, mut before) = (0.0f32, 0.0f32);
        for sample in &self.window {
            (last, before) = (sample + 2.0 * cosine * last - before, last);
        }
        let half = self.window.len() as f32 / 2.0;
        ((last - before * cosine) / half, before * sine / half)
    }

    /// How far its phase went since the window before tells a tone's true frequency: overtones of a voice rarely are where a key's tones
    /// are. `None`: it is too far off; otherwise how much of its power the window shows.
    fn response(&self, tone: usize, before: &[(f32, f32); 8]) -> Option<f32> {
        let ((angle, ..), now, before) = (*self.angles.get(tone)?, self.before.get(tone)?, before.get(tone)?);
        let step = self.window.len() as f32 / 2.0;
        let turned = (now.1 * before.0 - now.0 * before.1).atan2(now.0 * before.0 + now.1 * before.1);
        let off = (turned - angle * step + TAU * 1_000.5).rem_euclid(TAU) - TAU / 2.0;
        if off.abs() > OFF_MAX * angle * step {
            return None;
        }
        // The window spans two steps.
        let x = off;
        let shown = if x.abs() < 1e-3 { 1.0 } else { x.sin() / x };
        Some(shown * shown)
    }

    fn follow(&mut self, seen: Option<(u8, (f32, f32))>, tell: &mut impl FnMut(Digit)) {
        // A key is as loud as it was; a voice is not.
        let steady = |(low, high): (f32, f32)| is_near(low, self.level.0) && is_near(high, self.level.1);
        let seen = seen.filter(|(code, level)| self.code != Some(*code) || steady(*level));
        let code = seen.map(|(code, _)| code);
        if self.code.is_some() && self.code == code {
            self.seen += 1 + std::mem::take(&mut self.missed);
            if self.seen >= BEGINS && !self.told {
                self.told = true;
                self.digit(false).map(tell);
            }
            return;
        }
        self.missed += 1;
        // What is not yet a digit must not be interrupted.
        if self.code.is_some() && self.told && self.missed < ENDS {
            return;
        }
        if self.told {
            self.digit(true).map(tell);
        }
        self.level = seen.map_or((0.0, 0.0), |(_, level)| level);
        (self.code, self.seen, self.missed, self.told) = (code, u32::from(code.is_some()), 0, false);
    }

    /// A tone is first seen when it fills most of a window, and last seen when it still does: that hides 9 ms of it, and half a step more
    /// is hidden by looking in steps.
    fn digit(&self, end: bool) -> Option<Digit> {
        let duration_ms = (self.seen.max(1) - 1) * 1_000 / STEPS_HZ + 12;
        Some(Digit { code: self.code?, duration_ms, end })
    }
}

/// Within 4 dB.
fn is_near(power: f32, before: f32) -> bool {
    power < before * 2.5 && before < power * 2.5
}

/// The strongest of four, when it leads by enough.
fn leader(powers: &[f32; 4]) -> Option<(usize, f32)> {
    let (at, most) = powers.iter().copied().enumerate().max_by(|a, b| a.1.total_cmp(&b.1))?;
    let leads = powers.iter().enumerate().all(|(other, power)| other == at || power * LEAD < most);
    leads.then_some((at, most))
}

#[cfg(test)]
mod tests;
