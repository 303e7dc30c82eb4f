//! Comfort noise (RFC 3389): how loud and of what colour the silence is.

/// Reflection coefficients of one packet that are used; what a sender gives beyond shapes nothing that is heard.
const ORDER_MAX: usize = 12;
/// Loudest noise that is played: a packet may not shout.
const LEVEL_DBOV_MIN: u8 = 30;

/// Makes noise as the last packet describes it.
#[derive(Clone, Debug)]
pub(super) struct Noise {
    /// Effective value of what drives the filter.
    drive: f32,
    reflections: [f32; ORDER_MAX],
    order: usize,
    state: [f32; ORDER_MAX + 1],
    random: u32,
}

impl Noise {
    /// What a payload says: level, then reflection coefficients (RFC 3389 3). `None`: it is empty.
    pub fn described(payload: &[u8]) -> Option<Noise> {
        let (level, coefficients) = payload.split_first()?;
        let mut reflections = [0.0; ORDER_MAX];
        let order = coefficients.len().min(ORDER_MAX);
        // The power of what leaves the filter, when what drives it has the power 1.
        let mut left = 1.0;
        for (reflection, coefficient) in reflections.iter_mut().zip(coefficients) {
            *reflection = 258.0 * (f32::from(*coefficient) - 127.0) / 32_768.0;
            *reflection = reflection.clamp(-0.98, 0.98);
            left *= 1.0 - *reflection * *reflection;
        }
        let level = f32::from((level & 0x7f).max(LEVEL_DBOV_MIN));
        let drive = 32_768.0 * 10f32.powf(-level / 20.0) * f32::sqrt(left);
        Some(Noise { drive, reflections, order, state: [0.0; ORDER_MAX + 1], random: 0x2545_f491 })
    }

    /// Takes another description over and sounds on.
    pub fn change(&mut self, to: Noise) {
        *self = Noise { state: self.state, random: self.random, ..to };
    }

    /// Appends `len` samples.
    pub fn make(&mut self, len: usize, out: &mut Vec<i16>) {
        for _ in 0..len {
            out.push(self.next() as i16);
        }
    }

    /// An all-pole lattice over white noise.
    fn next(&mut self) -> f32 {
        let mut forward = self.white_sample() * self.drive;
        for n in (0..self.order).rev() {
            forward -= self.reflections[n] * self.state[n];
            self.state[n + 1] = self.state[n] + self.reflections[n] * forward;
        }
        self.state[0] = forward;
        forward.clamp(f32::from(i16::MIN), f32::from(i16::MAX))
    }

    /// Evenly spread, with the effective value 1.
    fn white_sample(&mut self) -> f32 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 17;
        self.random ^= self.random << 5;
        (self.random as i32 as f32) / (i32::MAX as f32) * 3f32.sqrt()
    }
}

/// Level of samples below the overload point, dB: 0 to 127.
pub(super) fn level_dbov(pcm: &[i16]) -> u8 {
    let power = pcm.iter().map(|sample| f32::from(*sample).powi(2)).sum::<f32>() / pcm.len().max(1) as f32;
    (-10.0 * (power / 32_768.0f32.powi(2)).max(1e-13).log10()).clamp(0.0, 127.0).round() as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_is_as_loud_as_described_whatever_its_colour() {
        for coefficients in [vec![], vec![200], vec![60, 160, 100], vec![127; 20]] {
            for level in [35, 50, 70] {
                let mut payload = vec![level];
                payload.extend(&coefficients);
                let mut out = Vec::new();
                Noise::described(&payload).unwrap().make(64_000, &mut out);
                let made = level_dbov(&out[8_000..]);
                assert!(made.abs_diff(level) <= 2, "{coefficients:?}: {made} for {level}");
            }
        }
    }

    #[test]
    fn no_packet_shouts() {
        for payload in [&[0u8][..], &[0x80], &[0, 255, 255, 255]] {
            let mut out = Vec::new();
            Noise::described(payload).unwrap().make(8_000, &mut out);
            assert!(level_dbov(&out) >= LEVEL_DBOV_MIN - 2);
        }
        assert!(Noise::described(&[]).is_none());
    }

    #[test]
    fn levels_are_relative_to_overload() {
        assert_eq!(level_dbov(&[i16::MIN; 80]), 0);
        assert_eq!(level_dbov(&[0; 80]), 127);
        assert_eq!(level_dbov(&[]), 127);
        assert_eq!(level_dbov(&[328; 80]), 40);
    }
}
