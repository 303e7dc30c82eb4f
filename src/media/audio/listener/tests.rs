use super::*;
use ringfort_base::entropy::Seeded;

/// Level of the loudest sine (ITU-T G.711).
const LOUDEST_DBM0: f32 = 3.1 + 0.04;

/// Amplitude of a tone at a level.
fn amplitude(dbm0: f32) -> f32 {
    32_767.0 * 10f32.powf((dbm0 - LOUDEST_DBM0) / 20.0)
}

struct Press {
    code: usize,
    ms: usize,
    low_dbm0: f32,
    high_dbm0: f32,
    /// Both tones too high by this, per mille.
    off: f32,
}

impl Press {
    fn of(code: usize, ms: usize) -> Press {
        Press { code, ms, low_dbm0: -9.0, high_dbm0: -7.0, off: 0.0 }
    }

    fn samples(&self, rate_hz: u32) -> Vec<i16> {
        let (row, column) = KEYS[self.code];
        let tone =
            |n: usize, hz: f32, dbm0| amplitude(dbm0) * (TAU * hz * (1.0 + self.off / 1000.0) * n as f32 / rate_hz as f32).sin();
        let sample = |n| (tone(n, LOW[row], self.low_dbm0) + tone(n, HIGH[column], self.high_dbm0)) as i16;
        (0..self.ms * rate_hz as usize / 1_000).map(sample).collect()
    }
}

/// What is heard of presses with pauses between them, noise added.
fn heard(rate_hz: u32, presses: &[Press], pause_ms: usize, noise_dbm0: f32) -> Vec<Digit> {
    let mut random = Seeded::new(7);
    let mut pcm = vec![0i16; rate_hz as usize / 10];
    for press in presses {
        pcm.extend(press.samples(rate_hz));
        pcm.extend(vec![0; pause_ms * rate_hz as usize / 1_000]);
    }
    pcm.extend(vec![0; rate_hz as usize / 10]);
    let noise = amplitude(noise_dbm0);
    for sample in &mut pcm {
        let white = (random.below(20_001) as f32 / 10_000.0 - 1.0) * noise * 1.2;
        *sample = (f32::from(*sample) + white).clamp(-32_768.0, 32_767.0) as i16;
    }
    let (mut listener, mut digits) = (Listener::new(rate_hz), Vec::new());
    for ten in pcm.chunks(rate_hz as usize / 100) {
        listener.hear(ten, |digit| digits.push(digit));
    }
    digits
}

fn codes(digits: &[Digit]) -> Vec<usize> {
    digits.iter().filter(|digit| digit.end).map(|digit| usize::from(digit.code)).collect()
}

#[test]
fn every_key_is_heard_with_its_duration() {
    for rate in [8_000, 16_000, 48_000] {
        for ms in [40, 65, 100, 240] {
            let presses: Vec<Press> = (0..16).map(|code| Press::of(code, ms)).collect();
            let digits = heard(rate, &presses, 50, -50.0);
            assert_eq!(codes(&digits), (0..16).collect::<Vec<_>>(), "{rate} Hz, {ms} ms");
            assert_eq!(digits.len(), 32, "each begins and ends once");
            for digit in digits.iter().filter(|digit| digit.end) {
                assert!(digit.duration_ms.abs_diff(ms as u32) <= 10, "{digit:?} of {ms} ms");
            }
        }
    }
}

/// ITU-T Q.24: levels, twist, frequencies off by 1.5 %, noise 15 dB below.
#[test]
fn tones_within_the_limits_are_heard() {
    let cases: [(f32, f32, f32, f32); 7] = [
        (-2.0, -2.0, 0.0, -60.0),
        (-25.0, -25.0, 0.0, -60.0),
        (-12.0, -8.0, 0.0, -60.0),
        (-8.0, -16.0, 0.0, -60.0),
        (-9.0, -7.0, 15.0, -60.0),
        (-9.0, -7.0, -15.0, -60.0),
        (-9.0, -9.0, 0.0, -24.0),
    ];
    for (low_dbm0, high_dbm0, off, noise) in cases {
        let presses: Vec<Press> = (0..16).map(|code| Press { code, ms: 60, low_dbm0, high_dbm0, off }).collect();
        let digits = heard(8_000, &presses, 60, noise);
        assert_eq!(codes(&digits), (0..16).collect::<Vec<_>>(), "{low_dbm0} {high_dbm0} {off} {noise}");
    }
}

#[test]
fn tones_beyond_the_limits_are_not() {
    let cases: [(usize, f32, f32, f32); 7] = [
        (22, -9.0, -7.0, 0.0),
        (60, -36.0, -36.0, 0.0),
        (60, -20.0, -8.0, 0.0),
        (60, -6.0, -22.0, 0.0),
        (60, -60.0, -7.0, 0.0),
        (60, -9.0, -7.0, 35.0),
        (60, -9.0, -7.0, -35.0),
    ];
    for (ms, low_dbm0, high_dbm0, off) in cases {
        let presses: Vec<Press> = (0..16).map(|code| Press { code, ms, low_dbm0, high_dbm0, off }).collect();
        assert_eq!(codes(&heard(8_000, &presses, 60, -70.0)), Vec::<usize>::new(), "{ms} ms, {low_dbm0} {high_dbm0}");
    }
}

/// A voice is no keypad: five minutes of vowels whose overtones glide over all tones, of hiss, and of both.
#[test]
fn speech_presses_no_key() {
    let mut random = Seeded::new(11);
    let (mut listener, mut digits, mut phase) = (Listener::new(8_000), 0, 0.0f32);
    let (mut pitch, mut formants) = (120.0f32, [700.0f32, 1_200.0]);
    for syllable in 0..1_500 {
        let aim = 80.0 + random.below(200) as f32;
        let towards = [300.0 + random.below(700) as f32, 1_000.0 + random.below(800) as f32];
        let mut pcm = Vec::with_capacity(1_600);
        for _ in 0..1_600 {
            pitch += (aim - pitch) / 1_600.0;
            formants.iter_mut().zip(towards).for_each(|(formant, aim)| *formant += (aim - *formant) / 800.0);
            phase = (phase + pitch / 8_000.0) % 1_000.0;
            let mut sample = 0.0;
            for harmonic in 1..=(3_600.0 / pitch) as u32 {
                let hz = harmonic as f32 * pitch;
                // Resonances of the throat over a source that falls by 6 dB an octave.
                let resonance =
                    |formant: f32| formant * formant / ((formant * formant - hz * hz).powi(2) + (90.0 * hz).powi(2)).sqrt();
                let level = resonance(formants[0]) * resonance(formants[1]) / harmonic as f32;
                sample += level * (TAU * phase * harmonic as f32).sin();
            }
            let hiss = (random.below(2_001) as f32 - 1_000.0) * if syllable % 5 == 0 { 4.0 } else { 0.1 };
            pcm.push((sample * 1_500.0 + hiss).clamp(-32_768.0, 32_767.0) as i16);
        }
        listener.hear(&pcm, |_| digits += 1);
    }
    assert_eq!(digits, 0);
}
