//! A mouth, a network that may lose and delay, and an ear.

use crate::audio::*;
use ringfort_base::Time;
use ringfort_base::entropy::Seeded;
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

/// Ratio of signal to error in dB, `heard` shifted to where it fits best within 200 ms and scaled to fit.
pub fn ratio_db(said: &[i16], heard: &[i16], rate_hz: u32) -> f64 {
    let step = (rate_hz / 8_000) as usize;
    let at = |shift: usize, stride: usize| {
        let (mut product, mut a2, mut b2) = (0.0, 1.0, 1.0);
        for (a, b) in said.iter().zip(heard.get(shift..).unwrap_or_default()).step_by(stride) {
            let (a, b) = (f64::from(*a), f64::from(*b));
            product += a * b;
            a2 += a * a;
            b2 += b * b;
        }
        // The share of the error, when the gain fits.
        1.0 - product * product / (a2 * b2)
    };
    let longest = rate_hz as usize / 5;
    let coarse = (0..longest).step_by(step).min_by(|a, b| at(*a, 2 * step + 1).total_cmp(&at(*b, 2 * step + 1))).unwrap_or(0);
    let near = coarse.saturating_sub(2 * step)..=coarse + 2 * step;
    let error = near.map(|shift| at(shift, 1)).min_by(f64::total_cmp).unwrap_or(1.0);
    -10.0 * error.log10()
}
