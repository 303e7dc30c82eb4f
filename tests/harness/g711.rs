//! G.711 µ-law, as ITU-T G.711 table 2 has it.

const BIAS: i32 = 0x84;
const CLIP: i32 = 32_635;

/// One sample of 16 bits to one octet.
pub fn encode(sample: i16) -> u8 {
    let sign = if sample < 0 { 0x80 } else { 0 };
    let magnitude = i32::from(sample).abs().min(CLIP) + BIAS;
    // The bias keeps the magnitude at 132 or more, so there is a highest bit, at 7 or above.
    let exponent = 31 - magnitude.leading_zeros() as i32 - 7;
    let mantissa = (magnitude >> (exponent + 3)) & 0x0f;
    !(sign | (exponent << 4) | mantissa) as u8
}

/// One octet to one sample of 16 bits.
pub fn decode(octet: u8) -> i16 {
    let octet = i32::from(!octet);
    let (exponent, mantissa) = ((octet >> 4) & 0x07, octet & 0x0f);
    let magnitude = (((mantissa << 3) + BIAS) << exponent) - BIAS;
    (if octet & 0x80 != 0 { -magnitude } else { magnitude }) as i16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_and_extremes() {
        assert_eq!((encode(0), decode(0xff)), (0xff, 0));
        assert_eq!((encode(i16::MAX), encode(i16::MIN)), (0x80, 0x00));
    }

    #[test]
    fn every_octet_comes_back() {
        for octet in 0..=255u8 {
            // 0x7f is a second zero.
            assert_eq!(encode(decode(octet)), if octet == 0x7f { 0xff } else { octet });
        }
    }
}
