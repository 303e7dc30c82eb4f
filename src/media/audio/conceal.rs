//! What is played in place of packets that are missing, for codecs that have nothing of their own: the last pitch periods again and again,
//! softer and softer, in the manner of ITU-T G.711 Appendix I, but without its delay of 3.75 ms: where two pieces meet, the step between
//! them is spread over a quarter of a period instead.

/// Pitch periods looked for: 5 to 15 ms, 66 to 200 Hz.
const PERIOD_MIN_US: usize = 5_000;
const PERIOD_MAX_US: usize = 15_000;
/// How much of the past is compared.
const COMPARED_US: usize = 20_000;
/// How much of the past is kept: three of the longest periods, and one sample.
const KEPT_US: usize = 50_000;
/// Full level this long.
const FULL_US: usize = 10_000;
/// Nothing is heard any more after this long.
const GONE_US: usize = 60_000;

/// Listens to what is played, and goes on by itself when nothing comes.
#[derive(Debug)]
pub(super) struct Concealer {
    rate_hz: u32,
    /// What was played last, concealment included.
    past: Vec<f32>,
    /// The same as it was when the gap began.
    model: Vec<f32>,
    period: usize,
    /// Samples concealed of this gap; 0: nothing is missing.
    concealed: usize,
    /// Next sample of `model`.
    at: usize,
    /// Step at the last joint, and for how many samples more it is spread.
    step: f32,
    step_left: usize,
    last: f32,
}

impl Concealer {
    pub fn new(rate_hz: u32) -> Concealer {
        let kept = samples(rate_hz, KEPT_US);
        Concealer {
            rate_hz,
            past: vec![0.0; kept],
            model: vec![0.0; kept],
            period: samples(rate_hz, PERIOD_MAX_US),
            concealed: 0,
            at: 0,
            step: 0.0,
            step_left: 0,
            last: 0.0,
        }
    }

    /// Samples that arrived. After a gap their beginning is blended with what was played in their place.
    pub fn heard(&mut self, pcm: &mut [i16]) {
        if self.concealed > 0 {
            self.blend(pcm);
            self.concealed = 0;
        }
        let kept = pcm.len().min(self.past.len());
        self.shift(kept);
        let (from, room) = (pcm.len() - kept, self.past.len() - kept);
        for (past, sample) in self.past[room..].iter_mut().zip(&pcm[from..]) {
            *past = f32::from(*sample);
        }
    }

    /// Fills `out` with what could have been there. False: it has faded, and `out` is silent.
    pub fn conceal(&mut self, out: &mut [i16]) -> bool {
        if self.concealed == 0 {
            self.model.copy_from_slice(&self.past);
            self.period = self.pitch();
            self.last = self.model.last().copied().unwrap_or_default();
            self.at = self.model.len();
        }
        let audible = self.concealed < samples(self.rate_hz, GONE_US);
        for sample in out.iter_mut() {
            *sample = self.next() as i16;
        }
        let kept = out.len().min(self.past.len());
        self.shift(kept);
        let room = self.past.len() - kept;
        for (past, sample) in self.past[room..].iter_mut().zip(&out[out.len() - kept..]) {
            *past = f32::from(*sample);
        }
        audible
    }

    fn shift(&mut self, by: usize) {
        self.past.copy_within(by.., 0);
    }

    /// A quarter of a period and 4 ms more for every 10 ms that are missing, 10 ms at most (G.711 Appendix I).
    fn blend(&mut self, pcm: &mut [i16]) {
        let gap_tens = self.concealed / samples(self.rate_hz, 10_000);
        let len = self.period / 4 + gap_tens * samples(self.rate_hz, 4_000);
        let len = len.min(samples(self.rate_hz, 10_000)).min(pcm.len());
        for (n, sample) in pcm[..len].iter_mut().enumerate() {
            let share = (n as f32 + 1.0) / (len as f32 + 1.0);
            let mixed = self.next() * (1.0 - share) + f32::from(*sample) * share;
            *sample = mixed as i16;
        }
    }

    fn next(&mut self) -> f32 {
        if self.at >= self.model.len() {
            // More periods, the longer it lasts: one alone would sound like a buzzer.
            let periods = 1 + (self.concealed / samples(self.rate_hz, 10_000)).min(2);
            self.at = self.model.len() - periods * self.period;
            self.step = self.last - self.model[self.at - 1];
            self.step_left = self.period / 4;
        }
        let spread = self.step * self.step_left as f32 / (self.period / 4) as f32;
        self.step_left = self.step_left.saturating_sub(1);
        self.last = self.model[self.at] + spread;
        self.at += 1;
        self.concealed += 1;
        (self.last * self.gain()).clamp(f32::from(i16::MIN), f32::from(i16::MAX))
    }

    fn gain(&self) -> f32 {
        let (full, gone) = (samples(self.rate_hz, FULL_US), samples(self.rate_hz, GONE_US));
        let left = gone.saturating_sub(self.concealed) as f32 / (gone - full) as f32;
        left.min(1.0)
    }

    /// The shift by which the last 20 ms are most like what was before them. Coarsely at 8 kHz, then finely around the best.
    fn pitch(&self) -> usize {
        let stride = (self.rate_hz / 8_000).max(1) as usize;
        let (low, high) = (samples(self.rate_hz, PERIOD_MIN_US), samples(self.rate_hz, PERIOD_MAX_US));
        let coarse = self.best((low..=high).step_by(stride), stride, low);
        let near = coarse.saturating_sub(stride).max(low)..=(coarse + stride).min(high);
        if stride == 1 { coarse } else { self.best(near, 1, coarse) }
    }

    fn best(&self, lags: impl Iterator<Item = usize>, stride: usize, otherwise: usize) -> usize {
        let (mut best, mut highest) = (otherwise, 0.0);
        for lag in lags {
            let likeness = self.likeness(lag, stride);
            if likeness > highest {
                (best, highest) = (lag, likeness);
            }
        }
        best
    }

    fn likeness(&self, lag: usize, stride: usize) -> f32 {
        let end = self.model.len();
        let from = end - samples(self.rate_hz, COMPARED_US);
        let now = self.model[from..].iter().step_by(stride);
        let before = self.model[from - lag..end - lag].iter().step_by(stride);
        let (mut product, mut energy) = (0.0f32, 1.0f32);
        for (a, b) in now.zip(before) {
            product += a * b;
            energy += b * b;
        }
        product / energy.sqrt()
    }
}

const fn samples(rate_hz: u32, us: usize) -> usize {
    rate_hz as usize * us / 1_000_000
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tone(rate_hz: u32, hz: f32, from: usize, len: usize) -> Vec<i16> {
        let sample = |n: usize| (10_000.0 * (std::f32::consts::TAU * hz * n as f32 / rate_hz as f32).sin()) as i16;
        (from..from + len).map(sample).collect()
    }

    fn energy(pcm: &[i16]) -> f64 {
        pcm.iter().map(|s| f64::from(*s).powi(2)).sum()
    }

    #[test]
    fn a_tone_goes_on_where_it_was() {
        for rate in [8_000, 16_000, 48_000] {
            let mut concealer = Concealer::new(rate);
            let ten = rate as usize / 100;
            concealer.heard(&mut tone(rate, 150.0, 0, ten * 8));
            let mut out = vec![0; ten];
            assert!(concealer.conceal(&mut out));
            let real = tone(rate, 150.0, ten * 8, ten);
            let error: Vec<i16> = out.iter().zip(&real).map(|(a, b)| a - b).collect();
            assert!(energy(&error) < energy(&real) / 50.0, "{rate} Hz: {} of {}", energy(&error), energy(&real));
        }
    }

    #[test]
    fn it_fades_and_is_silent_after_60_ms() {
        let mut concealer = Concealer::new(8_000);
        concealer.heard(&mut tone(8_000, 150.0, 0, 640));
        let mut before = f64::MAX;
        for ten in 0..6 {
            let mut out = [0; 80];
            assert!(concealer.conceal(&mut out));
            assert!(ten == 0 || energy(&out) < before, "{ten}");
            before = energy(&out);
        }
        let mut out = [1; 80];
        assert!(!concealer.conceal(&mut out));
        assert_eq!(out, [0; 80]);
    }

    #[test]
    fn there_is_no_step_where_pieces_meet() {
        let mut concealer = Concealer::new(8_000);
        let mut all = tone(8_000, 170.0, 0, 640);
        concealer.heard(&mut all);
        let mut gap = [0; 240];
        concealer.conceal(&mut gap);
        let mut back = tone(8_000, 170.0, 640 + 240, 160);
        concealer.heard(&mut back);
        all.extend(gap);
        all.extend(back);
        let widest = |pcm: &[i16]| pcm.windows(2).map(|w| (i32::from(w[1]) - i32::from(w[0])).abs()).max().unwrap();
        assert!(widest(&all) < 2 * widest(&all[..640]), "{} against {}", widest(&all), widest(&all[..640]));
    }
}
