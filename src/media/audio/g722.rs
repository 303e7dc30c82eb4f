//! ITU-T G.722 at 64 kbit/s: two bands of 4 kHz, each by adaptive differential PCM, 6 bits for the lower one and 2 for the upper one.
//!
//! Names in capitals are the recommendation's blocks (G.722 6.2). Its sequences of Appendix II are among the tests.

mod band;

use band::{Higher, Lower};

/// Half of the 24 taps of the filters that part and join the bands (G.722 table 11); the other half mirrors them.
const TAPS: [i32; 12] = [3, -11, 12, 32, -210, 951, 3876, -805, 362, -156, 53, -11];

/// 24 samples of the past for the filters, twice in a row, so that they can be read as one piece.
#[derive(Clone, Debug)]
struct Past {
    pairs: [(i32, i32); 24],
    at: usize,
}

impl Past {
    fn new() -> Past {
        Past { pairs: [(0, 0); 24], at: 0 }
    }

    /// The last twelve pairs, oldest first, after this one.
    fn push(&mut self, pair: (i32, i32)) -> &[(i32, i32)] {
        self.pairs[self.at] = pair;
        self.pairs[self.at + 12] = pair;
        self.at = (self.at + 1) % 12;
        &self.pairs[self.at..self.at + 12]
    }
}

/// Both filters over the same samples: one takes the first of each pair, one the second.
fn filtered(pairs: &[(i32, i32)]) -> (i32, i32) {
    let mut sums = (0, 0);
    for ((first, second), (tap, mirrored)) in pairs.iter().zip(TAPS.iter().zip(TAPS.iter().rev())) {
        sums.0 += first * tap;
        sums.1 += second * mirrored;
    }
    sums
}

/// One stream's encoder.
#[derive(Clone, Debug)]
pub struct Encoder {
    past: Past,
    lower: Lower,
    higher: Higher,
}

impl Default for Encoder {
    fn default() -> Encoder {
        Encoder { past: Past::new(), lower: Lower::new(), higher: Higher::new() }
    }
}

impl Encoder {
    /// Two samples at 16 kHz become one octet; as many as both slices have room for.
    pub fn encode(&mut self, pcm: &[i16], out: &mut [u8]) {
        for (pair, octet) in pcm.as_chunks::<2>().0.iter().zip(out) {
            let (first, second) = filtered(self.past.push((i32::from(pair[0]), i32::from(pair[1]))));
            let (low, high) = ((second + first) >> 14, (second - first) >> 14);
            *octet = self.lower.encode(low) | (self.higher.encode(high) << 6);
        }
    }
}

/// One stream's decoder.
#[derive(Clone, Debug)]
pub struct Decoder {
    past: Past,
    lower: Lower,
    higher: Higher,
}

impl Default for Decoder {
    fn default() -> Decoder {
        Decoder { past: Past::new(), lower: Lower::new(), higher: Higher::new() }
    }
}

impl Decoder {
    /// Each octet becomes two samples at 16 kHz, appended to `out`.
    pub fn decode(&mut self, payload: &[u8], out: &mut Vec<i16>) {
        for octet in payload {
            let low = self.lower.decode(octet & 0x3f);
            let high = self.higher.decode(octet >> 6);
            let (first, second) = filtered(self.past.push((low + high, low - high)));
            out.extend([band::saturated(second >> 11) as i16, band::saturated(first >> 11) as i16]);
        }
    }
}

#[cfg(test)]
mod tests;
