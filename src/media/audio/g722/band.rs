//! The two bands' coders of G.722: quantisers, their scale, and the predictor that both share.

/// Steps of the lower band's quantiser (table 14).
const DECISIONS: [i32; 29] = [
    35, 72, 110, 150, 190, 233, 276, 323, 370, 422, 473, 530, 587, 650, 714, 786, 858, 940, 1023, 1121, 1219, 1339, 1458, 1612,
    1765, 1980, 2195, 2557, 2919,
];
/// Codes of the intervals between them, for negative and for positive differences (table 14).
const NEGATIVE: [u8; 30] =
    [63, 62, 31, 30, 29, 28, 27, 26, 25, 24, 23, 22, 21, 20, 19, 18, 17, 16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4];
const POSITIVE: [u8; 30] =
    [61, 60, 59, 58, 57, 56, 55, 54, 53, 52, 51, 50, 49, 48, 47, 46, 45, 44, 43, 42, 41, 40, 39, 38, 37, 36, 35, 34, 33, 32];
/// Values of the codes of six bits, and of their upper five and four bits (tables 16, 17, 18).
const VALUES_6: [i32; 64] = [
    -136, -136, -136, -136, -24808, -21904, -19008, -16704, -14984, -13512, -12280, -11192, -10232, -9360, -8576, -7856, -7192,
    -6576, -6000, -5456, -4944, -4464, -4008, -3576, -3168, -2776, -2400, -2032, -1688, -1360, -1040, -728, 24808, 21904, 19008,
    16704, 14984, 13512, 12280, 11192, 10232, 9360, 8576, 7856, 7192, 6576, 6000, 5456, 4944, 4464, 4008, 3576, 3168, 2776, 2400,
    2032, 1688, 1360, 1040, 728, 432, 136, -432, -136,
];
const VALUES_4: [i32; 16] = [0, -20456, -12896, -8968, -6288, -4240, -2584, -1200, 20456, 12896, 8968, 6288, 4240, 2584, 1200, 0];
/// Values of the upper band's codes (table 20).
const VALUES_2: [i32; 4] = [-7408, -1616, 7408, 1616];
/// How a code of the lower band changes its scale (tables 15 and 18, W and R joined).
const SCALE_LOWER: [i32; 16] = [-60, 3042, 1198, 538, 334, 172, 58, -30, 3042, 1198, 538, 334, 172, 58, -30, -60];
/// The same for the upper band.
const SCALE_HIGHER: [i32; 4] = [798, -214, 798, -214];
/// 32 steps of an octave (table 15).
const OCTAVE: [i32; 32] = [
    2048, 2093, 2139, 2186, 2233, 2282, 2332, 2383, 2435, 2489, 2543, 2599, 2656, 2714, 2774, 2834, 2896, 2960, 3025, 3091, 3158,
    3228, 3298, 3371, 3444, 3520, 3597, 3676, 3756, 3838, 3922, 4008,
];

/// Within 16 bits.
pub(super) fn saturated(value: i32) -> i32 {
    value.clamp(i16::MIN.into(), i16::MAX.into())
}

/// Within 15 bits: LIMIT.
fn limited(value: i32) -> i32 {
    value.clamp(-16_384, 16_383)
}

/// The predictor of one band: two poles and six zeros, which adapt.
#[derive(Clone, Debug, Default)]
struct Predictor {
    /// What it expects next, and the zeros' part of that.
    expected: i32,
    zeros_part: i32,
    /// Reconstructed signal, and the same without the poles' part; the last one first.
    signal: [i32; 2],
    partial: [i32; 2],
    poles: [i32; 2],
    differences: [i32; 6],
    zeros: [i32; 6],
}

impl Predictor {
    /// Block 4: takes the quantised difference in.
    fn adapt(&mut self, difference: i32) {
        // RECONS, PARREC
        let signal = saturated(self.expected + difference);
        let partial = saturated(self.zeros_part + difference);
        self.adapt_poles(partial);
        self.adapt_zeros(difference);
        // DELAYA
        self.signal = [signal, self.signal[0]];
        self.partial = [partial, self.partial[0]];
        self.differences.copy_within(..5, 1);
        self.differences[0] = difference;
        self.predict();
    }

    /// UPPOL2, UPPOL1.
    fn adapt_poles(&mut self, partial: i32) {
        let alike = |before: i32| (partial < 0) == (before < 0);
        let first = saturated(self.poles[0] << 2);
        let first = if alike(self.partial[0]) { saturated(-first) } else { first };
        let second = if alike(self.partial[1]) { 128 } else { -128 };
        let second = saturated((first >> 7) + second + ((self.poles[1] * 32_512) >> 15)).clamp(-12_288, 12_288);
        let first = if alike(self.partial[0]) { 192 } else { -192 };
        let most = saturated(15_360 - second);
        let first = saturated(first + ((self.poles[0] * 32_640) >> 15)).clamp(-most, most);
        self.poles = [first, second];
    }

    /// UPZERO.
    fn adapt_zeros(&mut self, difference: i32) {
        let step = if difference == 0 { 0 } else { 128 };
        for (zero, before) in self.zeros.iter_mut().zip(&self.differences) {
            let step = if (*before < 0) == (difference < 0) { step } else { -step };
            *zero = saturated(step + ((*zero * 32_640) >> 15));
        }
    }

    /// FILTEP, FILTEZ, PREDIC.
    fn predict(&mut self) {
        let part = |coefficient: i32, value: i32| (coefficient * saturated(value + value)) >> 15;
        let poles = saturated(part(self.poles[0], self.signal[0]) + part(self.poles[1], self.signal[1]));
        let zeros = self.zeros.iter().zip(&self.differences).map(|(zero, difference)| part(*zero, *difference));
        self.zeros_part = saturated(zeros.sum());
        self.expected = saturated(poles + self.zeros_part);
    }
}

/// The quantiser's scale, kept as a logarithm: LOGSC, SCALE.
#[derive(Clone, Debug)]
struct Scale {
    logarithm: i32,
    highest: i32,
    octaves: i32,
    linear: i32,
}

impl Scale {
    fn adapt(&mut self, change: i32) {
        self.logarithm = (((self.logarithm * 127) >> 7) + change).clamp(0, self.highest);
        let step = OCTAVE[(self.logarithm >> 6) as usize & 31];
        let down = self.octaves - (self.logarithm >> 11);
        self.linear = (if down < 0 { step << -down } else { step >> down }) << 2;
    }
}

/// Lower band: 6 bits a sample.
#[derive(Clone, Debug)]
pub(super) struct Lower {
    predictor: Predictor,
    scale: Scale,
}

impl Lower {
    pub fn new() -> Lower {
        let scale = Scale { logarithm: 0, highest: 18_432, octaves: 8, linear: 32 };
        Lower { predictor: Predictor::default(), scale }
    }

    /// Block 1L.
    pub fn encode(&mut self, sample: i32) -> u8 {
        let difference = saturated(sample - self.predictor.expected);
        let magnitude = if difference < 0 { !difference } else { difference };
        let interval = DECISIONS.partition_point(|step| (step * self.scale.linear) >> 12 <= magnitude);
        let code = if difference < 0 { NEGATIVE[interval] } else { POSITIVE[interval] };
        self.adapt(code);
        code
    }

    /// Block 5L, and LIMIT of block 6L.
    pub fn decode(&mut self, code: u8) -> i32 {
        let value = VALUES_6[usize::from(code & 63)];
        let sample = limited(self.predictor.expected + ((self.scale.linear * value) >> 15));
        self.adapt(code);
        sample
    }

    /// Blocks 2L to 4L see the upper four bits only, so that the lower two may be taken away on the line.
    fn adapt(&mut self, code: u8) {
        let code = usize::from(code >> 2) & 15;
        let difference = (self.scale.linear * VALUES_4[code]) >> 15;
        self.scale.adapt(SCALE_LOWER[code]);
        self.predictor.adapt(difference);
    }
}

/// Upper band: 2 bits a sample.
#[derive(Clone, Debug)]
pub(super) struct Higher {
    predictor: Predictor,
    scale: Scale,
}

impl Higher {
    pub fn new() -> Higher {
        let scale = Scale { logarithm: 0, highest: 22_528, octaves: 10, linear: 8 };
        Higher { predictor: Predictor::default(), scale }
    }

    /// Block 1H.
    pub fn encode(&mut self, sample: i32) -> u8 {
        let difference = saturated(sample - self.predictor.expected);
        let magnitude = if difference < 0 { !difference } else { difference };
        let is_wide = magnitude >= (564 * self.scale.linear) >> 12;
        let code = match (difference < 0, is_wide) {
            (true, false) => 1,
            (true, true) => 0,
            (false, false) => 3,
            (false, true) => 2,
        };
        self.adapt(code);
        code
    }

    /// Block 5H.
    pub fn decode(&mut self, code: u8) -> i32 {
        let value = VALUES_2[usize::from(code & 3)];
        let sample = limited(self.predictor.expected + ((self.scale.linear * value) >> 15));
        self.adapt(code);
        sample
    }

    fn adapt(&mut self, code: u8) {
        let code = usize::from(code & 3);
        let difference = (self.scale.linear * VALUES_2[code]) >> 15;
        self.scale.adapt(SCALE_HIGHER[code]);
        self.predictor.adapt(difference);
    }
}
