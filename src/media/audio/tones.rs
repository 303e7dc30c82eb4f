//! Tones of the network by country, after ITU-T E.180 and its supplement 2.

/// What a tone tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum Signal {
    /// A number may be dialled.
    Dial,
    /// The other side rings.
    RingBack,
    /// The other side is busy.
    Busy,
    /// There is no way to the other side.
    Congestion,
}

/// One step of a cadence: one or two tones, or none, for a while; 0 ms: for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Step {
    hz: (u16, u16),
    ms: u16,
}

/// A country's four signals.
#[derive(Clone, Copy, Debug)]
struct Tones {
    country: &'static str,
    dial: &'static [Step],
    ring_back: &'static [Step],
    busy: &'static [Step],
    congestion: &'static [Step],
}

const fn on(hz: u16, ms: u16) -> Step {
    Step { hz: (hz, 0), ms }
}

const fn two(hz: u16, other: u16, ms: u16) -> Step {
    Step { hz: (hz, other), ms }
}

const fn off(ms: u16) -> Step {
    Step { hz: (0, 0), ms }
}

const RING_1_4: &[Step] = &[on(425, 1_000), off(4_000)];
const RING_1_5: &[Step] = &[on(425, 1_000), off(5_000)];
const BEEP_500: &[Step] = &[on(425, 500), off(500)];
const BEEP_250: &[Step] = &[on(425, 250), off(250)];
const BEEP_200: &[Step] = &[on(425, 200), off(200)];
const DIAL_425: &[Step] = &[on(425, 0)];

/// Where nothing is known of a country: what E.180 recommends.
const USUAL: Tones = Tones { country: "", dial: DIAL_425, ring_back: RING_1_4, busy: BEEP_500, congestion: BEEP_250 };

const TABLE: [Tones; 20] = [
    Tones {
        country: "AT",
        dial: &[on(420, 0)],
        ring_back: &[on(420, 1_000), off(5_000)],
        busy: &[on(420, 400), off(400)],
        congestion: &[on(420, 200), off(200)],
    },
    Tones {
        country: "AU",
        dial: &[two(413, 438, 0)],
        ring_back: &[two(413, 438, 400), off(200), two(413, 438, 400), off(2_000)],
        busy: &[on(425, 375), off(375)],
        congestion: &[on(425, 375), off(375)],
    },
    Tones { country: "BE", ring_back: &[on(425, 1_000), off(3_000)], congestion: &[on(425, 167), off(167)], ..USUAL },
    Tones { country: "CH", congestion: BEEP_200, ..USUAL },
    Tones {
        country: "CN",
        dial: &[on(450, 0)],
        ring_back: &[on(450, 1_000), off(4_000)],
        busy: &[on(450, 350), off(350)],
        congestion: &[on(450, 700), off(700)],
    },
    Tones {
        country: "CZ",
        dial: &[on(425, 330), off(330), on(425, 660), off(660)],
        busy: &[on(425, 330), off(330)],
        congestion: &[on(425, 165), off(165)],
        ..USUAL
    },
    Tones { country: "DE", busy: &[on(425, 480), off(480)], congestion: &[on(425, 240), off(240)], ..USUAL },
    Tones { country: "DK", ..USUAL },
    Tones {
        country: "ES",
        ring_back: &[on(425, 1_500), off(3_000)],
        busy: BEEP_200,
        congestion: &[on(425, 200), off(200), on(425, 200), off(200), on(425, 200), off(600)],
        ..USUAL
    },
    Tones { country: "FI", busy: &[on(425, 300), off(300)], congestion: BEEP_200, ..USUAL },
    Tones {
        country: "FR",
        dial: &[on(440, 0)],
        ring_back: &[on(440, 1_500), off(3_500)],
        busy: &[on(440, 500), off(500)],
        congestion: &[on(440, 250), off(250)],
    },
    Tones {
        country: "GB",
        dial: &[two(350, 440, 0)],
        ring_back: &[two(400, 450, 400), off(200), two(400, 450, 400), off(2_000)],
        busy: &[on(400, 375), off(375)],
        congestion: &[on(400, 400), off(350), on(400, 225), off(525)],
    },
    Tones { country: "IT", dial: &[on(425, 200), off(200), on(425, 600), off(1_000)], congestion: BEEP_200, ..USUAL },
    Tones {
        country: "JP",
        dial: &[on(400, 0)],
        ring_back: &[two(392, 408, 1_000), off(2_000)],
        busy: &[on(400, 500), off(500)],
        congestion: &[on(400, 500), off(500)],
    },
    Tones { country: "NL", ..USUAL },
    Tones { country: "NO", congestion: BEEP_200, ..USUAL },
    Tones { country: "PL", congestion: BEEP_500, ..USUAL },
    Tones { country: "PT", ring_back: RING_1_5, congestion: BEEP_200, ..USUAL },
    Tones { country: "SE", ring_back: RING_1_5, busy: BEEP_250, congestion: &[on(425, 250), off(750)], ..USUAL },
    Tones {
        country: "US",
        dial: &[two(350, 440, 0)],
        ring_back: &[two(440, 480, 2_000), off(4_000)],
        busy: &[two(480, 620, 500), off(500)],
        congestion: &[two(480, 620, 250), off(250)],
    },
];

/// Countries whose tones are known, by ISO 3166-1's two letters.
pub fn countries() -> impl Iterator<Item = &'static str> {
    TABLE.iter().map(|tones| tones.country)
}

/// Level of a single tone: -10 dBm0; each of two is 3 dB softer.
const LEVEL: f32 = 7_200.0;
/// Tones begin and end within this time, so that they do not click.
const EDGE_MS: u32 = 4;

/// Sounds one signal.
#[derive(Clone, Debug)]
pub struct Tone {
    cadence: &'static [Step],
    rate_hz: u32,
    step: usize,
    /// Samples of the step so far.
    at: u32,
}

impl Tone {
    /// A country's signal at a sampling rate of whole kHz. What is not known of a country sounds as E.180 recommends: 425 Hz.
    pub fn new(country: &str, signal: Signal, rate_hz: u32) -> Tone {
        let tones = TABLE.iter().find(|tones| tones.country.eq_ignore_ascii_case(country)).unwrap_or(&USUAL);
        let cadence = match signal {
            Signal::Dial => tones.dial,
            Signal::RingBack => tones.ring_back,
            Signal::Busy => tones.busy,
            Signal::Congestion => tones.congestion,
        };
        Tone { cadence, rate_hz: rate_hz.max(8_000), step: 0, at: 0 }
    }

    /// Fills `out` with what comes next.
    pub fn play(&mut self, out: &mut [i16]) {
        for sample in out {
            *sample = self.next();
        }
    }

    fn next(&mut self) -> i16 {
        let Some(step) = self.cadence.get(self.step) else { return 0 };
        let len = u32::from(step.ms) * (self.rate_hz / 1_000);
        let sample = self.sample(*step, len);
        self.at += 1;
        if len == 0 {
            // Tones are whole numbers of Hertz: they repeat after a second.
            self.at = if self.at == 2 * self.rate_hz { self.rate_hz } else { self.at };
        } else if self.at >= len {
            (self.step, self.at) = ((self.step + 1) % self.cadence.len(), 0);
        }
        sample
    }

    fn sample(&self, step: Step, len: u32) -> i16 {
        let edge = (EDGE_MS * self.rate_hz / 1_000) as f32;
        let left = if len == 0 { edge } else { len.saturating_sub(self.at) as f32 };
        let seconds = (self.at % self.rate_hz) as f32 / self.rate_hz as f32;
        let tone = |hz: u16| (std::f32::consts::TAU * f32::from(hz) * seconds).sin();
        let sum = if step.hz.1 == 0 { tone(step.hz.0) } else { (tone(step.hz.0) + tone(step.hz.1)) * 0.707 };
        (sum * LEVEL * (self.at as f32 / edge).min(left / edge).min(1.0)) as i16
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Signal; 4] = [Signal::Dial, Signal::RingBack, Signal::Busy, Signal::Congestion];

    /// Effective value of each 10 ms.
    fn levels(country: &str, signal: Signal, seconds: usize) -> Vec<f32> {
        let mut pcm = vec![0; 8_000 * seconds];
        Tone::new(country, signal, 8_000).play(&mut pcm);
        pcm.chunks(80).map(|ten| (ten.iter().map(|s| f32::from(*s).powi(2)).sum::<f32>() / 80.0).sqrt()).collect()
    }

    #[test]
    fn a_country_sounds_in_its_cadence() {
        let levels = levels("de", Signal::RingBack, 12);
        for (n, level) in levels.iter().enumerate() {
            assert_eq!(*level > 3_000.0, n % 500 < 100, "{} ms: {level}", n * 10);
        }
    }

    #[test]
    fn every_signal_of_every_country_is_loud_enough_and_clicks_nowhere() {
        for country in countries().chain(["ZZ"]) {
            for signal in ALL {
                for rate in [8_000u32, 16_000, 48_000] {
                    let mut pcm = vec![0; rate as usize * 13];
                    Tone::new(country, signal, rate).play(&mut pcm);
                    let loudest = pcm.iter().map(|sample| sample.unsigned_abs()).max().unwrap();
                    assert!((6_000..12_000).contains(&loudest), "{country} {signal:?}: {loudest}");
                    let steepest = pcm.windows(2).map(|pair| (i32::from(pair[1]) - i32::from(pair[0])).abs()).max().unwrap();
                    // A sine of 620 Hz at this level changes by this much from sample to sample.
                    assert!(steepest < (std::f32::consts::TAU * 620.0 / rate as f32 * 11_000.0) as i32, "{country} {signal:?}");
                }
            }
        }
    }

    #[test]
    fn two_tones_are_both_there() {
        let mut pcm = vec![0; 16_000];
        Tone::new("US", Signal::Dial, 8_000).play(&mut pcm);
        for (hz, there) in [(350.0, true), (440.0, true), (400.0, false), (480.0, false)] {
            let (mut re, mut im) = (0.0f32, 0.0f32);
            for (n, sample) in pcm[8_000..].iter().enumerate() {
                let angle = std::f32::consts::TAU * hz * n as f32 / 8_000.0;
                re += f32::from(*sample) * angle.cos();
                im += f32::from(*sample) * angle.sin();
            }
            assert_eq!(re.hypot(im) / 4_000.0 > 3_000.0, there, "{hz} Hz");
        }
    }
}
