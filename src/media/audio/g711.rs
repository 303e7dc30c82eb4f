//! ITU-T G.711: 8 bits a sample, logarithmic. Linear samples are 16 bits wide, the recommendation's 13 (A-law) and 14 bits (µ-law) at
//! their top, so that decoding and encoding again yields the same octets.

/// Sample of an A-law octet (G.711 table 1; even bits are inverted on the line).
pub fn a_law_to_linear(octet: u8) -> i16 {
    A_LAW[usize::from(octet)]
}

/// Sample of a µ-law octet (G.711 table 2; all bits are inverted on the line).
pub fn mu_law_to_linear(octet: u8) -> i16 {
    MU_LAW[usize::from(octet)]
}

/// A-law octet of a sample: sign, the segment that the magnitude lies in, and where in it.
pub fn linear_to_a_law(sample: i16) -> u8 {
    let magnitude = magnitude(sample) >> 4;
    let code = if magnitude < 32 {
        magnitude
    } else {
        let shift = 11 - magnitude.leading_zeros() as u16;
        ((shift + 1) << 4) | ((magnitude >> shift) & 0x0f)
    };
    let sign = if sample < 0 { 0 } else { 0x80 };
    (code as u8 | sign) ^ 0x55
}

/// µ-law octet of a sample. What is louder than the last interval becomes the loudest code.
pub fn linear_to_mu_law(sample: i16) -> u8 {
    // 33 shifts the segments so that each begins at a power of two.
    let biased = ((magnitude(sample) >> 2) + 33).min(0x1fff);
    let segment = 10 - biased.leading_zeros() as u16;
    let code = (segment << 4) | ((biased >> (segment + 1)) & 0x0f);
    let sign = if sample < 0 { 0x80 } else { 0 };
    !(code as u8 | sign)
}

/// One's complement, so that the intervals on both sides of zero are as wide.
fn magnitude(sample: i16) -> u16 {
    (if sample < 0 { !sample } else { sample }) as u16
}

static A_LAW: [i16; 256] = {
    let (mut table, mut octet) = ([0; 256], 0);
    while octet < 256 {
        table[octet] = expand_a_law(octet as u8);
        octet += 1;
    }
    table
};

static MU_LAW: [i16; 256] = {
    let (mut table, mut octet) = ([0; 256], 0);
    while octet < 256 {
        table[octet] = expand_mu_law(octet as u8);
        octet += 1;
    }
    table
};

/// The middle of the interval that the octet stands for.
const fn expand_a_law(octet: u8) -> i16 {
    let code = octet ^ 0x55;
    let (segment, step) = ((code >> 4) & 7, (code & 0x0f) as i16);
    let magnitude = match segment {
        0 => (step << 4) + 8,
        segment => ((step << 4) + 0x108) << (segment - 1),
    };
    if code & 0x80 == 0 { -magnitude } else { magnitude }
}

const fn expand_mu_law(octet: u8) -> i16 {
    let code = !octet;
    let (segment, step) = ((code >> 4) & 7, (code & 0x0f) as i16);
    let magnitude = (((step << 1) + 33) << (segment + 2)) - (33 << 2);
    if code & 0x80 != 0 { -magnitude } else { magnitude }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Decision values of the recommendation's tables: (how many intervals, how wide), in its own units.
    const A_SEGMENTS: [(usize, u32); 7] = [(32, 2), (16, 4), (16, 8), (16, 16), (16, 32), (16, 64), (16, 128)];
    const MU_SEGMENTS: [(usize, u32); 9] =
        [(1, 1), (15, 2), (16, 4), (16, 8), (16, 16), (16, 32), (16, 64), (16, 128), (16, 256)];

    /// Decision values x1, x2, …, and the values y that stand for the intervals, from the segments.
    fn intervals(segments: &[(usize, u32)]) -> Vec<(u32, u32)> {
        let mut from = 0;
        let widths = segments.iter().flat_map(|(count, width)| std::iter::repeat_n(*width, *count));
        let next = |width: u32| {
            from += width;
            (from - width, from)
        };
        widths.map(next).collect()
    }

    /// Segments, units of 16-bit samples, the encoder, and what is inverted on the line.
    type Law = (&'static [(usize, u32)], u32, fn(i16) -> u8, u8);

    #[test]
    fn the_tables_end_where_the_recommendation_says() {
        assert_eq!(intervals(&A_SEGMENTS).len(), 128);
        assert_eq!(intervals(&A_SEGMENTS).last(), Some(&(3968, 4096)));
        assert_eq!(intervals(&MU_SEGMENTS).len(), 128);
        assert_eq!(intervals(&MU_SEGMENTS).last(), Some(&(7903, 8159)));
    }

    /// Character signals of the recommendation: the number of the interval, with all bits inverted for µ-law, even ones for A-law.
    #[test]
    fn every_octet_decodes_to_the_value_of_its_interval() {
        for (number, (from, to)) in intervals(&A_SEGMENTS).into_iter().enumerate() {
            let value = (from + to) as i16 / 2 * 8;
            assert_eq!(a_law_to_linear((number as u8 | 0x80) ^ 0x55), value, "+{number}");
            assert_eq!(a_law_to_linear(number as u8 ^ 0x55), -value, "-{number}");
        }
        for (number, (from, to)) in intervals(&MU_SEGMENTS).into_iter().enumerate() {
            // The first interval reaches from -1 to 1 and stands for 0.
            let value = if number == 0 { 0 } else { (from + to) as i16 / 2 * 4 };
            assert_eq!(mu_law_to_linear(!(number as u8)), value, "+{number}");
            assert_eq!(mu_law_to_linear(!(number as u8 | 0x80)), -value, "-{number}");
        }
    }

    /// A sample belongs to the interval between whose decision values it lies; one on the border to either.
    #[test]
    fn every_sample_is_encoded_to_the_interval_that_it_lies_in() {
        let laws: [Law; 2] = [(&A_SEGMENTS, 8, linear_to_a_law, 0xd5), (&MU_SEGMENTS, 4, linear_to_mu_law, 0xff)];
        for (segments, unit, encode, mask) in laws {
            let intervals = intervals(segments);
            for sample in i16::MIN..=i16::MAX {
                let code = encode(sample) ^ mask;
                assert_eq!(code & 0x80 != 0, sample < 0, "{sample}");
                let number = usize::from(code & 0x7f);
                let (from, to) = intervals[number];
                let magnitude = u32::from(sample.unsigned_abs());
                let above = magnitude >= from * unit || (sample < 0 && magnitude + 1 >= from * unit);
                let below = magnitude <= to * unit || number == 127;
                assert!(above && below, "{sample} is encoded as {number}: {from}..{to}");
            }
        }
    }

    #[test]
    fn octets_survive_decoding_and_encoding() {
        for octet in 0..=255 {
            assert_eq!(linear_to_a_law(a_law_to_linear(octet)), octet);
            // 0x7f is minus zero: it decodes as zero does, and there is one zero in linear samples.
            let again = if octet == 0x7f { 0xff } else { octet };
            assert_eq!(linear_to_mu_law(mu_law_to_linear(octet)), again);
        }
    }
}
