//! A mouth, a network that may lose and delay, and an ear.

use crate::audio::*;
use ringfort_base::Time;
use ringfort_base::entropy::Seeded;
use std::f64::consts::TAU;
use std::time::Duration;

/// Payload types of the tests: the static ones, 111 for Opus.
pub fn payload(codec: Codec) -> u8 {
    codec.static_payload().unwrap_or(111)
}

pub fn speaking(codec: Codec, source_hz: u32) -> Speaking {
    let (payload, events, opus) = (payload(codec), Some((101, 8_000)), OpusWishes { fec: true, ..OpusWishes::default() });
    Speaking { payload, codec, source_hz, ptime_ms: 20, events, comfort_noise: None, opus, ssrc: 7 }
}

pub fn hearing() -> Hearing {
    let mut payloads: Vec<_> = Codec::ALL.into_iter().map(|codec| (payload(codec), Heard::Speech(codec))).collect();
    payloads.extend([
        (101, Heard::Events { clock_hz: 8_000 }),
        (102, Heard::Events { clock_hz: 48_000 }),
        (13, Heard::ComfortNoise),
    ]);
    Hearing { payloads, in_band: false }
}

/// What the network does to a packet: dropped, or delivered after a delay.
pub type Fate<'a> = dyn FnMut(u64) -> Option<Duration> + 'a;

/// One direction of a call, in steps of 10 ms.
pub struct Line {
    pub mouth: Mouth,
    pub ear: Ear,
    pub now: Time,
    /// Packets on their way.
    flying: Vec<(Time, Vec<u8>)>,
    sent: u64,
    /// What was played, by kind, in steps.
    pub played: Vec<Played>,
    /// Every packet sent.
    pub packets: Vec<Vec<u8>>,
}

impl Line {
    pub fn new(speaking: &Speaking) -> Line {
        Line::heard_by(speaking, &hearing())
    }

    pub fn heard_by(speaking: &Speaking, hearing: &Hearing) -> Line {
        let mouth = Mouth::new(speaking, &mut Seeded::new(1)).unwrap();
        let ear = Ear::new(hearing);
        Line { mouth, ear, now: Time::from_millis(1_000), flying: Vec::new(), sent: 0, played: Vec::new(), packets: Vec::new() }
    }

    /// Says `pcm`, 10 ms a step, and returns what is heard at `rate_hz` meanwhile.
    pub fn say(&mut self, pcm: &[i16], rate_hz: u32, fate: &mut Fate<'_>) -> Vec<i16> {
        let mut heard = Vec::new();
        for ten in pcm.chunks(self.mouth.rate_hz() as usize / 100) {
            let mut packet = [0; 1_500];
            if let Some(len) = self.mouth.speak(self.now, ten, &mut packet) {
                self.packets.push(packet[..len].to_vec());
                if let Some(delay) = fate(self.sent) {
                    self.flying.push((self.now + delay, packet[..len].to_vec()));
                }
                self.sent += 1;
            }
            heard.extend(self.step(rate_hz));
        }
        heard
    }

    /// 10 ms without anything said.
    pub fn step(&mut self, rate_hz: u32) -> Vec<i16> {
        let (mut due, flying) = std::mem::take(&mut self.flying).into_iter().partition::<Vec<_>, _>(|(at, _)| *at <= self.now);
        self.flying = flying;
        due.sort_by_key(|(at, _)| *at);
        for (at, packet) in due {
            self.ear.receive(at, &packet);
        }
        let mut out = vec![0; rate_hz as usize / 100];
        self.played.push(self.ear.play(self.now, rate_hz, &mut out));
        self.now = self.now + Duration::from_millis(10);
        out
    }
}

/// A network that delivers everything at once.
pub fn at_once(_: u64) -> Option<Duration> {
    Some(Duration::ZERO)
}

/// Something like speech: a gliding voice with four overtones that swells and ebbs, and a little breath.
pub fn speech(rate_hz: u32, seconds: f64) -> Vec<i16> {
    let mut random = Seeded::new(3);
    let mut phase = 0.0f64;
    let sample = |n: usize| {
        let t = n as f64 / f64::from(rate_hz);
        let pitch = 130.0 + 30.0 * (std::f64::consts::TAU * 0.9 * t).sin();
        phase += std::f64::consts::TAU * pitch / f64::from(rate_hz);
        let voice: f64 = [(1.0, 1.0), (2.0, 0.8), (4.0, 0.5), (7.0, 0.35), (11.0, 0.2)]
            .map(|(n, level)| (phase * n).sin() * level)
            .iter()
            .sum();
        let swell = (std::f64::consts::PI * 2.3 * t).sin().powi(2);
        let breath = random.below(200) as f64 - 100.0;
        (voice * swell * 4_000.0 + breath) as i16
    };
    (0..(seconds * f64::from(rate_hz)) as usize).map(sample).collect()
}

/// Where `heard` fits `said` best within 200 ms, samples, and the share of the error there, when the gain fits.
fn fit(said: &[i16], heard: &[i16], rate_hz: u32) -> (usize, f64) {
    let step = (rate_hz / 8_000) as usize;
    let at = |shift: usize, stride: usize| {
        let (mut product, mut a2, mut b2) = (0.0, 1.0, 1.0);
        for (a, b) in said.iter().zip(heard.get(shift..).unwrap_or_default()).step_by(stride) {
            let (a, b) = (f64::from(*a), f64::from(*b));
            product += a * b;
            a2 += a * a;
            b2 += b * b;
        }
        1.0 - product * product / (a2 * b2)
    };
    let longest = rate_hz as usize / 5;
    let coarse = (0..longest).step_by(step).min_by(|a, b| at(*a, 2 * step + 1).total_cmp(&at(*b, 2 * step + 1))).unwrap_or(0);
    let near = coarse.saturating_sub(2 * step)..=coarse + 2 * step;
    near.map(|shift| (shift, at(shift, 1))).min_by(|a, b| a.1.total_cmp(&b.1)).unwrap_or((0, 1.0))
}

/// Ratio of signal to error in dB, `heard` shifted to where it fits best within 200 ms and scaled to fit.
pub fn ratio_db(said: &[i16], heard: &[i16], rate_hz: u32) -> f64 {
    -10.0 * fit(said, heard, rate_hz).1.log10()
}

/// How far the spectra of both are apart, dB, `heard` shifted so; at 8 kHz. What codecs keep that do not keep the shape of the wave.
pub fn spectrum_db(said: &[i16], heard: &[i16]) -> f64 {
    let shifted = heard.get(fit(said, heard, 8_000).0..).unwrap_or_default();
    let steps: Vec<usize> = (1..said.len().min(shifted.len()) / STEP - 1).collect();
    spectra_apart_db(said, shifted, &steps)
}

/// Samples of a step of 10 ms at 8 kHz.
pub const STEP: usize = 80;
/// Bands in which spectra are compared, and how far apart their centres are.
const BANDS: usize = 17;
const BAND_HZ: f64 = 200.0;
/// Two bands differ by no more than that.
const APART_MAX_DB: f64 = 25.0;

/// The levels of the bands around a step, dB.
fn spectrum(pcm: &[i16], step: usize) -> Option<[f64; BANDS]> {
    let window = pcm.get(step * STEP - STEP / 2..step * STEP + 3 * STEP / 2)?;
    let levels = std::array::from_fn(|band| {
        let (mut re, mut im) = (0.0, 0.0);
        for (n, sample) in window.iter().enumerate() {
            let weight = 0.5 - 0.5 * (TAU * n as f64 / window.len() as f64).cos();
            let turn = TAU * BAND_HZ * (band + 1) as f64 * n as f64 / 8_000.0;
            (re, im) = (re + weight * f64::from(*sample) * turn.cos(), im + weight * f64::from(*sample) * turn.sin());
        }
        // As loud as the breath of the voice: what is below is not heard beside it.
        20.0 * (re.hypot(im) + 1_000.0).log10()
    });
    Some(levels)
}

/// The mean difference of the levels of all bands around these steps, dB.
pub fn spectra_apart_db(one: &[i16], other: &[i16], steps: &[usize]) -> f64 {
    let both = steps.iter().filter_map(|step| spectrum(one, *step).zip(spectrum(other, *step)));
    let (mut apart, mut bands) = (0.0, 0.0);
    for (a, b) in both {
        apart += a.iter().zip(&b).map(|(a, b)| (a - b).abs().min(APART_MAX_DB)).sum::<f64>();
        bands += BANDS as f64;
    }
    apart / f64::max(bands, 1.0)
}
