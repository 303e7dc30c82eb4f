//! From one sampling rate to another by a ratio of small whole numbers: a low-pass filter of 32 taps at the lower rate, in phases, so that
//! only what is kept is computed. It delays by 2 ms at 8 kHz.

/// Taps at the lower of both rates.
const TAPS: usize = 32;
/// Edge of the pass band as a share of the lower rate's half.
const EDGE: f64 = 0.92;
/// Shape of Kaiser's window: the stop band is 70 dB down.
const BETA: f64 = 6.8;

/// One stream's converter.
#[derive(Debug)]
pub struct Resampler {
    up: usize,
    down: usize,
    /// Filter of each phase, in the order of the samples that it is laid over.
    phases: Vec<Vec<f32>>,
    /// Past samples, then the new ones.
    samples: Vec<f32>,
}

impl Resampler {
    /// From `from_hz` to `to_hz`; both at least 1.
    pub fn new(from_hz: u32, to_hz: u32) -> Resampler {
        let common = greatest_common_divisor(from_hz.max(1), to_hz.max(1));
        let (up, down) = ((to_hz.max(1) / common) as usize, (from_hz.max(1) / common) as usize);
        let phases = phases(up, down);
        let past = phases.first().map_or(0, |phase| phase.len() - 1);
        Resampler { up, down, phases, samples: vec![0.0; past] }
    }

    /// How many samples become of `len`. Exact when `len` is a multiple of the divisor of the ratio, as 10 ms are between 8, 16, 44.1 and
    /// 48 kHz.
    pub fn output_len(&self, len: usize) -> usize {
        len * self.up / self.down
    }

    /// Converts a whole block; `out` takes [`Self::output_len`] samples.
    pub fn process(&mut self, pcm: &[i16], out: &mut [i16]) {
        let past = self.phases.first().map_or(0, |phase| phase.len() - 1);
        self.samples.truncate(past);
        self.samples.extend(pcm.iter().map(|sample| f32::from(*sample)));
        let len = self.output_len(pcm.len());
        for (n, sample) in out.iter_mut().take(len).enumerate() {
            let at = n * self.down;
            let phase = &self.phases[at % self.up];
            let from = at / self.up;
            let laid = self.samples.get(from..from + phase.len()).unwrap_or_default();
            // Rounded half up: a constant offset of less than one step.
            *sample = (dot(phase, laid) + 0.5).floor() as i16;
        }
        self.samples.drain(..pcm.len().min(self.samples.len()));
    }
}

/// In eight sums, which the processor adds at once.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0f32; 8];
    let (a, b) = (a.chunks_exact(8), b.chunks_exact(8));
    let rest: f32 = a.remainder().iter().zip(b.remainder()).map(|(x, y)| x * y).sum();
    for (a, b) in a.zip(b) {
        for (sum, (x, y)) in sums.iter_mut().zip(a.iter().zip(b)) {
            *sum += x * y;
        }
    }
    sums.iter().sum::<f32>() + rest
}

fn greatest_common_divisor(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

/// The windowed low pass, cut into one filter for each place that an output sample may have between two input samples.
fn phases(up: usize, down: usize) -> Vec<Vec<f32>> {
    let slow = up.max(down);
    // A multiple of eight, see `dot`.
    let taps = (TAPS * slow).div_ceil(up).next_multiple_of(8);
    let middle = (taps * up) as f64 / 2.0;
    let half = (TAPS * slow) as f64 / 2.0;
    let tap = |n: usize| {
        let x = n as f64 - middle;
        let window = if x.abs() > half { 0.0 } else { bessel(BETA * (1.0 - (x / half).powi(2)).sqrt()) / bessel(BETA) };
        sinc(EDGE * x / slow as f64) * EDGE / slow as f64 * up as f64 * window
    };
    // An output sample `phase` steps after an input sample: later inputs meet earlier taps.
    let filter = |phase: usize| (0..taps).map(|k| tap((taps - 1 - k) * up + phase) as f32).collect::<Vec<_>>();
    let even = |filter: Vec<f32>| {
        // Each phase lets a constant pass as it is.
        let sum: f32 = filter.iter().sum();
        filter.into_iter().map(|tap| tap / sum).collect()
    };
    (0..up).map(|phase| even(filter(phase))).collect()
}

fn sinc(x: f64) -> f64 {
    if x == 0.0 { 1.0 } else { (std::f64::consts::PI * x).sin() / (std::f64::consts::PI * x) }
}

/// Modified Bessel function of order zero.
fn bessel(x: f64) -> f64 {
    let (mut term, mut sum) = (1.0, 1.0);
    for n in 1..32 {
        term *= (x / 2.0 / f64::from(n)).powi(2);
        sum += term;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATES: [u32; 4] = [8_000, 16_000, 44_100, 48_000];

    /// Amplitude of a tone after conversion in blocks of 10 ms, the beginning left out.
    fn level(from: u32, to: u32, hz: f64) -> f64 {
        let mut resampler = Resampler::new(from, to);
        let block = from as usize / 100;
        let sample = |n: usize| (10_000.0 * (std::f64::consts::TAU * hz * n as f64 / f64::from(from)).sin()) as i16;
        let pcm: Vec<i16> = (0..block * 50).map(sample).collect();
        let mut out = Vec::new();
        for block in pcm.chunks(block) {
            let mut converted = vec![0; resampler.output_len(block.len())];
            resampler.process(block, &mut converted);
            out.extend(converted);
        }
        assert_eq!(out.len(), to as usize / 2);
        let later = &out[out.len() / 2..];
        (later.iter().map(|s| f64::from(*s).powi(2)).sum::<f64>() * 2.0 / later.len() as f64).sqrt()
    }

    #[test]
    fn speech_passes_and_what_would_fold_does_not() {
        for from in RATES {
            for to in RATES.into_iter().filter(|to| *to != from) {
                let half = f64::from(from.min(to)) / 2.0;
                for hz in [100.0, 300.0, 1_000.0, 0.8 * half] {
                    let level = level(from, to, hz);
                    assert!((9_800.0..10_200.0).contains(&level), "{from} to {to}, {hz} Hz: {level}");
                }
                if from > to {
                    let level = level(from, to, half * 1.1);
                    assert!(level < 30.0, "{from} to {to}, folds: {level}");
                }
            }
        }
    }

    /// Images of a tone above the old rate's half would be heard as hiss.
    #[test]
    fn no_image_of_a_tone_is_left() {
        let mut resampler = Resampler::new(8_000, 16_000);
        let pcm: Vec<i16> = (0..8_000).map(|n| (10_000.0 * (std::f64::consts::TAU * n as f64 / 8.0).sin()) as i16).collect();
        let mut out = vec![0; 16_000];
        resampler.process(&pcm, &mut out);
        let later = &out[8_000..];
        let part = |hz: f64| {
            let angle = |n: usize| std::f64::consts::TAU * hz * n as f64 / 16_000.0;
            let (mut re, mut im) = (0.0, 0.0);
            for (n, sample) in later.iter().enumerate() {
                re += f64::from(*sample) * angle(n).cos();
                im += f64::from(*sample) * angle(n).sin();
            }
            re.hypot(im) * 2.0 / later.len() as f64
        };
        assert!(part(1_000.0) > 9_900.0 && part(7_000.0) < 10.0, "{} {}", part(1_000.0), part(7_000.0));
    }
}
